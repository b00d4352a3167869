//! `cluster get` and `cluster list`.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use futures::{StreamExt, TryStreamExt, stream};
use root_kubernetes::{ClusterName, ClusterSpec, Found, Kubernetes, Phase, PodView};
use serde_json::json;

use super::make::connecting;
use super::{Place, age, phase_and_reason};
use crate::app::App;
use crate::args::{ListArgs, NamedArgs};
use crate::exit::{Exit, Failure};
use crate::output::Format;
use crate::run::Outcome;
use crate::run::types::counted;

/// Clusters that are looked at at the same time.
const AT_ONCE: usize = 8;

/// A pod, and why it is no further.
struct Seen {
    pod: PodView,
    phase: String,
    reason: Option<String>,
}

/// Shows a cluster.
pub async fn get(app: &App, args: &NamedArgs) -> Outcome {
    let Place { kubernetes, namespace } = Place::find(app, &args.place).await?;
    let spec = kubernetes.cluster(&args.name, &namespace).await?;
    let pods = kubernetes.pods(&args.name, &namespace).await?;
    let is_ready = is_ready(&pods);
    let pods: Vec<Seen> =
        stream::iter(pods).map(|pod| see(&kubernetes, &namespace, pod)).buffered(AT_ONCE).collect().await;
    match app.settings.format.settle(&app.target()?)? {
        Format::Json => app.emit_text(&format!("{:#}\n", document(app, &spec, is_ready, &pods)))?,
        Format::Ndjson => app.emit_text(&format!("{}\n", document(app, &spec, is_ready, &pods)))?,
        _ => app.emit_below(&described(app, &spec, is_ready), &of_pods(&pods)?)?,
    }
    Ok(Exit::Ok)
}

/// A pod with the reason that only events have of one that does not start.
async fn see(kubernetes: &Kubernetes, namespace: &str, pod: PodView) -> Seen {
    let (phase, mut reason) = phase_and_reason(&pod);
    if matches!(pod.phase, Phase::Waiting(None) | Phase::Running { ready: false }) {
        // Who may not see events still sees the pods.
        reason = kubernetes.warning(&pod.name, namespace).await.ok().flatten();
    }
    Seen { pod, phase, reason }
}

/// Whether the scheduler can be used.
pub fn is_ready(pods: &[PodView]) -> bool {
    pods.iter().any(|pod| pod.is_scheduler() && pod.phase == Phase::Running { ready: true })
}

/// Executors that run.
pub fn running(pods: &[PodView]) -> u64 {
    let runs = |pod: &&PodView| pod.is_executor() && matches!(pod.phase, Phase::Running { .. });
    pods.iter().filter(runs).count() as u64
}

fn described(app: &App, spec: &ClusterSpec, is_ready: bool) -> String {
    let resources = &spec.executors.resources;
    let mut text = String::new();
    let more = spec.executors.most_memory.as_ref().map(|most| format!(", up to {}", most.0)).unwrap_or_default();
    let lines = [
        ("cluster", format!("{}, {}", spec.name, if is_ready { "ready" } else { "not ready" })),
        ("namespace", spec.namespace.clone()),
        ("image", spec.image.clone()),
        (
            "executors",
            format!(
                "{}, each with {} and {}{more} of memory",
                spec.executors.count,
                counted(resources.cores as u64, "core"),
                resources.memory.0
            ),
        ),
        (
            "tokens",
            if spec.tokens { "users have to show one" } else { "none: whoever reaches the scheduler may use it" }
                .into(),
        ),
        ("encrypted", if spec.tls { "yes" } else { "no" }.into()),
        ("connect", connecting(app, spec)),
        ("from pods", spec.url()),
    ];
    for (name, value) in lines {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{name:<10} {value}");
    }
    text + "\n"
}

fn document(app: &App, spec: &ClusterSpec, is_ready: bool, pods: &[Seen]) -> serde_json::Value {
    let pods = pods.iter().map(|Seen { pod, phase, reason }| {
        json!({"name": pod.name, "component": pod.component, "phase": phase, "reason": reason, "node": pod.node,
            "image": pod.image, "restarts": pod.restarts, "created": pod.created})
    });
    json!({"name": spec.name, "namespace": spec.namespace, "ready": is_ready, "connect": connecting(app, spec),
        "url": spec.url(), "pods": pods.collect::<Vec<_>>(), "spec": spec})
}

fn of_pods(pods: &[Seen]) -> Result<RecordBatch, Failure> {
    let text = |of: fn(&Seen) -> Option<String>| Arc::new(pods.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let restarts: UInt32Array = pods.iter().map(|seen| Some(seen.pod.restarts)).collect();
    let columns = [
        ("pod", text(|seen| Some(seen.pod.name.clone())), false),
        ("phase", text(|seen| Some(seen.phase.clone())), false),
        ("node", text(|seen| seen.pod.node.clone()), true),
        ("restarts", Arc::new(restarts), false),
        ("age", text(|seen| age(seen.pod.created)), true),
        ("image", text(|seen| seen.pod.image.clone()), true),
        ("reason", text(|seen| seen.reason.clone()), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| Failure::new(Exit::Query, error.to_string()))
}

/// Lists clusters.
pub async fn list(app: &App, args: &ListArgs) -> Outcome {
    let Place { kubernetes, namespace } = Place::find(app, &args.place).await?;
    let namespace = (!args.all_namespaces).then_some(namespace.as_str());
    let found = kubernetes.clusters(namespace).await.map_err(|error| {
        let is_denied = error.is_denied();
        let failure = Failure::from(error);
        if is_denied && args.all_namespaces { failure.and("name one namespace with -n") } else { failure }
    })?;
    let rows = found.into_iter().map(|found| look(&kubernetes, found));
    let rows: Vec<Row> = stream::iter(rows).buffered(AT_ONCE).try_collect().await?;
    for error in rows.iter().filter_map(|row| row.found.spec.as_ref().err()) {
        app.console.warning(&error.to_string());
    }
    app.emit(&of_clusters(&rows)?)?;
    Ok(Exit::Ok)
}

/// A cluster in a list.
struct Row {
    found: Found,
    is_ready: bool,
    running: u64,
}

async fn look(kubernetes: &Kubernetes, found: Found) -> Result<Row, Failure> {
    // What is called so cannot have pods of ours.
    let pods = match found.name.parse::<ClusterName>() {
        Ok(name) => kubernetes.pods(&name, &found.namespace).await?,
        Err(_) => Vec::new(),
    };
    Ok(Row { is_ready: is_ready(&pods), running: running(&pods), found })
}

fn of_clusters(rows: &[Row]) -> Result<RecordBatch, Failure> {
    let text = |of: fn(&Row) -> Option<String>| Arc::new(rows.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let running: UInt64Array = rows.iter().map(|row| Some(row.running)).collect();
    let ready: BooleanArray = rows.iter().map(|row| Some(row.is_ready)).collect();
    let columns = [
        ("name", text(|row| Some(row.found.name.clone())), false),
        ("namespace", text(|row| Some(row.found.namespace.clone())), false),
        ("ready", Arc::new(ready) as ArrayRef, false),
        ("executors", text(|row| Some(row.found.spec.as_ref().ok()?.executors.count.clone())), true),
        ("running", Arc::new(running), false),
        ("age", text(|row| age(row.found.created)), true),
        ("image", text(|row| Some(row.found.spec.as_ref().ok()?.image.clone())), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| Failure::new(Exit::Query, error.to_string()))
}
