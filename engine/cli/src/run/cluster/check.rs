//! `cluster check`: whether clusters can be made, and what is wrong with one that is there.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use root_kubernetes::{ClusterName, ClusterSpec, Deed, Kubernetes, NamespaceState, Phase, Shortage};

use super::show::{is_ready, running};
use super::{Place, describe};
use crate::app::App;
use crate::args::{CheckArgs, DescriptionArgs};
use crate::cluster;
use crate::exit::{Exit, Failure};
use crate::run::Outcome;
use crate::run::types::counted;

/// How something was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Unknown,
    Warning,
    Denied,
    Failed,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Denied => "not allowed",
            Self::Failed => "failed",
        }
    }
}

/// What was looked at, how it was found to be, and what there is to say.
type Finding = (&'static str, Verdict, String);

/// Checks, and lists what was found.
pub async fn check(app: &App, args: &CheckArgs) -> Outcome {
    let Place { kubernetes, namespace } = Place::find(app, &args.place).await?;
    // Without an answer there is nothing to list.
    let mut findings: Vec<Finding> = vec![("kubernetes", Verdict::Ok, kubernetes.version().await?)];
    findings.push(of_namespace(&kubernetes, &namespace).await?);
    for deed in Deed::ALL {
        findings.push(of_deed(deed, &kubernetes.missing_rights(deed, &namespace).await?));
    }
    match &args.name {
        Some(name) => match kubernetes.cluster(name, &namespace).await {
            Ok(spec) => of_cluster(app, &kubernetes, &spec, &mut findings).await?,
            Err(error) if error.is_denied() => findings.push(("cluster", Verdict::Denied, error.to_string())),
            Err(error) => return Err(error.into()),
        },
        None => {
            let image = Some("any".to_string());
            let usual = DescriptionArgs { image, ..DescriptionArgs::default() };
            let name: ClusterName = "usual".parse().map_err(|error| Failure::usage(format!("{error}")))?;
            of_quota(&kubernetes, &describe::new(&usual, &name, &namespace)?, None, &mut findings).await?;
        }
    }
    app.emit(&batch(&findings)?)?;
    let any = |wanted| findings.iter().any(|(_, result, _)| *result == wanted);
    Ok(match (any(Verdict::Failed), any(Verdict::Denied)) {
        (_, true) => Exit::Authentication,
        (true, false) => Exit::Query,
        (false, false) => Exit::Ok,
    })
}

async fn of_namespace(kubernetes: &Kubernetes, name: &str) -> Result<Finding, Failure> {
    let (result, told) = match kubernetes.namespace_state(name).await? {
        NamespaceState::There => (Verdict::Ok, format!("{name} is there")),
        NamespaceState::Missing { may_be_made: true } => {
            (Verdict::Ok, format!("there is no {name}; it is made with the first cluster"))
        }
        NamespaceState::Missing { may_be_made: false } => {
            (Verdict::Denied, format!("there is no {name}, and you may not make one; name another with -n"))
        }
        NamespaceState::Unknown => (Verdict::Unknown, format!("you may not see whether {name} is there")),
    };
    Ok(("namespace", result, told))
}

fn of_deed(deed: Deed, missing: &[String]) -> Finding {
    let what = match deed {
        Deed::Make => "make clusters",
        Deed::Look => "look at clusters",
        Deed::Logs => "read logs",
        Deed::Connect => "connect",
        Deed::Submit => "submit jobs",
        Deed::Delete => "delete clusters",
        _ => "more",
    };
    if missing.is_empty() {
        return (what, Verdict::Ok, "allowed".to_string());
    }
    (what, Verdict::Denied, format!("you may not: {}", missing.join(", ")))
}

async fn of_quota(
    kubernetes: &Kubernetes,
    spec: &ClusterSpec,
    running: Option<u64>,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let shortages = match kubernetes.shortages(spec, running).await {
        Ok(shortages) => shortages,
        Err(error) if error.is_denied() => {
            findings.push(("quota", Verdict::Unknown, "you may not see quotas".to_string()));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if shortages.is_empty() {
        let most = counted(spec.executors.most(), "executor");
        findings.push(("quota", Verdict::Ok, format!("there is room for a scheduler and {most} of this size")));
    }
    for Shortage { quota, resource, hard, used, executors, .. } in shortages {
        let (result, room) = match executors {
            Some(0) => (Verdict::Failed, "for the scheduler, and for no executor".to_string()),
            Some(executors) => (
                Verdict::Warning,
                format!("for the scheduler and {}, not {}", counted(executors, "executor"), spec.executors.most()),
            ),
            None => (Verdict::Failed, "not even for the scheduler".to_string()),
        };
        findings.push((
            "quota",
            result,
            format!("of {resource} {used} of {hard} are used ({quota}): there is room {room}"),
        ));
    }
    Ok(())
}

async fn of_cluster(
    app: &App,
    kubernetes: &Kubernetes,
    spec: &ClusterSpec,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let pods = kubernetes.pods(&spec.name, &spec.namespace).await?;
    let executors = running(&pods);
    let has_scheduler = pods.iter().any(|pod| pod.is_scheduler() && matches!(pod.phase, Phase::Running { .. }));
    of_quota(kubernetes, spec, has_scheduler.then_some(executors), findings).await?;
    findings.push(match is_ready(&pods) {
        true => ("scheduler", Verdict::Ok, "it is ready".to_string()),
        false => ("scheduler", Verdict::Failed, "it is not ready".to_string()),
    });
    let told = format!("{} of {} run", counted(executors, "executor"), spec.executors.count);
    findings.push(("executors", Verdict::Ok, told));
    // What became of jobs is no matter of the cluster.
    for pod in pods.iter().filter(|pod| !pod.is_of_job()) {
        let is_well = matches!(pod.phase, Phase::Running { ready: true } | Phase::Done | Phase::Stopping);
        // Who may not see events still sees the pods.
        let warning = kubernetes.warning(&pod.name, &spec.namespace).await.ok().flatten().filter(|_| !is_well);
        if !is_well {
            let more = warning.map(|warning| format!("; {warning}")).unwrap_or_default();
            findings.push(("pod", Verdict::Warning, format!("{} is {}{more}", pod.name, pod.phase)));
        }
    }
    if has_scheduler {
        findings.push(of_connection(app, kubernetes, spec).await);
    }
    Ok(())
}

async fn of_connection(app: &App, kubernetes: &Kubernetes, spec: &ClusterSpec) -> Finding {
    if spec.tokens && app.settings.cluster_token_file.is_none() {
        let told = "the scheduler asks for a token, and --cluster-token-file names none".to_string();
        return ("connection", Verdict::Unknown, told);
    }
    let status = async {
        let (cluster, _way) = cluster::forward(&app.settings, &app.console, kubernetes, spec).await?;
        Ok::<_, Failure>(cluster.status().await?)
    };
    match status.await {
        Ok(status) => {
            let executors = counted(status.executors as u64, "executor");
            let cores = counted(status.cores as u64, "core");
            let told = format!("root-scheduler {} answers, with {executors} of {cores} together", status.version);
            match status.reason {
                Some(reason) => ("connection", Verdict::Warning, format!("{told}; it has not more, as {reason}")),
                None => ("connection", Verdict::Ok, told),
            }
        }
        Err(Failure::Error { exit: Exit::Authentication, message }) => ("connection", Verdict::Denied, message),
        Err(failure) => ("connection", Verdict::Failed, failure.to_string()),
    }
}

fn batch(findings: &[Finding]) -> Result<RecordBatch, Failure> {
    let text =
        |of: fn(&Finding) -> &str| Arc::new(findings.iter().map(|f| Some(of(f))).collect::<StringArray>()) as ArrayRef;
    let columns = [
        ("check", text(|(what, ..)| what)),
        ("result", text(|(_, result, _)| result.name())),
        ("detail", text(|(.., told)| told)),
    ];
    RecordBatch::try_from_iter(columns).map_err(|error| Failure::new(Exit::Query, error.to_string()))
}
