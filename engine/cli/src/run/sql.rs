//! `sql`: runs statements over files, from the command line, a script, standard input or the prompt.

use std::io::{IsTerminal, Read};
use std::path::Path;

use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use root_engine::{RootSession, TableOptions};

use super::{Outcome, explain};
use crate::app::App;
use crate::args::{InputArgs, QueryArgs, SqlArgs};
use crate::exit::Failure;
use crate::inputs;
use crate::output::{self, Destination, Format, TableStyle};
use crate::progress;
use crate::repl;

/// The name of the table that the files on the command line become.
pub const TABLE: &str = "t";

/// Runs the SQL, or the prompt.
pub async fn sql(app: &App, args: &SqlArgs) -> Outcome {
    let Some(text) = text(&args.query, true)? else {
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
pub fn text(query: &QueryArgs, prompt: bool) -> Result<Option<String>, Failure> {
    match (&query.command, &query.script) {
        (Some(command), _) => Ok(Some(command.clone())),
        (None, Some(path)) if path.as_os_str() != "-" => {
            std::fs::read_to_string(path).map(Some).map_err(|e| Failure::side_input(path, &e))
        }
        (None, None) if prompt && std::io::stdin().is_terminal() => Ok(None),
        _ => {
            let mut text = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut text);
            read.map_err(|e| Failure::side_input(Path::new("standard input"), &e))?;
            Ok(Some(text))
        }
    }
}

/// The statements of a script; it is a mistake if there are none.
pub fn statements(session: &RootSession, text: &str) -> Result<Vec<String>, Failure> {
    let statements = session.statements(text)?;
    if statements.is_empty() {
        return Err(Failure::usage("there is no SQL to run; give it with -c, -f, or on standard input"));
    }
    Ok(statements)
}

/// Makes the files on the command line the table `t`. Its columns `_file` and `_entry` are there if the SQL names them.
pub async fn register(app: &App, session: &RootSession, input: &InputArgs, text: &str) -> Result<bool, Failure> {
    let specs = inputs::specs(app, &input.files)?;
    if specs.is_empty() {
        return Ok(false);
    }
    let mut options: TableOptions = app.settings.table.clone();
    if let Some(tree) = &input.tree {
        options.tree = Some(tree.clone());
    }
    options.row_id |= names_row_id(text);
    session.register(TABLE, &specs, &options).await?;
    Ok(options.row_id)
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
    let frame = session.sql(statement).await?;
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

/// Whether `_file` or `_entry` is an identifier of the SQL: not in a string, not in a comment, not part of a name.
pub fn names_row_id(sql: &str) -> bool {
    let mut rest = sql;
    while let Some(c) = rest.chars().next() {
        let (skip, word) = match c {
            '\'' => (quoted_end(rest, '\''), None),
            '"' | '`' => {
                let end = quoted_end(rest, c);
                (end, rest.get(1..end.saturating_sub(1)))
            }
            '-' if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), None),
            '/' if rest.starts_with("/*") => (rest.find("*/").map_or(rest.len(), |at| at + 2), None),
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                (end, rest.get(..end))
            }
            c => (c.len_utf8(), None),
        };
        if matches!(word, Some("_file" | "_entry")) {
            return true;
        }
        rest = rest.get(skip.max(1)..).unwrap_or_default();
    }
    false
}

/// Where a quoted text ends, its quotes included. A doubled quote just begins the next text.
fn quoted_end(text: &str, quote: char) -> usize {
    text.get(1..).and_then(|inner| inner.find(quote)).map_or(text.len(), |at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_identities_are_found_as_identifiers_only() {
        for sql in
            ["SELECT _entry FROM t", "SELECT t.\"_file\", x FROM t", "SELECT 'a''b', _file", "-- x\nSELECT _entry"]
        {
            assert!(names_row_id(sql), "{sql}");
        }
        for sql in [
            "SELECT my_entry FROM t",
            "SELECT '_entry'",
            "SELECT 1 -- _entry",
            "SELECT /* _file */ 1",
            "SELECT \"x _file\"",
            "SELECT 'it''s _file'",
            "",
            "'unclosed _entry",
            "é_file ✓",
        ] {
            assert!(!names_row_id(sql), "{sql}");
        }
    }
}
