//! ROOT as a [`FileSource`]: what DataFusion plans with and what it serialises. The leaf of a plan has to be a
//! `FileScanConfig`, because only that is sliced by file group when a plan is distributed.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use eos_io::Stores;
use object_store::ObjectStore;
use root_reader::Selectivity;

use crate::cache::TreeCache;
use crate::friends::Companions;
use crate::ledger::Ledger;
use crate::opener::RootOpener;
use crate::options::TableOptions;
use crate::progress::Progress;

/// Scans trees of ROOT files.
///
/// ```text
///             ┌───────────────┐  files with entry ranges (cut by cluster)
///             │ FileScanConfig│─────────────────────────────┐
///             └───────┬───────┘                             ▼
///  projection ┌───────┴───────┐  one opener per       ┌────────────┐  filter columns first,
///  + filters ▶│   RootSource  │─────────────────────▶ │ RootOpener │─▶ then the rest of the rows
///             └───────────────┘      partition        └────────────┘   that survive
/// ```
///
/// Filters that are pushed into the source are evaluated by it completely, on the columns that they name; baskets in
/// which no row survives are not read. Projections are evaluated by it too, so that only the branches under them are
/// read.
#[derive(Clone)]
pub struct RootSource {
    pub(crate) table_schema: TableSchema,
    pub(crate) projection: ProjectionExprs,
    pub(crate) predicate: Option<Arc<dyn PhysicalExpr>>,
    pub(crate) options: TableOptions,
    pub(crate) companions: Companions,
    pub(crate) batch_rows: Option<usize>,
    pub(crate) metrics: ExecutionPlanMetricsSet,
    /// What the scans of all partitions learn of the predicate.
    pub(crate) selectivity: Arc<Selectivity>,
    pub(crate) shared: Shared,
}

/// What all scans of a session share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    /// Knows what files are called.
    pub stores: Stores,
    pub cache: TreeCache,
    pub ledger: Ledger,
    pub progress: Progress,
}

impl fmt::Debug for RootSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootSource")
            .field("projection", &self.projection)
            .field("predicate", &self.predicate)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl RootSource {
    pub(crate) fn new(
        table_schema: TableSchema,
        options: TableOptions,
        companions: Companions,
        shared: Shared,
    ) -> Self {
        let all: Vec<usize> = (0..table_schema.table_schema().fields().len()).collect();
        let projection = ProjectionExprs::from_indices(&all, table_schema.table_schema());
        Self {
            table_schema,
            projection,
            predicate: None,
            options,
            companions,
            batch_rows: None,
            metrics: ExecutionPlanMetricsSet::new(),
            selectivity: Arc::default(),
            shared,
        }
    }
}

impl FileSource for RootSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        Ok(Arc::new(RootOpener::new(self, object_store, base_config, partition)?))
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_rows: Some(batch_size), ..self.clone() })
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.predicate.clone()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "root"
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(predicate) = &self.predicate else { return Ok(()) };
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, ", predicate={predicate}"),
            DisplayFormatType::TreeRender => writeln!(f, "predicate={predicate}"),
        }
    }

    /// The table cuts its files by cluster already; byte ranges mean nothing to a tree.
    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let row_id =
            |filter: &Arc<dyn PhysicalExpr>| crate::opener::names_row_id(filter, &self.table_schema, &self.options);
        let usable = |filter: &Arc<dyn PhysicalExpr>| !is_volatile(filter) && !row_id(filter);
        let verdicts: Vec<PushedDown> =
            filters.iter().map(|f| if usable(f) { PushedDown::Yes } else { PushedDown::No }).collect();
        let taken: Vec<_> = filters.iter().filter(|f| usable(f)).cloned().collect();
        let answer = FilterPushdownPropagation::with_parent_pushdown_result(verdicts);
        if taken.is_empty() {
            return Ok(answer);
        }
        let predicate = Some(conjunction(self.predicate.iter().cloned().chain(taken)));
        Ok(answer.with_updated_node(Arc::new(Self { predicate, ..self.clone() })))
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let projection = self.projection.try_merge(projection)?;
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        let expressions = self.projection.iter().map(|p| &p.expr).chain(&self.predicate);
        for expression in expressions {
            if f(expression)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}
