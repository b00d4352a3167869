//! Layer 5: a TTree's metadata: branches, leaves, clusters and the place of every basket.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::error::{Error, FormatError, Place, Result};
use crate::file::Key;
use crate::friend::Friends;
use crate::layout::{Columns, TextAs};
use crate::nested::Nested;
use crate::object::{EmbeddedBasket, Graph, Object, ObjectId, Value};
use crate::source::Source;
use crate::streamer::Streamers;

/// Branches nest in branches; real files stay below 20.
const MAX_DEPTH: usize = 100;
/// Entries that every branch of a tree may lack: a wrong number of entries must not make endless batches of nulls.
const MOST_ABSENT: u64 = 1 << 20;
/// Entries of a cluster when the tree says nothing: baskets of the widest branch decide in practice.
const NO_CLUSTER: u64 = 0;

/// A tree of a file: its branches and where their baskets lie. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) source: Source,
    pub(crate) inner: Arc<TreeInner>,
    pub(crate) columns: Arc<Columns>,
    /// The trees that are read beside this one, whose branches stand behind its own.
    pub(crate) friends: Arc<Friends>,
    /// Made when it is first asked for.
    pub(crate) nested: Arc<OnceLock<Nested>>,
}

#[derive(Debug)]
pub(crate) struct TreeInner {
    pub path: String,
    pub title: String,
    pub cycle: u16,
    pub entries: u64,
    pub clusters: Clusters,
    pub listed_friends: Vec<ListedFriend>,
    /// All branches, parents before children, in file order.
    pub branches: Vec<Branch>,
    /// Decompressed record of the tree, which holds the embedded baskets.
    pub record: Bytes,
    pub streamers: Arc<Streamers>,
}

/// Index of a branch in its tree.
pub type BranchId = usize;

/// A branch of a tree.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Name as written in the file.
    pub name: String,
    /// Names of all parents and its own, joined by `/`.
    pub path: String,
    /// Title; for leaf lists the list.
    pub title: String,
    /// C++ class of the branch itself: `TBranch`, `TBranchElement`, ….
    pub class: String,
    /// The branch that holds this one.
    pub parent: Option<BranchId>,
    /// Number of branches below this one, directly.
    pub children: usize,
    /// Entries of this branch; can be fewer than the tree's.
    pub entries: u64,
    /// Bytes of all baskets when decompressed, as the writer counted them.
    pub total_bytes: u64,
    /// Bytes of all baskets as stored, as the writer counted them.
    pub zip_bytes: u64,
    /// Compression setting: 100 × algorithm + level.
    pub compression: u32,
    /// Whether its baskets are probably zlib, which can be inflated in part.
    pub(crate) inflates_in_part: bool,
    /// Whether its baskets end in a table of entry offsets.
    pub(crate) has_offset_tables: bool,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) baskets: Vec<BasketPlace>,
    pub(crate) element: Option<ElementFacts>,
    /// Class of the objects of a TBranchObject.
    pub(crate) object_class: Option<String>,
    /// Name of another file that holds the baskets.
    pub(crate) other_file: Option<String>,
    /// What is wrong with the metadata of the branch.
    pub(crate) fault: Option<String>,
}

/// Whether a compression setting says zlib, which is also what a level without an algorithm means.
fn is_zlib(setting: u32) -> bool {
    matches!(setting / 100, 0 | 1) && !setting.is_multiple_of(100)
}

/// Whether the writer put tables of entry offsets behind the values: not for entries of one size, and not where it was
/// asked to leave them out because they can be made again (`TBasket::EIOBits::kGenerateOffsetMap`).
fn has_offset_tables(graph: &Graph, branch: &Object) -> bool {
    const GENERATE_OFFSET_MAP: i64 = 1;
    let features = branch.object("fIOFeatures").and_then(|id| graph.get(id));
    let bits = features.and_then(|f| f.integer("fIOBits")).unwrap_or(0);
    branch.integer("fEntryOffsetLen").is_some_and(|length| length > 0) && bits & GENERATE_OFFSET_MAP == 0
}

