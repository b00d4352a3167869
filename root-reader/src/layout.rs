//! Layer 6: what each branch becomes: an Arrow type, and the decoder for its baskets, chosen once from the metadata.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use crate::class::{
    CLASS_FIELD, Classes, Node, RecordField, Special, Wanted, is_framed, member_number, no_members, special,
};
use crate::cpp_type::{CppType, TextForm};
use crate::error::{Error, Result};
use crate::narrow::{narrow, shared_part};
use crate::number::Number;
use crate::streamer::{ClassInfo, Element, code};
use crate::tree::{BasketAt, Branch, BranchId, ElementFacts, Leaf, Tree, TreeInner};

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

/// What [`plan`] finds out about a branch.
struct Planned {
    cpp_type: String,
    decode: Result<Decode, String>,
    counter: Option<BranchId>,
    /// Fixed dimensions of each value, outermost first.
    dims: Vec<usize>,
}

fn plan(tree: &TreeInner, branch: &Branch, classes: &mut Classes<'_>) -> Planned {
    let mut planned = match (&branch.element, branch.leaves.as_slice()) {
        (Some(facts), _) => plan_element(tree, branch, facts, classes),
        (None, [leaf]) => match &branch.object_class {
            Some(class) => match classes.node(&CppType::parse(class)) {
                Ok(node) => framed(class.clone(), node, Frame::Named),
                Err(reason) => unreadable(class.clone(), reason),
            },
            None => plan_leaf(branch, leaf),
        },
        (None, leaves) => plan_leaf_list(leaves),
    };
    let elsewhere = branch.baskets.iter().any(|b| matches!(b.at, BasketAt::File(_)));
    if let (Some(other), true) = (&branch.other_file, elsewhere) {
        planned.decode = Err(format!("its baskets lie in another file, {other}"));
    }
    if let Some(fault) = &branch.fault {
        planned.decode = Err(format!("its metadata cannot be read: {fault}"));
    }
    planned
}

fn unreadable(cpp_type: impl Into<String>, reason: impl Into<String>) -> Planned {
    Planned { cpp_type: cpp_type.into(), decode: Err(reason.into()), counter: None, dims: Vec::new() }
}

/// The number that a plain leaf holds.
fn leaf_number(leaf: &Leaf) -> Option<Number> {
    Some(match (leaf.class.as_str(), leaf.is_unsigned) {
        ("TLeafO", _) => Number::Bool,
        ("TLeafB", false) => Number::I8,
        ("TLeafB", true) => Number::U8,
        ("TLeafS", false) => Number::I16,
        ("TLeafS", true) => Number::U16,
        ("TLeafI", false) => Number::I32,
        ("TLeafI", true) => Number::U32,
        ("TLeafL" | "TLeafG", false) => Number::I64,
        ("TLeafL" | "TLeafG", true) => Number::U64,
        ("TLeafF", _) => Number::F32,
        ("TLeafD", _) => Number::F64,
        ("TLeafF16", _) => Number::from_code(code::FLOAT16, &leaf.title)?,
        ("TLeafD32", _) => Number::from_code(code::DOUBLE32, &leaf.title)?,
        _ => return None,
    })
}

/// The number that every entry of a branch of one plain leaf holds, or of a split member of a basic type.
pub(crate) fn plain_number(branch: &Branch) -> Option<Number> {
    match (&branch.element, branch.leaves.as_slice()) {
        (Some(facts), _) => Number::from_code(facts.streamer_type, "").filter(|_| facts.kind == 0),
        (None, [leaf]) if leaf.length == 1 && leaf.counter.is_none() => leaf_number(leaf),
        _ => None,
    }
}

fn cpp_name(number: Number) -> &'static str {
    match number {
        Number::Bool => "bool",
        Number::I8 => "int8_t",
        Number::U8 => "uint8_t",
        Number::I16 => "int16_t",
        Number::U16 => "uint16_t",
        Number::I32 => "int32_t",
        Number::U32 => "uint32_t",
        Number::I64 => "int64_t",
        Number::U64 => "uint64_t",
        Number::F32 => "float",
        Number::F64 => "double",
        Number::Packed(p) if p.is_double => "Double32_t",
        Number::Packed(_) => "Float16_t",
    }
}

fn dims_text(dims: &[usize]) -> String {
    dims.iter().map(|d| format!("[{d}]")).collect()
}

