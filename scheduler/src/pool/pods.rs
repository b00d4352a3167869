//! Executors as pods of Kubernetes.

use async_trait::async_trait;
use root_kubernetes::{ClusterSpec, ExecutorView, Executors, Kubernetes, Phase};
use tokio::sync::OnceCell;

use super::{End, Member, MemberState, Order, Pool, PoolError};

/// Executors as pods.
#[derive(Debug)]
pub(crate) struct Pods {
    kubernetes: Kubernetes,
    spec: ClusterSpec,
    /// Known as soon as Kubernetes answers, which it may not do yet.
    executors: OnceCell<Executors>,
}

impl Pods {
    /// Those of a cluster.
    pub(crate) fn new(kubernetes: Kubernetes, spec: ClusterSpec) -> Self {
        Self { kubernetes, spec, executors: OnceCell::new() }
    }

    async fn executors(&self) -> Result<&Executors, PoolError> {
        let tell = |error: &root_kubernetes::Error| tracing::warn!("executors are not watched for the moment: {error}");
        let connect = || Executors::of(&self.kubernetes, self.spec.clone(), tell);
        Ok(self.executors.get_or_try_init(connect).await?)
    }
}

impl From<root_kubernetes::Error> for PoolError {
    fn from(error: root_kubernetes::Error) -> Self {
        Self(error.to_string())
    }
}

#[async_trait]
impl Pool for Pods {
    async fn members(&self) -> Result<Vec<Member>, PoolError> {
        Ok(self.executors().await?.all().await?.into_iter().map(member).collect())
    }

    async fn start(&self, order: &Order) -> Result<(), PoolError> {
        Ok(self.executors().await?.start(&order.name, order.memory_step).await?)
    }

    async fn stop(&self, name: &str) -> Result<(), PoolError> {
        Ok(self.executors().await?.stop(name).await?)
    }

    async fn remove(&self, name: &str, end: &End) -> Result<(), PoolError> {
        let executors = self.executors().await?;
        if *end != End::Done {
            for line in executors.last_words(name).await {
                tracing::warn!(executor = name, "it said last: {line}");
            }
        }
        Ok(executors.stop(name).await?)
    }
}

fn member(executor: ExecutorView) -> Member {
    let state = match executor.phase {
        Phase::Waiting(why) => MemberState::Waiting(why),
        Phase::Running { .. } => MemberState::Running,
        Phase::Stopping => MemberState::Stopping,
        Phase::Done => MemberState::Ended(End::Done),
        Phase::OutOfMemory => MemberState::Ended(End::OutOfMemory),
        Phase::Failed(how) => MemberState::Ended(End::Failed(how)),
        // It may come back, and is given up when it has not for too long.
        Phase::Unknown(why) => MemberState::Waiting(Some(why)),
    };
    let ExecutorView { name, memory_step, is_current, .. } = executor;
    Member { name, state, memory_step, is_current }
}