impl Branch {
    /// Number of baskets.
    pub fn basket_count(&self) -> usize {
        self.baskets.len()
    }

    /// Its baskets, in the order of their entries.
    pub fn baskets(&self) -> impl Iterator<Item = BasketInfo> {
        self.baskets.iter().map(|basket| BasketInfo {
            entries: basket.entries.clone(),
            bytes: match &basket.at {
                BasketAt::File(range) => Some(range.clone()),
                BasketAt::Embedded(_) | BasketAt::Missing(_) => None,
            },
        })
    }
}

/// A basket as [`Branch::baskets`] tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasketInfo {
    /// Entries of the tree that it holds.
    pub entries: Range<u64>,
    /// The bytes of the file that it takes, its key included; `None` if it lies in the tree's record, or nowhere.
    pub bytes: Option<Range<u64>>,
}

/// A friend that the writer gave a tree. Nothing is read because of it: where it lies is what a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFriend {
    /// What the writer called it.
    pub alias: String,
    /// Name of the tree.
    pub tree: String,
    /// The file of the tree; empty for the file of the tree that lists it.
    pub file: String,
}

/// Where a basket lies and which entries it holds.
#[derive(Debug, Clone)]
pub(crate) struct BasketPlace {
    pub entries: Range<u64>,
    pub at: BasketAt,
}

#[derive(Debug, Clone)]
pub(crate) enum BasketAt {
    File(Range<u64>),
    Embedded(Arc<EmbeddedBasket>),
    /// The tree counts the entries but tells no place for them, or a wrong one.
    Missing(Arc<str>),
}

/// A leaf of a branch.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub name: String,
    pub title: String,
    /// `TLeafF`, `TLeafElement`, ….
    pub class: String,
    pub is_unsigned: bool,
    /// Values per entry, or per counted element.
    pub length: usize,
    /// Branch and leaf whose value counts this one's elements.
    pub counter: Option<(BranchId, String)>,
}

/// What a TBranchElement adds to a branch.
#[derive(Debug, Clone)]
pub(crate) struct ElementFacts {
    pub class_name: String,
    pub class_version: i32,
    pub checksum: u32,
    /// Index of the member in its class, negative for a whole object.
    pub id: i32,
    /// 0 leaf or object, 1 base class, 2 split object, 3 TClonesArray, 4 STL collection, 31 and 41 their members.
    pub kind: i32,
    /// Type code of the member; see [`crate::streamer::code`].
    pub streamer_type: i32,
    pub counter: Option<BranchId>,
    /// Class of the elements of a collection, where the writer noted it.
    pub value_class: String,
}

/// The ranges of entries whose baskets were flushed together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clusters {
    /// Last entry and cluster size of each recorded range.
    ranges: Vec<(u64, u64)>,
    /// Cluster size behind the last recorded range; [`NO_CLUSTER`] if unknown.
    size: u64,
}

impl Tree {
    pub(crate) fn parse(
        source: Source,
        key: &Key,
        record: Bytes,
        streamers: &Arc<Streamers>,
        file_compression: u32,
    ) -> Result<Self> {
        let place = || Place { file: source.name().to_string(), tree: Some(key.path.clone()), ..Place::default() };
        let (graph, root) = Graph::read(&key.class, &record, usize::from(key.key_length), streamers)
            .map_err(|e| Error::corrupt(place(), e))?;
        let builder = Builder { graph: &graph, ids: HashMap::new(), branches: Vec::new(), file_compression };
        let inner = builder.build(root, key, record, streamers).map_err(|e| Error::corrupt(place(), e))?;
        let columns = Arc::new(Columns::of(&inner, TextAs::Utf8));
        Ok(Self { source, inner: Arc::new(inner), columns, friends: Arc::default(), nested: Arc::default() })
    }

    /// The file as the user named it.
    pub fn file_name(&self) -> &str {
        self.source.name()
    }

    /// Directory and name of the tree.
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// Title of the tree.
    pub fn title(&self) -> &str {
        &self.inner.title
    }

    /// Cycle of the key that was opened.
    pub fn cycle(&self) -> u16 {
        self.inner.cycle
    }

