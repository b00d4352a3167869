//! The front door: a session that knows ROOT files, our SQL dialect and our options.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::catalog::{DynamicFileCatalog, TableProvider};
use datafusion::common::{Column, DataFusionError, SchemaError, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use eos_io::Stores;

use crate::accelerate::Accelerate;
use crate::analysis::Events;
use crate::compute_once::{ComputeRangesOnce, PushCheapFilters, PushFiltersIntoScans, is_within};
use crate::copy_to;
use crate::dialect::RootDialect;
use crate::error::Error;
use crate::factory::RootTableFactory;
use crate::functions::{ElementPlanner, Functions, ListOperators};
use crate::histogram;
use crate::ledger::Ledger;
use crate::lumi::{self, read_files};
use crate::names::{MemberPlanner, NamedTable, NamedTables, name_products, spell_for_planner};
use crate::options::TableOptions;
use crate::output::RootFormatFactory;
use crate::progress::Progress;
use crate::prune::{Narrow, PruneLeaves};
use crate::script;
use crate::sort_keys::ComputeSortKeys;
use crate::source::Shared;
use crate::suggest::no_such_column;
use crate::table::RootTable;

/// A session: tables, options and counters. Clones share them.
#[derive(Clone)]
pub struct RootSession {
    context: SessionContext,
    factory: RootTableFactory,
}

/// Where a session runs its plans, if that is not this process.
pub trait Elsewhere: fmt::Debug + Send + Sync {
    /// What of the session's settings has to be as it is there.
    fn configure(&self, config: SessionConfig) -> SessionConfig;

    /// The rules for logical plans that can run there, made of the session's own.
    fn logical_rules(&self, rules: Rules) -> Rules;

    /// Plans and what runs there, and what does in this process.
    fn planner(&self) -> Arc<dyn QueryPlanner + Send + Sync>;
}

/// Rules for logical plans.
pub type Rules = Vec<Arc<dyn OptimizerRule + Send + Sync>>;

/// Sets up a [`RootSession`].
#[derive(Debug, Clone, Default)]
pub struct RootSessionBuilder {
    threads: Option<NonZeroUsize>,
    memory: Option<usize>,
    batch_rows: Option<NonZeroUsize>,
    defaults: TableOptions,
    stores: Stores,
    elsewhere: Option<Arc<dyn Elsewhere>>,
}

impl RootSessionBuilder {
    /// Runs the plans of the session in another place than this process.
    pub fn elsewhere(mut self, place: Arc<dyn Elsewhere>) -> Self {
        self.elsewhere = Some(place);
        self
    }

    /// The stores behind paths and URLs, with their settings and connections.
    pub fn stores(mut self, stores: Stores) -> Self {
        self.stores = stores;
        self
    }

    /// Partitions that run at the same time; by default as many as the machine has cores.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = NonZeroUsize::new(threads);
        self
    }

    /// Bytes that sorts, joins and aggregations may hold together before they spill to disk; unlimited by default.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Rows per batch.
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = NonZeroUsize::new(rows);
        self
    }

    /// Options of files that are named without any: in SQL in place of a table, and in [`RootSession::read`]. Which tree
    /// is read is theirs to say, and they have no friends.
    pub fn table_options(mut self, options: TableOptions) -> Self {
        self.defaults = TableOptions { tree: None, friends: Vec::new(), ..options };
        self
    }

    /// Builds the session.
    pub fn build(self) -> RootSession {
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok());
        let mut config = SessionConfig::new()
            .with_target_partitions(threads.map_or(1, NonZeroUsize::get))
            .with_information_schema(true);
        if let Some(rows) = self.batch_rows {
            config = config.with_batch_size(rows.get());
        }
        // Column names are the file's own, `Muon_pt` as well as `nMuon`.
        config.options_mut().sql_parser.enable_ident_normalization = false;
        // It moves the members of structs down to the scan, and copies along what computes the struct, once for each
        // member. Members of stored structs are left to `prune`.
        config.options_mut().optimizer.enable_leaf_expression_pushdown = false;
        if let Some(place) = &self.elsewhere {
            config = place.configure(config);
        }
        let runtime = Arc::new(runtime(self.memory));
        let factory = RootTableFactory {
            stores: self.stores,
            shared: Shared::default(),
            runtime: runtime.clone(),
            config: config.clone(),
            defaults: self.defaults,
        };
        let mut builder = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_table_factory("ROOT".to_string(), Arc::new(factory.clone()))
            .with_optimizer_rules(match &self.elsewhere {
                Some(place) => place.logical_rules(logical_rules()),
                None => logical_rules(),
            })
            .with_physical_optimizer_rules(physical_rules())
            .with_optimizer_rule(Arc::new(ComputeSortKeys))
            .with_optimizer_rule(Arc::new(PruneLeaves::new(as_narrow)))
            .with_optimizer_rule(Arc::new(ComputeRangesOnce::default()))
            .with_physical_optimizer_rule(Arc::new(Accelerate));
        let format = RootFormatFactory { shared: factory.shared.clone() };
        builder.file_formats().get_or_insert_default().push(Arc::new(format));
        add_language(&mut builder);
        if let Some(place) = &self.elsewhere {
            builder = builder.with_query_planner(place.planner());
        }
        let state = builder.build();
        let catalogs = DynamicFileCatalog::new(state.catalog_list().clone(), Arc::new(factory.clone()));
        let context = SessionContext::new_with_state(state);
        context.register_catalog_list(Arc::new(catalogs));
        RootSession { context, factory }
    }
}

