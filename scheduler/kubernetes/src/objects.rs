//! The objects of a cluster, as its creator applies them.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, ContainerPort, HTTPGetAction, PodSpec, PodTemplateSpec, Probe, Secret, Service,
    ServiceAccount, ServicePort, ServiceSpec,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::executor::{CONFIG, environment, mounts, pod_of, read_only, resources, secret_volume, volumes};
use crate::labels::{CONFIGURATION, Component, labels, selector};
use crate::names::Names;
use crate::network::{policy_of_executors, policy_of_jobs, policy_of_scheduler};
use crate::spec::{ClusterSpec, SpecError, TLS, TOKENS};

/// The port for users.
pub(crate) const USERS_PORT: i32 = 50050;
/// The port for executors.
pub(crate) const EXECUTORS_PORT: i32 = 50051;
/// Where files are that only the scheduler has: tokens and the key of its certificate.
const DOOR: &str = "/etc/root-query/door";

/// An object of a cluster.
#[derive(Clone, PartialEq)]
pub struct Object {
    /// `apps/v1` and the like.
    pub api_version: String,
    /// `Deployment` and the like.
    pub kind: String,
    /// Its name in the namespace of the cluster.
    pub name: String,
    /// All of it.
    pub value: Value,
}

impl fmt::Debug for Object {
    /// Without what is in it, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} {} {})", self.api_version, self.kind, self.name)
    }
}

/// A file of the secret of a cluster: its name, and what is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// The name.
    pub name: String,
    /// What is in it.
    pub content: Vec<u8>,
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretFile({}, {} bytes)", self.name, self.content.len())
    }
}

/// Whether a text has what is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// It has, and can be applied as it is.
    Shown,
    /// It has the names of files only, and Kubernetes refuses it.
    Hidden,
}

/// The objects of a cluster, in the order in which they are to be applied. Without a secret, that of the cluster is as it is.
///
/// # Errors
/// Where the specification cannot be carried out, or the secret has not what it needs.
pub fn objects(spec: &ClusterSpec, secret: Option<&[SecretFile]>) -> Result<Vec<Object>, SpecError> {
    spec.check()?;
    let names = Names::of(&spec.name);
    let mut objects = vec![
        object(&service_account(spec, &names.scheduler()))?,
        object(&service_account(spec, &names.executor()))?,
        object(&role(spec, &names))?,
        object(&role_binding(spec, &names))?,
        object(&config(spec, &names)?)?,
    ];
    if let Some(files) = secret {
        spec.check_secret(files)?;
        objects.push(object(&secret_of(spec, &names, files))?);
    }
    objects.extend([
        object(&policy_of_scheduler(spec, &names))?,
        object(&policy_of_executors(spec, &names))?,
        object(&policy_of_jobs(spec, &names))?,
        object(&disruption_budget(spec, &names))?,
        object(&service(spec, &names.users(), &[("users", USERS_PORT)]))?,
        object(&service(spec, &names.scheduler(), &[("executors", EXECUTORS_PORT)]))?,
        object(&deployment(spec, &names))?,
    ]);
    Ok(objects)
}

/// Objects as YAML, one document each, as `kubectl apply --server-side -f -` takes them.
///
/// # Errors
/// For what cannot be written.
pub fn yaml(objects: &[Object], secrets: Secrets) -> Result<String, SpecError> {
    let mut text = String::new();
    for object in objects {
        let mut value = object.value.clone();
        let data = value.get_mut("data").and_then(Value::as_object_mut);
        if let (Secrets::Hidden, "Secret", Some(data)) = (secrets, object.kind.as_str(), data) {
            data.values_mut().for_each(|content| *content = Value::from("(hidden)"));
        }
        let document = serde_saphyr::to_string(&value).map_err(|error| SpecError::Unwritable {
            kind: "object",
            name: object.name.clone(),
            reason: error.to_string(),
        })?;
        text.push_str("---\n");
        text.push_str(&document);
    }
    Ok(text)
}

