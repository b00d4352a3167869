//! Executors that the scheduler starts as pods, on a real control plane. No node runs them: the test is the node, and starts a
//! process for each pod, of the same name.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubernetes_testbed::{ControlPlane, FakeNode, GREEDY};
use root_cluster::Cluster;
use root_engine::{RootSession, message_of};
use root_kubernetes::{ClusterSpec, Kubernetes};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::faults::{TIMES, count_events, count_pairs};
use crate::support::{Process, free_port, programs, reachable};

const PATIENCE: Duration = Duration::from_secs(90);

/// A cluster that stands in Kubernetes, and whose scheduler is a process of this machine.
struct World {
    spec: ClusterSpec,
    client: Client,
    port: u16,
    /// What the pod of the scheduler has: its rights, and the description.
    kubeconfig: PathBuf,
    folder: TempDir,
    scheduler: Option<Process>,
    /// The processes in place of pods.
    executors: HashMap<String, Process>,
}

impl World {
    async fn new(prefix: &str, executors: &serde_json::Value, image: &str) -> Self {
        static NODE: OnceCell<FakeNode> = OnceCell::const_new();
        let plane = ControlPlane::of_this_process().await;
        NODE.get_or_init(|| FakeNode::join(plane, "node-1")).await;
        let namespace = plane.namespace(prefix).await;
        let spec = json!({"name": "muons", "namespace": namespace, "image": image, "executors": executors});
        let spec: ClusterSpec = serde_json::from_value(spec).unwrap();
        let client = plane.client().await;
        Kubernetes::new(client.clone()).apply(&spec, None).await.unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("cluster.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
        let kubeconfig = plane.kubeconfig_of("muons-scheduler", &namespace).await;
        let (port, executors) = (free_port(), HashMap::new());
        let mut world = Self { spec, client, port, kubeconfig, folder, scheduler: None, executors };
        world.start_scheduler();
        world
    }

    fn start_scheduler(&mut self) {
        let mut command = Command::new(programs().join("root-scheduler"));
        command.args(["--listen", &format!("127.0.0.1:{}", self.port), "--kubernetes"]);
        command.arg(self.folder.path().join("cluster.json")).env("KUBECONFIG", &self.kubeconfig);
        self.scheduler = Some(Process::spawn(command));
    }

    async fn cluster(&self) -> Cluster {
        reachable(self.port).await
    }

    async fn session(&self) -> RootSession {
        RootSession::builder().elsewhere(self.cluster().await.elsewhere().await.unwrap()).build()
    }

    /// The executors that there are to be.
    async fn pods(&self) -> Vec<Pod> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.spec.namespace);
        let executors = ListParams::default().labels("app.kubernetes.io/component=executor");
        let found = api.list(&executors).await.unwrap().items;
        found.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
    }

    /// Does what a node would: programs run as long as their pods are there.
    async fn look(&mut self) {
        let names: Vec<String> = self.pods().await.iter().map(ResourceExt::name_any).collect();
        self.executors.retain(|name, _| names.contains(name));
        for name in names {
            let port = self.port;
            self.executors.entry(name).or_insert_with_key(|name| Process::executor_with(port, &["--name", name]));
        }
    }

    /// Is a node until something comes true.
    async fn run_until(&mut self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        let since = Instant::now();
        loop {
            self.look().await;
            if holds(self).await {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{what}: {:?}", self.executors.keys());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn executors(count: &str) -> serde_json::Value {
    json!({"count": count, "resources": {"cores": 1, "memory": "1Gi"}, "idle_seconds": 2})
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_come_with_the_first_query_and_go_when_there_is_nothing_left_to_do() {
    let mut world = World::new("from-zero", &executors("0..2"), "registry.example/root-query:1").await;
    let session = world.session().await;
    assert_eq!(world.pods().await.len(), 0);

    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    world.run_until("two executors work", async |world| world.executors.len() == 2).await;
    world.run_until("the query is over", async |_| query.is_finished()).await;
    assert_eq!(query.await.unwrap().unwrap(), TIMES * 1_000_000);

    world.run_until("all are gone", async |world| world.executors.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_somebody_deletes_is_replaced_and_the_query_is_right() {
    let mut world = World::new("deleted", &executors("2"), "registry.example/root-query:1").await;
    world.run_until("both are there", async |world| world.cluster().await.status().await.unwrap().executors == 2).await;
    let session = world.session().await;
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    tokio::time::sleep(Duration::from_secs(1)).await;

    let api: Api<Pod> = Api::namespaced(world.client.clone(), &world.spec.namespace);
    let lost = world.pods().await[0].name_any();
    api.delete(&lost, &DeleteParams::default().grace_period(0)).await.unwrap();

    world.run_until("the query is over", async |_| query.is_finished()).await;
    assert_eq!(query.await.unwrap().unwrap(), TIMES * 1_000_000);
    let is_replaced = async |world: &World| world.executors.len() == 2 && !world.executors.contains_key(&lost);
    world.run_until("another has come", is_replaced).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_is_started_again_finds_its_executors_and_starts_no_others() {
    let mut world = World::new("again", &executors("2"), "registry.example/root-query:1").await;
    world.run_until("both are there", async |world| world.cluster().await.status().await.unwrap().executors == 2).await;
    let before: Vec<String> = world.pods().await.iter().map(ResourceExt::name_any).collect();

    world.scheduler = None;
    tokio::time::sleep(Duration::from_secs(15)).await;
    world.start_scheduler();

    world.run_until("both are back", async |world| world.cluster().await.status().await.unwrap().executors == 2).await;
    let after: Vec<String> = world.pods().await.iter().map(ResourceExt::name_any).collect();
    assert_eq!(after, before);
    assert_eq!(count_events(&world.session().await).await.unwrap(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_used_up_is_told_and_when_it_is_not_any_more_executors_come() {
    let mut world = World::new("quota", &executors("0..1"), "registry.example/root-query:1").await;
    let quotas: Api<ResourceQuota> = Api::namespaced(world.client.clone(), &world.spec.namespace);
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    let session = world.session().await;
    let query = tokio::spawn(async move { count_events(&session).await });

    let is_told = async |world: &World| {
        let reason = world.cluster().await.status().await.unwrap().reason;
        reason.is_some_and(|reason| reason.contains("the namespace may not use as much (its quota)"))
    };
    world.run_until("it is told", is_told).await;
    quotas.delete("none", &DeleteParams::default()).await.unwrap();

    world.run_until("the query is over", async |_| query.is_finished()).await;
    assert_eq!(query.await.unwrap().unwrap(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_run_out_of_memory_are_followed_by_some_with_more_up_to_what_there_may_be() {
    let count = json!({"count": "1", "resources": {"cores": 1, "memory": "1Gi"}, "most_memory": "1800Mi"});
    let world = World::new("greedy", &count, &format!("{GREEDY}root-query:1")).await;
    let api: Api<Pod> = Api::namespaced(world.client.clone(), &world.spec.namespace);
    let mut seen: Vec<(String, String)> = Vec::new();
    let since = Instant::now();
    // Each failure in a row is waited after for longer.
    while seen.len() < 5 {
        for pod in api.list(&ListParams::default().labels("app.kubernetes.io/component=executor")).await.unwrap() {
            let container = &pod.spec.as_ref().unwrap().containers[0];
            let memory = container.resources.as_ref().unwrap().limits.as_ref().unwrap()["memory"].0.clone();
            if !seen.iter().any(|(name, _)| *name == pod.name_any()) {
                seen.push((pod.name_any(), memory));
            }
        }
        assert!(since.elapsed() < PATIENCE, "{seen:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let memory: Vec<&str> = seen.iter().map(|(_, memory)| memory.as_str()).collect();
    // Half more than 1 GiB, and then the most that there may be.
    assert_eq!(memory, ["1Gi", "1Gi", "1610612736", "1610612736", "1887436800"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_for_which_no_pod_starts_ends_with_an_error_that_says_why() {
    let count = json!({"count": "0..1", "resources": {"cores": 1, "memory": "1Gi"}, "start_seconds": 3});
    let world = World::new("no-image", &count, &format!("{}root-query:1", kubernetes_testbed::MISSING)).await;
    let error = count_events(&world.session().await).await.unwrap_err();
    let text = message_of(&error);
    assert!(text.contains("no executor has come") && text.contains("cannot be pulled"), "{text}");
}
