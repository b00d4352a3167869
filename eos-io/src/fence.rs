//! Local files for processes that read on behalf of others: only what lies in some folders, wherever links lead, and nothing
//! is written.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

/// The folders.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    /// As they were named and, behind that, without links.
    folders: Arc<[PathBuf]>,
}

impl Fence {
    pub(crate) fn new(folders: &[PathBuf]) -> Self {
        let real = folders.iter().filter_map(|folder| fs::canonicalize(folder).ok());
        Self { folders: folders.iter().cloned().chain(real).collect() }
    }

    /// Whether a path from the root, without `..`, leads into one of the folders, as far as its text tells.
    pub(crate) fn admits(&self, path: &FilePath) -> bool {
        self.folders.iter().any(|folder| path.starts_with(folder))
    }

    /// Whether what is at a path lies in one of the folders.
    fn holds(&self, path: &Path) -> bool {
        let path = PathBuf::from(format!("/{path}"));
        self.admits(&path)
            && match fs::canonicalize(&path) {
                Ok(real) => self.admits(&real),
                // There is nothing that could be read.
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            }
    }

    fn check(&self, path: &Path) -> Result<()> {
        if self.holds(path) { Ok(()) } else { Err(denied(path, "it is outside of the folders that may be read")) }
    }
}

fn denied(path: &Path, why: &str) -> object_store::Error {
    object_store::Error::PermissionDenied { path: format!("/{path}"), source: why.into() }
}

/// The files of this machine that lie within a fence.
#[derive(Debug)]
pub(crate) struct Fenced {
    files: LocalFileSystem,
    fence: Fence,
}

impl Fenced {
    pub(crate) fn new(fence: Fence) -> Self {
        Self { files: LocalFileSystem::new(), fence }
    }
}

impl fmt::Display for Fenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files in {:?}", self.fence.folders)
    }
}

#[async_trait]
impl ObjectStore for Fenced {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.fence.check(location)?;
        self.files.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.fence.check(location)?;
        self.files.get_ranges(location, ranges).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if let Err(error) = self.fence.check(prefix.unwrap_or(&Path::default())) {
            return async { Err(error) }.into_stream().boxed();
        }
        let fence = self.fence.clone();
        // What a link leads out of the folders to is as if it were not there.
        self.files.list(prefix).try_filter(move |meta| std::future::ready(fence.holds(&meta.location))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.fence.check(prefix.unwrap_or(&Path::default()))?;
        let mut listed = self.files.list_with_delimiter(prefix).await?;
        listed.objects.retain(|meta| self.fence.holds(&meta.location));
        listed.common_prefixes.retain(|folder| self.fence.holds(folder));
        Ok(listed)
    }

    async fn put_opts(&self, location: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(denied(location, "local files are only read here"))
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(denied(location, "local files are only read here"))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.map(|path| Err(denied(&path?, "local files are only read here"))).boxed()
    }

    async fn copy_opts(&self, _: &Path, to: &Path, _: CopyOptions) -> Result<()> {
        Err(denied(to, "local files are only read here"))
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use object_store::ObjectStoreExt;

    use crate::settings::LocalSettings;
    use crate::{ErrorKind, Settings, Stores};

    #[test]
    fn only_what_lies_in_the_folders_is_read_wherever_links_lead() {
        let folder = tempfile::tempdir().unwrap();
        let (within, outside) = (folder.path().join("within"), folder.path().join("outside"));
        for name in [&within, &outside] {
            std::fs::create_dir(name).unwrap();
            std::fs::write(name.join("a.root"), "x").unwrap();
        }
        std::os::unix::fs::symlink(outside.join("a.root"), within.join("b.root")).unwrap();
        std::os::unix::fs::symlink(&outside, within.join("c")).unwrap();
        let local = LocalSettings { only: Some(vec![within.clone()]) };
        let stores = Stores::builder().settings(Settings { local, ..Settings::default() }).build();
        let read = |path: &std::path::Path| {
            let location = stores.resolve(path.to_str().unwrap()).map_err(|error| error.kind())?;
            block_on(location.store.get(&location.path)).map(|_| ()).map_err(|_| ErrorKind::Io)
        };

        assert_eq!(read(&within.join("a.root")), Ok(()));
        assert_eq!(read(&outside.join("a.root")), Err(ErrorKind::PermissionDenied));
        assert_eq!(read(&within.join("../outside/a.root")), Err(ErrorKind::PermissionDenied));
        for link in ["b.root", "c/a.root"] {
            assert_eq!(read(&within.join(link)), Err(ErrorKind::Io), "{link}");
        }
        let location = stores.resolve(within.to_str().unwrap()).unwrap();
        let listed = block_on(location.store.list_with_delimiter(Some(&location.path))).unwrap();
        assert_eq!(listed.objects.len(), 1);
        assert!(listed.common_prefixes.is_empty());
        assert!(block_on(location.store.put(&location.path.clone().join("n"), "x".into())).is_err());
    }
}
