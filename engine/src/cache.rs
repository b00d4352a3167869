//! The cache of opened trees. A tree's metadata is parsed once per file and process; the cache holds the trees that were
//! used last and is bounded by what their metadata weigh.

use std::collections::HashMap;
use std::sync::Arc;

use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;
use root_reader::{RootFile, TextAs, Tree};

use crate::friends::Companion;

/// What the metadata of the cached trees may weigh together, by the estimate of [`weight`].
const CAPACITY: u64 = 256 << 20;

/// Trees by file, version of the file, and name.
#[derive(Debug, Clone, Default)]
pub(crate) struct TreeCache {
    trees: Arc<Mutex<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<CacheKey, Cached>,
    weight: u64,
    clock: u64,
}

#[derive(Debug)]
struct Cached {
    tree: Tree,
    warnings: Vec<String>,
    used: u64,
}

/// A file is the same as long as its place, size, time and tag are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CacheKey {
    store: String,
    meta: (String, u64, i64, Option<String>),
    tree: Option<String>,
    strings: TextAs,
    /// The trees beside it, and what stands in front of their columns.
    friends: Vec<(String, CacheKey)>,
}

/// Which tree of which file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TreeRequest<'a> {
    /// Root URL of the store, to tell apart equal paths of two stores.
    pub store_url: &'a str,
    pub store: &'a Arc<dyn ObjectStore>,
    pub meta: &'a ObjectMeta,
    /// The file as messages call it.
    pub name: &'a str,
    pub tree: Option<&'a str>,
    pub strings: TextAs,
    /// Trees that are read beside it.
    pub friends: &'a [Companion],
}

impl CacheKey {
    fn new(store: &str, meta: &ObjectMeta, tree: Option<&str>, strings: TextAs) -> Self {
        Self {
            store: store.to_string(),
            meta: (
                meta.location.to_string(),
                meta.size,
                meta.last_modified.timestamp_nanos_opt().unwrap_or_default(),
                meta.e_tag.clone(),
            ),
            tree: tree.map(str::to_string),
            strings,
            friends: Vec::new(),
        }
    }
}

impl TreeCache {
    /// The tree, with its friends beside it, and what the files warn of, from the cache or from the files.
    pub(crate) async fn tree(&self, request: TreeRequest<'_>) -> Result<(Tree, Vec<String>), root_reader::Error> {
        if request.friends.is_empty() {
            return self.single(request).await;
        }
        let TreeRequest { store_url, meta, tree, strings, friends, .. } = request;
        let mut key = CacheKey::new(store_url, meta, tree, strings);
        for friend in friends {
            let location = &friend.entry.location;
            let beside = CacheKey::new(location.url.as_str(), &friend.entry.meta, Some(&friend.tree), strings);
            key.friends.push((friend.prefix.clone(), beside));
        }
        if let Some(found) = self.lookup(&key) {
            return Ok(found);
        }
        let (mut tree, mut warnings) = self.single(TreeRequest { friends: &[], ..request }).await?;
        for friend in friends {
            let location = &friend.entry.location;
            let (beside, more) = self
                .single(TreeRequest {
                    store_url: location.url.as_str(),
                    store: &location.store,
                    meta: &friend.entry.meta,
                    name: &friend.name(),
                    tree: Some(&friend.tree),
                    strings,
                    friends: &[],
                })
                .await?;
            tree = tree.with_friend(&friend.prefix, &beside)?;
            warnings.extend(more);
        }
        self.insert(key, &tree, &warnings);
        Ok((tree, warnings))
    }

    async fn single(&self, request: TreeRequest<'_>) -> Result<(Tree, Vec<String>), root_reader::Error> {
        let meta = request.meta;
        let key = CacheKey::new(request.store_url, meta, request.tree, request.strings);
        if let Some(found) = self.lookup(&key) {
            return Ok(found);
        }
        let file = RootFile::open(request.store.clone(), meta.location.clone(), request.name).await?;
        let record = match request.tree {
            Some(name) => file.find_tree(name)?,
            None => file.only_tree()?,
        };
        let tree = file.tree_of(record).await?;
        let tree = if request.strings == TextAs::Utf8 { tree } else { tree.with_text(request.strings) };
        let warnings = file.warnings().to_vec();
        // Scans ask by the name that was found when none was given.
        if key.tree.is_none() {
            self.insert(CacheKey { tree: Some(tree.path().to_string()), ..key.clone() }, &tree, &warnings);
        }
        self.insert(key, &tree, &warnings);
        Ok((tree, warnings))
    }

    fn lookup(&self, key: &CacheKey) -> Option<(Tree, Vec<String>)> {
        let mut entries = self.trees.lock();
        entries.clock += 1;
        let now = entries.clock;
        let cached = entries.by_key.get_mut(key)?;
        cached.used = now;
        Some((cached.tree.clone(), cached.warnings.clone()))
    }

    fn insert(&self, key: CacheKey, tree: &Tree, warnings: &[String]) {
        let mut entries = self.trees.lock();
        entries.clock += 1;
        let used = entries.clock;
        entries.weight += weight(tree);
        let cached = Cached { tree: tree.clone(), warnings: warnings.to_vec(), used };
        if let Some(old) = entries.by_key.insert(key, cached) {
            entries.weight = entries.weight.saturating_sub(weight(&old.tree));
        }
        while entries.weight > CAPACITY && entries.by_key.len() > 1 {
            let oldest = entries.by_key.iter().min_by_key(|(_, c)| c.used).map(|(k, _)| k.clone());
            let Some(old) = oldest.and_then(|k| entries.by_key.remove(&k)) else { break };
            entries.weight = entries.weight.saturating_sub(weight(&old.tree));
        }
    }
}

/// Bytes that the metadata of a tree take in memory, about.
fn weight(tree: &Tree) -> u64 {
    tree.branches().iter().map(|b| 1024 + 64 * b.basket_count() as u64).sum()
}
