//! `schema`: the columns of a tree, as a listing, as SQL that makes the table, or as JSON.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use root_engine::{Layout, common_type};
use root_reader::{ListedFriend, Tree};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::Outcome;
use super::print_schema;
use super::types::{arrow_type, counted, quoted};
use crate::app::App;
use crate::args::InputArgs;
use crate::console::printable;
use crate::exit::{Exit, Failure};
use crate::inputs::{self, Wanted};
use crate::output::{Format, Target};

/// The columns of all files together.
#[derive(Serialize)]
struct Listing {
    tree: String,
    entries: u64,
    files: Vec<String>,
    /// What the first file lists, as information only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    friends: Vec<Friend>,
    columns: Vec<Column>,
    #[serde(skip)]
    layout: Layout,
}

#[derive(Serialize)]
struct Friend {
    alias: String,
    tree: String,
    file: String,
}

#[derive(Clone, Serialize)]
struct Column {
    name: String,
    cpp_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrow_type: Option<String>,
    /// Why the branch cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    /// Files that lack it, where their values are NULL.
    #[serde(skip_serializing_if = "is_zero")]
    absent_from: usize,
    #[serde(skip)]
    data_type: Option<DataType>,
}

impl Friend {
    fn new(listed: &ListedFriend) -> Self {
        Self { alias: listed.alias.clone(), tree: listed.tree.clone(), file: listed.file.clone() }
    }

    /// As `--friend` would take it.
    fn spec(&self, own_file: &str) -> String {
        let file = if self.file.is_empty() { own_file } else { &self.file };
        format!("{file}:{} AS {}", self.tree, self.alias)
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Prints the columns.
pub async fn schema(app: &App, input: &InputArgs) -> Outcome {
    let trees = inputs::trees(app, input).await?;
    let Some((_, first)) = trees.first() else {
        return Err(Failure::new(Exit::Input, "none of the files can be read"));
    };
    let listing = Listing {
        tree: first.path().to_string(),
        entries: trees.iter().map(|(_, tree)| tree.entries()).sum(),
        files: trees.iter().map(|(wanted, _)| wanted.name().to_string()).collect(),
        friends: first.listed_friends().iter().map(Friend::new).collect(),
        columns: [columns(&trees, app.settings.table.layout)?, sample_columns(&trees)].concat(),
        layout: app.settings.table.layout,
    };
    let to_stdout = matches!(app.target()?, Target::Stdout { .. });
    let broken = |e: std::fmt::Error| Failure::new(Exit::Query, e.to_string());
    match app.settings.format {
        Format::Tree => app.emit_text(&as_text(&listing).map_err(broken)?)?,
        Format::Auto if to_stdout => app.emit_text(&as_text(&listing).map_err(broken)?)?,
        Format::Ddl => app.emit_text(&as_ddl(&listing, &inputs::specs(app, &input.files)?).map_err(broken)?)?,
        Format::Json => app.emit_text(&as_json(&listing)?)?,
        Format::Auto if app.target()?.extension().is_some_and(|e| e == "json") => app.emit_text(&as_json(&listing)?)?,
        _ => {
            let batch = as_batch(&listing).map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
            app.emit(&batch)?;
        }
    }
    Ok(app.conclude())
}

/// The columns that a dataset file adds.
fn sample_columns(trees: &[(Wanted, Tree)]) -> Vec<Column> {
    let Some(sample) = trees.iter().find_map(|(wanted, _)| wanted.sample.as_ref()) else { return Vec::new() };
    let absent_from = trees.iter().filter(|(wanted, _)| wanted.sample.is_none()).count();
    let column = |field: &FieldRef| Column {
        name: field.name().clone(),
        cpp_type: "(dataset)".into(),
        arrow_type: Some(arrow_type(field.data_type())),
        unreadable: None,
        absent_from,
        data_type: Some(field.data_type().clone()),
    };
    sample.columns().iter().map(column).collect()
}

/// A column of one file.
struct Own<'a> {
    name: Cow<'a, str>,
    cpp_type: &'a str,
    data_type: Result<DataType, &'a str>,
}

/// The columns of a tree, those that cannot be read included, and such members of objects as `column.member`.
fn own_columns(tree: &Tree, layout: Layout) -> Vec<Own<'_>> {
    let flat = tree.columns().iter().map(|column| Own {
        name: column.name.as_str().into(),
        cpp_type: &column.cpp_type,
        data_type: column.field().map(|field| field.data_type().clone()),
    });
    let omitted = tree.columns().iter().flat_map(|column| {
        column.omitted().iter().map(|(member, reason)| Own {
            name: format!("{}.{member}", column.name).into(),
            cpp_type: "",
            data_type: Err(reason),
        })
    });
    let mut own: Vec<Own<'_>> = match layout {
        Layout::Flat => flat.collect(),
        Layout::Nested => {
            // Groups of branches have no C++ type of their own.
            let cpp_types: HashMap<&str, &str> =
                tree.columns().iter().map(|column| (column.name.as_str(), column.cpp_type.as_str())).collect();
            let cpp_type = |name: &str| cpp_types.get(name).copied().unwrap_or_default();
            let nested = tree.nested().fields().iter().map(|field| Own {
                name: field.name().as_str().into(),
                cpp_type: cpp_type(field.name()),
                data_type: Ok(field.data_type().clone()),
            });
            // A group can have the name of a branch that is only the interface to it.
            let is_new = |column: &Own<'_>| tree.nested().fields().find(&column.name).is_none();
            nested.chain(flat.filter(|column| column.data_type.is_err()).filter(is_new)).collect()
        }
    };
    own.extend(omitted);
    own
}

