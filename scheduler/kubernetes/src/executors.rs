//! Executors as their scheduler sees them: pods of its cluster that it starts and stops.
//!
//! A watch keeps a copy of them, so that what is there is known while the API server is away; it begins anew by itself when the
//! server has forgotten where it was. Pods come as they are: one that cannot be understood hides no other.

use std::fmt;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, DynamicObject, LogParams, PostParams};
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio::task::JoinHandle;

use crate::error::{Error, refused};
use crate::executor::{MEMORY_STEP, executor_pod, executors_selector, is_executor};
use crate::labels::CONFIGURATION;
use crate::list::{PODS, view};
use crate::names::Names;
use crate::objects::configuration;
use crate::phase::{Phase, printable};
use crate::remote::Kubernetes;
use crate::spec::ClusterSpec;
use crate::wait::{Pauses, of_watch};

/// How long the first look at pods may take.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// Lines of a log that tell of what a program died, and how long it is asked for them.
const LAST_LINES: i64 = 20;
const LAST_LOOK: Duration = Duration::from_secs(5);

/// The executors of a cluster.
pub struct Executors {
    spec: ClusterSpec,
    /// What executors of this description say that it was.
    configuration: String,
    api: Api<Pod>,
    seen: Store<DynamicObject>,
    /// The deployment of the scheduler, with which executors end.
    owner: Option<OwnerReference>,
    watching: JoinHandle<()>,
}

/// An executor that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutorView {
    /// The name of its pod, by which it registers.
    pub name: String,
    /// How far it is.
    pub phase: Phase,
    /// How often executors with less memory had run out of it when it was started.
    pub memory_step: u32,
    /// Whether it was started by the description that the cluster has now.
    pub is_current: bool,
}

impl fmt::Debug for Executors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executors").field("cluster", &self.spec.name).finish_non_exhaustive()
    }
}

impl Drop for Executors {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

impl Executors {
    /// Those of a cluster. `tell` hears of what is wrong with the watch; it goes on.
    ///
    /// # Errors
    /// Where the cluster has no deployment that would own them, or we may not look.
    pub async fn of(
        kubernetes: &Kubernetes,
        spec: ClusterSpec,
        tell: impl Fn(&Error) + Send + 'static,
    ) -> Result<Self, Error> {
        let client = kubernetes.client.clone();
        let owner = kubernetes.owner(&spec).await?;
        let pods = kubernetes.kind(&spec.namespace, PODS);
        let (seen, watching) = watch(pods, &spec, tell);
        let (api, configuration) = (Api::namespaced(client, &spec.namespace), configuration(&spec));
        Ok(Self { spec, configuration, api, seen, owner, watching })
    }

    /// All that there are, whoever started them: as they are, or were when the API server was last there.
    ///
    /// # Errors
    /// Where they have never been seen.
    pub async fn all(&self) -> Result<Vec<ExecutorView>, Error> {
        let ready = tokio::time::timeout(FIRST_LOOK, self.seen.wait_until_ready()).await;
        if !matches!(ready, Ok(Ok(()))) {
            let reason = "it does not say which executors there are".to_string();
            return Err(Error::Unreachable { reason });
        }
        Ok(self.seen.state().iter().filter_map(|pod| self.executor(pod)).collect())
    }

    /// Starts one. `step` is how often executors with less memory have run out of it.
    ///
    /// # Errors
    /// Where Kubernetes refuses, such as for a quota that is used up, or does not answer.
    pub async fn start(&self, name: &str, step: u32) -> Result<(), Error> {
        let pod = executor_pod(&self.spec, name, step, self.owner.clone());
        match self.api.create(&PostParams::default(), &pod).await {
            Ok(_) => Ok(()),
            // An attempt before this one of which no answer came.
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
            Err(error) => Err(refused(&format!("start the executor {name}"), error)),
        }
    }

    /// Has one end when its tasks have, within the time that it may take; or removes one that has ended.
    ///
    /// # Errors
    /// Where Kubernetes refuses, or does not answer.
    pub async fn stop(&self, name: &str) -> Result<(), Error> {
        match self.api.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(refused(&format!("stop the executor {name}"), error)),
        }
    }

    /// The last lines of the log of one that has ended otherwise than it should: with its pod they are gone.
    pub async fn last_words(&self, name: &str) -> Vec<String> {
        let params = LogParams { tail_lines: Some(LAST_LINES), ..LogParams::default() };
        match tokio::time::timeout(LAST_LOOK, self.api.logs(name, &params)).await {
            Ok(Ok(log)) => log.lines().map(printable).collect(),
            // A node that is gone has taken them with it.
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    /// Somebody may have given a pod of theirs our labels.
    fn executor(&self, pod: &DynamicObject) -> Option<ExecutorView> {
        if !is_executor(&self.spec, &pod.metadata) {
            return None;
        }
        let step = pod.annotations().get(MEMORY_STEP).and_then(|step| step.parse().ok());
        let is_current = pod.annotations().get(CONFIGURATION) == Some(&self.configuration);
        let view = view(pod.clone());
        Some(ExecutorView { name: view.name, phase: view.phase, memory_step: step.unwrap_or_default(), is_current })
    }
}

impl Kubernetes {
    /// The deployment of a cluster's scheduler, with which all ends that the cluster starts.
    pub(crate) async fn owner(&self, spec: &ClusterSpec) -> Result<Option<OwnerReference>, Error> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &spec.namespace);
        let name = Names::of(&spec.name).scheduler();
        let deployment = deployments.get(&name).await;
        let deployment = deployment.map_err(|error| refused(&format!("look at the deployment {name}"), error))?;
        // Not its controller, which would take them for its own.
        let owner = deployment.controller_owner_ref(&());
        Ok(owner.map(|owner| OwnerReference { controller: None, block_owner_deletion: None, ..owner }))
    }
}

/// A copy of the pods of executors, and what keeps it.
fn watch(
    pods: Api<DynamicObject>,
    spec: &ClusterSpec,
    tell: impl Fn(&Error) + Send + 'static,
) -> (Store<DynamicObject>, JoinHandle<()>) {
    let writer = Writer::new(PODS.resource());
    let seen = writer.as_reader();
    let config = watcher::Config::default().labels(&executors_selector(spec));
    let events = watcher(pods, config).backoff(Pauses::default()).reflect(writer);
    let watching = tokio::spawn(events.for_each(move |event| {
        if let Err(error) = event {
            tell(&of_watch("watch executors", error));
        }
        std::future::ready(())
    }));
    (seen, watching)
}
