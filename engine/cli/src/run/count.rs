//! `count`: entries, from the trees' metadata.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use root_reader::Tree;
use unicode_width::UnicodeWidthStr;

use super::Outcome;
use crate::app::App;
use crate::args::CountArgs;
use crate::console::printable;
use crate::exit::{Exit, Failure};
use crate::inputs::{self, Wanted};
use crate::output::{Format, Target};

/// What the files are counted under that belong to no sample.
const NO_SAMPLE: &str = "(none)";

/// Prints the number of entries of all files together, or of each, or of each sample.
pub async fn count(app: &App, args: &CountArgs) -> Outcome {
    let trees = inputs::trees(app, &args.input).await?;
    let total: u64 = trees.iter().map(|(_, tree)| tree.entries()).sum();
    let bare = app.settings.format == Format::Auto && matches!(app.target()?, Target::Stdout { .. });
    let has_samples = trees.iter().any(|(wanted, _)| wanted.sample.is_some());
    let samples = if has_samples && !args.by_file { by_sample(&trees) } else { Vec::new() };
    if bare && has_samples && !args.by_file {
        let all = samples.iter().map(|(name, entries)| (*name, *entries)).chain([("total", total)]);
        app.emit_text(&aligned(&all.collect::<Vec<_>>()))?;
        return Ok(app.conclude());
    }
    if bare && !args.by_file {
        app.emit_text(&format!("{total}\n"))?;
        return Ok(app.conclude());
    }
    let columns: Vec<(&str, ArrayRef)> = if args.by_file {
        let names: StringArray = trees.iter().map(|(wanted, _)| Some(wanted.name())).collect();
        let entries: UInt64Array = trees.iter().map(|(_, tree)| Some(tree.entries())).collect();
        vec![("file", Arc::new(names)), ("entries", Arc::new(entries))]
    } else if has_samples {
        let names: StringArray = samples.iter().map(|(name, _)| Some(*name)).collect();
        let entries: UInt64Array = samples.iter().map(|(_, entries)| Some(*entries)).collect();
        vec![("sample", Arc::new(names)), ("entries", Arc::new(entries))]
    } else {
        vec![("entries", Arc::new(UInt64Array::from(vec![total])))]
    };
    let batch = RecordBatch::try_from_iter(columns).map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
    app.emit(&batch)?;
    Ok(app.conclude())
}

/// The entries of each sample, in the order in which the samples were named.
fn by_sample(trees: &[(Wanted, Tree)]) -> Vec<(&str, u64)> {
    let mut samples: Vec<(&str, u64)> = Vec::new();
    for (wanted, tree) in trees {
        let name = wanted.sample.as_ref().map_or(NO_SAMPLE, |sample| sample.name());
        match samples.iter_mut().find(|(known, _)| *known == name) {
            Some((_, entries)) => *entries += tree.entries(),
            None => samples.push((name, tree.entries())),
        }
    }
    samples
}

/// Names, and numbers under one another.
fn aligned(lines: &[(&str, u64)]) -> String {
    let lines: Vec<(String, String)> =
        lines.iter().map(|(name, entries)| (printable(name), entries.to_string())).collect();
    let names = lines.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    let numbers = lines.iter().map(|(_, number)| number.len()).max().unwrap_or(0);
    let line = |(name, number): &(String, String)| {
        format!("{name}{}  {number:>numbers$}\n", " ".repeat(names.saturating_sub(name.width())))
    };
    lines.iter().map(line).collect()
}
