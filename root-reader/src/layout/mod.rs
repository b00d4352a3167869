//! Layer 6: what each branch becomes: an Arrow type, and the decoder for its baskets, chosen once from the metadata.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use crate::class::{Classes, Node};
use crate::error::{Error, Result};
use crate::narrow::{narrow, shared_part};
use crate::number::Number;
use crate::tree::{Branch, BranchId, Tree, TreeInner};

mod arrow_type;
mod plan;

pub(crate) use arrow_type::data_type;
pub(crate) use plan::plain_number;
use plan::plan;

/// How strings are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum TextAs {
    /// As text; bytes that are not UTF-8 are an error.
    #[default]
    Utf8,
    /// As bytes, whatever they hold.
    Binary,
}

/// A leaf branch as a column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Name of the column: the branch's own, or its path where several branches of the tree share the name.
    pub name: String,
    /// The branch that it is read from.
    pub branch: BranchId,
    /// C++ type, as well as it is known.
    pub cpp_type: String,
    pub(crate) layout: Result<Layout, String>,
}

impl Column {
    /// The Arrow field, or why the branch cannot be read.
    pub fn field(&self) -> Result<Field, &str> {
        match &self.layout {
            Ok(layout) => Ok(Field::new(&self.name, layout.data_type.clone(), true)),
            Err(reason) => Err(reason),
        }
    }
}

/// Arrow type and decoder of a column.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub data_type: DataType,
    pub decode: Decode,
    /// Branch whose values count the elements of this one's entries.
    pub counter: Option<BranchId>,
}

impl Layout {
    /// The branch through which the entries of a basket are found.
    pub(crate) fn needed_counter(&self) -> Option<BranchId> {
        self.counter.filter(|_| matches!(self.decode, Decode::Counted { header: 0, .. }))
    }
}

/// How the bytes of an entry become values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decode {
    /// Every entry has the same number of values.
    Fixed { number: Number, per_entry: usize },
    /// A header of so many bytes, then elements of `inner` values each up to the end of the entry.
    Counted { number: Number, inner: usize, header: usize },
    /// Every entry is a record of several leaves.
    Record { members: Vec<Member>, stride: usize },
    /// Anything whose inner lengths are only known by walking through it.
    Sequential { frame: Frame, node: Node },
}

/// A leaf within a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub offset: usize,
    pub number: Number,
    pub count: usize,
}

/// What surrounds the values of a sequentially decoded entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Nothing: the value as it stands in a container.
    Bare,
    /// The value as a member of an object: strings and containers behind a byte count and version.
    Member,
    /// The members of an object without its own byte count and version.
    Members,
    /// A base class: an object with its header, or its members as they stand among those of others.
    Base,
    /// The name of the class, then an object.
    Named,
    /// As many values as fit, as they stand in a container.
    Repeated,
    /// Byte count and version once, then as many values as fit.
    VersionedRepeated,
}

/// The columns of a tree.
#[derive(Debug)]
pub(crate) struct Columns {
    pub all: Vec<Column>,
    pub by_name: HashMap<String, usize>,
    pub schema: SchemaRef,
    /// Index into `all` of each field of `schema`.
    pub readable: Vec<usize>,
    /// The numbers of elements of split collections. They are no columns of the schema, but can be scanned: their indices
    /// follow those of its fields.
    pub counts: Vec<Column>,
    text: TextAs,
}