/// The union of the columns of all files, in the order in which they first appear.
fn columns(trees: &[(Wanted, Tree)], layout: Layout) -> Result<Vec<Column>, Failure> {
    struct Known<'a> {
        file: &'a str,
        column: Column,
        files: usize,
    }
    let mut all: Vec<Known<'_>> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (wanted, tree) in trees {
        for own in own_columns(tree, layout) {
            let Some(known) = by_name.get(own.name.as_ref()).and_then(|index| all.get_mut(*index)) else {
                by_name.insert(own.name.to_string(), all.len());
                let column = Column {
                    name: own.name.to_string(),
                    cpp_type: own.cpp_type.to_string(),
                    arrow_type: None,
                    unreadable: own.data_type.as_ref().err().map(ToString::to_string),
                    absent_from: 0,
                    data_type: own.data_type.ok(),
                };
                all.push(Known { file: wanted.name(), column, files: 1 });
                continue;
            };
            known.files += 1;
            let Ok(second) = own.data_type else { continue };
            known.column.data_type = match known.column.data_type.take() {
                None => {
                    known.column.unreadable = None;
                    Some(second)
                }
                Some(first) => Some(common_type(&first, &second).ok_or_else(|| root_engine::Error::TypeConflict {
                    column: own.name.to_string(),
                    first_file: known.file.to_string(),
                    first_type: arrow_type(&first),
                    second_file: wanted.name().to_string(),
                    second_type: arrow_type(&second),
                })?),
            };
        }
    }
    let finish = |known: Known<'_>| Column {
        absent_from: trees.len() - known.files,
        arrow_type: known.column.data_type.as_ref().map(arrow_type),
        ..known.column
    };
    Ok(all.into_iter().map(finish).collect())
}

/// The listing that a terminal shows.
fn as_text(listing: &Listing) -> Result<String, std::fmt::Error> {
    match listing.layout {
        Layout::Flat => as_tree(listing),
        Layout::Nested => as_printed_schema(listing),
    }
}

/// As Spark prints schemas; what cannot be read stands at the end.
fn as_printed_schema(listing: &Listing) -> Result<String, std::fmt::Error> {
    let readable: Vec<Field> = listing
        .columns
        .iter()
        .filter_map(|column| Some(Field::new(&column.name, column.data_type.clone()?, true)))
        .collect();
    let mut text = format!("root\n{}", print_schema::columns(&readable));
    for column in listing.columns.iter().filter(|column| column.data_type.is_none()) {
        let reason = column.unreadable.as_deref().unwrap_or("unknown type");
        writeln!(text, " |-- {}: ! cannot be read: {}", printable(&column.name), printable(reason))?;
    }
    Ok(text)
}

