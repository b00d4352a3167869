//! Jobs that run on a cluster without whoever submitted them.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubernetes_testbed::{DONE, FAILING, GREEDY, MISSING};
use root_kubernetes::{
    ClusterSpec, Error, JobLog, JobName, JobRequest, JobState, JobView, Kubernetes, LogOptions, NamespaceFate,
    SecretFile, TOKEN,
};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::world::{PATIENCE, eventually, everything, namespace, plane, secret, spec};

const HIDDEN: &str = "aGlkZGVu-token";

fn job(name: &str) -> JobName {
    name.parse().unwrap()
}

fn request(name: &str) -> JobRequest {
    JobRequest {
        name: job(name),
        words: ["sql", "-c", "SELECT 1"].map(str::to_string).into(),
        resources: serde_json::from_value(json!({"cores": 1, "memory": "256Mi"})).unwrap(),
        seconds: None,
        server_name: None,
        files: vec![SecretFile { name: TOKEN.to_string(), content: HIDDEN.as_bytes().to_vec() }],
    }
}

/// A cluster, with jobs of an image that says what becomes of them.
struct World {
    client: Client,
    kubernetes: Kubernetes,
    spec: ClusterSpec,
}

impl World {
    async fn new(prefix: &str) -> Self {
        let (client, kubernetes, namespace) = namespace(prefix).await;
        let spec = spec("muons", &namespace);
        kubernetes.apply(&spec, Some(&secret())).await.unwrap();
        Self { client, kubernetes, spec }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.spec.namespace)
    }

    async fn submit(&self, request: &JobRequest, image: &str) -> Result<(), Error> {
        let spec = ClusterSpec { image: format!("{image}root-query:1"), ..self.spec.clone() };
        self.kubernetes.submit(&spec, request).await
    }

    /// Submits a job that is not tried again, which takes Kubernetes its time.
    async fn submit_once(&self, name: &str, image: &str) {
        self.submit(&request(name), image).await.unwrap();
        let once = Patch::Merge(json!({"spec": {"backoffLimit": 0}}));
        self.api::<Job>().patch(&format!("muons-{name}-job"), &PatchParams::default(), &once).await.unwrap();
    }

    async fn wait(&self, name: &str) -> JobView {
        let ClusterSpec { name: cluster, namespace, .. } = &self.spec;
        self.kubernetes.wait_for_job(cluster, namespace, &job(name), Some(PATIENCE), |_| {}).await.unwrap()
    }

    async fn look(&self, name: &str) -> Result<JobView, Error> {
        self.kubernetes.job(&self.spec.name, &self.spec.namespace, &job(name)).await
    }

    async fn log(&self, name: &str, lines: Option<u32>) -> Result<JobLog, Error> {
        let options = LogOptions { lines, ..LogOptions::default() };
        self.kubernetes.job_log(&self.spec.name, &self.spec.namespace, &job(name), options).await
    }

    async fn cancel(&self, name: &str) -> Result<JobView, Error> {
        self.kubernetes.cancel(&self.spec.name, &self.spec.namespace, &job(name), PATIENCE).await
    }

    /// What the scheduler does meanwhile, by its own rights.
    async fn keep_logs(&self) -> JoinHandle<()> {
        let client = plane().await.client_of("muons-scheduler", &self.spec.namespace).await;
        let spec = self.spec.clone();
        let keeping = async move {
            Kubernetes::new(client).keep_logs(&spec, |_| {}).await;
        };
        tokio::spawn(keeping)
    }

    async fn delete_pod(&self, of: &JobView) {
        let pods: Api<Pod> = self.api();
        let name = of.pod.clone().unwrap();
        pods.delete(&name, &DeleteParams::default().grace_period(0)).await.unwrap();
        eventually("the pod is gone", async || pods.get_opt(&name).await.unwrap(), Option::is_none).await;
    }
}

