//! A histogram as bytes, to be sent from where it was filled to where it is merged.
//!
//! The bytes are a function of what was filled: equal histograms give equal bytes, however they came about. All integers
//! are LEB128; signed ones are folded to unsigned (0, −1, 1, −2 …). After the magic and the version come the axes, the
//! storage, the tally, which bins are listed, and what they hold: counts, or for each sum the flags of numbers that were
//! not finite and the planes of digits. Bins are listed where few of many hold something: 1, how many there are, and for
//! each the number of bins between it and the one before it. A 0 in place of all that means that all bins follow, as
//! they always do in version 1, which has no such 0. Every bin of a count or of a plane takes at least a byte, so reading
//! takes no more memory than the bytes justify. Yet a state that is short may have as many bins as a histogram can have,
//! with which whoever lists them must reckon.

use crate::axis::{Axis, AxisKind};
use crate::bins::Bins;
use crate::error::{Error, Result};
use crate::exact::{DIGITS, ExactSums};
use crate::histogram::{Histogram, MAX_AXES, Tally};
use crate::storage::{Cells, Storage};

const MAGIC: &[u8] = b"RQH";
const VERSION: u8 = 2;
/// The version that lists all bins.
const FIRST_VERSION: u8 = 1;

impl Histogram {
    /// All that merging needs, as bytes of a format with a version.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(MAGIC.to_vec());
        out.0.push(VERSION);
        out.0.push(self.axes.len() as u8);
        self.axes.iter().for_each(|axis| out.axis(axis));
        out.0.push(match self.storage() {
            Storage::Count => 0,
            Storage::Weight => 1,
            Storage::Mean => 2,
            Storage::WeightedMean => 3,
        });
        let Tally { entries, nulls, nans, outside } = self.tally;
        [entries, nulls, nans, outside].into_iter().for_each(|number| out.number(number));
        let (listed, cells) = self.bins.in_order();
        match listed {
            None => out.0.push(0),
            Some(bins) => out.listed(&bins),
        }
        match cells.as_ref() {
            Cells::Count(count) => out.counts(count),
            Cells::Weight { w, ww } => [w, ww].into_iter().for_each(|sums| out.sums(sums)),
            Cells::Mean { count, x, xx } => {
                out.counts(count);
                [x, xx].into_iter().for_each(|sums| out.sums(sums));
            }
            Cells::WeightedMean { w, ww, wx, wxx } => [w, ww, wx, wxx].into_iter().for_each(|sums| out.sums(sums)),
        }
        out.0
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. The bytes need not be trusted.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader(bytes);
        if input.take(MAGIC.len())? != MAGIC {
            return Err(problem("it does not begin like one"));
        }
        let version = input.byte()?;
        if !(FIRST_VERSION..=VERSION).contains(&version) {
            return Err(problem(&format!("version {version} is not known; this program writes {VERSION}")));
        }
        let axes = usize::from(input.byte()?);
        if axes > MAX_AXES {
            return Err(Error::Axes { found: axes });
        }
        let axes: Vec<Axis> = (0..axes).map(|_| input.axis()).collect::<Result<_>>()?;
        let storage = match input.byte()? {
            0 => Storage::Count,
            1 => Storage::Weight,
            2 => Storage::Mean,
            3 => Storage::WeightedMean,
            other => return Err(problem(&format!("storage {other} is not known"))),
        };
        let tally =
            Tally { entries: input.number()?, nulls: input.number()?, nans: input.number()?, outside: input.number()? };
        let count = crate::histogram::cell_count(&axes)?;
        let listed = if version == FIRST_VERSION { None } else { input.listed(count)? };
        let size = listed.as_ref().map_or(count, Vec::len);
        let cells = match storage {
            Storage::Count => Cells::Count(input.counts(size)?),
            Storage::Weight => Cells::Weight { w: input.sums(size)?, ww: input.sums(size)? },
            Storage::Mean => Cells::Mean { count: input.counts(size)?, x: input.sums(size)?, xx: input.sums(size)? },
            Storage::WeightedMean => Cells::WeightedMean {
                w: input.sums(size)?,
                ww: input.sums(size)?,
                wx: input.sums(size)?,
                wxx: input.sums(size)?,
            },
        };
        if axes.is_empty() {
            return Err(Error::Axes { found: 0 });
        }
        if !input.0.is_empty() {
            return Err(problem("there are bytes behind its end"));
        }
        Ok(Self { axes, bins: Bins::from_cells(count, listed, cells), tally })
    }
}

