//! `head`: the first entries of a tree, read without a query engine.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{FieldRef, Fields, Schema, SchemaRef};
use root_reader::{ScanOptions, Tree};

use super::Outcome;
use super::types::counted;
use crate::app::App;
use crate::args::HeadArgs;
use crate::exit::{Exit, Failure, did_you_mean};
use crate::inputs::{self, Wanted};
use crate::output::{self, Format};

/// Rows per batch; jagged rows can be long.
const BATCH_ROWS: u64 = 4096;

/// Writes the first entries.
pub async fn head(app: &App, args: &HeadArgs) -> Outcome {
    let trees = inputs::trees(app, &args.input).await?;
    let Some((_, first)) = trees.first() else {
        return Err(Failure::new(Exit::Input, "none of the files can be read"));
    };
    let known = trees.iter().find_map(|(wanted, _)| wanted.sample.as_ref()).map(|sample| sample.columns().clone());
    let known = known.unwrap_or_else(Fields::empty);
    let is_known = |name: &String| known.find(name).is_some();
    let (added, named): (Vec<String>, Vec<String>) = args.columns.iter().cloned().partition(is_known);
    let is_wanted = |field: &&FieldRef| args.columns.is_empty() || added.contains(field.name());
    let added: Fields = known.iter().filter(is_wanted).cloned().collect();
    let projection = if named.is_empty() && !added.is_empty() && !args.columns.is_empty() {
        Vec::new()
    } else {
        projection(first, &named)?
    };
    let unreadable = first.columns().iter().filter(|c| c.field().is_err()).count() as u64;
    if unreadable > 0 && args.columns.is_empty() {
        app.console.note(&format!("{} cannot be read; `root-query schema` says why", counted(unreadable, "branch")));
    }
    let schema = Arc::new(first.schema().project(&projection).map_err(|e| Failure::new(Exit::Query, e.to_string()))?);
    let (mut to, format) = app.open(Format::Auto)?;
    let style = app.style(to.target(), 0);
    let with_samples = Arc::new(Schema::new(schema.fields().iter().chain(&added).cloned().collect::<Vec<_>>()));
    let mut writer = output::writer(format, with_samples.clone(), &mut to, style)?;
    let mut left = args.entries;
    for (wanted, tree) in &trees {
        if left == 0 {
            break;
        }
        let names: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let own = match names.is_empty() {
            true => Some(Vec::new()),
            false => self::projection(tree, &names).ok(),
        };
        let own = own.filter(|own| tree.schema().project(own).is_ok_and(|own| own.fields() == schema.fields()));
        let Some(own) = own else {
            return Err(Failure::new(
                Exit::Input,
                format!("{} has other columns than the first file; name --columns, or use sql", wanted.name()),
            ));
        };
        let options = ScanOptions {
            batch_rows: left.min(BATCH_ROWS) as usize,
            metrics: Arc::default(),
            ..ScanOptions::default()
        };
        let metrics = options.metrics.clone();
        let mut scan = tree.scan(&own, 0..left, options)?;
        while let Some(batch) = scan.next_batch().await? {
            left -= (batch.num_rows() as u64).min(left);
            app.record.add_rows(batch.num_rows() as u64);
            writer.write(&beside(&batch, &with_samples, wanted)?)?;
        }
        app.record.add_bytes(metrics.bytes_read());
    }
    let note = writer.finish()?;
    drop(writer);
    to.commit()?;
    if let Some(note) = note {
        app.console.note(&note);
    }
    Ok(app.conclude())
}

/// A batch with what is known of the sample that its file belongs to.
fn beside(batch: &RecordBatch, schema: &SchemaRef, wanted: &Wanted) -> Result<RecordBatch, Failure> {
    let mut columns = batch.columns().to_vec();
    for field in schema.fields().iter().skip(batch.num_columns()) {
        let value = wanted.sample.as_ref().and_then(|sample| {
            let at = sample.columns().iter().position(|column| column.name() == field.name())?;
            sample.values().get(at)
        });
        columns.push(match value {
            Some(value) => value.to_array_of_size(batch.num_rows())?,
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|e| Failure::new(Exit::Query, e.to_string()))
}

/// The columns that were named, or all, as indices into the tree's schema.
fn projection(tree: &Tree, names: &[String]) -> Result<Vec<usize>, Failure> {
    let schema = tree.schema();
    if names.is_empty() {
        return Ok((0..schema.fields().len()).collect());
    }
    let index = |name: &String| {
        schema.index_of(name).map_err(|_| {
            let column = tree.columns().iter().find(|c| c.name == *name);
            Failure::new(
                Exit::Query,
                match column.map(|c| c.field()) {
                    Some(Err(reason)) => format!("column '{name}' cannot be read: {reason}"),
                    _ => {
                        let all = tree.columns().iter().map(|c| c.name.as_str());
                        format!("there is no column '{name}'{}", did_you_mean(name, all))
                    }
                },
            )
        })
    };
    names.iter().map(index).collect()
}
