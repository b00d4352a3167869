//! From a spec to the files it means: one file, the matches of a pattern, or what is in a
//! directory - and, when that is nothing, an error that says why.

use std::collections::HashSet;

use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::error::{Error, is_missing};
use crate::pattern::{self, Component};
use crate::redact::redact;
use crate::spec;
use crate::stores::{Location, Stores};
use crate::suggest;
use crate::walk::{self, Found, WalkError};

/// A file that exists, and what its store knows about it.
#[derive(Debug, Clone)]
pub struct FileEntry {
    /// Where the file is.
    pub location: Location,
    /// Its size, time of change and tag.
    pub meta: ObjectMeta,
}

impl Stores {
    /// Finds the files a spec means, sorted by path, each once:
    ///
    /// - the file of that name, if there is one - whatever characters are in the name;
    /// - else, if the spec has wildcards, the files that match: `*`, `?`, `[a-z]`, `[!a]` and
    ///   `{a,b}` in any component, `**` as a component for any number of directories. A pattern
    ///   that ends in `/` means the directories that match, and each of them like a directory;
    /// - else, if it is a directory, all `*.root` files in it at any depth.
    ///
    /// `?` and `[...]` stand for one ASCII character. Hidden files and directories (`.name`)
    /// have to be named. A recursive search goes through links, on local disks into no directory
    /// twice; servers do not tell which directories are links, and more than 32 levels are an error.
    /// Links that lead nowhere are passed over, and so are local names that end in `#` and a
    /// number, which mark unfinished uploads.
    ///
    /// It is an error if that is no file at all, and if a directory on the way cannot be read.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # for name in ["b.root", "a.root", "notes.txt"] {
    /// #     std::fs::write(dir.path().join(name), name)?;
    /// # }
    /// # let dir = dir.path().display();
    /// # let runtime = tokio::runtime::Runtime::new()?;
    /// # runtime.block_on(async {
    /// let stores = eos_io::Stores::new();
    /// let files = stores.expand(&format!("{dir}/[ab].*")).await?;
    /// let names: Vec<_> = files.iter().filter_map(|f| f.location.path.filename()).collect();
    /// assert_eq!(names, ["a.root", "b.root"]);
    /// # Ok::<(), eos_io::Error>(())
    /// # })?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn expand(&self, spec: &str) -> Result<Vec<FileEntry>, Error> {
        let location = self.resolve(spec)?;
        let is_directory = spec::without_query(spec).ends_with('/');
        if !is_directory && !location.path.is_root() {
            match location.store.head(&location.path).await {
                Ok(meta) => return Ok(vec![FileEntry { location, meta }]),
                Err(e) if is_missing(&e) => {}
                Err(e) => {
                    return Err(Error::from_store(spec, &location.site.name(&location.path), &e));
                }
            }
        }
        let search = Search { stores: self, spec, location: &location };
        match pattern::literal_prefix(spec) {
            Some(prefix) => search.matches(prefix, is_directory).await,
            None => search.directory(is_directory).await,
        }
    }

    /// Finds the files of several specs, in the order of the specs. A file that several of them
    /// mean is taken once, where it comes first.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # for name in ["a.root", "b.root"] {
    /// #     std::fs::write(dir.path().join(name), name)?;
    /// # }
    /// # let dir = dir.path().display();
    /// let stores = eos_io::Stores::new();
    /// let specs = [format!("{dir}/b.root"), format!("{dir}/*.root")];
    /// let files = futures::executor::block_on(stores.expand_all(&specs))?;
    /// let names: Vec<_> = files.iter().filter_map(|f| f.location.path.filename()).collect();
    /// assert_eq!(names, ["b.root", "a.root"]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn expand_all(&self, specs: &[String]) -> Result<Vec<FileEntry>, Error> {
        let mut seen = HashSet::new();
        let mut files = Vec::new();
        for spec in specs {
            let found = self.expand(spec).await?;
            files.extend(
                found.into_iter().filter(|file| seen.insert((file.location.url.clone(), file.location.path.clone()))),
            );
        }
        Ok(files)
    }
}

/// One expansion.
struct Search<'a> {
    stores: &'a Stores,
    spec: &'a str,
    location: &'a Location,
}

