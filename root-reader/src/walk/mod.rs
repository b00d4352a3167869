//! Layer 7: values of which the sizes are in the data: strings, containers, objects. A walker goes through the bytes of an
//! entry once, as the compiled classes say, and appends what it finds.
//!
//! A value stands in one of three surroundings, which differ in their headers: alone or in a container, as a member of an
//! object, or in a column of members when a container of objects was streamed member by member.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::class::{
    Frame as HeaderAt, Node, Record, Run, Shape, Skip, Special, Step, innermost, is_framed, is_optional, least,
};
use crate::cpp_type::TextForm;
use crate::error::FormatError;
use crate::layout::Frame;
use crate::output::{Nothing, Output, Pending, mismatch, push_offset};
use crate::streamer::skip_tobject;
use crate::tags::{Tag, Tags};
use crate::wire::{Cursor, VersionHeader};

mod pointers;

type Result<T> = std::result::Result<T, FormatError>;

/// The bit of TObject's bits that says that others refer to the object (`TObject::kIsReferenced`).
const IS_REFERENCED: u8 = 1 << 4;

/// Goes through the bytes of one entry.
pub(crate) struct Walker<'a> {
    cursor: Cursor<'a>,
    tags: Tags,
    /// Class and place of the objects that pointers led to.
    objects: HashMap<u32, (Arc<str>, usize)>,
    revisited: usize,
    length: usize,
    /// Whether the object at hand leaves its TObject out.
    lacks_object: bool,
    /// The values of the whole basket, and where the entry starts in them.
    basket: &'a [u8],
    start: usize,
    nothing: &'a mut Nothing,
}

/// The fields of a record: outputs, perhaps in another order.
struct Slots<'o> {
    outs: &'o mut [Output],
    places: Option<&'o [usize]>,
    /// Where members of fixed size can wait until the end of the basket.
    pending: Option<&'o mut Pending>,
}

impl Slots<'_> {
    fn enter(&mut self, version: usize, basket: &[u8]) {
        if let Some(pending) = &mut self.pending {
            pending.enter(version, self.outs, basket);
        }
    }

    #[inline]
    fn get(&mut self, at: usize) -> Result<&mut Output> {
        let at = match self.places {
            Some(places) => *places.get(at).ok_or_else(mismatch)?,
            None => at,
        };
        self.outs.get_mut(at).ok_or_else(mismatch)
    }
}

impl Output {
    /// The fields of an object.
    fn slots(&mut self) -> Option<Slots<'_>> {
        match self {
            Self::Object { fields, pending } => Some(Slots { outs: fields, places: None, pending: Some(pending) }),
            _ => None,
        }
    }
}

impl<'a> Walker<'a> {
    /// A walker through the entry in that range of a basket's values; `key_length` is the length of the key before them,
    /// which references between objects count.
    pub(crate) fn new(basket: &'a [u8], range: Range<usize>, key_length: usize, nothing: &'a mut Nothing) -> Self {
        let entry = basket.get(range.clone()).unwrap_or_default();
        Self {
            cursor: Cursor::new(entry),
            tags: Tags::new(key_length + range.start),
            objects: HashMap::new(),
            revisited: 0,
            length: entry.len(),
            lacks_object: false,
            basket,
            start: range.start,
            nothing,
        }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.cursor.remaining()
    }

    pub(crate) fn pos(&self) -> usize {
        self.cursor.pos()
    }

