//! HDFS: `hdfs://namenode:port/path`, `hdfs://service/path`, `hdfs:///path` for the default file
//! system of the configuration, and `viewfs://`. Hadoop's own configuration says where services
//! are and whether Kerberos is used.

mod store;

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use crate::backend::{Address, Backend};
use crate::error::Error;
use crate::parts::{Parts, normalized};
use crate::settings::{HdfsSettings, Settings};
use crate::site::{Site, Spelling, identity};

use self::store::HdfsStore;

/// Hadoop's file system.
#[derive(Debug)]
pub(crate) struct Hdfs {
    settings: HdfsSettings,
}

impl Hdfs {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { settings: settings.hdfs.clone() }
    }
}

impl Backend for Hdfs {
    fn schemes(&self) -> &'static [&'static str] {
        &["hdfs", "viewfs"]
    }

    fn address(&self, spec: &str) -> Result<Address, Error> {
        let parts = Parts::of(spec)?;
        if parts.user.is_some() {
            return Err(Error::invalid(spec, "HDFS takes the user from HADOOP_USER_NAME or from Kerberos"));
        }
        if parts.query.is_some() {
            return Err(Error::invalid(spec, "a path of HDFS has no query; a '?' can only stand in a plain path"));
        }
        let scheme = parts.scheme.to_ascii_lowercase();
        // Names of services keep their case.
        let identity = identity(spec, &scheme, parts.host, parts.port, &[])?;
        let path = Path::parse(normalized(spec, parts.path)?).map_err(|e| Error::invalid(spec, e))?;
        let before = format!("{}/", parts.before(spec));
        Ok(Address { site: Site::new(identity, before, String::new(), Spelling::Plain), path })
    }

    fn open(&self, site: &Site) -> Result<Arc<dyn ObjectStore>, Error> {
        Ok(Arc::new(HdfsStore::new(site.identity.clone(), &self.settings)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_server_a_service_or_the_default_may_be_named() {
        let hdfs = Hdfs::new(&Settings::default());
        for (spec, identity, path, name) in [
            ("hdfs://nn:9000/d/a%20b c.root", "hdfs://nn:9000/", "d/a%20b c.root", "hdfs://nn:9000/d/a%20b c.root"),
            ("HDFS://Service//d/x", "hdfs://Service/", "d/x", "HDFS://Service/d/x"),
            ("hdfs:///d/*.root", "hdfs:///", "d/*.root", "hdfs:///d/*.root"),
            ("viewfs://all/d/", "viewfs://all/", "d", "viewfs://all/d"),
        ] {
            let Address { site, path: found } = hdfs.address(spec).unwrap();
            assert_eq!((site.identity.as_str(), found.as_ref(), site.name(&found).as_str()), (identity, path, name));
        }
        for spec in ["hdfs://me@nn/x", "hdfs://nn/x?a=b", "hdfs://nn/../x"] {
            assert_eq!(hdfs.address(spec).unwrap_err().kind(), ErrorKind::InvalidSpec, "{spec}");
        }
    }
}
