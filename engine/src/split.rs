//! How files become partitions: cut by cluster into pieces of a useful size, packed so that many small files share a
//! partition. The numbers are those of Spark's file sources, which users know.

use std::ops::Range;

use datafusion::prelude::SessionConfig;

/// A piece is not made larger than this (stored bytes of the whole file, not of the projection).
const TARGET: u64 = 128 << 20;
/// What opening a file costs, in bytes that could be read meanwhile.
const OPEN_COST: u64 = 4 << 20;
/// Pieces per partition where there are enough clusters, so that partitions that finish early can take from others.
const PIECES_PER_PARTITION: u64 = 4;
/// The same for remote files, where each piece begins with a round trip, and the largest of their pieces. What is held at
/// once does not depend on them.
const REMOTE_PIECES_PER_PARTITION: u64 = 1;
const REMOTE_TARGET: u64 = 1 << 30;

/// Setting of a session: into how many partitions tables are cut. By default there is one for each core; on many machines
/// smaller ones are done again more cheaply, and no machine waits long for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionSize {
    /// Stored bytes of a partition.
    pub bytes: u64,
    /// So many partitions for each core, at most.
    pub per_core: usize,
}

impl PartitionSize {
    /// How many partitions there are of so many bytes, at least one for each core.
    fn partitions(self, bytes: u64, cores: usize) -> usize {
        let wanted = usize::try_from(bytes / self.bytes.max(1)).unwrap_or(usize::MAX);
        wanted.clamp(cores, cores.saturating_mul(self.per_core.max(1)))
    }
}

/// Into how many partitions a session cuts tables of so many bytes.
pub(crate) fn partitions(config: &SessionConfig, bytes: u64) -> usize {
    let cores = config.target_partitions();
    config.get_extension::<PartitionSize>().map_or(cores, |size| size.partitions(bytes, cores))
}

/// A file as far as splitting needs to know it.
#[derive(Debug, Clone)]
pub(crate) struct Splittable {
    pub bytes: u64,
    pub clusters: Vec<Range<u64>>,
}

/// Part of a file: its index among the files, and entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub file: usize,
    pub entries: Range<u64>,
    bytes: u64,
}

/// Cuts and packs files into at most `partitions` groups of pieces, in file order within each group.
pub(crate) fn split(files: &[Splittable], partitions: usize, are_remote: bool) -> Vec<Vec<Piece>> {
    let partitions = partitions.max(1);
    let (target, pieces) = match are_remote {
        true => (REMOTE_TARGET, REMOTE_PIECES_PER_PARTITION),
        false => (TARGET, PIECES_PER_PARTITION),
    };
    let total: u64 = files.iter().map(|f| f.bytes + OPEN_COST).sum();
    let grain = if partitions == 1 { target } else { total.div_ceil(partitions as u64 * pieces) };
    let limit = grain.clamp(1, target);
    let pieces: Vec<Piece> = files.iter().enumerate().flat_map(|(index, file)| cut(index, file, limit)).collect();
    pack(pieces, partitions)
}

/// Cuts one file at cluster boundaries into pieces of about `limit` bytes.
fn cut(index: usize, file: &Splittable, limit: u64) -> Vec<Piece> {
    let entries: u64 = file.clusters.iter().map(|c| c.end - c.start).sum();
    let mut pieces: Vec<Piece> = Vec::new();
    for cluster in &file.clusters {
        let share = u128::from(file.bytes) * u128::from(cluster.end - cluster.start) / u128::from(entries.max(1));
        let bytes = u64::try_from(share).unwrap_or(u64::MAX);
        match pieces.last_mut() {
            Some(last) if last.bytes.saturating_add(bytes) <= limit => {
                last.entries.end = cluster.end;
                last.bytes += bytes;
            }
            _ => pieces.push(Piece { file: index, entries: cluster.clone(), bytes }),
        }
    }
    pieces
}

/// Deals the pieces out so that each partition gets about the same, neighbours together.
fn pack(pieces: Vec<Piece>, partitions: usize) -> Vec<Vec<Piece>> {
    let cost = |piece: &Piece| piece.bytes + OPEN_COST;
    let total: u64 = pieces.iter().map(cost).sum();
    let mut groups: Vec<Vec<Piece>> = Vec::new();
    let mut done = 0u64;
    for piece in pieces {
        // The group in which the middle of the piece lies.
        let middle = done + cost(&piece) / 2;
        done += cost(&piece);
        let group = (u128::from(middle) * partitions as u128 / u128::from(total.max(1))) as usize;
        while groups.len() <= group.min(partitions - 1) {
            groups.push(Vec::new());
        }
        if let Some(last) = groups.last_mut() {
            last.push(piece);
        }
    }
    groups.retain(|g| !g.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: u64, clusters: u64) -> Splittable {
        Splittable { bytes, clusters: (0..clusters).map(|c| c * 100..(c + 1) * 100).collect() }
    }

    fn entries(groups: &[Vec<Piece>]) -> u64 {
        groups.iter().flatten().map(|p| p.entries.end - p.entries.start).sum()
    }

    #[test]
    fn large_tables_have_more_partitions_than_cores_where_that_is_wanted() {
        let size = PartitionSize { bytes: 256 << 20, per_core: 16 };
        assert_eq!([0, 1 << 30, 10 << 30, 1 << 50].map(|bytes| size.partitions(bytes, 8)), [8, 8, 40, 128]);
        let config = SessionConfig::new().with_target_partitions(8);
        assert_eq!(partitions(&config, 1 << 50), 8);
        assert_eq!(partitions(&config.with_extension(std::sync::Arc::new(size)), 10 << 30), 40);
    }

    #[test]
    fn one_file_is_split_over_all_partitions_by_cluster() {
        let groups = split(&[file(400 << 20, 40)], 4, false);
        assert_eq!(groups.len(), 4);
        assert_eq!(entries(&groups), 4000);
        assert!(groups.iter().flatten().all(|p| p.entries.start % 100 == 0 && p.entries.end % 100 == 0));
        let sizes: Vec<u64> = groups.iter().map(|g| g.iter().map(|p| p.entries.end - p.entries.start).sum()).collect();
        assert!(sizes.iter().all(|s| (800..=1200).contains(s)), "{sizes:?}");
    }

    #[test]
    fn many_small_files_share_partitions() {
        let files: Vec<Splittable> = (0..100).map(|_| file(1 << 20, 1)).collect();
        let groups = split(&files, 8, false);
        assert_eq!(groups.len(), 8);
        assert_eq!(entries(&groups), 10_000);
        assert!(groups.iter().all(|g| (10..=15).contains(&g.len())));
    }

    #[test]
    fn a_large_file_in_one_partition_is_cut_at_the_target_size() {
        let groups = split(&[file(1 << 30, 64)], 1, false);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].len(), 8);
    }

    #[test]
    fn a_remote_file_is_one_piece_for_each_partition() {
        let groups = split(&[file(600 << 20, 40)], 2, true);
        assert!(groups.len() == 2 && groups.iter().all(|pieces| pieces.len() <= 2), "{groups:?}");
        assert_eq!(entries(&groups), 4000);
        assert_eq!(split(&[file(600 << 20, 40)], 1, true), [[Piece { file: 0, entries: 0..4000, bytes: 600 << 20 }]]);
    }

    #[test]
    fn nothing_to_read_makes_no_partition() {
        assert!(split(&[], 4, false).is_empty());
        assert!(split(&[file(1000, 0)], 4, false).is_empty());
    }
}
