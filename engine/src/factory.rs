//! How SQL makes tables: `CREATE EXTERNAL TABLE … STORED AS ROOT`, and a file's name in place of a table's.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory, UrlTableFactory};
use datafusion::common::Result;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::CreateExternalTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use eos_io::{Stores, split_object};

use crate::dataset::{Inputs, SampleCondition};
use crate::error::Error;
use crate::friends::{Friend, OnMissingFriend, joined};
use crate::options::TableOptions;
use crate::selection::selected;
use crate::session::add_language;
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
        let plain = TableOptions {
            tree: None,
            friends: Vec::new(),
            row_id: true,
            defaults: BTreeMap::new(),
            lumi_mask: None,
            ..options.clone()
        };
        let (table, conditions) = self.open_table(specs, options.clone()).await?;
        let provider = self.with_friends(table.clone(), keyed, missing, plain).await?;
        if options.lumi_mask.is_none() && conditions.is_empty() {
            return Ok(Opened { provider, table });
        }
        let context = self.planner();
        let provider = selected(&context, provider, &options, &conditions, &self.shared()).await?;
        Ok(Opened { provider, table })
    }

    /// What can plan expressions as the session does, without its tables.
    fn planner(&self) -> SessionContext {
        let mut builder = SessionStateBuilder::new()
            .with_config(self.config.clone())
            .with_runtime_env(self.runtime.clone())
            .with_default_features();
        add_language(&mut builder);
        SessionContext::new_with_state(builder.build())
    }

    fn shared(&self) -> Shared {
        Shared { stores: self.stores.clone(), ..self.shared.clone() }
    }

    /// A table and the friends that are joined with it by columns, which are opened with the options `plain`.
    async fn with_friends(
        &self,
        table: Arc<RootTable>,
        keyed: Vec<Friend>,
        missing: OnMissingFriend,
        plain: TableOptions,
    ) -> Result<Arc<dyn TableProvider>, Error> {
        if keyed.is_empty() {
            return Ok(table);
        }
        let mut friends = Vec::with_capacity(keyed.len());
        for friend in keyed {
            let (theirs, _) = self.open_table(std::slice::from_ref(&friend.files), plain.clone()).await?;
            friends.push((friend, theirs));
        }
        let context = SessionContext::new_with_config_rt(self.config.clone(), self.runtime.clone());
        joined(&context, table, friends, missing).await
    }

    /// Opens a table and makes its store known to the plans that will read it. The conditions are those of its samples.
    async fn open_table(
        &self,
        specs: &[String],
        options: TableOptions,
    ) -> Result<(Arc<RootTable>, Vec<SampleCondition>), Error> {
        let found = Inputs::find(specs, &self.stores).await;
        let inputs = found.inspect_err(|error| self.shared.ledger.denied(error))?;
        if let Some(first) = inputs.files().first() {
            let location = &first.entry.location;
            self.runtime.register_object_store(&location.url, location.store.clone());
        }
        let conditions = inputs.conditions();
        Ok((Arc::new(RootTable::open(inputs, options, &self.stores, self.shared()).await?), conditions))
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
