//! One schema for many files: the union of their columns by name, in the order in which they first appear, each in the type
//! that all files' values fit into.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef};

use crate::error::Error;
use crate::merge::common_type;

/// A column, or a member of one as `column/member`, that files lack of those that other files have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Absent {
    pub column: String,
    /// How many files lack it.
    pub files: usize,
    /// One of them.
    pub example: String,
}

/// A column, or a member of one, that a file has in a smaller type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Widened {
    pub column: String,
    /// The type of the table.
    pub to: DataType,
    /// Its type in the example.
    pub from: DataType,
    pub example: String,
}

/// The schema of a table, and how its files differ from it.
#[derive(Debug)]
pub(crate) struct Union {
    pub schema: SchemaRef,
    pub absent: Vec<Absent>,
    pub widened: Vec<Widened>,
}

/// Files in a row with the same columns.
struct Alike<'a> {
    schema: &'a SchemaRef,
    first: &'a str,
    files: usize,
}

/// Merges schemas, each with the file that it comes from.
pub(crate) fn union<'a>(schemas: impl Iterator<Item = (&'a str, &'a SchemaRef)>) -> Result<Union, Error> {
    // Files of one data set mostly agree; their columns are looked at once.
    let mut alike: Vec<Alike<'a>> = Vec::new();
    for (file, schema) in schemas {
        match alike.last_mut() {
            Some(last) if Arc::ptr_eq(last.schema, schema) || last.schema == schema => last.files += 1,
            _ => alike.push(Alike { schema, first: file, files: 1 }),
        }
    }
    let mut fields: Vec<(FieldRef, &str)> = Vec::new();
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    for Alike { schema, first: file, .. } in &alike {
        for field in schema.fields() {
            let Some((known, first)) = by_name.get(field.name().as_str()).and_then(|at| fields.get_mut(*at)) else {
                by_name.insert(field.name(), fields.len());
                fields.push((field.clone(), file));
                continue;
            };
            if known.data_type() == field.data_type() {
                continue;
            }
            let Some(common) = common_type(known.data_type(), field.data_type()) else {
                return Err(Error::TypeConflict {
                    column: field.name().clone(),
                    first_file: (*first).to_string(),
                    first_type: known.data_type().to_string(),
                    second_file: (*file).to_string(),
                    second_type: field.data_type().to_string(),
                });
            };
            *known = Arc::new(known.as_ref().clone().with_data_type(common));
        }
    }
    let fields: Fields = fields.into_iter().map(|(field, _)| field).collect();
    let mut differences = Differences::default();
    for file in &alike {
        let own: HashMap<&str, &FieldRef> = file.schema.fields().iter().map(|f| (f.name().as_str(), f)).collect();
        differences.note(&fields, |name| own.get(name).copied(), "", file);
    }
    let Differences { mut absent, widened, .. } = differences;
    let mut places = HashMap::new();
    number(&fields, "", &mut places);
    absent.sort_by_key(|absent| places.get(&absent.column).copied());
    Ok(Union { schema: Arc::new(Schema::new(fields)), absent, widened })
}

/// Numbers columns and members in the order of the schema.
fn number(fields: &Fields, above: &str, places: &mut HashMap<String, usize>) {
    for field in fields {
        let path = format!("{above}{}", field.name());
        let members = members_of(field.data_type());
        places.insert(path.clone(), places.len());
        number(members, &format!("{path}/"), places);
    }
}

/// The members of a struct, or of the structs in a list or map.
fn members_of(data_type: &DataType) -> &Fields {
    static NONE: LazyLock<Fields> = LazyLock::new(Fields::empty);
    match data_type {
        DataType::Struct(fields) => fields,
        DataType::List(item) | DataType::FixedSizeList(item, _) | DataType::Map(item, _) => {
            members_of(item.data_type())
        }
        _ => &NONE,
    }
}

/// How files differ from the union, by the paths of columns and members.
#[derive(Default)]
struct Differences {
    absent: Vec<Absent>,
    absent_at: HashMap<String, usize>,
    widened: Vec<Widened>,
}

impl Differences {
    fn note<'f>(&mut self, union: &Fields, own: impl Fn(&str) -> Option<&'f FieldRef>, above: &str, file: &Alike<'_>) {
        for field in union {
            let path = || format!("{above}{}", field.name());
            match own(field.name()) {
                None => {
                    let at = *self.absent_at.entry(path()).or_insert(self.absent.len());
                    match self.absent.get_mut(at) {
                        Some(known) => known.files += file.files,
                        None => self.absent.push(Absent {
                            column: path(),
                            files: file.files,
                            example: file.first.to_string(),
                        }),
                    }
                }
                Some(own) if own.data_type() != field.data_type() => {
                    self.compare(field.data_type(), own.data_type(), &path(), file);
                }
                Some(_) => {}
            }
        }
    }

    fn compare(&mut self, union: &DataType, own: &DataType, path: &str, file: &Alike<'_>) {
        match (union, own) {
            (DataType::Struct(union), DataType::Struct(own)) => {
                self.note(union, |name| own.find(name).map(|(_, field)| field), &format!("{path}/"), file);
            }
            (DataType::List(union), DataType::List(own))
            | (DataType::FixedSizeList(union, _), DataType::FixedSizeList(own, _))
            | (DataType::Map(union, _), DataType::Map(own, _)) => {
                self.compare(union.data_type(), own.data_type(), path, file);
            }
            (union, own) if union != own && !self.widened.iter().any(|known| known.column == path) => {
                let (to, from) = (union.clone(), own.clone());
                self.widened.push(Widened { column: path.to_string(), to, from, example: file.first.to_string() });
            }
            _ => {}
        }
    }
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
        let Union { schema, absent, widened } = union(files.into_iter()).unwrap();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["run", "MET_pt", "HLT_x"]);
        assert_eq!(absent[0], Absent { column: "MET_pt".into(), files: 1, example: "b".into() });
        assert_eq!(absent[1], Absent { column: "HLT_x".into(), files: 2, example: "a".into() });
        assert_eq!(widened, []);
    }

    #[test]
    fn a_conflict_names_both_files_and_types() {
        let a = schema(&[("nMuon", DataType::UInt64)]);
        let b = schema(&[("nMuon", DataType::Int64)]);
        let error = union([("a.root", &a), ("b.root", &b)].into_iter()).unwrap_err().to_string();
        for part in ["nMuon", "a.root", "b.root", "UInt64", "Int64"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn members_are_united_and_what_differs_is_told_by_its_path() {
        let structure =
            |members: &[(&str, DataType)]| DataType::new_list(DataType::Struct(schema(members).fields().clone()), true);
        let a = schema(&[("items", structure(&[("a", DataType::Int32), ("gone", DataType::Int16)]))]);
        let b = schema(&[("items", structure(&[("label", DataType::Utf8), ("a", DataType::Int64)]))]);
        let files = [("a", &a), ("b", &b), ("b2", &b)];
        let Union { schema: made, absent, widened } = union(files.into_iter()).unwrap();
        let all = [("a", DataType::Int64), ("gone", DataType::Int16), ("label", DataType::Utf8)];
        assert_eq!(made.field(0).data_type(), &structure(&all));
        assert_eq!(absent[0], Absent { column: "items/gone".into(), files: 2, example: "b".into() });
        assert_eq!(absent[1], Absent { column: "items/label".into(), files: 1, example: "a".into() });
        let (to, from) = (DataType::Int64, DataType::Int32);
        assert_eq!(widened, [Widened { column: "items/a".into(), to, from, example: "a".into() }]);
    }
}