    /// One entry with what surrounds it. What is `Repeated` goes on to the end of the bytes.
    pub(crate) fn entry(&mut self, frame: Frame, node: &Node, out: &mut Output) -> Result<()> {
        match frame {
            Frame::Bare => self.value(node, out),
            Frame::Member => self.member(node, out),
            Frame::Members => match node {
                Node::Record(record) => match (record.versions.first(), out.slots()) {
                    (Some(version), Some(mut slots)) => self.steps(&version.steps, &mut slots),
                    _ => Err(mismatch()),
                },
                _ => Err(mismatch()),
            },
            Frame::Named => {
                // A branch of objects of a class or one that is derived from it names it; old ones do not.
                if !self.is_one_object() {
                    self.cursor.string_bytes()?;
                    self.cursor.skip(1)?;
                }
                self.value(node, out)
            }
            Frame::Base => {
                if self.is_one_object() {
                    return self.value(node, out);
                }
                // A class that is told to ignore its TObject leaves it out of the data, and not out of the description.
                self.lacks_object = true;
                match (node, out.slots()) {
                    (Node::Record(record), Some(mut slots)) => match record.versions.first() {
                        Some(version) => self.columns(&version.steps, 1, &mut slots),
                        None => Err(mismatch()),
                    },
                    _ => Err(mismatch()),
                }
            }
            Frame::Repeated => {
                let (offsets, child) = out.list_parts()?;
                let mut count = 0;
                while self.remaining() > 0 {
                    let left = self.remaining();
                    self.value(node, child)?;
                    self.has_advanced(left)?;
                    count += 1;
                }
                push_offset(offsets, count)
            }
            Frame::VersionedRepeated => {
                let (offsets, child) = out.list_parts()?;
                let mut count = 0;
                if self.remaining() > 0 {
                    let header = self.cursor.version()?;
                    let streamed = self.streamed(header, node)?;
                    while self.remaining() > 0 {
                        let left = self.remaining();
                        self.content(node, streamed, child)?;
                        self.has_advanced(left)?;
                        count += 1;
                    }
                }
                push_offset(offsets, count)
            }
        }
    }

    /// Whether a byte count takes in all that is left.
    fn is_one_object(&self) -> bool {
        let header = Cursor::new(self.cursor.rest()).version();
        header.is_ok_and(|header| header.end == Some(self.remaining()))
    }

    /// Values without bytes would go on for ever.
    fn has_advanced(&self, left: usize) -> Result<()> {
        match self.remaining() {
            now if now < left => Ok(()),
            _ => Err(FormatError::invalid("values of no size, followed by other bytes")),
        }
    }

    /// Values one after the other, without a frame around strings and containers.
    #[inline]
    fn value(&mut self, node: &Node, out: &mut Output) -> Result<()> {
        match node {
            Node::Number(number) => {
                let bytes = self.cursor.bytes(number.width(), "number")?;
                out.number_values()?.append(bytes);
                Ok(())
            }
            Node::Bits => self.bits(out),
            Node::Text(form) => self.text(*form, out),
            Node::List(element) => {
                let (offsets, child) = out.list_parts()?;
                let count = self.cursor.count(least(element), "elements")?;
                self.values(element, count, child)?;
                push_offset(offsets, count)
            }
            Node::Map(key, value) => {
                let (offsets, child) = out.list_parts()?;
                let count = self.cursor.count(least(key) + least(value), "pairs")?;
                let (keys, values) = child.pair()?;
                for _ in 0..count {
                    self.value(key, keys)?;
                    self.value(value, values)?;
                }
                push_offset(offsets, count)
            }
            Node::Array(element, length) => match out {
                Output::Array { child, .. } => self.values(element, *length, child),
                _ => Err(mismatch()),
            },
            Node::Record(record) => self.object(record, out),
            Node::Pointer(pointer) => self.pointer(pointer, out),
            Node::Nullable(target) => self.nullable(target, out),
            Node::Enumeration(_) => {
                let bytes = self.cursor.bytes(4, "enumeration")?;
                out.number_values()?.append(bytes);
                Ok(())
            }
            Node::Undescribed(class) => Err(not_described(class)),
            Node::Empty => {
                Err(FormatError::Unsupported("objects without members that were not streamed by member".into()))
            }
            Node::Special(special) => self.special(*special, out),
            Node::Objects(kind, pointer) => self.objects(*kind, pointer, out),
        }
    }

    fn values(&mut self, node: &Node, count: usize, out: &mut Output) -> Result<()> {
        if let Node::Number(number) = node {
            let bytes = self.cursor.bytes(count.saturating_mul(number.width()), "numbers")?;
            out.number_values()?.append(bytes);
            return Ok(());
        }
        (0..count).try_for_each(|_| self.value(node, out))
    }

    fn bits(&mut self, out: &mut Output) -> Result<()> {
        let word = self.cursor.bytes(4, "bits")?;
        if word.last().is_some_and(|low| low & IS_REFERENCED != 0) {
            self.cursor.skip(2)?;
        }
        out.number_values()?.append(word);
        Ok(())
    }

