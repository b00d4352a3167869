//! What becomes of pods, in plain words.

use k8s_openapi::api::core::v1::{Node, Pod, ResourceQuota};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kubernetes_testbed::{ANNOTATION, FakeNode, Fate, MISSING};
use root_kubernetes::{ClusterSpec, Error, Kubernetes, Phase, executor_pod, in_plain_words};
use serde_json::json;

use crate::world::{PATIENCE, eventually, namespace, plane, secret, spec, start_executor};

/// A cluster without a scheduler that would use up what there is.
async fn cluster(prefix: &str) -> (Client, Kubernetes, ClusterSpec) {
    let (client, kubernetes, namespace) = namespace(prefix).await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    (client, kubernetes, spec)
}

/// What is said of an executor, once it is what is expected.
async fn becomes(kubernetes: &Kubernetes, spec: &ClusterSpec, name: &str, is_so: impl Fn(&str) -> bool) -> String {
    let said = async || {
        let pods = kubernetes.pods(&spec.name, &spec.namespace).await.unwrap();
        pods.into_iter().find(|pod| pod.name == name).map_or("not there".to_string(), |pod| pod.phase.to_string())
    };
    eventually(name, said, |said| is_so(said)).await
}

#[tokio::test]
async fn why_no_node_takes_a_pod_is_said_in_plain_words() {
    let (client, kubernetes, spec) = cluster("unscheduled").await;
    let guarded = FakeNode::join(plane().await, "node-guarded").await;
    let nodes: Api<Node> = Api::all(client.clone());
    let taint = json!({"spec": {"taints": [{"key": "theirs", "effect": "NoSchedule"}]}});
    nodes.patch("node-guarded", &PatchParams::default(), &Patch::Strategic(taint)).await.unwrap();
    let mut cores = spec.clone();
    cores.executors.resources.cores = 1000;
    let mut memory = spec.clone();
    memory.executors.resources.memory.0 = "2000Gi".to_string();
    let mut disk = spec.clone();
    disk.executors.scratch.as_mut().unwrap().0 = "20Ti".to_string();
    let mut labelled = spec.clone();
    labelled.executors.place.node_selector = [("disk".to_string(), "none".to_string())].into();
    let mut tainted = spec.clone();
    tainted.executors.place.node_selector = [("kubernetes.io/hostname".to_string(), "node-guarded".to_string())].into();

    for (name, spec, expected) in [
        ("muons-executor-cores", &cores, "no node has as many cores free"),
        ("muons-executor-memory", &memory, "no node has as much memory free"),
        ("muons-executor-disk", &disk, "no node has as much room on its disk"),
        ("muons-executor-labels", &labelled, "no node has the labels of its node selector"),
        ("muons-executor-taints", &tainted, "nodes are kept for others (taints)"),
    ] {
        start_executor(&client, spec, name, None).await;
        let said = becomes(&kubernetes, spec, name, |said| said.contains(expected)).await;
        assert!(said.starts_with("waiting: "), "{said}");
    }
    drop(guarded);
    nodes.delete("node-guarded", &Default::default()).await.unwrap();
}

#[tokio::test]
async fn how_pods_end_is_said_in_plain_words() {
    let (client, kubernetes, spec) = cluster("ends").await;
    let ends = |status, reason: &str| Fate::Ends(status, reason.to_string());
    for (name, fate, expected) in [
        ("muons-executor-memory", ends(137, "OOMKilled"), "ended: out of memory"),
        ("muons-executor-error", ends(3, "Error"), "failed: exit status 3"),
        ("muons-executor-done", ends(0, "Completed"), "ended"),
        (
            "muons-executor-evicted",
            Fate::Evicted("The node was low on resource: memory.".to_string()),
            "failed: Evicted, The node was low on resource: memory.",
        ),
        ("muons-executor-unready", Fate::Unready, "running, not ready"),
        ("muons-executor-runs", Fate::Runs, "running"),
    ] {
        start_executor(&client, &spec, name, Some(fate)).await;
        becomes(&kubernetes, &spec, name, |said| said == expected).await;
    }
}

#[tokio::test]
async fn a_program_that_ends_again_and_again_is_counted_and_not_called_running() {
    let (client, kubernetes, spec) = cluster("again").await;
    let mut pod = executor_pod(&spec, "muons-executor-a", 0, None);
    pod.spec.as_mut().unwrap().restart_policy = Some("Always".to_string());
    pod.annotations_mut().insert(ANNOTATION.to_string(), Fate::Ends(137, "OOMKilled".to_string()).as_text());
    let pods: Api<Pod> = Api::namespaced(client, &spec.namespace);
    pods.create(&PostParams::default(), &pod).await.unwrap();

    let expected = "waiting: its program ends again and again, for want of memory";
    becomes(&kubernetes, &spec, "muons-executor-a", |said| said == expected).await;
    let views = kubernetes.pods(&spec.name, &spec.namespace).await.unwrap();
    assert_eq!(views.iter().find(|view| !view.is_scheduler()).unwrap().restarts, 1);
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_named() {
    let (client, kubernetes, mut spec) = cluster("image").await;
    spec.image = format!("{MISSING}root-query:2");
    start_executor(&client, &spec, "muons-executor-a", None).await;
    let expected = "waiting: the image missing.example/root-query:2 cannot be pulled: manifest for";
    becomes(&kubernetes, &spec, "muons-executor-a", |said| said.starts_with(expected)).await;
}

#[tokio::test]
async fn a_pod_that_was_told_to_end_is_stopping_until_it_has() {
    let (client, kubernetes, spec) = cluster("stopping").await;
    start_executor(&client, &spec, "muons-executor-a", Some(Fate::Lingers(3))).await;
    becomes(&kubernetes, &spec, "muons-executor-a", |said| said == "running").await;

    let pods: Api<Pod> = Api::namespaced(client, &spec.namespace);
    pods.delete("muons-executor-a", &Default::default()).await.unwrap();

    let views = kubernetes.pods(&spec.name, &spec.namespace).await.unwrap();
    let view = views.iter().find(|view| view.name == "muons-executor-a").unwrap();
    assert_eq!(view.phase, Phase::Stopping);
    assert_eq!(view.node.as_deref(), Some("node-1"));
    becomes(&kubernetes, &spec, "muons-executor-a", |said| said == "not there").await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_named_wherever_it_is_met() {
    let (client, kubernetes, namespace) = namespace("quota").await;
    let spec = spec("muons", &namespace);
    let quotas: Api<ResourceQuota> = Api::namespaced(client.clone(), &namespace);
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    let is_counted = |quota: &ResourceQuota| quota.status.as_ref().is_some_and(|status| status.hard.is_some());
    eventually("the quota holds", async || quotas.get("none").await.unwrap(), is_counted).await;
    let words = "the namespace may not use as much (its quota)";

    kubernetes.apply(&spec, Some(&secret())).await.unwrap();

    let time = std::time::Duration::from_secs(10);
    let error = kubernetes.wait_until_ready(&spec.name, &namespace, time, |_| {}).await.unwrap_err();
    let Error::NotReady { why, .. } = &error else { panic!("{error}") };
    assert!(why.starts_with("its pod cannot be made") && why.contains(words), "{why}");
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let refused =
        pods.create(&PostParams::default(), &executor_pod(&spec, "muons-executor-a", 0, None)).await.unwrap_err();
    let kube::Error::Api(status) = &refused else { panic!("{refused}") };
    assert!(in_plain_words(&status.message).starts_with(words), "{status}");

    quotas.delete("none", &Default::default()).await.unwrap();
    kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE * 2, |_| {}).await.unwrap();
}
