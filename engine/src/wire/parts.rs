//! Files that executors write, as messages.

use std::sync::Arc;

use datafusion::common::config::TableParquetOptions;
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::generated::datafusion_common;
use object_store::path::Path;
use prost::Message;

use super::{RootCodec, portable};
use crate::error::Error;
use crate::output::RootOptions;
use crate::parts::{PartFormat, Place, WriteParts};

/// Where the partitions of a plan are written, and how.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PartsMessage {
    /// A URL that every process can reach the store by.
    #[prost(string, tag = "1")]
    store: String,
    #[prost(string, tag = "2")]
    directory: String,
    #[prost(string, tag = "3")]
    run: String,
    #[prost(message, optional, tag = "4")]
    root: Option<RootMessage>,
    /// Options of DataFusion, as it encodes them; of Parquet files, where `root` is not there.
    #[prost(bytes = "vec", tag = "5")]
    parquet: Vec<u8>,
}

/// Options of ROOT files, as they are spelt.
#[derive(Clone, PartialEq, prost::Message)]
struct RootMessage {
    #[prost(string, tag = "1")]
    tree: String,
    #[prost(string, tag = "2")]
    compression: String,
    #[prost(string, tag = "3")]
    null_value: String,
}

pub(super) fn encode(parts: &WriteParts) -> Result<PartsMessage> {
    let place = parts.place();
    let (root, parquet) = match parts.format() {
        PartFormat::Root(options) => {
            let RootOptions { tree, compression, nulls, threads: _ } = options;
            let (tree, compression, null_value) = (tree.clone(), compression.to_string(), nulls.to_string());
            (Some(RootMessage { tree, compression, null_value }), Vec::new())
        }
        PartFormat::Parquet(options) => {
            let message = datafusion_common::TableParquetOptions::try_from(options.as_ref());
            (None, message.map_err(|error| DataFusionError::External(Box::new(error)))?.encode_to_vec())
        }
    };
    Ok(PartsMessage {
        store: portable(&place.stores, &place.store)?,
        directory: place.directory.to_string(),
        run: place.run.clone(),
        root,
        parquet,
    })
}

pub(super) fn decode(
    message: PartsMessage,
    inputs: &[Arc<dyn ExecutionPlan>],
    codec: &RootCodec,
) -> Result<Arc<dyn ExecutionPlan>> {
    let bad = |what: String| DataFusionError::Plan(format!("a plan that was sent writes files {what}"));
    let [input] = inputs else { return Err(bad("of no rows".to_string())) };
    let location = codec.stores.resolve(&message.store).map_err(Error::from)?;
    let directory = Path::parse(&message.directory).map_err(|error| bad(format!("to no place: {error}")))?;
    if !message.run.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad("with names that it makes up".to_string()));
    }
    let format = match message.root {
        Some(RootMessage { tree, compression, null_value }) => {
            let mut options = RootOptions::default();
            for (name, value) in [("tree", tree), ("compression", compression), ("null_value", null_value)] {
                options.set(name, &value)?;
            }
            PartFormat::Root(options)
        }
        None => {
            let message = datafusion_common::TableParquetOptions::decode(message.parquet.as_slice());
            let message = message.map_err(|error| bad(format!("in no format: {error}")))?;
            PartFormat::Parquet(Box::new(TableParquetOptions::try_from(&message)?))
        }
    };
    let place = Place { stores: codec.stores.clone(), store: location.url, directory, run: message.run };
    Ok(Arc::new(WriteParts::new(Arc::clone(input), place, format)))
}