impl Columns {
    pub(crate) fn of(tree: &TreeInner, text: TextAs) -> Self {
        let leaves: Vec<BranchId> =
            tree.branches.iter().enumerate().filter(|(_, b)| b.children == 0).map(|(i, _)| i).collect();
        let mut seen = HashSet::new();
        let mut shared = HashSet::new();
        for branch in leaves.iter().filter_map(|i| tree.branches.get(*i)) {
            if !seen.insert(branch.name.as_str()) {
                shared.insert(branch.name.as_str());
            }
        }
        let mut classes = Classes::new(&tree.streamers);
        let mut all: Vec<Column> = Vec::with_capacity(leaves.len());
        let mut by_name = HashMap::new();
        for id in leaves {
            let Some(branch) = tree.branches.get(id) else {
                continue;
            };
            let wanted = if shared.contains(branch.name.as_str()) { &branch.path } else { &branch.name };
            let mut name = wanted.clone();
            let mut copy = 1;
            while by_name.contains_key(&name) {
                copy += 1;
                name = format!("{wanted}#{copy}");
            }
            by_name.insert(name.clone(), all.len());
            let planned = plan(tree, branch, &mut classes);
            let cpp_type = planned.cpp_type;
            let layout = planned.decode.map(|decode| {
                let data_type = data_type(&decode, &branch.leaves, &planned.dims, text);
                Layout { data_type, decode, counter: planned.counter }
            });
            all.push(Column { name, branch: id, cpp_type, layout });
        }
        let counts = tree.branches.iter().enumerate().filter_map(|(id, b)| count_column(id, b)).collect();
        Self::assemble(all, by_name, counts, text)
    }

    fn assemble(all: Vec<Column>, by_name: HashMap<String, usize>, counts: Vec<Column>, text: TextAs) -> Self {
        let readable: Vec<usize> = all.iter().enumerate().filter(|(_, c)| c.layout.is_ok()).map(|(i, _)| i).collect();
        let fields: Fields = all.iter().filter_map(|c| c.field().ok()).collect();
        Self { all, by_name, schema: Arc::new(Schema::new(fields)), readable, counts, text }
    }

    /// The columns of a tree, and those of a friend behind them under other names, where the friend's first branch has the
    /// number `first`.
    pub(crate) fn joined(main: &Self, friend: &Self, first: BranchId, rename: impl Fn(&str) -> String) -> Self {
        let (mut all, mut by_name) = (main.all.clone(), main.by_name.clone());
        for column in &friend.all {
            let mut column = Column { name: rename(&column.name), branch: column.branch + first, ..column.clone() };
            if let Some(counter) = column.layout.as_mut().ok().and_then(|layout| layout.counter.as_mut()) {
                *counter += first;
            }
            by_name.insert(column.name.clone(), all.len());
            all.push(column);
        }
        Self::assemble(all, by_name, main.counts.clone(), main.text)
    }

    /// The same columns, some of them in another form.
    fn with(&self, all: Vec<Column>) -> Self {
        Self::assemble(all, self.by_name.clone(), self.counts.clone(), self.text)
    }

    /// What a scan reads under an index.
    pub(crate) fn scanned(&self, index: usize) -> Option<&Column> {
        match index.checked_sub(self.readable.len()) {
            None => self.readable.get(index).and_then(|i| self.all.get(*i)),
            Some(count) => self.counts.get(count),
        }
    }
}

impl Column {
    /// Members of the objects in this column that cannot be given, with the reason.
    pub fn omitted(&self) -> &[(String, String)] {
        match &self.layout {
            Ok(Layout { decode: Decode::Sequential { node, .. }, .. }) => node.omitted(),
            _ => &[],
        }
    }

    /// The same column with only the fields of objects that `wanted` has.
    fn narrowed(&self, wanted: &DataType, text: TextAs) -> Result<Self, String> {
        let layout = self.layout.clone()?;
        let Decode::Sequential { frame, node } = &layout.decode else {
            return Ok(self.clone());
        };
        let inner = match (frame, wanted) {
            (Frame::Repeated | Frame::VersionedRepeated, DataType::List(item)) => item.data_type(),
            (_, wanted) => wanted,
        };
        let decode = Decode::Sequential { frame: *frame, node: narrow(node, inner)? };
        let data_type = given(data_type(&decode, &[], &[], text), wanted);
        Ok(Self { layout: Ok(Layout { data_type, decode, ..layout }), ..self.clone() })
    }
}

