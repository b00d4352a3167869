//! What stays of jobs when their pods are gone: how the last one ended, and the end of its log, noted at the job.
//!
//! The scheduler watches for pods that end. One that was told to end is listened to until it has, as its log goes with it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{AsyncReadExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, LogParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::{Error, passes, refused};
use crate::jobs::{created, is_job_of, owner_of};
use crate::labels::{Component, END, LOG, as_text, selector};
use crate::list::PODS;
use crate::phase::{Phase, end, exit_status};
use crate::remote::{JOBS, Kubernetes};
use crate::spec::ClusterSpec;
use crate::wait::{Pauses, of_watch};

/// Bytes that are kept of a log. Kubernetes lets the annotations of an object have 256 KiB together.
const KEPT: usize = 200 << 10;
/// Bytes that are read of a log at a time.
const CHUNK: usize = 16 << 10;
/// How long a log is read: of a pod that has ended, and of one that is about to.
const READ: Duration = Duration::from_secs(30);
const FOLLOW: Duration = Duration::from_secs(90);
/// How often a log is asked for of a node that does not answer.
const ATTEMPTS: usize = 3;
/// Pods that are looked after at the same time.
const AT_ONCE: usize = 16;

/// How the last pod of a job ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// Its name.
    pub(crate) pod: String,
    /// Seconds since 1970 at which it was made.
    #[serde(default)]
    pub(crate) created: Option<i64>,
    /// Whether it had ended when this was written.
    #[serde(default)]
    pub(crate) is_final: bool,
    /// That of its program.
    #[serde(default)]
    pub(crate) exit_status: Option<i32>,
    /// How it failed, if it did.
    #[serde(default)]
    pub(crate) how: Option<String>,
    /// Whether the log had more than what is kept.
    #[serde(default)]
    pub(crate) is_cut: bool,
}

impl End {
    /// What stands at a job, if it is something that we write.
    pub(crate) fn of(annotations: &BTreeMap<String, String>) -> Option<Self> {
        serde_json::from_str(annotations.get(END)?).ok()
    }

    fn of_pod(pod: &Pod) -> Self {
        let phase = end(pod);
        let how = match &phase {
            Some(Phase::Failed(how)) => Some(how.clone()),
            Some(Phase::OutOfMemory) => Some("out of memory".to_string()),
            _ => None,
        };
        Self {
            pod: pod.name_any(),
            created: created(pod.meta().creation_timestamp.as_ref()),
            is_final: phase.is_some(),
            exit_status: exit_status(pod),
            how,
            is_cut: false,
        }
    }

    /// Whether what a job has says as much as this, or is of a later pod.
    fn is_told_by(&self, before: &Self) -> bool {
        match before.pod == self.pod {
            true => before.is_final || !self.is_final,
            false => before.created > self.created,
        }
    }
}

/// The end of a log.
#[derive(Debug, Clone, Default)]
struct Tail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        if self.bytes.len() > 2 * KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
            self.is_cut = true;
        }
    }

    /// As text, from the beginning of a line if there is one, and whether there was more.
    fn into_text(self) -> (String, bool) {
        let text = String::from_utf8_lossy(&self.bytes);
        let from = text.ceil_char_boundary(text.len().saturating_sub(KEPT));
        if from == 0 && !self.is_cut {
            return (text.into_owned(), false);
        }
        let end = text.get(from..).unwrap_or_default();
        let lines = end.split_once('\n').map(|(_, lines)| lines).filter(|lines| !lines.is_empty());
        (lines.unwrap_or(end).to_string(), true)
    }
}

