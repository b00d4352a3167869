//! A job: a verb of `root-query` that runs in a pod of a cluster, and goes on without whoever submitted it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec, Secret, SecretVolumeSource, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::executor::{CONFIG, environment, mounts, pod_of, read_only, resources, volumes};
use crate::labels::{Component, JOB, LINE};
use crate::names::{JobName, Names};
use crate::objects::{Object, SecretFile, metadata, object};
use crate::spec::{ClusterSpec, Resources, SpecError, check_resources};

/// The file by which a job shows who submitted it, if the cluster asks for tokens.
pub const TOKEN: &str = "token";
/// The file with the certificates of those who may vouch for the cluster.
pub const AUTHORITIES: &str = "ca.crt";
/// Where both are.
const USER: &str = "/etc/root-query/user";
/// How often a job is tried again whose pod is lost. What it writes appears when it is complete.
const AGAIN: i32 = 2;
/// Seconds that the scheduler may be away: nobody waits, and a node that is lost takes its time.
const PATIENCE: u32 = 600;
/// The exit statuses by which `root-query` says that it would come to the same again.
const FINAL: std::ops::RangeInclusive<i32> = 1..=5;
/// Seconds after its end when a job is forgotten, with what was kept of its log: a week.
const REMEMBERED: i32 = 7 * 24 * 3600;
/// Bytes that a job says of what was asked for.
const LONGEST_LINE: usize = 8 << 10;

/// A job that is to run.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRequest {
    /// Its name.
    pub name: JobName,
    /// The verb and its arguments.
    pub words: Vec<String>,
    /// What its pod may use.
    pub resources: Resources,
    /// Seconds that it may take, if it may not take as many as it needs.
    pub seconds: Option<u64>,
    /// The name of a host that the certificate of the cluster has, where it is not that of its service.
    pub server_name: Option<String>,
    /// The files [`TOKEN`] and [`AUTHORITIES`], as far as they are needed.
    pub files: Vec<SecretFile>,
}

impl JobRequest {
    /// That it can be carried out as far as can be said without asking Kubernetes.
    ///
    /// # Errors
    /// For what cannot.
    pub fn check(&self, spec: &ClusterSpec) -> Result<(), SpecError> {
        check_resources("the job", &self.resources)?;
        if self.words.is_empty() {
            return Err(SpecError::Name { what: "a verb", given: String::new() });
        }
        if let Some(file) = self.files.iter().find(|file| ![TOKEN, AUTHORITIES].contains(&file.name.as_str())) {
            return Err(SpecError::Name { what: "a file that a job has", given: file.name.clone() });
        }
        match spec.tokens && !self.has(TOKEN) {
            true => Err(SpecError::NoSecret { file: TOKEN.to_string() }),
            false => Ok(()),
        }
    }

    fn has(&self, file: &str) -> bool {
        self.files.iter().any(|given| given.name == file)
    }

    /// What `root-query` is told in the pod.
    fn arguments(&self, spec: &ClusterSpec) -> Vec<String> {
        let mut arguments = vec!["--cluster".to_string(), spec.url()];
        for (option, file) in [("--cluster-token-file", TOKEN), ("--cluster-ca", AUTHORITIES)] {
            if self.has(file) {
                arguments.extend([option.to_string(), format!("{USER}/{file}")]);
            }
        }
        if let Some(host) = &self.server_name {
            arguments.extend(["--cluster-host".to_string(), host.clone()]);
        }
        // Kubernetes would put the values of variables in the place of `$(NAME)`.
        arguments.extend(self.words.iter().map(|word| word.replace('$', "$$")));
        arguments
    }
}

/// The objects of a job, for whoever wants to see them: its secret, if it has one, and the job. Submitted, the job owns the
/// secret, and the scheduler's deployment the job.
///
/// # Errors
/// Where it cannot be carried out.
pub fn job_objects(spec: &ClusterSpec, request: &JobRequest) -> Result<Vec<Object>, SpecError> {
    request.check(spec)?;
    let secret = secret(spec, request, None).map(|secret| object(&secret)).transpose()?;
    Ok(secret.into_iter().chain([object(&job(spec, request, None))?]).collect())
}

