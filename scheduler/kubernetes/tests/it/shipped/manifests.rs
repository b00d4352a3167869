//! The manifests of `deploy/`, which are applied without any program of ours.

use std::io::Write;
use std::process::{Command, Stdio};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use kubernetes_testbed::kubectl;
use root_kubernetes::{ClusterSpec, Kubernetes, NamespaceFate, Secrets, objects, yaml};

use super::deploy;
use crate::world::{PATIENCE, eventually, everything, everything_at_first, plane};

const HEADER: &str = "\
# The objects of the cluster that deploy/cluster.yaml describes, written by `make manifests`.
#
#   kubectl create namespace analysis
#   kubectl -n analysis create secret generic analysis-secret --from-file=tokens
#   kubectl -n analysis label secret analysis-secret app.kubernetes.io/name=root-query app.kubernetes.io/instance=analysis
#   kubectl apply --server-side -f deploy/manifests/cluster.yaml
";

fn described() -> ClusterSpec {
    serde_saphyr::from_str(&std::fs::read_to_string(deploy("cluster.yaml")).unwrap()).unwrap()
}

#[test]
fn manifests_are_what_is_made_of_the_description_beside_them() {
    let made = yaml(&objects(&described(), None).unwrap(), Secrets::Hidden).unwrap();
    let (made, path) = (format!("{HEADER}{made}"), deploy("manifests/cluster.yaml"));
    if std::env::var_os("WRITE_MANIFESTS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = written.lines().zip(made.lines()).find(|(written, made)| written != made);
    assert!(
        written == made,
        "deploy/manifests/cluster.yaml is not what deploy/cluster.yaml describes ({difference:?}); `make manifests` writes it anew"
    );
}

#[tokio::test]
async fn manifests_are_applied_by_kubectl_and_make_a_cluster_that_our_commands_know() {
    let plane = plane().await;
    let (client, spec) = (plane.client().await, described());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(serde_json::json!({"metadata": {"name": spec.namespace}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let before = everything_at_first(&client, &spec.namespace).await;
    let text = std::fs::read_to_string(deploy("manifests/cluster.yaml")).unwrap();
    // The control plane of the tests is older than the first version.
    let text = text.replace("policy/v1\n", "policy/v1beta1\n");

    let mut applied = Command::new(kubectl())
        .args(["apply", "--server-side", "-f", "-", "--kubeconfig"])
        .arg(plane.kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    applied.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let applied = applied.wait_with_output().unwrap();

    assert!(applied.status.success(), "{applied:?}");
    assert_eq!(String::from_utf8(applied.stdout).unwrap().lines().count(), objects(&spec, None).unwrap().len());
    let kubernetes = Kubernetes::new(client.clone());
    kubernetes.wait_until_ready(&spec.name, &spec.namespace, PATIENCE, |_| {}).await.unwrap();
    assert_eq!(kubernetes.cluster(&spec.name, &spec.namespace).await.unwrap(), spec);
    let fate = kubernetes.delete(&spec.name, &spec.namespace, PATIENCE).await.unwrap();
    assert_eq!(fate, NamespaceFate::Kept);
    // The budget, which this control plane has under another version, is nothing that the command looks for.
    let rest = |all: &Vec<String>| all.iter().filter(|object| !object.starts_with("PodDisruptionBudget")).eq(&before);
    eventually("nothing is left", async || everything(&client, &spec.namespace).await, rest).await;
}
