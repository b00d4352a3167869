//! `explain`: how a query would run, or with `--analyze` how it did.

use std::fmt::Write;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use futures::{Stream, StreamExt};

use super::Outcome;
use super::sql::{explain_table, register, run_statement, statements, text};
use crate::app::App;
use crate::args::ExplainArgs;
use crate::exit::Failure;
use crate::output::Format;
use crate::progress;

/// Explains the last statement; those before it are carried out, as it may need them.
pub async fn explain(app: &App, args: &ExplainArgs) -> Outcome {
    let Some(text) = text(app, &args.query, false)? else {
        return Err(Failure::usage("there is no SQL to explain"));
    };
    app.record.set_query(&text);
    let session = app.session();
    let statements = statements(&session, &text)?;
    let (mut to, format) = app.open(Format::Table)?;
    let mut bar = app.bar(progress::of_session(&session));
    register(app, &session, &args.input, &text).await?;
    let Some((last, before)) = statements.split_last() else {
        return Err(Failure::usage("there is no SQL to explain"));
    };
    for statement in before {
        session.sql(statement).await.map_err(|error| explain_table(&session, error))?;
    }
    let already = last.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("explain"));
    let sql = match (already, args.analyze) {
        (true, _) => last.clone(),
        (false, true) => format!("EXPLAIN ANALYZE {last}"),
        (false, false) => format!("EXPLAIN {last}"),
    };
    let style = app.style(to.target(), 0);
    run_statement(&session, &sql, &mut to, format, style, &mut || bar.stop()).await?;
    to.commit()?;
    Ok(app.conclude())
}

/// Whether a result is a plan, which is better read as text than in a table.
pub fn is_plan(schema: &Schema) -> bool {
    schema.fields().iter().map(|f| f.name().as_str()).eq(["plan_type", "plan"])
}

/// The plans of a result, each under its name.
pub async fn plan_text(
    batches: &mut (impl Stream<Item = Result<RecordBatch, DataFusionError>> + Unpin),
) -> Result<String, Failure> {
    let mut text = String::new();
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let (Some(kinds), Some(plans)) = (batch.columns().first(), batch.columns().get(1)) else { continue };
        let (Some(kinds), Some(plans)) = (kinds.as_string_opt::<i32>(), plans.as_string_opt::<i32>()) else {
            return Err(DataFusionError::from(ArrowError::CastError("a plan is not text".into())).into());
        };
        for (kind, plan) in kinds.iter().zip(plans) {
            let written = writeln!(text, "{}:\n{}\n", kind.unwrap_or("plan"), plan.unwrap_or_default().trim_end());
            written.map_err(|e| DataFusionError::External(e.into()))?;
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    Ok(text)
}
