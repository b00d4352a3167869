//! The way to a cluster on Kubernetes: a port of this machine, whose connections Kubernetes leads to the cluster's scheduler.

use std::time::Duration;

use root_cluster::{Cluster, Error};
use root_kubernetes::{ClusterName, ClusterSpec, Kubernetes, check_namespace};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{access, as_set};
use crate::config::Settings;
use crate::console::Console;
use crate::exit::{Exit, Failure};

/// How long it may take to know why there is no way, when a connection has failed.
const PAUSE: Duration = Duration::from_millis(200);

/// A way that is open until this is dropped.
#[derive(Debug)]
pub struct Forwarding {
    task: JoinHandle<Result<(), root_kubernetes::Error>>,
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects to the cluster that `k8s:NAME` or `k8s:NAMESPACE/NAME` names, of which `place` is what stands behind the colon.
pub async fn connect(settings: &Settings, console: &Console, place: &str) -> Result<(Cluster, Forwarding), Failure> {
    let bad = |what: &dyn std::fmt::Display| {
        Failure::usage(format!("--cluster k8s:{place}: {what}; behind k8s: stands NAME or NAMESPACE/NAME"))
    };
    let (named, name) = match place.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, place),
    };
    let name: ClusterName = name.parse().map_err(|error| bad(&error))?;
    if let Some(namespace) = named {
        check_namespace(namespace).map_err(|error| bad(&error))?;
    }
    let (kubernetes, of_context) = Kubernetes::connect(settings.kube_context.as_deref()).await?;
    let spec = kubernetes.cluster(&name, named.unwrap_or(&of_context)).await?;
    forward(settings, console, &kubernetes, &spec).await
}

/// Opens the way to a cluster, and connects.
pub async fn forward(
    settings: &Settings,
    console: &Console,
    kubernetes: &Kubernetes,
    spec: &ClusterSpec,
) -> Result<(Cluster, Forwarding), Failure> {
    if spec.tokens && settings.cluster_token_file.is_none() {
        let how = "give the file that has yours with --cluster-token-file, or by ROOT_QUERY_CLUSTER_TOKEN_FILE";
        return Err(Failure::new(Exit::Authentication, format!("the cluster {} asks for a token; {how}", spec.name)));
    }
    let own = |error: std::io::Error| Failure::new(Exit::Query, format!("no port of this machine is free: {error}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(own)?;
    let address = listener.local_addr().map_err(own)?;
    let mut access = access(settings);
    let mut scheme = "http";
    if spec.tls {
        scheme = "https";
        // The certificate is that of the scheduler, and not of this machine.
        access.server_name.get_or_insert_with(|| spec.host());
    }
    let expected = access.server_name.clone().unwrap_or_default();
    let task = {
        let (kubernetes, console, spec) = (kubernetes.clone(), console.clone(), spec.clone());
        let mut told = String::new();
        // Whoever waits asks again and again.
        let tell = move |error: &root_kubernetes::Error| {
            let text = error.to_string();
            if text != told {
                console.warning(&text);
                told = text;
            }
        };
        tokio::spawn(async move { kubernetes.forward(&spec.name, &spec.namespace, listener, tell).await })
    };
    let mut way = Forwarding { task };
    let connecting = async {
        let cluster = Cluster::connect_with(&format!("{scheme}://{address}"), access).await?;
        // A connection says little as long as nobody has answered.
        cluster.status().await?;
        Ok::<_, Error>(cluster)
    };
    let failed = match connecting.await {
        Ok(cluster) => return Ok((as_set(cluster, settings), way)),
        Err(error) => error,
    };
    // Where there is no way at all, that says more than that nobody answers.
    if let Ok(Ok(Err(error))) = tokio::time::timeout(PAUSE, &mut way.task).await {
        return Err(error.into());
    }
    Err(match failed {
        Error::Unreachable { reason, .. } if spec.tls && reason.contains("certificate") => {
            let how = format!("it is expected to be that of {expected}; see --cluster-host and --cluster-ca");
            let what = format!("the certificate of the cluster {} is not trusted: {reason}", spec.name);
            Failure::new(Exit::Authentication, format!("{what}; {how}"))
        }
        error => error.into(),
    })
}
