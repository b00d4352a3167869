//! What copying needs of a place beyond [`Upload`](crate::Upload): reading a file from end to end, listing all that is in
//! a directory, and looking, naming and removing.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::error::{Error, is_missing};
use crate::expand::FileEntry;
use crate::stores::Location;
use crate::walk::JoinRaw;

/// Bytes of one request.
const PIECE: u64 = 8 << 20;
/// Requests on their way at the same time.
const IN_FLIGHT: usize = 4;

impl Location {
    /// Reads the file from end to end, in pieces that come in order while the next ones are on their way. That it is
    /// shorter than `size` is an error.
    pub fn download(&self, size: u64) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        let location = self.clone();
        let starts = stream::iter((0..size).step_by(PIECE as usize));
        starts
            .map(move |start| {
                let location = location.clone();
                async move { location.piece(start, size.min(start + PIECE)).await }
            })
            .buffered(IN_FLIGHT)
    }

    async fn piece(&self, start: u64, end: u64) -> Result<Bytes, Error> {
        let read = self.store.get_range(&self.path, start..end).await;
        let bytes = read.map_err(|error| self.unreadable(&error))?;
        if bytes.len() as u64 == end - start {
            return Ok(bytes);
        }
        let message =
            format!("it ends at byte {}, before {end}; was it changed meanwhile?", start + bytes.len() as u64);
        Err(Error::Io { spec: self.display.clone(), message })
    }

    /// Whether there is a file of that name.
    pub async fn is_file(&self) -> Result<bool, Error> {
        match self.store.head(&self.path).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// Whether there is a directory of that name with something in it. Many stores know no others.
    pub async fn is_directory(&self) -> Result<bool, Error> {
        match self.store.list_with_delimiter(Some(&self.path)).await {
            Ok(listed) => {
                Ok(listed.objects.iter().any(|meta| meta.location != self.path) || !listed.common_prefixes.is_empty())
            }
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    /// All files below a directory, whatever their names, in order; none if it is no directory.
    pub async fn files_below(&self) -> Result<Vec<FileEntry>, Error> {
        let listed: Vec<_> = match self.store.list(Some(&self.path)).try_collect().await {
            Ok(listed) => listed,
            Err(error) if is_missing(&error) => Vec::new(),
            Err(error) => return Err(self.unreadable(&error)),
        };
        let mut files = Vec::new();
        for meta in listed {
            if let Some(relative) = self.relative(&meta.location) {
                files.push(FileEntry { location: self.below(&relative), meta });
            }
        }
        files.sort_unstable_by(|a, b| a.location.path.cmp(&b.location.path));
        Ok(files)
    }

    /// The name of a file below this directory, from here on.
    pub fn relative(&self, path: &Path) -> Option<String> {
        let rest = path.as_ref().strip_prefix(self.path.as_ref())?;
        let rest = if self.path.is_root() { rest } else { rest.strip_prefix('/')? };
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    /// The place of that name in this directory.
    pub fn below(&self, relative: &str) -> Self {
        let path = relative
            .split('/')
            .filter(|name| !name.is_empty())
            .fold(self.path.clone(), |path, name| path.join_raw(name));
        let display = match crate::is_url(&self.display) {
            true => self.site.name(&path),
            false => format!("{}/{relative}", self.display.trim_end_matches('/')),
        };
        Self { path, display, ..self.clone() }
    }

    /// Removes the file.
    pub async fn remove(&self) -> Result<(), Error> {
        self.store.delete(&self.path).await.map_err(|error| Error::from_write(self, &error))
    }

    fn unreadable(&self, error: &object_store::Error) -> Error {
        Error::from_store(&self.display, &self.display, error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures::executor::block_on;

    use super::*;
    use crate::{ErrorKind, Stores};

    fn local(path: &std::path::Path) -> Location {
        Stores::new().resolve(path.to_str().unwrap()).unwrap()
    }

    #[test]
    fn a_download_is_the_file_from_end_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.bin");
        for size in [0, 1, PIECE as usize, 5 * PIECE as usize + 3] {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            fs::write(&file, &bytes).unwrap();
            let pieces: Vec<Bytes> = block_on(local(&file).download(size as u64).try_collect()).unwrap();
            assert!(pieces.concat() == bytes, "{size}");
        }
    }

    #[test]
    fn a_file_that_is_shorter_than_it_was_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.bin");
        fs::write(&file, "short").unwrap();
        let pieces: Result<Vec<Bytes>, _> = block_on(local(&file).download(100).try_collect());
        let error = pieces.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("x.bin"), "{error}");
    }

    #[test]
    fn all_files_below_a_directory_are_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for name in ["a/x.root", "a/b/.hidden", "a/b/y.txt", "other"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let place = local(&dir.path().join("a"));
        let files = block_on(place.files_below()).unwrap();
        let names: Vec<_> = files.iter().filter_map(|file| place.relative(&file.location.path)).collect();
        assert_eq!(names, ["b/.hidden", "b/y.txt", "x.root"]);
        assert!(files[0].location.display.ends_with("a/b/.hidden"));
        assert!(block_on(local(&dir.path().join("other")).files_below()).unwrap().is_empty());
        assert!(block_on(local(&dir.path().join("nowhere")).files_below()).unwrap().is_empty());
    }

    #[test]
    fn files_and_directories_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/x"), "").unwrap();
        for (name, is_file, is_directory) in [("d", false, true), ("d/x", true, false), ("none", false, false)] {
            let place = local(&dir.path().join(name));
            assert_eq!(block_on(place.is_file()).unwrap(), is_file, "{name}");
            assert_eq!(block_on(place.is_directory()).unwrap(), is_directory, "{name}");
        }
    }

    #[test]
    fn a_place_below_keeps_the_query_of_the_url_behind_its_name() {
        let below = |spec: &str| Stores::new().resolve(spec).unwrap().below("e/x y.root");
        let remote = below("root://h//d?authz=secret");
        assert_eq!(
            (remote.display.as_str(), remote.path.as_ref()),
            ("root://h//d/e/x y.root?authz=***", "d/e/x y.root")
        );
        assert_eq!(below("https://h/d/").display, "https://h/d/e/x%20y.root");
        assert_eq!(below("what?/").display, "what?/e/x y.root");
    }
}
