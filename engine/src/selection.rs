//! Which rows of its files a table has: those of certified luminosity sections, and of each sample those that its dataset
//! file wants. Queries read a view over the table, whose filter the scan takes over like any other.

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Column, DataFusionError};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::DFParserBuilder;

use crate::dataset::{CONDITION, SampleCondition};
use crate::dialect::RootDialect;
use crate::error::{Error, message_of};
use crate::expression;
use crate::functions::{ReadMask, in_lumi_mask};
use crate::lumi::{read_files, read_mask};
use crate::names::spell_for_planner;
use crate::options::{LumiColumns, TableOptions};
use crate::source::Shared;
use crate::suggest::nearest;

/// What the table is called where conditions of samples are planned.
const TABLE: &str = "t";
/// Names that a message lists.
const LISTED: usize = 3;

/// The wanted rows of a table. The `context` knows our functions and no tables.
pub(crate) async fn selected(
    context: &SessionContext,
    table: Arc<dyn TableProvider>,
    options: &TableOptions,
    conditions: &[SampleCondition],
    shared: &Shared,
) -> Result<Arc<dyn TableProvider>, Error> {
    let mut selected = table;
    if let Some(file) = &options.lumi_mask {
        let filter = mask_filter(file, &options.lumi_columns, &selected.schema(), shared).await?;
        let view = context.read_table(selected)?.filter(filter)?;
        selected = view_of(view.into_unoptimized_plan());
    }
    if !conditions.is_empty() {
        context.register_table(TABLE, selected)?;
        let mut all = Vec::with_capacity(conditions.len());
        for SampleCondition { sample, dataset, line, sql } in conditions {
            let fault = |reason: String| Error::Dataset {
                file: dataset.clone(),
                line: Some(*line),
                reason: format!("sample '{sample}', {CONDITION}: {reason}"),
            };
            expression::check(sql).map_err(fault)?;
            // Each for itself first, so that the error says whose it is.
            plan(context, &format!("({sql}\n)")).await.map_err(|error| fault(reason_of(error)))?;
            // In files of other samples this is true before anything of it is read.
            let text = sql.replace('\'', "''");
            all.push(format!("((\"{CONDITION}\" IS DISTINCT FROM '{text}') OR ({sql}\n))"));
        }
        let plan = plan(context, &all.join(" AND ")).await?;
        selected = view_of(read_files(plan, &shared.stores).await?);
    }
    Ok(selected)
}

fn view_of(plan: LogicalPlan) -> Arc<dyn TableProvider> {
    Arc::new(ViewTable::new(plan, None))
}

async fn plan(context: &SessionContext, condition: &str) -> Result<LogicalPlan, Error> {
    let sql = format!("SELECT * FROM {TABLE} WHERE {condition}");
    let mut statements = DFParserBuilder::new(sql.as_str()).with_dialect(&RootDialect).build()?.parse_statements()?;
    let missing = || DataFusionError::Internal("a statement is parsed into nothing".into());
    let mut statement = statements.pop_front().ok_or_else(missing)?;
    spell_for_planner(&mut statement);
    Ok(context.state().statement_to_plan(statement).await?)
}

fn reason_of(error: Error) -> String {
    match error {
        Error::Query(error) => message_of(&error),
        other => other.to_string(),
    }
}

/// The condition that an event is certified.
async fn mask_filter(file: &str, columns: &LumiColumns, schema: &Schema, shared: &Shared) -> Result<Expr, Error> {
    let mask = read_mask(file, &shared.stores).await?;
    for (column, word) in [(&columns.run, "run"), (&columns.section, "lumi")] {
        check_column(column, word, columns, schema)?;
    }
    let file = eos_io::redact(file);
    let counts = Some(shared.ledger.mask(&file));
    let column = |name: &String| Expr::Column(Column::from_name(name));
    let args = vec![column(&columns.run), column(&columns.section), lit(file.clone())];
    let function = in_lumi_mask(Some(Arc::new(ReadMask { file, mask, counts })));
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), args)))
}

/// Whether the table has such a column of integers, and if not, which were meant perhaps.
fn check_column(column: &str, word: &str, columns: &LumiColumns, schema: &Schema) -> Result<(), Error> {
    let fault = |what: String| Error::Option {
        name: "lumi_columns".into(),
        value: format!("{}, {}", columns.run, columns.section),
        expected: format!("{what}; name the columns of run and luminosity section, as --lumi-columns RUN,SECTION"),
    };
    let fields = schema.fields();
    match fields.find(column) {
        Some((_, field)) if field.data_type().is_integer() => return Ok(()),
        Some((_, field)) => {
            return Err(fault(format!("'{column}' is {}, and an integer is needed", field.data_type())));
        }
        None => {}
    }
    let integers = || fields.iter().filter(|f| matches!(f.data_type(), t if t.is_integer())).map(|f| f.name().as_str());
    let mut near = nearest(column, integers());
    for name in integers().filter(|name| name.to_lowercase().contains(word)) {
        if near.len() < LISTED && !near.contains(&name) {
            near.push(name);
        }
    }
    let hint = match near.as_slice() {
        [] => String::new(),
        names => format!(" (there is {})", names.join(", ")),
    };
    Err(fault(format!("the table has no column '{column}'{hint}")))
}