    /// Number of entries (events).
    pub fn entries(&self) -> u64 {
        self.inner.entries
    }

    /// The friends that the tree lists, which are not followed; see [`Tree::with_friend`].
    pub fn listed_friends(&self) -> &[ListedFriend] {
        &self.inner.listed_friends
    }

    /// All branches, parents before their children.
    pub fn branches(&self) -> &[Branch] {
        &self.inner.branches
    }

    /// Entry ranges that are best read as a whole: the writer flushed their baskets together. They cover all entries.
    pub fn clusters(&self) -> Vec<Range<u64>> {
        let clusters = self.inner.clusters.ranges(self.inner.entries);
        if !clusters.is_empty() {
            return clusters;
        }
        // Nothing recorded: the baskets of the branch with the most of them are the finest useful grain.
        let most = self.inner.branches.iter().max_by_key(|b| b.baskets.len());
        let mut bounds: Vec<u64> = most.iter().flat_map(|b| b.baskets.iter().map(|b| b.entries.start)).collect();
        bounds.push(0);
        bounds.push(self.inner.entries);
        bounds.retain(|b| *b <= self.inner.entries);
        bounds.sort_unstable();
        bounds.dedup();
        bounds.windows(2).filter_map(|w| Some(*w.first()?..*w.last()?)).collect()
    }

    pub(crate) fn place(&self) -> Place {
        Place { file: self.source.name().to_string(), tree: Some(self.inner.path.clone()), ..Place::default() }
    }
}

impl Clusters {
    fn ranges(&self, entries: u64) -> Vec<Range<u64>> {
        let mut all = Vec::new();
        let mut start = 0;
        let recorded = self.ranges.iter().map(|(last, size)| (last.saturating_add(1).min(entries), *size));
        for (end, size) in recorded.chain([(entries, self.size)]) {
            // A corrupt size of one entry for billions of entries must not fill the memory.
            if size == NO_CLUSTER || end.saturating_sub(start) / size > 1_000_000 {
                if end < entries {
                    return Vec::new();
                }
                if self.ranges.is_empty() {
                    return Vec::new();
                }
                if start < end {
                    all.push(start..end);
                }
                continue;
            }
            while start < end {
                let next = start.saturating_add(size).min(end);
                all.push(start..next);
                start = next;
            }
        }
        all
    }
}

fn listed_friend(friend: &Object) -> ListedFriend {
    let text = |member: &str| friend.text(member).unwrap_or_default().to_string();
    let alias = text("fName");
    let tree = Some(text("fTreeName")).filter(|name| !name.is_empty()).unwrap_or_else(|| alias.clone());
    ListedFriend { alias, tree, file: text("fTitle") }
}

struct Builder<'a> {
    graph: &'a Graph,
    ids: HashMap<ObjectId, BranchId>,
    branches: Vec<Branch>,
    /// Setting of the file, for branches that record none.
    file_compression: u32,
}

type Parsed<T> = Result<T, FormatError>;

