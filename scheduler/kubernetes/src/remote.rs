//! A Kubernetes, and how a cluster is made there.

use std::fmt;

use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Config};

use crate::error::{Error, innermost, refused};
use crate::executor::executor_pod;
use crate::labels::{MADE_FOR, selector};
use crate::names::{ClusterName, Names};
use crate::objects::{Object, SecretFile, objects};
use crate::spec::{ClusterSpec, SpecError};

/// Who we are among those who change the same object.
const MANAGER: &str = "root-query";

/// A kind of objects of a namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
}

impl Kind {
    pub(crate) const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Self {
        Self { group, version, kind, plural }
    }

    pub(crate) fn resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.plural)
    }
}

/// Jobs.
pub(crate) const JOBS: Kind = Kind::new("batch", "v1", "Job", "jobs");

/// The kinds that a cluster consists of, in the order in which they are deleted: first who would make others anew.
pub(crate) const KINDS: [Kind; 11] = [
    Kind::new("apps", "v1", "Deployment", "deployments"),
    JOBS,
    Kind::new("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    Kind::new("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    Kind::new("", "v1", "Pod", "pods"),
    Kind::new("", "v1", "Service", "services"),
    Kind::new("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind::new("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    Kind::new("", "v1", "ServiceAccount", "serviceaccounts"),
    Kind::new("", "v1", "Secret", "secrets"),
    Kind::new("", "v1", "ConfigMap", "configmaps"),
];

/// A Kubernetes. Clones share the connection.
#[derive(Clone)]
pub struct Kubernetes {
    pub(crate) client: Client,
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        let client = Client::try_from(config).map_err(|error| Error::NotConfigured { reason: innermost(&error) })?;
        Ok((Self { client }, namespace))
    }

    /// A connection that there is.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes a cluster, or changes it to what is described. Without a secret, the one that it has stays.
    ///
    /// Its namespace is made if there is none, and deleted with the last cluster in it. What Kubernetes has no kind for is left
    /// out, and named in the answer.
    ///
    /// # Errors
    /// Where Kubernetes refuses one of its objects, those before it are there then, and the next attempt goes on; or where an
    /// object of somebody else has the name of one of ours, and nothing is changed.
    pub async fn apply(&self, spec: &ClusterSpec, secret: Option<&[SecretFile]>) -> Result<Vec<String>, Error> {
        let objects = objects(spec, secret)?;
        if secret.is_none() {
            self.check_secret(spec).await?;
        }
        for object in &objects {
            self.check_ours(spec, object).await?;
        }
        self.namespace(spec).await?;
        let mut left_out = Vec::new();
        for object in &objects {
            if object.kind == "Deployment" {
                self.try_executor(spec).await?;
            }
            // What others have changed in objects of ours is ours again.
            let params = PatchParams::apply(MANAGER).force();
            match self.object(&spec.namespace, object)?.patch(&object.name, &params, &Patch::Apply(&object.value)).await
            {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 && object.kind == "PodDisruptionBudget" => {
                    left_out.push(format!("{} {}", object.api_version, object.kind));
                }
                Err(error) => return Err(refused(&format!("make the {} {}", object.kind, object.name), error)),
            }
        }
        Ok(left_out)
    }

    async fn namespace(&self, spec: &ClusterSpec) -> Result<(), Error> {
        let (api, name): (Api<Namespace>, _) = (Api::all(self.client.clone()), &spec.namespace);
        match api.get_metadata_opt(name).await {
            Ok(Some(_)) => return Ok(()),
            // Who may not look may still use it.
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(()),
            Ok(None) => {}
            Err(error) => return Err(refused(&format!("look for the namespace {name}"), error)),
        }
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                annotations: Some([(MADE_FOR.to_string(), spec.name.to_string())].into()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        match api.create(&PostParams::default(), &namespace).await {
            Ok(_) => Ok(()),
            // Somebody else has made it in between, and it is theirs.
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
            Err(error) => Err(refused(&format!("make the namespace {name}"), error)),
        }
    }

    /// That there is a secret, if the cluster needs one. What is in it is nothing to be read without need.
    async fn check_secret(&self, spec: &ClusterSpec) -> Result<(), Error> {
        let Err(missing) = spec.check_secret(&[]) else { return Ok(()) };
        let (api, name): (Api<Secret>, _) =
            (Api::namespaced(self.client.clone(), &spec.namespace), Names::of(&spec.name).secret());
        match api.get_metadata_opt(&name).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(missing.into()),
            Err(error) => Err(refused(&format!("look for the Secret {name}"), error)),
        }
    }

    /// The files of the secret of a cluster; none if it has no secret.
    ///
    /// # Errors
    /// Where we may not read it.
    pub async fn secret(&self, name: &ClusterName, namespace: &str) -> Result<Vec<SecretFile>, Error> {
        let (api, secret): (Api<Secret>, _) =
            (Api::namespaced(self.client.clone(), namespace), Names::of(name).secret());
        let found = api.get_opt(&secret).await;
        let found = found.map_err(|error| refused(&format!("read the Secret {secret}"), error))?;
        let files =
            found.filter(|found| is_of(name, &found.metadata)).and_then(|found| found.data).into_iter().flatten();
        Ok(files.map(|(name, content)| SecretFile { name, content: content.0 }).collect())
    }

    /// That there is no such object, or it is one of the cluster.
    async fn check_ours(&self, spec: &ClusterSpec, object: &Object) -> Result<(), Error> {
        let found = self.object(&spec.namespace, object)?.get_metadata_opt(&object.name).await;
        let what = || format!("look at the {} {}", object.kind, object.name);
        let Some(found) = found.map_err(|error| refused(&what(), error))? else { return Ok(()) };
        if is_of(&spec.name, &found.metadata) {
            return Ok(());
        }
        let (kind, namespace) = (object.kind.clone(), spec.namespace.clone());
        Err(Error::Foreign { kind, object: object.name.clone(), namespace })
    }

    /// Has Kubernetes look at the pod of an executor without making it: a bad one is told to whoever describes it, and not only
    /// to the scheduler when it is needed.
    async fn try_executor(&self, spec: &ClusterSpec) -> Result<(), Error> {
        let name = format!("{}-check", Names::of(&spec.name).executor_prefix());
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &spec.namespace);
        let params = PostParams { dry_run: true, ..PostParams::default() };
        match pods.create(&params, &executor_pod(spec, &name, 0, None)).await {
            Err(kube::Error::Api(status)) if status.code == 422 => {
                Err(refused("accept executors as they are described", kube::Error::Api(status)))
            }
            // Other reasons not to make it now, such as a quota that is used up, say nothing about later.
            Ok(_) | Err(kube::Error::Api(_)) => Ok(()),
            Err(error) => Err(refused("look at the pod of an executor", error)),
        }
    }

    fn object(&self, namespace: &str, object: &Object) -> Result<Api<DynamicObject>, Error> {
        match KINDS.iter().find(|kind| kind.kind == object.kind) {
            Some(kind) => Ok(self.kind(namespace, *kind)),
            None => Err(Error::Spec(SpecError::Name { what: "a kind of objects", given: object.kind.clone() })),
        }
    }

    pub(crate) fn kind(&self, namespace: &str, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }
}

/// Whether an object says that it is of a cluster.
pub(crate) fn is_of(cluster: &ClusterName, metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.as_ref();
    selector(cluster, None).iter().all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
}
