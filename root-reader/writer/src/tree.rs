//! A tree under construction: rows are appended to the baskets of its branches, and at the end of each cluster all of
//! them are written.

use std::collections::HashMap;
use std::fmt;
use std::io::{Seek, Write};
use std::ops::Range;
use std::str::FromStr;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};

use crate::basket::{Basket, BasketPlace, Label};
use crate::column::{BranchPlan, Form, plan};
use crate::compression::Compression;
use crate::error::{Error, Place, Result};
use crate::file::Container;
use crate::values::Values;
use crate::workers::Workers;

/// Rows of a step. Baskets and clusters end with one, so that they do not depend on how the rows came in batches.
const STEP: usize = 1024;
/// Steps of wide rows are shorter.
const STEP_BYTES: usize = 1 << 20;
/// Bytes of a basket that ROOT reads.
const MAX_BASKET: usize = 1 << 30;

/// What becomes of NULLs, which branches cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Nulls {
    /// The batch is refused, with an error that names the column and the entry.
    #[default]
    Refuse,
    /// A value takes their place. Texts and lists become empty.
    Replace {
        /// For integers; for truth values, 0 is false and anything else true.
        integer: i64,
        /// For floating-point numbers; NaN is a good choice.
        float: f64,
    },
}

/// As [`FromStr`] reads it.
impl fmt::Display for Nulls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse => f.write_str("refuse"),
            Self::Replace { integer, float } => write!(f, "{integer},{float}"),
        }
    }
}

impl FromStr for Nulls {
    type Err = Error;

    /// What takes the place of NULLs: one whole number, or two values for integers and for floating-point numbers. The
    /// word `refuse` lets nothing do so.
    ///
    /// ```
    /// use root_writer::Nulls;
    ///
    /// assert_eq!("-999".parse::<Nulls>()?, Nulls::Replace { integer: -999, float: -999.0 });
    /// assert!(matches!("-1,nan".parse::<Nulls>()?, Nulls::Replace { integer: -1, float } if float.is_nan()));
    /// # Ok::<(), root_writer::Error>(())
    /// ```
    fn from_str(text: &str) -> Result<Self> {
        if text.trim().eq_ignore_ascii_case("refuse") {
            return Ok(Self::Refuse);
        }
        let (integer, float) = text.split_once(',').unwrap_or((text, text));
        let values = integer.trim().parse().ok().zip(float.trim().parse().ok());
        let (integer, float) = values.ok_or_else(|| Error::BadNulls { text: text.into() })?;
        Ok(Self::Replace { integer, float })
    }
}

/// Which branch counts the elements of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Counters {
    /// As in NanoAOD: the integer column `nX`, if there is one, counts the lists `X` and `X_*`. A length that differs is an
    /// error. Other lists are counted by a branch of their own, `n` and the name of the list.
    #[default]
    ByName,
    /// Each list is counted by a branch of its own, `n` and its name.
    Own,
}

/// Settings of a tree.
#[derive(Debug, Clone)]
pub struct TreeOptions {
    /// Title of the tree.
    pub title: String,
    /// Entries of a cluster. If absent, clusters end where `cluster_bytes` are reached.
    pub cluster_entries: Option<u64>,
    /// Bytes that a cluster has at most before compression, but for some rows. They are what is kept in memory.
    pub cluster_bytes: usize,
    /// Bytes at which a basket ends before its cluster does, before compression.
    pub basket_bytes: usize,
    /// What becomes of NULLs.
    pub nulls: Nulls,
    /// Which branch counts the elements of a list.
    pub counters: Counters,
    /// Compression of the baskets; that of the file if absent.
    pub compression: Option<Compression>,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self {
            title: String::new(),
            cluster_entries: None,
            cluster_bytes: 32 << 20,
            basket_bytes: 1 << 20,
            nulls: Nulls::Refuse,
            counters: Counters::ByName,
            compression: None,
        }
    }
}

/// A branch under construction.
#[derive(Debug)]
pub(crate) struct Branch {
    pub plan: BranchPlan,
    /// Title and length of the keys of its baskets.
    key_title: String,
    pub key_length: usize,
    /// Baskets that are in the file.
    pub baskets: Vec<BasketPlace>,
    pub total_bytes: u64,
    pub zip_bytes: u64,
    /// Size of its largest basket.
    pub basket_bytes: u32,
    /// The largest count, or the length of the longest text.
    pub largest: i64,
    payload: Vec<u8>,
    starts: Vec<u32>,
    /// Entries in the payload.
    entries: u32,
    /// Room of baskets that were written, for those to come.
    spare: Vec<Vec<u8>>,
}

impl Branch {
    fn new(plan: BranchPlan) -> Self {
        Self {
            plan,
            key_title: String::new(),
            key_length: 0,
            baskets: Vec::new(),
            total_bytes: 0,
            zip_bytes: 0,
            basket_bytes: 0,
            largest: 0,
            payload: Vec::new(),
            starts: Vec::new(),
            entries: 0,
            spare: Vec::new(),
        }
    }

