//! `diff`: what tells two trees apart, in their columns and in the values of each entry.

mod values;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use root_engine::{Ordered, RootSession, RootTable};

use self::values::Differences;
use super::skim::pieces;
use super::types::{arrow_type, counted, quoted};
use super::{Outcome, columns};
use crate::app::App;
use crate::args::DiffArgs;
use crate::exit::{Exit, Failure};
use crate::progress;

/// The names of the two tables.
const TABLES: [&str; 2] = ["a", "b"];

/// A line of the result.
#[derive(Debug, Default)]
struct Line {
    column: Option<String>,
    difference: &'static str,
    entries: Option<u64>,
    entry: Option<u64>,
    element: Option<String>,
    values: [Option<String>; 2],
}

/// Compares, and tells the differences.
pub async fn diff(app: &App, args: &DiffArgs) -> Outcome {
    let settings = &app.settings;
    if !settings.table.friends.is_empty() || !settings.files_from.is_empty() || !settings.datasets.is_empty() {
        return Err(Failure::usage(
            "diff compares the two trees that it names, without --friend, --files-from, --dataset",
        ));
    }
    let session = app.session();
    let mut bar = app.bar(progress::of_session(&session));
    let mut tables = Vec::new();
    for (name, spec) in TABLES.into_iter().zip([&args.first, &args.second]) {
        tables.push(session.register(name, std::slice::from_ref(spec), &settings.table).await?);
    }
    let [a, b] = tables.as_slice() else { return Ok(Exit::Ok) };
    let (mut lines, common) = compare_schemas(app, [a, b], &args.columns).await?;
    let counts = [a.entries(), b.entries()];
    if a.entries() != b.entries() {
        let values = counts.map(|count| Some(count.to_string()));
        lines.push(Line { difference: "number of entries", values, ..Line::default() });
    }
    lines.extend(compare_values(app, &session, &common).await?);
    bar.stop();
    let compared = format!(
        "{} and {} compared",
        counted(common.len() as u64, "column"),
        counted(a.entries().min(b.entries()), "entry")
    );
    let result = batch(&lines).map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
    app.emit(&result)?;
    let exit = app.conclude();
    match lines.len() as u64 {
        0 => app.console.plain(&format!("no difference; {compared}")),
        count => app.console.plain(&format!("{}; {compared}", counted(count, "difference"))),
    }
    Ok(if lines.is_empty() { exit } else { Exit::DIFFERENT })
}

/// Columns that only one has, or in another type, and the columns that are the same in both.
async fn compare_schemas(
    app: &App,
    tables: [&Arc<RootTable>; 2],
    patterns: &[String],
) -> Result<(Vec<Line>, Vec<FieldRef>), Failure> {
    let [a, b] = tables.map(|table| datafusion::catalog::TableProvider::schema(table.as_ref()));
    let only_b = b.fields().iter().filter(|field| a.fields().find(field.name()).is_none());
    let all = Schema::new(a.fields().iter().chain(only_b).cloned().collect::<Vec<_>>());
    let unreadable: Vec<(String, String)> = tables.iter().flat_map(|table| table.unreadable().to_vec()).collect();
    let chosen = columns::select(&all, patterns, &unreadable)?;
    for (column, reason) in &unreadable {
        app.console.warning(&format!("the branch {column} cannot be read and is not compared: {reason}"));
    }
    let mut lines = Vec::new();
    let mut common = Vec::new();
    for field in chosen.into_iter().filter_map(|index| all.fields().get(index)) {
        let types = [&a, &b].map(|schema: &SchemaRef| Some(schema.fields().find(field.name())?.1.clone()));
        let difference = match &types {
            [Some(a), Some(b)] if a.data_type() == b.data_type() => {
                common.push(field.clone());
                continue;
            }
            [Some(_), Some(_)] => "type",
            [Some(_), None] => "only in A",
            _ => "only in B",
        };
        // Where the readable names agree, what differs is in fields that they leave out.
        let shown = types.map(|field: Option<Arc<Field>>| field.map(|field| arrow_type(field.data_type())));
        lines.push(Line { column: Some(field.name().clone()), difference, values: shown, ..Line::default() });
    }
    Ok((lines, common))
}

/// Reads the columns of both, side by side.
async fn compare_values(app: &App, session: &RootSession, common: &[FieldRef]) -> Result<Vec<Line>, Failure> {
    if common.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = common.iter().map(|field| quoted(field.name())).collect();
    let mut sides = Vec::new();
    for table in TABLES {
        let rows = session.sql(&format!("SELECT {} FROM {table}", names.join(", "))).await?;
        sides.push(Side::new(Ordered::new(rows, pieces(app)).await?.all(app.settings.threads.get())));
    }
    let [a, b] = sides.as_mut_slice() else { return Ok(Vec::new()) };
    let mut found = vec![Differences::default(); common.len()];
    let mut entry = 0;
    loop {
        let count = a.waiting().await?.min(b.waiting().await?);
        if count == 0 {
            break;
        }
        let (mine, theirs) = (a.take(count), b.take(count));
        for (own, pair) in found.iter_mut().zip(mine.columns().iter().zip(theirs.columns())) {
            own.compare([pair.0, pair.1], entry);
        }
        entry += count as u64;
    }
    let different = common.iter().zip(found).filter(|(_, found)| found.entries > 0);
    let line = |(field, found): (&FieldRef, Differences)| {
        let (entry, place) = found.first?;
        Some(Line {
            column: Some(field.name().clone()),
            difference: "values",
            entries: Some(found.entries),
            entry: Some(entry),
            element: Some(place.element).filter(|element| !element.is_empty()),
            values: place.values.map(Some),
        })
    };
    Ok(different.filter_map(line).collect())
}

/// The rows of one tree, taken in numbers that suit the other.
struct Side {
    batches: SendableRecordBatchStream,
    rest: Option<RecordBatch>,
}

impl Side {
    fn new(batches: SendableRecordBatchStream) -> Self {
        Self { batches, rest: None }
    }

    /// How many rows are at hand; none at the end.
    async fn waiting(&mut self) -> Result<usize, Failure> {
        loop {
            if let Some(rest) = self.rest.as_ref().filter(|rest| rest.num_rows() > 0) {
                return Ok(rest.num_rows());
            }
            match self.batches.next().await {
                Some(batch) => self.rest = Some(batch?),
                None => return Ok(0),
            }
        }
    }

    /// Takes so many of the rows at hand.
    fn take(&mut self, count: usize) -> RecordBatch {
        let Some(rest) = self.rest.take() else { return RecordBatch::new_empty(self.batches.schema()) };
        let count = count.min(rest.num_rows());
        self.rest = Some(rest.slice(count, rest.num_rows() - count));
        rest.slice(0, count)
    }
}

fn batch(lines: &[Line]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let text =
        |of: &dyn Fn(&Line) -> Option<String>| Arc::new(lines.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let number =
        |of: &dyn Fn(&Line) -> Option<u64>| Arc::new(lines.iter().map(of).collect::<UInt64Array>()) as ArrayRef;
    let value = |line: &Line, side: usize| line.values.get(side).cloned().flatten();
    RecordBatch::try_from_iter_with_nullable([
        ("column", text(&|line| line.column.clone()), true),
        ("difference", text(&|line| Some(line.difference.to_string())), false),
        ("entries", number(&|line| line.entries), true),
        ("entry", number(&|line| line.entry), true),
        ("element", text(&|line| line.element.clone()), true),
        ("a", text(&|line| value(line, 0)), true),
        ("b", text(&|line| value(line, 1)), true),
    ])
}
