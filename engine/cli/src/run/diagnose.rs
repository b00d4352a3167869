//! `diagnose`: what reading a file takes, step by step, each with its time, and what helps where one fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray};
use eos_io::{Location, Step, Trouble};
use futures::StreamExt;
use root_reader::RootFile;

use super::Outcome;
use super::types::counted;
use crate::app::App;
use crate::args::DiagnoseArgs;
use crate::console::printable;
use crate::exit::{Exit, Failure};
use crate::output::{self, BatchWriter, Destination, Format, Target};

/// Tries the URL, and prints each step as it ends. The first that fails is the last.
pub async fn diagnose(app: &App, args: &DiagnoseArgs) -> Outcome {
    let (file, tree) = eos_io::split_object(&args.url);
    // What a cache has says nothing about the server.
    let stores = app.stores.uncached();
    let location = stores.resolve(file)?;
    // Lines for people, as long as nobody asked for anything else.
    let is_plain = matches!(app.settings.format, Format::Auto | Format::Table);
    let as_text = is_plain && matches!(app.target()?, Target::Stdout { .. });
    let (mut to, format) = app.open(Format::Table)?;
    let style = app.style(to.target(), 0);
    let mut lines = match as_text {
        true => Lines::Text(&mut to),
        false => Lines::Batches(output::writer(format, batch(&[])?.schema(), &mut to, style)?),
    };
    let mut steps = stores.diagnose(file);
    let mut exit = Exit::Ok;
    while let Some(step) = steps.next().await {
        lines.put(&step)?;
        exit = exit_of(&step);
    }
    if exit == Exit::Ok {
        for step in root_steps(&location, tree).await {
            lines.put(&step)?;
            exit = exit_of(&step);
        }
    }
    lines.finish()?;
    drop(lines);
    to.commit()?;
    Ok(exit)
}

fn exit_of(step: &Step) -> Exit {
    match &step.outcome {
        Ok(_) => Exit::Ok,
        Err(trouble) => root_engine::location_kind(trouble.kind).into(),
    }
}

/// The steps that know of ROOT: the file's own description, and a tree of it.
async fn root_steps(location: &Location, tree: Option<&str>) -> Vec<Step> {
    let (started, name) = (Instant::now(), location.display.as_str());
    let opened = RootFile::open(location.store.clone(), location.path.clone(), name).await;
    let file = match opened {
        Ok(file) => file,
        Err(root_reader::Error::NotRoot { .. }) if tree.is_none() && !name.contains(".root") => return Vec::new(),
        Err(error) => return vec![failed("ROOT file", location, started.elapsed(), &error)],
    };
    let trees = file.trees();
    let detail = format!("{}, {}", counted(file.keys().len() as u64, "object"), counted(trees.len() as u64, "tree"));
    let mut steps = vec![Step::done("ROOT file", name, started.elapsed(), detail)];
    let started = Instant::now();
    let key = match tree.map(|tree| file.find_tree(tree)) {
        Some(Err(error)) => {
            steps.push(failed("tree", location, started.elapsed(), &error));
            return steps;
        }
        Some(Ok(key)) => key,
        None => match trees.first() {
            Some(key) => key,
            None => return steps,
        },
    };
    steps.push(match file.tree_of(key).await {
        Ok(tree) => {
            let detail = format!(
                "{}: {}, {}",
                key.path,
                counted(tree.entries(), "entry"),
                counted(tree.schema().fields().len() as u64, "column")
            );
            Step::done("tree", name, started.elapsed(), detail)
        }
        Err(error) => failed("tree", location, started.elapsed(), &error),
    });
    steps
}

fn failed(name: &'static str, location: &Location, elapsed: Duration, error: &root_reader::Error) -> Step {
    let kind = match error.kind() {
        root_reader::ErrorKind::Denied => eos_io::ErrorKind::PermissionDenied,
        _ => eos_io::ErrorKind::Io,
    };
    let hint = Some("root-query check lists all that is damaged".to_string());
    Step::failed(name, &location.display, elapsed, Trouble { kind, message: error.to_string(), hint })
}

/// Where steps are written.
enum Lines<'a> {
    Text(&'a mut Destination),
    Batches(Box<dyn BatchWriter + 'a>),
}

impl Lines<'_> {
    fn put(&mut self, step: &Step) -> Result<(), Failure> {
        match self {
            Self::Text(to) => {
                to.put(text(step).as_bytes())?;
                to.pass_on()
            }
            Self::Batches(writer) => writer.write(&batch(std::slice::from_ref(step))?).map(drop),
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Self::Text(_) => Ok(()),
            Self::Batches(writer) => writer.finish().map(drop),
        }
    }
}

/// `connect      12.3 ms  ok      127.0.0.1:1094`, and below a step that failed what helps.
fn text(step: &Step) -> String {
    let (outcome, detail, hint) = match &step.outcome {
        Ok(detail) => ("ok", detail, None),
        Err(trouble) => ("FAILED", &trouble.message, trouble.hint.as_ref()),
    };
    let milliseconds = step.elapsed.as_secs_f64() * 1e3;
    let colon = if detail.is_empty() { "" } else { ": " };
    let line = format!("{:<14} {milliseconds:>10.1} ms  {outcome:<6}  {}{colon}{detail}\n", step.name, step.target);
    let hint = hint.map(|hint| format!("{:<14} {hint}\n", "  what helps:"));
    printable(&(line + &hint.unwrap_or_default()))
}

fn batch(steps: &[Step]) -> Result<RecordBatch, Failure> {
    let text = |of: fn(&Step) -> Option<&str>| Arc::new(steps.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let milliseconds: Float64Array =
        steps.iter().map(|step| Some((step.elapsed.as_secs_f64() * 1e6).round() / 1e3)).collect();
    let ok: BooleanArray = steps.iter().map(|step| Some(step.outcome.is_ok())).collect();
    let columns = [
        ("step", text(|step| Some(step.name)), false),
        ("target", text(|step| Some(&step.target)), false),
        ("milliseconds", Arc::new(milliseconds) as ArrayRef, false),
        ("ok", Arc::new(ok) as ArrayRef, false),
        ("detail", text(|step| step.outcome.as_ref().ok().map(String::as_str)), true),
        ("error", text(|step| step.outcome.as_ref().err().map(|trouble| trouble.message.as_str())), true),
        ("hint", text(|step| step.outcome.as_ref().err().and_then(|trouble| trouble.hint.as_deref())), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|e| Failure::new(Exit::Query, e.to_string()))
}
