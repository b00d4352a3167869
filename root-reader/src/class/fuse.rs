//! Members of fixed size that stand side by side, as one step: their bytes are found by counting, so that a basket's worth of
//! them is converted member by member, and not object by object.

use std::sync::Arc;

use super::{Node, Record, RecordField, Step, Version};
use crate::number::Number;

/// Consecutive members of fixed size. For `n` objects that are streamed member by member, each member's values of all objects
/// follow one another; a single object is the case `n = 1`.
#[derive(Debug, PartialEq)]
pub(crate) struct Run {
    /// Number of the run within its record.
    pub id: usize,
    /// The version of the record's class that it belongs to.
    pub owner: usize,
    /// How the bytes can lie: with and without the checksums by which classes that have no version of their own are known.
    pub shapes: Vec<Shape>,
    /// The members, for data that lie otherwise.
    pub fields: Vec<(usize, Arc<str>, Node)>,
}

/// Where the values of a [`Run`] lie.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Shape {
    /// Bytes of one object.
    pub width: usize,
    pub leaves: Vec<Leaf>,
    pub frames: Vec<Frame>,
}

/// Place of something in a run: for object `i` of `n` at `n * before + i * stride + at`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    /// Bytes of the members before, for each object.
    pub before: usize,
    /// Bytes of the member.
    pub stride: usize,
    /// Bytes before it within the member.
    pub at: usize,
}

/// Numbers within a run.
#[derive(Debug, PartialEq)]
pub(crate) struct Leaf {
    pub place: Place,
    /// Which field of which field it is.
    pub path: Vec<usize>,
    /// Bytes of one object.
    pub width: usize,
}

/// The header of an object within a run.
#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    pub place: Place,
    /// What stands there.
    pub expected: Vec<u8>,
}

/// Merges steps of a record's versions into runs.
pub(super) fn fuse(record: &mut Record) {
    let mut counters = Vec::new();
    record.versions.iter().for_each(|version| add_counters(&version.steps, &mut counters));
    let is_open = |at: usize| {
        let plain = record.fields.get(at).is_some_and(|field| !field.optional);
        // Their values are asked for while the object is read.
        plain && !counters.contains(&at)
    };
    let mut id = 0;
    for (owner, version) in record.versions.iter_mut().enumerate() {
        fuse_steps(&mut version.steps, owner, &mut id, &is_open);
    }
}

fn add_counters(steps: &[Step], counters: &mut Vec<usize>) {
    for step in steps {
        match step {
            Step::Counted { counter, .. } | Step::Loop { counter, .. } => counters.push(*counter),
            Step::Triangle { rows, .. } => counters.push(*rows),
            Step::Base { version, .. } => add_counters(&version.steps, counters),
            _ => {}
        }
    }
}

fn fuse_steps(steps: &mut Vec<Step>, owner: usize, id: &mut usize, is_open: &impl Fn(usize) -> bool) {
    let mut fused = Vec::with_capacity(steps.len());
    let mut fields = Vec::new();
    for step in steps.drain(..) {
        match step {
            Step::Field { at, name, node } if is_open(at) && width_of(&node, false).is_some() => {
                fields.push((at, name, node));
            }
            Step::Base { class, mut version, is_wanted } => {
                end_run(&mut fused, &mut fields, owner, id);
                fuse_steps(&mut version.steps, owner, id, is_open);
                fused.push(Step::Base { class, version, is_wanted });
            }
            other => {
                end_run(&mut fused, &mut fields, owner, id);
                fused.push(other);
            }
        }
    }
    end_run(&mut fused, &mut fields, owner, id);
    *steps = fused;
}

fn end_run(steps: &mut Vec<Step>, fields: &mut Vec<(usize, Arc<str>, Node)>, owner: usize, id: &mut usize) {
    let fields = std::mem::take(fields);
    if fields.is_empty() {
        return;
    }
    let mut shapes: Vec<Shape> = Vec::new();
    for with_checksums in [true, false] {
        let shape = shape_of(&fields, with_checksums);
        shapes.extend(shape.filter(|shape| !shapes.contains(shape)));
    }
    steps.push(Step::Run(Arc::new(Run { id: *id, owner, shapes, fields })));
    *id += 1;
}

