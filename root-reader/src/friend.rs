//! Layer 5, several trees read as one: the branches of friends stand behind those of the main tree, each with the file
//! and the record that its baskets lie in.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;

use crate::error::{Error, Place, Result};
use crate::layout::{Columns, TextAs};
use crate::source::Source;
use crate::tree::{Branch, BranchId, Tree, TreeInner};

/// The friends of a tree; most have none.
#[derive(Debug, Default)]
pub(crate) struct Friends {
    /// The tree without them.
    main: Option<Tree>,
    /// In the order of their branches.
    all: Vec<Friend>,
}

/// A tree that is read beside another, entry by entry.
#[derive(Debug, Clone)]
struct Friend {
    /// What stands in front of the names of its columns.
    prefix: String,
    tree: Tree,
    /// Number of its first branch.
    first: BranchId,
}

impl Tree {
    /// This tree with the columns of a friend behind its own, each as `prefix.name`. Entry by entry, the two are read as
    /// one tree; they must have the same number of entries, and no column of this tree may have such a name.
    ///
    /// ```
    /// # fn main() -> Result<(), root_reader::Error> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
    /// use root_reader::RootFile;
    ///
    /// let tree = RootFile::open_local(path)?.tree_blocking("Events")?;
    /// let both = tree.with_friend("again", &tree)?;
    /// assert!(both.schema().index_of("again.nMuon").is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_friend(&self, prefix: &str, friend: &Tree) -> Result<Tree> {
        if friend.entries() != self.entries() {
            return Err(Error::UnequalFriend {
                place: Box::new(self.place()),
                entries: self.entries(),
                friend: Box::new(friend.place()),
                friend_entries: friend.entries(),
            });
        }
        let taken = |name: &String| self.columns.by_name.contains_key(name);
        if let Some(column) = friend.columns.all.iter().map(|c| named(prefix, &c.name)).find(taken) {
            return Err(Error::FriendColumn { place: Box::new(self.place()), column });
        }
        Ok(self.beside(prefix, friend))
    }

    fn beside(&self, prefix: &str, friend: &Tree) -> Tree {
        let main = &self.inner;
        let first = main.branches.len();
        let theirs = friend.branches().iter().map(|branch| moved(branch, first, prefix));
        let inner = TreeInner {
            path: main.path.clone(),
            title: main.title.clone(),
            cycle: main.cycle,
            entries: main.entries,
            clusters: main.clusters.clone(),
            listed_friends: main.listed_friends.clone(),
            branches: main.branches.iter().cloned().chain(theirs).collect(),
            record: main.record.clone(),
            streamers: main.streamers.clone(),
        };
        let mut all = self.friends.all.clone();
        all.push(Friend { prefix: prefix.to_string(), tree: friend.clone(), first });
        let friends = Friends { main: Some(self.friends.main.clone().unwrap_or_else(|| self.clone())), all };
        let columns = Columns::joined(&self.columns, &friend.columns, first, |name| named(prefix, name));
        Self {
            source: self.source.clone(),
            inner: Arc::new(inner),
            columns: Arc::new(columns),
            friends: Arc::new(friends),
            nested: Arc::default(),
        }
    }

    /// The same tree with its strings as `text` says.
    pub fn with_text(&self, text: TextAs) -> Self {
        let Some(main) = &self.friends.main else {
            let columns = Arc::new(Columns::of(&self.inner, text));
            return Self { columns, nested: Arc::default(), ..self.clone() };
        };
        let add = |tree: Self, friend: &Friend| tree.beside(&friend.prefix, &friend.tree.with_text(text));
        self.friends.all.iter().fold(main.with_text(text), add)
    }

    /// The tree without its friends.
    pub(crate) fn alone(&self) -> &Tree {
        self.friends.main.as_ref().unwrap_or(self)
    }

    /// The tree that a branch was written in, and the number of that tree's first branch.
    fn owner_of(&self, branch: BranchId) -> (BranchId, &Tree) {
        match self.friends.all.iter().rev().find(|friend| friend.first <= branch) {
            // Friends may have friends.
            Some(friend) => {
                let (first, tree) = friend.tree.owner_of(branch - friend.first);
                (friend.first + first, tree)
            }
            None => (0, self),
        }
    }

    /// The file that holds the baskets of a branch.
    pub(crate) fn source_of(&self, branch: BranchId) -> &Source {
        &self.owner_of(branch).1.source
    }

    /// The record that holds the embedded baskets of a branch.
    pub(crate) fn record_of(&self, branch: BranchId) -> &Bytes {
        &self.owner_of(branch).1.inner.record
    }

    /// The branch for messages, in the tree that it was written in.
    pub(crate) fn branch_place(&self, branch: BranchId) -> Place {
        let (first, tree) = self.owner_of(branch);
        Place { branch: tree.inner.branches.get(branch - first).map(|b| b.path.clone()), ..tree.place() }
    }

    /// Whether reading needs no waiting, in any of the files.
    pub(crate) fn is_immediate(&self) -> bool {
        self.source.is_immediate() && self.friends.all.iter().all(|friend| friend.tree.is_immediate())
    }
}

/// The name that a column of a friend has.
fn named(prefix: &str, column: &str) -> String {
    format!("{prefix}.{column}")
}

/// A branch of a friend as a branch of the main tree, where the friend's first branch has the number `first`.
fn moved(branch: &Branch, first: BranchId, prefix: &str) -> Branch {
    let mut branch = branch.clone();
    branch.path = named(prefix, &branch.path);
    branch.parent = branch.parent.map(|parent| parent + first);
    for counter in branch.leaves.iter_mut().filter_map(|leaf| leaf.counter.as_mut()) {
        counter.0 += first;
    }
    if let Some(counter) = branch.element.as_mut().and_then(|element| element.counter.as_mut()) {
        *counter += first;
    }
    branch
}

/// Ranges to fetch, by the files that they lie in.
#[derive(Debug, Default)]
pub(crate) struct Fetch {
    parts: Vec<(Source, Vec<Range<u64>>)>,
}

impl Fetch {
    /// Plans to fetch ranges, each of the file of a branch.
    pub(crate) fn new(tree: &Tree, ranges: impl Iterator<Item = (BranchId, Range<u64>)>) -> Self {
        let mut parts: Vec<(Source, Vec<Range<u64>>)> = Vec::new();
        // The first branch of the tree that the last part is of.
        let mut last = None;
        for (branch, range) in ranges {
            let (first, owner) = tree.owner_of(branch);
            match parts.last_mut() {
                Some((_, part)) if last == Some(first) => part.push(range),
                _ => parts.push((owner.source.clone(), vec![range])),
            }
            last = Some(first);
        }
        Self { parts }
    }

    /// Fetches them; the answers are in the order of the ranges.
    pub(crate) async fn read(&self) -> Result<Vec<Bytes>> {
        let parts = self.parts.iter().map(|(source, ranges)| source.read_ranges(ranges));
        Ok(try_join_all(parts).await?.concat())
    }
}