pub(crate) fn object<T: k8s_openapi::Resource + Serialize + k8s_openapi::Metadata<Ty = ObjectMeta>>(
    typed: &T,
) -> Result<Object, SpecError> {
    let name = typed.metadata().name.clone().unwrap_or_default();
    match serde_json::to_value(typed) {
        Ok(value) => Ok(Object { api_version: T::API_VERSION.to_string(), kind: T::KIND.to_string(), name, value }),
        Err(error) => Err(SpecError::Unwritable { kind: T::KIND, name, reason: error.to_string() }),
    }
}

pub(crate) fn metadata(spec: &ClusterSpec, name: &str, component: Option<Component>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_string()),
        namespace: Some(spec.namespace.clone()),
        labels: Some(labels(&spec.name, component)),
        ..ObjectMeta::default()
    }
}

pub(crate) fn pods(spec: &ClusterSpec, component: Component) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(&spec.name, Some(component))), match_expressions: None }
}

fn service_account(spec: &ClusterSpec, name: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(spec, name, None),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// What the scheduler may: its executors, keeping the logs of jobs, and nothing else. Kubernetes cannot say "its own pods":
/// whoever may make pods of a namespace may use all that these may use there, so a namespace is what keeps clusters of different
/// people apart.
fn role(spec: &ClusterSpec, names: &Names) -> Role {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| PolicyRule {
        api_groups: Some(vec![group.to_string()]),
        resources: Some(resources.iter().map(ToString::to_string).collect()),
        verbs: verbs.iter().map(ToString::to_string).collect(),
        ..PolicyRule::default()
    };
    let mut own = rule("apps", &["deployments"], &["get"]);
    // Its own deployment, which owns the executors.
    own.resource_names = Some(vec![names.scheduler()]);
    Role {
        metadata: metadata(spec, &names.scheduler(), None),
        rules: Some(vec![
            rule("", &["pods"], &["create", "delete", "get", "list", "watch"]),
            // What one that failed has said last.
            rule("", &["pods/log"], &["get"]),
            // Where it keeps the logs of jobs. It can make none.
            rule("batch", &["jobs"], &["get", "patch"]),
            own,
        ]),
    }
}

fn role_binding(spec: &ClusterSpec, names: &Names) -> RoleBinding {
    RoleBinding {
        metadata: metadata(spec, &names.scheduler(), None),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_string()),
            kind: "Role".to_string(),
            name: names.scheduler(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_string(),
            name: names.scheduler(),
            namespace: Some(spec.namespace.clone()),
            api_group: None,
        }]),
    }
}

fn config(spec: &ClusterSpec, names: &Names) -> Result<ConfigMap, SpecError> {
    let cluster = serde_json::to_string_pretty(spec).map_err(|error| SpecError::Unwritable {
        kind: "ConfigMap",
        name: names.config(),
        reason: error.to_string(),
    })?;
    let data = [("cluster.json", cluster), ("stores.toml", spec.stores.clone())];
    Ok(ConfigMap {
        metadata: metadata(spec, &names.config(), None),
        data: Some(data.map(|(name, content)| (name.to_string(), content)).into()),
        ..ConfigMap::default()
    })
}

fn secret_of(spec: &ClusterSpec, names: &Names, files: &[SecretFile]) -> Secret {
    let data = files.iter().map(|file| (file.name.clone(), ByteString(file.content.clone())));
    Secret {
        metadata: metadata(spec, &names.secret(), None),
        data: Some(data.collect()),
        type_: Some("Opaque".to_string()),
        ..Secret::default()
    }
}

/// Nodes that are emptied wait until somebody moves the scheduler, which jobs depend on.
fn disruption_budget(spec: &ClusterSpec, names: &Names) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(spec, &names.scheduler(), None),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(1)),
            selector: Some(pods(spec, Component::Scheduler)),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