impl Search<'_> {
    /// The matches of a pattern whose wildcards begin behind `prefix`.
    async fn matches(&self, prefix: &str, is_directory: bool) -> Result<Vec<FileEntry>, Error> {
        let invalid = |reason: String| Error::invalid(self.spec, reason);
        let base = self.stores.path_of(match prefix {
            "" => ".",
            prefix => prefix,
        })?;
        let rest =
            below(&base, &self.location.path).ok_or_else(|| invalid("'..' cannot follow a wildcard".to_owned()))?;
        let mut found = Found::default();
        let (alternatives, malformed) = match pattern::parse(rest) {
            Ok(alternatives) => (alternatives, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        for mut components in alternatives {
            if is_directory {
                components.extend(pattern::root_files_below().map_err(invalid)?);
            }
            let more = self.walk(base.clone(), &components).await?;
            found.files.extend(more.files);
            found.directories += more.directories;
        }
        if found.files.is_empty() {
            // As with files, the name of a directory may look like a pattern, even a bad one.
            found.files = self.root_files().await?.files;
        }
        if let Some(reason) = malformed
            && found.files.is_empty()
        {
            return Err(invalid(reason));
        }
        if found.files.is_empty() {
            return Err(Error::NoMatch { spec: redact(self.spec), directories: found.directories });
        }
        Ok(self.entries(found.files, &base, prefix))
    }

    /// The ROOT files in a directory.
    async fn directory(&self, must_be_directory: bool) -> Result<Vec<FileEntry>, Error> {
        let files = self.root_files().await?.files;
        if files.is_empty() {
            return Err(self.why_nothing(must_be_directory).await);
        }
        let written = match must_be_directory {
            true => self.spec.to_owned(),
            false => format!("{}/", self.spec),
        };
        Ok(self.entries(files, &self.location.path, &written))
    }

    async fn root_files(&self) -> Result<Found, Error> {
        let components = pattern::root_files_below().map_err(|reason| Error::invalid(self.spec, reason))?;
        self.walk(self.location.path.clone(), &components).await
    }

    async fn walk(&self, start: Path, components: &[Component]) -> Result<Found, Error> {
        let backend = self.stores.backend(self.location.url.as_str())?;
        walk::walk(&self.location.store, backend, start, components).await.map_err(|WalkError { path, source }| {
            Error::from_store(self.spec, &self.location.site.name(&path), &source)
        })
    }

    /// Tells a missing name, an empty directory and a file apart by looking at what is beside.
    async fn why_nothing(&self, must_be_directory: bool) -> Error {
        let path = &self.location.path;
        let spec = redact(self.spec);
        let Some(parent) = path.parent() else {
            return Error::EmptyDirectory { spec };
        };
        // Without a look there is nothing to suggest, but the answer stays the same.
        let Ok(beside) = self.location.store.list_with_delimiter(Some(&parent)).await else {
            return Error::FileNotFound { spec, suggestions: Vec::new() };
        };
        if beside.common_prefixes.contains(path) {
            return Error::EmptyDirectory { spec };
        }
        let files = beside.objects.iter().map(|meta| &meta.location);
        if must_be_directory && files.clone().any(|file| file == path) {
            return Error::NotADirectory { spec };
        }
        let names = files.chain(&beside.common_prefixes);
        let names = names.filter_map(|path| path.filename());
        Error::FileNotFound { spec, suggestions: suggest::similar(path.filename().unwrap_or(""), names) }
    }

    /// The files in order, named the way the user would: `base` was written as `written`.
    fn entries(&self, mut files: Vec<ObjectMeta>, base: &Path, written: &str) -> Vec<FileEntry> {
        files.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        files.dedup_by(|a, b| a.location == b.location);
        let is_url = spec::scheme(self.spec).is_some();
        let name = |path: &Path| match below(base, path) {
            Some(rest) if !is_url => format!("{written}{rest}"),
            _ => self.location.site.name(path),
        };
        files
            .into_iter()
            .map(|meta| FileEntry {
                location: Location {
                    path: meta.location.clone(),
                    display: name(&meta.location),
                    ..self.location.clone()
                },
                meta,
            })
            .collect()
    }
}

/// The part of `path` below `base`.
fn below<'a>(base: &Path, path: &'a Path) -> Option<&'a str> {
    let rest = path.as_ref().strip_prefix(base.as_ref())?;
    if base.is_root() {
        return Some(rest);
    }
    rest.strip_prefix('/')
}

#[cfg(test)]
mod tests;
