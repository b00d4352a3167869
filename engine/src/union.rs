//! One schema for many files: the union of their columns by name, in the order in which they first appear.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};

use crate::error::Error;

/// The columns that a file lacks, of those that other files have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Absent {
    pub column: String,
    /// How many files lack it.
    pub files: usize,
    /// One of them.
    pub example: String,
}

/// Merges schemas, each with the file that it comes from.
pub(crate) fn union<'a>(
    schemas: impl Iterator<Item = (&'a str, &'a SchemaRef)> + Clone,
) -> Result<(SchemaRef, Vec<Absent>), Error> {
    let mut fields: Vec<(FieldRef, &str, usize)> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    let mut total = 0;
    let mut previous: Option<&SchemaRef> = None;
    let mut repeats = 0;
    let mut counts: Vec<(&SchemaRef, usize)> = Vec::new();
    for (file, schema) in schemas.clone() {
        total += 1;
        if previous.is_some_and(|p| Arc::ptr_eq(p, schema) || p == schema) {
            // Files of one data set mostly agree; their columns are counted together.
            repeats += 1;
            continue;
        }
        if let Some(last) = previous.replace(schema) {
            counts.push((last, repeats));
        }
        repeats = 1;
        for field in schema.fields() {
            match by_name.get(field.name()).and_then(|i| fields.get(*i)) {
                Some((known, first, _)) if known.data_type() != field.data_type() => {
                    return Err(Error::TypeConflict {
                        column: field.name().clone(),
                        first_file: (*first).to_string(),
                        first_type: known.data_type().to_string(),
                        second_file: file.to_string(),
                        second_type: field.data_type().to_string(),
                    });
                }
                Some(_) => {}
                None => {
                    by_name.insert(field.name().clone(), fields.len());
                    fields.push((field.clone(), file, 0));
                }
            }
        }
    }
    counts.extend(previous.map(|last| (last, repeats)));
    for (schema, files) in counts {
        for field in schema.fields() {
            if let Some((_, _, count)) = by_name.get(field.name()).and_then(|i| fields.get_mut(*i)) {
                *count += files;
            }
        }
    }
    let mut absent = Vec::new();
    for (field, _, count) in fields.iter().filter(|(_, _, count)| *count < total) {
        let lacks = |schema: &SchemaRef| schema.field_with_name(field.name()).is_err();
        let example = schemas.clone().find(|(_, schema)| lacks(schema)).map(|(file, _)| file);
        absent.push(Absent {
            column: field.name().clone(),
            files: total - count,
            example: example.unwrap_or_default().to_string(),
        });
    }
    let schema = Schema::new(fields.into_iter().map(|(field, ..)| field).collect::<Vec<_>>());
    Ok((Arc::new(schema), absent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::{DataType, Field};

    fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
        Arc::new(Schema::new(fields.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>()))
    }

    #[test]
    fn columns_keep_the_order_in_which_they_first_appear() {
        let a = schema(&[("run", DataType::Int32), ("MET_pt", DataType::Float32)]);
        let b = schema(&[("HLT_x", DataType::Boolean), ("run", DataType::Int32)]);
        let files = [("a", &a), ("a2", &a), ("b", &b)];
        let (union, absent) = union(files.into_iter()).unwrap();
        let names: Vec<&str> = union.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["run", "MET_pt", "HLT_x"]);
        assert_eq!(absent[0], Absent { column: "MET_pt".into(), files: 1, example: "b".into() });
        assert_eq!(absent[1], Absent { column: "HLT_x".into(), files: 2, example: "a".into() });
    }

    #[test]
    fn a_conflict_names_both_files_and_types() {
        let a = schema(&[("nMuon", DataType::UInt32)]);
        let b = schema(&[("nMuon", DataType::Int32)]);
        let error = union([("a.root", &a), ("b.root", &b)].into_iter()).unwrap_err().to_string();
        for part in ["nMuon", "a.root", "b.root", "UInt32", "Int32"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
