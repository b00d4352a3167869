//! Pointers to objects, and ROOT's containers of them: what class follows is only known once it is there.

use std::sync::Arc;

use super::{Slots, Walker, disagrees, not_described, pick};
use crate::class::{Node, Objects, Pointee, Pointer};
use crate::cpp_type::normal_name;
use crate::error::FormatError;
use crate::output::{Output, mismatch, push_offset};
use crate::streamer::object_bits;
use crate::tags::Tag;

type Result<T> = std::result::Result<T, FormatError>;

/// Bytes of objects that pointers may lead to again, for each byte of an entry.
const MOST_REVISITS: usize = 8;

impl Walker<'_> {
    pub(super) fn tag(&mut self) -> Result<(Tag, usize)> {
        let tag = self.tags.read(&mut self.cursor)?;
        let pos = self.cursor.pos();
        if let Tag::Object { class, key, .. } = &tag {
            self.objects.insert(*key, (class.clone(), pos));
        }
        Ok((tag, pos))
    }

    pub(super) fn pointer(&mut self, pointer: &Pointer, out: &mut Output) -> Result<()> {
        match self.tag()?.0 {
            Tag::Null => self.leave_out(1, out),
            Tag::Back(key) => {
                let (class, place) = self.revisit(key)?;
                let resume = self.cursor.pos();
                self.cursor.seek(place)?;
                self.pointee(pointer, &class, None, out)?;
                self.revisited(place)?;
                self.cursor.seek(resume)
            }
            Tag::Object { class, end, .. } => {
                self.pointee(pointer, &class, end, out)?;
                self.reached(end, &class)
            }
        }
    }

    /// A pointer to what is no class with members.
    pub(super) fn nullable(&mut self, target: &Node, out: &mut Output) -> Result<()> {
        match self.tag()?.0 {
            Tag::Null => self.leave_out(1, out),
            Tag::Back(key) => {
                let (_, place) = self.revisit(key)?;
                let resume = self.cursor.pos();
                self.cursor.seek(place)?;
                self.member(target, out.present(1))?;
                self.revisited(place)?;
                self.cursor.seek(resume)
            }
            Tag::Object { class, end, .. } => {
                self.member(target, out.present(1))?;
                self.reached(end, &class)
            }
        }
    }

    fn revisit(&self, key: u32) -> Result<(Arc<str>, usize)> {
        let known = self.objects.get(&key).cloned();
        known.ok_or_else(|| FormatError::invalid("a pointer leads to an object that is not in the same entry"))
    }

    fn revisited(&mut self, place: usize) -> Result<()> {
        self.revisited = self.revisited.saturating_add(self.cursor.pos().saturating_sub(place));
        if self.revisited > self.length.saturating_mul(MOST_REVISITS) {
            return Err(FormatError::invalid("pointers lead to the same objects over and over"));
        }
        Ok(())
    }

    fn reached(&mut self, end: Option<usize>, class: &str) -> Result<()> {
        match end {
            Some(end) if end != self.cursor.pos() => Err(disagrees(class, end, self.cursor.pos())),
            _ => Ok(()),
        }
    }

    /// The object that a pointer leads to; `end` is where it ends, if that is known.
    fn pointee(&mut self, pointer: &Pointer, class: &str, end: Option<usize>, out: &mut Output) -> Result<()> {
        let found = pointer.pointees.iter().find(|p| &*p.record.class == class);
        let found = found.or_else(|| {
            let normal = normal_name(class);
            pointer.pointees.iter().find(|p| normal_name(&p.record.class) == normal)
        });
        if found.is_none() && !pointer.names_class {
            return Err(FormatError::Unsupported(format!(
                "a pointer to {} leads to a {class}, which the file does not describe as derived from it",
                pointer.class
            )));
        }
        let Output::Record(outs) = out.present(1) else {
            return Err(mismatch());
        };
        if pointer.names_class
            && let Some(Output::Text { offsets, bytes }) = outs.first_mut()
        {
            bytes.extend_from_slice(class.as_bytes());
            push_offset(offsets, class.len())?;
        }
        let places = match found {
            Some(Pointee { record, places }) => {
                self.object_into(record, &mut Slots { outs, places: Some(places), pending: None })?;
                places.as_slice()
            }
            None => {
                if let Some(end) = end {
                    self.cursor.seek(end)?;
                }
                &[]
            }
        };
        self.fill(pointer, places, 1, outs)
    }

    /// One of ROOT's containers: a header, a TObject and a name, then the objects.
    pub(super) fn objects(&mut self, kind: Objects, pointer: &Pointer, out: &mut Output) -> Result<()> {
        let header = self.cursor.version()?;
        let is_old = header.version < if kind == Objects::List { 4 } else { 3 };
        let bits = if is_old { 0 } else { object_bits(&mut self.cursor)? };
        if header.version > 1 {
            self.cursor.string_bytes()?;
        }
        let (offsets, child) = out.list_parts()?;
        let count = match kind {
            Objects::Clones => self.clones(bits, pointer, child)?,
            Objects::Array | Objects::List => {
                let count = self.cursor.count(4, "objects")?;
                if kind == Objects::Array {
                    // Lower bound.
                    self.cursor.skip(4)?;
                }
                for _ in 0..count {
                    self.pointer(pointer, child)?;
                    if kind == Objects::List {
                        self.cursor.string_bytes()?;
                    }
                }
                count
            }
        };
        push_offset(offsets, count)?;
        self.close(header, "container")
    }

    /// The objects of a TClonesArray, behind `Class;version`. A bit of the array says that they are streamed by member.
    fn clones(&mut self, bits: u32, pointer: &Pointer, out: &mut Output) -> Result<usize> {
        const BYPASS_STREAMER: u32 = 1 << 12;
        let named = self.cursor.string()?;
        let (class, version) = named.rsplit_once(';').unwrap_or((&named, ""));
        let count = self.cursor.i32()?.unsigned_abs() as usize;
        // Lower bound.
        self.cursor.skip(4)?;
        if count > self.remaining() {
            return Err(FormatError::invalid(format!("{count} objects do not fit into the entry")));
        }
        let found = pointer.pointees.iter().find(|p| &*p.record.class == class);
        let Some(Pointee { record, places }) = found.filter(|_| count > 0) else {
            return if count == 0 { Ok(0) } else { Err(not_described(class)) };
        };
        if bits & BYPASS_STREAMER == 0 {
            let mut present = 0;
            for _ in 0..count {
                if self.cursor.u8()? != 0 {
                    self.pointee(pointer, class, None, out)?;
                    present += 1;
                }
            }
            return Ok(present);
        }
        let at = pick(record, version.parse().unwrap_or(-1), None)?;
        let version = record.versions.get(at).ok_or_else(mismatch)?;
        let Output::Record(outs) = out.present(count) else {
            return Err(mismatch());
        };
        if let Some(Output::Text { offsets, bytes }) = outs.first_mut().filter(|_| pointer.names_class) {
            for _ in 0..count {
                bytes.extend_from_slice(class.as_bytes());
                push_offset(offsets, class.len())?;
            }
        }
        self.columns(&version.steps, count, &mut Slots { outs, places: Some(places), pending: None })?;
        self.fill(pointer, places, count, outs)?;
        Ok(count)
    }

    /// Fields of other classes that the pointer could have led to.
    fn fill(&mut self, pointer: &Pointer, places: &[usize], count: usize, outs: &mut [Output]) -> Result<()> {
        let first = usize::from(pointer.names_class);
        for (_, out) in outs.iter_mut().enumerate().skip(first).filter(|(at, _)| !places.contains(at)) {
            self.leave_out(count, out)?;
        }
        Ok(())
    }
}
