//! The pod of an executor, as the scheduler starts it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, KeyToPath,
    LocalObjectReference, ObjectFieldSelector, Pod, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
    SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::labels::{CONFIGURATION, Component, as_text, labels, selector};
use crate::names::Names;
use crate::objects::{EXECUTORS_PORT, configuration};
use crate::spec::{ClusterSpec, POD_IP, Place, Resources};

/// Where the configuration is.
pub(crate) const CONFIG: &str = "/etc/root-query/config";
/// Where secrets are that storage wants.
pub(crate) const SECRETS: &str = "/etc/root-query/secret";
/// The only directory that can be written to.
const SCRATCH: &str = "/scratch";
/// Where a pod says how much memory it has compared with others of its cluster.
pub(crate) const MEMORY_STEP: &str = "root-query.io/memory-step";

/// The pod of an executor.
///
/// `step` is how often executors with less memory have run out of it. `owner` is the deployment of the scheduler, so that
/// executors end with it.
pub fn executor_pod(spec: &ClusterSpec, name: &str, step: u32, owner: Option<OwnerReference>) -> Pod {
    let names = Names::of(&spec.name);
    let executors = &spec.executors;
    let scheduler = format!("http://{}.{}.svc:{EXECUTORS_PORT}", names.scheduler(), spec.namespace);
    let cores = executors.resources.cores.to_string();
    let drain = executors.drain_seconds.to_string();
    // As long as an executor may be away for the scheduler.
    let patience = executors.start_seconds.to_string();
    let mut arguments: Vec<String> = [
        ["--name", name],
        ["--scheduler", &scheduler],
        ["--scheduler-timeout", &patience],
        ["--listen", "0.0.0.0"],
        ["--host", &format!("$({POD_IP})")],
        ["--cores", &cores],
        ["--work-dir", SCRATCH],
        ["--drain-timeout", &drain],
        ["--stores", &format!("{CONFIG}/stores.toml")],
        ["--log-format", "json"],
    ]
    .concat()
    .into_iter()
    .map(str::to_string)
    .collect();
    arguments.extend(executors.arguments.iter().cloned());
    let memory = executors.memory(step);
    let mut environment = environment(spec);
    environment.push(field(POD_IP, "status.podIP"));
    let container = Container {
        name: "executor".to_string(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some(spec.pull_policy.as_str().to_string()),
        command: Some(vec!["root-executor".to_string()]),
        args: Some(arguments),
        env: Some(environment),
        resources: Some(resources(&executors.resources, &memory, executors.scratch.as_ref())),
        volume_mounts: Some(mounts(spec, &executors.place)),
        ..Container::default()
    };
    let annotations = [(MEMORY_STEP, step.to_string()), (CONFIGURATION, configuration(spec))];
    Pod {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            namespace: Some(spec.namespace.clone()),
            labels: Some(labels(&spec.name, Some(Component::Executor))),
            annotations: Some(annotations.map(|(name, value)| (name.to_string(), value)).into()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            // The scheduler starts another one in its place, which knows nothing of it.
            restart_policy: Some("Never".to_string()),
            // It drains by itself, and has to have a moment for the end.
            termination_grace_period_seconds: i64::try_from(executors.drain_seconds.saturating_add(10)).ok(),
            service_account_name: Some(names.executor()),
            ..pod_of(spec, &executors.place, volumes(spec, &executors.place, executors.scratch.as_ref()), container)
        }),
        status: None,
    }
}

/// A list or map, unless it is empty: Kubernetes takes an empty one for a change each time that it is applied.
pub(crate) fn said<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// What all pods of a cluster have in common. They are confined, and have no token of Kubernetes.
pub(crate) fn pod_of(spec: &ClusterSpec, place: &Place, volumes: Vec<Volume>, container: Container) -> PodSpec {
    let pull_secrets = spec.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    PodSpec {
        containers: vec![Container { security_context: Some(confined()), ..container }],
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: said(pull_secrets.collect()),
        node_selector: said(place.node_selector.clone()),
        tolerations: said(place.tolerations.clone()),
        security_context: Some(as_nobody(spec)),
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

/// Requested memory is what is allowed: who uses more is ended first when a node runs out of it.
pub(crate) fn resources(of: &Resources, memory: &Quantity, scratch: Option<&Quantity>) -> ResourceRequirements {
    let cpu = of.cpu.clone().unwrap_or_else(|| Quantity(of.cores.to_string()));
    let mut requests = BTreeMap::from([("cpu".to_string(), cpu), ("memory".to_string(), memory.clone())]);
    let mut limits = BTreeMap::from([("memory".to_string(), memory.clone())]);
    if let Some(scratch) = scratch {
        for map in [&mut requests, &mut limits] {
            map.insert("ephemeral-storage".to_string(), scratch.clone());
        }
    }
    ResourceRequirements { requests: Some(requests), limits: Some(limits), ..ResourceRequirements::default() }
}

/// A process that can change nothing but its volumes, and become nobody else.
fn confined() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_string()]), add: None }),
        ..SecurityContext::default()
    }
}

