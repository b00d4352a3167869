//! The stores of a process as DataFusion looks for them: whoever runs a plan has not seen how its files were named.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use eos_io::Stores;
use object_store::ObjectStore;
use url::Url;

/// Finds the stores of plans that [`RootCodec`](super::RootCodec) has decoded.
#[derive(Debug)]
pub struct Places {
    stores: Stores,
    others: DefaultObjectStoreRegistry,
}

impl Places {
    /// The places that these stores lead to.
    pub fn new(stores: Stores) -> Self {
        Self { stores, others: DefaultObjectStoreRegistry::new() }
    }
}

impl ObjectStoreRegistry for Places {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.others.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.others.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if let Some(store) = self.stores.opened(url) {
            return Ok(store);
        }
        if url.scheme() == "file" {
            let location = self.stores.resolve("/").map_err(|error| DataFusionError::External(Box::new(error)))?;
            return Ok(location.store);
        }
        self.others.get_store(url)
    }
}
