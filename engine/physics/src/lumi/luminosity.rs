//! Integrated luminosity of the sections that were processed, each counted once.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::Array;

use super::columns::Integers;
use super::error::LumiError;
use super::mask::LumiMask;

/// Delivered and recorded luminosity, in the unit of the table.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Luminosity {
    /// What the accelerator delivered.
    pub delivered: f64,
    /// What the experiment recorded.
    pub recorded: f64,
}

/// Columns of a table that are looked at.
const MOST_COLUMNS: usize = 32;
/// Bytes that the unit of a table has at most.
const LONGEST_UNIT: usize = 16;

/// Where a table has what.
#[derive(Debug)]
struct Columns {
    delivered: usize,
    recorded: usize,
    unit: Option<String>,
}

impl Default for Columns {
    fn default() -> Self {
        Self { delivered: 5, recorded: 6, unit: None }
    }
}

impl Columns {
    /// The columns by their names; `None` for a line that is no heading. Case and what they are called besides differ.
    fn of_heading(text: &str, line: u64) -> Result<Option<Self>, LumiError> {
        let names = text.trim_start_matches('#').to_ascii_lowercase();
        if !names.starts_with("run") {
            return Ok(None);
        }
        let names: Vec<&str> = names.split(',').take(MOST_COLUMNS).map(str::trim).collect();
        let place = |name: &str| names.iter().position(|column| column.split('(').next() == Some(name));
        let (Some(delivered), Some(recorded)) = (place("delivered"), place("recorded")) else { return Ok(None) };
        let unit = names.get(recorded).and_then(|column| column.split_once('(')?.1.strip_suffix(')'));
        let unit = unit.filter(|unit| unit.len() <= LONGEST_UNIT);
        if unit.is_some_and(|unit| unit.starts_with("hz")) {
            return Err(LumiError::Rate { line });
        }
        Ok(Some(Self { delivered, recorded, unit: unit.map(str::to_owned) }))
    }
}

/// The luminosity of each section.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LumiTable {
    sections: BTreeMap<(u32, u32), Luminosity>,
    unit: Option<String>,
}

/// The luminosity of some sections, and how many of them the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Integral {
    /// The sum over the sections that the table has.
    pub luminosity: Luminosity,
    /// How many these are.
    pub found: usize,
    /// How many the table does not have: their luminosity is missing in the sum.
    pub missing: usize,
}

impl LumiTable {
    /// Reads what `brilcalc lumi --byls --output-style csv` writes: `run:fill` in the first column and `section:section` in
    /// the second; the heading says which are the delivered and the recorded luminosity, and where there is none they are
    /// the sixth and the seventh. Other lines that begin with `#` are comments. A section that stands twice counts once.
    pub fn parse(csv: &[u8]) -> Result<Self, LumiError> {
        let (mut sections, mut columns) = (BTreeMap::new(), Columns::default());
        for (line, text) in (1..).zip(csv.split(|byte| *byte == b'\n')) {
            let text = String::from_utf8_lossy(text);
            if let Some(heading) = Columns::of_heading(&text, line)? {
                columns = heading;
                continue;
            }
            if text.starts_with('#') || text.trim().is_empty() {
                continue;
            }
            // None of the columns can have a comma or a quotation mark.
            let record: Vec<&str> = text.split(',').take(MOST_COLUMNS).collect();
            let before_colon = |text: &str| text.split(':').next().and_then(|number| number.trim().parse::<u32>().ok());
            let number = |text: &str| text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
            let run = field(&record, line, 0, "run:fill", before_colon)?;
            let section = field(&record, line, 1, "a luminosity section", before_colon)?;
            let delivered = field(&record, line, columns.delivered, "the delivered luminosity", number)?;
            let recorded = field(&record, line, columns.recorded, "the recorded luminosity", number)?;
            let luminosity = Luminosity { delivered, recorded };
            if *sections.entry((run, section)).or_insert(luminosity) != luminosity {
                return Err(LumiError::Contradiction { line, run, section });
            }
        }
        Ok(Self { sections, unit: columns.unit })
    }

    /// A table of runs, sections and their luminosity; of a section that stands twice the last counts.
    pub fn from_sections(sections: impl IntoIterator<Item = (u32, u32, Luminosity)>, unit: Option<String>) -> Self {
        let sections = sections.into_iter().map(|(run, section, luminosity)| ((run, section), luminosity));
        Self { sections: sections.collect(), unit }
    }

    /// The luminosity of one section.
    pub fn get(&self, run: u32, section: u32) -> Option<Luminosity> {
        self.sections.get(&(run, section)).copied()
    }

