//! The prompt: SQL that ends in `;`, commands that begin with `\`, history, and completion of names.

mod command;
mod complete;

use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::catalog::TableProvider;
use root_engine::{RootSession, RootTable};
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use crate::app::App;
use crate::args::InputArgs;
use crate::config::in_home;
use crate::exit::{Exit, Failure, did_you_mean};
use crate::output::{self, Format};
use crate::progress;
use crate::run::{Outcome, run_statement, sql, types};
use command::Command;
use complete::{Assistant, Names};

const HISTORY_LINES: usize = 10_000;

/// Asks for statements and runs them until the user has enough.
pub async fn run(app: &App, input: &InputArgs) -> Outcome {
    if app.settings.output.is_some() {
        return Err(Failure::usage("-o needs the SQL on the command line (-c, -f) or on standard input"));
    }
    let session = app.session();
    let row_id = sql::register(app, &session, input, "").await?.row_id;
    app.tell_warnings();
    let (_, format) = app.open(Format::Auto)?;
    let mut prompt = Prompt { app, input, session, format, timing: true, row_id };
    if !app.console.is_quiet() {
        prompt.greet().await;
    }
    let mut editor = editor().map_err(|e| no_prompt(&e))?;
    let history = in_home("XDG_STATE_HOME", ".local/state").map(|dir| dir.join("history"));
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    loop {
        if let Some(assistant) = editor.helper_mut() {
            assistant.names = prompt.names().await;
        }
        match editor.readline("root-query> ") {
            Ok(line) => {
                if line.trim().is_empty() {
                    continue;
                }
                // Without history the prompt still works.
                let _ = editor.add_history_entry(line.as_str());
                if let Some(path) = &history {
                    let _ = path.parent().map(std::fs::create_dir_all);
                    let _ = editor.append_history(path);
                }
                if !prompt.line(&line).await? {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(no_prompt(&error)),
        }
    }
    Ok(app.conclude())
}

fn no_prompt(error: &ReadlineError) -> Failure {
    Failure::new(Exit::Query, format!("the terminal cannot be read: {error}"))
}

fn editor() -> rustyline::Result<Editor<Assistant, FileHistory>> {
    let config = Config::builder()
        .history_ignore_space(true)
        .max_history_size(HISTORY_LINES)?
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Assistant::default()));
    Ok(editor)
}

/// The state of the prompt.
struct Prompt<'a> {
    app: &'a App,
    input: &'a InputArgs,
    session: RootSession,
    format: Format,
    timing: bool,
    /// Whether `t` has the columns `_file` and `_entry`.
    row_id: bool,
}