#[tokio::test]
async fn a_job_runs_to_its_end_and_is_told_what_becomes_of_it_meanwhile() {
    let world = World::new("job-done").await;
    let before = everything(&world.client, &world.spec.namespace).await;
    world.submit(&request("first"), DONE).await.unwrap();

    let mut told = Vec::new();
    let (name, namespace) = (&world.spec.name, &world.spec.namespace);
    let tell = |view: &Result<JobView, Error>| told.push(view.as_ref().unwrap().state.clone());
    let done = world.kubernetes.wait_for_job(name, namespace, &job("first"), Some(PATIENCE), tell).await.unwrap();

    assert_eq!((done.state, done.exit_status, done.failures), (JobState::Done, Some(0), 0));
    assert_eq!((done.name.as_str(), done.line.as_str()), ("first", "sql -c 'SELECT 1'"));
    assert!(done.created <= done.started && done.started <= done.ended && done.ended.is_some());
    assert_eq!(told.last(), Some(&JobState::Done));
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "{told:?}");
    let made = world.api::<Job>().get("muons-first-job").await.unwrap();
    assert_eq!(made.owner_references()[0].name, "muons-scheduler");
    assert!(!serde_json::to_string(&made).unwrap().contains(HIDDEN));
    let secret = world.api::<Secret>().get("muons-first-job-secret").await.unwrap();
    assert_eq!(secret.owner_references()[0].uid, made.uid().unwrap());

    world.submit(&request("second"), "").await.unwrap();
    let names = world.kubernetes.jobs(name, namespace).await.unwrap().into_iter().map(|job| job.name);
    assert_eq!(names.collect::<Vec<_>>(), ["first", "second"]);
    let running = async || world.look("second").await.unwrap().state;
    eventually("the second job runs", running, |state| *state == JobState::Running).await;

    for name in ["first", "second"] {
        world.cancel(name).await.unwrap();
        assert!(matches!(world.look(name).await, Err(Error::NoJob { .. })));
    }
    let left = async || everything(&world.client, namespace).await;
    eventually("nothing is left of the jobs", left, |left| {
        let of_jobs = |what: &&String| what.contains("-job");
        left.iter().filter(of_jobs).eq(before.iter().filter(of_jobs))
    })
    .await;
}

