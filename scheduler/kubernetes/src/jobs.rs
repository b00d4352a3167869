//! The jobs of a cluster: submitted, shown, waited for, cancelled, and what they say.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::{DeleteParams, DynamicObject, ListParams, LogParams, PostParams, Preconditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{Error, passes, refused};
use crate::job::{JobRequest, job, secret};
use crate::kept::End;
use crate::labels::{Component, JOB, LINE, LOG, as_text, selector};
use crate::list::PODS;
use crate::names::{ClusterName, JobName, Names};
use crate::phase::{Phase, exit_status, phase, printable};
use crate::reach::{LogOptions, chunks};
use crate::remote::{JOBS, Kubernetes, is_of};
use crate::spec::ClusterSpec;
use crate::wait::{Pauses, of_watch};

/// How often it is looked whether something is gone.
const LOOK: Duration = Duration::from_millis(250);
/// How long a watch may say nothing before a job is looked at all the same.
const SILENCE: Duration = Duration::from_secs(30);
/// How long what another job of the same name had may take to go.
const LEFTOVER: Duration = Duration::from_secs(10);

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Its pod does not run, for a reason that may be known.
    Waiting(Option<String>),
    /// It runs.
    Running,
    /// It was told to end.
    Stopping,
    /// It has done what it was to do.
    Done,
    /// It has not: why.
    Failed(String),
    /// It cannot be said: why not.
    Unknown(String),
}

impl JobState {
    /// Whether nothing comes any more.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Failed(_))
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(None) => f.write_str("starting"),
            Self::Waiting(Some(why)) => write!(f, "waiting: {why}"),
            Self::Running => f.write_str("running"),
            Self::Stopping => f.write_str("stopping"),
            Self::Done => f.write_str("done"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

/// A job of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobView {
    /// What it is called.
    pub name: String,
    /// What was asked for, as a shell reads it.
    pub line: String,
    /// How far it is.
    pub state: JobState,
    /// The exit status of its program, once it is over, as far as it is known.
    pub exit_status: Option<i32>,
    /// Pods that have failed.
    pub failures: u32,
    /// Its last pod, if there is one.
    pub pod: Option<String>,
    /// Whether the end of its log is kept.
    pub is_log_kept: bool,
    /// Seconds since 1970 at which it was submitted.
    pub created: Option<i64>,
    /// Seconds since 1970 at which Kubernetes took it up.
    pub started: Option<i64>,
    /// Seconds since 1970 at which it was over.
    pub ended: Option<i64>,
}

/// The log of a job.
pub enum JobLog {
    /// That of its pod, as it comes.
    Pod(BoxStream<'static, Result<Vec<u8>, Error>>),
    /// What was kept of it, as there is no pod any more that has it.
    Kept {
        /// The end of it.
        text: String,
        /// Whether there was more.
        is_cut: bool,
    },
}

impl fmt::Debug for JobLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(_) => f.write_str("Pod"),
            Self::Kept { text, is_cut } => write!(f, "Kept({} bytes, {is_cut})", text.len()),
        }
    }
}

/// A job with its last pod.
struct Seen {
    view: JobView,
    job: DynamicObject,
    pod: Option<Pod>,
}

