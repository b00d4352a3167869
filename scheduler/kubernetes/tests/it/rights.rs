//! What pods of a cluster may do: tried with the tokens of their service accounts.

use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, WatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use root_kubernetes::executor_pod;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::world::{PATIENCE, eventually, namespace, plane, secret, spec};

#[track_caller]
fn forbidden<T>(what: &str, answer: kube::Result<T>) {
    match answer {
        Ok(_) => panic!("{what} is allowed"),
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{what}: {status}"),
        Err(error) => panic!("{what}: {error}"),
    }
}

/// That nothing can be done with a kind: neither seen nor changed.
async fn out_of_reach<K>(client: &Client, namespace: &str, name: &str, object: &K)
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + serde::Serialize,
{
    let (api, kind): (Api<K>, _) = (Api::namespaced(client.clone(), namespace), K::kind(&()));
    forbidden(&format!("listing {kind}"), api.list(&ListParams::default()).await);
    forbidden(&format!("getting {kind}"), api.get(name).await);
    forbidden(&format!("watching {kind}"), api.watch(&WatchParams::default(), "0").await.map(|_| ()));
    forbidden(&format!("creating {kind}"), api.create(&PostParams::default(), object).await);
    let patch = json!({"metadata": {"labels": {"a": "b"}}});
    forbidden(&format!("patching {kind}"), api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await);
    forbidden(&format!("deleting {kind}"), api.delete(name, &DeleteParams::default()).await.map(|_| ()));
    let all = api.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
    forbidden(&format!("deleting all {kind}"), all.map(|_| ()));
}

fn named<K: Resource<DynamicType = ()> + Default>(name: &str) -> K {
    let mut object = K::default();
    object.meta_mut().name = Some(name.to_string());
    object
}

#[tokio::test]
async fn the_scheduler_has_its_pods_and_sees_its_deployment() {
    let (_, kubernetes, namespace) = namespace("may").await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    let client = plane().await.client_of("muons-scheduler", &namespace).await;

    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let owner = deployments.get("muons-scheduler").await.unwrap().controller_owner_ref(&()).unwrap();
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let made =
        pods.create(&PostParams::default(), &executor_pod(&spec, "muons-executor-a", 0, Some(owner))).await.unwrap();
    assert_eq!(pods.get("muons-executor-a").await.unwrap().uid(), made.uid());
    // There is nobody who would have logs, but it may ask.
    let log = pods.logs("muons-executor-a", &LogParams::default()).await;
    assert!(!matches!(&log, Err(kube::Error::Api(status)) if status.code == 403), "{log:?}");
    assert_eq!(
        pods.list(&ListParams::default().labels("app.kubernetes.io/component=executor")).await.unwrap().items.len(),
        1
    );
    let watch = WatchParams::default().fields("metadata.name=muons-executor-a").timeout(60);
    let events = pods.watch(&watch, &made.resource_version().unwrap()).await.unwrap();
    pods.delete("muons-executor-a", &DeleteParams::default()).await.unwrap();
    let mut events = std::pin::pin!(events);
    assert!(events.try_next().await.unwrap().is_some());
}