/// The numeric dimensions in a title such as `x[n][3][2]`; if they do not make up `length`, one dimension of that.
fn fixed_dims(title: &str, length: usize) -> Vec<usize> {
    let dims: Vec<usize> =
        title.split('[').skip(1).filter_map(|part| part.split_once(']')?.0.trim().parse().ok()).collect();
    match (dims.iter().try_fold(1usize, |product, d| product.checked_mul(*d)), length) {
        (Some(product), length) if product == length && !dims.is_empty() => dims,
        (_, 0 | 1) => Vec::new(),
        (_, length) => vec![length],
    }
}

fn plan_leaf(branch: &Branch, leaf: &Leaf) -> Planned {
    if leaf.class == "TLeafC" {
        let decode = Decode::Sequential { frame: Frame::Bare, node: Node::Text(TextForm::Root) };
        return Planned { cpp_type: "char*".into(), decode: Ok(decode), counter: None, dims: Vec::new() };
    }
    let Some(number) = leaf_number(leaf) else {
        let what = if leaf.class == "TLeafObject" { "an unsplit object" } else { leaf.class.as_str() };
        return unreadable(leaf.class.clone(), format!("{what} of a {} is not decoded yet", branch.class));
    };
    let length = leaf.length.max(1);
    // Leaves of packed floats have their range instead of their dimensions in their title, in some versions.
    let title = if leaf.title.contains(',') && !leaf.title.contains("]/[") { &branch.title } else { &leaf.title };
    let dims = fixed_dims(title, length);
    let base = cpp_name(number);
    match &leaf.counter {
        Some((counter, name)) => Planned {
            cpp_type: format!("{base}[{name}]{}", dims_text(&dims)),
            decode: Ok(Decode::Counted { number, inner: length, header: 0 }),
            counter: Some(*counter),
            dims,
        },
        None => Planned {
            cpp_type: format!("{base}{}", dims_text(&dims)),
            decode: Ok(Decode::Fixed { number, per_entry: length }),
            counter: None,
            dims,
        },
    }
}

fn plan_leaf_list(leaves: &[Leaf]) -> Planned {
    if leaves.is_empty() {
        return unreadable("", "the branch has no leaves");
    }
    let mut members = Vec::new();
    let (mut offset, mut names) = (0usize, Vec::new());
    for leaf in leaves {
        let (Some(number), None) = (leaf_number(leaf), &leaf.counter) else {
            return unreadable(
                "struct",
                format!("leaf {} of class {} has no fixed place in its record", leaf.name, leaf.class),
            );
        };
        let count = leaf.length.max(1);
        names.push(format!("{} {}{}", cpp_name(number), leaf.name, dims_text(&fixed_dims(&leaf.title, count))));
        members.push(Member { offset, number, count });
        offset = match number.width().checked_mul(count).and_then(|size| offset.checked_add(size)) {
            Some(next) if next < 1 << 30 => next,
            _ => return unreadable("struct", "the record is too long"),
        };
    }
    Planned {
        cpp_type: format!("struct {{{}}}", names.join("; ")),
        decode: Ok(Decode::Record { members, stride: offset }),
        counter: None,
        dims: Vec::new(),
    }
}