    fn text(&mut self, form: TextForm, out: &mut Output) -> Result<()> {
        let Output::Text { offsets, bytes } = out else {
            return Err(mismatch());
        };
        let text = match form {
            TextForm::Std | TextForm::Root => self.cursor.string_bytes()?,
            TextForm::Long => {
                let length = self.cursor.count(1, "characters")?;
                self.cursor.bytes(length, "characters")?
            }
        };
        bytes.extend_from_slice(text);
        push_offset(offsets, text.len())
    }

    /// A value as a member of an object: strings and containers are framed.
    #[inline]
    fn member(&mut self, node: &Node, out: &mut Output) -> Result<()> {
        if !is_framed(node) {
            return self.value(node, out);
        }
        let header = self.cursor.version()?;
        let streamed = self.streamed(header, node)?;
        self.content(node, streamed, out)?;
        self.close(header, "container")
    }

    /// The members of so many objects, one object after the other.
    fn column(&mut self, node: &Node, count: usize, out: &mut Output) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        if !is_framed(node) {
            return match (node, out) {
                (Node::Array(element, length), Output::Array { child, .. }) => {
                    self.values(element, length.saturating_mul(count), child)
                }
                (node, out) => self.values(node, count, out),
            };
        }
        // All of them share one frame.
        let header = self.cursor.version()?;
        let streamed = self.streamed(header, node)?;
        for _ in 0..count {
            self.content(node, streamed, out)?;
        }
        self.close(header, "container")
    }

    /// How the content behind the header of a container is streamed: member by member in the version that follows, or
    /// object by object.
    fn streamed(&mut self, header: VersionHeader, node: &Node) -> Result<Option<usize>> {
        if !header.memberwise {
            return Ok(None);
        }
        let version = self.cursor.u16()?;
        // A class without a version of its own is known by the checksum of its description.
        let checksum = if version == 0 { Some(self.cursor.u32()?) } else { None };
        match innermost(node) {
            Node::List(element) => match &**element {
                Node::Record(record) => pick(record, i32::from(version), checksum).map(Some),
                _ => Ok(Some(0)),
            },
            _ => Ok(Some(0)),
        }
    }

    /// A string or container behind its header.
    fn content(&mut self, node: &Node, memberwise: Option<usize>, out: &mut Output) -> Result<()> {
        let Some(version) = memberwise else {
            return self.value(node, out);
        };
        match node {
            Node::List(element) => {
                let record = match &**element {
                    Node::Record(record) => record,
                    Node::Empty => {
                        let (offsets, child) = out.list_parts()?;
                        let count = self.cursor.count(0, "objects")?;
                        self.leave_out(count, child)?;
                        return push_offset(offsets, count);
                    }
                    // The class is only described where there are objects of it.
                    Node::Enumeration(class) | Node::Undescribed(class) => {
                        return match self.cursor.u32()? {
                            0 => push_offset(out.list_parts()?.0, 0),
                            _ => Err(not_described(class)),
                        };
                    }
                    _ => {
                        return Err(FormatError::Unsupported(
                            "member-wise streaming of a container whose elements are no objects".into(),
                        ));
                    }
                };
                let at = version;
                let version = record.versions.get(at).ok_or_else(mismatch)?;
                let (offsets, child) = out.list_parts()?;
                let count = self.cursor.count(version.least, "objects")?;
                match child.slots() {
                    Some(mut slots) => {
                        slots.enter(at, self.basket);
                        self.columns(&version.steps, count, &mut slots)?;
                    }
                    None => return Err(mismatch()),
                }
                push_offset(offsets, count)
            }
            Node::Map(key, value) => {
                let (offsets, child) = out.list_parts()?;
                let count = self.cursor.count(least(key) + least(value), "pairs")?;
                let (keys, values) = child.pair()?;
                self.column(key, count, keys)?;
                self.column(value, count, values)?;
                push_offset(offsets, count)
            }
            Node::Array(element, length) => match out {
                Output::Array { child, .. } => (0..*length).try_for_each(|_| self.content(element, memberwise, child)),
                _ => Err(mismatch()),
            },
            _ => Err(FormatError::Unsupported("member-wise streaming of what is no container of objects".into())),
        }
    }

    fn close(&mut self, header: VersionHeader, what: &str) -> Result<()> {
        match header.end {
            Some(end) if end != self.cursor.pos() => Err(disagrees(what, end, self.cursor.pos())),
            _ => Ok(()),
        }
    }

    /// An object behind its header.
    fn object(&mut self, record: &Record, out: &mut Output) -> Result<()> {
        match out.slots() {
            Some(mut slots) => self.object_into(record, &mut slots),
            None => Err(mismatch()),
        }
    }

    fn object_into(&mut self, record: &Record, slots: &mut Slots<'_>) -> Result<()> {
        if !record.has_header {
            let version = record.versions.first().ok_or_else(mismatch)?;
            return self.steps(&version.steps, slots);
        }
        let header = self.cursor.version()?;
        let checksum = self.checksum(header)?;
        let at = pick(record, i32::from(header.version), checksum)?;
        let version = record.versions.get(at).ok_or_else(mismatch)?;
        slots.enter(at, self.basket);
        self.steps(&version.steps, slots)?;
        self.close(header, &record.class)
    }

    /// Classes without a version number carry the checksum of their description instead.
    fn checksum(&mut self, header: VersionHeader) -> Result<Option<u32>> {
        let has_one = header.version == 0 && header.end.is_some_and(|end| end >= self.cursor.pos() + 4);
        if has_one { self.cursor.u32().map(Some) } else { Ok(None) }
    }

    fn steps(&mut self, steps: &[Step], slots: &mut Slots<'_>) -> Result<()> {
        for step in steps {
            match step {
                Step::Field { at, name, node } => {
                    let out = slots.get(*at)?;
                    let out = if is_optional(node) { out } else { out.present(1) };
                    self.member(node, out).map_err(|e| e.within(name))?;
                }
                Step::Base { class, version, is_wanted } => {
                    let header = self.cursor.version()?;
                    if let (Some(end), false) = (header.end, is_wanted) {
                        self.cursor.seek(end)?;
                        continue;
                    }
                    self.checksum(header)?;
                    self.steps(&version.steps, slots)
                        .and_then(|()| self.close(header, class))
                        .map_err(|e| e.within(class))?;
                }
                Step::Run(run) => self.run(run, 1, false, slots)?,
                Step::Pass { name, node } => self.pass(node, None).map_err(|e| e.within(name))?,
                other => self.step(other, 1, slots)?,
            }
        }
        Ok(())
    }

    /// The steps of so many objects, member by member.
    fn columns(&mut self, steps: &[Step], count: usize, slots: &mut Slots<'_>) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        for step in steps {
            match step {
                Step::Field { at, name, node } => {
                    let out = slots.get(*at)?;
                    let out = if is_optional(node) { out } else { out.present(count) };
                    self.column(node, count, out).map_err(|e| e.within(name))?;
                }
                // The members of base classes stand among the others.
                Step::Base { class, version, .. } => {
                    self.columns(&version.steps, count, slots).map_err(|e| e.within(class))?;
                }
                Step::Run(run) => self.run(run, count, true, slots)?,
                Step::Pass { name, node } => self.pass(node, Some(count)).map_err(|e| e.within(name))?,
                other => self.step(other, count, slots)?,
            }
        }
        Ok(())
    }

    /// Members of fixed size of so many objects. Where they lie as they should they are left for the end of the basket.
    fn run(&mut self, run: &Arc<Run>, count: usize, in_columns: bool, slots: &mut Slots<'_>) -> Result<()> {
        let rest = self.cursor.rest();
        let fits = |shape: &Shape| {
            let lies = |frame: &HeaderAt| {
                let place = frame.place;
                (0..count).all(|object| {
                    let at = count * place.before + object * place.stride + place.at;
                    rest.get(at..).is_some_and(|bytes| bytes.starts_with(&frame.expected))
                })
            };
            count.checked_mul(shape.width).is_some_and(|bytes| bytes <= rest.len()) && shape.frames.iter().all(lies)
        };
        let found = run.shapes.iter().enumerate().find(|(_, shape)| fits(shape));
        match (found, &mut slots.pending) {
            (Some((at, shape)), Some(pending)) => {
                let start = self.start + self.cursor.pos();
                pending.add((run, at), start, count, slots.outs, self.basket);
                self.cursor.skip(count * shape.width)
            }
            (_, pending) => {
                if let Some(pending) = pending {
                    pending.settle(slots.outs, self.basket);
                }
                for (at, name, node) in &run.fields {
                    // Among the fields of several classes that a pointer can lead to each is optional.
                    let out = slots.get(*at)?.present(count);
                    let read = if in_columns { self.column(node, count, out) } else { self.member(node, out) };
                    read.map_err(|e| e.within(name))?;
                    // The next run of the same members must not be converted before what waits in these.
                    out.settle(self.basket);
                }
                Ok(())
            }
        }
    }

    /// A member that nobody wants, of one object or of so many in a column.
    fn pass(&mut self, node: &Node, column: Option<usize>) -> Result<()> {
        let count = column.unwrap_or(1);
        if count == 0 {
            return Ok(());
        }
        if !node.has_pointers() {
            match node {
                Node::Number(number) => return self.cursor.skip(count.saturating_mul(number.width())),
                Node::Record(record) if record.has_header => return self.skip(Skip::Object(1), count),
                node if is_framed(node) => return self.skip(Skip::Container, count),
                _ => {}
            }
        }
        // There is no way around reading it.
        let mut nobody = Output::of_node(node, 0);
        match column {
            Some(count) => self.column(node, count, &mut nobody),
            None => self.member(node, &mut nobody),
        }
    }

    /// A step that is the same in an object and for a column of them.
    fn step(&mut self, step: &Step, count: usize, slots: &mut Slots<'_>) -> Result<()> {
        match step {
            Step::Field { .. } | Step::Run(_) | Step::Base { .. } | Step::Pass { .. } => Err(mismatch()),
            Step::Widened { at, from } => {
                let bytes = self.cursor.bytes(count.saturating_mul(from.width()), "numbers")?;
                slots.get(*at)?.present(count).number_values()?.append_widened(bytes, *from);
                Ok(())
            }
            Step::Counted { at, number, counter } => {
                let counts = self.counts(*counter, count, slots)?;
                let (offsets, child) = slots.get(*at)?.present(count).list_parts()?;
                for length in counts {
                    // A null pointer has no elements, whatever the counter says.
                    let length = if self.cursor.u8()? == 0 { 0 } else { length };
                    let bytes = self.cursor.bytes(length.saturating_mul(number.width()), "array elements")?;
                    child.number_values()?.append(bytes);
                    push_offset(offsets, length)?;
                }
                Ok(())
            }
            Step::Loop { at, name, record, counter } => {
                let counts = self.counts(*counter, count, slots)?;
                let header = self.cursor.version()?;
                let (offsets, child) = slots.get(*at)?.present(count).list_parts()?;
                for length in counts {
                    if length.saturating_mul(least(&Node::Record(record.clone()))) > self.remaining() {
                        return Err(
                            FormatError::invalid(format!("{length} objects do not fit into the entry")).within(name)
                        );
                    }
                    (0..length).try_for_each(|_| self.object(record, child)).map_err(|e| e.within(name))?;
                    push_offset(offsets, length)?;
                }
                self.close(header, name)
            }
            Step::Triangle { at, number, rows } => {
                let counts = self.counts(*rows, count, slots)?;
                let (offsets, child) = slots.get(*at)?.present(count).list_parts()?;
                for rows in counts {
                    let length = rows.saturating_mul(rows.saturating_add(1)) / 2;
                    let bytes = self.cursor.bytes(length.saturating_mul(number.width()), "matrix elements")?;
                    child.number_values()?.append(bytes);
                    push_offset(offsets, length)?;
                }
                Ok(())
            }
            Step::Object if self.lacks_object => Ok(()),
            Step::Object => (0..count).try_for_each(|_| skip_tobject(&mut self.cursor)),
            Step::Absent { at } => self.leave_out(count, slots.get(*at)?),
            Step::Skip { name, how } => self.skip(*how, count).map_err(|e| e.within(name)),
        }
    }

    /// The last values of a field that counts the elements of another.
    fn counts(&self, counter: usize, count: usize, slots: &mut Slots<'_>) -> Result<Vec<usize>> {
        let counts = match slots.get(counter)? {
            Output::Optional { child, .. } => child.number_values()?.last_counts(count),
            out => out.number_values()?.last_counts(count),
        };
        counts.ok_or_else(|| FormatError::invalid("a counter of elements is negative"))
    }

    fn skip(&mut self, how: Skip, count: usize) -> Result<()> {
        let frames = match how {
            Skip::Object(each) => each.saturating_mul(count),
            Skip::Container => 1,
            Skip::Pointer(each) => {
                return (0..each.saturating_mul(count)).try_for_each(|_| match self.tag()? {
                    (Tag::Object { end: Some(end), .. }, _) => self.cursor.seek(end),
                    (Tag::Object { class, .. }, _) => Err(unskippable(&class)),
                    _ => Ok(()),
                });
            }
        };
        (0..frames).try_for_each(|_| match self.cursor.version()?.end {
            Some(end) => self.cursor.seek(end),
            None => Err(unskippable("an object")),
        })
    }

    /// Appends values that are not there, behind those that wait.
    fn leave_out(&mut self, count: usize, out: &mut Output) -> Result<()> {
        out.settle(self.basket);
        out.append_nothing(count, self.nothing)
    }

    fn special(&mut self, special: Special, out: &mut Output) -> Result<()> {
        match special {
            Special::Object | Special::Ref => {
                self.cursor.version()?;
                let number = self.cursor.bytes(4, "unique number")?;
                if special == Special::Ref {
                    out.number_values()?.append(number);
                    let bits = self.cursor.bytes(4, "bits")?;
                    // The number of the process follows the object, and once more what the object's own bits ask for.
                    let referenced = bits.last().is_some_and(|low| low & IS_REFERENCED != 0);
                    return self.cursor.skip(if referenced { 4 } else { 2 });
                }
                let (id, bits) = out.pair()?;
                id.number_values()?.append(number);
                self.bits(bits)
            }
            Special::RefArray => {
                let header = self.cursor.version()?;
                skip_tobject(&mut self.cursor)?;
                self.cursor.string_bytes()?;
                let count = self.cursor.count(4, "references")?;
                // Lower bound, and the number of the process.
                self.cursor.skip(4 + 2)?;
                let (offsets, child) = out.list_parts()?;
                child.number_values()?.append(self.cursor.bytes(4 * count, "references")?);
                push_offset(offsets, count)?;
                self.close(header, "TRefArray")
            }
            Special::NumberArray(number) => {
                let (offsets, child) = out.list_parts()?;
                let count = self.cursor.count(number.width(), "array elements")?;
                child.number_values()?.append(self.cursor.bytes(count * number.width(), "array elements")?);
                push_offset(offsets, count)
            }
            Special::Datime => {
                out.number_values()?.append(self.cursor.bytes(4, "date and time")?);
                Ok(())
            }
        }
    }
}

