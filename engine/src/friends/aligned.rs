//! Friends that are read entry by entry: which of their files belongs to which file of the table.

use std::collections::HashMap;
use std::sync::Arc;

use eos_io::{FileEntry, Stores, split_object};
use object_store::path::Path;
use root_reader::TextAs;

use super::{Friend, short_name};
use crate::cache::TreeRequest;
use crate::error::Error;
use crate::source::Shared;

/// A tree that is read beside a tree of the table.
#[derive(Debug, Clone)]
pub(crate) struct Companion {
    /// What stands in front of the names of its columns.
    pub prefix: String,
    pub tree: String,
    pub entry: FileEntry,
}

/// The trees that are read beside each file of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Companions {
    by_file: Arc<HashMap<Path, Vec<Companion>>>,
}

impl Companion {
    /// How messages call its file.
    pub(crate) fn name(&self) -> String {
        self.entry.location.name()
    }
}

impl Companions {
    /// Finds the files of friends, of which each has one for each of `files`, in the same order.
    pub(crate) async fn find<'a>(
        friends: impl Iterator<Item = &'a Friend>,
        files: &[Path],
        strings: TextAs,
        stores: &Stores,
        shared: &Shared,
    ) -> Result<Self, Error> {
        let mut found = Vec::new();
        for friend in friends {
            let (path, tree) = split_object(&friend.files);
            let entries = stores.expand(path).await?;
            if entries.len() != files.len() {
                return Err(Error::FriendFiles {
                    friend: friend.files.clone(),
                    friend_files: entries.len(),
                    files: files.len(),
                });
            }
            if let (false, [first, _, ..], Some(file)) = (files.is_sorted(), entries.as_slice(), files.first()) {
                // Files of equal length would not be found out otherwise.
                shared.ledger.warn(format!(
                    "the files of the table are not in the order of their names, in which those of the friend {} are \
                     taken: {} goes with {file}",
                    friend.files, first.meta.location
                ));
            }
            let tree = match (tree, entries.first()) {
                (Some(tree), _) => tree.to_string(),
                // Where no tree is named, the only one of the first file is looked for in all of them.
                (None, Some(first)) => only_tree(first, strings, shared).await?,
                (None, None) => String::new(),
            };
            let prefix = friend.alias.clone().unwrap_or_else(|| short_name(&tree).to_string());
            for (file, entry) in files.iter().zip(entries) {
                let companion = Companion { prefix: prefix.clone(), tree: tree.clone(), entry };
                found.push((file.clone(), companion));
            }
        }
        Ok(found.into_iter().collect())
    }

    /// The trees that are read beside a file, in the order of the friends.
    pub(crate) fn of(&self, file: &Path) -> &[Companion] {
        self.by_file.get(file).map(Vec::as_slice).unwrap_or_default()
    }
}

impl FromIterator<(Path, Companion)> for Companions {
    /// Companions, each with the file that it belongs to; those of a file in the order of the friends.
    fn from_iter<I: IntoIterator<Item = (Path, Companion)>>(companions: I) -> Self {
        let mut by_file: HashMap<Path, Vec<Companion>> = HashMap::new();
        for (file, companion) in companions {
            by_file.entry(file).or_default().push(companion);
        }
        Self { by_file: Arc::new(by_file) }
    }
}

async fn only_tree(entry: &FileEntry, strings: TextAs, shared: &Shared) -> Result<String, Error> {
    let store_url = entry.location.url.as_str();
    let name = entry.location.name();
    let (store, meta) = (&entry.location.store, &entry.meta);
    let request = TreeRequest { store_url, store, meta, name: &name, tree: None, strings, friends: &[] };
    Ok(shared.cache.tree(request).await?.0.path().to_string())
}
