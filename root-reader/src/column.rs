//! One column of a scan: runs of entries out of its baskets into one Arrow array.

use std::time::Instant;

use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use arrow_schema::ArrowError;

use crate::basket::{BasketReader, Part, Workspace};
use crate::decode::{Rows, Runs, decode};
use crate::error::{Error, Place, Result};
use crate::layout::Layout;
use crate::output::{NotUtf8, Nothing, Output};
use crate::tree::{BranchId, Tree};

/// Reads one column, forwards.
pub(crate) struct ColumnReader {
    pub baskets: BasketReader,
    pub layout: Layout,
    /// The branch through which the entries of a basket are found, if there is one.
    pub counter: Option<BranchId>,
    /// Elements that the lists of a batch have, about.
    elements: usize,
}

impl ColumnReader {
    pub(crate) fn new(branch: BranchId, layout: &Layout) -> Self {
        let (baskets, counter) = (BasketReader::new(branch), layout.needed_counter());
        Self { baskets, layout: layout.clone(), counter, elements: 0 }
    }

    /// Decodes some runs of entries, in ascending order, into one array.
    pub(crate) fn read(&mut self, tree: &Tree, runs: &Runs, work: &mut Workspace) -> Result<ArrayRef> {
        let rows: u64 = runs.iter().map(|r| r.end - r.start).sum();
        let mut out = Output::new(&self.layout.decode, rows as usize, self.elements);
        let mut nothing = Nothing::default();
        let mut absent: Vec<(usize, usize)> = Vec::new();
        let mut written = 0usize;
        let mut rest = runs.as_slice();
        // Where the first of the remaining runs goes on.
        let mut pos = 0;
        while let Some(run) = rest.first() {
            pos = pos.max(run.start);
            let Self { baskets, layout, counter, .. } = self;
            let branch = baskets.branch;
            match baskets.at(pos, run.end, tree, &layout.decode, *counter, work)? {
                Part::Absent(gap) => {
                    let stop = gap.end.min(run.end);
                    let count = (stop - pos) as usize;
                    out.append_absent(count, &layout.decode, &mut nothing).map_err(|source| {
                        let place = Place { entries: Some(pos..stop), ..tree.branch_place(branch) };
                        Error::corrupt(place, source)
                    })?;
                    absent.push((written, count));
                    written += count;
                    pos = stop;
                }
                Part::Basket(index, entries, basket) => {
                    // All runs, or parts of runs, that lie in this basket.
                    let begun = rest.partition_point(|r| r.start < entries.end);
                    let begun = rest.get(..begun).unwrap_or_default();
                    let rows = Rows::new(runs, begun, pos..entries.end, entries.start);
                    pos = entries.end;
                    written += rows.count;
                    let started = Instant::now();
                    decode(&layout.decode, &basket, &rows, &mut out, &mut nothing, &mut work.spans).map_err(
                        |source| {
                            let place =
                                Place { basket: Some(index), entries: Some(entries), ..tree.branch_place(branch) };
                            Error::corrupt(place, source)
                        },
                    )?;
                    work.metrics.decoded(started.elapsed());
                }
            }
            let done = rest.partition_point(|r| r.end <= pos);
            rest = rest.get(done..).unwrap_or_default();
        }
        // The next batch will have about as many; a few more cost less than to move all of them.
        self.elements = out.elements() + out.elements() / 8;
        let nulls = (!absent.is_empty()).then(|| {
            let mut valid = BooleanBufferBuilder::new(written);
            for (start, count) in absent {
                valid.append_n(start - valid.len(), true);
                valid.append_n(count, false);
            }
            valid.append_n(written - valid.len(), true);
            NullBuffer::new(valid.finish())
        });
        out.finish(&self.layout.data_type, nulls, &mut work.offsets).map_err(|source| self.refused(tree, source))
    }

    fn refused(&self, tree: &Tree, source: ArrowError) -> Error {
        let place = Box::new(tree.branch_place(self.baskets.branch));
        if let ArrowError::ExternalError(cause) = &source
            && cause.is::<NotUtf8>()
        {
            return Error::Unreadable { place, reason: format!("{cause}; read strings as binary instead") };
        }
        Error::Arrow { place, source }
    }
}