impl Kubernetes {
    /// Keeps what is to stay of the jobs of a cluster, for ever. `tell` hears of what cannot be kept for the moment.
    pub async fn keep_logs(&self, spec: &ClusterSpec, tell: impl Fn(&Error) + Send + Sync) {
        let ours = watcher::Config::default().labels(&as_text(&selector(&spec.name, Some(Component::Job))));
        let events = watcher(self.kind(&spec.namespace, PODS), ours).backoff(Pauses::default());
        // Each is looked after once when it is told to end, and once when it has ended.
        let looked_after: Mutex<HashSet<(String, bool)>> = Mutex::default();
        let is_new = |pod: &Pod| {
            let has_ended = end(pod).is_some();
            let is_about_to = pod.meta().deletion_timestamp.is_some();
            let mut known = looked_after.lock().unwrap_or_else(PoisonError::into_inner);
            (has_ended || is_about_to) && known.insert((pod.uid().unwrap_or_default(), has_ended))
        };
        let forget = |pod: &DynamicObject| {
            let uid = pod.uid().unwrap_or_default();
            looked_after.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| *known != uid);
        };
        let look = async |event: Result<Event<DynamicObject>, watcher::Error>| match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                // What cannot be understood is no pod of ours.
                if let Some(pod) = pod.try_parse().ok().filter(&is_new) {
                    self.keep(spec, &pod, &tell).await;
                }
            }
            Ok(Event::Delete(pod)) => forget(&pod),
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => tell(&of_watch("watch the pods of jobs", error)),
        };
        events.for_each_concurrent(AT_ONCE, look).await;
    }

    /// Keeps what is to stay of a pod, as soon as Kubernetes lets it.
    async fn keep(&self, spec: &ClusterSpec, pod: &Pod, tell: &(impl Fn(&Error) + Send + Sync)) {
        let mut log = None;
        for pause in Pauses::default() {
            match self.try_keep(spec, pod, &mut log).await {
                Ok(true) => return,
                // It is looked at once more, now that there is a log.
                Ok(false) => continue,
                // Somebody else has changed the job.
                Err(Error::Refused { code: 409, .. }) => {}
                Err(error) => {
                    tell(&error);
                    if !passes(&error) {
                        return;
                    }
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether nothing is left to do: nobody misses the pod, all is noted, or it is now.
    async fn try_keep(&self, spec: &ClusterSpec, pod: &Pod, log: &mut Option<Option<Tail>>) -> Result<bool, Error> {
        let Some(owner) = owner_of(pod) else { return Ok(true) };
        let jobs = self.kind(&spec.namespace, JOBS);
        let found = jobs.get_opt(&owner.name).await;
        let found = found.map_err(|error| refused(&format!("look at the job of {}", pod.name_any()), error))?;
        let is_theirs = |job: &DynamicObject| {
            job.uid().as_ref() == Some(&owner.uid)
                && is_job_of(&spec.name, job)
                && job.meta().deletion_timestamp.is_none()
        };
        let Some(job) = found.filter(is_theirs) else { return Ok(true) };
        let before = End::of(job.annotations());
        let mut end = End::of_pod(pod);
        if before.as_ref().is_some_and(|before| end.is_told_by(before)) {
            return Ok(true);
        }
        let Some(log) = log else {
            *log = Some(self.end_of_log(spec, pod, !end.is_final).await);
            return Ok(false);
        };
        let mut annotations = serde_json::Map::new();
        match (log.clone().map(Tail::into_text), before.filter(|before| before.pod == end.pod)) {
            (Some((text, is_cut)), _) => {
                end.is_cut = is_cut;
                annotations.insert(LOG.to_string(), json!(text));
            }
            // It was read before the node let go of it.
            (None, Some(before)) => end.is_cut = before.is_cut,
            // What there may be is of another pod.
            (None, None) => {
                annotations.insert(LOG.to_string(), json!(null));
            }
        }
        annotations.insert(END.to_string(), json!(json!(end).to_string()));
        let version = job.resource_version();
        let patch = json!({"metadata": {"resourceVersion": version, "annotations": annotations}});
        match jobs.patch(&owner.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
            Err(error) => Err(refused(&format!("keep the log of {}", pod.name_any()), error)),
        }
    }

    /// The end of the log of a pod, if it can be had; of one that is about to end, as it comes until then.
    async fn end_of_log(&self, spec: &ClusterSpec, pod: &Pod, follow: bool) -> Option<Tail> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &spec.namespace);
        // Each line has one byte at least.
        let params = LogParams { follow, tail_lines: i64::try_from(KEPT).ok(), ..LogParams::default() };
        let name = pod.name_any();
        for pause in Pauses::default().take(ATTEMPTS) {
            let mut tail = None;
            let reading = async {
                let log = pods.log_stream(&name, &params).await;
                let log = log.map_err(|error| refused(&format!("show the log of {name}"), error))?;
                let (mut log, tail) = (Box::pin(log), tail.insert(Tail::default()));
                let mut chunk = vec![0; CHUNK];
                // What breaks off has been read until there.
                while let Ok(read @ 1..) = log.read(&mut chunk).await {
                    tail.push(chunk.get(..read).unwrap_or_default());
                }
                Ok(())
            };
            let read = tokio::time::timeout(if follow { FOLLOW } else { READ }, reading).await;
            match (read, tail) {
                (_, Some(tail)) => return Some(tail),
                (Ok(Err(error)), None) if !passes(&error) => return None,
                (_, None) => tokio::time::sleep(pause).await,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(chunks: &[&[u8]]) -> (String, bool) {
        let mut tail = Tail::default();
        chunks.iter().for_each(|chunk| tail.push(chunk));
        tail.into_text()
    }

    #[test]
    fn a_log_that_fits_is_kept_as_it_is() {
        assert_eq!(text_of(&[b"one\n", b"t", b"wo"]), ("one\ntwo".to_string(), false));
        assert_eq!(text_of(&[]), (String::new(), false));
    }

    #[test]
    fn of_a_log_that_is_too_long_the_last_lines_are_kept() {
        let lines: Vec<String> = (0..100_000).map(|number| format!("line {number}\n")).collect();
        let (kept, is_cut) = text_of(&lines.iter().map(String::as_bytes).collect::<Vec<_>>());
        assert!(is_cut && kept.len() <= KEPT && kept.len() > KEPT - 20, "{}", kept.len());
        assert!(kept.starts_with("line ") && kept.ends_with("line 99999\n"), "{:?}", kept.get(..20));
    }

    #[test]
    fn what_is_no_text_does_not_grow_beyond_what_may_be_kept() {
        let (kept, is_cut) = text_of(&[&vec![0xFF; KEPT]]);
        assert!(is_cut && kept.len() <= KEPT && kept.starts_with('\u{FFFD}'), "{}", kept.len());
    }

    #[test]
    fn an_end_is_told_once_and_that_of_a_later_pod_stays() {
        let end = |pod: &str, created: i64, is_final: bool| End {
            pod: pod.to_string(),
            created: Some(created),
            is_final,
            ..End::default()
        };
        assert!(end("a", 1, true).is_told_by(&end("a", 1, true)));
        assert!(!end("a", 1, true).is_told_by(&end("a", 1, false)), "it has ended since");
        assert!(end("a", 1, false).is_told_by(&end("a", 1, true)));
        assert!(end("a", 1, true).is_told_by(&end("b", 2, true)));
        assert!(!end("b", 2, true).is_told_by(&end("a", 1, true)));
    }
}
