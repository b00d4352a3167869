//! Plans on their way to other processes: how scans of ROOT files, and functions that hold a luminosity mask or table, become
//! bytes and come back. Everything else of a plan is DataFusion's, or that of the codec within.

mod lumi;
mod parts;
mod places;
mod report;
mod scan;
mod share;
mod standard;

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result, plan_datafusion_err};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use eos_io::Stores;
use prost::Message;
use url::Url;

use crate::cache::TreeCache;
use crate::error::Error;
use crate::parts::WriteParts;
use crate::session::add_language;
use crate::source::RootSource;

use share::ScanShare;

pub use places::Places;
pub use report::{Observers, TaskReport, files_of, files_of_partitions, read_by};
pub use share::ScanShares;
pub use standard::{accelerate, to_standard};

/// What our messages begin with: no message of Protocol Buffers has a field of number 0.
const MARK: &[u8] = b"\0root";
/// What the message of a plan begins with that writes files.
const PARTS: &[u8] = b"\0parts";

/// Encodes and decodes what plans over ROOT files have besides DataFusion's own operators and functions.
///
/// Files are named by the URLs that every process can reach them by; secrets in URLs do not travel, and a plan with such a
/// URL is an error. What is decoded reads through the stores of the process that decodes it.
#[derive(Debug)]
pub struct RootCodec {
    stores: Stores,
    cache: TreeCache,
    inner: Arc<dyn PhysicalExtensionCodec>,
}

impl RootCodec {
    /// A codec that leaves to `inner` what it does not know. Files are read through `stores`.
    pub fn new(stores: Stores, inner: Arc<dyn PhysicalExtensionCodec>) -> Self {
        Self { stores, cache: TreeCache::default(), inner }
    }
}

impl PhysicalExtensionCodec for RootCodec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(parts) = node.downcast_ref::<WriteParts>() {
            buffer.extend_from_slice(PARTS);
            parts::encode(parts)?.encode(buffer).map_err(|error| DataFusionError::External(Box::new(error)))?;
        } else if let Some((config, source)) = root_scan(node.as_ref()) {
            put(&scan::encode(config, source, self, converter)?, buffer);
        } else if let Some(share) = node.downcast_ref::<ScanShare>() {
            let scan = share.scan();
            let source = root_source(&scan).ok_or_else(|| plan_datafusion_err!("a share of a scan of other files"))?;
            put(&scan::encode(&scan, source, self, converter)?, buffer);
        } else {
            self.inner.try_encode(node, buffer, converter)?;
        }
        Ok(())
    }

    fn try_decode(
        &self,
        buffer: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(message) = buffer.strip_prefix(PARTS) {
            return parts::decode(parse(message)?, inputs, self);
        }
        match buffer.strip_prefix(MARK) {
            Some(message) => scan::decode(parse(message)?, self, context, converter),
            None => self.inner.try_decode(buffer, inputs, context, converter),
        }
    }

    fn try_encode_udf(&self, function: &ScalarUDF, buffer: &mut Vec<u8>) -> Result<()> {
        match lumi::encode_mask(function) {
            Some(message) => put(&message, buffer),
            None => self.inner.try_encode_udf(function, buffer)?,
        }
        Ok(())
    }

    fn try_decode_udf(&self, name: &str, buffer: &[u8]) -> Result<Arc<ScalarUDF>> {
        match buffer.strip_prefix(MARK) {
            Some(message) => Ok(Arc::new(lumi::decode_mask(parse(message)?)?)),
            None => self.inner.try_decode_udf(name, buffer),
        }
    }

    fn try_encode_udaf(&self, function: &AggregateUDF, buffer: &mut Vec<u8>) -> Result<()> {
        match lumi::encode_table(function) {
            Some(message) => put(&message, buffer),
            None => self.inner.try_encode_udaf(function, buffer)?,
        }
        Ok(())
    }

    fn try_decode_udaf(&self, name: &str, buffer: &[u8]) -> Result<Arc<AggregateUDF>> {
        match buffer.strip_prefix(MARK) {
            Some(message) => Ok(Arc::new(lumi::decode_table(parse(message)?)?)),
            None => self.inner.try_decode_udaf(name, buffer),
        }
    }

    fn try_encode_higher_order_function(&self, function: &HigherOrderUDF, buffer: &mut Vec<u8>) -> Result<()> {
        self.inner.try_encode_higher_order_function(function, buffer)
    }

    fn try_decode_higher_order_function(&self, name: &str, buffer: &[u8]) -> Result<Arc<HigherOrderUDF>> {
        self.inner.try_decode_higher_order_function(name, buffer)
    }

    fn try_encode_udwf(&self, function: &WindowUDF, buffer: &mut Vec<u8>) -> Result<()> {
        self.inner.try_encode_udwf(function, buffer)
    }

    fn try_decode_udwf(&self, name: &str, buffer: &[u8]) -> Result<Arc<WindowUDF>> {
        self.inner.try_decode_udwf(name, buffer)
    }
}

/// A session that knows our functions, for those who run plans and make none.
pub fn session_state(config: SessionConfig) -> SessionState {
    let mut builder = SessionStateBuilder::new().with_config(config).with_default_features();
    add_language(&mut builder);
    builder.build()
}

/// Whether a plan scans ROOT files.
pub fn scans_files(plan: &Arc<dyn ExecutionPlan>) -> bool {
    root_scan(plan.as_ref()).is_some() || plan.children().into_iter().any(scans_files)
}

/// The scan of ROOT files that a leaf is, if it is one.
pub(crate) fn root_scan(node: &dyn ExecutionPlan) -> Option<(&FileScanConfig, &RootSource)> {
    let config = node.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()?;
    Some((config, root_source(config)?))
}

fn root_source(config: &FileScanConfig) -> Option<&RootSource> {
    config.file_source().as_ref().downcast_ref()
}

/// The stores that the scans of a plan read through.
pub(crate) fn stores_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Stores> {
    match root_scan(plan.as_ref()) {
        Some((_, source)) => Some(source.shared.stores.clone()),
        None => plan.children().into_iter().find_map(stores_of),
    }
}

/// That other processes can reach the files that a plan reads and writes by what they may be told.
///
/// # Errors
/// Where a URL holds a secret.
pub fn check_portable(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    if let Some((config, source)) = root_scan(plan.as_ref()) {
        portable(&source.shared.stores, config.object_store_url.as_ref())?;
    }
    if let Some(parts) = plan.downcast_ref::<WriteParts>() {
        portable(&parts.place().stores, &parts.place().store)?;
    }
    plan.children().into_iter().try_for_each(check_portable)
}

/// The URL by which other processes can reach a store.
fn portable(stores: &Stores, store: &Url) -> Result<String> {
    Ok(stores.portable(store).map_err(Error::from)?)
}

fn put(message: &impl Message, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(MARK);
    buffer.extend_from_slice(&message.encode_to_vec());
}

fn parse<M: Message + Default>(message: &[u8]) -> Result<M> {
    M::decode(message).map_err(|error| {
        DataFusionError::Plan(format!(
            "a plan cannot be decoded, perhaps because its sender is of another version: {error}"
        ))
    })
}
