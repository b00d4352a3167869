//! What is left of a cluster that was deleted: nothing.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use kubernetes_testbed::Fate;
use root_kubernetes::{Error, Kubernetes, NamespaceFate, executor_pod};
use serde_json::json;

use crate::world::{PATIENCE, eventually, everything, name, namespace, plane, secret, spec, start_executor};

async fn namespace_is_there(client: &Client, name: &str) -> bool {
    Api::<Namespace>::all(client.clone()).get_opt(name).await.unwrap().is_some()
}

#[tokio::test]
async fn nothing_is_left_not_even_executors_that_nobody_owns() {
    let (client, kubernetes, namespace) = namespace("nothing-left").await;
    let spec = spec("muons", &namespace);
    let before = everything(&client, &namespace).await;
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE, |_| {}).await.unwrap();
    // One that would take its two minutes to end.
    start_executor(&client, &spec, "muons-executor-a", Some(Fate::Lingers(120))).await;
    start_executor(&client, &spec, "muons-executor-b", Some(Fate::Ends(1, "Error".to_string()))).await;
    assert!(everything(&client, &namespace).await.len() > before.len() + 10);

    let fate = kubernetes.delete(&spec.name, &namespace, PATIENCE).await.unwrap();

    assert_eq!(fate, NamespaceFate::Kept);
    assert!(kubernetes.pods(&spec.name, &namespace).await.unwrap().is_empty());
    // What Kubernetes makes of ours itself, such as endpoints, it removes itself.
    eventually("nothing is left", async || everything(&client, &namespace).await, |left| *left == before).await;
    assert!(namespace_is_there(&client, &namespace).await, "it was there before the cluster");
}

#[tokio::test]
async fn a_namespace_goes_with_the_last_cluster_that_it_was_made_for() {
    let client = plane().await.client().await;
    let kubernetes = Kubernetes::new(client.clone());
    let [one, other] = ["muons", "electrons"].map(|name| spec(name, "made-and-gone"));
    kubernetes.apply(&one, Some(&secret())).await.unwrap();
    kubernetes.apply(&other, Some(&secret())).await.unwrap();

    let fate = kubernetes.delete(&one.name, "made-and-gone", PATIENCE).await.unwrap();
    assert!(
        matches!(&fate, NamespaceFate::InUse(by) if by.contains(&"ConfigMap electrons-config".to_string())),
        "{fate:?}"
    );
    assert_eq!(kubernetes.cluster(&other.name, "made-and-gone").await.unwrap(), other);

    let fate = kubernetes.delete(&other.name, "made-and-gone", PATIENCE).await.unwrap();
    assert_eq!(fate, NamespaceFate::Gone);
    assert!(!namespace_is_there(&client, "made-and-gone").await);
}

#[tokio::test]
async fn a_namespace_in_which_somebody_else_has_something_stays() {
    let client = plane().await.client().await;
    let kubernetes = Kubernetes::new(client.clone());
    let spec = spec("muons", "made-and-used");
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "made-and-used");
    let mut results = ConfigMap::default();
    results.metadata.name = Some("results".to_string());
    maps.create(&PostParams::default(), &results).await.unwrap();

    let fate = kubernetes.delete(&spec.name, "made-and-used", PATIENCE).await.unwrap();

    assert_eq!(fate, NamespaceFate::InUse(vec!["ConfigMap results".to_string()]));
    assert!(maps.get_opt("results").await.unwrap().is_some());
}

#[tokio::test]
async fn executors_go_with_the_deployment_of_their_scheduler() {
    let (client, kubernetes, namespace) = namespace("owned").await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let owner = deployments.get("muons-scheduler").await.unwrap().controller_owner_ref(&()).unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    pods.create(&PostParams::default(), &executor_pod(&spec, "muons-executor-a", 0, Some(owner))).await.unwrap();
    start_executor(&client, &spec, "muons-executor-b", None).await;

    deployments.delete("muons-scheduler", &DeleteParams::background()).await.unwrap();

    let names = async || -> Vec<String> {
        kubernetes.pods(&spec.name, &namespace).await.unwrap().into_iter().map(|pod| pod.name).collect()
    };
    eventually("what is owned is gone", names, |names| *names == ["muons-executor-b"]).await;
}

#[tokio::test]
async fn what_stays_is_named() {
    let (client, kubernetes, namespace) = namespace("stays").await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let held = |by: &[&str]| Patch::Merge(json!({"metadata": {"finalizers": by}}));
    maps.patch("muons-config", &PatchParams::default(), &held(&["example.org/held"])).await.unwrap();

    let error = kubernetes.delete(&spec.name, &namespace, Duration::from_secs(20)).await.unwrap_err();

    let Error::Stays { left, .. } = &error else { panic!("{error}") };
    assert_eq!(left, "ConfigMap muons-config (held by example.org/held)");
    maps.patch("muons-config", &PatchParams::default(), &held(&[])).await.unwrap();
    eventually("it is gone", async || maps.get_opt("muons-config").await.unwrap(), Option::is_none).await;
}

#[tokio::test]
async fn a_cluster_that_is_not_there_cannot_be_deleted() {
    let (client, kubernetes, namespace) = namespace("no-cluster").await;
    let theirs = ConfigMap::default();
    let theirs = ConfigMap {
        metadata: kube::api::ObjectMeta { name: Some("muons-config".into()), ..theirs.metadata },
        ..ConfigMap::default()
    };
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let theirs = maps.create(&PostParams::default(), &theirs).await.unwrap();

    let error = kubernetes.delete(&name("muons"), &namespace, PATIENCE).await.unwrap_err();

    assert!(matches!(error, Error::NoCluster { .. }), "{error}");
    assert_eq!(maps.get("muons-config").await.unwrap().uid(), theirs.uid(), "only its name is ours");
}