    /// Bytes that are not in a full basket yet.
    fn waiting(&self) -> usize {
        self.payload.len() + 4 * self.starts.len()
    }

    /// Takes the full basket out, which ends in front of the entry `end`.
    fn close(&mut self, branch: usize, end: u64) -> Basket {
        let room = self.spare.pop().unwrap_or_default();
        let mut payload = std::mem::replace(&mut self.payload, room);
        let entries = std::mem::take(&mut self.entries);
        let is_jagged = self.plan.form.is_jagged();
        let values = payload.len();
        if is_jagged {
            Basket::append_table(&mut payload, &self.starts, self.key_length);
            self.starts.clear();
        }
        Basket { branch, first_entry: end - u64::from(entries), entries, payload, values, is_jagged }
    }
}

/// A tree under construction.
#[derive(Debug)]
pub(crate) struct Tree {
    place: Place,
    name: String,
    directory: usize,
    schema: SchemaRef,
    pub(crate) options: TreeOptions,
    pub(crate) compression: Compression,
    pub(crate) branches: Vec<Branch>,
    pub(crate) entries: u64,
    /// Sizes of the clusters so far, in runs of the same size: size and number.
    pub(crate) clusters: Vec<(u64, u64)>,
    /// Full baskets of the cluster at hand.
    full: Vec<Basket>,
    /// Entries of the cluster at hand.
    cluster: u64,
    /// Rows of a step.
    step: usize,
    /// Bytes of the cluster at hand in full baskets.
    full_bytes: usize,
}

impl Tree {
    /// A tree that has no name yet.
    pub(crate) fn new(place: Place, schema: &Schema, options: TreeOptions, compression: Compression) -> Result<Self> {
        let plans = plan(schema, options.counters, &place)?;
        let fixed: usize = plans.iter().map(|plan| fixed_bytes(&plan.form)).sum();
        Ok(Self {
            place,
            name: String::new(),
            directory: 0,
            schema: schema.clone().into(),
            options,
            compression,
            branches: plans.into_iter().map(Branch::new).collect(),
            entries: 0,
            clusters: Vec::new(),
            full: Vec::new(),
            cluster: 0,
            step: (STEP_BYTES / fixed.max(1)).clamp(1, STEP),
            full_bytes: 0,
        })
    }

