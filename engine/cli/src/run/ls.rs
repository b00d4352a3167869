//! `ls`: the objects of a file.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt16Array, UInt64Array};
use root_reader::{Key, RootFile};

use super::Outcome;
use crate::app::App;
use crate::args::LsArgs;
use crate::exit::{Exit, Failure, did_you_mean};
use crate::inputs::{self, Wanted};

/// One object.
struct Line {
    file: String,
    key: Key,
    entries: Option<u64>,
    stored: u64,
    raw: u64,
}

/// Lists what is in each file, or in the directory of it that was named.
pub async fn ls(app: &App, args: &LsArgs) -> Outcome {
    let mut lines = Vec::new();
    let wanted = inputs::find(app, &args.files, None).await?;
    let several = wanted.len() > 1;
    for wanted in wanted {
        let file = match wanted.open().await {
            Ok(file) => file,
            Err(error) => {
                inputs::skip_or_fail(app, &wanted, error)?;
                continue;
            }
        };
        inputs::record(app, &wanted, 0, file.warnings().to_vec());
        for key in select(&wanted, &file, args.recursive)? {
            lines.push(line(app, &wanted, &file, key, args.long).await);
        }
    }
    let batch = batch(&lines, args.long, several).map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
    app.emit(&batch)?;
    Ok(app.conclude())
}

/// The keys that are asked for.
fn select<'a>(wanted: &Wanted, file: &'a RootFile, recursive: bool) -> Result<Vec<&'a Key>, Failure> {
    // Class descriptions are part of the container, not of what was stored.
    let keys = || file.keys().iter().filter(|key| key.path != "StreamerInfo");
    let Some(object) = wanted.object.as_deref().map(|o| o.trim_matches('/')).filter(|o| !o.is_empty()) else {
        return Ok(keys().filter(|key| recursive || !key.path.contains('/')).collect());
    };
    let (name, cycle) = match object.rsplit_once(';') {
        Some((name, cycle)) if cycle.parse::<u16>().is_ok() => (name, cycle.parse::<u16>().ok()),
        _ => (object, None),
    };
    let prefix = format!("{name}/");
    let within: Vec<&Key> = keys()
        .filter(|key| key.path.strip_prefix(&prefix).is_some_and(|rest| recursive || !rest.contains('/')))
        .collect();
    if !within.is_empty() {
        return Ok(within);
    }
    let itself: Vec<&Key> =
        keys().filter(|key| key.path == name && cycle.is_none_or(|cycle| key.cycle == cycle)).collect();
    if itself.is_empty() {
        let hint = did_you_mean(name, keys().map(|key| key.path.as_str()));
        return Err(Failure::new(Exit::Input, format!("{}: there is no '{object}'{hint}", wanted.name())));
    }
    // An empty directory has nothing to list.
    Ok(itself.into_iter().filter(|key| !key.class.starts_with("TDirectory")).collect())
}

async fn line(app: &App, wanted: &Wanted, file: &RootFile, key: &Key, long: bool) -> Line {
    let mut line = Line {
        file: wanted.name().to_string(),
        key: key.clone(),
        entries: None,
        stored: u64::from(key.stored_bytes),
        raw: u64::from(key.object_bytes),
    };
    if long && key.is_tree() {
        match file.tree_of(key).await {
            Ok(tree) => {
                // The key holds the description of a tree; its data lie in the baskets.
                line.entries = Some(tree.entries());
                line.stored += tree.branches().iter().map(|b| b.zip_bytes).sum::<u64>();
                line.raw += tree.branches().iter().map(|b| b.total_bytes).sum::<u64>();
            }
            // The rest of the listing is still of use.
            Err(error) => {
                app.ledger().warn(error.to_string());
            }
        }
    }
    line
}

fn batch(lines: &[Line], long: bool, several: bool) -> Result<RecordBatch, arrow::error::ArrowError> {
    let text = |of: fn(&Line) -> &str| Arc::new(lines.iter().map(|l| Some(of(l))).collect::<StringArray>()) as ArrayRef;
    let number = |of: fn(&Line) -> Option<u64>| Arc::new(lines.iter().map(of).collect::<UInt64Array>()) as ArrayRef;
    let mut columns: Vec<(&str, ArrayRef, bool)> = Vec::new();
    if several {
        columns.push(("file", text(|l| &l.file), false));
    }
    columns.push(("name", text(|l| &l.key.path), false));
    columns.push(("cycle", Arc::new(lines.iter().map(|l| Some(l.key.cycle)).collect::<UInt16Array>()), false));
    columns.push(("class", text(|l| &l.key.class), false));
    if long {
        columns.push(("entries", number(|l| l.entries), true));
        columns.push(("stored_bytes", number(|l| Some(l.stored)), false));
        columns.push(("raw_bytes", number(|l| Some(l.raw)), false));
        columns.push(("title", text(|l| &l.key.title), false));
    }
    RecordBatch::try_from_iter_with_nullable(columns)
}
