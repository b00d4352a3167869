//! The columns of a tree as objects: structs and lists of structs over the flat columns of `layout`. `objects` follows the
//! classes of split branches, `groups` the naming conventions of plain ones, and `plan` reads what a query wants of them.

mod groups;
mod narrow;
mod objects;
mod plan;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use crate::error::Place;
use crate::tree::Tree;

pub use plan::NestedPlan;

/// Key of the metadata that marks a struct as a base of the class that the struct around it is; the value is `true`.
pub const BASE: &str = "root.base";

/// The columns of a tree as objects.
///
/// A split object is a struct, and a split collection a list of structs, with the members of base classes in structs named
/// after them and marked as [`BASE`]s. Plain branches are grouped as the conventions of NanoAOD and of ATLAS's xAOD have it: `nMuon`, `Muon_pt`
/// and `Muon_eta` become `Muon`, a list of structs of `pt` and `eta`. Every other branch is the column that it is in
/// [`Tree::schema`], as are those of friends.
///
/// ```
/// # fn main() -> Result<(), root_reader::Error> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
/// use root_reader::{RootFile, ScanOptions};
///
/// let tree = RootFile::open_local(path)?.tree_blocking("Events")?;
/// let muon = tree.nested().schema().field_with_name("Muon").expect("a NanoAOD file").clone();
/// let plan = tree.nested().plan(&vec![muon].into());
/// for batch in tree.scan(plan.columns(), 0..100, ScanOptions::default())?.blocking() {
///     let muons = plan.assemble(&batch?)?;
///     assert_eq!(muons.schema().field(0).name(), "Muon");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Nested {
    schema: SchemaRef,
    /// How each field of the schema is put together.
    nodes: Vec<Node>,
    /// Stored bytes of each flat column.
    stored: Vec<u64>,
    place: Place,
}

/// How a column, or a member of a struct column, is put together.
#[derive(Debug, Clone)]
enum Node {
    /// A flat column as it is.
    Flat(usize),
    /// A struct of the same number of members as its type has fields.
    Struct(Vec<Node>),
    /// A list of which the columns of the element share the lengths.
    List {
        element: Element,
        /// The column that holds its lengths.
        counter: Option<usize>,
    },
}

/// How the elements of a list are put together.
#[derive(Debug, Clone)]
enum Element {
    /// The elements of a flat column of lists.
    Values(usize),
    Struct(Vec<Element>),
}

impl Tree {
    /// The columns of the tree as objects, found out when they are first asked for.
    pub fn nested(&self) -> &Nested {
        self.nested.get_or_init(|| Nested::of(self))
    }
}

impl Nested {
    fn of(tree: &Tree) -> Self {
        let (main, columns) = (&tree.alone().inner, &tree.columns);
        let members = groups::xaod(main, objects::columns(main, columns));
        let mut members = groups::nano(main, columns, members);
        members.extend(objects::of_friends(main, columns));
        let members = objects::with_own_names(members);
        let stored = |column: &usize| {
            let branch = columns.scanned(*column).and_then(|c| tree.branches().get(c.branch));
            branch.map_or(u64::MAX, |b| b.zip_bytes)
        };
        let scanned = columns.readable.len() + columns.counts.len();
        let fields: Fields = members.iter().map(|m| m.field.clone()).collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            nodes: members.into_iter().map(|m| m.node).collect(),
            stored: (0..scanned).map(|column| stored(&column)).collect(),
            place: tree.place(),
        }
    }

    /// The columns as objects. All columns and members of objects are nullable, as a file need not have them all.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The fields of [`Nested::schema`].
    pub fn fields(&self) -> &Fields {
        self.schema.fields()
    }
}

/// A column, or a member of one, while the schema is made.
#[derive(Debug, Clone)]
struct Member {
    field: FieldRef,
    node: Node,
}

impl Member {
    fn new(name: &str, data_type: DataType, node: Node) -> Self {
        Self { field: Arc::new(Field::new(name, data_type, true)), node }
    }

    fn name(&self) -> &str {
        self.field.name()
    }

    /// Marks the struct of a base class.
    fn of_base(self) -> Self {
        let metadata = HashMap::from([(BASE.to_string(), "true".to_string())]);
        Self { field: Arc::new(self.field.as_ref().clone().with_metadata(metadata)), node: self.node }
    }

    fn renamed(self, name: &str) -> Self {
        Self { field: Arc::new(self.field.as_ref().clone().with_name(name)), node: self.node }
    }

    /// A struct; `None` without members.
    fn of_struct(name: &str, members: Vec<Member>) -> Option<Self> {
        if members.is_empty() {
            return None;
        }
        let fields: Fields = members.iter().map(|m| m.field.clone()).collect();
        let nodes = members.into_iter().map(|m| m.node).collect();
        Some(Self::new(name, DataType::Struct(fields), Node::Struct(nodes)))
    }

