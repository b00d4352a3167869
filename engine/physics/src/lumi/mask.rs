//! Masks of certified luminosity sections, which experiments publish as "golden JSON".

use std::collections::BTreeMap;
use std::fmt;

use arrow_array::{Array, BooleanArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::columns::Integers;
use super::error::LumiError;

/// Which luminosity sections of which runs are certified.
///
/// ```
/// # fn main() -> Result<(), root_physics::lumi::LumiError> {
/// use root_physics::lumi::LumiMask;
///
/// let mask = LumiMask::parse(br#"{"273158": [[1, 1279]], "273302": [[1, 459]]}"#)?;
/// assert!(mask.contains(273158, 1279));
/// assert!(!mask.contains(273158, 1280));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LumiMask {
    /// Sorted, disjoint and not adjacent ranges of each run, both ends included.
    runs: BTreeMap<u32, Vec<(u32, u32)>>,
}

impl LumiMask {
    /// Reads JSON: runs as strings, and for each the ranges of its sections, both ends included. Ranges may overlap and
    /// come in any order, and a run may stand twice: all its ranges count. Memory is bounded by the length of the text.
    pub fn parse(json: &[u8]) -> Result<Self, LumiError> {
        Ok(serde_json::from_slice(json)?)
    }

    /// A mask of ranges of sections, both ends included, each with its run.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (u32, (u32, u32))>) -> Self {
        let mut runs: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        for (run, range) in ranges {
            runs.entry(run).or_default().push(range);
        }
        Self { runs: runs.into_iter().map(|(run, ranges)| (run, join(ranges))).collect() }
    }

    /// Whether a section is certified; a run that is not in the mask is not.
    pub fn contains(&self, run: u32, section: u32) -> bool {
        self.runs.get(&run).is_some_and(|ranges| is_inside(ranges, section))
    }

    /// The runs, with their ranges of sections in order, both ends included.
    pub fn runs(&self) -> impl Iterator<Item = (u32, &[(u32, u32)])> {
        self.runs.iter().map(|(run, ranges)| (*run, ranges.as_slice()))
    }

    /// Whether each event is certified, of columns of integers; null where one of the two is. A run is looked up where it
    /// differs from that of the event before: events of one run mostly stand together.
    pub fn contains_all(&self, runs: &dyn Array, sections: &dyn Array) -> Result<BooleanArray, LumiError> {
        if runs.len() != sections.len() {
            return Err(LumiError::Lengths { runs: runs.len(), sections: sections.len() });
        }
        let nulls = NullBuffer::union(runs.logical_nulls().as_ref(), sections.logical_nulls().as_ref());
        let (runs, sections) = (Integers::new(runs, "runs")?, Integers::new(sections, "luminosity sections")?);
        let mut result = BooleanBufferBuilder::new(runs.len());
        let none: &[(u32, u32)] = &[];
        let (mut last, mut ranges, mut range) = (None, none, (1, 0));
        for (run, section) in runs.iter().zip(sections.iter()) {
            if last != Some(run) {
                ranges = run.and_then(|run| self.runs.get(&run)).map_or(none, Vec::as_slice);
                (last, range) = (Some(run), (1, 0));
            }
            let inside = section.is_some_and(|section| {
                // Mostly it is the section, or at least the range, of the event before.
                if !(range.0..=range.1).contains(&section) {
                    range = find(ranges, section).unwrap_or((1, 0));
                }
                (range.0..=range.1).contains(&section)
            });
            result.append(inside);
        }
        Ok(BooleanArray::new(result.finish(), nulls))
    }
}

fn find(ranges: &[(u32, u32)], section: u32) -> Option<(u32, u32)> {
    let after = ranges.partition_point(|(first, _)| *first <= section);
    ranges.get(after.checked_sub(1)?).copied()
}

fn is_inside(ranges: &[(u32, u32)], section: u32) -> bool {
    find(ranges, section).is_some_and(|(_, last)| section <= last)
}

/// Puts ranges in order and joins those that touch.
fn join(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match joined.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    joined
}

impl<'de> Deserialize<'de> for LumiMask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Runs)
    }
}

struct Runs;

impl<'de> Visitor<'de> for Runs {
    type Value = LumiMask;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of runs to ranges of luminosity sections")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LumiMask, A::Error> {
        let mut runs: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        while let Some((Run(run), Ranges(ranges))) = map.next_entry()? {
            runs.entry(run).or_default().extend(ranges);
        }
        Ok(LumiMask { runs: runs.into_iter().map(|(run, ranges)| (run, join(ranges))).collect() })
    }
}

struct Run(u32);

impl<'de> Deserialize<'de> for Run {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let shown: String = text.chars().take(40).collect();
        text.parse().map(Run).map_err(|_| D::Error::custom(format_args!("'{shown}' is not the number of a run")))
    }
}

struct Ranges(Vec<(u32, u32)>);

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Ranges;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("ranges of luminosity sections, [[first, last], ...]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Ranges, A::Error> {
                let mut ranges = Vec::new();
                while let Some([first, last]) = seq.next_element::<[u32; 2]>()? {
                    if first > last {
                        return Err(A::Error::custom(format_args!(
                            "the range [{first}, {last}] ends before it begins"
                        )));
                    }
                    ranges.push((first, last));
                }
                Ok(Ranges(ranges))
            }
        }

        deserializer.deserialize_seq(Pairs)
    }
}
