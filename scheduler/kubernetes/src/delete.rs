//! How a cluster is deleted, with all that belongs to it.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, passes, refused};
use crate::labels::{MADE_FOR, as_text, selector};
use crate::names::ClusterName;
use crate::remote::{KINDS, Kind, Kubernetes};

/// How often it is looked whether everything is gone.
const LOOK: Duration = Duration::from_millis(500);
/// Seconds that pods have to end: nobody wants their rows any more.
const GRACE: u32 = 5;

/// What shows that somebody else uses a namespace.
const USED_FOR: [Kind; 9] = [
    Kind::new("", "v1", "Pod", "pods"),
    Kind::new("", "v1", "Service", "services"),
    Kind::new("", "v1", "ConfigMap", "configmaps"),
    Kind::new("", "v1", "Secret", "secrets"),
    Kind::new("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Kind::new("apps", "v1", "Deployment", "deployments"),
    Kind::new("apps", "v1", "StatefulSet", "statefulsets"),
    Kind::new("apps", "v1", "DaemonSet", "daemonsets"),
    Kind::new("batch", "v1", "Job", "jobs"),
];
/// What Kubernetes itself puts into every namespace.
const OF_EVERY_NAMESPACE: [&str; 2] = ["kube-root-ca.crt", "openshift-service-ca.crt"];
/// Where the token of a service account says whose it is.
const OF_SERVICE_ACCOUNT: &str = "kubernetes.io/service-account.name";

/// What has become of the namespace of a cluster that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceFate {
    /// It was there before the first cluster, and stays.
    Kept,
    /// It was made for a cluster, and is gone.
    Gone,
    /// It was made for a cluster, and stays as there are other things in it: these.
    InUse(Vec<String>),
}

/// Whose a namespace is.
enum Whose {
    /// There is none.
    Nobodys,
    /// Somebody has made it, and not for a cluster.
    Somebodys,
    /// It was made for a cluster.
    Ours(Box<ObjectMeta>),
}

/// What is left, and by whom it is held.
fn told(kind: Kind, object: &ObjectMeta) -> String {
    let name = object.name.as_deref().unwrap_or_default();
    match object.finalizers.as_deref().unwrap_or_default() {
        [] => format!("{} {name}", kind.kind),
        holders => format!("{} {name} (held by {})", kind.kind, holders.join(" and ")),
    }
}

impl Kubernetes {
    /// Deletes a cluster and waits until nothing is left of it, its namespace included if it was made for a cluster and nobody
    /// else uses it. While Kubernetes is away it is waited for.
    ///
    /// # Errors
    /// Where there is no such cluster, we may not delete, or something stays.
    pub async fn delete(&self, name: &ClusterName, namespace: &str, time: Duration) -> Result<NamespaceFate, Error> {
        let deadline = Instant::now() + time;
        let stays = |left: Vec<String>| Error::Stays { name: name.clone(), left: left.join(", "), time };
        let mut left = self.delete_all(name, namespace).await?;
        // Without one, an attempt before this may have left the namespace.
        if left.is_empty() && self.delete_namespace(namespace).await?.is_some() {
            return Err(Error::NoCluster { name: name.clone(), namespace: namespace.to_string() });
        }
        while !left.is_empty() {
            tokio::time::sleep(LOOK).await;
            match timeout_at(deadline, self.delete_all(name, namespace)).await {
                Ok(Ok(now)) => left = now,
                Ok(Err(error)) if passes(&error) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(stays(left)),
            }
        }
        loop {
            match timeout_at(deadline, self.delete_namespace(namespace)).await {
                Ok(Ok(Some(fate))) => return Ok(fate),
                Ok(Err(error)) if !passes(&error) => return Err(error),
                Ok(Ok(None) | Err(_)) => tokio::time::sleep(LOOK).await,
                Err(_) => return Err(stays(vec![format!("Namespace {namespace}")])),
            }
        }
    }

