//! `lumi`: the luminosity sections that the data have, each once, and how much luminosity they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt32Array, UInt64Array};
use indicatif::HumanCount;
use root_engine::{read_lumi_mask, read_lumi_table};
use root_physics::lumi::{LumiMask, LumiSections, LumiTable, Luminosity};

use super::Outcome;
use super::sql::{TABLE, explain_table, register};
use super::types::{counted, quoted};
use crate::app::App;
use crate::args::LumiArgs;
use crate::exit::{Exit, Failure};
use crate::progress;

/// Ranges of sections that a line lists.
const LISTED: usize = 100;

/// What is known of a run.
#[derive(Debug, Default)]
struct Run {
    sections: u64,
    luminosity: Luminosity,
    /// Sections of the data that the table does not have.
    without: u64,
    /// Certified sections that the data do not have.
    absent: u64,
    absent_ranges: Vec<String>,
    absent_luminosity: Luminosity,
}

/// Lists the runs of the data with their sections and luminosity.
pub async fn lumi(app: &App, args: &LumiArgs) -> Outcome {
    let options = &app.settings.table;
    let (mut mask, mut table) = (None, None);
    if let Some(file) = &options.lumi_mask {
        mask = Some(read_lumi_mask(file, &app.stores).await?);
    }
    if let Some(file) = &args.lumi_file {
        table = Some(read_lumi_table(file, &app.stores).await?);
    }
    let columns = &options.lumi_columns;
    let sql = format!("SELECT DISTINCT {}, {} FROM {TABLE}", quoted(&columns.run), quoted(&columns.section));
    app.record.set_query(&sql);
    let session = app.session();
    let mut bar = app.bar(progress::of_session(&session));
    if register(app, &session, &args.input, &sql).await?.table.is_none() {
        return Err(Failure::usage(
            "no file is named; add FILE, FILE:TREE, a pattern, a directory or --files-from LIST",
        ));
    }
    let frame = session.sql(&sql).await.map_err(|error| explain_table(&session, error))?;
    let mut sections = LumiSections::default();
    for batch in frame.collect().await? {
        if let [runs, blocks] = batch.columns() {
            sections.extend(runs, blocks).map_err(|error| Failure::new(Exit::Query, error.to_string()))?;
        }
    }
    bar.stop();
    let runs = by_run(&sections, mask.as_ref(), table.as_ref());
    let unit = table.as_ref().and_then(LumiTable::unit).unwrap_or_default();
    let batch = batch(&runs, mask.is_some(), table.is_some()).map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
    app.emit(&batch)?;
    tell(app, &runs, unit, mask.is_some(), table.is_some());
    Ok(app.conclude())
}

fn by_run(sections: &LumiSections, mask: Option<&LumiMask>, table: Option<&LumiTable>) -> BTreeMap<u32, Run> {
    let mut runs: BTreeMap<u32, Run> = BTreeMap::new();
    for (run, section) in sections.iter() {
        let line = runs.entry(run).or_default();
        line.sections += 1;
        match table.map(|table| table.get(run, section)) {
            Some(Some(luminosity)) => line.luminosity = line.luminosity.plus(luminosity),
            Some(None) => line.without += 1,
            None => {}
        }
    }
    let Some(mask) = mask else { return runs };
    for (run, first, last) in sections.absent(mask) {
        let line = runs.entry(run).or_default();
        line.absent += u64::from(last - first) + 1;
        line.absent_ranges.push(if first == last { first.to_string() } else { format!("{first}-{last}") });
    }
    let certified =
        table.into_iter().flat_map(LumiTable::iter).filter(|(run, section, _)| mask.contains(*run, *section));
    for (run, section, luminosity) in certified {
        if !sections.contains(run, section) {
            let line = runs.entry(run).or_default();
            line.absent_luminosity = line.absent_luminosity.plus(luminosity);
        }
    }
    runs
}

fn batch(runs: &BTreeMap<u32, Run>, masked: bool, measured: bool) -> Result<RecordBatch, arrow::error::ArrowError> {
    let counts = |of: fn(&Run) -> u64| Arc::new(UInt64Array::from_iter_values(runs.values().map(of))) as ArrayRef;
    let reals = |of: fn(&Run) -> f64| Arc::new(Float64Array::from_iter_values(runs.values().map(of))) as ArrayRef;
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("run", Arc::new(UInt32Array::from_iter_values(runs.keys().copied()))),
        ("sections", counts(|r| r.sections)),
    ];
    if measured {
        columns.push(("recorded", reals(|run| run.luminosity.recorded)));
        columns.push(("delivered", reals(|run| run.luminosity.delivered)));
        columns.push(("without_luminosity", counts(|run| run.without)));
    }
    if masked {
        columns.push(("absent", counts(|run| run.absent)));
        let listed = |run: &Run| {
            let more = run.absent_ranges.len().saturating_sub(LISTED);
            let ranges = run.absent_ranges.iter().take(LISTED).cloned().collect::<Vec<_>>().join(" ");
            let ranges = if more > 0 { format!("{ranges} and {more} more") } else { ranges };
            Some(ranges).filter(|ranges| !ranges.is_empty())
        };
        columns.push(("absent_sections", Arc::new(runs.values().map(listed).collect::<StringArray>())));
    }
    if masked && measured {
        columns.push(("absent_recorded", reals(|run| run.absent_luminosity.recorded)));
    }
    RecordBatch::try_from_iter(columns)
}

/// Tells the sums.
fn tell(app: &App, runs: &BTreeMap<u32, Run>, unit: &str, masked: bool, measured: bool) {
    let count = |of: fn(&Run) -> u64| runs.values().map(of).sum::<u64>();
    let sum = |of: fn(&Run) -> Luminosity| runs.values().fold(Luminosity::default(), |sum, run| sum.plus(of(run)));
    let present = runs.values().filter(|run| run.sections > 0).count() as u64;
    let mut text = format!("total: {} of {}", counted(count(|run| run.sections), "section"), counted(present, "run"));
    if measured {
        let total = sum(|run| run.luminosity);
        text.push_str(&format!("; {} {unit} recorded, {} {unit} delivered", total.recorded, total.delivered));
    }
    app.console.plain(&text.replace("  ", " "));
    let without = count(|run| run.without);
    if without > 0 {
        let sections = counted(without, "section");
        app.console
            .warning(&format!("{sections} of the data are not in the table of luminosity, and missing in the sum"));
    }
    let absent = count(|run| run.absent);
    if masked && absent > 0 {
        let of = if measured {
            format!(", with {} {unit} recorded", sum(|run| run.absent_luminosity).recorded)
        } else {
            String::new()
        };
        let absent = HumanCount(absent);
        app.console.warning(&format!("{absent} certified sections are not in the data{}", of.trim_end()));
    }
}