/// The job as it is submitted.
pub(crate) fn job(spec: &ClusterSpec, request: &JobRequest, owner: Option<OwnerReference>) -> Job {
    let names = Names::of(&spec.name);
    let mut of_job = metadata(spec, &names.job(&request.name), Some(Component::Job));
    of_job.labels.get_or_insert_default().insert(JOB.to_string(), request.name.to_string());
    let of_pod = ObjectMeta { labels: of_job.labels.clone(), ..ObjectMeta::default() };
    of_job.annotations = Some([(LINE.to_string(), line(&request.words))].into());
    of_job.owner_references = owner.map(|owner| vec![owner]);
    let is_final = PodFailurePolicyRule {
        action: "FailJob".to_string(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some("job".to_string()),
            operator: "In".to_string(),
            values: FINAL.collect(),
        }),
        on_pod_conditions: None,
    };
    Job {
        metadata: of_job,
        spec: Some(JobSpec {
            backoff_limit: Some(AGAIN),
            // Older versions of Kubernetes know neither this nor the next one, and leave them out.
            pod_failure_policy: Some(PodFailurePolicy { rules: vec![is_final] }),
            ttl_seconds_after_finished: Some(REMEMBERED),
            active_deadline_seconds: request.seconds.and_then(|seconds| i64::try_from(seconds).ok()),
            template: PodTemplateSpec { metadata: Some(of_pod), spec: Some(pod(spec, request)) },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// Like an executor, it has no token of Kubernetes, and can change nothing but its scratch directory.
fn pod(spec: &ClusterSpec, request: &JobRequest) -> PodSpec {
    let names = Names::of(&spec.name);
    let (place, scratch) = (&spec.executors.place, spec.executors.scratch.as_ref());
    let (mut volumes, mut mounts) = (volumes(spec, place, scratch), mounts(spec, place));
    if !request.files.is_empty() {
        let source = SecretVolumeSource {
            secret_name: Some(names.job_secret(&request.name)),
            default_mode: Some(0o440),
            ..SecretVolumeSource::default()
        };
        volumes.push(Volume { name: "user".to_string(), secret: Some(source), ..Volume::default() });
        mounts.push(read_only("user", USER));
    }
    let mut variables = environment(spec);
    let own = [
        ("ROOT_QUERY_CONFIG", format!("{CONFIG}/stores.toml")),
        ("ROOT_QUERY_THREADS", request.resources.cores.to_string()),
        ("ROOT_QUERY_CLUSTER_PATIENCE", PATIENCE.to_string()),
    ];
    for (name, value) in own.into_iter().filter(|(name, _)| !spec.environment.contains_key(*name)) {
        variables.push(EnvVar { name: name.to_string(), value: Some(value), ..EnvVar::default() });
    }
    let container = Container {
        name: "job".to_string(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some(spec.pull_policy.as_str().to_string()),
        command: Some(vec!["root-query".to_string()]),
        args: Some(request.arguments(spec)),
        env: Some(variables),
        resources: Some(resources(&request.resources, &request.resources.memory, scratch)),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    PodSpec {
        // The job starts another one in its place.
        restart_policy: Some("Never".to_string()),
        service_account_name: Some(names.executor()),
        ..pod_of(spec, place, volumes, container)
    }
}

/// What only the job has, and what goes with it.
pub(crate) fn secret(spec: &ClusterSpec, request: &JobRequest, owner: Option<OwnerReference>) -> Option<Secret> {
    if request.files.is_empty() {
        return None;
    }
    let data = request.files.iter().map(|file| (file.name.clone(), ByteString(file.content.clone())));
    let name = Names::of(&spec.name).job_secret(&request.name);
    Some(Secret {
        metadata: ObjectMeta { owner_references: owner.map(|owner| vec![owner]), ..metadata(spec, &name, None) },
        data: Some(data.collect::<BTreeMap<_, _>>()),
        type_: Some("Opaque".to_string()),
        ..Secret::default()
    })
}

/// Words as a shell reads them.
fn line(words: &[String]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let quoted = words.iter().map(|word| match !word.is_empty() && word.chars().all(is_plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    });
    let line = quoted.collect::<Vec<String>>().join(" ");
    let cut = line.floor_char_boundary(LONGEST_LINE);
    match line.split_at_checked(cut) {
        Some((kept, rest)) if !rest.is_empty() => format!("{kept}..."),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::objects::{Secrets, yaml};

    fn spec() -> ClusterSpec {
        let text = r#"{"name": "muons", "namespace": "physics", "image": "registry.example/root-query:1", "tokens": true,
            "tls": true, "executors": {"count": "0..8", "resources": {"cores": 2, "memory": "4Gi"},
                "place": {"node_selector": {"pool": "batch"}}},
            "environment": {"KRB5CCNAME": "FILE:/etc/root-query/secret/krb5cc"}, "secret_files": ["krb5cc"]}"#;
        serde_json::from_str(text).unwrap()
    }

    fn request(words: &[&str]) -> JobRequest {
        let file = |name: &str| SecretFile { name: name.to_string(), content: b"hidden".to_vec() };
        JobRequest {
            name: "skim".parse().unwrap(),
            words: words.iter().map(ToString::to_string).collect(),
            resources: serde_json::from_str(r#"{"cores": 1, "memory": "1Gi"}"#).unwrap(),
            seconds: Some(60),
            server_name: Some("muons.example".to_string()),
            files: vec![file(TOKEN), file(AUTHORITIES)],
        }
    }

    fn job_of(words: &[&str]) -> Value {
        job_objects(&spec(), &request(words)).unwrap().pop().unwrap().value
    }

    #[test]
    fn a_job_may_no_more_than_an_executor() {
        let job = job_of(&["count", "root://eos.example//x.root"]);
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(
            (&pod["automountServiceAccountToken"], &pod["serviceAccountName"]),
            (&json!(false), &json!("muons-executor"))
        );
        assert_eq!((&pod["restartPolicy"], &pod["nodeSelector"]["pool"]), (&json!("Never"), &json!("batch")));
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        let writable: Vec<&Value> =
            container["volumeMounts"].as_array().unwrap().iter().filter(|mount| mount["readOnly"] != true).collect();
        assert_eq!(writable.len(), 1, "{writable:?}");
        assert_eq!(job["spec"]["activeDeadlineSeconds"], 60);
    }

    #[test]
    fn what_is_asked_for_comes_to_the_program_as_it_is() {
        let sql = "SELECT '$(HOME)' FROM t WHERE x ~ '^a$'";
        let job = job_of(&["sql", "-c", sql]);
        let arguments: Vec<&str> = job["spec"]["template"]["spec"]["containers"][0]["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let [access @ .., "sql", "-c", escaped] = arguments.as_slice() else { panic!("{arguments:?}") };
        assert_eq!(
            access,
            [
                "--cluster",
                "https://muons-users.physics.svc:50050",
                "--cluster-token-file",
                "/etc/root-query/user/token",
                "--cluster-ca",
                "/etc/root-query/user/ca.crt",
                "--cluster-host",
                "muons.example"
            ]
        );
        // As Kubernetes reads it: `$$` is `$`.
        assert_eq!(escaped.replace("$$", "$"), sql);
        assert!(!escaped.replace("$$", "").contains('$'), "{escaped}");
        let line = &job["metadata"]["annotations"]["root-query.io/line"];
        assert_eq!(line, r"sql -c 'SELECT '\''$(HOME)'\'' FROM t WHERE x ~ '\''^a$'\'''");
    }

    #[test]
    fn the_token_stands_in_the_secret_alone() {
        let objects = job_objects(&spec(), &request(&["count"])).unwrap();
        assert_eq!(objects.iter().map(|object| object.kind.as_str()).collect::<Vec<_>>(), ["Secret", "Job"]);
        let hidden = |text: &str| text.contains("aGlkZGVu") || text.contains("hidden\"");
        assert!(hidden(&objects[0].value.to_string()) && !hidden(&objects[1].value.to_string()));
        assert!(!hidden(&yaml(&objects, Secrets::Hidden).unwrap()) && !hidden(&format!("{:?}", request(&[]))));

        let without = JobRequest { files: Vec::new(), ..request(&["count"]) };
        let error = job_objects(&spec(), &without).unwrap_err();
        assert_eq!(error, SpecError::NoSecret { file: TOKEN.to_string() });
        let open = ClusterSpec { tokens: false, ..spec() };
        assert_eq!(job_objects(&open, &without).unwrap().len(), 1);
    }

    #[test]
    fn a_line_that_is_long_is_cut() {
        let long = line(&["ä".repeat(LONGEST_LINE)]);
        assert!(long.len() <= LONGEST_LINE + 3 && long.ends_with("ä..."), "{}", long.len());
        assert_eq!(line(&["a b".to_string(), String::new()]), "'a b' ''");
    }

    #[test]
    fn what_cannot_run_is_refused() {
        let bad = |change: fn(&mut JobRequest)| {
            let mut request = request(&["count"]);
            change(&mut request);
            request.check(&spec()).unwrap_err().to_string()
        };
        assert!(bad(|request| request.resources.cores = 0).contains("the job has no cores"));
        assert!(bad(|request| request.resources.memory.0 = "much".to_string()).contains("'much' is no quantity"));
        assert!(bad(|request| request.words.clear()).contains("no name of a verb"));
        assert!(bad(|request| request.files[1].name = "other".to_string()).contains("'other' is no name of a file"));
    }
}