fn shape_of(fields: &[(usize, Arc<str>, Node)], with_checksums: bool) -> Option<Shape> {
    let mut shape = Shape::default();
    for (at, _, node) in fields {
        let stride = width_of(node, with_checksums)?;
        let place = Place { before: shape.width, stride, at: 0 };
        add(node, place, &mut vec![*at], with_checksums, &mut shape)?;
        shape.width = shape.width.checked_add(stride)?;
    }
    Some(shape)
}

/// Whether objects of that version are known by a checksum instead of a version.
fn has_checksum(version: &Version, with_checksums: bool) -> bool {
    with_checksums && version.version <= 1 && version.checksum != 0
}

/// Bytes of the header of an object: byte count and version, and perhaps a checksum.
fn header_width(version: &Version, with_checksums: bool) -> usize {
    if has_checksum(version, with_checksums) { 10 } else { 6 }
}

/// Bytes that every value takes, if all take as many.
fn width_of(node: &Node, with_checksums: bool) -> Option<usize> {
    match node {
        Node::Number(number) => Some(number.width()),
        Node::Enumeration(_) => Some(Number::I32.width()),
        Node::Array(element, length) => match &**element {
            Node::Number(_) | Node::Enumeration(_) | Node::Array(..) => {
                width_of(element, with_checksums)?.checked_mul(*length)
            }
            _ => None,
        },
        Node::Record(record) => {
            let version = fixed_version(record)?;
            let inner = width_of_steps(&version.steps, with_checksums)?;
            inner.checked_add(header_width(version, with_checksums))
        }
        _ => None,
    }
}

/// The only version of a class, if it has no other and nothing can be absent.
fn fixed_version(record: &Record) -> Option<&Version> {
    let is_plain = |field: &RecordField| !field.optional;
    match record.versions.as_slice() {
        [version] if record.has_header && record.fields.iter().all(is_plain) => Some(version),
        _ => None,
    }
}

fn width_of_steps(steps: &[Step], with_checksums: bool) -> Option<usize> {
    let mut width = 0usize;
    for step in steps {
        let more = match step {
            Step::Field { node, .. } => width_of(node, with_checksums)?,
            Step::Run(run) => {
                let each = run.fields.iter().map(|(.., node)| width_of(node, with_checksums));
                each.sum::<Option<usize>>()?
            }
            Step::Base { version, .. } => {
                width_of_steps(&version.steps, with_checksums)? + header_width(version, with_checksums)
            }
            _ => return None,
        };
        width = width.checked_add(more).filter(|width| *width < 1 << 24)?;
    }
    Some(width)
}

/// Adds what `node` has at `place`; `path` leads to it.
fn add(node: &Node, place: Place, path: &mut Vec<usize>, with_checksums: bool, shape: &mut Shape) -> Option<()> {
    match node {
        Node::Record(record) => {
            let version = fixed_version(record)?;
            add_object(version, place, path, with_checksums, shape)?;
        }
        other => {
            let width = width_of(other, with_checksums)?;
            shape.leaves.push(Leaf { place, path: path.clone(), width });
        }
    }
    Some(())
}

/// Adds a header and what follows it; the answer is where that ends.
fn add_object(
    version: &Version,
    place: Place,
    path: &mut Vec<usize>,
    with_checksums: bool,
    shape: &mut Shape,
) -> Option<usize> {
    let header = header_width(version, with_checksums);
    let inner = width_of_steps(&version.steps, with_checksums)?;
    let count = u32::try_from(header - 4 + inner).ok()? | crate::wire::BYTE_COUNT_MASK;
    let mut expected = count.to_be_bytes().to_vec();
    if has_checksum(version, with_checksums) {
        expected.extend([0, 0]);
        expected.extend(version.checksum.to_be_bytes());
    } else {
        expected.extend(u16::try_from(version.version).ok()?.to_be_bytes());
    }
    shape.frames.push(Frame { place, expected });
    let mut at = place.at + header;
    for step in &version.steps {
        match step {
            Step::Field { at: field, node, .. } => {
                path.push(*field);
                add(node, Place { at, ..place }, path, with_checksums, shape)?;
                path.pop();
                at += width_of(node, with_checksums)?;
            }
            Step::Run(run) => {
                for (field, _, node) in &run.fields {
                    path.push(*field);
                    add(node, Place { at, ..place }, path, with_checksums, shape)?;
                    path.pop();
                    at += width_of(node, with_checksums)?;
                }
            }
            Step::Base { version, .. } => {
                at = add_object(version, Place { at, ..place }, path, with_checksums, shape)?;
            }
            _ => return None,
        }
    }
    Some(at)
}
