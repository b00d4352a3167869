//! `count`: entries, from the trees' metadata, or from a query where only some of them count.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::Int64Type;
use root_engine::Inputs;
use root_reader::Tree;
use unicode_width::UnicodeWidthStr;

use super::Outcome;
use super::sql::register;
use crate::app::App;
use crate::args::{CountArgs, InputArgs};
use crate::console::printable;
use crate::exit::{Exit, Failure};
use crate::inputs::{self, Wanted};
use crate::output::{Format, Target};
use crate::progress;

/// What the files are counted under that belong to no sample.
const NO_SAMPLE: &str = "(none)";
/// Counts what is selected.
const BY_FILE: &str = "SELECT _file, count(*) AS entries FROM t GROUP BY _file";

/// Prints the number of entries of all files together, or of each, or of each sample.
pub async fn count(app: &App, args: &CountArgs) -> Outcome {
    let files = match inputs::are_selected(app, &args.input).await? {
        true => by_query(app, &args.input).await?,
        false => from_metadata(app, &args.input).await?,
    };
    let total: u64 = files.iter().map(|file| file.entries).sum();
    let bare = app.settings.format == Format::Auto && matches!(app.target()?, Target::Stdout { .. });
    let has_samples = files.iter().any(|file| file.sample.is_some());
    let samples = if has_samples && !args.by_file { by_sample(&files) } else { Vec::new() };
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
        let names: StringArray = files.iter().map(|file| Some(file.name.as_str())).collect();
        let entries: UInt64Array = files.iter().map(|file| Some(file.entries)).collect();
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

/// A file, and how many of its entries count.
struct Counted {
    name: String,
    sample: Option<String>,
    entries: u64,
}

/// All entries of each file, of which the trees tell.
async fn from_metadata(app: &App, input: &InputArgs) -> Result<Vec<Counted>, Failure> {
    let trees = inputs::trees(app, input).await?;
    let counted = |(wanted, tree): &(Wanted, Tree)| Counted {
        name: wanted.name().to_string(),
        sample: wanted.sample.as_ref().map(|sample| sample.name().to_string()),
        entries: tree.entries(),
    };
    Ok(trees.iter().map(counted).collect())
}

/// The entries of each file that are selected.
async fn by_query(app: &App, input: &InputArgs) -> Result<Vec<Counted>, Failure> {
    let inputs = Inputs::find(&inputs::some_specs(app, &input.files)?, &app.stores).await?;
    let session = app.session();
    let bar = app.bar(progress::of_session(&session));
    app.record.set_query(BY_FILE);
    let Some(table) = register(app, &session, input, BY_FILE).await?.table else { return Ok(Vec::new()) };
    let mut entries = HashMap::new();
    for batch in session.sql(BY_FILE).await?.collect().await? {
        let (files, counts) = (batch.column_by_name("_file"), batch.column_by_name("entries"));
        let files = files.and_then(|files| files.as_string_opt::<i32>());
        let counts = counts.and_then(|counts| counts.as_primitive_opt::<Int64Type>());
        let Some((files, counts)) = files.zip(counts) else { continue };
        for (file, count) in files.iter().zip(counts.values()) {
            entries.insert(file.unwrap_or_default().to_string(), u64::try_from(*count).unwrap_or_default());
        }
    }
    drop(bar);
    let counted = |name: String| {
        let input = inputs.files().iter().find(|input| input.entry.location.name() == name);
        Counted {
            sample: input.and_then(|input| Some(input.sample()?.name().to_string())),
            // A file of which nothing is selected has no group.
            entries: entries.get(&name).copied().unwrap_or_default(),
            name: input.map_or(name, |input| input.entry.location.display.clone()),
        }
    };
    Ok(table.files().into_iter().map(counted).collect())
}

/// The entries of each sample, in the order in which the samples were named.
fn by_sample(files: &[Counted]) -> Vec<(&str, u64)> {
    let mut samples: Vec<(&str, u64)> = Vec::new();
    for file in files {
        let name = file.sample.as_deref().unwrap_or(NO_SAMPLE);
        match samples.iter_mut().find(|(known, _)| *known == name) {
            Some((_, entries)) => *entries += file.entries,
            None => samples.push((name, file.entries)),
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
