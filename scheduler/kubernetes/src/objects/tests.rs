//! What the objects of a cluster have to hold, whoever reads them.

use super::*;
use crate::executor_pod;

fn spec(name: &str) -> ClusterSpec {
    let text = format!(
        r#"{{"name": "{name}", "namespace": "physics", "image": "registry.example/root-query:1", "tokens": true,
            "executors": {{"count": "0..8", "resources": {{"cores": 2, "memory": "4Gi"}}, "scratch": "20Gi"}},
            "environment": {{"KRB5CCNAME": "FILE:/etc/root-query/secret/krb5cc"}}, "secret_files": ["krb5cc"]}}"#
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
    for object in objects(&spec("muons"), Some(&secret())).unwrap() {
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
    let deployment = find(&objects(&spec, Some(&secret())).unwrap(), "Deployment", "muons-scheduler");
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
fn who_pods_run_as_can_be_left_to_kubernetes_but_never_root() {
    let theirs = ClusterSpec { user: None, ..spec("muons") };
    for (spec, user) in [(spec("muons"), Value::from(65_532)), (theirs, Value::Null)] {
        let deployment = find(&objects(&spec, None).unwrap(), "Deployment", "muons-scheduler");
        let executor = serde_json::to_value(executor_pod(&spec, "muons-executor-abcde", 0, None)).unwrap();
        for pod in [&deployment["spec"]["template"]["spec"], &executor["spec"]] {
            for number in ["runAsUser", "runAsGroup", "fsGroup"] {
                assert_eq!(pod["securityContext"][number], user);
            }
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        }
    }
}

#[test]
fn the_scheduler_may_manage_pods_of_its_namespace_and_nothing_else() {
    let role = find(&objects(&spec("muons"), Some(&secret())).unwrap(), "Role", "muons-scheduler");
    let rules = role["rules"].as_array().unwrap();
    let may = |resource: &str| -> Vec<&str> {
        let rules = rules.iter().filter(|rule| rule["resources"].as_array().unwrap().iter().any(|r| r == resource));
        rules.flat_map(|rule| rule["verbs"].as_array().unwrap()).map(|verb| verb.as_str().unwrap()).collect()
    };
    assert_eq!(may("pods"), ["create", "delete", "get", "list", "watch"]);
    assert_eq!(may("deployments"), ["get"]);
    assert_eq!(may("jobs"), ["get", "patch"]);
    for forbidden in ["secrets", "pods/exec", "roles", "nodes", "*"] {
        assert!(may(forbidden).is_empty(), "{forbidden}");
    }
}

#[test]
fn secrets_stand_in_the_secret_alone_and_tokens_of_users_reach_no_executor() {
    let spec = spec("muons");
    let objects = objects(&spec, Some(&secret())).unwrap();
    for object in objects.iter().filter(|object| object.kind != "Secret") {
        let text = object.value.to_string();
        assert!(!text.contains("hidden") && !text.contains("aGlkZGVu"), "{}", object.kind);
    }
    let executor = serde_json::to_value(executor_pod(&spec, "e", 0, None)).unwrap().to_string();
    assert!(executor.contains("krb5cc") && !executor.contains("tokens"), "{executor}");
}

#[test]
fn another_configuration_is_another_pod_of_the_scheduler_and_another_ticket_is_not() {
    let deployment = |spec: &ClusterSpec, secret: &[SecretFile]| {
        find(&objects(spec, Some(secret)).unwrap(), "Deployment", "muons-scheduler").to_string()
    };
    let (one, mut renewed) = (spec("muons"), secret());
    renewed[1].content = b"renewed".to_vec();
    assert_eq!(deployment(&one, &secret()), deployment(&one, &renewed));
    let more = ClusterSpec { stores: "[http]\nretries = 1\n".to_string(), ..spec("muons") };
    assert_ne!(deployment(&one, &secret()), deployment(&more, &secret()));
}

#[test]
fn executors_are_reached_by_their_cluster_alone_and_reach_it_storage_and_names() {
    let few = ClusterSpec { storage_ports: [1094].into(), ..spec("muons") };
    let policy = find(&objects(&few, None).unwrap(), "NetworkPolicy", "muons-executor");
    let ingress = policy["spec"]["ingress"].as_array().unwrap();
    assert_eq!(ingress.len(), 1);
    for peer in ingress[0]["from"].as_array().unwrap() {
        assert_eq!(peer["podSelector"]["matchLabels"]["app.kubernetes.io/instance"], "muons");
    }
    assert_eq!(policy["spec"]["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
    let [cluster, hosts, storage] = policy["spec"]["egress"].as_array().unwrap().as_slice() else { panic!("{policy}") };
    assert_eq!(cluster["to"].as_array().unwrap().len(), 2);
    let ports = |rule: &Value| -> Vec<i64> {
        rule["ports"].as_array().unwrap().iter().map(|port| port["port"].as_i64().unwrap()).collect()
    };
    assert_eq!((ports(hosts), ports(storage)), (vec![53, 53], vec![1094]));
    assert_eq!(storage["to"][1]["ipBlock"]["except"], serde_json::json!(["169.254.0.0/16"]));

    let none = ClusterSpec { storage_ports: [].into(), ..spec("muons") };
    let policy = find(&objects(&none, None).unwrap(), "NetworkPolicy", "muons-executor");
    assert_eq!(policy["spec"]["egress"].as_array().unwrap().len(), 2, "no ports are not all ports");
}

#[test]
fn jobs_reach_the_scheduler_as_users_do_and_nobody_reaches_them() {
    let few = ClusterSpec { storage_ports: [1094].into(), ..spec("muons") };
    let policy = find(&objects(&few, None).unwrap(), "NetworkPolicy", "muons-jobs");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"], "job");
    assert_eq!(policy["spec"]["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
    assert!(policy["spec"]["ingress"].is_null(), "{policy}");
    let [scheduler, hosts, storage] = policy["spec"]["egress"].as_array().unwrap().as_slice() else {
        panic!("{policy}")
    };
    let to = &scheduler["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"];
    assert_eq!((to, &scheduler["ports"][0]["port"]), (&Value::from("scheduler"), &Value::from(USERS_PORT)));
    assert_eq!((&hosts["ports"][0]["port"], &storage["ports"][0]["port"]), (&Value::from(53), &Value::from(1094)));
}

#[test]
fn names_fit_however_long_that_of_the_cluster_is() {
    for object in objects(&spec(&"m".repeat(63)), Some(&secret())).unwrap() {
        assert!(object.name.len() <= 63, "{} {}", object.kind, object.name);
    }
}

#[test]
fn nothing_shows_secrets_unless_it_is_asked_to() {
    let objects = objects(&spec("muons"), Some(&secret())).unwrap();
    let shown = yaml(&objects, Secrets::Shown).unwrap();
    assert!(shown.contains("aGlkZGVu"));
    for text in [format!("{objects:?} {:?}", secret()), yaml(&objects, Secrets::Hidden).unwrap()] {
        assert!(!text.contains("hidden\"") && !text.contains("aGlkZGVu") && text.contains("krb5cc"), "{text}");
    }
}

#[test]
fn objects_as_yaml_are_the_same_objects() {
    let tricky = "yes: no\n- 'a' \"b\" \\ # c\n\ttab\r\n\u{85}\u{2028}end  ";
    for stores in ["", "1", "null", "~", " ", "\n", "on", "0x1f", "1e3", "2020-01-01", tricky, &format!("{tricky}\n\n")]
    {
        let spec = ClusterSpec { stores: stores.to_string(), ..spec("muons") };
        let objects = objects(&spec, Some(&secret())).unwrap();
        let read: Vec<Value> = serde_saphyr::from_multiple(&yaml(&objects, Secrets::Shown).unwrap()).unwrap();
        let values: Vec<Value> = objects.into_iter().map(|object| object.value).collect();
        assert_eq!(read, values, "{stores:?}");
    }
}
