//! The chart of `deploy/helm`: the same objects of the same description, and clusters that Helm installs.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use eos_testbed::Dir;
use kubernetes_testbed::helm;
use root_kubernetes::{ClusterSpec, objects};
use serde_json::{Value, json};

use super::deploy;
use crate::world::{PATIENCE, eventually, everything, namespace, plane};

const EVERYTHING: &str = include_str!("../../fixtures/cluster.json");

/// A description of a cluster with no more than what has to be said.
fn minimal() -> Value {
    json!({"name": "muons", "namespace": "physics", "image": "registry.example/root-query:1",
        "executors": {"count": "2", "resources": {"cores": 2, "memory": "4Gi"}}})
}

/// Runs Helm with what it keeps in a directory of its own.
fn run(dir: &Dir, arguments: &[&str]) -> Output {
    let mut command = Command::new(helm());
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, dir.path().join(name));
    }
    let chart = deploy("helm/root-query").display().to_string();
    let arguments = arguments.iter().map(|argument| if *argument == "CHART" { chart.as_str() } else { argument });
    command.args(arguments).output().unwrap()
}

/// What the chart makes of values, by kind and name, or why it refuses them.
fn render(values: &str) -> Result<BTreeMap<(String, String), Value>, String> {
    let dir = Dir::new("helm");
    let file = dir.path().join("values.yaml");
    std::fs::write(&file, values).unwrap();
    let rendered = run(&dir, &["template", "release", "CHART", "-n", "of-release", "-f", file.to_str().unwrap()]);
    if !rendered.status.success() {
        return Err(String::from_utf8(rendered.stderr).unwrap());
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(&String::from_utf8(rendered.stdout).unwrap()).unwrap();
    let name = |value: &Value| value.as_str().unwrap().to_string();
    let by_name = |value: Value| ((name(&value["kind"]), name(&value["metadata"]["name"])), value);
    Ok(documents.into_iter().map(by_name).collect())
}

/// The description that is in a configuration, which is taken out of it.
fn take_description(value: &mut Value) -> Value {
    serde_json::from_str(value["data"]["cluster.json"].take().as_str().unwrap()).unwrap()
}

/// That the chart makes the same objects of a description as we do, with the same description for the scheduler in them.
fn assert_same(description: &str) {
    let spec: ClusterSpec = serde_saphyr::from_str(description).unwrap();
    let mut rendered = render(description).unwrap();
    for mut object in objects(&spec, None).unwrap() {
        let what = (object.kind.clone(), object.name.clone());
        let mut theirs = rendered.remove(&what).unwrap_or_else(|| panic!("the chart has no {what:?}"));
        if object.kind == "ConfigMap" {
            assert_eq!(take_description(&mut theirs), take_description(&mut object.value));
        }
        assert_eq!(theirs, object.value, "{what:?}");
    }
    assert!(rendered.is_empty(), "the chart has more: {:?}", rendered.keys());
}

fn with(pointer: &str, value: Value) -> Value {
    let mut description = minimal();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    description.pointer_mut(parent).unwrap()[name] = value;
    description
}

#[test]
fn the_chart_makes_the_objects_that_the_command_makes() {
    assert_same(&minimal().to_string());
    assert_same(EVERYTHING);
    assert_same(&std::fs::read_to_string(deploy("cluster.yaml")).unwrap());
}

#[test]
fn the_chart_makes_the_same_of_what_is_unusual() {
    let tricky = "yes: no\n- 'a' \"b\" \\ # c <d> & {{ e }}\n\ttab\r\nend  ";
    let mounted = json!({"volumes": [{"name": "krb5", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "cert", "secret": {"secretName": "cert", "defaultMode": 292, "optional": true}}],
        "volume_mounts": [{"name": "krb5", "mountPath": "/etc/krb5", "subPath": "on"}],
        "node_selector": {"b": "true", "a": "1"},
        "tolerations": [{"key": "batch", "operator": "Exists", "tolerationSeconds": 30}]});
    for description in [
        with("/name", json!("m".repeat(63))),
        with("/name", json!(format!("{}-{}", "m".repeat(53), "n".repeat(9)))),
        with("/name", json!("true")),
        with("/user", Value::Null),
        with("/user", json!(1_000_000_000)),
        with("/tls", json!(true)),
        with("/stores", json!(tricky)),
        with("/storage_ports", json!([])),
        with("/storage_ports", json!([8443, 88, 1094, 88])),
        with("/environment", json!({"TMPDIR": "/scratch/a", "B": tricky, "A": "1e3"})),
        with("/secret_files", json!(["keytab", "a", "keytab"])),
        with("/scheduler", json!({"place": mounted, "arguments": ["--offer", "null", tricky]})),
        with("/executors/place", mounted.clone()),
        with("/executors/idle_seconds", json!(3_000_000)),
        with("/executors/count", json!(2)),
        with("/executors/resources/cpu", json!("1500m")),
        with("/scheduler", json!({"resources": {"cores": 1, "cpu": "0.5", "memory": "2Gi"}})),
        with("/executors/resources/memory", json!(4_000_000_000_u64)),
        with("/scheduler", json!({"resources": {"cores": 2, "memory": 2_000_000_000}})),
    ] {
        assert_same(&description.to_string());
    }
}

#[test]
fn a_cluster_that_is_called_nothing_has_name_and_namespace_of_its_release() {
    let mut description = minimal();
    let object = description.as_object_mut().unwrap();
    object.remove("name");
    object.remove("namespace");

    let mut rendered = render(&description.to_string()).unwrap();

    let map = rendered.get_mut(&("ConfigMap".to_string(), "release-config".to_string())).unwrap();
    let described = take_description(map);
    assert_eq!((&described["name"], &described["namespace"]), (&json!("release"), &json!("of-release")));
}

#[test]
fn what_the_command_refuses_the_chart_refuses() {
    for (pointer, value) in [
        ("/imgae", json!("a")),
        ("/image", json!("")),
        ("/image", json!("a b")),
        ("/name", json!("Muons")),
        ("/name", json!("2muons")),
        ("/namespace", json!("Physics")),
        ("/user", json!(0)),
        ("/pull_policy", json!("Sometimes")),
        ("/storage_ports", json!([0])),
        ("/storage_ports", json!([65_536])),
        ("/environment", json!({"A=B": ""})),
        ("/environment", json!({"POD_IP": ""})),
        ("/secret_files", json!(["a/b"])),
        ("/secret_files", json!(["tokens"])),
        ("/secret_files", json!(["..a"])),
        ("/executors/count", json!("0")),
        ("/executors/count", json!("0..0")),
        ("/executors/count", json!("8..2")),
        ("/executors/count", json!("some")),
        ("/executors/count", json!(2.5)),
        ("/executors/resources/cores", json!(0)),
        ("/executors/resources/cpu", json!("3")),
        ("/executors/resources/cpu", json!("0m")),
        ("/executors/resources/cpu", json!("1e3m")),
        ("/executors/resources/memory", json!("4 GB")),
        ("/executors/most_memory", json!("much")),
        ("/executors/scratch", json!("0")),
        ("/executors/place", json!({"volumes": [{"name": "secret", "emptyDir": {}}]})),
        ("/executors/place", json!({"volume_mounts": [{"name": "a", "mountPath": "/a"}]})),
        (
            "/scheduler",
            json!({"place": {"volumes": [{"name": "a", "emptyDir": {}}],
                "volume_mounts": [{"name": "a", "mountPath": "/etc/root-query/config/a"}]}}),
        ),
    ] {
        let description = with(pointer, value).to_string();
        let ours = serde_saphyr::from_str::<ClusterSpec>(&description);
        assert!(ours.is_err() || ours.unwrap().check().is_err(), "the command takes {description}");
        assert!(render(&description).is_err(), "the chart takes {description}");
    }
}

#[test]
fn the_chart_says_that_it_needs_an_image() {
    let error = render("").unwrap_err();
    assert!(error.contains("missing property 'image'"), "{error}");
}

#[tokio::test]
async fn clusters_that_helm_installs_are_known_to_our_commands_and_gone_when_it_uninstalls_them() {
    let (client, kubernetes, namespace) = namespace("helm").await;
    let dir = Dir::new("helm");
    let config = plane().await.kubeconfig().display().to_string();
    let helm = |arguments: &[&str]| {
        let done = run(&dir, &[arguments, &["-n", &namespace, "--kubeconfig", &config]].concat());
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    };
    let before = everything(&client, &namespace).await;
    let name = "muons".parse().unwrap();
    let image = "image=registry.example/root-query:1";

    helm(&["install", "muons", "CHART", "--set", image]);
    kubernetes.wait_until_ready(&name, &namespace, PATIENCE, |_| {}).await.unwrap();
    let found = kubernetes.clusters(Some(&namespace)).await.unwrap();
    assert_eq!(
        found.iter().map(|found| (found.name.as_str(), found.spec.is_ok())).collect::<Vec<_>>(),
        [("muons", true)]
    );

    helm(&["upgrade", "muons", "CHART", "--set", image, "--set", "executors.count=2..16"]);
    kubernetes.wait_until_ready(&name, &namespace, PATIENCE, |_| {}).await.unwrap();
    let mut spec = kubernetes.cluster(&name, &namespace).await.unwrap();
    assert_eq!(spec.executors.count, "2..16");

    spec.executors.count = "3".to_string();
    kubernetes.apply(&spec, None).await.unwrap();
    assert_eq!(kubernetes.cluster(&name, &namespace).await.unwrap(), spec, "the command may change it too");

    helm(&["uninstall", "muons"]);
    eventually("nothing is left", async || everything(&client, &namespace).await, |left| *left == before).await;
}
