//! What a node says of a pod that it does not run.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

/// The annotation by which a pod asks for its fate.
pub const ANNOTATION: &str = "testbed/fate";
/// What images begin with that cannot be had.
pub const MISSING: &str = "missing.example/";
/// What images begin with whose programs are never ready.
pub const UNREADY: &str = "unready.example/";
/// What images begin with whose programs run out of memory.
pub const GREEDY: &str = "greedy.example/";
/// What images begin with of pods whose volumes cannot be had.
pub const UNMOUNTABLE: &str = "unmountable.example/";
/// What images begin with whose programs do what they are to do.
pub const DONE: &str = "done.example/";
/// What images begin with whose programs fail, with exit status 3.
pub const FAILING: &str = "failing.example/";
/// How long a program runs that is to end.
const RUNS: Duration = Duration::from_millis(500);

/// What becomes of a pod on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It runs until it is deleted.
    Runs,
    /// It runs, and is never ready.
    Unready,
    /// Its image cannot be had, for this reason.
    NoImage(String),
    /// It does not start, as something that it mounts cannot be had, for this reason.
    NoVolume(String),
    /// Its program ends with an exit status, for a reason such as `OOMKilled`, `Error` or `Completed`. Where the pod restarts
    /// programs, it does so again and again.
    Ends(i32, String),
    /// The node has it end for want of something: a message.
    Evicted(String),
    /// Once it is told to end, it goes on for so many seconds, if it may.
    Lingers(i64),
}

impl Fate {
    /// As it stands in the annotation.
    pub fn as_text(&self) -> String {
        match self {
            Self::Runs => "runs".to_string(),
            Self::Unready => "unready".to_string(),
            Self::NoImage(message) => format!("no-image {message}"),
            Self::NoVolume(message) => format!("no-volume {message}"),
            Self::Ends(status, reason) => format!("ends {status} {reason}"),
            Self::Evicted(message) => format!("evicted {message}"),
            Self::Lingers(seconds) => format!("lingers {seconds}"),
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        let (fate, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some(match fate {
            "runs" => Self::Runs,
            "unready" => Self::Unready,
            "no-image" => Self::NoImage(rest.to_string()),
            "no-volume" => Self::NoVolume(rest.to_string()),
            "ends" => {
                let (status, reason) = rest.split_once(' ')?;
                Self::Ends(status.parse().ok()?, reason.to_string())
            }
            "evicted" => Self::Evicted(rest.to_string()),
            "lingers" => Self::Lingers(rest.parse().ok()?),
            _ => return None,
        })
    }

    /// That of a pod: the one that it asks for, or that of its image.
    pub(crate) fn of(pod: &Pod) -> Self {
        if let Some(text) = pod.annotations().get(ANNOTATION) {
            return Self::of_text(text).unwrap_or_else(|| panic!("'{text}' is no fate of a pod"));
        }
        let images = pod.spec.iter().flat_map(|spec| &spec.containers).filter_map(|one| one.image.as_deref());
        let fate = |image: &str| match image {
            _ if image.starts_with(MISSING) => Some(Self::NoImage(format!("manifest for {image} not found"))),
            _ if image.starts_with(UNREADY) => Some(Self::Unready),
            _ if image.starts_with(DONE) => Some(Self::Ends(0, "Completed".to_string())),
            _ if image.starts_with(FAILING) => Some(Self::Ends(3, "Error".to_string())),
            _ if image.starts_with(GREEDY) => Some(Self::Ends(137, "OOMKilled".to_string())),
            _ if image.starts_with(UNMOUNTABLE) => {
                Some(Self::NoVolume("MountVolume.SetUp failed for volume".to_string()))
            }
            _ => None,
        };
        images.filter_map(fate).next().unwrap_or(Self::Runs)
    }

    /// What the node warns of.
    pub(crate) fn warning(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::NoVolume(message) => Some(("FailedMount", message)),
            Self::Unready => Some(("Unhealthy", "Readiness probe failed")),
            _ => None,
        }
    }

    /// How long a pod may go on that was told to end.
    pub(crate) fn end(&self, grace: Option<i64>) -> Duration {
        match self {
            Self::Lingers(seconds) => Duration::from_secs(
                u64::try_from(grace.map_or(*seconds, |grace| grace.min(*seconds))).unwrap_or_default(),
            ),
            _ => Duration::ZERO,
        }
    }

    /// The statuses that a pod has one after the other, and how long each lasts.
    pub(crate) fn statuses(&self, pod: &Pod, now: &str) -> Vec<(Value, Duration)> {
        let restarts = pod.spec.as_ref().is_none_or(|spec| spec.restart_policy.as_deref() != Some("Never"));
        let running = json!({"running": {"startedAt": now}});
        let is = |phase: &str, ready: bool, container: Value| status(pod, now, phase, ready, &container);
        let runs = (is("Running", true, json!({"state": running})), RUNS);
        match self {
            Self::Runs | Self::Lingers(_) => vec![runs],
            Self::Unready => vec![(is("Running", false, json!({"state": running})), RUNS)],
            Self::NoImage(message) => {
                let waiting = |reason: &str| json!({"state": {"waiting": {"reason": reason, "message": message}}});
                let refused = |reason: &str| (is("Pending", false, waiting(reason)), RUNS);
                vec![refused("ErrImagePull"), refused("ImagePullBackOff")]
            }
            Self::NoVolume(_) => {
                let waiting = json!({"state": {"waiting": {"reason": "ContainerCreating"}}});
                vec![(is("Pending", false, waiting), RUNS)]
            }
            Self::Ends(code, reason) => {
                let end = json!({"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now});
                let ended = json!({"terminated": end});
                let last = match (restarts, *code) {
                    (true, _) => {
                        let waiting =
                            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting"}});
                        is("Running", false, json!({"state": waiting, "lastState": ended, "restartCount": 1}))
                    }
                    (false, 0) => is("Succeeded", false, json!({"state": ended})),
                    (false, _) => is("Failed", false, json!({"state": ended})),
                };
                vec![runs, (last, RUNS)]
            }
            Self::Evicted(message) => {
                let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": message}});
                vec![runs, (evicted, RUNS)]
            }
        }
    }
}

fn status(pod: &Pod, now: &str, phase: &str, ready: bool, container: &Value) -> Value {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers).map(|one| {
        let mut of = json!({"name": one.name, "image": one.image, "imageID": "", "ready": ready, "restartCount": 0});
        for (name, value) in container.as_object().into_iter().flatten() {
            of.as_object_mut().expect("it is one").insert(name.clone(), value.clone());
        }
        of
    });
    let condition = |kind: &str, holds: bool| json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": now});
    let conditions = [
        condition("Initialized", true),
        condition("PodScheduled", true),
        condition("ContainersReady", ready),
        condition("Ready", ready),
    ];
    json!({"status": {
        "phase": phase, "startTime": now, "hostIP": "127.0.0.1", "podIP": "127.0.0.1",
        "conditions": conditions, "containerStatuses": containers.collect::<Vec<Value>>(),
    }})
}
