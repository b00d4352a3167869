//! Executors as their scheduler starts and sees them.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubernetes_testbed::{ControlPlane, FakeNode, Fate, MISSING};
use root_kubernetes::{ClusterSpec, Error, ExecutorView, Executors, Kubernetes, Phase};
use serde_json::json;

use crate::world::{eventually, namespace, plane, secret, spec, start_executor};

/// A cluster, and its executors by the rights of its scheduler.
async fn cluster(plane: &ControlPlane, spec: &ClusterSpec) -> Executors {
    Kubernetes::new(plane.client().await).apply(spec, Some(&secret())).await.unwrap();
    let scheduler = Kubernetes::new(plane.client_of("muons-scheduler", &spec.namespace).await);
    Executors::of(&scheduler, spec.clone(), |_| {}).await.unwrap()
}

async fn becomes(executors: &Executors, is_so: impl Fn(&[ExecutorView]) -> bool) -> Vec<ExecutorView> {
    eventually("the executors", async || executors.all().await.unwrap(), |all| is_so(all)).await
}

fn pods(client: &Client, spec: &ClusterSpec) -> Api<Pod> {
    Api::namespaced(client.clone(), &spec.namespace)
}

#[tokio::test]
async fn executors_are_started_seen_and_stopped_and_end_with_their_scheduler() {
    let (client, _, namespace) = namespace("executors").await;
    let mut spec = spec("muons", &namespace);
    spec.executors.most_memory = Some(Quantity("1200Mi".to_string()));
    let executors = cluster(plane().await, &spec).await;
    assert_eq!(executors.all().await.unwrap(), []);

    executors.start("muons-executor-a", 0).await.unwrap();
    executors.start("muons-executor-b", 1).await.unwrap();
    executors.start("muons-executor-b", 1).await.expect("it is there already");
    let runs = Phase::Running { ready: true };
    let mut all = becomes(&executors, |all| all.len() == 2 && all.iter().all(|one| one.phase == runs)).await;
    all.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(all.iter().map(|one| one.memory_step).collect::<Vec<_>>(), [0, 1]);
    let pod = pods(&client, &spec).get("muons-executor-b").await.unwrap();
    let limits = pod.spec.unwrap().containers[0].resources.clone().unwrap().limits.unwrap();
    // 1,200 MiB, as half more than 1 GiB would be above it.
    assert_eq!(limits["memory"].0, "1258291200");

    executors.stop("muons-executor-a").await.unwrap();
    executors.stop("muons-executor-a").await.expect("it is gone, or about to");
    becomes(&executors, |all| all.len() == 1).await;

    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    deployments.delete("muons-scheduler", &DeleteParams::background()).await.unwrap();
    becomes(&executors, <[ExecutorView]>::is_empty).await;
}

#[tokio::test]
async fn executors_of_a_description_that_has_changed_since_are_told_apart() {
    let (_, _, namespace) = namespace("outdated").await;
    let mut spec = spec("muons", &namespace);
    let before = cluster(plane().await, &spec).await;
    before.start("muons-executor-a", 0).await.unwrap();
    spec.image = "registry.example/root-query:2".to_string();
    let after = cluster(plane().await, &spec).await;
    after.start("muons-executor-b", 0).await.unwrap();

    let mut all = becomes(&after, |all| all.len() == 2).await;

    all.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(all.iter().map(|one| one.is_current).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn without_a_deployment_that_would_own_them_no_executor_is_started() {
    let (_, kubernetes, namespace) = namespace("no-owner").await;
    let error = Executors::of(&kubernetes, spec("muons", &namespace), |_| {}).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { code: 404, .. }), "{error}");
    assert!(error.to_string().contains("muons-scheduler"), "{error}");
}

#[tokio::test]
async fn why_an_executor_does_not_start_or_has_ended_is_told() {
    let (client, _, namespace) = namespace("why").await;
    let mut spec = spec("muons", &namespace);
    let executors = cluster(plane().await, &spec).await;
    for (name, fate) in [
        ("muons-executor-a", Fate::Ends(137, "OOMKilled".to_string())),
        ("muons-executor-b", Fate::Ends(3, "Error".to_string())),
        ("muons-executor-c", Fate::Evicted("The node was low on resource: memory.".to_string())),
    ] {
        start_executor(&client, &spec, name, Some(fate)).await;
    }
    spec.image = format!("{MISSING}root-query:2");
    start_executor(&client, &spec, "muons-executor-d", None).await;

    let is_over = |all: &[ExecutorView]| {
        all.iter().filter(|one| !matches!(one.phase, Phase::Waiting(None) | Phase::Running { .. })).count() == 4
    };
    let mut all = becomes(&executors, is_over).await;

    all.sort_by(|one, other| one.name.cmp(&other.name));
    let told: Vec<String> = all.iter().map(|one| one.phase.to_string()).collect();
    assert_eq!(told[0], "ended: out of memory");
    assert_eq!(told[1], "failed: exit status 3");
    assert_eq!(told[2], "failed: Evicted, The node was low on resource: memory.");
    assert!(told[3].starts_with("waiting: the image missing.example/root-query:2 cannot be pulled"), "{told:?}");
    // The node has no kubelet that would have their logs, and that is in nobody's way.
    assert_eq!(executors.last_words("muons-executor-a").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_to_whoever_starts_one() {
    let (client, _, namespace) = namespace("quota-of-executors").await;
    let spec = spec("muons", &namespace);
    let executors = cluster(plane().await, &spec).await;
    let quotas: Api<ResourceQuota> = Api::namespaced(client, &namespace);
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    let is_counted = |quota: &ResourceQuota| quota.status.as_ref().is_some_and(|status| status.hard.is_some());
    eventually("the quota holds", async || quotas.get("none").await.unwrap(), is_counted).await;

    let error = executors.start("muons-executor-a", 0).await.unwrap_err().to_string();

    assert!(error.contains("start the executor muons-executor-a"), "{error}");
    assert!(error.contains("the namespace may not use as much (its quota)"), "{error}");
}

#[tokio::test]
async fn executors_are_known_while_the_server_is_away_and_what_became_of_them_when_it_is_back() {
    let plane = ControlPlane::start().await;
    let _node = FakeNode::join(&plane, "node-1").await;
    let client = plane.client().await;
    let namespace = plane.namespace("outage").await;
    let spec = spec("muons", &namespace);
    let executors = cluster(&plane, &spec).await;
    for name in ["muons-executor-a", "muons-executor-b"] {
        executors.start(name, 0).await.unwrap();
    }
    becomes(&executors, |all| all.len() == 2).await;

    plane.stop_api_server();

    assert_eq!(executors.all().await.unwrap().len(), 2);
    let error = executors.start("muons-executor-c", 0).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");

    plane.start_api_server().await;
    // A server that has been started anew has forgotten where the watch was, which has to begin again.
    pods(&client, &spec).delete("muons-executor-a", &DeleteParams::default().grace_period(0)).await.unwrap();
    executors.start("muons-executor-d", 0).await.unwrap();
    let is_so = |all: &[ExecutorView]| all.len() == 2 && all.iter().all(|one| one.name != "muons-executor-a");
    let all = becomes(&executors, is_so).await;
    assert!(all.iter().any(|one| one.name == "muons-executor-d"), "{all:?}");
    let there = pods(&client, &spec).list(&Default::default()).await.unwrap();
    assert_eq!(there.iter().filter(|pod| pod.name_any().contains("-executor-")).count(), 2);
}
