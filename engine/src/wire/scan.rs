//! Scans of ROOT files as messages. What is sent is no more than the scan needs: the columns that it names, and the friends
//! of the files that it reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::from_proto::{parse_protobuf_file_scan_config, parse_table_schema_from_proto};
use datafusion_proto::physical_plan::to_proto::serialize_file_scan_config;
use datafusion_proto::physical_plan::{PhysicalPlanDecodeContext, PhysicalProtoConverterExtension};
use datafusion_proto::protobuf::{FileScanExecConf, PhysicalExprNode};
use eos_io::{FileEntry, Stores};
use object_store::ObjectMeta;
use object_store::path::Path;
use root_reader::TextAs;

use super::{RootCodec, portable};
use crate::error::Error;
use crate::friends::{Companion, Friend};
use crate::opener::row_id_fields;
use crate::options::{Layout, OnBadFile, TableOptions};
use crate::source::{RootSource, Shared};

/// A scan.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ScanMessage {
    #[prost(message, optional, tag = "1")]
    config: Option<FileScanExecConf>,
    #[prost(message, optional, tag = "2")]
    predicate: Option<PhysicalExprNode>,
    /// A URL that every process can reach the files' store by.
    #[prost(string, tag = "3")]
    store: String,
    #[prost(string, optional, tag = "4")]
    tree: Option<String>,
    #[prost(bool, tag = "5")]
    nested: bool,
    #[prost(bool, tag = "6")]
    skip_bad_files: bool,
    #[prost(bool, tag = "7")]
    binary_strings: bool,
    #[prost(bool, tag = "8")]
    row_id: bool,
    #[prost(message, repeated, tag = "9")]
    defaults: Vec<DefaultMessage>,
    #[prost(message, repeated, tag = "10")]
    companions: Vec<CompanionMessage>,
    /// Trees that are read beside that of each file.
    #[prost(uint32, tag = "11")]
    friends: u32,
    /// Rows that are needed of each partition.
    #[prost(uint64, optional, tag = "12")]
    limit: Option<u64>,
}