/// A pod whose processes are of no user of the node.
fn as_nobody(spec: &ClusterSpec) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: spec.user,
        run_as_group: spec.user,
        fs_group: spec.user,
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_string(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// Variables of the cluster, and where temporary files go.
pub(crate) fn environment(spec: &ClusterSpec) -> Vec<EnvVar> {
    let named = |name: &str, value: &str| EnvVar {
        name: name.to_string(),
        value: Some(value.to_string()),
        ..EnvVar::default()
    };
    let temporary = (!spec.environment.contains_key("TMPDIR")).then(|| named("TMPDIR", SCRATCH));
    spec.environment.iter().map(|(name, value)| named(name, value)).chain(temporary).collect()
}

/// A variable with something that Kubernetes knows of the pod.
fn field(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector { field_path: path.to_string(), api_version: None };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: name.to_string(), value_from: Some(source), ..EnvVar::default() }
}

/// The configuration, the secrets that storage wants, the room for what is written, and what else is to be there.
pub(crate) fn volumes(spec: &ClusterSpec, place: &Place, scratch: Option<&Quantity>) -> Vec<Volume> {
    let names = Names::of(&spec.name);
    let config = ConfigMapVolumeSource { name: names.config(), ..ConfigMapVolumeSource::default() };
    let room = EmptyDirVolumeSource { size_limit: scratch.cloned(), ..EmptyDirVolumeSource::default() };
    let mut volumes = vec![
        Volume { name: "config".to_string(), config_map: Some(config), ..Volume::default() },
        Volume { name: "scratch".to_string(), empty_dir: Some(room), ..Volume::default() },
    ];
    if !spec.secret_files.is_empty() {
        volumes.push(secret_volume(spec, "secret", spec.secret_files.iter().map(String::as_str)));
    }
    volumes.extend(place.volumes.iter().cloned());
    volumes
}

/// Files of the secret of a cluster. The group may read them: that of the process.
pub(crate) fn secret_volume<'a>(spec: &ClusterSpec, name: &str, files: impl Iterator<Item = &'a str>) -> Volume {
    let file = |file: &str| KeyToPath { key: file.to_string(), path: file.to_string(), ..KeyToPath::default() };
    let source = SecretVolumeSource {
        secret_name: Some(Names::of(&spec.name).secret()),
        items: Some(files.map(file).collect()),
        default_mode: Some(0o440),
        ..SecretVolumeSource::default()
    };
    Volume { name: name.to_string(), secret: Some(source), ..Volume::default() }
}

pub(crate) fn mounts(spec: &ClusterSpec, place: &Place) -> Vec<VolumeMount> {
    let mut mounts = vec![read_only("config", CONFIG)];
    mounts.push(VolumeMount { name: "scratch".to_string(), mount_path: SCRATCH.to_string(), ..VolumeMount::default() });
    if !spec.secret_files.is_empty() {
        mounts.push(read_only("secret", SECRETS));
    }
    mounts.extend(place.volume_mounts.iter().cloned());
    mounts
}

pub(crate) fn read_only(volume: &str, path: &str) -> VolumeMount {
    let (name, mount_path) = (volume.to_string(), path.to_string());
    VolumeMount { name, mount_path, read_only: Some(true), ..VolumeMount::default() }
}

/// The labels by which executors of a cluster are found, as Kubernetes writes a selector.
pub fn executors_selector(spec: &ClusterSpec) -> String {
    as_text(&selector(&spec.name, Some(Component::Executor)))
}

/// Whether a pod is one that a scheduler of the cluster has started: anybody can give one of theirs our labels.
pub fn is_executor(spec: &ClusterSpec, pod: &ObjectMeta) -> bool {
    let prefix = format!("{}-", Names::of(&spec.name).executor_prefix());
    let labels = pod.labels.as_ref();
    let has_label = |(name, value): (&String, &String)| labels.and_then(|labels| labels.get(name)) == Some(value);
    pod.name.as_ref().is_some_and(|name| name.starts_with(&prefix))
        && selector(&spec.name, Some(Component::Executor)).iter().all(has_label)
        && pod.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MEMORY_STEP))
}
