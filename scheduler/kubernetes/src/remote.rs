//! A Kubernetes, and the clusters on it: applied, looked at, and deleted with all that belongs to them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::KubeConfigOptions;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Config, ResourceExt};

use crate::names::{ClusterName, Names};
use crate::objects::{Object, SecretFile, objects};
use crate::phase::{Phase, phase};
use crate::spec::{ClusterSpec, SpecError};

/// Who we are among those who change the same object.
const MANAGER: &str = "root-query";
/// How often it is looked whether everything is gone.
const LOOK: Duration = Duration::from_millis(500);

/// The kinds that a cluster consists of: group, version, kind, and name of the resource; in the order in which they are deleted,
/// executors last, as they would be started again by a scheduler that lives.
const KINDS: [(&str, &str, &str, &str); 10] = [
    ("apps", "v1", "Deployment", "deployments"),
    ("", "v1", "Service", "services"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Pod", "pods"),
];

/// Kubernetes does not do what it is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not known where it is, or who we are there.
    #[error("no Kubernetes is configured: {reason}; set KUBECONFIG, or name a --context")]
    NotConfigured {
        /// What is missing.
        reason: String,
    },
    /// It does not answer.
    #[error("Kubernetes does not answer: {reason}")]
    Unreachable {
        /// What happened.
        reason: String,
    },
    /// It refuses.
    #[error("Kubernetes refuses to {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Its reason.
        reason: String,
        /// The code of HTTP.
        code: u16,
    },
    /// There is no such cluster.
    #[error("there is no cluster {name} in the namespace {namespace}; `root-query cluster list` has those that there are")]
    NoCluster {
        /// Its name.
        name: ClusterName,
        /// Where it was looked for.
        namespace: String,
    },
    /// What stands in Kubernetes describes no cluster.
    #[error("the cluster {name} cannot be understood, perhaps as it was made by another version: {reason}")]
    Description {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be as it is described.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Something stays.
    #[error("{left} of the cluster {name} are still there after {} s", time.as_secs())]
    Stays {
        /// The cluster.
        name: ClusterName,
        /// What is left.
        left: String,
        /// How long it was waited for.
        time: Duration,
    },
}

/// A pod of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// `scheduler` or `executor`.
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