    /// The tree with its name in its directory, which is in the keys of all baskets. Blanks behind it make the keys of the
    /// lists that have a counter together equally long. Their tables, which count from the beginning of the key, are the
    /// same then.
    pub(crate) fn named(mut self, name: String, directory: usize) -> Result<Self> {
        let mut longest: HashMap<usize, usize> = HashMap::new();
        for plan in self.branches.iter().map(|branch| &branch.plan) {
            if let Form::Counted { counter, .. } = &plan.form {
                let length = longest.entry(counter.branch).or_default();
                *length = plan.name.len().max(*length);
            }
        }
        for branch in &mut self.branches {
            let counter = match &branch.plan.form {
                Form::Counted { counter, .. } => longest.get(&counter.branch),
                _ => None,
            };
            let blanks = counter.map_or(0, |longest| longest - branch.plan.name.len());
            branch.key_title = format!("{name}{:blanks$}", "");
            branch.key_length = Label { branch: &branch.plan.name, title: &branch.key_title }.key_length();
            if branch.key_length > usize::from(u16::MAX) {
                let place = self.place.at_column(&branch.plan.column);
                return Err(Error::BadName { place, name: branch.plan.name.clone(), why: "it is too long" });
            }
        }
        (self.name, self.directory) = (name, directory);
        Ok(self)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn title(&self) -> &str {
        &self.options.title
    }

    pub(crate) fn directory(&self) -> usize {
        self.directory
    }

    pub(crate) fn write<W: Write + Seek>(
        &mut self,
        batch: &RecordBatch,
        out: &mut Container<W>,
        workers: &mut Workers,
    ) -> Result<()> {
        let values = self.values(batch)?;
        let mut row = 0;
        while row < batch.num_rows() {
            let to_step = self.step - (self.cluster % self.step as u64) as usize;
            let to_cluster = self.options.cluster_entries.map_or(u64::MAX, |n| n.max(1) - self.cluster);
            let rows = to_step.min(usize::try_from(to_cluster).unwrap_or(usize::MAX)).min(batch.num_rows() - row);
            self.append(&values, row..row + rows)?;
            row += rows;
            let waiting: usize = self.branches.iter().map(Branch::waiting).sum();
            let is_full = match self.options.cluster_entries {
                Some(entries) => self.cluster >= entries,
                None => self.is_whole_step() && waiting + self.full_bytes >= self.options.cluster_bytes,
            };
            if is_full {
                self.flush(out, workers)?;
            }
        }
        Ok(())
    }

    /// The values of all branches, checked, so that nothing of a batch that is refused gets into the tree.
    fn values(&self, batch: &RecordBatch) -> Result<Vec<Values>> {
        self.check_schema(batch)?;
        let values: Result<Vec<Values>> = self
            .branches
            .iter()
            .map(|branch| Values::of(&branch.plan, batch, self.options.nulls, self.entries, &self.place))
            .collect();
        let values = values?;
        let mut counts: HashMap<usize, Vec<i32>> = HashMap::new();
        for (branch, own) in self.branches.iter().zip(&values) {
            let Form::Counted { counter, .. } = &branch.plan.form else {
                continue;
            };
            let (true, Some(counting)) = (counter.is_column, values.get(counter.branch)) else {
                continue;
            };
            let counts = counts.entry(counter.branch).or_insert_with(|| counting.counts(batch.num_rows()));
            let Some((row, length)) = own.first_length_other_than(counts) else {
                continue;
            };
            return Err(Error::Lengths {
                place: self.place.at_column(&branch.plan.column).at_entry(self.entries + row as u64),
                counter: self.branches.get(counter.branch).map(|b| b.plan.column.clone()).unwrap_or_default(),
                counted: counting.count(row).unwrap_or_default(),
                length: length.into(),
            });
        }
        Ok(values)
    }

    fn check_schema(&self, batch: &RecordBatch) -> Result<()> {
        let (own, other) = (self.schema.fields(), batch.schema_ref().fields());
        let pairs = own.iter().zip(other.iter());
        let differing =
            pairs.clone().find(|(own, other)| own.name() != other.name() || own.data_type() != other.data_type());
        let difference = match differing {
            Some((own, other)) => format!(
                "it has '{}' of type {} where the tree has '{}' of type {}",
                other.name(),
                other.data_type(),
                own.name(),
                own.data_type()
            ),
            None if own.len() != other.len() => format!("it has {} columns, the tree {}", other.len(), own.len()),
            None => return Ok(()),
        };
        Err(Error::Schema { place: self.place.clone().into(), difference })
    }

    /// Whether the cluster at hand has no part of a step: only then may it or a basket end.
    fn is_whole_step(&self) -> bool {
        self.cluster.is_multiple_of(self.step as u64)
    }

    fn append(&mut self, values: &[Values], rows: Range<usize>) -> Result<()> {
        let count = rows.len();
        self.cluster += count as u64;
        self.entries += count as u64;
        let is_whole = self.is_whole_step();
        for (index, (branch, values)) in self.branches.iter_mut().zip(values).enumerate() {
            values.put(rows.clone(), &mut branch.payload, &mut branch.starts);
            branch.entries += count as u32;
            if matches!(branch.plan.form, Form::Count { .. } | Form::Length | Form::Text) {
                branch.largest = branch.largest.max(values.largest(rows.clone()));
            }
            let bytes = branch.waiting();
            if bytes > MAX_BASKET {
                return Err(Error::TooLarge {
                    place: self.place.at_column(&branch.plan.column),
                    what: "a basket",
                    bytes: bytes as u64,
                    advice: "make the entries smaller",
                });
            }
            if bytes >= self.options.basket_bytes && is_whole {
                self.full_bytes += bytes;
                self.full.push(branch.close(index, self.entries));
            }
        }
        Ok(())
    }

    /// Ends the cluster: writes its baskets, those of each branch together.
    fn flush<W: Write + Seek>(&mut self, out: &mut Container<W>, workers: &mut Workers) -> Result<()> {
        let mut baskets = std::mem::take(&mut self.full);
        self.full_bytes = 0;
        for (index, branch) in self.branches.iter_mut().enumerate().filter(|(_, branch)| branch.entries > 0) {
            baskets.push(branch.close(index, self.entries));
        }
        baskets.sort_by_key(|basket| basket.branch);
        workers.each(&baskets, self.compression, |basket, frames| {
            let Some(branch) = self.branches.get_mut(basket.branch) else {
                return Ok(());
            };
            let label = Label { branch: &branch.plan.name, title: &branch.key_title };
            let place = basket.write(label, self.directory, frames, out)?;
            let whole = (branch.key_length + basket.payload.len()) as u32;
            branch.total_bytes += u64::from(whole);
            branch.zip_bytes += u64::from(place.bytes);
            branch.basket_bytes = branch.basket_bytes.max(whole);
            branch.baskets.push(place);
            Ok(())
        })?;
        for basket in baskets {
            if let Some(branch) = self.branches.get_mut(basket.branch) {
                branch.spare.push(basket.into_room());
            }
        }
        let size = std::mem::take(&mut self.cluster);
        match self.clusters.last_mut() {
            Some((last, count)) if *last == size => *count += 1,
            _ => self.clusters.push((size, 1)),
        }
        Ok(())
    }

    /// Writes what is left.
    pub(crate) fn finish<W: Write + Seek>(&mut self, out: &mut Container<W>, workers: &mut Workers) -> Result<()> {
        if self.cluster > 0 { self.flush(out, workers) } else { Ok(()) }
    }
}

/// Bytes that each entry takes at least.
fn fixed_bytes(form: &Form) -> usize {
    match form {
        Form::Fixed { number, dims } => number.width() * dims.iter().product::<usize>(),
        Form::Count { number } => number.width(),
        Form::Counted { .. } | Form::Length | Form::Text => 4,
        Form::Texts => 10,
    }
}
