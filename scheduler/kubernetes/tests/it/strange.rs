//! Anybody can give an object our labels. It is in nobody's way.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kubernetes_testbed::Fate;
use root_kubernetes::{Error, Executors};
use serde_json::{Value, json};

use crate::world::{PATIENCE, eventually, everything, namespace, secret, spec, start_executor};

fn labels(cluster: &str) -> Value {
    json!({"app.kubernetes.io/name": "root-query", "app.kubernetes.io/managed-by": "root-query",
        "app.kubernetes.io/instance": cluster})
}

async fn map(client: &Client, namespace: &str, name: &str, cluster: &str, data: Value) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = json!({"metadata": {"name": name, "labels": labels(cluster)}, "data": data});
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
}

#[tokio::test]
async fn configurations_that_are_rubbish_hide_no_cluster() {
    let (client, kubernetes, namespace) = namespace("rubbish").await;
    let good = spec("muons", &namespace);
    kubernetes.apply(&good, Some(&secret())).await.unwrap();
    let elsewhere = serde_json::to_string(&spec("taus", "kube-system")).unwrap();
    let of_another = serde_json::to_string(&good).unwrap();
    map(&client, &namespace, "empty-config", "empty", json!({})).await;
    map(&client, &namespace, "text-config", "text", json!({"cluster.json": "\u{0}\u{1}rubbish"})).await;
    map(&client, &namespace, "taus-config", "taus", json!({"cluster.json": elsewhere})).await;
    map(&client, &namespace, "thief-config", "thief", json!({"cluster.json": of_another})).await;

    let found = kubernetes.clusters(Some(&namespace)).await.unwrap();

    let understood: Vec<(&str, bool)> = found.iter().map(|found| (found.name.as_str(), found.spec.is_ok())).collect();
    assert_eq!(understood, [("empty", false), ("muons", true), ("taus", false), ("text", false), ("thief", false)]);
    for found in found.iter().filter(|found| found.name != "muons") {
        let error = kubernetes.cluster(&found.name.parse().unwrap(), &namespace).await.unwrap_err();
        assert!(matches!(error, Error::Description { .. }), "{error}");
    }
    let fate = kubernetes.delete(&"thief".parse().unwrap(), &namespace, PATIENCE).await;
    assert!(fate.is_ok(), "what says to be of a cluster goes with it: {fate:?}");
    assert_eq!(kubernetes.cluster(&good.name, &namespace).await.unwrap(), good, "and that is all that goes");
}

#[tokio::test]
async fn pods_with_a_strange_status_are_listed_and_deleted_like_others() {
    let (client, kubernetes, namespace) = namespace("strange").await;
    let spec = spec("muons", &namespace);
    let before = everything(&client, &namespace).await;
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE, |_| {}).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let container = |state: Value| json!({"name": "executor", "image": "", "imageID": "", "ready": false, "restartCount": -5, "state": state});
    let statuses = [
        json!({"phase": "Dancing"}),
        json!({"phase": "Failed", "reason": "", "message": "", "containerStatuses": [container(json!({}))]}),
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}),
        json!({"phase": "Pending", "containerStatuses": [container(json!({"waiting": {}}))]}),
        json!({"phase": "Running", "containerStatuses": [container(json!({"waiting": {"reason": "\u{1b}[31mred"}}))]}),
    ];
    for (number, status) in statuses.iter().enumerate() {
        let name = format!("muons-executor-{number}");
        start_executor(&client, &spec, &name, Some(Fate::NoImage("none".to_string()))).await;
        // After what the node says of it.
        let is_refused = |pod: &Pod| {
            pod.status.as_ref().is_some_and(|status| {
                let containers = status.container_statuses.iter().flatten();
                containers
                    .filter_map(|one| one.state.as_ref()?.waiting.as_ref()?.reason.as_deref())
                    .any(|why| why == "ImagePullBackOff")
            })
        };
        eventually("the node has spoken", async || pods.get(&name).await.unwrap(), is_refused).await;
        let status = json!({"status": status});
        pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    }

    let views = kubernetes.pods(&spec.name, &namespace).await.unwrap();

    assert_eq!(views.len(), statuses.len() + 1);
    assert!(views[0].is_scheduler());
    assert_eq!(views[1].phase.to_string(), "unknown: it says to be Dancing");
    assert!(views.iter().all(|view| view.restarts == 0), "{views:?}");
    assert!(views.iter().all(|view| !view.phase.to_string().contains(char::is_control)), "{views:?}");
    kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE, |_| {}).await.unwrap();
    kubernetes.delete(&spec.name, &namespace, PATIENCE).await.unwrap();
    eventually("nothing is left", async || everything(&client, &namespace).await, |left| *left == before).await;
}

#[tokio::test]
async fn pods_of_others_with_our_labels_are_no_executors() {
    let (client, kubernetes, namespace) = namespace("not-ours").await;
    let spec = spec("muons", &namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    start_executor(&client, &spec, "muons-executor-a", None).await;
    let mut theirs = labels("muons");
    theirs["app.kubernetes.io/component"] = json!("executor");
    for name in ["muons-executor-b", "theirs"] {
        let pod = json!({"metadata": {"name": name, "labels": theirs}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
        pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }

    let executors = Executors::of(&kubernetes, spec.clone(), |error| panic!("{error}")).await.unwrap();
    let found = executors.all().await.unwrap();

    assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["muons-executor-a"]);
}