    /// A list of structs out of members of which each is a list, or a struct of such; the second part of the answer are
    /// those that are not.
    fn of_list(name: &str, members: Vec<Member>, counter: Option<usize>) -> (Option<Self>, Vec<Member>) {
        let (mut fields, mut elements, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for member in members {
            match member.element() {
                Some((data_type, element)) => {
                    fields.push(member.field.as_ref().clone().with_data_type(data_type));
                    elements.push(element);
                }
                None => others.push(member),
            }
        }
        if fields.is_empty() {
            return (None, others);
        }
        let item = Field::new_list_field(DataType::Struct(fields.into()), true);
        let node = Node::List { element: Element::Struct(elements), counter };
        (Some(Self::new(name, DataType::List(Arc::new(item)), node)), others)
    }

    /// What the elements of the member are, if it is a list or a struct of lists.
    fn element(&self) -> Option<(DataType, Element)> {
        element(self.field.data_type(), &self.node)
    }
}

fn element(data_type: &DataType, node: &Node) -> Option<(DataType, Element)> {
    match (node, data_type) {
        (Node::Flat(column), DataType::List(item)) => Some((item.data_type().clone(), Element::Values(*column))),
        (Node::List { element, .. }, DataType::List(item)) => Some((item.data_type().clone(), element.clone())),
        (Node::Struct(nodes), DataType::Struct(fields)) => {
            let members = fields.iter().zip(nodes).map(|(field, node)| {
                let (data_type, element) = element(field.data_type(), node)?;
                Some((field.as_ref().clone().with_data_type(data_type).with_nullable(true), element))
            });
            let (fields, elements): (Vec<Field>, Vec<Element>) =
                members.collect::<Option<Vec<_>>>()?.into_iter().unzip();
            Some((DataType::Struct(fields.into()), Element::Struct(elements)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::{Path, PathBuf};

    use arrow_array::cast::AsArray;
    use arrow_array::{ArrayRef, RecordBatch};

    use super::*;
    use crate::{Error, RootFile, ScanOptions};

    /// The flat columns of an element, each with the values that an array of elements has for it.
    fn values_of(element: &Element, array: &ArrayRef, found: &mut Vec<(usize, ArrayRef)>) {
        match element {
            Element::Values(column) => found.push((*column, array.clone())),
            Element::Struct(elements) => {
                elements.iter().zip(array.as_struct().columns()).for_each(|(e, a)| values_of(e, a, found));
            }
        }
    }

    /// Compares what stands below a nested column with the flat columns, and tells which these are.
    fn compare(node: &Node, array: &ArrayRef, flat: &RecordBatch, used: &mut Vec<usize>) {
        match node {
            Node::Flat(column) => {
                assert_eq!(array, flat.column(*column));
                used.push(*column);
            }
            Node::Struct(nodes) => {
                nodes.iter().zip(array.as_struct().columns()).for_each(|(n, a)| compare(n, a, flat, used));
            }
            Node::List { element, .. } => {
                let list = array.as_list::<i32>();
                let mut found = Vec::new();
                values_of(element, list.values(), &mut found);
                for (column, values) in found {
                    let own = flat.column(column).as_list::<i32>();
                    assert_eq!((own.offsets(), own.values()), (list.offsets(), &values));
                    used.push(column);
                }
            }
        }
    }

    fn check(file: &RootFile, tree: &str) {
        let Ok(tree) = file.tree_blocking(tree) else { return };
        let (schema, nested) = (tree.schema(), tree.nested());
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let plan = nested.plan(nested.fields());
        assert_eq!(plan.schema(), nested.schema());
        let scan = |columns: &[usize]| tree.scan(columns, 0..20, ScanOptions::default()).unwrap().blocking().next();
        let (Some(Ok(flat)), Some(Ok(batch))) = (scan(&all), scan(plan.columns())) else { return };
        let assembled = match plan.assemble(&batch) {
            Ok(assembled) => assembled,
            Err(Error::Uneven { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        let mut used = Vec::new();
        nested.nodes.iter().zip(assembled.columns()).for_each(|(n, a)| compare(n, a, &flat, &mut used));
        let distinct: HashSet<usize> = used.iter().copied().collect();
        assert_eq!(distinct.len(), used.len(), "{}: a column is there twice", tree.file_name());
        for left in all.iter().filter(|column| !distinct.contains(column)) {
            // Only the length of a list needs no column of its own, and a struct without members.
            let name = schema.field(*left).name();
            if matches!(schema.field(*left).data_type(), DataType::Struct(members) if members.is_empty()) {
                continue;
            }
            // The interface to auxiliary data has given its name to what they are put together in.
            if nested.fields().find(name).is_some() {
                continue;
            }
            let list = name.strip_prefix('n').and_then(|list| nested.schema.field_with_name(list).ok().cloned());
            let is_list = list.is_some_and(|list| matches!(list.data_type(), DataType::List(_)));
            assert!(is_list, "{}: {name} is left out", tree.file_name());
        }
    }

    #[test]
    #[allow(clippy::print_stderr, reason = "a test that did not look everywhere says so")]
    fn every_flat_column_is_in_one_nested_column_with_its_values() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let beside = ["corpus/files", "aod", "aod/sink", "aod/evo"].map(|dir| root.join("../../shared").join(dir));
        let mut folders = vec![root.join("tests/fixtures"), root.join("../examples/data")];
        for folder in beside {
            match folder.is_dir() {
                true => folders.push(folder),
                false => eprintln!("SKIPPED: {} is not here", folder.display()),
            }
        }
        let listed = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
        let files: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
        for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "root")) {
            let Ok(file) = RootFile::open_local(path) else { continue };
            file.keys().iter().filter(|key| key.is_tree()).for_each(|key| check(&file, &key.path));
        }
    }
}
