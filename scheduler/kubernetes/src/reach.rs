//! What a cluster says, and the way to it: logs of its pods, and connections to its scheduler through Kubernetes.

use std::io;
use std::time::Duration;

use futures::stream::{self, Stream};
use futures::{AsyncBufRead, AsyncBufReadExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::error::{Error, refused};
use crate::list::PodView;
use crate::names::{ClusterName, Names};
use crate::objects::USERS_PORT;
use crate::phase::{Phase, printable};
use crate::remote::Kubernetes;
use crate::spec::ClusterSpec;

/// How long nobody is let in when there are no resources for one more.
const PAUSE: Duration = Duration::from_millis(100);

/// What is wanted of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether it goes on as long as the pod writes.
    pub follow: bool,
    /// Whether it is that of the program that ran before the one that runs.
    pub previous: bool,
    /// How many lines of its end; all, if it is not said.
    pub lines: Option<u32>,
}

impl ClusterSpec {
    /// What its scheduler is called within Kubernetes.
    pub fn host(&self) -> String {
        format!("{}.{}.svc", Names::of(&self.name).users(), self.namespace)
    }

    /// Where its scheduler is found by programs that run in the same Kubernetes.
    pub fn url(&self) -> String {
        format!("{}://{}:{USERS_PORT}", if self.tls { "https" } else { "http" }, self.host())
    }
}

impl Kubernetes {
    /// The log of a pod of a cluster, or of its scheduler, as it comes.
    ///
    /// # Errors
    /// Where the cluster has no such pod, or there is no log yet.
    pub async fn logs(
        &self,
        name: &ClusterName,
        namespace: &str,
        pod: Option<&str>,
        options: LogOptions,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, Error>> + Send + use<>, Error> {
        let pods = self.pods(name, namespace).await?;
        let wanted = |view: &&PodView| pod.map_or(view.is_scheduler(), |pod| pod == view.name);
        // The scheduler that was started last.
        let Some(found) = pods.iter().rfind(wanted) else {
            let what = pod.map_or("scheduler".to_string(), |pod| format!("pod {pod}"));
            return Err(Error::NoPod { name: name.clone(), what });
        };
        let params = LogParams {
            follow: options.follow,
            previous: options.previous,
            tail_lines: options.lines.map(i64::from),
            ..LogParams::default()
        };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let log = api.log_stream(&found.name, &params).await;
        let log = log.map_err(|error| refused(&format!("show the log of {}", found.name), error))?;
        Ok(chunks(found.name.clone(), Box::pin(log)))
    }

    /// Connects everybody who comes to a listener with the port for users of a cluster's scheduler, until the future is dropped.
    /// What goes wrong with a connection is told, and ends only that one.
    ///
    /// # Errors
    /// Where the cluster cannot be looked at, or has no scheduler that runs.
    pub async fn forward(
        &self,
        name: &ClusterName,
        namespace: &str,
        listener: TcpListener,
        mut tell: impl FnMut(&Error),
    ) -> Result<(), Error> {
        self.scheduler(name, namespace).await?;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let (kubernetes, name, namespace) = (self.clone(), name.clone(), namespace.to_string());
                        connections.spawn(async move { kubernetes.connection(&name, &namespace, stream).await });
                    }
                    Err(error) => {
                        tell(&lost("a user", &error));
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(ended) = connections.join_next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tell(&error),
                    Err(panic) => tell(&lost("the scheduler", &panic)),
                },
            }
        }
    }

    /// The pod of the scheduler that runs now. It may be another one for the next connection.
    async fn scheduler(&self, name: &ClusterName, namespace: &str) -> Result<PodView, Error> {
        let pods = self.pods(name, namespace).await?;
        let mut schedulers: Vec<PodView> = pods.into_iter().filter(PodView::is_scheduler).collect();
        if let Some(runs) = schedulers.iter().position(|pod| matches!(pod.phase, Phase::Running { .. })) {
            return Ok(schedulers.swap_remove(runs));
        }
        let what = match schedulers.first() {
            Some(pod) => format!("scheduler that runs; its pod {} is {}", pod.name, pod.phase),
            None => "scheduler".to_string(),
        };
        Err(Error::NoPod { name: name.clone(), what })
    }

    async fn connection(&self, name: &ClusterName, namespace: &str, mut user: TcpStream) -> Result<(), Error> {
        let pod = self.scheduler(name, namespace).await?.name;
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let port = u16::try_from(USERS_PORT).unwrap_or_default();
        let connected = api.portforward(&pod, &[port]).await;
        let mut forwarder = connected.map_err(|error| refused(&format!("connect to {pod}"), error))?;
        let failure = forwarder.take_error(port);
        let Some(mut scheduler) = forwarder.take_stream(port) else {
            return Err(lost(&pod, &"there is no connection"));
        };
        let copied = tokio::io::copy_bidirectional(&mut user, &mut scheduler).await;
        drop(scheduler);
        // What the node says of it, if it says something. A way that breaks is the end of the connection, which its user sees.
        let told = match failure {
            Some(failure) => tokio::time::timeout(PAUSE, failure).await.ok().flatten(),
            None => None,
        };
        match (told, copied) {
            (Some(told), _) => Err(lost(&pod, &printable(&told))),
            // Users come and go.
            (None, Err(error)) if !is_goodbye(&error) => Err(lost(&pod, &error)),
            (None, _) => Ok(()),
        }
    }
}

fn is_goodbye(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

fn lost(peer: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::Lost { peer: peer.to_string(), reason: reason.to_string() }
}

/// What a reader has, as it comes.
pub(crate) fn chunks(
    pod: String,
    reader: impl AsyncBufRead + Unpin + Send,
) -> impl Stream<Item = Result<Vec<u8>, Error>> + Send {
    stream::try_unfold((pod, reader), async |(pod, mut reader)| {
        let chunk = reader.fill_buf().await.map_err(|error| lost(&pod, &error))?.to_vec();
        reader.consume_unpin(chunk.len());
        Ok(if chunk.is_empty() { None } else { Some((chunk, (pod, reader))) })
    })
}
