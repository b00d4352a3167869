//! `count`: entries, from the trees' metadata.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};

use super::Outcome;
use crate::app::App;
use crate::args::CountArgs;
use crate::exit::{Exit, Failure};
use crate::inputs;
use crate::output::{Format, Target};

/// Prints the number of entries of all files together, or of each.
pub async fn count(app: &App, args: &CountArgs) -> Outcome {
    let trees = inputs::trees(app, &args.input).await?;
    let total: u64 = trees.iter().map(|(_, tree)| tree.entries()).sum();
    let bare = app.settings.format == Format::Auto && matches!(app.target(), Target::Stdout { .. });
    if bare && !args.by_file {
        app.emit_text(&format!("{total}\n"))?;
        return Ok(app.conclude());
    }
    let columns: Vec<(&str, ArrayRef)> = if args.by_file {
        let names: StringArray = trees.iter().map(|(wanted, _)| Some(wanted.name())).collect();
        let entries: UInt64Array = trees.iter().map(|(_, tree)| Some(tree.entries())).collect();
        vec![("file", Arc::new(names)), ("entries", Arc::new(entries))]
    } else {
        vec![("entries", Arc::new(UInt64Array::from(vec![total])))]
    };
    let batch = RecordBatch::try_from_iter(columns).map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
    app.emit(&batch)?;
    Ok(app.conclude())
}
