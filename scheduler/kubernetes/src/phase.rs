//! What becomes of a pod, in the words of whoever waits for it.

use std::fmt;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};

/// How far a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It is to run, and cannot yet, for a reason that may be known.
    Waiting(Option<String>),
    /// It runs; whether it can be used.
    Running {
        /// Whether it says that it is ready.
        ready: bool,
    },
    /// It was told to end.
    Stopping,
    /// It has ended in peace.
    Done,
    /// It needed more memory than it may have.
    OutOfMemory,
    /// It has ended otherwise: how.
    Failed(String),
    /// It cannot be said: why not.
    Unknown(String),
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(None) => f.write_str("starting"),
            Self::Waiting(Some(why)) => write!(f, "waiting: {why}"),
            Self::Running { ready: true } => f.write_str("running"),
            Self::Running { ready: false } => f.write_str("running, not ready"),
            Self::Stopping => f.write_str("stopping"),
            Self::Done => f.write_str("ended"),
            Self::OutOfMemory => f.write_str("ended: out of memory"),
            Self::Failed(how) => write!(f, "failed: {how}"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

/// A text of somebody else, without what terminals take for commands.
pub(crate) fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

impl Phase {
    fn printable(self) -> Self {
        match self {
            Self::Waiting(Some(why)) => Self::Waiting(Some(printable(&why))),
            Self::Failed(how) => Self::Failed(printable(&how)),
            Self::Unknown(why) => Self::Unknown(printable(&why)),
            phase => phase,
        }
    }
}

/// How far a pod is.
pub fn phase(pod: &Pod) -> Phase {
    match &pod.status {
        _ if pod.metadata.deletion_timestamp.is_some() => Phase::Stopping,
        Some(status) => of_status(status).printable(),
        None => Phase::Waiting(None),
    }
}

/// How a pod has ended, whether or not it was told to; nothing as long as it has not.
pub(crate) fn end(pod: &Pod) -> Option<Phase> {
    let status = pod.status.as_ref()?;
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")).then(|| of_status(status).printable())
}

/// The exit status of the program of a pod, once it has one.
pub(crate) fn exit_status(pod: &Pod) -> Option<i32> {
    let containers = pod.status.as_ref()?.container_statuses.as_deref()?;
    containers.iter().find_map(|container| Some(container.state.as_ref()?.terminated.as_ref()?.exit_code))
}

fn of_status(status: &PodStatus) -> Phase {
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    match status.phase.as_deref() {
        Some("Succeeded") => Phase::Done,
        Some("Failed") => failed(status, containers),
        Some("Running") => match why_restarting(containers) {
            Some(why) => Phase::Waiting(Some(why)),
            None => Phase::Running { ready: containers.iter().all(|container| container.ready) },
        },
        Some("Unknown") => Phase::Unknown("its node does not answer".to_string()),
        None | Some("" | "Pending") => Phase::Waiting(why_pending(status, containers)),
        Some(other) => Phase::Unknown(format!("it says to be {other}")),
    }
}

fn failed(status: &PodStatus, containers: &[ContainerStatus]) -> Phase {
    let ended = containers.iter().find_map(|container| container.state.as_ref()?.terminated.as_ref());
    if ended.is_some_and(|ended| ended.reason.as_deref() == Some("OOMKilled")) {
        return Phase::OutOfMemory;
    }
    let reason = status.reason.as_deref().into_iter().chain(status.message.as_deref());
    let code = ended.map(|ended| format!("exit status {}", ended.exit_code));
    let all: Vec<String> = reason.map(str::to_string).chain(code).collect();
    Phase::Failed(if all.is_empty() { "for no reason that is known".to_string() } else { all.join(", ") })
}

fn why_pending(status: &PodStatus, containers: &[ContainerStatus]) -> Option<String> {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let unscheduled =
        conditions.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    match unscheduled {
        Some(condition) => Some(in_plain_words(condition.message.as_deref().or(condition.reason.as_deref())?)),
        None => why_restarting(containers),
    }
}

/// Why a container is not started, or not again.
fn why_restarting(containers: &[ContainerStatus]) -> Option<String> {
    containers.iter().find_map(|container| {
        let Some(ContainerState { waiting: Some(waiting), .. }) = &container.state else { return None };
        let (reason, message) = (waiting.reason.as_deref()?, waiting.message.as_deref().unwrap_or_default());
        let image = &container.image;
        Some(match reason {
            "ContainerCreating" | "PodInitializing" => return None,
            "ErrImagePull" | "ImagePullBackOff" => format!("the image {image} cannot be pulled: {message}"),
            "ErrImageNeverPull" => format!("the image {image} is not on the node, and is never pulled"),
            "InvalidImageName" => format!("'{image}' is no name of an image"),
            "CrashLoopBackOff" => match last_end(container) {
                Some(end) => format!("its program ends again and again, {end}"),
                None => "its program ends again and again".to_string(),
            },
            _ => format!("{reason}: {message}"),
        })
    })
}

/// How the program ended last.
fn last_end(container: &ContainerStatus) -> Option<String> {
    let ended = container.last_state.as_ref()?.terminated.as_ref()?;
    Some(match ended.reason.as_deref() {
        Some("OOMKilled") => "for want of memory".to_string(),
        _ => format!("with exit status {}", ended.exit_code),
    })
}

/// What Kubernetes says, with what helps: of pods that no node takes, and of what it refuses to make.
pub fn in_plain_words(message: &str) -> String {
    let help = [
        ("Insufficient cpu", "no node has as many cores free; ask for fewer, or wait for others"),
        ("Insufficient memory", "no node has as much memory free; ask for less, or wait for others"),
        ("Insufficient ephemeral-storage", "no node has as much room on its disk"),
        ("had taint", TAINTED),
        ("had untolerated taint", TAINTED),
        ("didn't match Pod's node affinity", UNLABELLED),
        ("didn't match node selector", UNLABELLED),
        ("unbound immediate PersistentVolumeClaims", "a volume that it mounts is not there"),
        ("no nodes available", "there are no nodes"),
        ("exceeded quota", "the namespace may not use as much (its quota); ask for less, or wait for others in it"),
        ("must specify", "the namespace has a quota of something that is not said"),
        ("violates PodSecurity", "the namespace does not let such pods run"),
        ("is being terminated", "the namespace is being deleted"),
    ];
    let mut told: Vec<&str> = help.iter().filter(|(part, _)| message.contains(part)).map(|(_, help)| *help).collect();
    told.dedup();
    let message = printable(message);
    if told.is_empty() { message } else { format!("{} ({message})", told.join("; ")) }
}

const TAINTED: &str = "nodes are kept for others (taints); give it a toleration";
const UNLABELLED: &str = "no node has the labels of its node selector";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: &str) -> String {
        let text = format!(r#"{{"metadata": {{"name": "e-abcde"}}, "status": {status}}}"#);
        phase(&serde_json::from_str(&text).unwrap()).to_string()
    }

    fn container(state: &str) -> String {
        format!(
            r#"{{"containerStatuses": [{{"name": "e", "image": "i:1", "imageID": "", "ready": false, "restartCount": 0,
                {state}}}], "phase": "#
        )
    }

    #[test]
    fn what_kubernetes_says_of_a_pod_is_said_in_plain_words() {
        let waiting = |reason: &str, message: &str| {
            let state = format!(r#""state": {{"waiting": {{"reason": "{reason}", "message": "{message}"}}}}"#);
            of(&(container(&state) + r#""Pending"}"#))
        };
        let ended = |reason: &str, code: i32| {
            let state = format!(r#""state": {{"terminated": {{"reason": "{reason}", "exitCode": {code}}}}}"#);
            of(&(container(&state) + r#""Failed"}"#))
        };
        let unscheduled = of(r#"{"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient cpu."}]}"#);
        assert!(unscheduled.starts_with("waiting: no node has as many cores free"), "{unscheduled}");
        assert!(unscheduled.ends_with("(0/3 nodes are available: 3 Insufficient cpu.)"), "{unscheduled}");
        assert_eq!(waiting("ContainerCreating", ""), "starting");
        assert_eq!(waiting("ImagePullBackOff", "denied"), "waiting: the image i:1 cannot be pulled: denied");
        assert_eq!(
            waiting("CreateContainerConfigError", "no secret"),
            "waiting: CreateContainerConfigError: no secret"
        );
        assert_eq!(ended("OOMKilled", 137), "ended: out of memory");
        assert_eq!(ended("Error", 2), "failed: exit status 2");
        assert_eq!(of(r#"{"phase": "Unknown"}"#), "unknown: its node does not answer");
        assert_eq!(of(r#"{"phase": "Dancing"}"#), "unknown: it says to be Dancing");
        let colours = of(r#"{"phase": "Failed", "reason": "\u001b[31mred"}"#);
        assert_eq!(colours, "failed: \\u{1b}[31mred", "no commands for terminals");
        assert_eq!(of("{}"), "starting");
        assert_eq!(of(r#"{"phase": "Running"}"#), "running");
        assert_eq!(of(r#"{"phase": "Succeeded"}"#), "ended");
        assert_eq!(of(r#"{"phase": "Failed"}"#), "failed: for no reason that is known");
        let evicted = of(r#"{"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."}"#);
        assert_eq!(evicted, "failed: Evicted, The node was low on memory.");
    }

    #[test]
    fn a_program_that_ends_again_and_again_is_not_called_running() {
        let state = r#""state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}"#;
        assert_eq!(
            of(&(container(state) + r#""Running"}"#)),
            "waiting: its program ends again and again, for want of memory"
        );
    }
}