fn plan_element(tree: &TreeInner, branch: &Branch, facts: &ElementFacts, classes: &mut Classes<'_>) -> Planned {
    let is_member_of_collection = matches!(facts.kind, 31 | 41);
    if matches!(facts.kind, 3 | 4) {
        return unreadable(facts.class_name.clone(), "a collection of objects without readable members");
    }
    let Some(id) = usize::try_from(facts.id).ok() else {
        return plan_whole(facts, classes);
    };
    let info = tree
        .streamers
        .version(&facts.class_name, facts.class_version)
        .filter(|info| facts.checksum == 0 || info.checksum == facts.checksum)
        .or_else(|| tree.streamers.checksum(&facts.class_name, facts.checksum))
        .or_else(|| tree.streamers.version(&facts.class_name, facts.class_version))
        .or_else(|| tree.streamers.latest(&facts.class_name));
    let kind = facts.streamer_type;
    let Some(element) = info.and_then(|info| member_of(info, id, kind, branch)) else {
        let what = format!("the file does not describe this member of class {}", facts.class_name);
        return unreadable(String::new(), what);
    };
    let title = element.title.as_str();
    let type_name = element.type_name.clone();
    let counter = facts.counter;
    match kind {
        basic if basic < code::ARRAY && member_number(basic, &type_name, title).is_some() => {
            let Some(number) = member_number(basic, &type_name, title) else {
                return unreadable(type_name, "a number of no known kind");
            };
            if is_member_of_collection {
                let decode = Decode::Counted { number, inner: 1, header: 0 };
                Planned { cpp_type: format!("{type_name}[]"), decode: Ok(decode), counter, dims: Vec::new() }
            } else {
                let decode = Decode::Fixed { number, per_entry: 1 };
                Planned { cpp_type: type_name, decode: Ok(decode), counter: None, dims: Vec::new() }
            }
        }
        array if (code::ARRAY + 1..code::POINTER).contains(&array) => {
            let length = element.array_length.max(1);
            let product = element.dims.iter().try_fold(1usize, |product, d| product.checked_mul(*d));
            let dims = if product == Some(length) { element.dims.clone() } else { vec![length] };
            let cpp_type = format!("{type_name}{}", dims_text(&dims));
            match Number::from_code(array - code::ARRAY, title) {
                Some(number) if is_member_of_collection => Planned {
                    cpp_type,
                    decode: Ok(Decode::Counted { number, inner: length, header: 0 }),
                    counter,
                    dims,
                },
                Some(number) => {
                    Planned { cpp_type, decode: Ok(Decode::Fixed { number, per_entry: length }), counter: None, dims }
                }
                None => unreadable(cpp_type, format!("arrays of type code {array} are not decoded yet")),
            }
        }
        pointer if (code::POINTER + 1..code::POINTER + code::ARRAY).contains(&pointer) => {
            match Number::from_code(pointer - code::POINTER, title) {
                Some(number) if !is_member_of_collection => Planned {
                    cpp_type: type_name,
                    decode: Ok(Decode::Counted { number, inner: 1, header: 1 }),
                    counter: None,
                    dims: Vec::new(),
                },
                _ => unreadable(type_name, "counted arrays within a collection are not decoded yet"),
            }
        }
        code::BASE => match classes.record(&element.name, Wanted { version: element.base_version, checksum: 0 }) {
            Ok(record) if record.fields.is_empty() => unreadable(element.name.to_string(), no_members(&record)),
            Ok(record) if is_member_of_collection => {
                unreadable(record.class.to_string(), "a base class of a split collection that is not split itself")
            }
            Ok(record) => framed(record.class.to_string(), Node::Record(record), Frame::Base),
            Err(reason) => unreadable(element.name.to_string(), reason),
        },
        code::TOBJECT => sequential("TObject".into(), Node::Special(Special::Object), is_member_of_collection),
        _ => match classes.member_node(element, kind) {
            Ok(node) => member(type_name, node, is_member_of_collection),
            Err(reason) => unreadable(type_name, reason),
        },
    }
}

/// A branch that holds a whole object.
fn plan_whole(facts: &ElementFacts, classes: &mut Classes<'_>) -> Planned {
    let class = &facts.class_name;
    match CppType::parse(class) {
        // A string that is a branch of its own has no version.
        CppType::Text(form) => sequential(class.clone(), Node::Text(form), false),
        CppType::Class(name) if special(&name).is_none() && !classes.is_container(&name) => {
            let wanted = Wanted { version: Some(facts.class_version), checksum: facts.checksum };
            match classes.record(&name, wanted) {
                Ok(record) if record.fields.is_empty() => unreadable(class.clone(), no_members(&record)),
                Ok(record) => {
                    // A class with a streamer of its own writes a header, others write just their members.
                    let frame = if facts.kind < 0 { Frame::Member } else { Frame::Members };
                    framed(class.clone(), Node::Record(record), frame)
                }
                Err(reason) => unreadable(class.clone(), reason),
            }
        }
        cpp => match classes.node(&cpp) {
            Ok(node @ Node::Record(_)) => framed(class.clone(), node, Frame::Members),
            Ok(node) => member(class.clone(), node, false),
            Err(reason) => unreadable(class.clone(), reason),
        },
    }
}

/// The description of the member that a branch holds. The number that the branch gives is an index into the members as the
/// writer's memory had them, which rules of schema evolution can shift against the description in the file: the name
/// decides.
fn member_of<'a>(info: &'a ClassInfo, id: usize, kind: i32, branch: &Branch) -> Option<&'a Element> {
    let tail = branch.name.rsplit('.').next().unwrap_or_default();
    let own = tail.split('[').next().unwrap_or_default();
    let indexed = info.elements.get(id);
    let named = || info.elements.iter().find(|e| &*e.name == own);
    indexed.filter(|e| &*e.name == own).or_else(named).or(indexed.filter(|e| e.code == kind))
}

fn framed(cpp_type: String, node: Node, frame: Frame) -> Planned {
    Planned { cpp_type, decode: Ok(Decode::Sequential { frame, node }), counter: None, dims: Vec::new() }
}

/// Values as they stand in a container; several where the branch is a member of a collection.
fn sequential(cpp_type: String, node: Node, repeated: bool) -> Planned {
    framed(cpp_type, node, if repeated { Frame::Repeated } else { Frame::Bare })
}