    /// Has all objects of a cluster deleted that are there, and says which were. One that cannot be deleted keeps no other.
    async fn delete_all(&self, name: &ClusterName, namespace: &str) -> Result<Vec<String>, Error> {
        let ours = as_text(&selector(name, None));
        let (mut left, mut refused) = (Vec::new(), None);
        for kind in KINDS {
            match self.all(namespace, kind, Some(&ours)).await {
                Ok(found) => {
                    for object in &found {
                        left.push(told(kind, &object.metadata));
                        refused = refused.or(self.delete_one(namespace, kind, &object.metadata).await.err());
                    }
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        refused.map_or(Ok(left), Err)
    }

    /// What there is of a kind, which Kubernetes may not have.
    async fn all(&self, namespace: &str, kind: Kind, labels: Option<&str>) -> Result<Vec<PartialObjectMeta>, Error> {
        let list = ListParams { label_selector: labels.map(str::to_string), ..ListParams::default() };
        // Not what is in them: it may be rubbish, or secret.
        match self.kind(namespace, kind).list_metadata(&list).await {
            Ok(found) => Ok(found.items),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(error) => Err(refused(&format!("list the {} of {namespace}", kind.plural), error)),
        }
    }

    async fn delete_one(&self, namespace: &str, kind: Kind, object: &ObjectMeta) -> Result<(), Error> {
        let name = object.name.clone().unwrap_or_default();
        let mut params = match kind.kind {
            // It is gone only when what it has made is gone.
            "Deployment" | "Job" => DeleteParams::foreground(),
            _ => DeleteParams::background(),
        };
        let mut is_done = object.deletion_timestamp.is_some();
        if kind.kind == "Pod" {
            params.grace_period_seconds = Some(GRACE);
            // It may have been told to end with all the time that it wants.
            is_done = is_done && object.deletion_grace_period_seconds.is_some_and(|grace| grace <= i64::from(GRACE));
        }
        if is_done {
            return Ok(());
        }
        // Not another one that has come in its place.
        params.preconditions = Some(Preconditions { uid: object.uid.clone(), ..Preconditions::default() });
        match self.kind(namespace, kind).delete(&name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(refused(&format!("delete the {} {name}", kind.kind), error)),
        }
    }

    async fn whose(&self, namespace: &str) -> Result<Whose, Error> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        match api.get_metadata_opt(namespace).await {
            Ok(None) => Ok(Whose::Nobodys),
            Ok(Some(found)) if found.annotations().contains_key(MADE_FOR) => Ok(Whose::Ours(Box::new(found.metadata))),
            Ok(Some(_)) => Ok(Whose::Somebodys),
            // Who may not look has not made it.
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(Whose::Somebodys),
            Err(error) => Err(refused(&format!("look for the namespace {namespace}"), error)),
        }
    }

    /// Has the namespace deleted if it was made for a cluster and is empty. What has become of it, once it is known.
    async fn delete_namespace(&self, name: &str) -> Result<Option<NamespaceFate>, Error> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let namespace = match self.whose(name).await? {
            Whose::Nobodys => return Ok(Some(NamespaceFate::Gone)),
            Whose::Somebodys => return Ok(Some(NamespaceFate::Kept)),
            Whose::Ours(namespace) => namespace,
        };
        if namespace.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let mut others = BTreeSet::new();
        for kind in USED_FOR {
            let found = self.all(name, kind, None).await?;
            let of_others = found.iter().filter(|object| {
                !OF_EVERY_NAMESPACE.contains(&object.name_any().as_str())
                    && !object.annotations().contains_key(OF_SERVICE_ACCOUNT)
            });
            others.extend(of_others.map(|object| format!("{} {}", kind.kind, object.name_any())));
        }
        if !others.is_empty() {
            return Ok(Some(NamespaceFate::InUse(others.into_iter().collect())));
        }
        let preconditions = Preconditions { uid: namespace.uid, ..Preconditions::default() };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match api.delete(name, &params).await {
            Ok(_) => Ok(None),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
            Err(error) => Err(refused(&format!("delete the namespace {name}"), error)),
        }
    }
}
