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

/// The luminosity of each section.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LumiTable {
    sections: BTreeMap<(u32, u32), Luminosity>,
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
    /// Reads what `brilcalc lumi --byls --output-style csv` writes: `run:fill` in the first column, `section:section` in
    /// the second, delivered and recorded luminosity in the seventh and eighth; lines that begin with `#` are comments. A
    /// section that stands twice counts once.
    pub fn parse(csv: &[u8]) -> Result<Self, LumiError> {
        let mut sections = BTreeMap::new();
        for (line, text) in (1..).zip(csv.split(|byte| *byte == b'\n')) {
            let text = String::from_utf8_lossy(text);
            if text.starts_with('#') || text.trim().is_empty() {
                continue;
            }
            // None of the columns can have a comma or a quotation mark.
            let record: Vec<&str> = text.split(',').take(8).collect();
            let before_colon = |text: &str| text.split(':').next().and_then(|number| number.trim().parse::<u32>().ok());
            let number = |text: &str| text.trim().parse::<f64>().ok().filter(|value| value.is_finite());
            let run = field(&record, line, 0, "run:fill", before_colon)?;
            let section = field(&record, line, 1, "a luminosity section", before_colon)?;
            let delivered = field(&record, line, 6, "the delivered luminosity", number)?;
            let recorded = field(&record, line, 7, "the recorded luminosity", number)?;
            let luminosity = Luminosity { delivered, recorded };
            if *sections.entry((run, section)).or_insert(luminosity) != luminosity {
                return Err(LumiError::Contradiction { line, run, section });
            }
        }
        Ok(Self { sections })
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

    /// The sum over all sections that a mask certifies.
    pub fn certified(&self, mask: &LumiMask) -> Luminosity {
        let certified = self.sections.iter().filter(|((run, section), _)| mask.contains(*run, *section));
        certified.fold(Luminosity::default(), |sum, (_, one)| sum.plus(*one))
    }
}

impl Luminosity {
    fn plus(self, other: Self) -> Self {
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