/// What stands for a column where a file lacks it.
#[derive(Clone, PartialEq, prost::Message)]
struct DefaultMessage {
    #[prost(string, tag = "1")]
    column: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A tree that is read beside that of a file.
#[derive(Clone, PartialEq, prost::Message)]
struct CompanionMessage {
    /// The path of the file.
    #[prost(string, tag = "1")]
    of: String,
    #[prost(string, tag = "2")]
    prefix: String,
    #[prost(string, tag = "3")]
    tree: String,
    #[prost(string, tag = "4")]
    store: String,
    #[prost(string, tag = "5")]
    path: String,
    #[prost(uint64, tag = "6")]
    size: u64,
    #[prost(int64, tag = "7")]
    modified_nanos: i64,
}

pub(super) fn encode(
    config: &FileScanConfig,
    source: &RootSource,
    codec: &RootCodec,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<ScanMessage> {
    let source = with_columns_in_use(source)?;
    let stores = &source.shared.stores;
    let mut companions = Vec::new();
    let mut told = BTreeSet::new();
    for file in config.file_groups.iter().flat_map(|group| group.iter()) {
        let of = &file.object_meta.location;
        if source.companions.of(of).is_empty() || !told.insert(of.clone()) {
            continue;
        }
        for companion in source.companions.of(of) {
            companions.push(encode_companion(of, companion, stores)?);
        }
    }
    let options = &source.options;
    let predicate = source.predicate.as_ref().map(|predicate| converter.physical_expr_to_proto(predicate, codec));
    let mut message = ScanMessage {
        config: None,
        predicate: predicate.transpose()?,
        store: portable(stores, config.object_store_url.as_ref())?,
        tree: options.tree.clone(),
        nested: options.layout == Layout::Nested,
        skip_bad_files: options.on_bad_file == OnBadFile::Skip,
        binary_strings: options.strings == TextAs::Binary,
        row_id: options.row_id,
        defaults: (options.defaults.iter())
            .filter(|(column, _)| source.table_schema.file_schema().field_with_name(column).is_ok())
            .map(|(column, value)| DefaultMessage { column: column.clone(), value: value.clone() })
            .collect(),
        companions,
        friends: options.friends.iter().filter(|friend| friend.on.is_empty()).count() as u32,
        limit: config.limit.map(|limit| limit as u64),
    };
    let rows: Precision<usize> = config.statistics().num_rows;
    let mut statistics = Statistics::new_unknown(source.table_schema.table_schema());
    statistics.num_rows = rows;
    // DataFusion's own message counts the rows of a limit in 32 bits.
    let narrow = FileScanConfigBuilder::from(config.clone())
        .with_source(Arc::new(source))
        .with_statistics(statistics)
        .with_limit(None)
        .build();
    message.config = Some(serialize_file_scan_config(&narrow, codec, converter)?);
    Ok(message)
}

pub(super) fn decode(
    message: ScanMessage,
    codec: &RootCodec,
    context: &TaskContext,
    converter: &dyn PhysicalProtoConverterExtension,
) -> Result<Arc<dyn ExecutionPlan>> {
    let config = message.config.as_ref().ok_or_else(|| incomplete("the files"))?;
    let table_schema = parse_table_schema_from_proto(config)?;
    let plan_context = PhysicalPlanDecodeContext::new(context, codec);
    let location = codec.stores.resolve(&message.store).map_err(Error::from)?;
    if location.url.as_str() != config.object_store_url {
        let (own, theirs) = (location.url, &config.object_store_url);
        return Err(DataFusionError::Plan(format!(
            "the store {} is {theirs} in a plan, and {own} here",
            message.store
        )));
    }
    let predicate = (message.predicate.as_ref())
        .map(|node| converter.proto_to_physical_expr(node, table_schema.table_schema(), &plan_context))
        .transpose()?;
    let mut companions: Vec<(Path, Companion)> = Vec::with_capacity(message.companions.len());
    for companion in &message.companions {
        companions.push(decode_companion(companion, &codec.stores)?);
    }
    let friend = Friend { files: String::new(), alias: None, on: Vec::new() };
    let options = TableOptions {
        tree: message.tree,
        layout: if message.nested { Layout::Nested } else { Layout::Flat },
        on_bad_file: if message.skip_bad_files { OnBadFile::Skip } else { OnBadFile::Fail },
        strings: if message.binary_strings { TextAs::Binary } else { TextAs::Utf8 },
        row_id: message.row_id,
        friends: vec![friend; message.friends as usize],
        defaults: message.defaults.into_iter().map(|default| (default.column, default.value)).collect(),
        ..TableOptions::default()
    };
    // A ledger and a progress of its own: what a task finds out is told with its result.
    let shared = Shared { stores: codec.stores.clone(), cache: codec.cache.clone(), ..Shared::default() };
    let source = RootSource::new(table_schema, options, companions.into_iter().collect(), shared);
    let source = RootSource { predicate, ..source };
    let config = parse_protobuf_file_scan_config(config, &plan_context, converter, Arc::new(source))?;
    let limit = message.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let config = FileScanConfigBuilder::from(config).with_limit(limit).build();
    Ok(DataSourceExec::from_data_source(config))
}

fn incomplete(what: &str) -> DataFusionError {
    DataFusionError::Plan(format!("a plan that was sent does not say {what} of a scan"))
}

fn encode_companion(of: &Path, companion: &Companion, stores: &Stores) -> Result<CompanionMessage> {
    let meta = &companion.entry.meta;
    Ok(CompanionMessage {
        of: of.to_string(),
        prefix: companion.prefix.clone(),
        tree: companion.tree.clone(),
        store: stores.portable(&companion.entry.location.url).map_err(Error::from)?,
        path: meta.location.to_string(),
        size: meta.size,
        modified_nanos: meta.last_modified.timestamp_nanos_opt().unwrap_or_default(),
    })
}

fn decode_companion(message: &CompanionMessage, stores: &Stores) -> Result<(Path, Companion)> {
    let path = |text: &str| Path::parse(text).map_err(|error| DataFusionError::External(Box::new(error)));
    let store = stores.resolve(&message.store).map_err(Error::from)?;
    let meta = ObjectMeta {
        location: path(&message.path)?,
        last_modified: chrono::DateTime::from_timestamp_nanos(message.modified_nanos),
        size: message.size,
        e_tag: None,
        version: None,
    };
    let entry = FileEntry { location: store.at(meta.location.clone()), meta };
    let companion = Companion { prefix: message.prefix.clone(), tree: message.tree.clone(), entry };
    Ok((path(&message.of)?, companion))
}

/// The same scan, of a table that has no columns but those that the scan names.
fn with_columns_in_use(source: &RootSource) -> Result<RootSource> {
    let table = source.table_schema.table_schema();
    let own = source.table_schema.file_schema().fields().len();
    let row_id = if source.options.row_id { row_id_fields().len() } else { 0 };
    let mut kept: BTreeSet<usize> = source.projection.column_indices().into_iter().collect();
    kept.extend(source.predicate.iter().flat_map(collect_columns).map(|column| column.index()));
    // The row's identity and what is known of its sample stand behind the columns of branches, whether they are used or not.
    kept.extend(own.saturating_sub(row_id)..table.fields().len());
    let kept: Vec<usize> = kept.into_iter().collect();
    let of_file: Vec<usize> = kept.iter().copied().filter(|at| *at < own).collect();
    let file_schema = Schema::clone(source.table_schema.file_schema()).project(&of_file)?;
    let table_schema = TableSchema::builder(Arc::new(file_schema))
        .with_table_partition_cols(source.table_schema.table_partition_cols().to_vec())
        .build();
    let moved = |expression: Arc<dyn PhysicalExpr>| {
        expression
            .transform(|node| {
                let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
                let place = kept.binary_search(&column.index());
                let place = place.map_err(|_| DataFusionError::Internal(format!("column {column} is not in use")))?;
                Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as Arc<dyn PhysicalExpr>))
            })
            .data()
    };
    Ok(RootSource {
        projection: source.projection.clone().try_map_exprs(moved)?,
        predicate: source.predicate.clone().map(moved).transpose()?,
        table_schema,
        ..source.clone()
    })
}
