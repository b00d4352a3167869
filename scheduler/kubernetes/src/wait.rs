//! What becomes of a cluster while somebody waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, utils::Backoff};
use kube::{Api, ResourceExt};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, refused};
use crate::labels::{as_text, selector};
use crate::list::{PODS, PodView, view};
use crate::names::{ClusterName, Names};
use crate::phase::{Phase, in_plain_words};
use crate::remote::Kubernetes;

/// How long a watch that has failed is not begun again, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Something has changed at a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A pod has come, or is another step on.
    Pod(PodView),
    /// A pod is gone: its name.
    Gone(String),
    /// The scheduler can be used now, or no longer.
    Scheduler {
        /// Whether it can, as it was described last.
        is_ready: bool,
        /// Why there is no pod for it, if there is a reason.
        why: Option<String>,
    },
    /// There is no scheduler.
    NoScheduler,
}

/// What a watch has told of pods or of the deployment.
enum News {
    Pods(Box<Event<DynamicObject>>),
    Scheduler(Box<Event<Deployment>>),
    Failed(Error),
}

/// What is known of a cluster.
#[derive(Default)]
struct Known {
    pods: BTreeMap<String, PodView>,
    /// Pods of a watch that begins anew.
    listed: BTreeSet<String>,
    scheduler: Option<Change>,
    is_scheduler_listed: bool,
}

impl Kubernetes {
    /// What changes at a cluster, beginning with what there is, without end. While Kubernetes is away there are errors now and
    /// then, and what has changed since is told afterwards.
    pub fn changes(
        &self,
        name: &ClusterName,
        namespace: &str,
    ) -> impl Stream<Item = Result<Change, Error>> + Send + use<> {
        let ours = watcher::Config::default().labels(&as_text(&selector(name, None)));
        let pods = told(self.kind(namespace, PODS), ours, "watch the pods", |event| News::Pods(Box::new(event)));
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        let own = watcher::Config::default().fields(&format!("metadata.name={}", Names::of(name).scheduler()));
        let scheduler = told(deployments, own, "watch the scheduler", |event| News::Scheduler(Box::new(event)));
        let mut known = Known::default();
        stream::select(pods, scheduler).flat_map(move |news| stream::iter(known.learn(news)))
    }

    /// Waits until the scheduler of a cluster can be used as it was described last, and tells what changes until then.
    ///
    /// # Errors
    /// Where there is no such cluster, we may not look, or it takes longer than so: then why it does.
    pub async fn wait_until_ready(
        &self,
        name: &ClusterName,
        namespace: &str,
        time: Duration,
        mut tell: impl FnMut(&Result<Change, Error>),
    ) -> Result<(), Error> {
        let deadline = Instant::now() + time;
        let mut changes = std::pin::pin!(self.changes(name, namespace));
        let mut progress = Progress::default();
        while let Ok(Some(change)) = timeout_at(deadline, changes.next()).await {
            tell(&change);
            match change {
                Ok(Change::Scheduler { is_ready: true, .. }) => return Ok(()),
                Ok(Change::NoScheduler) => {
                    return Err(Error::NoCluster { name: name.clone(), namespace: namespace.to_string() });
                }
                // A server that has just been started knows of nobody's rights for a moment.
                Err(error @ Error::Refused { code: 401 | 403, .. }) if !progress.has_begun => return Err(error),
                change => progress.learn(change),
            }
        }
        let warning = self.warning_of(&progress, namespace).await;
        Err(Error::NotReady { name: name.clone(), why: progress.why(warning), time })
    }

    /// What is known of a scheduler that does not say why it does not start. It is no reason to say nothing of the rest that it
    /// cannot be had.
    async fn warning_of(&self, progress: &Progress, namespace: &str) -> Option<String> {
        let is_silent = |pod: &&PodView| matches!(pod.phase, Phase::Waiting(None) | Phase::Running { ready: false });
        let pod = progress.pods.values().find(is_silent).filter(|_| progress.away.is_none())?;
        tokio::time::timeout(BACK_OFF.1, self.warning(&pod.name, namespace)).await.ok()?.ok()?
    }
}

/// What a watch tells, which begins anew when it fails.
fn told<K>(
    api: Api<K>,
    config: watcher::Config,
    what: &'static str,
    news: impl Fn(Event<K>) -> News + Send + 'static,
) -> BoxStream<'static, News>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let events = watcher(api, config).backoff(Pauses::default());
    events.map(move |event| event.map_or_else(|error| News::Failed(of_watch(what, error)), &news)).boxed()
}

/// The times between attempts to begin a watch anew, each twice as long as the one before it.
#[derive(Debug, Clone)]
pub struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(BACK_OFF.0)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let next = self.0;
        self.0 = BACK_OFF.1.min(next * 2);
        Some(next)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// What is wrong with a watch.
pub(crate) fn of_watch(what: &str, error: watcher::Error) -> Error {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => refused(what, error),
        watcher::Error::WatchError(status) => refused(what, kube::Error::Api(status)),
        error => Error::Unreachable { reason: error.to_string() },
    }
}

