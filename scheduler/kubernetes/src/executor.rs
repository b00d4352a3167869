//! The pod of an executor, as the scheduler starts it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, KeyToPath,
    LocalObjectReference, ObjectFieldSelector, Pod, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
    SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::names::Names;
use crate::objects::{Component, EXECUTORS_PORT, labels, selector};
use crate::spec::ClusterSpec;

/// The user and group of both programs, who own nothing.
const NOBODY: i64 = 65_532;
/// Where the configuration is.
pub(crate) const CONFIG: &str = "/etc/root-query/config";
/// Where secrets are that storage wants.
pub(crate) const SECRETS: &str = "/etc/root-query/secret";
/// The only directory that can be written to.
const SCRATCH: &str = "/scratch";

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
    let mut arguments: Vec<String> = [
        ["--name", name],
        ["--scheduler", &scheduler],
        ["--listen", "0.0.0.0"],
        ["--host", "$(POD_IP)"],
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
    let mut mounts = common_mounts(spec);
    mounts.push(VolumeMount { name: "scratch".to_string(), mount_path: SCRATCH.to_string(), ..VolumeMount::default() });
    mounts.extend(executors.volume_mounts.iter().cloned());
    let mut volumes = common_volumes(spec);
    let room = EmptyDirVolumeSource { size_limit: executors.scratch.clone(), ..EmptyDirVolumeSource::default() };
    volumes.push(Volume { name: "scratch".to_string(), empty_dir: Some(room), ..Volume::default() });
    volumes.extend(executors.volumes.iter().cloned());
    let mut environment = environment(spec);
    environment.push(field("POD_IP", "status.podIP"));
    let container = Container {
        name: "executor".to_string(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some(spec.pull_policy.clone()),
        command: Some(vec!["root-executor".to_string()]),
        args: Some(arguments),
        env: Some(environment),
        resources: Some(resources(executors.resources.cores, &memory, executors.scratch.as_ref())),
        volume_mounts: Some(mounts),
        security_context: Some(confined()),
        ..Container::default()
    };
    let optional = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone());
    Pod {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            namespace: Some(spec.namespace.clone()),
            labels: Some(labels(spec, Some(Component::Executor))),
            annotations: Some(BTreeMap::from([(MEMORY_STEP.to_string(), step.to_string())])),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: vec![container],
            // The scheduler starts another one in its place, which knows nothing of it.
            restart_policy: Some("Never".to_string()),
            // It drains by itself, and has to have a moment for the end.
            termination_grace_period_seconds: i64::try_from(executors.drain_seconds.saturating_add(10)).ok(),
            service_account_name: Some(names.executor()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: Some(pull_secrets(spec)),
            node_selector: optional(&executors.node_selector),
            tolerations: Some(executors.tolerations.clone()),
            security_context: Some(as_nobody()),
            volumes: Some(volumes),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// Where a pod says how much memory it has compared with others of its cluster.
const MEMORY_STEP: &str = "root-query.io/memory-step";

pub(crate) fn pull_secrets(spec: &ClusterSpec) -> Vec<LocalObjectReference> {
    spec.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect()
}

/// Requested is what is allowed: who uses more is ended first when a node runs out of memory.
pub(crate) fn resources(cores: usize, memory: &Quantity, scratch: Option<&Quantity>) -> ResourceRequirements {
    let mut requests = BTreeMap::from([
        ("cpu".to_string(), Quantity(cores.to_string())),
        ("memory".to_string(), memory.clone()),
    ]);
    let mut limits = BTreeMap::from([("memory".to_string(), memory.clone())]);
    if let Some(scratch) = scratch {
        for map in [&mut requests, &mut limits] {
            map.insert("ephemeral-storage".to_string(), scratch.clone());
        }
    }
    ResourceRequirements { requests: Some(requests), limits: Some(limits), ..ResourceRequirements::default() }
}

/// A process that can change nothing but its volumes, and become nobody else.
pub(crate) fn confined() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_string()]), add: None }),
        ..SecurityContext::default()
    }
}

/// A pod whose processes are of no user of the node.
pub(crate) fn as_nobody() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NOBODY),
        run_as_group: Some(NOBODY),
        fs_group: Some(NOBODY),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_string(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

pub(crate) fn environment(spec: &ClusterSpec) -> Vec<EnvVar> {
    let named = |(name, value): (&String, &String)| EnvVar {
        name: name.clone(),
        value: Some(value.clone()),
        ..EnvVar::default()
    };
    spec.environment.iter().map(named).collect()
}

/// A variable with something that Kubernetes knows of the pod.
fn field(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector { field_path: path.to_string(), api_version: None };
    let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    EnvVar { name: name.to_string(), value_from: Some(source), ..EnvVar::default() }
}

/// The configuration, and the secrets that storage wants.
pub(crate) fn common_volumes(spec: &ClusterSpec) -> Vec<Volume> {
    let names = Names::of(&spec.name);
    let config = ConfigMapVolumeSource { name: names.config(), ..ConfigMapVolumeSource::default() };
    let mut volumes = vec![Volume { name: "config".to_string(), config_map: Some(config), ..Volume::default() }];
    let files: Vec<KeyToPath> = secret_keys(spec).map(|key| KeyToPath { path: key.clone(), key, mode: None }).collect();
    if !files.is_empty() {
        // The group may read them: that of the process.
        let secret = SecretVolumeSource {
            secret_name: Some(names.secret()),
            items: Some(files),
            default_mode: Some(0o440),
            optional: None,
        };
        volumes.push(Volume { name: "secret".to_string(), secret: Some(secret), ..Volume::default() });
    }
    volumes
}

pub(crate) fn common_mounts(spec: &ClusterSpec) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.to_string(),
        mount_path: path.to_string(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let mut mounts = vec![mount("config", CONFIG)];
    if secret_keys(spec).next().is_some() {
        mounts.push(mount("secret", SECRETS));
    }
    mounts
}

/// The names of files of the secret that storage wants.
fn secret_keys(spec: &ClusterSpec) -> impl Iterator<Item = String> {
    spec.secret_files.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_string()))
}

/// The labels by which executors of a cluster are found, as Kubernetes writes a selector.
pub fn executors_selector(spec: &ClusterSpec) -> String {
    let labels = selector(spec, Some(Component::Executor));
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Whether a pod with these labels is one that a scheduler of the cluster has started.
pub fn is_executor(spec: &ClusterSpec, pod: &Pod) -> bool {
    let has_our_name = |name: &String| name.starts_with(&Names::of(&spec.name).executor_prefix());
    pod.metadata.name.as_ref().is_some_and(has_our_name)
        && pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MEMORY_STEP))
}
