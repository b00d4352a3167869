//! Layer 6: what each branch becomes: an Arrow type, and the decoder for its baskets, chosen once from the metadata.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use crate::cpp_type::{CppType, TextForm};
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
    /// Nothing.
    Bare,
    /// Byte count and version, then one value.
    Versioned,
    /// As many values as fit, without a header.
    Repeated,
    /// Byte count and version once, then as many values as fit.
    VersionedRepeated,
}

/// A value of which the size is in the data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Number(Number),
    Text(TextForm),
    /// `TObject::fBits`: a word, behind which the number of a process follows where a bit of the word says so.
    Bits,
    List(Box<Node>),
    Map(Box<Node>, Box<Node>),
}

/// The columns of a tree.
#[derive(Debug)]
pub(crate) struct Columns {
    pub all: Vec<Column>,
    by_name: HashMap<String, usize>,
    pub schema: SchemaRef,
    /// Index into `all` of each field of `schema`.
    pub readable: Vec<usize>,
    /// The numbers of elements of split collections. They are no columns of the schema, but can be scanned: their indices
    /// follow those of its fields.
    pub counts: Vec<Column>,
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
            let planned = plan(tree, branch);
            let cpp_type = planned.cpp_type;
            let layout = planned.decode.map(|decode| {
                let data_type = data_type(&decode, &branch.leaves, &planned.dims, text);
                Layout { data_type, decode, counter: planned.counter }
            });
            all.push(Column { name, branch: id, cpp_type, layout });
        }
        let readable: Vec<usize> = all.iter().enumerate().filter(|(_, c)| c.layout.is_ok()).map(|(i, _)| i).collect();
        let fields: Fields = all.iter().filter_map(|c| c.field().ok()).collect();
        let counts = tree.branches.iter().enumerate().filter_map(|(id, b)| count_column(id, b)).collect();
        Self { all, by_name, schema: Arc::new(Schema::new(fields)), readable, counts }
    }

    /// What a scan reads under an index.
    pub(crate) fn scanned(&self, index: usize) -> Option<&Column> {
        match index.checked_sub(self.readable.len()) {
            None => self.readable.get(index).and_then(|i| self.all.get(*i)),
            Some(count) => self.counts.get(count),
        }
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

fn plan(tree: &TreeInner, branch: &Branch) -> Planned {
    let mut planned = match (&branch.element, branch.leaves.as_slice()) {
        (Some(facts), _) => plan_element(tree, branch, facts),
        (None, [leaf]) => plan_leaf(branch, leaf),
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

fn plan_element(tree: &TreeInner, branch: &Branch, facts: &ElementFacts) -> Planned {
    let is_member_of_collection = matches!(facts.kind, 31 | 41);
    if matches!(facts.kind, 3 | 4) {
        return unreadable(facts.class_name.clone(), "a collection of objects without readable members");
    }
    let Some(id) = usize::try_from(facts.id).ok() else {
        // The branch holds a whole object.
        let class = &facts.class_name;
        return match CppType::parse(class) {
            CppType::Class(_) => unreadable(class.clone(), "objects that were not split are not decoded yet"),
            // A string that is a branch of its own has no version.
            CppType::Text(form) => sequential(class.clone(), Node::Text(form), false, false),
            cpp => stl(class.clone(), &cpp, false),
        };
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
        // Four bytes, and two more for objects that others refer to.
        code::BITS => sequential(type_name, Node::Bits, is_member_of_collection, false),
        basic if basic < code::ARRAY => match member_number(basic, &type_name, title) {
            Some(number) if is_member_of_collection => Planned {
                cpp_type: format!("{type_name}[]"),
                decode: Ok(Decode::Counted { number, inner: 1, header: 0 }),
                counter,
                dims: Vec::new(),
            },
            Some(number) => Planned {
                cpp_type: type_name,
                decode: Ok(Decode::Fixed { number, per_entry: 1 }),
                counter: None,
                dims: Vec::new(),
            },
            None if basic == code::CHAR_STAR => {
                sequential(type_name, Node::Text(TextForm::Long), is_member_of_collection, false)
            }
            None => unreadable(type_name, format!("members of type code {basic} are not decoded yet")),
        },
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
        code::TSTRING => sequential(type_name, Node::Text(TextForm::Root), is_member_of_collection, false),
        // 500: a member with a streamer function of its own, which for STL types writes as the plain code does.
        code::STL | code::STL_STRING | 500 => match CppType::parse(&type_name) {
            CppType::Class(class) => unreadable(class, "objects that were not split are not decoded yet"),
            cpp => stl(type_name, &cpp, is_member_of_collection),
        },
        other => unreadable(type_name, format!("objects that were not split (type code {other}) are not decoded yet")),
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

/// The number behind the type code of a member. Members that count others have a code of their own, whatever integer they
/// are.
fn member_number(basic: i32, type_name: &str, title: &str) -> Option<Number> {
    let counter = (basic == code::COUNTER).then(|| Number::from_cpp(type_name)).flatten();
    counter.filter(|n| n.width() == 4).or_else(|| Number::from_code(basic, title))
}

fn sequential(cpp_type: String, node: Node, repeated: bool, versioned: bool) -> Planned {
    let frame = match (versioned, repeated) {
        (false, false) => Frame::Bare,
        (true, false) => Frame::Versioned,
        (false, true) => Frame::Repeated,
        (true, true) => Frame::VersionedRepeated,
    };
    let decode = Decode::Sequential { frame, node };
    Planned { cpp_type, decode: Ok(decode), counter: None, dims: Vec::new() }
}

/// A standard container, or a `std::string`, behind its byte count and version.
fn stl(cpp_type: String, cpp: &CppType, in_collection: bool) -> Planned {
    // Byte count, version and number of elements.
    const VECTOR_HEADER: usize = 10;
    if let (CppType::List(element), false) = (cpp, in_collection)
        && let CppType::Number(number) = **element
    {
        let decode = Decode::Counted { number, inner: 1, header: VECTOR_HEADER };
        return Planned { cpp_type, decode: Ok(decode), counter: None, dims: Vec::new() };
    }
    match node(cpp) {
        Ok(node) => sequential(cpp_type, node, in_collection, true),
        Err(class) => unreadable(cpp_type, format!("containers of {class} are not decoded yet")),
    }
}

fn node(cpp: &CppType) -> Result<Node, String> {
    Ok(match cpp {
        CppType::Number(number) => Node::Number(*number),
        CppType::Text(form) => Node::Text(*form),
        CppType::List(element) => Node::List(Box::new(node(element)?)),
        CppType::Map(key, value) => Node::Map(Box::new(node(key)?), Box::new(node(value)?)),
        CppType::Bits => return Err("std::bitset".into()),
        CppType::Class(class) => return Err(class.clone()),
    })
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
            Frame::Bare | Frame::Versioned => node_type(node, text),
            Frame::Repeated | Frame::VersionedRepeated => list_of(node_type(node, text)),
        },
    }
}

fn node_type(node: &Node, text: TextAs) -> DataType {
    match node {
        Node::Number(number) => number.data_type(),
        Node::Bits => DataType::UInt32,
        Node::Text(_) => match text {
            TextAs::Utf8 => DataType::Utf8,
            TextAs::Binary => DataType::Binary,
        },
        Node::List(element) => list_of(node_type(element, text)),
        Node::Map(key, value) => {
            let pair = DataType::Struct(Fields::from(vec![
                Field::new("key", node_type(key, text), false),
                Field::new("value", node_type(value, text), false),
            ]));
            DataType::Map(Arc::new(Field::new("entries", pair, false)), false)
        }
    }
}