#[tokio::test]
async fn how_a_job_failed_is_kept_by_the_rights_of_the_scheduler_when_its_pod_is_gone() {
    let world = World::new("job-fails").await;
    let keeping = world.keep_logs().await;
    world.submit_once("bad", FAILING).await;
    world.submit_once("greedy", GREEDY).await;
    let theirs: Job = serde_json::from_value(json!({
        "metadata": {"name": "theirs", "labels": {"app.kubernetes.io/name": "root-query",
            "app.kubernetes.io/instance": "muons", "root-query.io/job": "other"}},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {"labels": {"app.kubernetes.io/name": "root-query", "app.kubernetes.io/instance": "muons",
                "app.kubernetes.io/component": "job"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": format!("{FAILING}a:1")}]}}}
    }))
    .unwrap();
    world.api::<Job>().create(&PostParams::default(), &theirs).await.unwrap();

    let bad = world.wait("bad").await;
    assert_eq!((bad.state.to_string().as_str(), bad.exit_status), ("failed: exit status 3", Some(3)));
    let greedy = world.wait("greedy").await;
    assert_eq!((greedy.state.to_string().as_str(), greedy.exit_status), ("failed: out of memory", Some(137)));
    let end = async |name: &str| {
        let job = world.api::<Job>().get(name).await.unwrap();
        job.annotations().get("root-query.io/end").cloned()
    };
    for name in ["muons-bad-job", "muons-greedy-job"] {
        eventually("its end is noted", async || end(name).await, Option::is_some).await;
    }

    for (view, state) in [(&bad, "failed: exit status 3"), (&greedy, "failed: out of memory")] {
        world.delete_pod(view).await;
        let after = world.look(&view.name).await.unwrap();
        assert_eq!((after.state.to_string().as_str(), after.exit_status), (state, view.exit_status));
        assert_eq!(after.pod, None);
    }
    // The node has no kubelet that would have had a log.
    let error = world.log("bad", None).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no log of the job bad, which is failed: exit status 3");
    let jobs: Api<Job> = world.api();
    let is_over = |job: &Job| job.status.as_ref().is_some_and(|status| status.failed == Some(1));
    eventually("the job of somebody else is over", async || jobs.get("theirs").await.unwrap(), is_over).await;
    assert_eq!(end("theirs").await, None, "it has only labels of ours");
    assert!(matches!(world.look("other").await, Err(Error::NoJob { .. })));
    keeping.abort();
}

#[tokio::test]
async fn what_was_kept_of_a_log_is_shown_when_its_pod_is_gone() {
    let world = World::new("job-log").await;
    world.submit(&request("skim"), DONE).await.unwrap();
    let done = world.wait("skim").await;
    let error = world.log("skim", None).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "there is no kubelet: {error}");
    let kept = json!({"metadata": {"annotations": {"root-query.io/log": "one\ntwo\nthree\n",
        "root-query.io/end": json!({"pod": done.pod, "is_final": true, "is_cut": true}).to_string()}}});
    world.api::<Job>().patch("muons-skim-job", &PatchParams::default(), &Patch::Merge(kept)).await.unwrap();

    for is_gone in [false, true] {
        if is_gone {
            world.delete_pod(&done).await;
        }
        let JobLog::Kept { text, is_cut } = world.log("skim", Some(2)).await.unwrap() else { panic!("no pod has it") };
        assert_eq!((text.as_str(), is_cut), ("two\nthree\n", true));
    }
    assert!(world.look("skim").await.unwrap().is_log_kept);
}

#[tokio::test]
async fn why_a_job_does_not_run_is_told_and_a_job_that_takes_too_long_is_ended() {
    let world = World::new("job-waits").await;
    world.submit(&request("missing"), MISSING).await.unwrap();
    let state = async || world.look("missing").await.unwrap().state.to_string();
    let told = eventually("why is told", state, |state| state.contains("cannot be pulled")).await;
    assert!(told.starts_with("waiting: the image missing.example/root-query:1"), "{told}");
    let (name, namespace) = (&world.spec.name, &world.spec.namespace);
    let soon = Some(std::time::Duration::from_secs(1));
    let waiting = world.kubernetes.wait_for_job(name, namespace, &job("missing"), soon, |_| {}).await;
    let error = waiting.unwrap_err().to_string();
    assert!(error.starts_with("the job missing is not over after 1 s: it is waiting: the image"), "{error}");

    world.submit(&JobRequest { seconds: Some(2), ..request("late") }, "").await.unwrap();
    let late = world.wait("late").await;
    assert_eq!((late.state.to_string().as_str(), late.exit_status), ("failed: it took longer than it may", None));
}

#[tokio::test]
async fn a_job_that_cannot_be_leaves_nothing() {
    let world = World::new("job-twice").await;
    let without = JobRequest { files: Vec::new(), ..request("skim") };
    assert!(matches!(world.submit(&without, "").await, Err(Error::Spec(_))));
    assert!(matches!(world.look("skim").await, Err(Error::NoJob { .. })));

    world.submit(&request("skim"), "").await.unwrap();
    let error = world.submit(&request("skim"), "").await.unwrap_err();
    assert!(matches!(error, Error::JobExists { .. }), "{error}");
    // The name can be had again at once, token and all.
    world.cancel("skim").await.unwrap();
    world.submit(&request("skim"), DONE).await.unwrap();
    assert_eq!(world.wait("skim").await.state, JobState::Done);
    assert!(matches!(world.cancel("other").await, Err(Error::NoJob { .. })));

    let elsewhere = ClusterSpec { name: "electrons".parse().unwrap(), ..world.spec.clone() };
    let error = world.kubernetes.submit(&elsewhere, &request("skim")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { code: 404, .. }), "there is no such cluster: {error}");
}

#[tokio::test]
async fn jobs_go_with_their_cluster() {
    let (client, kubernetes, namespace) = namespace("job-delete").await;
    let before = everything(&client, &namespace).await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    let world = World { client, kubernetes, spec };
    world.submit(&request("done"), DONE).await.unwrap();
    world.submit(&request("runs"), "").await.unwrap();
    world.wait("done").await;
    let pods = ListParams::default().labels("app.kubernetes.io/component=job");
    let seen = async || world.api::<Pod>().list(&pods).await.unwrap().items.len();
    eventually("both have a pod", seen, |count| *count == 2).await;

    let fate = world.kubernetes.delete(&world.spec.name, &namespace, PATIENCE).await.unwrap();

    assert_eq!(fate, NamespaceFate::Kept);
    assert_eq!(world.api::<Pod>().list(&pods).await.unwrap().items.len(), 0);
    let left = async || everything(&world.client, &namespace).await;
    eventually("nothing is left", left, |left| *left == before).await;
}
