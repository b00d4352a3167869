//! Threads that compress baskets. What they give does not depend on their number.

use std::sync::Mutex;

use crate::basket::Basket;
use crate::compression::{Compression, Compressor};
use crate::error::{Error, Result};

/// Baskets that each thread compresses before any is written: enough to even out their sizes.
const BASKETS_PER_THREAD: usize = 16;

/// Compressors, one for each thread, and room for what they give, which is used again and again.
pub(crate) struct Workers {
    compressors: Vec<Compressor>,
    slots: Vec<Slot>,
}

/// What became of a basket.
#[derive(Default)]
struct Slot {
    frames: Vec<u8>,
    is_smaller: bool,
}

impl Workers {
    pub(crate) fn new(threads: usize) -> Self {
        Self { compressors: (0..threads.max(1)).map(|_| Compressor::default()).collect(), slots: Vec::new() }
    }

    /// Compresses one record; `None` if that does not make it smaller.
    pub(crate) fn compress(&mut self, compression: Compression, content: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut frames = Vec::new();
        let compressor = self.compressors.first_mut();
        let is_smaller = compressor.map_or(Ok(false), |c| c.compress(compression, content, &mut frames))?;
        Ok(is_smaller.then_some(frames))
    }

    /// Compresses baskets and hands them to `write`, in their order, with their frames if these are smaller.
    pub(crate) fn each(
        &mut self,
        baskets: &[Basket],
        compression: Compression,
        mut write: impl FnMut(&Basket, Option<&[u8]>) -> Result<()>,
    ) -> Result<()> {
        let group = BASKETS_PER_THREAD * self.compressors.len();
        self.slots.resize_with(group.min(baskets.len()).max(self.slots.len()), Slot::default);
        for baskets in baskets.chunks(group.max(1)) {
            self.group(baskets, compression)?;
            for (basket, slot) in baskets.iter().zip(&self.slots) {
                write(basket, slot.is_smaller.then_some(&slot.frames))?;
            }
        }
        Ok(())
    }

    fn group(&mut self, baskets: &[Basket], compression: Compression) -> Result<()> {
        let queue = Mutex::new(baskets.iter().zip(&mut self.slots));
        let work = |compressor: &mut Compressor| {
            // A thread that panicked is reported by the one that waits for it.
            while let Some((basket, slot)) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                slot.is_smaller = compressor.compress(compression, &basket.payload, &mut slot.frames)?;
            }
            Ok(())
        };
        if let [only] = self.compressors.as_mut_slice() {
            return work(only);
        }
        let work = &work;
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                self.compressors.iter_mut().map(|compressor| scope.spawn(move || work(compressor))).collect();
            let panicked = |_| Err(Error::Compression { codec: "a thread", why: "it panicked".into() });
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
        })
    }
}
