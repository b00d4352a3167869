//! `sql`: runs statements over files, from the command line, a script, standard input or the prompt.

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use root_engine::{RootSession, RootTable, SAMPLE_WEIGHT, TableOptions};

use super::{Outcome, explain};
use crate::app::App;
use crate::args::{InputArgs, QueryArgs, SqlArgs};
use crate::exit::{Failure, did_you_mean};
use crate::inputs;
use crate::output::{self, Destination, Format, TableStyle};
use crate::progress;
use crate::repl;

/// The name of the table that the files on the command line become.
pub const TABLE: &str = "t";

/// Runs the SQL, or the prompt.
pub async fn sql(app: &App, args: &SqlArgs) -> Outcome {
    let Some(text) = text(app, &args.query, true)? else {
        return repl::run(app, &args.input).await;
    };
    app.record.set_query(&text);
    let session = app.session();
    let statements = statements(&session, &text)?;
    let (mut to, format) = app.open(Format::Auto)?;
    let mut bar = app.bar(progress::of_session(&session));
    register(app, &session, &args.input, &text).await?;
    for statement in &statements {
        let style = app.style(to.target(), app.settings.max_rows);
        let answer = run_statement(&session, statement, &mut to, format, style, &mut || bar.stop()).await?;
        app.record.add_rows(answer.rows);
        if let Some(note) = answer.note {
            bar.stop();
            app.console.note(&note);
        }
    }
    bar.stop();
    to.commit()?;
    Ok(app.conclude())
}

/// The SQL that was given; `None` if there is a person to ask for it.
pub fn text(app: &App, query: &QueryArgs, prompt: bool) -> Result<Option<String>, Failure> {
    match (&query.command, &query.script) {
        (Some(command), _) => Ok(Some(command.clone())),
        (None, Some(path)) if path.as_os_str() != "-" => {
            std::fs::read_to_string(path).map(Some).map_err(|e| Failure::side_input(path, &e))
        }
        (None, None) if prompt && std::io::stdin().is_terminal() => Ok(None),
        _ if app.settings.files_from.iter().any(|list| list == "-") => Err(Failure::usage(
            "standard input cannot be both the SQL and the list of files; give the SQL with -c or -f",
        )),
        _ => {
            let mut text = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut text);
            read.map_err(|e| Failure::side_input(Path::new("standard input"), &e))?;
            Ok(Some(text))
        }
    }
}

/// The statements of a script, all of which can be parsed; it is a mistake if there are none.
pub fn statements(session: &RootSession, text: &str) -> Result<Vec<String>, Failure> {
    let parsed = session.statements(text)?;
    if parsed.is_empty() {
        return Err(Failure::usage("there is no SQL to run; give it with -c, -f, or on standard input"));
    }
    Ok(parsed)
}

/// What the files on the command line became.
#[derive(Debug, Default)]
pub struct Registered {
    /// Their table, if any were named.
    pub table: Option<Arc<RootTable>>,
    /// Whether it has `_file` and `_entry`.
    pub row_id: bool,
}

/// Makes the files on the command line the table `t`. Its columns `_file` and `_entry` are there if the SQL names them.
pub async fn register(app: &App, session: &RootSession, input: &InputArgs, text: &str) -> Result<Registered, Failure> {
    let specs = inputs::specs(app, &input.files)?;
    if specs.is_empty() {
        return Ok(Registered::default());
    }
    let mut options: TableOptions = app.settings.table.clone();
    if let Some(tree) = &input.tree {
        options.tree = Some(tree.clone());
    }
    options.row_id |= root_engine::names_row_id(text);
    // At the prompt, the table may be there already, without or with these columns.
    session.context().deregister_table(TABLE)?;
    let table = session.register(TABLE, &specs, &options).await?;
    Ok(Registered { table: Some(table), row_id: options.row_id })
}

/// Tells that samples have weights.
pub fn tell_sample_weight(app: &App) {
    app.console
        .note(&format!("events have the weight of their sample, the column {SAMPLE_WEIGHT} (1 where it is empty)"));
}

/// The weight of an event that samples have weights for as well.
pub fn with_sample_weight(weight: Option<&str>) -> String {
    let of_sample = format!("coalesce({SAMPLE_WEIGHT}, 1.0)");
    match weight {
        // The weight may end in a comment.
        Some(weight) => format!("({weight}\n) * {of_sample}"),
        None => of_sample,
    }
}

/// What became of a statement.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Rows of the result.
    pub rows: u64,
    /// What the user should know about it.
    pub note: Option<String>,
}

/// Runs one statement and writes its result, if it has one, as it comes. `on_output` is called before anything is
/// written to a terminal.
pub async fn run_statement(
    session: &RootSession,
    statement: &str,
    to: &mut Destination,
    format: Format,
    style: TableStyle,
    on_output: &mut dyn FnMut(),
) -> Result<Answer, Failure> {
    let frame = session.sql(statement).await.map_err(|error| explain_table(session, error))?;
    let schema: SchemaRef = frame.schema().inner().clone();
    let mut batches = frame.execute_stream().await?;
    if schema.fields().is_empty() {
        // A definition; it was carried out, and has nothing to show.
        while let Some(batch) = batches.next().await {
            batch?;
        }
        return Ok(Answer::default());
    }
    if !to.take() && to.is_file() {
        return Err(Failure::usage("-o takes the result of one statement, and there are several"));
    }
    if format == Format::Table && explain::is_plan(&schema) {
        let plan = explain::plan_text(&mut batches).await?;
        on_output();
        to.put(plan.as_bytes())?;
        to.pass_on()?;
        return Ok(Answer::default());
    }
    let first = batches.next().await;
    if to.target().is_terminal() && format != Format::Table {
        on_output();
    }
    let mut writer = output::writer(format, schema, to, style)?;
    let all = futures::stream::iter(first).chain(batches);
    let (rows, note) = output::write_stream(all, writer.as_mut(), on_output).await?;
    Ok(Answer { rows, note })
}

/// Adds to an error about a table that does not exist what was probably meant.
pub fn explain_table(session: &RootSession, error: root_engine::Error) -> Failure {
    let failure = Failure::from(error);
    let Failure::Error { exit, message } = &failure else { return failure };
    let Some(wanted) = message.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found")) else {
        return failure;
    };
    // DataFusion names the catalog and schema, which are not the user's words.
    let wanted = wanted.strip_prefix("datafusion.public.").unwrap_or(wanted);
    let known = table_names(session);
    let mut hint = did_you_mean(wanted, known.iter().map(String::as_str));
    if hint.is_empty() && wanted == TABLE {
        hint = "; files named on the command line become the table t".to_string();
    }
    Failure::new(*exit, format!("there is no table '{wanted}'{hint}"))
}

/// Names of all tables but those that describe the others.
pub fn table_names(session: &RootSession) -> Vec<String> {
    let context = session.context();
    let mut names = Vec::new();
    for catalog in context.catalog_names().iter().filter_map(|name| context.catalog(name)) {
        let schemas = catalog.schema_names().into_iter().filter(|name| name != "information_schema");
        names.extend(schemas.filter_map(|name| catalog.schema(&name)).flat_map(|schema| schema.table_names()));
    }
    names.sort();
    names
}
