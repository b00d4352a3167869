//! Logs and connections, as far as there are any without a kubelet.

use std::sync::{Arc, Mutex};

use root_kubernetes::{Error, LogOptions};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::world::{PATIENCE, eventually, name, namespace, secret, spec};

#[tokio::test]
async fn logs_are_those_of_pods_of_the_cluster() {
    let (_, kubernetes, namespace) = namespace("logs").await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE, |_| {}).await.unwrap();

    let other = kubernetes.logs(&spec.name, &namespace, Some("another"), LogOptions::default()).await.err().unwrap();
    assert_eq!(other.to_string(), "the cluster muons has no pod another");
    let nobody = kubernetes.logs(&name("electrons"), &namespace, None, LogOptions::default()).await.err().unwrap();
    assert_eq!(nobody.to_string(), "the cluster electrons has no scheduler");
    // The node has no kubelet that would have one.
    let error = kubernetes.logs(&spec.name, &namespace, None, LogOptions::default()).await.err().unwrap();
    assert!(error.to_string().starts_with("Kubernetes refuses to show the log of muons-scheduler-"), "{error}");
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_told_and_ends_no_other() {
    let (_, kubernetes, namespace) = namespace("forward").await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE, |_| {}).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let forwarding = {
        let (told, name) = (Arc::clone(&told), spec.name.clone());
        tokio::spawn(async move {
            let tell = |error: &Error| told.lock().unwrap().push(error.to_string());
            kubernetes.forward(&name, &namespace, listener, tell).await
        })
    };

    for _ in 0..2 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let mut nothing = Vec::new();
        assert_eq!(connection.read_to_end(&mut nothing).await.unwrap_or_default(), 0);
    }

    let told = eventually("both are told", async || told.lock().unwrap().clone(), |told| told.len() == 2).await;
    assert!(told.iter().all(|error| error.contains("muons-scheduler-")), "{told:?}");
    assert!(!forwarding.is_finished());
    forwarding.abort();
}

#[tokio::test]
async fn a_cluster_without_a_scheduler_that_runs_has_nothing_to_connect_to() {
    let (_, kubernetes, namespace) = namespace("no-forward").await;
    let mut spec = spec("muons", &namespace);
    spec.image = format!("{}root-query:1", kubernetes_testbed::MISSING);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = kubernetes.forward(&spec.name, &namespace, listener, |_| {}).await.unwrap_err();
    assert!(error.to_string().starts_with("the cluster muons has no scheduler"), "{error}");
}
