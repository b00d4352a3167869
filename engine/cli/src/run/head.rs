//! `head`: the first entries of a tree, read without a query engine unless only some of them count.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{FieldRef, Fields, Schema, SchemaRef};
use futures::StreamExt;
use root_engine::{Layout, Ordered};
use root_reader::{NestedPlan, ScanOptions, Tree};

use super::sql::{TABLE, register};
use super::types::{counted, quoted};
use super::{Outcome, columns};
use crate::app::App;
use crate::args::HeadArgs;
use crate::exit::{Exit, Failure, did_you_mean};
use crate::inputs::{self, Wanted};
use crate::output::{self, Destination, Format};
use crate::progress;

/// Rows per batch; jagged rows can be long.
const BATCH_ROWS: u64 = 4096;

/// Writes the first entries.
pub async fn head(app: &App, args: &HeadArgs) -> Outcome {
    if inputs::are_selected(app, &args.input).await? {
        return selected(app, args).await;
    }
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
    let layout = app.settings.table.layout;
    let wanted = Some(named.as_slice()).filter(|_| !args.columns.is_empty());
    let view = View::of(first, layout, wanted)?;
    let unreadable = first.columns().iter().filter(|c| c.field().is_err()).count() as u64;
    if unreadable > 0 && args.columns.is_empty() {
        app.console.note(&format!("{} cannot be read; `root-query schema` says why", counted(unreadable, "branch")));
    }
    let schema = view.schema;
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
        let own = View::of(tree, layout, Some(&names)).ok().filter(|own| own.schema.fields() == schema.fields());
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
        let mut scan = tree.scan(&own.columns, 0..left, options)?;
        while let Some(batch) = scan.next_batch().await? {
            left -= (batch.num_rows() as u64).min(left);
            app.record.add_rows(batch.num_rows() as u64);
            writer.write(&beside(&own.view(batch)?, &with_samples, wanted)?)?;
        }
        app.record.add_bytes(metrics.bytes_read());
    }
    let note = writer.finish()?;
    drop(writer);
    conclude(app, to, note)
}

/// Writes the first of the entries that are selected, which takes a query.
async fn selected(app: &App, args: &HeadArgs) -> Outcome {
    let session = app.session();
    let mut bar = app.bar(progress::of_session(&session));
    let registered = register(app, &session, &args.input, &args.columns.join(" ")).await?;
    let schema = session.context().table_provider(TABLE).await?.schema();
    let unreadable = registered.table.as_ref().map_or(&[][..], |table| table.unreadable());
    let chosen = columns::select(&schema, &args.columns, unreadable)?;
    let names = chosen.iter().filter_map(|index| schema.fields().get(*index)).map(|field| quoted(field.name()));
    let sql = format!("SELECT {} FROM {TABLE}", names.collect::<Vec<_>>().join(", "));
    app.record.set_query(&sql);
    let rows = Ordered::new(session.sql(&sql).await?, app.settings.threads.get()).await?;
    let (mut to, format) = app.open(Format::Auto)?;
    let style = app.style(to.target(), 0);
    let mut writer = output::writer(format, rows.schema(), &mut to, style)?;
    let mut left = usize::try_from(args.entries).unwrap_or(usize::MAX);
    // One partition after the other: what lies behind the first entries is not to be read.
    let mut batches = rows.all(1);
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let batch = batch.slice(0, left.min(batch.num_rows()));
        left -= batch.num_rows();
        bar.stop();
        app.record.add_rows(batch.num_rows() as u64);
        writer.write(&batch)?;
        if left == 0 {
            break;
        }
    }
    let note = writer.finish()?;
    drop(writer);
    conclude(app, to, note)
}

/// Gives the output its name, and tells what its writer had to say.
fn conclude(app: &App, to: Destination, note: Option<String>) -> Outcome {
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

/// Some columns of a tree.
struct View {
    schema: SchemaRef,
    /// What the tree is scanned for.
    columns: Vec<usize>,
    nested: Option<NestedPlan>,
}

impl View {
    /// The columns of these names, or all.
    fn of(tree: &Tree, layout: Layout, names: Option<&[String]>) -> Result<Self, Failure> {
        let all = match layout {
            Layout::Flat => tree.schema(),
            Layout::Nested => tree.nested().schema(),
        };
        let index = |name: &String| all.index_of(name).map_err(|_| no_column(tree, &all, name));
        let projection: Vec<usize> = match names {
            None => (0..all.fields().len()).collect(),
            Some(names) => names.iter().map(index).collect::<Result<_, _>>()?,
        };
        let schema = all.project(&projection).map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
        Ok(match layout {
            Layout::Flat => Self { schema: Arc::new(schema), columns: projection, nested: None },
            Layout::Nested => {
                let plan = tree.nested().plan(schema.fields());
                Self { schema: plan.schema(), columns: plan.columns().to_vec(), nested: Some(plan) }
            }
        })
    }

    fn view(&self, scanned: RecordBatch) -> Result<RecordBatch, root_reader::Error> {
        match &self.nested {
            Some(plan) => plan.assemble(&scanned),
            None => Ok(scanned),
        }
    }
}

fn no_column(tree: &Tree, all: &Schema, name: &str) -> Failure {
    let column = tree.columns().iter().find(|c| c.name == *name);
    Failure::new(
        Exit::Query,
        match column.map(|c| c.field()) {
            Some(Err(reason)) => format!("column '{name}' cannot be read: {reason}"),
            _ => {
                let all = all.fields().iter().map(|field| field.name().as_str());
                format!("there is no column '{name}'{}", did_you_mean(name, all))
            }
        },
    )
}