/// DataFusion's rules, with ours in place of those of the same name.
fn logical_rules() -> Rules {
    let ours = Arc::new(PushCheapFilters::default());
    let rules = Optimizer::new().rules.into_iter();
    rules.map(|rule| if rule.name() == ours.name() { ours.clone() } else { rule }).collect()
}

/// The same for physical plans. The second rule of the name is about filters that come into being while a query runs.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let ours = Arc::new(PushFiltersIntoScans::default());
    let mut rules = PhysicalOptimizer::new().rules;
    if let Some(first) = rules.iter_mut().find(|rule| rule.name() == ours.name()) {
        *first = ours;
    }
    rules
}

/// Has a session know our functions and operators.
pub(crate) fn add_language(builder: &mut SessionStateBuilder) {
    let functions = Functions::new();
    // The first planner that knows an expression decides.
    let planners: [Arc<dyn ExprPlanner>; 3] = [
        Arc::new(ElementPlanner::new(functions.element)),
        Arc::new(MemberPlanner),
        Arc::new(ListOperators::new(functions.transform)),
    ];
    builder.expr_planners().get_or_insert_default().splice(0..0, planners);
    builder.scalar_functions().get_or_insert_default().extend(functions.scalar);
    builder.scalar_functions().get_or_insert_default().extend(histogram::functions().map(Arc::new));
    builder.scalar_functions().get_or_insert_default().push(Arc::new(is_within()));
    builder.aggregate_functions().get_or_insert_default().extend(histogram::aggregates().into_iter().map(Arc::new));
    builder.aggregate_functions().get_or_insert_default().extend(lumi::aggregates().map(Arc::new));
    builder.higher_order_functions().get_or_insert_default().extend(functions.higher_order);
}

fn runtime(memory: Option<usize>) -> RuntimeEnv {
    let mut builder = RuntimeEnvBuilder::new();
    if let Some(bytes) = memory {
        builder = builder.with_memory_pool(Arc::new(FairSpillPool::new(bytes)));
    }
    // Only a scratch directory that cannot be named could fail here; the default names none.
    builder.build().unwrap_or_default()
}

impl Default for RootSession {
    fn default() -> Self {
        Self::new()
    }
}

impl RootSession {
    /// A session with the defaults.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A session with other settings.
    pub fn builder() -> RootSessionBuilder {
        RootSessionBuilder::default()
    }

    /// DataFusion's own context, for everything that it can do.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The stores behind paths and URLs.
    pub fn stores(&self) -> &Stores {
        &self.factory.stores
    }

    /// How far the scans are.
    pub fn progress(&self) -> Progress {
        self.factory.shared.progress.clone()
    }

    /// What became of the files.
    pub fn ledger(&self) -> Ledger {
        self.factory.shared.ledger.clone()
    }

    /// Reads files as a table: a path, pattern, directory or dataset file, with `:tree` where the files have several.
    pub async fn read(&self, spec: &str) -> Result<DataFrame, Error> {
        let opened = self.factory.open(&[spec.to_string()], self.factory.defaults.clone()).await?;
        Ok(self.context.read_table(opened.provider)?)
    }

    /// Opens files as events of an analysis: a path, pattern, directory or dataset file, with `:tree` where the files have
    /// several.
    pub async fn events(&self, spec: &str) -> Result<Events, Error> {
        self.events_of(&[spec.to_string()], &self.factory.defaults).await
    }

    /// The same for several such specs, with options of their own.
    pub async fn events_of(&self, specs: &[String], options: &TableOptions) -> Result<Events, Error> {
        let opened = self.factory.open(specs, options.clone()).await?;
        let unreadable = opened.table.unreadable().to_vec();
        Events::new(self, self.context.read_table(opened.provider)?, unreadable)
    }

    /// The rows of a query as events of an analysis.
    pub fn events_from(&self, frame: DataFrame) -> Result<Events, Error> {
        Events::new(self, frame, Vec::new())
    }

    /// Registers files as a table of the session: paths, patterns, directories and dataset files (see
    /// [`Inputs::find`](crate::Inputs::find)), each with an optional `:tree`. The answer is the table of these files; where
    /// friends are joined with them by columns, queries read a view over it.
    pub async fn register(
        &self,
        name: &str,
        specs: &[String],
        options: &TableOptions,
    ) -> Result<Arc<RootTable>, Error> {
        let opened = self.factory.open(specs, options.clone()).await?;
        self.context.register_table(name, opened.provider)?;
        Ok(opened.table)
    }

