//! The clusters that there are, and their pods. Anybody can give an object of theirs our labels: what makes no sense is told as
//! that, and is in nobody's way.

use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt};

use crate::error::{Error, refused};
use crate::labels::{COMPONENT, Component, INSTANCE, as_text, of_all, selector};
use crate::names::{ClusterName, Names};
use crate::phase::{Phase, in_plain_words, phase, printable};
use crate::remote::{Kind, Kubernetes};
use crate::spec::ClusterSpec;

/// Pods as they come: one that cannot be understood must not hide the others.
pub(crate) const PODS: Kind = Kind::new("", "v1", "Pod", "pods");

/// A cluster that was found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub namespace: String,
    /// Seconds since 1970 at which it was made.
    pub created: Option<i64>,
    /// What it is, if that can be understood.
    pub spec: Result<ClusterSpec, Error>,
}

/// A pod of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// `scheduler`, `executor` or `job`.
    pub component: String,
    /// How far it is, and why no further.
    pub phase: Phase,
    /// Where it runs.
    pub node: Option<String>,
    /// Its image.
    pub image: Option<String>,
    /// How often its program was started again.
    pub restarts: u32,
    /// Seconds since 1970 at which it was made.
    pub created: Option<i64>,
}

impl PodView {
    /// Whether it is one of the scheduler.
    pub fn is_scheduler(&self) -> bool {
        self.component == Component::Scheduler.name()
    }

    /// Whether it is an executor.
    pub fn is_executor(&self) -> bool {
        self.component == Component::Executor.name()
    }

    /// Whether it is one of a job.
    pub fn is_of_job(&self) -> bool {
        self.component == Component::Job.name()
    }
}

impl Kubernetes {
    /// The clusters that we may see; of one namespace, if one is given.
    ///
    /// # Errors
    /// Where we may not look.
    pub async fn clusters(&self, namespace: Option<&str>) -> Result<Vec<Found>, Error> {
        let api: Api<ConfigMap> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let found = api.list(&ListParams::default().labels(&of_all())).await;
        let found = found.map_err(|error| refused("list clusters", error))?;
        let mut clusters: Vec<Found> = found.items.iter().map(cluster).collect();
        clusters.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        Ok(clusters)
    }

    /// A cluster as it is described in Kubernetes.
    ///
    /// # Errors
    /// Where there is none, or it cannot be understood.
    pub async fn cluster(&self, name: &ClusterName, namespace: &str) -> Result<ClusterSpec, Error> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(&Names::of(name).config()).await;
        let found = found.map_err(|error| refused(&format!("look at the cluster {name}"), error))?;
        match found {
            Some(map) => described(&map),
            None => Err(Error::NoCluster { name: name.clone(), namespace: namespace.to_string() }),
        }
    }

    /// The pods of a cluster, the scheduler first.
    ///
    /// # Errors
    /// Where we may not look.
    pub async fn pods(&self, name: &ClusterName, namespace: &str) -> Result<Vec<PodView>, Error> {
        let api = self.kind(namespace, PODS);
        let found = api.list(&ListParams::default().labels(&as_text(&selector(name, None)))).await;
        let found = found.map_err(|error| refused(&format!("list the pods of {name}"), error))?;
        let mut views: Vec<PodView> = found.items.into_iter().map(view).collect();
        views.sort_by_cached_key(|pod| (!pod.is_scheduler(), pod.created, pod.name.clone()));
        Ok(views)
    }

    /// What Kubernetes has warned of last about a pod. Of one that does not start, such as one whose volumes are not there, it
    /// says so nowhere else.
    ///
    /// # Errors
    /// Where we may not look.
    pub async fn warning(&self, pod: &str, namespace: &str) -> Result<Option<String>, Error> {
        self.warning_about("Pod", pod, namespace).await
    }

    /// What Kubernetes has warned of last about an object.
    pub(crate) async fn warning_about(&self, kind: &str, name: &str, namespace: &str) -> Result<Option<String>, Error> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let about = format!("involvedObject.kind={kind},involvedObject.name={name},type=Warning");
        let found = api.list(&ListParams::default().fields(&about)).await;
        let found = found.map_err(|error| refused(&format!("look at what happened to {name}"), error))?;
        let time = |event: &&Event| {
            event.last_timestamp.as_ref().or(event.metadata.creation_timestamp.as_ref()).map(|Time(time)| *time)
        };
        let last = found.items.iter().max_by_key(time);
        let said = last.and_then(|event| event.message.as_deref().or(event.reason.as_deref()));
        Ok(said.map(in_plain_words))
    }
}

fn cluster(map: &ConfigMap) -> Found {
    let name = map.labels().get(INSTANCE).cloned().unwrap_or_else(|| map.name_any());
    let created = map.metadata.creation_timestamp.as_ref().map(|Time(time)| time.as_second());
    Found { name, namespace: map.namespace().unwrap_or_default(), created, spec: described(map) }
}

/// What a configuration describes: the cluster that it is of, and no other.
fn described(map: &ConfigMap) -> Result<ClusterSpec, Error> {
    let bad = |reason: String| Error::Description { name: map.name_any(), reason: printable(&reason) };
    let text = map.data.as_ref().and_then(|data| data.get("cluster.json"));
    let text = text.ok_or_else(|| bad("it has no cluster.json".to_string()))?;
    let spec: ClusterSpec = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    let (name, namespace) = (Names::of(&spec.name).config(), map.namespace());
    if name != map.name_any() || Some(&spec.namespace) != namespace.as_ref() {
        return Err(bad(format!("it says to be the {name} of the namespace {}", spec.namespace)));
    }
    Ok(spec)
}

/// A pod as it is shown.
pub(crate) fn view(object: DynamicObject) -> PodView {
    let name = object.name_any();
    let component = object.labels().get(COMPONENT).cloned().unwrap_or_default();
    let created = object.metadata.creation_timestamp.as_ref().map(|Time(time)| time.as_second());
    let unknown = |why: String| PodView {
        name: name.clone(),
        component: component.clone(),
        phase: Phase::Unknown(printable(&why)),
        node: None,
        image: None,
        restarts: 0,
        created,
    };
    let pod: Pod = match object.try_parse() {
        Ok(pod) => pod,
        Err(error) => return unknown(error.to_string()),
    };
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let restarts = containers.iter().map(|container| u32::try_from(container.restart_count).unwrap_or_default());
    let spec = pod.spec.as_ref();
    PodView {
        phase: phase(&pod),
        node: spec.and_then(|spec| spec.node_name.clone()),
        image: spec.and_then(|spec| spec.containers.first()?.image.as_deref().map(printable)),
        restarts: restarts.fold(0, u32::saturating_add),
        name,
        component,
        created,
    }
}
