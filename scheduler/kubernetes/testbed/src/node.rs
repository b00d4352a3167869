//! A node that runs nothing: it says of itself that it is ready, takes the pods that it is given, and says of each what its
//! [`Fate`] is. A pod that is told to end is removed.

use std::collections::HashMap;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::control_plane::ControlPlane;
use crate::fate::Fate;

/// How often the node says that it lives; Kubernetes waits for 40 seconds.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a pod is left alone after a call that has failed.
const PAUSE: Duration = Duration::from_millis(200);

/// A node. It is silent from when it is dropped on.
#[derive(Debug)]
pub struct FakeNode {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeNode {
    /// Joins a node with room for 500 pods of one core to a control plane, and waits until Kubernetes gives it pods.
    pub async fn join(plane: &ControlPlane, name: &str) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (kubeconfig, own) = (plane.kubeconfig().to_owned(), name.to_string());
        // A thread and a runtime of its own: it serves tests that have one each.
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let config = kube::config::Kubeconfig::read_from(kubeconfig).expect("our own file");
                let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await;
                let client = Client::try_from(config.expect("our own file")).expect("our own file");
                tokio::select! {
                    () = heartbeats(client.clone(), &own) => {}
                    () = pods(client, &own) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name(format!("node-{name}")).spawn(work).expect("a thread");
        let nodes: Api<Node> = Api::all(plane.client().await);
        let is_usable = |node: &Node| {
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).map_or(0, Vec::len);
            taints == 0 && node.status.as_ref().is_some_and(|status| status.allocatable.is_some())
        };
        while !nodes.get_opt(name).await.is_ok_and(|node| node.as_ref().is_some_and(is_usable)) {
            assert!(!thread.is_finished(), "the node {name} has given up");
            tokio::time::sleep(PAUSE).await;
        }
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A node that has failed has said so.
            let _ = thread.join();
        }
    }
}

/// Says again and again that the node is there.
async fn heartbeats(client: Client, name: &str) {
    let nodes: Api<Node> = Api::all(client);
    let labels = [("kubernetes.io/hostname", name), ("kubernetes.io/os", "linux")];
    let labels = labels.map(|(label, value)| (label.to_string(), value.to_string())).into();
    let metadata = ObjectMeta { name: Some(name.to_string()), labels: Some(labels), ..ObjectMeta::default() };
    let node = Node { metadata, ..Node::default() };
    let room = json!({"cpu": "500", "memory": "1000Gi", "pods": "500", "ephemeral-storage": "1000Gi"});
    loop {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it runs nothing",
            "lastHeartbeatTime": now, "lastTransitionTime": now});
        let status = json!({"status": {"capacity": room, "allocatable": room, "conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}});
        // It is there already after the first time. While the server is away, the next one has to do.
        let _ = nodes.create(&PostParams::default(), &node).await;
        let said = nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(&status)).await;
        tokio::time::sleep(if said.is_ok() { HEARTBEAT } else { PAUSE }).await;
    }
}

/// Sees to the pods of the node.
async fn pods(client: Client, name: &str) {
    let config = watcher::Config::default().fields(&format!("spec.nodeName={name}"));
    let mut events = watcher(Api::<Pod>::all(client.clone()), config).default_backoff().boxed();
    // What is done about each pod, by its unique number.
    let mut lives: HashMap<String, AbortHandle> = HashMap::new();
    let mut ends: HashMap<String, AbortHandle> = HashMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                let number = pod.uid().unwrap_or_default();
                if pod.metadata.deletion_timestamp.is_some() {
                    if let Some(life) = lives.remove(&number) {
                        life.abort();
                    }
                    // The time that it may take can have become shorter.
                    let end = tokio::spawn(end(client.clone(), pod)).abort_handle();
                    if let Some(before) = ends.insert(number, end) {
                        before.abort();
                    }
                } else {
                    lives.entry(number).or_insert_with(|| tokio::spawn(live(client.clone(), pod)).abort_handle());
                }
            }
            Ok(Event::Delete(pod)) => {
                let number = pod.uid().unwrap_or_default();
                for task in [lives.remove(&number), ends.remove(&number)].into_iter().flatten() {
                    task.abort();
                }
            }
            // The watch begins anew by itself.
            Ok(Event::Init | Event::InitDone) | Err(_) => {}
        }
    }
}

/// Says what becomes of a pod, one thing after the other.
async fn live(client: Client, pod: Pod) {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let has_ended = |phase: &str| matches!(phase, "Succeeded" | "Failed");
    if pod.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(has_ended) {
        return;
    }
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    if let Some((reason, message)) = Fate::of(&pod).warning() {
        warn(&client, &pod, &now, reason, message).await;
    }
    for (status, time) in Fate::of(&pod).statuses(&pod, &now) {
        let patch = Patch::Strategic(&status);
        while let Err(error) = api.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await {
            if matches!(&error, kube::Error::Api(status) if status.code < 500 && status.code != 429) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(time).await;
    }
}

/// Says what is wrong with a pod, as a kubelet does.
async fn warn(client: &Client, pod: &Pod, now: &str, reason: &str, message: &str) {
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    let event = json!({
        "metadata": {"generateName": format!("{name}."), "namespace": namespace}, "type": "Warning",
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": namespace, "uid": pod.uid()},
        "reason": reason, "message": message, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
    });
    let events: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(client.clone(), &namespace);
    let event = serde_json::from_value(event).expect("it is an event");
    // News may be lost.
    let _ = events.create(&PostParams::default(), &event).await;
}

/// Removes a pod that was told to end.
async fn end(client: Client, pod: Pod) {
    tokio::time::sleep(Fate::of(&pod).end(pod.metadata.deletion_grace_period_seconds)).await;
    let api: Api<Pod> = Api::namespaced(client, &pod.namespace().unwrap_or_default());
    let preconditions = Preconditions { uid: pod.uid(), ..Preconditions::default() };
    let params =
        DeleteParams { grace_period_seconds: Some(0), preconditions: Some(preconditions), ..DeleteParams::default() };
    while let Err(error) = api.delete(&pod.name_any(), &params).await {
        if matches!(&error, kube::Error::Api(status) if matches!(status.code, 404 | 409)) {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
