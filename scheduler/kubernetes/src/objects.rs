//! The objects of a cluster, as its creator applies them.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, ContainerPort, HTTPGetAction, KeyToPath, PodSpec, PodTemplateSpec, Probe, Secret,
    SecretVolumeSource, Service, ServiceAccount, ServicePort, ServiceSpec, Volume, VolumeMount,
};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::executor::{
    CONFIG, as_nobody, common_mounts, common_volumes, confined, environment, pull_secrets, resources,
};
use crate::names::Names;
use crate::spec::{ClusterSpec, SpecError};

/// The port for users.
pub(crate) const USERS_PORT: i32 = 50050;
/// The port for executors.
pub(crate) const EXECUTORS_PORT: i32 = 50051;
/// Where files are that only the scheduler has: tokens and the key of its certificate.
const DOOR: &str = "/etc/root-query/door";
/// What all objects are part of.
const PART_OF: &str = "root-query";

/// An object of a cluster.
#[derive(Debug, Clone, PartialEq)]
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

/// What a pod of a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    Scheduler,
    Executor,
}

impl Component {
    fn name(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::Executor => "executor",
        }
    }
}

/// The labels of an object (<https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>).
pub(crate) fn labels(spec: &ClusterSpec, component: Option<Component>) -> BTreeMap<String, String> {
    let mut labels = selector(spec, component);
    labels.insert("app.kubernetes.io/managed-by".to_string(), PART_OF.to_string());
    labels.insert("app.kubernetes.io/version".to_string(), env!("CARGO_PKG_VERSION").to_string());
    labels
}

/// The labels by which objects of a cluster are found.
pub(crate) fn selector(spec: &ClusterSpec, component: Option<Component>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("app.kubernetes.io/name".to_string(), PART_OF.to_string()),
        ("app.kubernetes.io/instance".to_string(), spec.name.to_string()),
    ]);
    if let Some(component) = component {
        labels.insert("app.kubernetes.io/component".to_string(), component.name().to_string());
    }
    labels
}

/// The objects of a cluster, in the order in which they are to be applied.
///
/// # Errors
/// Where the specification cannot be carried out.
pub fn objects(spec: &ClusterSpec, secret: &[SecretFile]) -> Result<Vec<Object>, SpecError> {
    spec.check()?;
    let names = Names::of(&spec.name);
    let mut objects = vec![
        object(&service_account(spec, &names.scheduler())),
        object(&service_account(spec, &names.executor())),
        object(&role(spec, &names)),
        object(&role_binding(spec, &names)),
        object(&config(spec, &names)),
    ];
    if !secret.is_empty() {
        objects.push(object(&secret_of(spec, &names, secret)));
    }
    objects.extend([
        object(&policy_of_scheduler(spec, &names)),
        object(&policy_of_executors(spec, &names)),
        object(&disruption_budget(spec, &names)),
        object(&service(spec, &names.service(), &[("users", USERS_PORT)])),
        object(&service(spec, &names.scheduler(), &[("executors", EXECUTORS_PORT)])),
        object(&deployment(spec, &names, secret)),
    ]);
    Ok(objects.into_iter().flatten().collect())
}

/// An object as JSON; all that is put together here has a form in JSON.
fn object<T: k8s_openapi::Resource + Serialize + k8s_openapi::Metadata<Ty = ObjectMeta>>(typed: &T) -> Option<Object> {
    let value = serde_json::to_value(typed).ok()?;
    let name = typed.metadata().name.clone().unwrap_or_default();
    Some(Object { api_version: T::API_VERSION.to_string(), kind: T::KIND.to_string(), name, value })
}

fn metadata(spec: &ClusterSpec, name: &str, component: Option<Component>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_string()),
        namespace: Some(spec.namespace.clone()),
        labels: Some(labels(spec, component)),
        ..ObjectMeta::default()
    }
}

fn pods(spec: &ClusterSpec, component: Component) -> LabelSelector {
    LabelSelector { match_labels: Some(selector(spec, Some(component))), match_expressions: None }
}

fn service_account(spec: &ClusterSpec, name: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(spec, name, None),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// What the scheduler may: its executors, and to see why they do not start.
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
            rule("", &["events"], &["list"]),
            own,
        ]),
    }
}

fn role_binding(spec: &ClusterSpec, names: &Names) -> RoleBinding {
    RoleBinding {
        metadata: metadata(spec, &names.scheduler(), None),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_string(),
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

fn config(spec: &ClusterSpec, names: &Names) -> ConfigMap {
    let cluster = serde_json::to_string_pretty(spec).unwrap_or_default();
    ConfigMap {
        metadata: metadata(spec, &names.config(), None),
        data: Some(BTreeMap::from([
            ("cluster.json".to_string(), cluster),
            ("stores.toml".to_string(), spec.stores.clone()),
        ])),
        ..ConfigMap::default()
    }
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

fn port(number: i32) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(IntOrString::Int(number)), protocol: Some("TCP".to_string()), end_port: None }
}

fn peer(spec: &ClusterSpec, component: Component) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(pods(spec, component)), ..NetworkPolicyPeer::default() }
}

/// Everybody may reach the port of users, and executors theirs.
fn policy_of_scheduler(spec: &ClusterSpec, names: &Names) -> NetworkPolicy {
    let users = NetworkPolicyIngressRule { from: None, ports: Some(vec![port(USERS_PORT)]) };
    let executors = NetworkPolicyIngressRule {
        from: Some(vec![peer(spec, Component::Executor)]),
        ports: Some(vec![port(EXECUTORS_PORT)]),
    };
    NetworkPolicy {
        metadata: metadata(spec, &names.scheduler(), None),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods(spec, Component::Scheduler)),
            policy_types: Some(vec!["Ingress".to_string()]),
            ingress: Some(vec![users, executors]),
            egress: None,
        }),
    }
}

