//! The front door: a session that knows ROOT files, our SQL dialect and our options.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::catalog::{DynamicFileCatalog, TableProvider};
use datafusion::common::{DataFusionError, SchemaError, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use eos_io::Stores;

use crate::accelerate::Accelerate;
use crate::dialect::RootDialect;
use crate::error::Error;
use crate::factory::RootTableFactory;
use crate::functions::{ElementPlanner, Functions};
use crate::ledger::Ledger;
use crate::options::TableOptions;
use crate::progress::Progress;
use crate::script;
use crate::source::Shared;
use crate::suggest::nearest;
use crate::table::RootTable;

/// A session: tables, options and counters. Clones share them.
#[derive(Clone)]
pub struct RootSession {
    context: SessionContext,
    factory: RootTableFactory,
}

/// Sets up a [`RootSession`].
#[derive(Debug, Clone, Default)]
pub struct RootSessionBuilder {
    threads: Option<NonZeroUsize>,
    memory: Option<usize>,
    batch_rows: Option<NonZeroUsize>,
    defaults: TableOptions,
}

impl RootSessionBuilder {
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
    /// is read is theirs to say.
    pub fn table_options(mut self, options: TableOptions) -> Self {
        self.defaults = TableOptions { tree: None, ..options };
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
        let runtime = Arc::new(runtime(self.memory));
        let factory = RootTableFactory {
            stores: Stores::new(),
            shared: Shared::default(),
            runtime: runtime.clone(),
            defaults: self.defaults,
        };
        let mut builder = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_table_factory("ROOT".to_string(), Arc::new(factory.clone()))
            .with_physical_optimizer_rule(Arc::new(Accelerate));
        let functions = Functions::new();
        // The first planner that knows an expression decides.
        builder.expr_planners().get_or_insert_default().insert(0, Arc::new(ElementPlanner::new(functions.element)));
        builder.scalar_functions().get_or_insert_default().extend(functions.scalar);
        builder.higher_order_functions().get_or_insert_default().extend(functions.higher_order);
        let state = builder.build();
        let catalogs = DynamicFileCatalog::new(state.catalog_list().clone(), Arc::new(factory.clone()));
        let context = SessionContext::new_with_state(state);
        context.register_catalog_list(Arc::new(catalogs));
        RootSession { context, factory }
    }
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

    /// Reads files as a table: a path, pattern or directory, with `:tree` where the files have several.
    pub async fn read(&self, spec: &str) -> Result<DataFrame, Error> {
        let table = self.factory.open(&[spec.to_string()], self.factory.defaults.clone()).await?;
        Ok(self.context.read_table(table)?)
    }

    /// Registers files as a table of the session.
    pub async fn register(
        &self,
        name: &str,
        specs: &[String],
        options: &TableOptions,
    ) -> Result<Arc<RootTable>, Error> {
        let table = self.factory.open(specs, options.clone()).await?;
        self.context.register_table(name, table.clone())?;
        Ok(table)
    }

    /// Plans one SQL statement; definitions such as `CREATE EXTERNAL TABLE` are carried out at once.
    ///
    /// Lambdas (`array_filter(Muon_pt, x -> x > 20)`) and files in place of tables (`FROM 'f.root:Events'`) are
    /// understood. Names keep their case.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame, Error> {
        let statements = parse(sql)?;
        let statement = match <[Statement; 1]>::try_from(statements) {
            Ok([one]) => one,
            Err(several) => {
                let message = format!("one statement is expected, and there are {}", several.len());
                return Err(DataFusionError::Plan(message).into());
            }
        };
        let state = self.context.state();
        let plan = match state.statement_to_plan(statement).await {
            Ok(plan) => plan,
            Err(error) => return Err(self.explain_name(error).await.into()),
        };
        Ok(self.context.execute_logical_plan(plan).await?)
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
        let near = nearest(wanted, valid_fields.iter().map(|f| f.name()));
        let hint = match near.as_slice() {
            [] => String::new(),
            names => format!("; did you mean {}?", names.join(" or ")),
        };
        DataFusionError::Plan(format!("there is no column '{wanted}'{hint}"))
    }
}

fn parse(sql: &str) -> Result<Vec<Statement>, DataFusionError> {
    Ok(DFParserBuilder::new(sql).with_dialect(&RootDialect).build()?.parse_statements()?.into())
}