impl Prompt<'_> {
    async fn greet(&self) {
        let console = &self.app.console;
        console.plain(&format!("root-query {}; \\? for help, \\q to leave", env!("CARGO_PKG_VERSION")));
        if let Ok(table) = self.session.context().table_provider(sql::TABLE).await {
            let columns = table.schema().fields().len() as u64;
            let entries = root_table(table.as_ref()).map_or(0, RootTable::entries);
            console.plain(&format!(
                "table {}: {entries} entries, {columns} columns; \\d {} lists them",
                sql::TABLE,
                sql::TABLE
            ));
        }
    }

    /// Does what a line says; `false` ends the prompt. Failures are told and are no reason to leave.
    async fn line(&mut self, line: &str) -> Result<bool, Failure> {
        let done = match command::parse(line) {
            Ok(Some(Command::Quit)) => return Ok(false),
            Ok(Some(command)) => self.command(command).await,
            Ok(None) => self.sql(line).await,
            Err(message) => Err(Failure::usage(message)),
        };
        match done {
            Ok(()) => {}
            Err(Failure::BrokenPipe) => return Err(Failure::BrokenPipe),
            Err(failure) => self.app.console.error(&failure.to_string()),
        }
        self.app.tell_warnings();
        Ok(true)
    }

    async fn command(&mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::Quit => Ok(()),
            Command::Help => {
                self.app.console.plain(command::HELP);
                Ok(())
            }
            Command::Timing(on) => {
                self.timing = on.unwrap_or(!self.timing);
                self.app.console.plain(if self.timing { "timing is on" } else { "timing is off" });
                Ok(())
            }
            Command::Format(format) => {
                if let Some(format) = format {
                    self.format = format.settle(&self.app.target()?)?;
                }
                self.app.console.plain(&format!("format is {}", crate::config::spelling(&self.format)));
                Ok(())
            }
            Command::Describe(None) => self.tables().await,
            Command::Describe(Some(name)) => self.describe(&name).await,
        }
    }

    async fn sql(&mut self, text: &str) -> Result<(), Failure> {
        if self.row_id != root_engine::names_row_id(text) {
            self.row_id = sql::register(self.app, &self.session, self.input, text).await?.row_id;
        }
        for statement in sql::statements(&self.session, text)? {
            let started = Instant::now();
            let (mut to, _) = self.app.open(Format::Table)?;
            let style = self.app.style(to.target(), self.app.settings.max_rows);
            let mut bar = self.app.bar(progress::of_session(&self.session));
            let mut stop = || bar.stop();
            let run = run_statement(&self.session, &statement, &mut to, self.format, style, &mut stop);
            let answer = self.app.shutdown.cancellable(run).await;
            bar.stop();
            let Some(answer) = answer else {
                self.app.console.plain("cancelled");
                return Ok(());
            };
            let answer = answer?;
            to.commit()?;
            if let Some(note) = answer.note {
                self.app.console.note(&note);
            }
            if self.timing {
                let rows = types::counted(answer.rows, "row");
                self.app.console.plain(&format!("{rows} in {:.3} s", started.elapsed().as_secs_f64()));
            }
        }
        Ok(())
    }

    async fn tables(&self) -> Result<(), Failure> {
        let names = sql::table_names(&self.session);
        let mut columns = Vec::new();
        for name in &names {
            let table = self.session.context().table_provider(types::quoted(name)).await;
            columns.push(table.map(|t| t.schema().fields().len().to_string()).unwrap_or_default());
        }
        let text = |values: Vec<String>| std::sync::Arc::new(StringArray::from(values)) as ArrayRef;
        self.show(RecordBatch::try_from_iter([("table", text(names)), ("columns", text(columns))]))
    }

    async fn describe(&self, name: &str) -> Result<(), Failure> {
        let name = name.trim_matches('"');
        let Ok(table) = self.session.context().table_provider(types::quoted(name)).await else {
            let all = sql::table_names(&self.session);
            let hint = did_you_mean(name, all.iter().map(String::as_str));
            return Err(Failure::new(Exit::Query, format!("there is no table '{name}'{hint}")));
        };
        let schema = table.schema();
        let names: StringArray = schema.fields().iter().map(|f| Some(f.name().as_str())).collect();
        let kinds: StringArray = schema.fields().iter().map(|f| Some(types::arrow_type(f.data_type()))).collect();
        let columns: [(&str, ArrayRef); 2] =
            [("column", std::sync::Arc::new(names)), ("type", std::sync::Arc::new(kinds))];
        self.show(RecordBatch::try_from_iter(columns))?;
        for (column, reason) in root_table(table.as_ref()).map(RootTable::unreadable).unwrap_or_default() {
            self.app.console.plain(&format!("not readable: {column}: {reason}"));
        }
        Ok(())
    }

    /// Shows all rows of a listing.
    fn show(&self, batch: Result<RecordBatch, arrow::error::ArrowError>) -> Result<(), Failure> {
        let batch = batch.map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
        let (mut to, _) = self.app.open(Format::Table)?;
        let style = self.app.style(to.target(), 0);
        let mut writer = output::writer(Format::Table, batch.schema(), &mut to, style)?;
        writer.write(&batch)?;
        writer.finish()?;
        drop(writer);
        to.commit()
    }

    async fn names(&self) -> Names {
        let mut names = Names { tables: sql::table_names(&self.session), ..Names::default() };
        for table in &names.tables {
            if let Ok(table) = self.session.context().table_provider(types::quoted(table)).await {
                names.columns.extend(table.schema().fields().iter().map(|f| f.name().clone()));
            }
        }
        let state = self.session.context().state();
        names.functions.extend(state.scalar_functions().keys().cloned());
        names.functions.extend(state.aggregate_functions().keys().cloned());
        names.functions.extend(state.window_functions().keys().cloned());
        names.functions.extend(state.higher_order_functions().keys().cloned());
        names
    }
}

/// The table as one of ours.
fn root_table(table: &dyn TableProvider) -> Option<&RootTable> {
    (table as &dyn std::any::Any).downcast_ref()
}