impl Kubernetes {
    /// Has a job run on a cluster.
    ///
    /// # Errors
    /// Where it cannot be carried out, there is one of that name, or Kubernetes refuses; nothing of it is there then.
    pub async fn submit(&self, spec: &ClusterSpec, request: &JobRequest) -> Result<(), Error> {
        request.check(spec)?;
        let owner = self.owner(spec).await?;
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &spec.namespace);
        let made = match jobs.create(&PostParams::default(), &job(spec, request, owner)).await {
            Ok(made) => made,
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                return Err(Error::JobExists { job: request.name.clone(), namespace: spec.namespace.clone() });
            }
            Err(error) => return Err(refused(&format!("submit the job {}", request.name), error)),
        };
        // The pod waits for its secret, which goes with the job. The other way round, it might stay without one.
        let owner = made.controller_owner_ref(&());
        let owner = owner.map(|owner| OwnerReference { controller: None, block_owner_deletion: None, ..owner });
        let Some(secret) = secret(spec, request, owner) else { return Ok(()) };
        let Err(error) = self.make_secret(spec, &secret).await else { return Ok(()) };
        let params = of_uid(DeleteParams::background(), made.uid());
        match jobs.delete(&made.name_any(), &params).await {
            Ok(_) | Err(kube::Error::Api(_)) => Err(error),
            Err(away) => Err(refused(&format!("take back the job {}", request.name), away)),
        }
    }

    async fn make_secret(&self, spec: &ClusterSpec, secret: &Secret) -> Result<(), Error> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &spec.namespace);
        let deadline = Instant::now() + LEFTOVER;
        loop {
            match secrets.create(&PostParams::default(), secret).await {
                Ok(_) => return Ok(()),
                // That of a job before this one goes with it, a moment later.
                Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" && Instant::now() < deadline => {
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) => return Err(refused(&format!("make the Secret {}", secret.name_any()), error)),
            }
        }
    }

    /// The jobs of a cluster, in the order in which they were submitted.
    ///
    /// # Errors
    /// Where we may not look.
    pub async fn jobs(&self, name: &ClusterName, namespace: &str) -> Result<Vec<JobView>, Error> {
        let ours = ListParams::default().labels(&as_text(&selector(name, Some(Component::Job))));
        let found = self.kind(namespace, JOBS).list(&ours).await;
        let found = found.map_err(|error| refused(&format!("list the jobs of {name}"), error))?;
        let mut pods = self.last_pods(namespace, &ours).await?;
        let ours = found.items.into_iter().filter(|job| is_job_of(name, job));
        let seen = ours.map(|job| {
            let pod = job.uid().and_then(|uid| pods.remove(&uid));
            view(&job, pod.as_ref())
        });
        let mut views: Vec<JobView> = seen.collect();
        views.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
        Ok(views)
    }

    /// A job of a cluster.
    ///
    /// # Errors
    /// Where there is none, or we may not look.
    pub async fn job(&self, name: &ClusterName, namespace: &str, job: &JobName) -> Result<JobView, Error> {
        let Seen { mut view, job, .. } = self.look(name, namespace, job).await?;
        if view.state == JobState::Waiting(None) {
            // Who may not see events still sees the job.
            let why = match &view.pod {
                Some(pod) => self.warning_about("Pod", pod, namespace).await,
                None => self.warning_about("Job", &job.name_any(), namespace).await,
            };
            view.state = JobState::Waiting(why.ok().flatten());
        }
        Ok(view)
    }

    async fn look(&self, name: &ClusterName, namespace: &str, job: &JobName) -> Result<Seen, Error> {
        let found = self.kind(namespace, JOBS).get_opt(&Names::of(name).job(job)).await;
        let found = found.map_err(|error| refused(&format!("look at the job {job}"), error))?;
        let Some(found) = found.filter(|found| is_job_of(name, found)) else {
            return Err(Error::NoJob { name: name.clone(), job: job.clone() });
        };
        let mut pods = self.last_pods(namespace, &ListParams::default().labels(&pods_of(name, job))).await?;
        let pod = found.uid().and_then(|uid| pods.remove(&uid));
        Ok(Seen { view: view(&found, pod.as_ref()), job: found, pod })
    }

    /// The last pod of each job, by what Kubernetes knows the job by.
    async fn last_pods(&self, namespace: &str, list: &ListParams) -> Result<BTreeMap<String, Pod>, Error> {
        let found = self.kind(namespace, PODS).list(list).await;
        let found = found.map_err(|error| refused("list the pods of jobs", error))?;
        let mut pods: Vec<Pod> = found.items.into_iter().filter_map(|pod| pod.try_parse().ok()).collect();
        pods.sort_by_key(|pod| (created(pod.meta().creation_timestamp.as_ref()), pod.name_any()));
        Ok(pods.into_iter().filter_map(|pod| Some((owner_of(&pod)?.uid.clone(), pod))).collect())
    }

    /// Waits until a job is over, and tells how far it is whenever that changes.
    ///
    /// # Errors
    /// Where there is no such job, any more, we may not look, or it takes longer than so.
    pub async fn wait_for_job(
        &self,
        name: &ClusterName,
        namespace: &str,
        job: &JobName,
        time: Option<Duration>,
        mut tell: impl FnMut(&Result<JobView, Error>),
    ) -> Result<JobView, Error> {
        let deadline = time.map(|time| (Instant::now() + time, time));
        let mut changes = std::pin::pin!(self.job_changes(name, namespace, job));
        let mut last: Option<JobView> = None;
        loop {
            match self.job(name, namespace, job).await {
                Ok(view) if view.state.is_over() => {
                    tell(&Ok(view.clone()));
                    return Ok(view);
                }
                Ok(view) => {
                    let is_new = last.as_ref().is_none_or(|last| last.state != view.state);
                    last = Some(view.clone());
                    if is_new {
                        tell(&Ok(view));
                    }
                }
                Err(error) if passes(&error) => tell(&Err(error)),
                Err(error) => return Err(error),
            }
            let until = Instant::now() + SILENCE;
            let until = deadline.map_or(until, |(deadline, _)| deadline.min(until));
            // What has changed is looked up, and what is wrong with the watch is wrong with looking too.
            let _ = timeout_at(until, changes.next()).await;
            if let Some((_, time)) = deadline.filter(|(deadline, _)| Instant::now() >= *deadline) {
                let state = last.map_or_else(|| "not known".to_string(), |last| last.state.to_string());
                return Err(Error::NotOver { job: job.clone(), state, time });
            }
        }
    }

    /// Something whenever a job or one of its pods changes.
    fn job_changes(&self, name: &ClusterName, namespace: &str, job: &JobName) -> impl Stream<Item = ()> + Send + use<> {
        let of_job = watcher::Config::default().fields(&format!("metadata.name={}", Names::of(name).job(job)));
        let of_pods = watcher::Config::default().labels(&pods_of(name, job));
        let watches = [(JOBS, of_job), (PODS, of_pods)].map(|(kind, config)| {
            let events = watcher(self.kind(namespace, kind), config).backoff(Pauses::default());
            events.map(|event| drop(event.map_err(|error| of_watch("watch a job", error)))).boxed()
        });
        stream::select_all(watches)
    }

    /// Ends a job and removes it with all that belongs to it, and waits until nothing is left. One that is over is removed.
    ///
    /// # Errors
    /// Where there is no such job, we may not delete it, or something stays.
    pub async fn cancel(
        &self,
        name: &ClusterName,
        namespace: &str,
        job: &JobName,
        time: Duration,
    ) -> Result<JobView, Error> {
        let Seen { view, job: found, .. } = self.look(name, namespace, job).await?;
        let (jobs, object) = (self.kind(namespace, JOBS), found.name_any());
        let what = || format!("cancel the job {job}");
        // It is gone only when its pods are.
        match jobs.delete(&object, &of_uid(DeleteParams::foreground(), found.uid())).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(refused(&what(), error)),
        }
        let gone = async {
            loop {
                match jobs.get_metadata_opt(&object).await.map_err(|error| refused(&what(), error)) {
                    Ok(Some(there)) if there.uid() == found.uid() => {}
                    Ok(_) => return Ok(()),
                    Err(error) if passes(&error) => {}
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match timeout(time, gone).await {
            Ok(ended) => ended.map(|()| view),
            Err(_) => Err(Error::Stays { name: name.clone(), left: format!("Job {object}"), time }),
        }
    }

    /// The log of a job: that of its last pod, as it comes, or what was kept of it where no pod has it any more.
    ///
    /// # Errors
    /// Where there is no such job, or no log.
    pub async fn job_log(
        &self,
        name: &ClusterName,
        namespace: &str,
        job: &JobName,
        options: LogOptions,
    ) -> Result<JobLog, Error> {
        let Seen { view, job: found, pod } = self.look(name, namespace, job).await?;
        let kept = found.annotations().get(LOG).map(|text| {
            let is_cut = End::of(found.annotations()).is_some_and(|end| end.is_cut);
            JobLog::Kept { text: last_lines(text, options.lines), is_cut }
        });
        let has_begun = |pod: &&Pod| !matches!(phase(pod), Phase::Waiting(_));
        let Some(pod) = pod.as_ref().filter(has_begun) else {
            let none = Error::NoLog { job: job.clone(), state: view.state.to_string() };
            return kept.ok_or(none);
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params =
            LogParams { follow: options.follow, tail_lines: options.lines.map(i64::from), ..LogParams::default() };
        match (pods.log_stream(&pod.name_any(), &params).await, kept) {
            (Ok(log), _) => Ok(JobLog::Pod(chunks(pod.name_any(), Box::pin(log)).boxed())),
            // Its node may be gone.
            (Err(kube::Error::Api(_)), Some(kept)) => Ok(kept),
            (Err(error), _) => Err(refused(&format!("show the log of {}", pod.name_any()), error)),
        }
    }
}

/// The selector of the pods of a job.
fn pods_of(name: &ClusterName, job: &JobName) -> String {
    format!("{},{JOB}={job}", as_text(&selector(name, Some(Component::Job))))
}

/// Not another one that has come in its place.
fn of_uid(params: DeleteParams, uid: Option<String>) -> DeleteParams {
    DeleteParams { preconditions: Some(Preconditions { uid, ..Preconditions::default() }), ..params }
}

/// The job that a pod is of.
pub(crate) fn owner_of(pod: &Pod) -> Option<&OwnerReference> {
    pod.owner_references().iter().find(|owner| owner.kind == JOBS.kind && owner.controller == Some(true))
}

/// Whether a job is one that was submitted to a cluster: anybody can give one of theirs our labels.
pub(crate) fn is_job_of(cluster: &ClusterName, job: &DynamicObject) -> bool {
    let name = job.labels().get(JOB).and_then(|name| name.parse::<JobName>().ok());
    is_of(cluster, &job.metadata) && name.is_some_and(|name| Names::of(cluster).job(&name) == job.name_any())
}

pub(crate) fn created(time: Option<&Time>) -> Option<i64> {
    time.map(|Time(time)| time.as_second())
}

/// The last lines of a text, so many or all.
fn last_lines(text: &str, count: Option<u32>) -> String {
    let Some(count) = count else { return text.to_string() };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let skipped = lines.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
    lines.into_iter().skip(skipped).collect()
}

fn view(object: &DynamicObject, pod: Option<&Pod>) -> JobView {
    let annotations = object.annotations();
    let mut view = JobView {
        name: object.labels().get(JOB).cloned().unwrap_or_default(),
        line: annotations.get(LINE).map(|line| printable(line)).unwrap_or_default(),
        state: JobState::Waiting(None),
        exit_status: None,
        failures: 0,
        pod: pod.map(ResourceExt::name_any),
        is_log_kept: annotations.contains_key(LOG),
        created: created(object.metadata.creation_timestamp.as_ref()),
        started: None,
        ended: None,
    };
    let job: Job = match object.clone().try_parse() {
        Ok(job) => job,
        Err(error) => return JobView { state: JobState::Unknown(printable(&error.to_string())), ..view },
    };
    let end = End::of(annotations);
    let status = job.status.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let holds = |kind: &str| conditions.iter().find(|one| one.type_ == kind && one.status == "True");
    view.failures = status.failed.and_then(|failed| u32::try_from(failed).ok()).unwrap_or_default();
    view.started = created(status.start_time.as_ref());
    if let Some(complete) = holds("Complete") {
        view.exit_status = Some(0);
        view.ended = created(status.completion_time.as_ref().or(complete.last_transition_time.as_ref()));
        view.state = JobState::Done;
    } else if let Some(failed) = holds("Failed") {
        view.ended = created(failed.last_transition_time.as_ref());
        if failed.reason.as_deref() != Some("DeadlineExceeded") {
            view.exit_status = pod.and_then(exit_status).or_else(|| end.as_ref()?.exit_status);
        }
        view.state = JobState::Failed(why_failed(failed, pod, end));
    } else {
        view.state = of_pod(pod);
    }
    if object.metadata.deletion_timestamp.is_some() {
        view.state = JobState::Stopping;
    }
    view
}

fn why_failed(condition: &JobCondition, pod: Option<&Pod>, end: Option<End>) -> String {
    let of_pod = || match phase(pod?) {
        Phase::Failed(how) => Some(how),
        Phase::OutOfMemory => Some("out of memory".to_string()),
        _ => None,
    };
    if condition.reason.as_deref() == Some("DeadlineExceeded") {
        return "it took longer than it may".to_string();
    }
    let said = || condition.message.as_deref().or(condition.reason.as_deref()).map(printable);
    let known = of_pod().or_else(|| end?.how).or_else(said);
    known.unwrap_or_else(|| "for no reason that is known".to_string())
}

/// How far a job is that is not over.
fn of_pod(pod: Option<&Pod>) -> JobState {
    let again = |how: &str| JobState::Waiting(Some(format!("it is tried again, as its pod failed: {how}")));
    match pod.map(phase) {
        None => JobState::Waiting(None),
        Some(Phase::Waiting(why)) => JobState::Waiting(why),
        Some(Phase::Running { .. } | Phase::Done) => JobState::Running,
        Some(Phase::Stopping) => JobState::Waiting(Some("its pod was told to end".to_string())),
        Some(Phase::OutOfMemory) => again("out of memory"),
        Some(Phase::Failed(how)) => again(&how),
        Some(Phase::Unknown(why)) => JobState::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(status: Value, pod: Option<Value>, annotations: Value) -> JobView {
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "muons-skim-job",
            "labels": {"root-query.io/job": "skim"}, "annotations": annotations}, "spec": {"template": {}},
            "status": status});
        let pod: Option<Pod> =
            pod.map(|status| serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap());
        view(&serde_json::from_value(job).unwrap(), pod.as_ref())
    }

    fn ended(code: i32, reason: &str) -> Value {
        json!({"phase": "Failed", "containerStatuses": [{"name": "job", "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"terminated": {"exitCode": code, "reason": reason}}}]})
    }

    fn failed(reason: &str) -> Value {
        json!({"failed": 1, "conditions": [{"type": "Failed", "status": "True", "reason": reason, "message": "it failed"}]})
    }

    #[test]
    fn how_far_a_job_is_is_said_in_plain_words() {
        let told = |status: Value, pod: Option<Value>| {
            let view = seen(status, pod, json!({}));
            (view.state.to_string(), view.exit_status)
        };
        let is = |state: &str, status: Option<i32>| (state.to_string(), status);
        assert_eq!(told(json!({}), None), is("starting", None));
        assert_eq!(told(json!({"active": 1}), Some(json!({"phase": "Running"}))), is("running", None));
        let again = "waiting: it is tried again, as its pod failed: out of memory";
        assert_eq!(told(json!({"failed": 1}), Some(ended(137, "OOMKilled"))), is(again, None));
        let complete = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(told(complete, None), is("done", Some(0)));
        let error = told(failed("BackoffLimitExceeded"), Some(ended(3, "Error")));
        assert_eq!(error, is("failed: exit status 3", Some(3)));
        let late = told(failed("DeadlineExceeded"), Some(ended(143, "Error")));
        assert_eq!(late, is("failed: it took longer than it may", None));
        assert_eq!(told(failed("Strange"), None), is("failed: it failed", None));
    }

    #[test]
    fn what_was_kept_says_how_a_job_ended_whose_pod_is_gone() {
        let kept = json!({"root-query.io/log": "the end", "root-query.io/end":
            r#"{"pod": "muons-skim-job-x", "is_final": true, "exit_status": 4, "how": "exit status 4"}"#});
        let view = seen(failed("BackoffLimitExceeded"), None, kept);
        assert_eq!((view.state, view.exit_status), (JobState::Failed("exit status 4".to_string()), Some(4)));
        assert!(view.is_log_kept);
        let strange = seen(failed("BackoffLimitExceeded"), None, json!({"root-query.io/end": "rubbish"}));
        assert_eq!(strange.state, JobState::Failed("it failed".to_string()));
    }

    #[test]
    fn of_a_text_the_last_lines_are_had() {
        assert_eq!(last_lines("a\nb\nc", Some(2)), "b\nc");
        assert_eq!(last_lines("a\nb\n", Some(9)), "a\nb\n");
        assert_eq!(last_lines("a\nb\n", None), "a\nb\n");
    }
}
