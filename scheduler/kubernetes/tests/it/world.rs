//! What the tests share: a control plane with a node, and descriptions of clusters.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
pub use kubernetes_testbed::everything;
use kubernetes_testbed::{ANNOTATION, ControlPlane, FakeNode, Fate};
use root_kubernetes::{ClusterName, ClusterSpec, Kubernetes, SecretFile, executor_pod};
use tokio::sync::OnceCell;

/// How long something may take that is to happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The control plane of all tests, and its node.
pub async fn plane() -> &'static ControlPlane {
    static NODE: OnceCell<FakeNode> = OnceCell::const_new();
    let plane = ControlPlane::of_this_process().await;
    NODE.get_or_init(|| FakeNode::join(plane, "node-1")).await;
    plane
}

/// A new namespace, and connections of an administrator.
pub async fn namespace(prefix: &str) -> (Client, Kubernetes, String) {
    let plane = plane().await;
    let client = plane.client().await;
    let namespace = plane.namespace(prefix).await;
    is_furnished(&client, &namespace).await;
    (client.clone(), Kubernetes::new(client), namespace)
}

/// Waits until a new namespace has what Kubernetes puts into each, which is nobody else's.
pub async fn is_furnished(client: &Client, namespace: &str) {
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(client.clone(), namespace);
    let look = async || {
        let token = secrets.list(&kube::api::ListParams::default()).await.unwrap().items.len();
        (maps.get_opt("kube-root-ca.crt").await.unwrap().is_some(), token)
    };
    eventually("a namespace has what each has", look, |found| *found == (true, 1)).await;
}

pub fn name(name: &str) -> ClusterName {
    name.parse().unwrap()
}

/// A cluster that has all that clusters can have.
pub fn spec(name: &str, namespace: &str) -> ClusterSpec {
    let text = format!(
        r#"{{"name": "{name}", "namespace": "{namespace}", "image": "registry.example/root-query:1", "tokens": true,
            "pull_secrets": ["registry"], "tls": true, "secret_files": ["krb5cc"], "stores": "[http]\nretries = 1\n",
            "environment": {{"KRB5CCNAME": "FILE:/etc/root-query/secret/krb5cc"}}, "storage_ports": [1094, 88],
            "scheduler": {{"place": {{"volumes": [{{"name": "krb5", "configMap": {{"name": "krb5"}}}}],
                "volume_mounts": [{{"name": "krb5", "mountPath": "/etc/krb5"}}]}}, "arguments": ["--task-attempts", "2"]}},
            "executors": {{"count": "0..8", "resources": {{"cores": 1, "memory": "1Gi"}}, "scratch": "2Gi",
                "place": {{"tolerations": [{{"key": "batch", "operator": "Exists"}}],
                    "volumes": [{{"name": "cvmfs", "hostPath": {{"path": "/cvmfs"}}}}],
                    "volume_mounts": [{{"name": "cvmfs", "mountPath": "/cvmfs", "readOnly": true}}]}}}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

pub fn secret() -> Vec<SecretFile> {
    ["tokens", "tls.crt", "tls.key", "krb5cc"]
        .map(|name| SecretFile { name: name.to_string(), content: format!("hidden {name}").into_bytes() })
        .into()
}

/// Starts an executor of a cluster as its scheduler would, with a fate.
pub async fn start_executor(client: &Client, spec: &ClusterSpec, name: &str, fate: Option<Fate>) -> Pod {
    let mut pod = executor_pod(spec, name, 0, None);
    if let Some(fate) = fate {
        pod.annotations_mut().insert(ANNOTATION.to_string(), fate.as_text());
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &spec.namespace);
    pods.create(&PostParams::default(), &pod).await.unwrap()
}

/// Waits until something is so, and tells what it was last if it never is.
pub async fn eventually<T: Debug>(what: &str, get: impl AsyncFn() -> T, is_so: impl Fn(&T) -> bool) -> T {
    let since = Instant::now();
    loop {
        let now = get().await;
        if is_so(&now) {
            return now;
        }
        assert!(since.elapsed() < PATIENCE, "{what}: {now:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
