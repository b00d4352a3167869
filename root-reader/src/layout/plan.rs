//! The decoder of each branch, from its leaves, its place in a class and the class descriptions of the file.

use super::{Decode, Frame, Member};
use crate::class::{Classes, Node, Special, Wanted, is_framed, member_number, no_members, special};
use crate::cpp_type::{CppType, TextForm};
use crate::number::Number;
use crate::streamer::{ClassInfo, Element, code};
use crate::tree::{BasketAt, Branch, BranchId, ElementFacts, Leaf, TreeInner};

/// What [`plan`] finds out about a branch.
pub(super) struct Planned {
    pub cpp_type: String,
    pub decode: Result<Decode, String>,
    pub counter: Option<BranchId>,
    /// Fixed dimensions of each value, outermost first.
    pub dims: Vec<usize>,
}

pub(super) fn plan(tree: &TreeInner, branch: &Branch, classes: &mut Classes<'_>) -> Planned {
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
pub(super) fn fixed_dims(title: &str, length: usize) -> Vec<usize> {
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
