//! Threads that compress baskets. What they give does not depend on their number.

use std::collections::HashMap;
use std::sync::Mutex;

use xxhash_rust::xxh64::xxh64;

use crate::basket::Basket;
use crate::compression::{Codec, Compression, Compressor, Content, Frames};
use crate::error::{Error, Result};

/// Baskets that each thread compresses before any is written: enough to even out their sizes.
const BASKETS_PER_THREAD: usize = 16;

/// Compressors, one for each thread, and room for what they give, which is used again and again.
pub(crate) struct Workers {
    compressors: Vec<Compressor>,
    slots: Vec<Slot>,
    tables: Vec<Slot>,
}

/// What became of some content.
#[derive(Default)]
struct Slot {
    frames: Frames,
    /// Whether it could be compressed.
    is_compressed: bool,
}

impl Slot {
    fn frames(&self) -> Option<&[u8]> {
        self.is_compressed.then_some(self.frames.bytes())
    }
}

impl Workers {
    pub(crate) fn new(threads: usize) -> Self {
        let compressors = (0..threads.max(1)).map(|_| Compressor::default()).collect();
        Self { compressors, slots: Vec::new(), tables: Vec::new() }
    }

    /// Compresses one record; `None` if that does not make it smaller.
    pub(crate) fn compress(&mut self, compression: Compression, content: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut frames = Frames::default();
        let compressor = self.compressors.first_mut();
        let is_smaller = compressor.map_or(Ok(false), |c| c.compress(compression, content, &mut frames))?;
        Ok(is_smaller.then(|| frames.bytes().to_vec()))
    }

    /// Compresses baskets and hands them to `write`, in their order, with their frames if these are smaller: those of the
    /// values and those of the table behind them, which is compressed once for all baskets that have the same one.
    pub(crate) fn each(
        &mut self,
        baskets: &[Basket],
        compression: Compression,
        mut write: impl FnMut(&Basket, Option<[&[u8]; 2]>) -> Result<()>,
    ) -> Result<()> {
        if compression.codec() == Codec::None {
            return baskets.iter().try_for_each(|basket| write(basket, None));
        }
        let (tables, table_of) = tables(baskets);
        let group = BASKETS_PER_THREAD * self.compressors.len();
        let Self { compressors, slots, tables: table_slots } = self;
        slots.resize_with(group.min(baskets.len()).max(slots.len()), Slot::default);
        table_slots.resize_with(tables.len().max(table_slots.len()), Slot::default);
        all(compressors, compression, Content::Table, &tables, table_slots)?;
        for (baskets, table_of) in baskets.chunks(group).zip(table_of.chunks(group)) {
            let values: Vec<&[u8]> = baskets.iter().map(|basket| basket.parts().0).collect();
            all(compressors, compression, Content::Any, &values, slots)?;
            for ((basket, values), table) in baskets.iter().zip(&*slots).zip(table_of) {
                let table = match table {
                    Some(table) => table_slots.get(*table).and_then(Slot::frames),
                    None => Some(&[] as &[u8]),
                };
                let frames = values.frames().zip(table);
                let smaller = frames.filter(|(values, table)| values.len() + table.len() < basket.payload.len());
                write(basket, smaller.map(|(values, table)| [values, table]))?;
            }
        }
        Ok(())
    }
}

/// The tables of baskets, each once, and which of them each basket has.
fn tables(baskets: &[Basket]) -> (Vec<&[u8]>, Vec<Option<usize>>) {
    let mut distinct: Vec<&[u8]> = Vec::new();
    let mut known: HashMap<u64, usize> = HashMap::new();
    let mut chosen = Vec::with_capacity(baskets.len());
    for basket in baskets {
        let (_, table) = basket.parts();
        chosen.push((!table.is_empty()).then(|| {
            let index = *known.entry(xxh64(table, 0)).or_insert(distinct.len());
            if distinct.get(index) == Some(&table) {
                return index;
            }
            distinct.push(table);
            distinct.len() - 1
        }));
    }
    (distinct, chosen)
}

/// Compresses each of `contents` into the slot of the same place.
fn all(
    compressors: &mut [Compressor],
    compression: Compression,
    kind: Content,
    contents: &[&[u8]],
    slots: &mut [Slot],
) -> Result<()> {
    let queue = Mutex::new(contents.iter().zip(slots));
    let work = |compressor: &mut Compressor| {
        // A thread that panicked is reported by the one that waits for it.
        while let Some((content, slot)) = queue.lock().ok().and_then(|mut queue| queue.next()) {
            slot.frames.clear();
            slot.is_compressed = compressor.append(compression, kind, content, &mut slot.frames)?;
        }
        Ok(())
    };
    if let [only] = compressors {
        return work(only);
    }
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = compressors.iter_mut().map(|compressor| scope.spawn(move || work(compressor))).collect();
        let panicked = |_| Err(Error::Compression { codec: "a thread", why: "it panicked".into() });
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basket(branch: usize, value: u8, entries: u32) -> Basket {
        let mut payload = vec![value; 4 * entries as usize];
        let starts: Vec<u32> = (0..entries).map(|entry| 4 * entry).collect();
        Basket::append_table(&mut payload, &starts, 80);
        Basket { branch, first_entry: 0, entries, values: 4 * entries as usize, payload, is_jagged: true }
    }

    #[test]
    fn a_table_is_compressed_once_for_all_baskets_that_have_it() {
        let baskets = [basket(0, 1, 1000), basket(1, 2, 1000), basket(2, 2, 999), basket(3, 1, 10)];
        for codec in [Codec::Zlib, Codec::Lz4, Codec::Zstd, Codec::Lzma] {
            let mut written = Vec::new();
            let mut workers = Workers::new(2);
            let done = workers.each(&baskets, codec.into(), |basket, frames| {
                let [values, table] = frames.unwrap_or_default();
                written.push((basket.branch, values.to_vec(), table.as_ptr(), table.len()));
                Ok(())
            });
            assert!(done.is_ok());
            let [a, b, c, d] = written.as_slice() else { unreachable!("there are four baskets") };
            assert_eq!([a.0, b.0, c.0, d.0], [0, 1, 2, 3]);
            assert!(a.1 != b.1 && a.3 > 0, "{codec:?}");
            assert_eq!((a.2, a.3), (b.2, b.3), "{codec:?}: both have one table");
            assert!(c.2 != a.2 && c.3 > 0, "{codec:?}: another table");
            assert_eq!(d.3, 0, "a short table goes along with the values");
        }
    }
}
