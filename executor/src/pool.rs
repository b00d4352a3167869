//! Connections to other executors, kept as long as they are used now and then: a query with many partitions fetches rows more
//! often than a machine has ports for new connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::error::Result;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::utils::GrpcClientConfig;
use parking_lot::Mutex;

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);

/// Connections that nobody uses at the moment, by host and port.
type Resting = HashMap<(String, u16), Vec<(Instant, BallistaClient)>>;

/// The connections of an executor.
#[derive(Default)]
pub(crate) struct Connections {
    resting: Arc<Mutex<Resting>>,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").field("hosts", &self.resting.lock().len()).finish()
    }
}

#[async_trait]
impl BallistaClientPool for Connections {
    async fn acquire(
        &self,
        host: &str,
        port: u16,
        config: &GrpcClientConfig,
        customize: Option<Arc<BallistaConfigGrpcEndpoint>>,
    ) -> Result<PooledClient> {
        let key = (host.to_string(), port);
        let kept = {
            let mut resting = self.resting.lock();
            drop_idle(&mut resting);
            resting.get_mut(&key).and_then(Vec::pop)
        };
        let client = match kept {
            Some((_, client)) => client,
            None => {
                BallistaClient::try_new(
                    host,
                    port,
                    config.max_message_size,
                    config.use_tls,
                    customize,
                    config.io_retries_times,
                    config.io_retry_wait_time_ms,
                    config.initial_connection_window_size,
                    config.initial_stream_window_size,
                )
                .await?
            }
        };
        let resting = Arc::clone(&self.resting);
        let rest = move |client| resting.lock().entry(key).or_default().push((Instant::now(), client));
        Ok(PooledClient::new(client, Box::new(rest)))
    }

    async fn evict_idle(&self) {
        drop_idle(&mut self.resting.lock());
    }
}

fn drop_idle(resting: &mut Resting) {
    for clients in resting.values_mut() {
        clients.retain(|(since, _)| since.elapsed() < IDLE);
    }
    resting.retain(|_, clients| !clients.is_empty());
}