fn problem(problem: &str) -> Error {
    Error::State(problem.to_owned())
}

/// Kinds of axes.
mod kind {
    pub(super) const REGULAR: u8 = 0;
    pub(super) const LOG: u8 = 1;
    pub(super) const VARIABLE: u8 = 2;
    pub(super) const INT_CATEGORY: u8 = 3;
    pub(super) const STR_CATEGORY: u8 = 4;
    pub(super) const BOOLEAN: u8 = 5;
}

/// Flags of axes.
mod flag {
    pub(super) const UNDERFLOW: u8 = 1;
    pub(super) const OVERFLOW: u8 = 2;
    pub(super) const GROWING: u8 = 4;
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    fn float(&mut self, number: f64) {
        self.0.extend_from_slice(&number.to_bits().to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn axis(&mut self, axis: &Axis) {
        self.0.push(match axis.kind() {
            AxisKind::Regular { .. } => kind::REGULAR,
            AxisKind::Log { .. } => kind::LOG,
            AxisKind::Variable { .. } => kind::VARIABLE,
            AxisKind::IntCategory { .. } => kind::INT_CATEGORY,
            AxisKind::StrCategory { .. } => kind::STR_CATEGORY,
            AxisKind::Boolean => kind::BOOLEAN,
        });
        let flags = [
            (axis.underflow(), flag::UNDERFLOW),
            (axis.overflow(), flag::OVERFLOW),
            (axis.is_growing(), flag::GROWING),
        ];
        self.0.push(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
        [axis.name(), axis.label(), axis.unit()].into_iter().for_each(|text| self.text(text));
        match axis.kind() {
            AxisKind::Regular { bins, lower, upper } | AxisKind::Log { bins, lower, upper } => {
                self.number(u64::from(*bins));
                self.float(*lower);
                self.float(*upper);
            }
            AxisKind::Variable { edges } => {
                self.number(edges.len() as u64);
                edges.iter().for_each(|&edge| self.float(edge));
            }
            AxisKind::IntCategory { categories, .. } => {
                self.number(categories.len() as u64);
                categories.iter().for_each(|&category| self.signed(category));
            }
            AxisKind::StrCategory { categories, .. } => {
                self.number(categories.len() as u64);
                categories.iter().for_each(|category| self.text(category));
            }
            AxisKind::Boolean => {}
        }
    }

    fn listed(&mut self, bins: &[u32]) {
        self.0.push(1);
        self.number(bins.len() as u64);
        let mut next = 0;
        for &bin in bins {
            self.number(u64::from(bin - next));
            next = bin + 1;
        }
    }

    fn counts(&mut self, counts: &[u64]) {
        counts.iter().for_each(|&count| self.number(count));
    }

    fn sums(&mut self, sums: &ExactSums) {
        self.0.push(u8::from(!sums.flags().is_empty()));
        self.0.extend_from_slice(sums.flags());
        let planes = sums.digits();
        self.number(planes.len() as u64);
        for (digit, digits) in planes {
            self.0.push(digit as u8);
            digits.into_iter().for_each(|digit| self.signed(i64::from(digit)));
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(|| problem("it ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8> {
        self.take(1).map(|bytes| bytes.first().copied().unwrap_or_default())
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if (part << shift) >> shift != part {
                break;
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(problem("a number is too large"))
    }

    fn signed(&mut self) -> Result<i64> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// The length of a list whose elements take at least `size` bytes each.
    fn length(&mut self, size: usize) -> Result<usize> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        self.check(length.saturating_mul(size))?;
        Ok(length)
    }

    fn check(&self, bytes: usize) -> Result<()> {
        if bytes > self.0.len() { Err(problem("it ends too early")) } else { Ok(()) }
    }

    fn float(&mut self) -> Result<f64> {
        let bytes = self.take(8)?.try_into().unwrap_or_default();
        Ok(f64::from_bits(u64::from_le_bytes(bytes)))
    }

    fn text(&mut self) -> Result<String> {
        let length = self.length(1)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| problem("a name is not UTF-8"))?;
        Ok(text.to_owned())
    }

    fn list<T>(&mut self, size: usize, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let length = self.length(size)?;
        (0..length).map(|_| element(self)).collect()
    }

    fn axis(&mut self) -> Result<Axis> {
        let kind = self.byte()?;
        let flags = self.byte()?;
        let (name, label, unit) = (self.text()?, self.text()?, self.text()?);
        let growing = flags & flag::GROWING != 0;
        let axis = match kind {
            kind::REGULAR | kind::LOG => {
                let bins = usize::try_from(self.number()?).unwrap_or(usize::MAX);
                let (lower, upper) = (self.float()?, self.float()?);
                if kind == kind::LOG { Axis::log(bins, lower, upper)? } else { Axis::regular(bins, lower, upper)? }
            }
            kind::VARIABLE => Axis::variable(self.list(8, Self::float)?)?,
            kind::INT_CATEGORY => {
                let categories = self.list(1, Self::signed)?;
                if growing {
                    Axis::growing_int_category().grown(&[], &categories).0
                } else {
                    Axis::int_category(categories)?
                }
            }
            kind::STR_CATEGORY => {
                let categories = self.list(1, Self::text)?;
                if growing {
                    Axis::growing_str_category().grown(&categories, &[]).0
                } else {
                    Axis::str_category(categories)?
                }
            }
            kind::BOOLEAN => Axis::boolean(),
            other => return Err(problem(&format!("axes of kind {other} are not known"))),
        };
        let axis = axis.with_name(name).with_label(label).with_unit(unit);
        Ok(axis.with_flow(flags & flag::UNDERFLOW != 0, flags & flag::OVERFLOW != 0))
    }

    /// The bins whose contents follow, if not all `count`.
    fn listed(&mut self, count: usize) -> Result<Option<Vec<u32>>> {
        match self.byte()? {
            0 => return Ok(None),
            1 => {}
            other => return Err(problem(&format!("lists of bins of kind {other} are not known"))),
        }
        let mut next = 0_u64;
        let bins = self.list(1, |input| {
            let bin = next.saturating_add(input.number()?);
            next = bin.saturating_add(1);
            u32::try_from(bin)
                .ok()
                .filter(|&bin| (bin as usize) < count)
                .ok_or_else(|| problem("it lists a bin that is none"))
        });
        bins.map(Some)
    }

    fn counts(&mut self, cells: usize) -> Result<Vec<u64>> {
        self.check(cells)?;
        (0..cells).map(|_| self.number()).collect()
    }

    fn sums(&mut self, cells: usize) -> Result<ExactSums> {
        let flags = if self.byte()? == 0 { Vec::new() } else { self.take(cells)?.to_vec() };
        let planes = self.length(cells)?;
        let mut digits: Vec<(usize, Vec<i32>)> = Vec::new();
        for _ in 0..planes {
            let digit = usize::from(self.byte()?);
            if digit >= DIGITS || digits.last().is_some_and(|(last, _)| *last >= digit) {
                return Err(problem("its digits are out of order"));
            }
            self.check(cells)?;
            let plane = (0..cells).map(|_| {
                let digit = self.signed()?;
                i32::try_from(digit).map_err(|_| problem("a digit is too large"))
            });
            digits.push((digit, plane.collect::<Result<_>>()?));
        }
        Ok(ExactSums::from_digits(cells, digits, flags))
    }
}