fn service(spec: &ClusterSpec, name: &str, ports: &[(&str, i32)]) -> Service {
    let port = |(name, number): &(&str, i32)| ServicePort {
        name: Some(name.to_string()),
        port: *number,
        target_port: Some(IntOrString::String(name.to_string())),
        protocol: Some("TCP".to_string()),
        ..ServicePort::default()
    };
    Service {
        metadata: metadata(spec, name, None),
        spec: Some(ServiceSpec {
            selector: Some(selector(&spec.name, Some(Component::Scheduler))),
            ports: Some(ports.iter().map(port).collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// What tells one configuration from another. Pods read it once: another one is another pod. Secrets are not part of it, as
/// they are read again when they change, and a new ticket is no reason to end jobs.
pub(crate) fn configuration(spec: &ClusterSpec) -> String {
    let text = serde_json::to_vec(spec).unwrap_or_default();
    Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn deployment(spec: &ClusterSpec, names: &Names) -> Deployment {
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(&spec.name, Some(Component::Scheduler))),
            annotations: Some(BTreeMap::from([(CONFIGURATION.to_string(), configuration(spec))])),
            ..ObjectMeta::default()
        }),
        spec: Some(scheduler_pod(spec, names)),
    };
    Deployment {
        metadata: metadata(spec, &names.scheduler(), Some(Component::Scheduler)),
        spec: DeploymentSpec {
            replicas: Some(1),
            revision_history_limit: Some(2),
            // Two schedulers would start executors for the same cluster.
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_string()), rolling_update: None }),
            selector: pods(spec, Component::Scheduler),
            template,
            ..DeploymentSpec::default()
        },
        status: None,
    }
}

fn scheduler_pod(spec: &ClusterSpec, names: &Names) -> PodSpec {
    let mut arguments: Vec<String> = vec![
        "--listen".to_string(),
        format!("0.0.0.0:{USERS_PORT}"),
        "--executors-listen".to_string(),
        format!("0.0.0.0:{EXECUTORS_PORT}"),
        "--host".to_string(),
        format!("{}.{}.svc", names.scheduler(), spec.namespace),
        "--kubernetes".to_string(),
        format!("{CONFIG}/cluster.json"),
        "--stores".to_string(),
        format!("{CONFIG}/stores.toml"),
        "--log-format".to_string(),
        "json".to_string(),
    ];
    let mut own = Vec::new();
    if spec.tokens {
        arguments.extend(["--token-file".to_string(), format!("{DOOR}/{TOKENS}")]);
        own.push(TOKENS);
    }
    if spec.tls {
        let [certificate, key] = TLS.map(|file| format!("{DOOR}/{file}"));
        arguments.extend(["--tls-cert".to_string(), certificate, "--tls-key".to_string(), key]);
        own.extend(TLS);
    }
    arguments.extend(spec.scheduler.arguments.iter().cloned());
    let place = &spec.scheduler.place;
    let (mut volumes, mut mounts) = (volumes(spec, place, None), mounts(spec, place));
    if !own.is_empty() {
        volumes.push(secret_volume(spec, "door", own.into_iter()));
        mounts.push(read_only("door", DOOR));
    }
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_string()),
        container_port: number,
        protocol: Some("TCP".to_string()),
        ..ContainerPort::default()
    };
    let container = Container {
        name: "scheduler".to_string(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some(spec.pull_policy.as_str().to_string()),
        command: Some(vec!["root-scheduler".to_string()]),
        args: Some(arguments),
        env: Some(environment(spec)),
        ports: Some(vec![port("users", USERS_PORT), port("executors", EXECUTORS_PORT)]),
        resources: Some(resources(&spec.scheduler.resources, &spec.scheduler.resources.memory, None)),
        // Not `/readyz`, which waits for executors: these find the scheduler by a service, and it has none until it is ready.
        readiness_probe: Some(probe(spec, 2, 3)),
        liveness_probe: Some(probe(spec, 10, 6)),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    PodSpec {
        service_account_name: Some(names.scheduler()),
        // It starts executors.
        automount_service_account_token: Some(true),
        ..pod_of(spec, place, volumes, container)
    }
}

/// Asks whether the scheduler answers, every so many seconds, until it has not so many times.
fn probe(spec: &ClusterSpec, seconds: i32, failures: i32) -> Probe {
    let scheme = if spec.tls { "HTTPS" } else { "HTTP" };
    let get = HTTPGetAction {
        path: Some("/healthz".to_string()),
        port: IntOrString::String("users".to_string()),
        scheme: Some(scheme.to_string()),
        ..HTTPGetAction::default()
    };
    Probe {
        http_get: Some(get),
        period_seconds: Some(seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

#[cfg(test)]
mod tests;
