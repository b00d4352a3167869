//! What a cache must do and must never do, seen through the store that it wraps.

mod behaviour;
mod faults;
mod origin;
mod processes;
#[cfg(target_os = "linux")]
mod server;

use std::path::Path as FilePath;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::block::PAGE;
use super::{Cache, CachedStore};
use origin::Origin;

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A cache that asks the server before every request, so that changes are seen at once.
fn open(directory: &FilePath, limit: u64) -> Cache {
    let mut cache = Cache::open(directory, limit);
    cache.timing.trusted_for = Duration::ZERO;
    cache
}

/// A cache that asks the server about a file once.
fn open_trusting(directory: &FilePath, limit: u64) -> Cache {
    let mut cache = Cache::open(directory, limit);
    cache.timing.trusted_for = Duration::from_secs(3600);
    cache
}

fn behind(origin: &Arc<Origin>, cache: &Cache) -> CachedStore {
    let remote: Arc<dyn ObjectStore> = origin.clone();
    CachedStore::new(remote, "far://host/".to_string(), cache.clone())
}

/// The files below a directory, blocks and drafts and all.
fn files_below(directory: &FilePath) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn blocks(directory: &FilePath) -> Vec<PathBuf> {
    files_below(&directory.join("blocks"))
}

fn bytes_on_disk(directory: &FilePath) -> u64 {
    let files = [blocks(directory), files_below(&directory.join("tmp"))].concat();
    files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|meta| meta.len().next_multiple_of(4096)).sum()
}

async fn read(store: &CachedStore, path: &str, range: std::ops::Range<u64>) -> bytes::Bytes {
    store.get_range(&Path::from(path), range).await.unwrap()
}

/// A range of a file of so many bytes: often small, sometimes some blocks long.
fn range_of(random: &mut Random, size: u64) -> std::ops::Range<u64> {
    let start = random.below(size);
    let longest = [100, PAGE, 5 * PAGE, 3 << 20][random.below(4) as usize];
    let end = size.min(start + 1 + random.below(longest));
    start..end
}