/// A Kubernetes. Clones share the connection.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes").finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// The one of a context of the configuration, or of the current context; within a pod, the one that it runs in. With it the
    /// namespace that is used there.
    ///
    /// # Errors
    /// Where none is configured.
    pub async fn connect(context: Option<&str>) -> Result<(Self, String), Error> {
        let missing = |error: &dyn std::error::Error| Error::NotConfigured { reason: error.to_string() };
        let config = match context {
            Some(context) => {
                let options = KubeConfigOptions { context: Some(context.to_string()), ..KubeConfigOptions::default() };
                Config::from_kubeconfig(&options).await.map_err(|error| missing(&error))?
            }
            None => Config::infer().await.map_err(|error| missing(&error))?,
        };
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| missing(&error))?;
        Ok((Self { client }, namespace))
    }

    /// A connection that there is.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes a cluster, or changes it to what is described.
    ///
    /// Its namespace is made if there is none. What Kubernetes has no kind for is left out, and named in the answer.
    ///
    /// # Errors
    /// Where Kubernetes refuses one of its objects; those before it are there then, and the next attempt goes on.
    pub async fn apply(&self, spec: &ClusterSpec, secret: &[SecretFile]) -> Result<Vec<String>, Error> {
        self.namespace(&spec.namespace).await?;
        let mut left_out = Vec::new();
        for object in objects(spec, secret)? {
            let api = self.api(&spec.namespace, &object);
            // What others have changed in objects of ours is ours again.
            let params = PatchParams::apply(MANAGER).force();
            match api.patch(&object.name, &params, &Patch::Apply(&object.value)).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 && object.kind == "PodDisruptionBudget" => {
                    left_out.push(format!("{} {}", object.api_version, object.kind));
                }
                Err(error) => return Err(refused(&format!("make the {} {}", object.kind, object.name), error)),
            }
        }
        Ok(left_out)
    }

    async fn namespace(&self, name: &str) -> Result<(), Error> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        match api.get_opt(name).await {
            Ok(Some(_)) => return Ok(()),
            // Who may not look may still use it.
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(()),
            Ok(None) => {}
            Err(error) => return Err(refused(&format!("look for the namespace {name}"), error)),
        }
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_string());
        let made = api.create(&Default::default(), &namespace).await;
        made.map(|_| ()).map_err(|error| refused(&format!("make the namespace {name}"), error))
    }

    fn api(&self, namespace: &str, object: &Object) -> Api<DynamicObject> {
        let (group, version) = object.api_version.split_once('/').unwrap_or(("", &object.api_version));
        let known = KINDS.iter().find(|(.., kind, _)| *kind == object.kind);
        let plural = known.map_or_else(|| format!("{}s", object.kind.to_lowercase()), |(.., plural)| plural.to_string());
        let kind = GroupVersionKind::gvk(group, version, &object.kind);
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, &plural))
    }

    /// The names and namespaces of all clusters that we may see; of one namespace, if one is given.
    ///
    /// # Errors
    /// Where we may not look.
    pub async fn clusters(&self, namespace: Option<&str>) -> Result<Vec<ClusterSpec>, Error> {
        let api: Api<ConfigMap> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let ours = "app.kubernetes.io/name=root-query,app.kubernetes.io/managed-by=root-query";
        let found = api.list(&ListParams::default().labels(ours)).await;
        let found = found.map_err(|error| refused("list clusters", error))?;
        found.items.iter().filter(|map| data(map).is_some()).map(described).collect()
    }

    /// A cluster as it is described in Kubernetes.
    ///
    /// # Errors
    /// Where there is none.
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
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let found = api.list(&ListParams::default().labels(&of_cluster(name))).await;
        let found = found.map_err(|error| refused(&format!("list the pods of {name}"), error))?;
        let mut views: Vec<PodView> = found.items.iter().map(view).collect();
        views.sort_by_cached_key(|pod| (pod.component != "scheduler", pod.created, pod.name.clone()));
        Ok(views)
    }

    /// Deletes a cluster, and waits until nothing is left of it. Its namespace stays.
    ///
    /// # Errors
    /// Where we may not delete, or something stays.
    pub async fn delete(&self, name: &ClusterName, namespace: &str, time: Duration) -> Result<(), Error> {
        let list = ListParams::default().labels(&of_cluster(name));
        let since = Instant::now();
        loop {
            let mut left = BTreeMap::new();
            for (group, version, kind, plural) in KINDS {
                let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
                let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
                let found = match api.list_metadata(&list).await {
                    Ok(found) => found,
                    Err(kube::Error::Api(status)) if status.code == 404 => continue,
                    Err(error) => return Err(refused(&format!("list the {plural} of {name}"), error)),
                };
                for object in &found.items {
                    *left.entry(plural).or_insert(0) += 1;
                    if object.metadata.deletion_timestamp.is_some() {
                        continue;
                    }
                    match api.delete(&object.name_any(), &DeleteParams::background()).await {
                        Ok(_) => {}
                        Err(kube::Error::Api(status)) if status.code == 404 => {}
                        Err(error) => return Err(refused(&format!("delete the {kind} {}", object.name_any()), error)),
                    }
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            if since.elapsed() > time {
                let left = left.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ");
                return Err(Error::Stays { name: name.clone(), left, time });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn of_cluster(name: &ClusterName) -> String {
    format!("app.kubernetes.io/name=root-query,app.kubernetes.io/instance={name}")
}

fn data(map: &ConfigMap) -> Option<&String> {
    map.data.as_ref()?.get("cluster.json")
}

fn described(map: &ConfigMap) -> Result<ClusterSpec, Error> {
    let bad = |reason: String| Error::Description { name: map.name_any(), reason };
    let text = data(map).ok_or_else(|| bad("there is no cluster.json".to_string()))?;
    serde_json::from_str(text).map_err(|error| bad(error.to_string()))
}

fn view(pod: &Pod) -> PodView {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let spec = pod.spec.as_ref();
    PodView {
        name: pod.name_any(),
        component: pod.labels().get("app.kubernetes.io/component").cloned().unwrap_or_default(),
        phase: phase(pod),
        node: spec.and_then(|spec| spec.node_name.clone()),
        image: spec.and_then(|spec| spec.containers.first()?.image.clone()),
        restarts: containers.iter().map(|container| u32::try_from(container.restart_count).unwrap_or_default()).sum(),
        created: pod.metadata.creation_timestamp.as_ref().map(|Time(time)| time.as_second()),
    }
}

/// What a call that failed means.
fn refused(what: &str, error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => {
            Error::Refused { what: what.to_string(), reason: status.message.clone(), code: status.code }
        }
        error => Error::Unreachable { reason: innermost(&error) },
    }
}

/// The innermost cause, which says most.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
