//! How SQL makes tables: `CREATE EXTERNAL TABLE … STORED AS ROOT`, and a file's name in place of a table's.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory, UrlTableFactory};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::CreateExternalTable;
use eos_io::{Stores, split_object};
use url::Url;

use crate::error::Error;
use crate::options::TableOptions;
use crate::source::Shared;
use crate::table::RootTable;

/// Opens tables for SQL.
#[derive(Debug, Clone)]
pub(crate) struct RootTableFactory {
    pub stores: Stores,
    pub shared: Shared,
    pub runtime: Arc<RuntimeEnv>,
    /// Options of files that are named without any.
    pub defaults: TableOptions,
}

impl RootTableFactory {
    /// Opens a table and makes its store known to the plans that will read it.
    pub(crate) async fn open(&self, specs: &[String], options: TableOptions) -> Result<Arc<RootTable>, Error> {
        for spec in specs {
            let location = self.stores.resolve(split_object(spec).0)?;
            let root = Url::parse(location.url.as_str()).map_err(|e| DataFusionError::External(e.into()))?;
            self.runtime.register_object_store(&root, location.store);
        }
        Ok(Arc::new(RootTable::open(specs, options, &self.stores, self.shared.clone()).await?))
    }
}

#[async_trait]
impl TableProviderFactory for RootTableFactory {
    async fn create(&self, _state: &dyn Session, command: &CreateExternalTable) -> Result<Arc<dyn TableProvider>> {
        let options = TableOptions::parse(&command.options)?;
        Ok(self.open(&command.locations, options).await?)
    }
}

#[async_trait]
impl UrlTableFactory for RootTableFactory {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        // Only names that look like ROOT files, so that a misspelt table is not reported as a missing file.
        let (path, tree) = split_object(name);
        let is_file = tree.is_some() || path.contains(".root") || path.contains("://") || path.ends_with('/');
        if !is_file {
            return Ok(None);
        }
        Ok(Some(self.open(&[name.to_string()], self.defaults.clone()).await?))
    }
}
