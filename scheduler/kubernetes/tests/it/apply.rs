//! What stands in Kubernetes after a cluster was described.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use root_kubernetes::{ClusterSpec, Error, Kubernetes, Object, SecretFile, Secrets, objects, yaml};
use serde_json::Value;

use crate::world::{PATIENCE, everything, name, namespace, plane, secret, spec};

fn api(client: &Client, namespace: &str, value: &Value) -> Api<DynamicObject> {
    // The control plane of the tests is older than the first version.
    let (group, version) = match value["apiVersion"].as_str().unwrap() {
        "policy/v1" => ("policy", "v1beta1"),
        version => version.split_once('/').unwrap_or(("", version)),
    };
    let kind = GroupVersionKind::gvk(group, version, value["kind"].as_str().unwrap());
    let resource = match kind.kind.as_str() {
        "NetworkPolicy" => ApiResource::from_gvk_with_plural(&kind, "networkpolicies"),
        _ => ApiResource::from_gvk(&kind),
    };
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// The versions of the objects of a cluster, by kind and name.
async fn versions(client: &Client, spec: &ClusterSpec) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for Object { kind, name, value, .. } in objects(spec, Some(&secret())).unwrap() {
        let Some(found) = api(client, &spec.namespace, &value).get_opt(&name).await.unwrap() else { continue };
        // That of a deployment changes with what Kubernetes says of it, so it is looked at what we have said, and when.
        let version = if kind == "Deployment" {
            let ours = found.managed_fields().iter().filter(|fields| fields.manager.as_deref() == Some("root-query"));
            serde_json::to_string(&(found.metadata.generation, ours.collect::<Vec<_>>())).unwrap()
        } else {
            found.resource_version().unwrap()
        };
        versions.insert(format!("{kind} {name}"), version);
    }
    versions
}

/// Makes a cluster and waits until nothing changes in it by itself.
async fn make(kubernetes: &Kubernetes, spec: &ClusterSpec) {
    kubernetes.apply(spec, Some(&secret())).await.unwrap();
    kubernetes.wait_until_ready(&spec.name, &spec.namespace, PATIENCE, |_| {}).await.unwrap();
}

/// Whether all that is described is so, whatever else there is.
fn holds(described: &Value, real: &Value) -> bool {
    match (described, real) {
        (Value::Object(described), Value::Object(real)) => described.iter().all(|(name, value)| {
            let is_nothing =
                value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(|map| map.is_empty());
            real.get(name).map_or(is_nothing, |real| holds(value, real))
        }),
        (Value::Array(described), Value::Array(real)) => {
            described.len() == real.len() && described.iter().zip(real).all(|(described, real)| holds(described, real))
        }
        _ => described == real,
    }
}

#[tokio::test]
async fn every_object_is_accepted_and_stands_as_it_is_described() {
    let (client, kubernetes, namespace) = namespace("accepted").await;
    let spec = spec("muons", &namespace);

    let left_out = kubernetes.apply(&spec, Some(&secret())).await.unwrap();

    assert_eq!(left_out, ["policy/v1 PodDisruptionBudget"], "the control plane of the tests is that old");
    for object in objects(&spec, Some(&secret())).unwrap() {
        let api = api(&client, &namespace, &object.value);
        let real = if object.kind == "PodDisruptionBudget" {
            let mut value = object.value.clone();
            value["apiVersion"] = Value::from("policy/v1beta1");
            let params = PatchParams { dry_run: true, ..PatchParams::apply("test") };
            api.patch(&object.name, &params, &Patch::Apply(&value)).await.unwrap()
        } else {
            api.get(&object.name).await.unwrap()
        };
        let mut real = serde_json::to_value(real).unwrap();
        real["apiVersion"] = object.value["apiVersion"].clone();
        assert!(holds(&object.value, &real), "{} {}\n{}\n{real}", object.kind, object.name, object.value);
    }
}

#[tokio::test]
async fn the_same_description_once_more_changes_nothing_and_neither_does_it_as_yaml() {
    let (client, kubernetes, namespace) = namespace("twice").await;
    let spec = spec("muons", &namespace);
    make(&kubernetes, &spec).await;
    let before = versions(&client, &spec).await;
    // Kubernetes notes whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;

    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    assert_eq!(versions(&client, &spec).await, before);

    kubernetes.apply(&spec, None).await.unwrap();
    assert_eq!(versions(&client, &spec).await, before, "the secret stays as it is");

    let text = yaml(&objects(&spec, Some(&secret())).unwrap(), Secrets::Shown).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    assert_eq!(documents.len(), before.len() + 1);
    for document in documents.iter().filter(|document| document["kind"] != "PodDisruptionBudget") {
        let name = document["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("root-query");
        api(&client, &namespace, document).patch(name, &params, &Patch::Apply(document)).await.unwrap();
    }
    assert_eq!(versions(&client, &spec).await, before, "what a dry run shows is what is applied");
}

#[tokio::test]
async fn another_description_changes_what_it_is_about_and_nothing_else() {
    let (client, kubernetes, namespace) = namespace("changes").await;
    let first = spec("muons", &namespace);
    make(&kubernetes, &first).await;
    let mut more = first.clone();
    more.executors.count = "2..16".to_string();
    let mut ports = more.clone();
    ports.storage_ports = [443].into();
    let renewed: Vec<SecretFile> =
        secret().into_iter().map(|file| SecretFile { content: b"renewed".to_vec(), ..file }).collect();

    let restarted = ["ConfigMap muons-config", "Deployment muons-scheduler"];
    for (spec, secret, expected) in [
        (&more, None, restarted.to_vec()),
        (&more, Some(renewed.as_slice()), vec!["Secret muons-secret"]),
        (&ports, None, [&restarted[..], &["NetworkPolicy muons-executor", "NetworkPolicy muons-jobs"]].concat()),
    ] {
        let before = versions(&client, spec).await;
        kubernetes.apply(spec, secret).await.unwrap();
        kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE, |_| {}).await.unwrap();
        let after = versions(&client, spec).await;
        let is_changed = |(object, version): &(&String, &String)| before[*object] != **version;
        let changed: Vec<&str> = after.iter().filter(is_changed).map(|(object, _)| object.as_str()).collect();
        assert_eq!(
            changed, expected,
            "{:?} {:?}",
            before["Deployment muons-scheduler"], after["Deployment muons-scheduler"]
        );
        assert_eq!(kubernetes.cluster(&spec.name, &namespace).await.unwrap(), *spec);
    }
}