#[tokio::test]
async fn the_scheduler_may_nothing_else() {
    let (admin, kubernetes, namespace) = namespace("may-not").await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    kubernetes.wait_until_ready(&spec.name, &namespace, PATIENCE, |_| {}).await.unwrap();
    let client = plane().await.client_of("muons-scheduler", &namespace).await;

    out_of_reach::<Secret>(&client, &namespace, "muons-secret", &named("mine")).await;
    out_of_reach::<ConfigMap>(&client, &namespace, "muons-config", &named("mine")).await;
    out_of_reach::<ServiceAccount>(&client, &namespace, "default", &named("mine")).await;
    out_of_reach::<Role>(&client, &namespace, "muons-scheduler", &named("mine")).await;
    out_of_reach::<RoleBinding>(&client, &namespace, "muons-scheduler", &named("mine")).await;
    out_of_reach::<Event>(&client, &namespace, "any", &named("mine")).await;
    out_of_reach::<Pod>(&client, "kube-system", "any", &named("mine")).await;
    out_of_reach::<Secret>(&client, "kube-system", "any", &named("mine")).await;
    forbidden("listing nodes", Api::<Node>::all(client.clone()).list(&ListParams::default()).await);
    forbidden("listing pods of all namespaces", Api::<Pod>::all(client.clone()).list(&ListParams::default()).await);

    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let mut others: Deployment =
        Api::<Deployment>::namespaced(admin.clone(), &namespace).get("muons-scheduler").await.unwrap();
    others.metadata = kube::api::ObjectMeta { name: Some("another".to_string()), ..Default::default() };
    Api::<Deployment>::namespaced(admin.clone(), &namespace).create(&PostParams::default(), &others).await.unwrap();
    forbidden("getting the deployment of somebody else", deployments.get("another").await);
    forbidden("listing deployments", deployments.list(&ListParams::default()).await);
    forbidden(
        "deleting its deployment",
        deployments.delete("muons-scheduler", &DeleteParams::default()).await.map(|_| ()),
    );
    let scale = json!({"spec": {"replicas": 2}});
    forbidden(
        "scaling itself",
        deployments.patch("muons-scheduler", &PatchParams::default(), &Patch::Merge(&scale)).await,
    );
    forbidden(
        "scaling itself",
        deployments.patch_scale("muons-scheduler", &PatchParams::default(), &Patch::Merge(scale)).await,
    );

    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    forbidden("listing jobs", jobs.list(&ListParams::default()).await);
    forbidden("making jobs", jobs.create(&PostParams::default(), &named("mine")).await);
    forbidden("deleting jobs", jobs.delete("any", &DeleteParams::default()).await.map(|_| ()));
    out_of_reach::<Job>(&client, "kube-system", "any", &named("mine")).await;

    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let own = kubernetes.pods(&spec.name, &namespace).await.unwrap()[0].name.clone();
    let status = json!({"status": {"phase": "Failed"}});
    forbidden(
        "changing pods",
        pods.patch(&own, &PatchParams::default(), &Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}))).await,
    );
    forbidden(
        "changing what is said of pods",
        pods.patch_status(&own, &PatchParams::default(), &Patch::Merge(status)).await,
    );
    forbidden("evicting pods", pods.evict(&own, &Default::default()).await);
    let all = pods.delete_collection(&DeleteParams::default(), &ListParams::default()).await;
    forbidden("deleting all pods at once", all.map(|_| ()));
    let accounts =
        Api::<ServiceAccount>::namespaced(plane().await.client_of("muons-scheduler", &namespace).await, &namespace);
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let token: kube::Result<serde_json::Value> =
        accounts.create_subresource("token", "default", &PostParams::default(), &token).await;
    forbidden("becoming another account", token);
}

#[tokio::test]
async fn executors_may_nothing_and_have_no_token() {
    let (admin, kubernetes, namespace) = namespace("executors").await;
    let spec = spec("muons", &namespace);
    kubernetes.apply(&spec, Some(&secret())).await.unwrap();
    let client = plane().await.client_of("muons-executor", &namespace).await;

    out_of_reach::<Pod>(&client, &namespace, "any", &named("mine")).await;
    out_of_reach::<Secret>(&client, &namespace, "muons-secret", &named("mine")).await;
    out_of_reach::<ConfigMap>(&client, &namespace, "muons-config", &named("mine")).await;
    out_of_reach::<Deployment>(&client, &namespace, "muons-scheduler", &named("mine")).await;

    let tokens = async |pod: &Pod| -> Vec<String> {
        let mounts =
            pod.spec.iter().flat_map(|spec| &spec.containers).filter_map(|one| one.volume_mounts.as_ref()).flatten();
        mounts.map(|mount| mount.mount_path.clone()).filter(|path| path.contains("serviceaccount")).collect()
    };
    let executor = crate::world::start_executor(&admin, &spec, "muons-executor-a", None).await;
    assert_eq!(tokens(&executor).await, Vec::<String>::new());
    assert_eq!(executor.spec.as_ref().unwrap().service_account_name.as_deref(), Some("muons-executor"));
    let pods: Api<Pod> = Api::namespaced(admin, &namespace);
    let list = ListParams::default().labels("app.kubernetes.io/component=scheduler");
    let found =
        eventually("there is a scheduler", async || pods.list(&list).await.unwrap().items, |pods| pods.len() == 1)
            .await;
    assert_eq!(tokens(&found[0]).await, ["/var/run/secrets/kubernetes.io/serviceaccount"]);
}