fn as_tree(listing: &Listing) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let entries = counted(listing.entries, "entry");
    let (columns, files) =
        (counted(listing.columns.len() as u64, "column"), counted(listing.files.len() as u64, "file"));
    writeln!(text, "{}: {entries} and {columns} in {files}", printable(&listing.tree))?;
    // One very long name should not push all types to the right.
    let width = |of: fn(&Column) -> &str| listing.columns.iter().map(|c| of(c).width()).max().unwrap_or(0).min(40);
    let (name_width, cpp_width) = (width(|c| &c.name), width(|c| &c.cpp_type));
    for column in &listing.columns {
        let (name, cpp_type) = (printable(&column.name), printable(&column.cpp_type));
        let fill = |text: &str, width: usize| " ".repeat(width.saturating_sub(text.width()));
        write!(text, " |-- {name}{}  {cpp_type}{}  ", fill(&name, name_width), fill(&cpp_type, cpp_width))?;
        match (&column.arrow_type, &column.unreadable) {
            (Some(readable), _) => write!(text, "{readable}")?,
            (None, reason) => {
                write!(text, "! cannot be read: {}", printable(reason.as_deref().unwrap_or("unknown type")))?;
            }
        }
        if column.absent_from > 0 {
            write!(text, "  (NULL in {} of {files})", column.absent_from)?;
        }
        text.push('\n');
    }
    let own_file = listing.files.first().map(String::as_str).unwrap_or_default();
    for friend in &listing.friends {
        writeln!(text, "lists the friend {}, which is not followed", printable(&friend.spec(own_file)))?;
    }
    Ok(text)
}

/// A statement that `root-query sql` takes as it is; the columns stand in a comment, as the files know them better.
fn as_ddl(listing: &Listing, specs: &[String]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let name = listing.tree.rsplit('/').next().unwrap_or(&listing.tree);
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let comment = |text: &str| printable(text).replace(['\n', '\r'], " ");
    writeln!(text, "-- {} in {}", counted(listing.entries, "entry"), counted(listing.files.len() as u64, "file"))?;
    writeln!(text, "-- Columns:")?;
    for column in &listing.columns {
        let (name, cpp_type) = (comment(&quoted(&column.name)), comment(&column.cpp_type));
        match (&column.arrow_type, &column.unreadable) {
            (Some(readable), _) => writeln!(text, "--   {name} {readable}  ({cpp_type})")?,
            (None, reason) => {
                let reason = comment(reason.as_deref().unwrap_or("unknown type"));
                writeln!(text, "--   {name} cannot be read: {reason}  ({cpp_type})")?;
            }
        }
    }
    let paths: Vec<String> = specs.iter().map(|spec| literal(eos_io::split_object(spec).0)).collect();
    let location = match paths.as_slice() {
        [one] => one.clone(),
        several => format!("({})", several.join(", ")),
    };
    writeln!(text, "CREATE EXTERNAL TABLE {}", quoted(name))?;
    writeln!(text, "STORED AS ROOT")?;
    writeln!(text, "LOCATION {location}")?;
    let layout = match listing.layout {
        Layout::Flat => "",
        Layout::Nested => ", 'layout' 'nested'",
    };
    writeln!(text, "OPTIONS ('tree' {}{layout});", literal(&listing.tree))?;
    Ok(text)
}

fn as_json(listing: &Listing) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(listing).map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
    Ok(text + "\n")
}

fn as_batch(listing: &Listing) -> Result<RecordBatch, arrow::error::ArrowError> {
    let text =
        |of: fn(&Column) -> Option<&str>| Arc::new(listing.columns.iter().map(of).collect::<StringArray>()) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([
        ("column", text(|c| Some(&c.name)), false),
        ("cpp_type", text(|c| Some(&c.cpp_type)), false),
        ("arrow_type", text(|c| c.arrow_type.as_deref()), true),
        ("unreadable", text(|c| c.unreadable.as_deref()), true),
    ])
}
