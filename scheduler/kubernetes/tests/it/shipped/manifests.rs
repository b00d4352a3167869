//! The manifests of `deploy/`, which are applied without any program of ours.

use std::process::Command;

use eos_testbed::Dir;
use kubernetes_testbed::kubectl;
use root_kubernetes::{ClusterSpec, Kubernetes, NamespaceFate, SecretFile, Secrets, objects, yaml};

use super::deploy;
use crate::world::{PATIENCE, eventually, everything, is_furnished, plane};

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
async fn manifests_are_applied_as_their_head_says_and_make_a_cluster_that_our_commands_know() {
    let plane = plane().await;
    let (client, spec) = (plane.client().await, described());
    let dir = Dir::new("manifests");
    let copy = dir.path().join("deploy/manifests/cluster.yaml");
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    let text = std::fs::read_to_string(deploy("manifests/cluster.yaml")).unwrap();
    // The control plane of the tests is older than the first version.
    std::fs::write(copy, text.replace("policy/v1\n", "policy/v1beta1\n")).unwrap();
    std::fs::write(dir.path().join("tokens"), "me:0123456789abcdef\n").unwrap();

    let mut before = Vec::new();
    for command in text.lines().filter_map(|line| line.strip_prefix("#   kubectl ")) {
        let mut kubectl = Command::new(kubectl());
        let done =
            kubectl.args(command.split(' ')).env("KUBECONFIG", plane.kubeconfig()).current_dir(dir.path()).output();
        let done = done.unwrap();
        assert!(done.status.success(), "kubectl {command}: {done:?}");
        if command.starts_with("create namespace") {
            is_furnished(&client, &spec.namespace).await;
            before = everything(&client, &spec.namespace).await;
        }
    }

    let kubernetes = Kubernetes::new(client.clone());
    kubernetes.wait_until_ready(&spec.name, &spec.namespace, PATIENCE, |_| {}).await.unwrap();
    assert_eq!(kubernetes.cluster(&spec.name, &spec.namespace).await.unwrap(), spec);
    let tokens = SecretFile { name: "tokens".to_string(), content: b"me:fedcba9876543210".to_vec() };
    kubernetes.apply(&spec, Some(&[tokens])).await.expect("the secret is taken for one of the cluster");
    let fate = kubernetes.delete(&spec.name, &spec.namespace, PATIENCE).await.unwrap();
    assert_eq!(fate, NamespaceFate::Kept);
    // The budget, which this control plane has under another version, is nothing that the command looks for.
    let rest = |all: &Vec<String>| all.iter().filter(|object| !object.starts_with("PodDisruptionBudget")).eq(&before);
    eventually("nothing is left", async || everything(&client, &spec.namespace).await, rest).await;
}
