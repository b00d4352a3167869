//! How SQL makes tables: `CREATE EXTERNAL TABLE … STORED AS ROOT`, and a file's name in place of a table's.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory, UrlTableFactory};
use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::CreateExternalTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use eos_io::{Stores, split_object};

use crate::dataset::Inputs;
use crate::error::Error;
use crate::friends::{Friend, joined};
use crate::options::TableOptions;
use crate::source::Shared;
use crate::table::RootTable;

/// Opens tables for SQL.
#[derive(Debug, Clone)]
pub(crate) struct RootTableFactory {
    pub stores: Stores,
    pub shared: Shared,
    pub runtime: Arc<RuntimeEnv>,
    /// What looks at the keys of friends run with.
    pub config: SessionConfig,
    /// Options of files that are named without any.
    pub defaults: TableOptions,
}

/// What opening gives.
pub(crate) struct Opened {
    /// The table of the files.
    pub table: Arc<RootTable>,
    /// What queries read: that table, or a view that joins friends with it.
    pub provider: Arc<dyn TableProvider>,
}

impl RootTableFactory {
    /// Opens a table, and the friends that are joined with it.
    pub(crate) async fn open(&self, specs: &[String], options: TableOptions) -> Result<Opened, Error> {
        let keyed: Vec<Friend> = options.friends.iter().filter(|friend| !friend.on.is_empty()).cloned().collect();
        let missing = options.friend_missing;
        let plain = TableOptions { tree: None, friends: Vec::new(), row_id: true, ..options.clone() };
        let table = self.open_table(specs, options).await?;
        if keyed.is_empty() {
            return Ok(Opened { provider: table.clone(), table });
        }
        let mut friends = Vec::with_capacity(keyed.len());
        for friend in keyed {
            let theirs = self.open_table(std::slice::from_ref(&friend.files), plain.clone()).await?;
            friends.push((friend, theirs));
        }
        let context = SessionContext::new_with_config_rt(self.config.clone(), self.runtime.clone());
        Ok(Opened { provider: joined(&context, table.clone(), friends, missing).await?, table })
    }

    /// Opens a table and makes its store known to the plans that will read it.
    async fn open_table(&self, specs: &[String], options: TableOptions) -> Result<Arc<RootTable>, Error> {
        let inputs = Inputs::find(specs, &self.stores).await?;
        if let Some(first) = inputs.files().first() {
            let location = &first.entry.location;
            self.runtime.register_object_store(&location.url, location.store.clone());
        }
        let shared = Shared { stores: self.stores.clone(), ..self.shared.clone() };
        Ok(Arc::new(RootTable::open(inputs, options, &self.stores, shared).await?))
    }
}

#[async_trait]
impl TableProviderFactory for RootTableFactory {
    async fn create(&self, _state: &dyn Session, command: &CreateExternalTable) -> Result<Arc<dyn TableProvider>> {
        let options = TableOptions::parse(&command.options)?;
        Ok(self.open(&command.locations, options).await?.provider)
    }
}

#[async_trait]
impl UrlTableFactory for RootTableFactory {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        // Only names that look like ROOT or dataset files, so that a misspelt table is not reported as a missing file.
        let (path, tree) = split_object(name);
        let is_root = tree.is_some() || path.contains(".root") || path.contains("://") || path.ends_with('/');
        let is_file = is_root || Inputs::is_dataset(name);
        if !is_file {
            return Ok(None);
        }
        Ok(Some(self.open(&[name.to_string()], self.defaults.clone()).await?.provider))
    }
}