/// What is given of a value that is read with fields that only tell how others are read; these stand last.
fn given(read: DataType, wanted: &DataType) -> DataType {
    let item = |read: &Arc<Field>, wanted: &Arc<Field>| {
        let data_type = given(read.data_type().clone(), wanted.data_type());
        Arc::new(read.as_ref().clone().with_data_type(data_type))
    };
    match (read, wanted) {
        (DataType::Struct(read), DataType::Struct(wanted)) => {
            // Behind pointers all fields remain, in an order of their own.
            let in_order = read.iter().zip(wanted).all(|(read, wanted)| read.name() == wanted.name());
            let kept = if in_order && !wanted.is_empty() { wanted.len() } else { read.len() };
            let all = read.iter().take(kept);
            let field = |read: &Arc<Field>| match wanted.iter().find(|f| f.name() == read.name()) {
                Some(wanted) => item(read, wanted),
                None => read.clone(),
            };
            DataType::Struct(all.map(field).collect())
        }
        (DataType::List(read), DataType::List(wanted)) => DataType::List(item(&read, wanted)),
        (DataType::FixedSizeList(read, length), DataType::FixedSizeList(wanted, _)) => {
            DataType::FixedSizeList(item(&read, wanted), length)
        }
        (DataType::Map(read, sorted), DataType::Map(wanted, _)) => DataType::Map(item(&read, wanted), sorted),
        (read, _) => read,
    }
}

/// The baskets of a split collection hold its number of elements, as four bytes.
fn count_column(id: BranchId, branch: &Branch) -> Option<Column> {
    let is_collection = branch.element.as_ref().is_some_and(|facts| matches!(facts.kind, 3 | 4));
    if branch.children == 0 || !is_collection || branch.fault.is_some() || branch.other_file.is_some() {
        return None;
    }
    let decode = Decode::Fixed { number: Number::I32, per_entry: 1 };
    let layout = Layout { data_type: DataType::Int32, decode, counter: None };
    Some(Column { name: branch.path.clone(), branch: id, cpp_type: "int".into(), layout: Ok(layout) })
}

impl Tree {
    /// The same tree with fewer members of its objects: of the columns that `fields` names only those members are decoded,
    /// at any depth, that are in the types of these fields as well. What the tree does not have is left out, other columns
    /// stay as they are, and behind pointers all members remain.
    pub fn narrowed(&self, fields: &Fields) -> Result<Self> {
        let mut narrower = Vec::new();
        for field in fields {
            let Some(at) = self.columns.by_name.get(field.name()).copied() else { continue };
            let Some(column) = self.columns.all.get(at) else { continue };
            let Ok(Layout { data_type: own, decode: Decode::Sequential { .. }, .. }) = &column.layout else { continue };
            let wanted = shared_part(own, field.data_type());
            if wanted != *own {
                let unreadable = |reason| {
                    let place = Box::new(self.branch_place(column.branch));
                    Error::Unreadable { place, reason }
                };
                narrower.push((at, column.narrowed(&wanted, self.columns.text).map_err(unreadable)?));
            }
        }
        if narrower.is_empty() {
            return Ok(self.clone());
        }
        let mut all = self.columns.all.clone();
        for (at, narrowed) in narrower {
            if let Some(column) = all.get_mut(at) {
                *column = narrowed;
            }
        }
        Ok(Self { columns: Arc::new(self.columns.with(all)), nested: Arc::default(), ..self.clone() })
    }

    /// Every leaf branch as a column, those that cannot be read included.
    pub fn columns(&self) -> &[Column] {
        &self.columns.all
    }

    /// The readable columns as an Arrow schema.
    pub fn schema(&self) -> SchemaRef {
        self.columns.schema.clone()
    }

    /// Finds a column by the name that [`Tree::schema`] gives it, by its branch's path, or by its branch's own name
    /// where that is unambiguous.
    pub fn column(&self, name: &str) -> Option<&Column> {
        let by_path =
            || self.columns.all.iter().find(|c| self.branches().get(c.branch).is_some_and(|b| b.path == name));
        self.columns.by_name.get(name).and_then(|i| self.columns.all.get(*i)).or_else(by_path)
    }
}