impl Known {
    /// What is new.
    fn learn(&mut self, news: News) -> Vec<Result<Change, Error>> {
        match news {
            News::Pods(event) => self.of_pods(*event),
            News::Scheduler(event) => self.of_scheduler(*event),
            News::Failed(error) => vec![Err(error)],
        }
    }

    fn of_pods(&mut self, event: Event<DynamicObject>) -> Vec<Result<Change, Error>> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(pod) => {
                self.listed.insert(pod.name_any());
                self.pod(pod)
            }
            Event::InitDone => {
                let is_gone = |name: &&String| !self.listed.contains(*name);
                let gone: Vec<String> = self.pods.keys().filter(is_gone).cloned().collect();
                gone.into_iter().flat_map(|name| self.gone(name)).collect()
            }
            Event::Apply(pod) => self.pod(pod),
            Event::Delete(pod) => self.gone(pod.name_any()),
        }
    }

    fn of_scheduler(&mut self, event: Event<Deployment>) -> Vec<Result<Change, Error>> {
        match event {
            Event::Init => {
                self.is_scheduler_listed = false;
                Vec::new()
            }
            Event::InitApply(deployment) => {
                self.is_scheduler_listed = true;
                self.scheduler(of_deployment(&deployment))
            }
            Event::Apply(deployment) => self.scheduler(of_deployment(&deployment)),
            Event::InitDone if self.is_scheduler_listed => Vec::new(),
            Event::InitDone | Event::Delete(_) => self.scheduler(Change::NoScheduler),
        }
    }

    fn pod(&mut self, pod: DynamicObject) -> Vec<Result<Change, Error>> {
        let pod = view(pod);
        let before = self.pods.insert(pod.name.clone(), pod.clone());
        if before.as_ref() == Some(&pod) { Vec::new() } else { vec![Ok(Change::Pod(pod))] }
    }

    fn gone(&mut self, name: String) -> Vec<Result<Change, Error>> {
        let was_there = self.pods.remove(&name).is_some();
        if was_there { vec![Ok(Change::Gone(name))] } else { Vec::new() }
    }

    fn scheduler(&mut self, change: Change) -> Vec<Result<Change, Error>> {
        let before = self.scheduler.replace(change.clone());
        if before.as_ref() == Some(&change) { Vec::new() } else { vec![Ok(change)] }
    }
}

/// How far the scheduler is: what `kubectl rollout status` goes by.
fn of_deployment(deployment: &Deployment) -> Change {
    let Some(status) = &deployment.status else { return Change::Scheduler { is_ready: false, why: None } };
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let refused = conditions.iter().find(|condition| {
        condition.type_.as_deref() == Some("ReplicaFailure") && condition.status.as_deref() == Some("True")
    });
    let count = |count: Option<i32>| count.unwrap_or_default();
    let is_seen = status.observed_generation >= deployment.metadata.generation;
    let is_ready = is_seen
        && count(status.updated_replicas) >= 1
        && count(status.available_replicas) >= 1
        && count(status.replicas) == count(status.updated_replicas);
    let why = refused.and_then(|condition| condition.message.as_deref().or(condition.reason.as_deref()));
    Change::Scheduler { is_ready, why: why.map(in_plain_words) }
}

/// What was told while somebody waited.
#[derive(Default)]
struct Progress {
    has_begun: bool,
    pods: BTreeMap<String, PodView>,
    /// Why there is no pod for the scheduler.
    refused: Option<String>,
    /// Kubernetes is away.
    away: Option<Error>,
}

impl Progress {
    fn learn(&mut self, change: Result<Change, Error>) {
        match change {
            Err(error) => {
                self.away = Some(error);
                return;
            }
            Ok(Change::Pod(pod)) if pod.is_scheduler() => {
                self.pods.insert(pod.name.clone(), pod);
            }
            Ok(Change::Gone(name)) => {
                self.pods.remove(&name);
            }
            Ok(Change::Scheduler { why, .. }) => self.refused = why,
            Ok(Change::Pod(_) | Change::NoScheduler) => {}
        }
        (self.has_begun, self.away) = (true, None);
    }

    /// Why the scheduler cannot be used.
    fn why(self, warning: Option<String>) -> String {
        let pods = self.pods.values().map(|pod| format!("its pod {} is {}", pod.name, pod.phase));
        let pods: Vec<String> = pods.chain(warning).collect();
        let known = match (self.refused, pods.is_empty()) {
            (Some(why), _) => Some(format!("its pod cannot be made: {why}")),
            (None, false) => Some(pods.join(", ")),
            (None, true) => None,
        };
        match (self.away, known) {
            (Some(error), None) => error.to_string(),
            (Some(error), Some(known)) => format!("{error}; before that, {known}"),
            (None, Some(known)) => known,
            (None, None) => "Kubernetes has made no pod for it yet".to_string(),
        }
    }
}
