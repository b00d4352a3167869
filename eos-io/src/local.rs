//! Local files: plain paths and `file://` URLs. The store is rooted at `/`, its paths are the
//! names as they are on disk (the store does the percent-encoding it needs by itself).

use std::env;
use std::fs;
use std::io;
use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use url::Url;

use crate::backend::{Address, Backend};
use crate::error::Error;
use crate::fence::{Fence, Fenced};
use crate::pattern;
use crate::settings::LocalSettings;
use crate::site::{Site, Spelling};
use crate::spec;

/// The file system of this machine.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// What alone may be read, if not everything.
    fence: Option<Fence>,
}

impl Local {
    pub(crate) fn new(settings: &LocalSettings) -> Self {
        Self { fence: settings.only.as_deref().map(Fence::new) }
    }
}

impl Backend for Local {
    fn schemes(&self) -> &'static [&'static str] {
        &["file"]
    }

    fn address(&self, spec: &str) -> Result<Address, Error> {
        let (written, before, spelling) = match spec::scheme(spec) {
            Some(_) => (from_url(spec)?, "file:///", Spelling::Encoded),
            None => (PathBuf::from(spec), "/", Spelling::Plain),
        };
        // Before anything is looked up, so that an error does not tell what is where.
        if self.fence.is_some() && written.components().any(|part| part == Component::ParentDir) {
            return Err(outside(spec));
        }
        let path = absolute(spec, &written)?;
        if self.fence.as_ref().is_some_and(|fence| !fence.admits(&path)) {
            return Err(outside(spec));
        }
        let path = Path::from_absolute_path(path).map_err(|e| Error::invalid(spec, e))?;
        if path.filename().is_some_and(is_staging_name) {
            return Err(Error::invalid(
                spec,
                "a name that ends in '#' and a number marks an unfinished upload; \
                 rename the file or link to it under another name",
            ));
        }
        let identity = Url::parse("file:///").map_err(|e| Error::invalid(spec, e))?;
        Ok(Address { site: Site::new(identity, before.to_owned(), String::new(), spelling), path })
    }

    fn open(&self, _site: &Site) -> Result<Arc<dyn ObjectStore>, Error> {
        Ok(match &self.fence {
            Some(fence) => Arc::new(Fenced::new(fence.clone())),
            None => Arc::new(LocalFileSystem::new()),
        })
    }

    /// The directory's name without symbolic links. A short blocking call, made once for every
    /// directory of a recursive walk; listing the same directory costs far more.
    fn identity(&self, directory: &Path) -> Option<String> {
        let real = fs::canonicalize(format!("/{directory}")).ok()?;
        Some(real.to_string_lossy().into_owned())
    }
}

fn outside(spec: &str) -> Error {
    Error::OutsideOfFolders { spec: spec.to_string() }
}

fn from_url(spec: &str) -> Result<PathBuf, Error> {
    let url = Url::parse(spec).map_err(|e| Error::invalid(spec, e))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::invalid(
            spec,
            "in a file URL write '%3F' for '?' and '%23' for '#', or give the plain path",
        ));
    }
    url.to_file_path()
        .map_err(|()| Error::invalid(spec, "a file URL names a file of this machine: file:///path, without a host"))
}

/// The path from the root, without `.` and `..`.
///
/// No file is touched for it, with one exception: where `..` follows a named directory, that
/// directory may be a symbolic link, and only the file system knows what is above it.
fn absolute(spec: &str, written: &FilePath) -> Result<PathBuf, Error> {
    if written.as_os_str().is_empty() {
        return Err(Error::invalid(spec, "it is empty"));
    }
    let mut path = PathBuf::new();
    if !written.is_absolute() {
        // Free of symbolic links already.
        path = env::current_dir().map_err(|e| Error::from_io(".", &e))?;
    }
    let mut has_named = false;
    for component in written.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if has_named {
                    path = fs::canonicalize(&path).map_err(|e| no_parent(spec, &e))?;
                }
                path.pop();
            }
            Component::Normal(name) => {
                path.push(name);
                has_named = true;
            }
            Component::Prefix(_) | Component::RootDir => path.push(component),
        }
    }
    Ok(path)
}

fn no_parent(spec: &str, error: &io::Error) -> Error {
    match pattern::literal_prefix(spec) {
        Some(_) => Error::invalid(spec, "'..' cannot follow a wildcard"),
        None => Error::from_io(spec, error),
    }
}

/// The store keeps `name#1`, `name#2`, ... for writes in progress and shows no such file.
fn is_staging_name(name: &str) -> bool {
    name.split_once('#').is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn path_of(spec: &str) -> String {
        Local::default().address(spec).unwrap().path.to_string()
    }

    #[test]
    fn a_path_keeps_its_name_as_it_is_on_disk() {
        for (spec, path) in [
            ("/d/a b.root", "d/a b.root"),
            ("/d/100%.root", "d/100%.root"),
            ("/d/%41.root", "d/%41.root"),
            ("/d/a#b+c@d:e.root", "d/a#b+c@d:e.root"),
            ("/d/*?[a]{b}.root", "d/*?[a]{b}.root"),
            ("/d/é 物.root", "d/é 物.root"),
            ("//d///x/./y/", "d/x/y"),
            ("/", ""),
        ] {
            assert_eq!(path_of(spec), path, "{spec}");
        }
    }

    #[test]
    fn a_file_url_is_percent_decoded() {
        for (spec, path) in [
            ("file:///d/a%20b%23c%25.root", "d/a b#c%.root"),
            ("file:///d/%C3%A9.root", "d/é.root"),
            ("FILE:///d/x.root", "d/x.root"),
            ("file:/d/x.root", "d/x.root"),
            ("file://localhost/d/x.root", "d/x.root"),
            ("file:///d/*{a,b}[c].root", "d/*{a,b}[c].root"),
        ] {
            assert_eq!(path_of(spec), path, "{spec}");
        }
    }

    #[test]
    fn relative_paths_start_from_the_current_directory() {
        let here = env::current_dir().unwrap();
        let here = here.to_str().unwrap().trim_start_matches('/');
        assert_eq!(path_of("x.root"), format!("{here}/x.root"));
        assert_eq!(path_of("./src/../x.root"), format!("{here}/x.root"));
        assert_eq!(path_of("."), here);
        let above = here.rsplit_once('/').map_or("", |(above, _)| above);
        assert_eq!(path_of("../x.root"), format!("{above}/x.root"));
        assert_eq!(path_of("/../../x.root"), "x.root");
    }

    #[test]
    fn the_parent_of_a_linked_directory_is_that_of_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/sub")).unwrap();
        std::os::unix::fs::symlink(root.join("real/sub"), root.join("link")).unwrap();
        let spec = format!("{}/link/../x.root", root.display());
        assert_eq!(format!("/{}", path_of(&spec)), root.join("real/x.root").to_str().unwrap());
    }

    #[test]
    fn the_parent_of_a_directory_that_does_not_exist_is_not_found() {
        let error = Local::default().address("/does/not/../exist.root").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_can_be_no_local_file_is_an_invalid_spec() {
        for spec in [
            "",
            "a\0b",
            "a\nb.root",
            "x.root#12",
            "*/../x.root",
            "file:///x.root?a=b",
            "file:///x.root#a",
            "file://host/x.root",
            "file:///%FF.root",
        ] {
            let error = Local::default().address(spec).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{spec}: {error}");
        }
    }
}
