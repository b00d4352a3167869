//! What the objects of a cluster have to hold, whoever reads them.

use super::*;
use crate::executor_pod;

fn spec(name: &str) -> ClusterSpec {
    let text = format!(
        r#"{{"name": "{name}", "namespace": "physics", "image": "registry.example/root-query:1", "tokens": true,
            "executors": {{"count": "0..8", "resources": {{"cores": 2, "memory": "4Gi"}}, "scratch": "20Gi"}},
            "environment": {{"KRB5CCNAME": "FILE:/etc/root-query/secret/krb5cc"}}, "secret_files": ["/tmp/krb5cc"]}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn secret() -> Vec<SecretFile> {
    ["tokens", "krb5cc"].map(|name| SecretFile { name: name.to_string(), content: b"hidden".to_vec() }).into()
}

fn find(objects: &[Object], kind: &str, name: &str) -> Value {
    let found = objects.iter().find(|object| object.kind == kind && object.name == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}")).value.clone()
}

#[test]
fn every_object_carries_the_labels_of_its_cluster_and_its_namespace() {
    for object in objects(&spec("muons"), &secret()).unwrap() {
        let metadata = &object.value["metadata"];
        assert_eq!(metadata["namespace"], "physics", "{}", object.kind);
        assert_eq!(metadata["labels"]["app.kubernetes.io/instance"], "muons", "{}", object.kind);
        assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "root-query", "{}", object.kind);
        assert!(object.value["apiVersion"].is_string() && object.value["kind"] == object.kind.as_str());
    }
}

#[test]
fn pods_run_as_nobody_with_nothing_but_their_volumes_to_write_to() {
    let spec = spec("muons");
    let deployment = find(&objects(&spec, &secret()).unwrap(), "Deployment", "muons-scheduler");
    let executor = serde_json::to_value(executor_pod(&spec, "muons-executor-abcde", 0, None)).unwrap();
    for pod in [&deployment["spec"]["template"]["spec"], &executor["spec"]] {
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["capabilities"]["drop"][0], "ALL");
    }
    assert_eq!(executor["spec"]["automountServiceAccountToken"], false, "executors have no business with Kubernetes");
    assert_eq!(executor["spec"]["restartPolicy"], "Never");
}

#[test]
fn the_scheduler_may_manage_pods_of_its_namespace_and_nothing_else() {
    let role = find(&objects(&spec("muons"), &secret()).unwrap(), "Role", "muons-scheduler");
    let rules = role["rules"].as_array().unwrap();
    let may = |resource: &str| -> Vec<&str> {
        let rules = rules.iter().filter(|rule| rule["resources"].as_array().unwrap().iter().any(|r| r == resource));
        rules.flat_map(|rule| rule["verbs"].as_array().unwrap()).map(|verb| verb.as_str().unwrap()).collect()
    };
    assert_eq!(may("pods"), ["create", "delete", "get", "list", "watch"]);
    assert_eq!(may("deployments"), ["get"]);
    for forbidden in ["secrets", "pods/exec", "roles", "nodes", "*"] {
        assert!(may(forbidden).is_empty(), "{forbidden}");
    }
}

#[test]
fn secrets_stand_in_the_secret_alone_and_tokens_of_users_reach_no_executor() {
    let spec = spec("muons");
    let objects = objects(&spec, &secret()).unwrap();
    for object in objects.iter().filter(|object| object.kind != "Secret") {
        let text = object.value.to_string();
        assert!(!text.contains("hidden") && !text.contains("aGlkZGVu"), "{}", object.kind);
    }
    let executor = serde_json::to_value(executor_pod(&spec, "e", 0, None)).unwrap().to_string();
    assert!(executor.contains("krb5cc") && !executor.contains("tokens"), "{executor}");
}

#[test]
fn another_configuration_or_secret_is_another_pod_of_the_scheduler() {
    let hash = |spec: &ClusterSpec, secret: &[SecretFile]| {
        let deployment = find(&objects(spec, secret).unwrap(), "Deployment", "muons-scheduler");
        deployment["spec"]["template"]["metadata"]["annotations"]["root-query.io/configuration"].clone()
    };
    let (one, mut other) = (spec("muons"), secret());
    assert_eq!(hash(&one, &secret()), hash(&one, &secret()));
    other[0].content = b"other".to_vec();
    assert_ne!(hash(&one, &secret()), hash(&one, &other));
    let more = ClusterSpec { stores: "[http]\nretries = 1\n".to_string(), ..spec("muons") };
    assert_ne!(hash(&one, &secret()), hash(&more, &secret()));
}

#[test]
fn executors_are_reached_by_their_cluster_alone() {
    let policy = find(&objects(&spec("muons"), &secret()).unwrap(), "NetworkPolicy", "muons-executor");
    let ingress = policy["spec"]["ingress"].as_array().unwrap();
    assert_eq!(ingress.len(), 1);
    for peer in ingress[0]["from"].as_array().unwrap() {
        assert_eq!(peer["podSelector"]["matchLabels"]["app.kubernetes.io/instance"], "muons");
    }
    assert_eq!(policy["spec"]["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
}

#[test]
fn names_fit_however_long_that_of_the_cluster_is() {
    for object in objects(&spec(&"m".repeat(63)), &secret()).unwrap() {
        assert!(object.name.len() <= 63, "{} {}", object.kind, object.name);
    }
}