/// The version of a class that an object is streamed in.
fn pick(record: &Record, version: i32, checksum: Option<u32>) -> Result<usize> {
    let found = match checksum {
        Some(sum) => record.versions.iter().position(|v| v.checksum == sum),
        None => record.versions.iter().position(|v| v.version == version),
    };
    match (found, record.versions.len()) {
        (Some(at), _) => Ok(at),
        // Writers give some classes other numbers than their descriptions; the byte count tells whether they fit.
        (None, 1) => Ok(0),
        (None, _) => Err(FormatError::invalid(format!(
            "an object of class {} has version {version}, which the file does not describe",
            record.class
        ))),
    }
}

#[cold]
fn disagrees(what: &str, end: usize, pos: usize) -> FormatError {
    let how = if pos > end {
        format!("goes on for {} bytes beyond its byte count", pos - end)
    } else {
        format!("ends {} bytes before its byte count", end - pos)
    };
    FormatError::invalid(format!(
        "{what} {how}: it is damaged, or writes itself in another way than the file describes; other members can still be \
         selected"
    ))
}

#[cold]
fn not_described(class: &str) -> FormatError {
    FormatError::Unsupported(format!("the file has objects of class {class} but does not describe it"))
}

#[cold]
fn unskippable(class: &str) -> FormatError {
    FormatError::invalid(format!("{class} has no byte count by which to pass over it"))
}
