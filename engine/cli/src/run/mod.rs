//! The verbs, one module each.

mod check;
mod cluster;
mod columns;
mod count;
mod cp;
mod cutflow;
mod diagnose;
mod diff;
mod explain;
mod head;
mod hist;
mod ls;
mod lumi;
mod print_schema;
mod schema;
mod skim;
pub mod sql;
mod stats;
pub mod types;
mod version;

use crate::app::App;
use crate::args::{ConfigAction, SqlArgs, Verb};
use crate::exit::{Exit, Failure};

pub use sql::run_statement;

/// How a verb ends.
pub type Outcome = Result<Exit, Failure>;

/// Runs a verb that reads no files. `None` for those that do.
pub fn offline(app: &App, verb: &Verb) -> Option<Outcome> {
    match verb {
        Verb::Completions { shell } => Some(version::completions(app, *shell)),
        Verb::Config { action: ConfigAction::Show } => Some(version::config(app)),
        Verb::Version { json } => Some(version::version(app, *json)),
        _ => None,
    }
}

/// Runs a verb that reads files.
pub async fn online(app: &App, verb: Option<Verb>) -> Outcome {
    match verb {
        None => sql::sql(app, &SqlArgs::default()).await,
        Some(Verb::Sql(args)) => sql::sql(app, &args).await,
        Some(Verb::Explain(args)) => explain::explain(app, &args).await,
        Some(Verb::Lumi(args)) => lumi::lumi(app, &args).await,
        Some(Verb::Ls(args)) => ls::ls(app, &args).await,
        Some(Verb::Schema(args)) => schema::schema(app, &args).await,
        Some(Verb::Head(args)) => head::head(app, &args).await,
        Some(Verb::Hist(args)) => hist::hist(app, &args).await,
        Some(Verb::Count(args)) => count::count(app, &args).await,
        Some(Verb::Cutflow(args)) => cutflow::cutflow(app, &args).await,
        Some(Verb::Skim(args)) => skim::skim(app, &args).await,
        Some(Verb::Diff(args)) => diff::diff(app, &args).await,
        Some(Verb::Stats(args)) => stats::stats(app, &args).await,
        Some(Verb::Check(args)) => check::check(app, &args).await,
        Some(Verb::Cp(args)) => cp::cp(app, &args).await,
        Some(Verb::Diagnose(args)) => diagnose::diagnose(app, &args).await,
        Some(Verb::Cluster { action }) => cluster::run(app, &action).await,
        Some(other) => offline(app, &other).unwrap_or(Ok(Exit::Ok)),
    }
}
