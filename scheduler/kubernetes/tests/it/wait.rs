//! Waiting for a cluster, and what is told meanwhile.

use std::time::Duration;

use kubernetes_testbed::{Fate, MISSING, UNMOUNTABLE, UNREADY};
use root_kubernetes::{Change, Error, Phase, PodView};

use crate::world::{PATIENCE, name, namespace, plane, secret, spec, start_executor};

#[tokio::test]
async fn what_becomes_of_pods_is_told_until_the_scheduler_is_ready() {
    let (_, kubernetes, namespace) = namespace("ready").await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();

    let mut told: Vec<Change> = Vec::new();
    let tell = |change: &Result<Change, Error>| told.push(change.as_ref().unwrap().clone());
    kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE, tell).await.unwrap();

    assert!(matches!(told.last(), Some(Change::Scheduler { is_ready: true, .. })), "{told:?}");
    let views: Vec<&PodView> =
        told.iter().filter_map(|change| if let Change::Pod(view) = change { Some(view) } else { None }).collect();
    let last = views.last().unwrap();
    assert!(last.is_scheduler() && last.phase == Phase::Running { ready: true }, "{last:?}");
    assert_eq!(last.node.as_deref(), Some("node-1"));
    assert_eq!(last.image.as_deref(), Some("registry.example/root-query:1"));
    assert!(views.windows(2).all(|pair| pair[0] != pair[1]), "what has not changed is not told: {views:?}");
}

#[tokio::test]
async fn after_another_description_the_scheduler_of_the_former_is_not_enough() {
    let (_, kubernetes, namespace) = namespace("rollout").await;
    let mut spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE, |_| {}).await.unwrap();
    let former = kubernetes.pods(&spec.name, &namespace).await.unwrap()[0].name.clone();

    spec.image = "registry.example/root-query:2".to_string();
    kubernetes.apply(&spec, None).await.unwrap();
    let mut gone = Vec::new();
    let tell = |change: &Result<Change, Error>| {
        if let Ok(Change::Gone(name)) = change {
            gone.push(name.clone());
        }
    };
    kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE, tell).await.unwrap();

    let pods = kubernetes.pods(&spec.name, &namespace).await.unwrap();
    assert_eq!(pods.len(), 1, "never two schedulers: {pods:?}");
    assert_eq!(pods[0].image.as_deref(), Some("registry.example/root-query:2"));
    assert_ne!(pods[0].name, former);
}

#[tokio::test]
async fn a_deadline_that_has_passed_says_why_the_scheduler_is_not_ready() {
    let (_, kubernetes, namespace) = namespace("not-ready").await;
    for (cluster, image, expected) in [
        ("muons", MISSING, "is waiting: the image missing.example/root-query:1 cannot be pulled: manifest for"),
        ("electrons", UNREADY, "is running, not ready, Readiness probe failed"),
        ("taus", UNMOUNTABLE, "is starting, MountVolume.SetUp failed for volume"),
    ] {
        let mut spec = spec(cluster, &namespace);
        spec.image = format!("{image}root-query:1");
        kubernetes.apply(&spec, Some(&secret())).await.unwrap();

        let time = Duration::from_secs(8);
        let error = kubernetes.wait_until_ready(&spec.name, &namespace, time, |_| {}).await.unwrap_err();

        let Error::NotReady { why, .. } = &error else { panic!("{error}") };
        assert!(why.starts_with(&format!("its pod {cluster}-scheduler-")) && why.contains(expected), "{why}");
    }
}

#[tokio::test]
async fn an_executor_that_comes_and_goes_is_told_of() {
    let (client, kubernetes, namespace) = namespace("live").await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    let mut changes = std::pin::pin!(kubernetes.changes(&spec.name, &namespace));
    start_executor(&client, &spec, "muons-executor-a", Some(Fate::Ends(137, "OOMKilled".to_string()))).await;

    let mut phases = Vec::new();
    let mut is_deleted = false;
    let watched = async {
        loop {
            match futures::StreamExt::next(&mut changes).await.unwrap().unwrap() {
                Change::Pod(pod) if pod.name == "muons-executor-a" => phases.push(pod.phase),
                Change::Gone(name) if name == "muons-executor-a" => return,
                _ => {}
            }
            if phases.last() == Some(&Phase::OutOfMemory) && !is_deleted {
                is_deleted = true;
                kube::Api::<k8s_openapi::api::core::v1::Pod>::namespaced(client.clone(), &namespace)
                    .delete("muons-executor-a", &Default::default())
                    .await
                    .unwrap();
            }
        }
    };
    tokio::time::timeout(PATIENCE, watched).await.expect("it is told that it is gone");
    assert!(phases.contains(&Phase::Running { ready: true }) && phases.contains(&Phase::OutOfMemory), "{phases:?}");
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_not_waited_for() {
    let (_, kubernetes, namespace) = namespace("nobody").await;
    let error = kubernetes.wait_until_ready(&name("muons"), &namespace, PATIENCE, |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::NoCluster { .. }), "{error}");
}

#[tokio::test]
async fn who_may_not_look_is_told_so_at_once() {
    let (_, kubernetes, namespace) = namespace("no-rights").await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    let nobody = root_kubernetes::Kubernetes::new(plane().await.client_of("muons-executor", &namespace).await);
    let error = nobody.wait_until_ready(&spec.name, &namespace, PATIENCE, |_| {}).await.unwrap_err();
    assert!(matches!(error, Error::Refused { code: 403, .. }), "{error}");
}