/// A member of an object, or the same member of all objects of a collection.
fn member(cpp_type: String, node: Node, in_collection: bool) -> Planned {
    // Byte count, version and number of elements.
    const VECTOR_HEADER: usize = 10;
    if let (Node::List(element), false) = (&node, in_collection)
        && let Node::Number(number) = **element
    {
        let decode = Decode::Counted { number, inner: 1, header: VECTOR_HEADER };
        return Planned { cpp_type, decode: Ok(decode), counter: None, dims: Vec::new() };
    }
    let frame = match (is_framed(&node), in_collection) {
        (_, false) => Frame::Member,
        (true, true) => Frame::VersionedRepeated,
        (false, true) => Frame::Repeated,
    };
    framed(cpp_type, node, frame)
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, false)))
}

fn with_dims(item: DataType, dims: &[usize]) -> DataType {
    dims.iter().rev().fold(item, |inner, dim| {
        DataType::FixedSizeList(Arc::new(Field::new_list_field(inner, false)), i32::try_from(*dim).unwrap_or(i32::MAX))
    })
}

pub(crate) fn data_type(decode: &Decode, leaves: &[Leaf], dims: &[usize], text: TextAs) -> DataType {
    match decode {
        Decode::Fixed { number, .. } => with_dims(number.data_type(), dims),
        Decode::Counted { number, .. } => list_of(with_dims(number.data_type(), dims)),
        Decode::Record { members, .. } => {
            let fields = members.iter().zip(leaves).map(|(member, leaf)| {
                let dims = fixed_dims(&leaf.title, member.count);
                Field::new(&leaf.name, with_dims(member.number.data_type(), &dims), false)
            });
            DataType::Struct(fields.collect())
        }
        Decode::Sequential { frame, node } => match frame {
            Frame::Bare | Frame::Member | Frame::Members | Frame::Base | Frame::Named => node_type(node, text),
            Frame::Repeated | Frame::VersionedRepeated => {
                DataType::List(Arc::new(Field::new_list_field(node_type(node, text), is_nullable(node))))
            }
        },
    }
}

fn node_type(node: &Node, text: TextAs) -> DataType {
    match node {
        Node::Number(number) => number.data_type(),
        Node::Bits | Node::Special(Special::Ref | Special::Datime) => DataType::UInt32,
        Node::Special(Special::RefArray) => list_of(DataType::UInt32),
        Node::Special(Special::NumberArray(number)) => list_of(number.data_type()),
        Node::Special(Special::Object) => {
            let names = ["fUniqueID", "fBits"];
            DataType::Struct(names.iter().map(|name| Field::new(*name, DataType::UInt32, false)).collect())
        }
        Node::Text(_) => match text {
            TextAs::Utf8 => DataType::Utf8,
            TextAs::Binary => DataType::Binary,
        },
        Node::List(element) => {
            let item = Field::new_list_field(node_type(element, text), is_nullable(element));
            DataType::List(Arc::new(item))
        }
        Node::Map(key, value) => {
            let pair = DataType::Struct(Fields::from(vec![
                Field::new("key", node_type(key, text), false),
                Field::new("value", node_type(value, text), is_nullable(value)),
            ]));
            DataType::Map(Arc::new(Field::new("entries", pair, false)), false)
        }
        Node::Array(element, length) => {
            let item = Field::new_list_field(node_type(element, text), is_nullable(element));
            DataType::FixedSizeList(Arc::new(item), i32::try_from(*length).unwrap_or(i32::MAX))
        }
        Node::Objects(_, pointer) => node_type(&Node::List(Box::new(Node::Pointer(pointer.clone()))), text),
        Node::Nullable(target) => node_type(target, text),
        Node::Enumeration(_) => DataType::Int32,
        Node::Undescribed(_) | Node::Empty => DataType::Null,
        Node::Record(record) => DataType::Struct(record_fields(&record.fields, text)),
        Node::Pointer(pointer) => DataType::Struct(record_fields(&pointer.fields, text)),
    }
}

fn record_fields(fields: &[RecordField], text: TextAs) -> Fields {
    let field = |f: &RecordField| {
        // Names of classes are text, whatever strings are read as.
        let text = if &*f.name == CLASS_FIELD { TextAs::Utf8 } else { text };
        Field::new(&*f.name, node_type(&f.node, text), f.optional || is_nullable(&f.node))
    };
    fields.iter().map(field).collect()
}

fn is_nullable(node: &Node) -> bool {
    matches!(node, Node::Pointer(_) | Node::Nullable(_) | Node::Undescribed(_) | Node::Empty)
}
