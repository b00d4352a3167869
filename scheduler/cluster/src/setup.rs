//! The one place where sessions of a cluster are put together: clients, the scheduler and executors know the same functions,
//! stores and forms of plans, because all of them ask here.

use std::path::Path;
use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use ballista_core::{ConfigProducer, RuntimeProducer};
use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use eos_io::Stores;
use root_engine::PartitionSize;
use root_engine::wire::{self, Places, RootCodec};

/// Bytes of the largest message: a plan over 10,000 files is about two million.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Encodes plans, and decodes them for a process that reads files through `stores`.
pub fn codec(stores: &Stores) -> Arc<dyn PhysicalExtensionCodec> {
    Arc::new(RootCodec::new(stores.clone(), Arc::new(BallistaPhysicalExtensionCodec::default())))
}

/// The settings that a session starts from, before those of its client are applied.
pub fn config() -> ConfigProducer {
    Arc::new(|| configure(SessionConfig::new()))
}

/// Tables of plans that run on a cluster.
const PARTITIONS: PartitionSize = PartitionSize { bytes: 256 << 20, per_core: 32 };

/// Settings of a session whose plans run on a cluster.
pub fn configure(config: SessionConfig) -> SessionConfig {
    config
        .with_extension(Arc::new(PARTITIONS))
        .upgrade_for_ballista()
        .with_ballista_grpc_client_max_message_size(MAX_MESSAGE_BYTES)
}

/// What an executor's tasks read through, and where they put what does not fit into memory.
pub fn runtime(stores: &Stores, scratch: &Path) -> RuntimeProducer {
    let (stores, scratch) = (stores.clone(), scratch.to_path_buf());
    Arc::new(move |_| {
        RuntimeEnvBuilder::new()
            .with_object_store_registry(Arc::new(Places::new(stores.clone())))
            .with_temp_file_path(&scratch)
            .build_arc()
    })
}

/// The session of plans that others have made.
pub fn state(config: SessionConfig) -> Result<SessionState> {
    Ok(wire::session_state(config))
}

/// The functions that plans can name.
pub fn functions() -> Arc<BallistaFunctionRegistry> {
    Arc::new((&wire::session_state(SessionConfig::new())).into())
}
