//! What would be refused is known before it is tried.

use k8s_openapi::api::core::v1::{ResourceQuota, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PostParams;
use kube::{Api, Client};
use root_kubernetes::{Deed, Error, Kubernetes, NamespaceState};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::world::{eventually, namespace, plane, secret, spec};

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A service account that may do some things in its namespace.
async fn account(client: &Client, namespace: &str, rules: Value) -> Kubernetes {
    let post = PostParams::default();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    accounts.create(&post, &object(json!({"metadata": {"name": "user"}}))).await.unwrap();
    let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
    roles.create(&post, &object(json!({"metadata": {"name": "user"}, "rules": rules}))).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), namespace);
    let binding = json!({"metadata": {"name": "user"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "user"},
        "subjects": [{"kind": "ServiceAccount", "name": "user", "namespace": namespace}]});
    bindings.create(&post, &object(binding)).await.unwrap();
    Kubernetes::new(plane().await.client_of("user", namespace).await)
}

#[tokio::test]
async fn an_administrator_may_everything() {
    let (_, kubernetes, namespace) = namespace("admin").await;
    assert!(kubernetes.version().await.unwrap().starts_with("v1."));
    for deed in Deed::ALL {
        assert_eq!(kubernetes.missing_rights(deed, &namespace).await.unwrap(), Vec::<String>::new(), "{deed:?}");
    }
    assert_eq!(kubernetes.namespace_state(&namespace).await.unwrap(), NamespaceState::There);
    let missing = kubernetes.namespace_state("nowhere").await.unwrap();
    assert_eq!(missing, NamespaceState::Missing { may_be_made: true });
}

#[tokio::test]
async fn what_somebody_may_not_is_named() {
    let (client, _, namespace) = namespace("user").await;
    let rules = json!([{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["create", "get"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]}]);
    let kubernetes = account(&client, &namespace, rules).await;

    let missing = async |deed| kubernetes.missing_rights(deed, &namespace).await.unwrap();

    // Kubernetes learns of rights a moment after they are given.
    eventually("the rights hold", async || missing(Deed::Connect).await, |missing| missing.is_empty()).await;
    assert_eq!(missing(Deed::Look).await, ["watch deployments"]);
    assert_eq!(missing(Deed::Logs).await, ["get pods/log"]);
    let make = missing(Deed::Make).await;
    assert!(make.contains(&"patch deployments".to_string()) && make.contains(&"create pods".to_string()), "{make:?}");
    assert!(!make.contains(&"get configmaps".to_string()), "{make:?}");
    assert_eq!(kubernetes.namespace_state(&namespace).await.unwrap(), NamespaceState::Unknown);
    let error = kubernetes.apply(&spec("muons", &namespace), Some(&secret())).await.unwrap_err();
    assert!(error.is_denied(), "{error}");
}

#[tokio::test]
async fn a_quota_says_how_many_executors_it_has_room_for() {
    let (client, kubernetes, namespace) = namespace("room").await;
    // The scheduler and each of up to eight executors have one core and one pod.
    let spec = spec("muons", &namespace);
    assert_eq!(kubernetes.shortages(&spec, None).await.unwrap(), []);
    let quotas: Api<ResourceQuota> = Api::namespaced(client, &namespace);
    let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": {"requests.cpu": "4500m", "pods": "9"}}});
    quotas.create(&PostParams::default(), &object(quota)).await.unwrap();

    let told = async || kubernetes.shortages(&spec, None).await.unwrap();
    let short = eventually("the quota holds", told, |short| !short.is_empty()).await;

    let [short] = short.as_slice() else { panic!("{short:?}") };
    assert_eq!((short.resource.as_str(), short.executors), ("requests.cpu", Some(3)));
}

#[tokio::test]
async fn the_secret_of_a_cluster_is_read_by_whoever_may() {
    let (client, kubernetes, namespace) = namespace("secret").await;
    let spec = spec("muons", &namespace);
    assert_eq!(kubernetes.secret(&spec.name, &namespace).await.unwrap(), []);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();

    let mut read = kubernetes.secret(&spec.name, &namespace).await.unwrap();
    let mut expected = secret();
    read.sort_by(|one, other| one.name.cmp(&other.name));
    expected.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(read, expected);

    let other = account(&client, &namespace, json!([])).await;
    let error = other.secret(&spec.name, &namespace).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { code: 403, .. }) && error.is_denied(), "{error}");
}
