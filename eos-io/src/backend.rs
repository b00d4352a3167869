//! What a protocol has to provide to be reachable through [`Stores`](crate::Stores): one
//! implementation of [`Backend`] per module, listed once in [`all`].

use std::fmt::Debug;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::checksum::{Checksum, ChecksumKind};
use crate::diagnose::Step;
use crate::error::Error;
use crate::hdfs::Hdfs;
use crate::http::Http;
use crate::local::Local;
use crate::s3::S3;
use crate::settings::Settings;
use crate::site::Site;
use crate::statistics::{Listener, Statistics};
use crate::stores::Location;
use crate::xrootd::Xrootd;

/// A spec taken apart: which store, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Everything at sites of one identity shares one store.
    pub(crate) site: Site,
    /// The path at that site, decoded as the store wants it.
    pub(crate) path: Path,
}

/// One protocol.
pub(crate) trait Backend: Debug + Send + Sync {
    /// The URL schemes served, in lower case. A spec without a scheme counts as `file`.
    fn schemes(&self) -> &'static [&'static str];

    /// Takes a spec apart, without talking to any server.
    fn address(&self, spec: &str) -> Result<Address, Error>;

    /// Makes the store of a site that [`address`](Self::address) gave, without talking to any server.
    fn open(&self, site: &Site) -> Result<Arc<dyn ObjectStore>, Error>;

    /// What tells one directory from another when both can be reached under several names (by
    /// symbolic links). `None` where nothing tells.
    fn identity(&self, _directory: &Path) -> Option<String> {
        None
    }

    /// The checksum that the server keeps of a file or computes itself. `None` where it has none of that kind.
    fn checksum<'a>(
        &'a self,
        _location: &'a Location,
        _kind: ChecksumKind,
    ) -> BoxFuture<'a, Result<Option<Checksum>, Error>> {
        std::future::ready(Ok(None)).boxed()
    }

    /// Tries to reach a file step by step, where the protocol can tell more than connections and reads do.
    fn diagnose(&self, _location: &Location) -> Option<BoxStream<'static, Step>> {
        None
    }

    /// Whether connections are served by threads of their own, so that they can be used from any runtime.
    fn has_own_threads(&self) -> bool {
        false
    }

    /// What the servers of this protocol were asked so far.
    fn statistics(&self) -> Statistics {
        Statistics::default()
    }
}

/// Every protocol this build can read.
pub(crate) fn all(settings: &Settings, listener: Option<Listener>) -> Vec<Box<dyn Backend>> {
    vec![
        Box::new(Local::new(&settings.local)),
        Box::new(Xrootd::new(settings, listener.clone())),
        Box::new(Http::new(settings, listener)),
        Box::new(S3::new(settings)),
        Box::new(Hdfs::new(settings)),
    ]
}