    /// Plans one SQL statement; definitions such as `CREATE EXTERNAL TABLE` are carried out at once.
    ///
    /// Lambdas (`array_filter(Muon_pt, x -> x > 20)`) and files in place of tables (`FROM 'f.root:Events'`) are
    /// understood. Names keep their case.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame, Error> {
        let plan = self.logical_plan(sql).await?;
        Ok(self.context.execute_logical_plan(plan).await?)
    }

    /// The plan of one SQL statement, of which nothing is carried out yet, definitions neither.
    pub async fn logical_plan(&self, sql: &str) -> Result<LogicalPlan, Error> {
        let statements = parse(sql)?;
        let statement = match <[Statement; 1]>::try_from(statements) {
            Ok([one]) => one,
            Err(several) => {
                let message = format!("one statement is expected, and there are {}", several.len());
                return Err(DataFusionError::Plan(message).into());
            }
        };
        let plan = read_files(self.plan(statement).await?, self.stores()).await?;
        copy_to::resolve(plan, self.stores(), &self.context.runtime_env())
    }

    /// Plans a statement. A name that no table has may be that of a product; then that is written out and planned again.
    async fn plan(&self, mut statement: Statement) -> Result<LogicalPlan, DataFusionError> {
        spell_for_planner(&mut statement);
        let state = self.context.state();
        let mut tables = None;
        loop {
            let error = match state.statement_to_plan(statement.clone()).await {
                Ok(plan) => return Ok(plan),
                Err(error) => error,
            };
            let Some(missing) = missing_column(&error) else { return Err(error) };
            let tables = match &tables {
                Some(known) => known,
                None => tables.insert(self.tables_of(&statement).await),
            };
            if !name_products(&mut statement, missing, tables)? {
                return Err(self.explain_name(error).await);
            }
        }
    }

    /// The tables that a statement names and that exist.
    async fn tables_of(&self, statement: &Statement) -> NamedTables {
        let mut tables = NamedTables::new();
        for reference in self.context.state().resolve_table_references(statement).unwrap_or_default() {
            if let Ok(table) = self.context.table_provider(reference.clone()).await {
                tables.insert(reference, NamedTable::new(table.schema()));
            }
        }
        tables
    }

    /// Splits a script into its statements, as they were written; it is an error if any of them is not SQL.
    pub fn statements(&self, sql: &str) -> Result<Vec<String>, Error> {
        parse(sql)?;
        script::statements(sql)
    }

    /// Names of the tables that are registered.
    pub fn table_names(&self) -> Vec<String> {
        let state = self.context.state();
        let names = &state.config_options().catalog;
        let schema = self.context.catalog(&names.default_catalog).and_then(|c| c.schema(&names.default_schema));
        schema.map(|s| s.table_names()).unwrap_or_default()
    }

    /// Adds to an error about an unknown column or table what was probably meant, or why the branch is not a column.
    async fn explain_name(&self, error: DataFusionError) -> DataFusionError {
        let DataFusionError::SchemaError(schema, _) = error.find_root() else { return error };
        let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref() else { return error };
        let wanted = field.name();
        for name in self.table_names() {
            let Ok(table) = self.context.table_provider(TableReference::bare(name)).await else { continue };
            let provider: &dyn TableProvider = table.as_ref();
            let Some(root) = (provider as &dyn std::any::Any).downcast_ref::<RootTable>() else { continue };
            if let Some((column, reason)) = root.unreadable().iter().find(|(column, _)| column == wanted) {
                return DataFusionError::Plan(format!("column '{column}' cannot be read: {reason}"));
            }
        }
        let full = field.relation.as_ref().map(|relation| format!("{relation}.{wanted}"));
        if let Some(full) = full.filter(|full| valid_fields.iter().any(|known| known.name() == full)) {
            return DataFusionError::Plan(format!("the column {full} is quoted as one name: \"{full}\""));
        }
        DataFusionError::Plan(no_such_column(wanted, valid_fields.iter().map(|f| f.name())))
    }
}

/// The tables whose scans are narrowed to the members that a query touches.
fn as_narrow(table: &dyn TableProvider) -> Option<&dyn Narrow> {
    (table as &dyn std::any::Any).downcast_ref::<RootTable>().map(|table| table as &dyn Narrow)
}

/// The column that an error says does not exist.
pub(crate) fn missing_column(error: &DataFusionError) -> Option<&Column> {
    let DataFusionError::SchemaError(schema, _) = error.find_root() else { return None };
    match schema.as_ref() {
        SchemaError::FieldNotFound { field, .. } => Some(field),
        _ => None,
    }
}

fn parse(sql: &str) -> Result<Vec<Statement>, DataFusionError> {
    Ok(DFParserBuilder::new(sql).with_dialect(&RootDialect).build()?.parse_statements()?.into())
}