    /// How many sections the table has.
    pub fn len(&self) -> usize {
        self.sections.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Runs, sections and their luminosity, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32, Luminosity)> + '_ {
        self.sections.iter().map(|((run, section), luminosity)| (*run, *section, *luminosity))
    }

    /// The unit, if the heading of the table says it, such as `/ub`.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// The sum over all sections that a mask certifies.
    pub fn certified(&self, mask: &LumiMask) -> Luminosity {
        let certified = self.iter().filter(|(run, section, _)| mask.contains(*run, *section));
        certified.fold(Luminosity::default(), |sum, (_, _, one)| sum.plus(one))
    }
}

impl Luminosity {
    /// The sum.
    pub fn plus(self, other: Self) -> Self {
        Self { delivered: self.delivered + other.delivered, recorded: self.recorded + other.recorded }
    }
}

fn field<T>(
    record: &[&str],
    line: u64,
    column: usize,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, LumiError> {
    let text = record.get(column).copied().unwrap_or_default();
    let found = || text.chars().take(40).collect();
    parse(text).ok_or_else(|| LumiError::Field { line, column: column + 1, found: found(), expected })
}

/// The sections that events are from, each once. Parts of a data set are collected apart and merged before anything is
/// summed: a section can lie in several files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LumiSections {
    sections: BTreeSet<(u32, u32)>,
}

impl LumiSections {
    /// Adds the sections of some events, of columns of integers; rows with a null are passed over, and so are numbers
    /// that no run or section can have.
    pub fn extend(&mut self, runs: &dyn Array, sections: &dyn Array) -> Result<(), LumiError> {
        if runs.len() != sections.len() {
            return Err(LumiError::Lengths { runs: runs.len(), sections: sections.len() });
        }
        let (run, section) = (Integers::new(runs, "runs")?, Integers::new(sections, "luminosity sections")?);
        let mut last = None;
        for (row, (run, section)) in run.iter().zip(section.iter()).enumerate() {
            let both = run.zip(section).filter(|_| runs.is_valid(row) && sections.is_valid(row));
            // Events of one section mostly stand together.
            if let Some(both) = both.filter(|_| both != last) {
                self.sections.insert(both);
                last = Some(both);
            }
        }
        Ok(())
    }

    /// Adds those of another part.
    pub fn merge(&mut self, other: Self) {
        self.sections.extend(other.sections);
    }

    /// Whether a section is among them.
    pub fn contains(&self, run: u32, section: u32) -> bool {
        self.sections.contains(&(run, section))
    }

    /// The ranges of sections that a mask certifies and that are not among them, both ends included, in order.
    pub fn absent(&self, mask: &LumiMask) -> Vec<(u32, u32, u32)> {
        let mut absent = Vec::new();
        for (run, ranges) in mask.runs() {
            for (first, last) in ranges {
                // Where the next range of absent ones begins, until it is behind the last section that there can be.
                let mut next = Some(*first);
                for (_, present) in self.sections.range((run, *first)..=(run, *last)) {
                    if let Some(begin) = next.filter(|begin| begin < present) {
                        absent.push((run, begin, present - 1));
                    }
                    next = present.checked_add(1);
                }
                if let Some(begin) = next.filter(|begin| begin <= last) {
                    absent.push((run, begin, *last));
                }
            }
        }
        absent
    }

    /// All of them as bytes, the same whatever the order in which they came: eight for each, in order.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|(run, section)| [run.to_le_bytes(), section.to_le_bytes()]).flatten().collect()
    }

    /// Those that [`to_bytes`](Self::to_bytes) has written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LumiError> {
        let (pairs, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(LumiError::State { bytes: bytes.len() });
        }
        let pair =
            |[a, b, c, d, e, f, g, h]: [u8; 8]| (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        Ok(Self { sections: pairs.iter().copied().map(pair).collect() })
    }

    /// The bytes of memory that they take, about.
    pub fn memory(&self) -> usize {
        // Nodes of the tree are two thirds full, and have pointers besides.
        self.sections.len() * 16
    }

    /// Runs and sections in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.sections.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sections.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Their luminosity, summed in order of run and section, so that it does not depend on how the data were split.
    pub fn integrate(&self, table: &LumiTable) -> Integral {
        self.iter().fold(Integral::default(), |mut sum, (run, section)| {
            match table.get(run, section) {
                Some(luminosity) => (sum.luminosity, sum.found) = (sum.luminosity.plus(luminosity), sum.found + 1),
                None => sum.missing += 1,
            }
            sum
        })
    }
}
