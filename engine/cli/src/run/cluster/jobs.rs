//! `cluster jobs`, `status`, `wait` and `cancel`: what becomes of jobs that were submitted.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, UInt32Array};
use root_kubernetes::{ClusterName, Error, JobName, JobState, JobView, Kubernetes};

use super::{Place, age, between, now, words};
use crate::app::App;
use crate::args::{CancelArgs, JobArgs, NamedArgs, WaitJobArgs};
use crate::exit::{Exit, Failure};
use crate::run::Outcome;

/// Lists the jobs of a cluster.
pub async fn list(app: &App, args: &NamedArgs) -> Outcome {
    let Place { kubernetes, namespace } = Place::find(app, &args.place).await?;
    // A cluster that is not there has no jobs, and is told.
    kubernetes.cluster(&args.name, &namespace).await?;
    app.emit(&batch(&kubernetes.jobs(&args.name, &namespace).await?)?)?;
    Ok(Exit::Ok)
}

/// Shows a job.
pub async fn status(app: &App, args: &JobArgs) -> Outcome {
    let Place { kubernetes, namespace } = Place::find(app, &args.place).await?;
    app.emit(&batch(&[kubernetes.job(&args.name, &namespace, &args.job).await?])?)?;
    Ok(Exit::Ok)
}

/// Waits for a job.
pub async fn wait(app: &App, args: &WaitJobArgs) -> Outcome {
    let JobArgs { name, job, place } = &args.job;
    let Place { kubernetes, namespace } = Place::find(app, place).await?;
    until_over(app, &kubernetes, name, &namespace, job, args.timeout.map(Duration::from_secs)).await
}

/// Waits until a job is over, tells what changes until then, and ends as the job did.
pub async fn until_over(
    app: &App,
    kubernetes: &Kubernetes,
    name: &ClusterName,
    namespace: &str,
    job: &JobName,
    time: Option<Duration>,
) -> Outcome {
    let tell = |view: &Result<JobView, Error>| match view {
        Ok(view) => app.console.plain(&format!("{job}: {}", view.state)),
        Err(error) => app.console.warning(&error.to_string()),
    };
    let waiting = kubernetes.wait_for_job(name, namespace, job, time, tell);
    let words = words(app, name, namespace);
    let Some(ended) = app.shutdown.cancellable(waiting).await else {
        let more = format!("`root-query cluster wait {words} {job}` waits for it again");
        app.console.note(&format!("the job {job} is not waited for any more, and goes on; {more}"));
        return Ok(Exit::Interrupted);
    };
    let view = ended?;
    let exit = match view.state {
        JobState::Done => return Ok(Exit::Ok),
        // One that Kubernetes ended has no code of ours.
        _ => view.exit_status.and_then(Exit::of_code).filter(|exit| *exit != Exit::Ok).unwrap_or(Exit::Query),
    };
    if exit == Exit::Partial {
        app.console.warning(&format!("the job {job} is done, but files were skipped"));
        return Ok(exit);
    }
    let log = format!("`root-query cluster logs {words} --job {job}` shows its log");
    Err(Failure::new(exit, format!("the job {job} is {}; {log}", view.state)))
}

/// Ends a job.
pub async fn cancel(app: &App, args: &CancelArgs) -> Outcome {
    let JobArgs { name, job, place } = &args.job;
    let Place { kubernetes, namespace } = Place::find(app, place).await?;
    let cancelling = kubernetes.cancel(name, &namespace, job, Duration::from_secs(args.timeout));
    let Some(cancelled) = app.shutdown.cancellable(cancelling).await else {
        app.console.note(&format!("the job {job} may be there still"));
        return Ok(Exit::Interrupted);
    };
    let told = match cancelled?.state {
        state @ (JobState::Done | JobState::Failed(_)) => format!("removed; it was {state}"),
        _ => "cancelled".to_string(),
    };
    app.console.note(&format!("the job {job} of the cluster {name} is {told}"));
    Ok(Exit::Ok)
}

/// A job's state, and why it is so.
fn state_and_reason(view: &JobView) -> (String, Option<String>) {
    let state = view.state.to_string();
    match state.split_once(": ") {
        Some((state, reason)) => (state.to_string(), Some(reason.to_string())),
        None => (state, None),
    }
}

fn duration(view: &JobView) -> Option<String> {
    between(view.started?, view.ended.or_else(now)?)
}

fn batch(jobs: &[JobView]) -> Result<RecordBatch, Failure> {
    let text = |of: fn(&JobView) -> Option<String>| Arc::new(jobs.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let exits: Int32Array = jobs.iter().map(|job| job.exit_status).collect();
    let failures: UInt32Array = jobs.iter().map(|job| Some(job.failures)).collect();
    let columns = [
        ("job", text(|job| Some(job.name.clone())), false),
        ("state", text(|job| Some(state_and_reason(job).0)), false),
        ("exit", Arc::new(exits) as ArrayRef, true),
        ("age", text(|job| age(job.created)), true),
        ("duration", text(duration), true),
        ("failures", Arc::new(failures), false),
        ("command", text(|job| Some(job.line.clone())), false),
        ("pod", text(|job| job.pod.clone()), true),
        ("reason", text(|job| state_and_reason(job).1), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| Failure::new(Exit::Query, error.to_string()))
}