impl Builder<'_> {
    fn build(mut self, root: ObjectId, key: &Key, record: Bytes, streamers: &Arc<Streamers>) -> Parsed<TreeInner> {
        let tree = self.graph.get(root).ok_or_else(|| FormatError::invalid("an empty record"))?;
        let entries = tree
            .integer("fEntries")
            .and_then(|n| u64::try_from(n).ok())
            .ok_or_else(|| FormatError::invalid(format!("a {} without a valid number of entries", tree.class)))?;
        let mut pending = Vec::new();
        let top: Vec<ObjectId> = self.graph.list(tree, "fBranches").map(|(id, _)| id).collect();
        for id in top {
            self.branch(id, None, 0, &mut pending)?;
        }
        self.resolve(pending);
        let longest = self.branches.iter().filter_map(|b| b.baskets.last()).map(|b| b.entries.end).max();
        if longest.is_some_and(|n| entries > n.max(MOST_ABSENT).saturating_mul(2)) {
            return Err(FormatError::invalid(format!(
                "{entries} entries, of which no branch has more than {}",
                longest.unwrap_or(0)
            )));
        }
        let flush = tree.integer("fAutoFlush").and_then(|n| u64::try_from(n).ok()).unwrap_or(NO_CLUSTER);
        let positive = |n: &i64| u64::try_from(*n).unwrap_or(0);
        let ends = tree.integers("fClusterRangeEnd").iter().map(positive);
        let sizes = tree.integers("fClusterSize").iter().map(positive);
        Ok(TreeInner {
            path: key.path.clone(),
            title: tree.text("fTitle").unwrap_or_default().to_string(),
            cycle: key.cycle,
            entries,
            clusters: Clusters { ranges: ends.zip(sizes).collect(), size: flush },
            listed_friends: self.graph.list(tree, "fFriends").map(|(_, friend)| listed_friend(friend)).collect(),
            branches: self.branches,
            record,
            streamers: streamers.clone(),
        })
    }

    fn branch(
        &mut self,
        id: ObjectId,
        parent: Option<BranchId>,
        depth: usize,
        pending: &mut Vec<(BranchId, usize, ObjectId)>,
    ) -> Parsed<()> {
        let graph = self.graph;
        let Some(object) = graph.get(id) else {
            return Ok(());
        };
        if depth > MAX_DEPTH || self.ids.contains_key(&id) {
            return Err(FormatError::invalid("the branches form a loop"));
        }
        let own = self.branches.len();
        self.ids.insert(id, own);
        let name = object.text("fName").unwrap_or_default().to_string();
        let path = match parent.and_then(|p| self.branches.get(p)) {
            Some(parent) => format!("{}/{name}", parent.path),
            None => name.clone(),
        };
        let count = |member: &str| object.integer(member).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let entries = match count("fEntries") {
            0 => count("fEntryNumber"),
            n => n,
        };
        let mut fault = object.fault.as_ref().map(ToString::to_string);
        let mut leaves = Vec::new();
        for (_, leaf) in graph.list(object, "fLeaves") {
            fault = fault.or_else(|| leaf.fault.as_ref().map(ToString::to_string));
            if let Some(counter) = leaf.object("fLeafCount") {
                pending.push((own, leaves.len(), counter));
            }
            leaves.push(Leaf {
                name: leaf.text("fName").unwrap_or_default().to_string(),
                title: leaf.text("fTitle").unwrap_or_default().to_string(),
                class: leaf.class.to_string(),
                is_unsigned: leaf.integer("fIsUnsigned").unwrap_or(0) != 0,
                length: leaf.integer("fLen").and_then(|n| usize::try_from(n).ok()).unwrap_or(1),
                counter: None,
            });
        }
        let element = object.get("fStreamerType").is_some().then(|| ElementFacts {
            class_name: object.text("fClassName").unwrap_or_default().to_string(),
            class_version: object.integer("fClassVersion").unwrap_or(0) as i32,
            checksum: object.integer("fCheckSum").unwrap_or(0) as u32,
            id: object.integer("fID").unwrap_or(-1) as i32,
            kind: object.integer("fType").unwrap_or(0) as i32,
            streamer_type: object.integer("fStreamerType").unwrap_or(-1) as i32,
            counter: object.object("fBranchCount").and_then(|id| self.ids.get(&id).copied()),
            value_class: object.text("fClonesName").unwrap_or_default().to_string(),
        });
        let children: Vec<ObjectId> = graph.list(object, "fBranches").map(|(id, _)| id).collect();
        let baskets = self.baskets(object, entries).unwrap_or_else(|why| {
            fault.get_or_insert_with(|| why.to_string());
            Vec::new()
        });
        self.branches.push(Branch {
            name,
            path,
            title: object.text("fTitle").unwrap_or_default().to_string(),
            class: object.class.to_string(),
            parent,
            children: children.len(),
            entries,
            total_bytes: count("fTotBytes"),
            zip_bytes: count("fZipBytes"),
            compression: count("fCompress") as u32,
            inflates_in_part: is_zlib(match count("fCompress") as u32 {
                0 => self.file_compression,
                own => own,
            }),
            has_offset_tables: has_offset_tables(graph, object),
            leaves,
            baskets,
            element,
            object_class: object.text("fClassName").filter(|_| &*object.class == "TBranchObject").map(str::to_string),
            other_file: object.text("fFileName").filter(|f| !f.is_empty()).map(str::to_string),
            fault,
        });
        for child in children {
            self.branch(child, Some(own), depth + 1, pending)?;
        }
        Ok(())
    }

    /// Finds the branch of each leaf that counts another.
    fn resolve(&mut self, pending: Vec<(BranchId, usize, ObjectId)>) {
        let mut owners: HashMap<ObjectId, BranchId> = HashMap::new();
        for (object, branch) in &self.ids {
            let leaves = self.graph.get(*object).into_iter().flat_map(|o| self.graph.list(o, "fLeaves"));
            owners.extend(leaves.map(|(leaf, _)| (leaf, *branch)));
        }
        for (branch, leaf, counter) in pending {
            let name = self.graph.get(counter).and_then(|o| o.text("fName")).unwrap_or_default().to_string();
            let found = owners.get(&counter).map(|owner| (*owner, name));
            if let Some(leaf) = self.branches.get_mut(branch).and_then(|b| b.leaves.get_mut(leaf)) {
                leaf.counter = found;
            }
        }
    }

    /// The places of a branch's baskets, in entry order; they cover every entry that the branch counts.
    fn baskets(&self, branch: &Object, entries: u64) -> Parsed<Vec<BasketPlace>> {
        let written = branch.integer("fWriteBasket").and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let seeks = branch.integers("fBasketSeek");
        let sizes = branch.integers("fBasketBytes");
        let starts = branch.integers("fBasketEntry");
        let slots = self.graph.slots(branch, "fBaskets");
        let start_of = |i: usize| starts.get(i).and_then(|s| u64::try_from(*s).ok());
        let known = seeks.len().max(slots.len()).max(starts.len());
        if written > known {
            return Err(FormatError::invalid(format!("{written} baskets, of which only {known} are listed")));
        }
        // A branch of a class that first turned up later starts behind the first entry of its tree.
        let number = branch.integer("fEntryNumber").and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let stop = match start_of(0) {
            Some(first) if first > 0 => number.max(first.saturating_add(entries)),
            _ => entries,
        };
        let embedded = |i: usize| {
            let object = slots.get(i).copied().flatten().and_then(|id| self.graph.get(id))?;
            match (object.get("basket"), &object.fault) {
                (Some(Value::Basket(basket)), None) if basket.entries > 0 => {
                    Some((u64::from(basket.entries), BasketAt::Embedded(Arc::new(basket.clone()))))
                }
                (_, Some(fault)) => Some((0, BasketAt::Missing(fault.to_string().into()))),
                _ => None,
            }
        };
        let missing = || BasketAt::Missing("the tree does not say where the basket lies: it was never saved".into());
        let mut places = Vec::with_capacity(written + 1);
        let mut next = start_of(0).unwrap_or(0).min(stop);
        for i in 0..=written {
            let on_disk = match (seeks.get(i), sizes.get(i)) {
                (Some(seek), Some(size)) if i < written && *seek > 0 && *size > 0 => {
                    let (seek, size) = (*seek as u64, *size as u64);
                    Some((0, BasketAt::File(seek..seek.saturating_add(size))))
                }
                _ => None,
            };
            let (counted, at) = match on_disk.or_else(|| embedded(i)) {
                Some(found) => found,
                None if i < written => (0, missing()),
                None => continue,
            };
            let start = start_of(i).unwrap_or(next);
            if start < next {
                return Err(FormatError::invalid(format!(
                    "basket {i} starts at entry {start}, within the basket before it, which ends at {next}"
                )));
            }
            let end = match start_of(i + 1) {
                _ if counted > 0 => start.saturating_add(counted),
                Some(end) if i < written && end > start => end,
                _ if i + 1 >= written => stop,
                _ => start,
            };
            if end > start {
                places.push(BasketPlace { entries: start..end, at });
                next = end;
            }
        }
        if next < stop {
            places.push(BasketPlace { entries: next..stop, at: missing() });
        }
        Ok(places)
    }
}