/// Ports of storage and of those who say who we are: Kerberos, HTTP and HTTPS, XRootD, WebDAV and HDFS.
const STORAGE: [i32; 10] = [80, 88, 443, 1094, 1095, 8020, 8443, 9000, 9866, 50010];

/// Only the scheduler and other executors reach an executor, and it reaches these, storage, and the names of hosts.
fn policy_of_executors(spec: &ClusterSpec, names: &Names) -> NetworkPolicy {
    let cluster = vec![peer(spec, Component::Scheduler), peer(spec, Component::Executor)];
    let udp = |number| NetworkPolicyPort { protocol: Some("UDP".to_string()), ..port(number) };
    let within = NetworkPolicyEgressRule { to: Some(cluster.clone()), ports: None };
    let hosts = NetworkPolicyEgressRule { to: None, ports: Some(vec![port(53), udp(53), udp(88)]) };
    let storage = NetworkPolicyEgressRule { to: None, ports: Some(STORAGE.map(port).into()) };
    NetworkPolicy {
        metadata: metadata(spec, &names.executor(), None),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods(spec, Component::Executor)),
            policy_types: Some(vec!["Ingress".to_string(), "Egress".to_string()]),
            ingress: Some(vec![NetworkPolicyIngressRule { from: Some(cluster), ports: None }]),
            egress: Some(vec![within, hosts, storage]),
        }),
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
            selector: Some(selector(spec, Some(Component::Scheduler))),
            ports: Some(ports.iter().map(port).collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn deployment(spec: &ClusterSpec, names: &Names, secret: &[SecretFile]) -> Deployment {
    // Pods read their configuration once: another one is another pod.
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(spec).unwrap_or_default());
    for file in secret {
        hash.update(file.name.as_bytes());
        hash.update(&file.content);
    }
    let hash: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(spec, Some(Component::Scheduler))),
            annotations: Some(BTreeMap::from([("root-query.io/configuration".to_string(), hash)])),
            ..ObjectMeta::default()
        }),
        spec: Some(scheduler_pod(spec, names)),
    };
    Deployment {
        metadata: metadata(spec, &names.scheduler(), Some(Component::Scheduler)),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            // Two schedulers would start executors for the same cluster.
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_string()), rolling_update: None }),
            selector: pods(spec, Component::Scheduler),
            template,
            ..DeploymentSpec::default()
        }),
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
        arguments.extend(["--token-file".to_string(), format!("{DOOR}/tokens")]);
        own.push("tokens");
    }
    if spec.tls {
        arguments.extend(["--tls-cert".to_string(), format!("{DOOR}/tls.crt")]);
        arguments.extend(["--tls-key".to_string(), format!("{DOOR}/tls.key")]);
        own.extend(["tls.crt", "tls.key"]);
    }
    arguments.extend(spec.scheduler_arguments.iter().cloned());
    let (mut volumes, mut mounts) = (common_volumes(spec), common_mounts(spec));
    if !own.is_empty() {
        let item = |key: &&str| KeyToPath { key: key.to_string(), path: key.to_string(), mode: None };
        let source = SecretVolumeSource {
            secret_name: Some(names.secret()),
            items: Some(own.iter().map(item).collect()),
            default_mode: Some(0o440),
            optional: None,
        };
        volumes.push(Volume { name: "door".to_string(), secret: Some(source), ..Volume::default() });
        mounts.push(VolumeMount {
            name: "door".to_string(),
            mount_path: DOOR.to_string(),
            read_only: Some(true),
            ..VolumeMount::default()
        });
    }
    let port = |name: &str, number| ContainerPort {
        name: Some(name.to_string()),
        container_port: number,
        ..ContainerPort::default()
    };
    let container = Container {
        name: "scheduler".to_string(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some(spec.pull_policy.clone()),
        command: Some(vec!["root-scheduler".to_string()]),
        args: Some(arguments),
        env: Some(environment(spec)),
        ports: Some(vec![port("users", USERS_PORT), port("executors", EXECUTORS_PORT)]),
        resources: Some(resources(spec.scheduler.cores, &spec.scheduler.memory, None)),
        readiness_probe: Some(probe(spec, "/readyz", 5)),
        liveness_probe: Some(Probe { failure_threshold: Some(6), ..probe(spec, "/healthz", 10) }),
        volume_mounts: Some(mounts),
        security_context: Some(confined()),
        ..Container::default()
    };
    PodSpec {
        containers: vec![container],
        service_account_name: Some(names.scheduler()),
        // It starts executors.
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        image_pull_secrets: Some(pull_secrets(spec)),
        security_context: Some(as_nobody()),
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

fn probe(spec: &ClusterSpec, path: &str, seconds: i32) -> Probe {
    let scheme = if spec.tls { "HTTPS" } else { "HTTP" };
    let get = HTTPGetAction {
        path: Some(path.to_string()),
        port: IntOrString::String("users".to_string()),
        scheme: Some(scheme.to_string()),
        ..HTTPGetAction::default()
    };
    Probe { http_get: Some(get), period_seconds: Some(seconds), timeout_seconds: Some(5), ..Probe::default() }
}

#[cfg(test)]
mod tests;
