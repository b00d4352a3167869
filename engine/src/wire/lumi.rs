//! Functions that hold what was read of a luminosity file, as messages: who runs a plan has not read the file.

use std::any::Any;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, ScalarUDFImpl};
use root_physics::lumi::{LumiMask, LumiTable, Luminosity};

use crate::functions::{InLumiMask, ReadMask, in_lumi_mask};
use crate::ledger::MaskCounts;
use crate::lumi::{sum_over, table_of};

/// A mask.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MaskMessage {
    #[prost(string, tag = "1")]
    file: String,
    /// Whether the events are counted that it is asked about.
    #[prost(bool, tag = "2")]
    counted: bool,
    #[prost(message, repeated, tag = "3")]
    runs: Vec<RunMessage>,
}

/// The sections of a run.
#[derive(Clone, PartialEq, prost::Message)]
struct RunMessage {
    #[prost(uint32, tag = "1")]
    run: u32,
    /// First and last of each range, one after the other.
    #[prost(uint32, repeated, tag = "2")]
    ends: Vec<u32>,
}

/// A table of luminosity, as columns.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TableMessage {
    #[prost(uint32, repeated, tag = "1")]
    runs: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    sections: Vec<u32>,
    #[prost(double, repeated, tag = "3")]
    delivered: Vec<f64>,
    #[prost(double, repeated, tag = "4")]
    recorded: Vec<f64>,
    #[prost(string, optional, tag = "5")]
    unit: Option<String>,
}

/// `in_lumi_mask`, if that is what a function is and it holds its mask.
pub(super) fn encode_mask(function: &ScalarUDF) -> Option<MaskMessage> {
    let function: &dyn ScalarUDFImpl = function.inner().as_ref();
    let read = (function as &dyn Any).downcast_ref::<InLumiMask>()?.mask()?;
    let run = |(run, ranges): (u32, &[(u32, u32)])| {
        let ends = ranges.iter().flat_map(|(first, last)| [*first, *last]).collect();
        RunMessage { run, ends }
    };
    Some(MaskMessage {
        file: eos_io::redact(&read.file),
        counted: read.counts.is_some(),
        runs: read.mask.runs().map(run).collect(),
    })
}

pub(super) fn decode_mask(message: MaskMessage) -> Result<ScalarUDF> {
    let mut ranges = Vec::new();
    for RunMessage { run, ends } in message.runs {
        for pair in ends.chunks(2) {
            let [first, last] = *pair else { return Err(incomplete(&message.file)) };
            ranges.push((run, (first, last)));
        }
    }
    let counts = message.counted.then(|| MaskCounts::new(&message.file));
    let mask = LumiMask::from_ranges(ranges);
    Ok(in_lumi_mask(Some(Arc::new(ReadMask { file: message.file, mask, counts }))))
}

/// `lumi_sum`, if that is what a function is and it holds its table.
pub(super) fn encode_table(function: &AggregateUDF) -> Option<TableMessage> {
    let table = table_of(function)?;
    let mut message = TableMessage { unit: table.unit().map(str::to_string), ..TableMessage::default() };
    for (run, section, Luminosity { delivered, recorded }) in table.iter() {
        message.runs.push(run);
        message.sections.push(section);
        message.delivered.push(delivered);
        message.recorded.push(recorded);
    }
    Some(message)
}

pub(super) fn decode_table(message: TableMessage) -> Result<AggregateUDF> {
    let TableMessage { runs, sections, delivered, recorded, unit } = message;
    if [sections.len(), delivered.len(), recorded.len()].iter().any(|length| *length != runs.len()) {
        return Err(incomplete("a table of luminosity"));
    }
    let luminosity = delivered.into_iter().zip(recorded);
    let luminosity = luminosity.map(|(delivered, recorded)| Luminosity { delivered, recorded });
    let sections = runs.into_iter().zip(sections).zip(luminosity);
    let sections = sections.map(|((run, section), luminosity)| (run, section, luminosity));
    Ok(sum_over(Arc::new(LumiTable::from_sections(sections, unit))))
}

fn incomplete(what: &str) -> DataFusionError {
    DataFusionError::Plan(format!("a plan that was sent holds only a part of {what}"))
}
