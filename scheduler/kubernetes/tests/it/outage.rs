//! The API server goes away and comes back: on a control plane of its own.

use std::time::Duration;

use kubernetes_testbed::{ControlPlane, FakeNode, Fate};
use root_kubernetes::{Change, Error, Kubernetes};

use crate::world::{PATIENCE, everything, secret, spec, start_executor};

#[tokio::test]
async fn waiting_and_deleting_go_on_when_the_server_is_back() {
    let plane = ControlPlane::start().await;
    let client = plane.client().await;
    let kubernetes = Kubernetes::new(client.clone());
    let spec = spec("muons", "made-before-the-outage");
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();

    // Without a node it waits for as long as it may.
    let (told, mut news) = tokio::sync::mpsc::unbounded_channel();
    let waiting = {
        let (kubernetes, spec) = (kubernetes.clone(), spec.clone());
        tokio::spawn(async move {
            let tell =
                |change: &Result<Change, Error>| drop(told.send(change.as_ref().map_err(ToString::to_string).cloned()));
            kubernetes.wait_until_ready(&spec.name, &spec.namespace, PATIENCE * 3, tell).await
        })
    };
    while !matches!(news.recv().await.unwrap(), Ok(Change::Pod(_))) {}
    plane.stop_api_server();
    let said = loop {
        if let Err(said) = news.recv().await.unwrap() {
            break said;
        }
    };
    assert!(said.starts_with("Kubernetes does not answer"), "{said}");
    let error = kubernetes.clusters(None).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    plane.start_api_server().await;
    let node = FakeNode::join(&plane, "node-1").await;
    waiting.await.unwrap().unwrap();

    // What is to be deleted takes so long to end that the server goes away in between.
    start_executor(&client, &spec, "muons-executor-a", Some(Fate::Lingers(5))).await;
    let deleting = {
        let (kubernetes, spec) = (kubernetes.clone(), spec.clone());
        tokio::spawn(async move { kubernetes.delete(&spec.name, &spec.namespace, PATIENCE * 3).await })
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!deleting.is_finished());
    plane.stop_api_server();
    tokio::time::sleep(Duration::from_secs(2)).await;
    plane.start_api_server().await;
    assert_eq!(deleting.await.unwrap().unwrap(), root_kubernetes::NamespaceFate::Gone);
    assert_eq!(everything(&client, &spec.namespace).await, Vec::<String>::new());
    drop(node);
}

#[tokio::test]
async fn a_deadline_that_passes_while_the_server_is_away_says_so() {
    let plane = ControlPlane::start().await;
    let kubernetes = Kubernetes::new(plane.client().await);
    let spec = spec("muons", "waits");
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    let mut plane = Some(plane);
    let tell = |change: &Result<Change, Error>| {
        if matches!(change, Ok(Change::Pod(_))) {
            drop(plane.take());
        }
    };

    let error =
        kubernetes.wait_until_ready(&spec.name, &spec.namespace, Duration::from_secs(10), tell).await.unwrap_err();

    let Error::NotReady { why, .. } = &error else { panic!("{error}") };
    assert!(
        why.starts_with("Kubernetes does not answer") && why.contains("before that, its pod muons-scheduler-"),
        "{why}"
    );
}
