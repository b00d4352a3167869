//! `root-query`: SQL and ready-made verbs over ROOT files, from the command line.
//!
//! `args` reads the command line and `config` settles the settings; `run` has a module per verb, and `repl` the prompt.
//! What they find goes through `output`, what the user is told through `console`, `progress` and `attention`. `report`
//! keeps the record of the run, `shutdown` ends it tidily at Ctrl-C, and `exit` says with which code. `remote` are the
//! settings of servers, and `machine` is what is asked of the machine before anything else.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod app;
mod args;
mod attention;
mod cluster;
mod config;
mod console;
mod exit;
mod inputs;
mod machine;
mod output;
mod progress;
mod remote;
mod repl;
mod report;
mod run;
mod shutdown;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, ColorChoice, CommandFactory, FromArgMatches};
use eos_io::Stores;

use crate::app::App;
use crate::args::{Cli, ColorWhen, Verb};
use crate::attention::Attention;
use crate::config::Settings;
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::progress::Slot;
use crate::report::Record;
use crate::shutdown::Shutdown;

// Decoding makes and drops many large buffers on many threads, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the end waits for tasks that do not notice that they are not wanted any more.
const LINGER: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    if let Err(lacking) = machine::prepare() {
        Console::new(false, ColorWhen::Auto).error(lacking);
        return Exit::Query.into();
    }
    let (cli, matches) = match parse() {
        Ok(parsed) => parsed,
        Err(exit) => return exit.into(),
    };
    let settings = match Settings::new(&cli.global, &matches) {
        Ok(settings) => settings,
        Err(failure) => {
            Console::new(false, cli.global.color.unwrap_or(ColorWhen::Auto)).error(&failure.to_string());
            return Exit::Usage.into();
        }
    };
    let command = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let console = Console::new(settings.quiet, settings.color);
    let (attention, slot) = (Attention::default(), Slot::default());
    let listener = attention.listener(console.clone(), slot.clone());
    let mut stores = Stores::builder().settings(settings.stores.clone()).listener(listener);
    if let Some(cache) = settings.cache() {
        stores = stores.cache(cache);
    }
    let stores = stores.build();
    let app = App {
        stores: stores.clone(),
        console,
        shutdown: Shutdown::default(),
        record: Record::new(settings.report.clone(), command, stores, slot, attention.clone()),
        attention,
        listed: OnceLock::new(),
        cluster: OnceLock::new(),
        settings,
    };
    run(&app, cli.verb).into()
}

/// Reads the command line. What clap has to say to it, help included, is said here.
fn parse() -> Result<(Cli, ArgMatches), Exit> {
    let command = Cli::command().color(ColorChoice::Auto);
    let parsed = command.try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let error = match parsed {
        Ok((cli, matches)) => {
            // At a terminal the prompt answers; elsewhere nobody can be asked.
            if cli.verb.is_some() || std::io::stdin().is_terminal() {
                return Ok((cli, matches));
            }
            Cli::command().error(ErrorKind::MissingSubcommand, "a verb is expected, such as sql, ls or schema")
        }
        Err(error) => error,
    };
    // A closed standard output is no reason to fail.
    let _ = error.print();
    Err(if error.use_stderr() { Exit::Usage } else { Exit::Ok })
}

/// Runs the verb, and sees to it that the end is told and recorded.
fn run(app: &App, verb: Option<Verb>) -> Exit {
    let outcome = match verb.as_ref().and_then(|verb| run::offline(app, verb)) {
        Some(outcome) => outcome,
        None => online(app, verb),
    };
    let (exit, message) = match outcome {
        Ok(exit) => (exit, None),
        Err(Failure::BrokenPipe) => (Exit::Ok, None),
        Err(Failure::Error { exit, message }) => {
            app.tell_warnings();
            app.console.error(&message);
            (exit, Some(message))
        }
    };
    app.tell_trouble();
    app.shutdown.remove_unfinished();
    match app.record.write(exit, message.as_deref(), &app.shutdown) {
        Err(Failure::Error { exit: report_exit, message }) => {
            app.console.error(&format!("the report: {message}"));
            if exit == Exit::Ok { report_exit } else { exit }
        }
        _ => exit,
    }
}

/// Runs a verb that reads files, on as many threads as were asked for.
fn online(app: &App, verb: Option<Verb>) -> run::Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(app.settings.threads.get())
        .thread_name("root-query")
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Query, format!("cannot start threads: {e}")))?;
    let (record, shutdown) = (app.record.clone(), app.shutdown.clone());
    app.shutdown.set_last_words(move |exit| {
        record.slot().clear();
        // Nobody is left to be told that the report could not be written.
        let _ = record.write(exit, Some("interrupted"), &shutdown);
    });
    app.shutdown.listen();
    let outcome = runtime.block_on(async {
        // Verbs about clusters need none to work on.
        if !matches!(verb, Some(Verb::Cluster { .. })) {
            app.connect().await?;
        }
        run::online(app, verb).await
    });
    // What still runs was asked for by nobody any more, but should remove its temporary files.
    runtime.shutdown_timeout(LINGER);
    outcome
}
