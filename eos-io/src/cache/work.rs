//! Work beside the caller: what blocks, off the threads that drive the network; and what others wait for, in a task of its
//! own, because a caller who is not polled must not hold them up.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use object_store::Result;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Runs what blocks. `None` only while the runtime shuts down.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.ok(),
        // Without a runtime there are no others to hold up.
        Err(_) => Some(work()),
    }
}

/// Runs something that goes on when nobody polls it, and that ends when the answer is dropped.
pub(crate) async fn detached<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match Handle::try_current() {
        Ok(runtime) => Task(runtime.spawn(work)).await,
        Err(_) => work.await,
    }
}

struct Task<T>(JoinHandle<Result<T>>);

impl<T> Future for Task<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|ended| ended.unwrap_or_else(|source| Err(source.into())))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