#[tokio::test]
async fn what_somebody_else_has_made_is_not_taken_over() {
    let (client, kubernetes, namespace) = namespace("foreign").await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let mut theirs = ConfigMap::default();
    theirs.metadata.name = Some("muons-config".to_string());
    let theirs = maps.create(&PostParams::default(), &theirs).await.unwrap();
    let before = everything(&client, &namespace).await;

    let error = kubernetes.apply(&spec("muons", &namespace), Some(&secret())).await.unwrap_err();

    assert!(matches!(&error, Error::Foreign { object, .. } if object == "muons-config"), "{error}");
    assert_eq!(everything(&client, &namespace).await, before, "nothing was changed");
    assert_eq!(maps.get("muons-config").await.unwrap().resource_version(), theirs.resource_version());
}

#[tokio::test]
async fn executors_that_kubernetes_would_refuse_are_refused_when_they_are_described() {
    let (_, kubernetes, namespace) = namespace("bad-pod").await;
    let mut spec = spec("muons", &namespace);
    let two_sources = r#"{"name": "cvmfs", "hostPath": {"path": "/cvmfs"}, "emptyDir": {}}"#;
    spec.executors.place.volumes = vec![serde_json::from_str(two_sources).unwrap()];

    let error = kubernetes.apply(&spec, Some(&secret())).await.unwrap_err().to_string();

    assert!(error.starts_with("Kubernetes refuses to accept executors as they are described"), "{error}");
    assert!(error.contains("may not specify more than 1 volume type"), "{error}");
}

#[tokio::test]
async fn a_new_cluster_that_needs_a_secret_and_is_given_none_is_refused() {
    let client = plane().await.client().await;
    let kubernetes = Kubernetes::new(client.clone());

    let error = kubernetes.apply(&spec("muons", "never-made"), None).await.unwrap_err();

    assert_eq!(error.to_string(), "the secret has no file 'tokens', which the cluster needs");
    assert!(Api::<Namespace>::all(client).get_opt("never-made").await.unwrap().is_none(), "nothing was made");
}

#[tokio::test]
async fn a_namespace_is_made_where_there_is_none_and_says_for_whom() {
    let client = plane().await.client().await;
    let kubernetes = Kubernetes::new(client.clone());
    kubernetes.apply(&spec("muons", "made-for-muons"), Some(&secret())).await.unwrap();

    let namespaces: Api<Namespace> = Api::all(client);
    let made = namespaces.get("made-for-muons").await.unwrap();
    assert_eq!(made.annotations()["root-query.io/made-for"], "muons");
}

#[tokio::test]
async fn clusters_with_names_that_differ_in_their_last_character_stay_apart() {
    let (client, kubernetes, namespace) = namespace("long").await;
    let [one, other] = ["a", "b"].map(|end| spec(&format!("{}{end}", "m".repeat(62)), &namespace));
    let empty = everything(&client, &namespace).await;
    make(&kubernetes, &one).await;
    make(&kubernetes, &other).await;

    let found = kubernetes.clusters(Some(&namespace)).await.unwrap();
    let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, [one.name.as_str(), other.name.as_str()]);
    for spec in [&one, &other] {
        assert_eq!(kubernetes.cluster(&spec.name, &namespace).await.unwrap(), *spec);
        assert_eq!(kubernetes.pods(&spec.name, &namespace).await.unwrap().len(), 1);
    }

    let before = versions(&client, &other).await;
    kubernetes.delete(&one.name, &namespace, PATIENCE).await.unwrap();
    assert_eq!(versions(&client, &other).await, before, "the other one is as it was");
    kubernetes.delete(&other.name, &namespace, PATIENCE).await.unwrap();
    crate::world::eventually("nothing is left", async || everything(&client, &namespace).await, |left| *left == empty)
        .await;
}

#[tokio::test]
async fn clusters_are_found_in_all_namespaces_or_in_one() {
    let (client, kubernetes, namespace) = namespace("found").await;
    kubernetes.apply(&spec("muons", &namespace), Some(&secret())).await.unwrap();

    for scope in [None, Some(namespace.as_str())] {
        let found = kubernetes.clusters(scope).await.unwrap();
        assert!(found.iter().any(|found| found.name == "muons" && found.namespace == namespace && found.spec.is_ok()));
    }
    assert!(kubernetes.clusters(Some("default")).await.unwrap().is_empty());
    let missing = kubernetes.cluster(&name("electrons"), &namespace).await.unwrap_err();
    assert!(matches!(missing, Error::NoCluster { .. }), "{missing}");
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    assert_eq!(
        maps.list(&ListParams::default().labels("app.kubernetes.io/instance=muons")).await.unwrap().items.len(),
        1
    );
}
