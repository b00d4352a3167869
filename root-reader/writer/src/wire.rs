//! A record under construction: big-endian values, versions with byte counts, and the tags that stand in front of
//! objects behind pointers (`TBufferFile::WriteObjectAny`).

use std::collections::HashMap;

const BYTE_COUNT_MASK: u32 = 0x4000_0000;
const NEW_CLASS: u32 = 0xffff_ffff;
const CLASS_MASK: u32 = 0x8000_0000;
/// References count from two bytes behind the start of what they refer to.
const MAP_OFFSET: usize = 2;
/// Bits of an object on the heap that is alive: what `TObject` writes of most objects.
pub(crate) const PLAIN_BITS: u32 = 0x0300_0000;

/// Bytes of a string with its length.
pub(crate) fn string_length(text: &str) -> usize {
    text.len() + if text.len() < 255 { 1 } else { 5 }
}

/// A string with its length in front: one byte, or 255 and four bytes.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(length) if length < 255 => out.push(length),
        _ => {
            out.push(255);
            out.extend((text.len() as u32).to_be_bytes());
        }
    }
    out.extend(text);
}

/// The place of an object in a record, by which later pointers refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference(u32);

impl Reference {
    /// A pointer to nothing.
    pub(crate) const NONE: Self = Self(0);
}

/// A record under construction.
#[derive(Debug, Default)]
pub(crate) struct Record {
    bytes: Vec<u8>,
    /// Where the bytes begin in the offsets of references: the length of the key in front.
    origin: usize,
    classes: HashMap<&'static str, u32>,
}

macro_rules! numbers {
    ($($name:ident),*) => {
        $(pub(crate) fn $name(&mut self, value: $name) {
            self.bytes.extend(value.to_be_bytes());
        })*
    };
}

impl Record {
    /// A record behind a key of `origin` bytes.
    pub(crate) fn new(origin: usize) -> Self {
        Self { origin, ..Self::default() }
    }

    numbers!(u8, u16, i16, u32, i32, i64, u64, f32, f64);

    pub(crate) fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    pub(crate) fn string(&mut self, text: &str) {
        put_string(&mut self.bytes, text.as_bytes());
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// An object, or a base of one: byte count, version, and what `content` writes.
    pub(crate) fn framed(&mut self, version: u16, content: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.u32(0);
        self.u16(version);
        content(self);
        self.count_bytes(start);
    }

    /// An object behind a pointer: the tag with its class, and what `content` writes. It can be referred to.
    pub(crate) fn object(&mut self, class: &'static str, content: impl FnOnce(&mut Self)) -> Reference {
        let start = self.bytes.len();
        self.u32(0);
        let tag = self.bytes.len();
        match self.classes.get(class) {
            Some(known) => self.u32(CLASS_MASK | known),
            None => {
                self.classes.insert(class, (tag + self.origin + MAP_OFFSET) as u32);
                self.u32(NEW_CLASS);
                self.raw(class.as_bytes());
                self.u8(0);
            }
        }
        content(self);
        self.count_bytes(start);
        Reference((start + self.origin + MAP_OFFSET) as u32)
    }

    /// A pointer to an object that is already in the record.
    pub(crate) fn refer(&mut self, to: Reference) {
        self.u32(to.0);
    }

    /// A pointer to nothing.
    pub(crate) fn null(&mut self) {
        self.refer(Reference::NONE);
    }

    /// `TObject`.
    pub(crate) fn tobject(&mut self, unique_id: u32, bits: u32) {
        self.u16(1);
        self.u32(unique_id);
        self.u32(bits);
    }

    /// `TNamed`.
    pub(crate) fn tnamed(&mut self, bits: u32, name: &str, title: &str) {
        self.framed(1, |r| {
            r.tobject(0, bits);
            r.string(name);
            r.string(title);
        });
    }

    /// `TObjArray` of what `each` writes, pointer by pointer.
    pub(crate) fn obj_array<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.framed(3, |r| {
            r.tobject(0, PLAIN_BITS);
            r.string("");
            r.i32(items.len() as i32);
            r.i32(0);
            items.iter().for_each(|item| each(r, item));
        });
    }

    /// `TList` of what `each` writes, pointer by pointer.
    pub(crate) fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, usize, &T)) {
        self.framed(5, |r| {
            r.tobject(0, PLAIN_BITS);
            r.string("");
            r.i32(items.len() as i32);
            for (index, item) in items.iter().enumerate() {
                each(r, index, item);
                r.string("");
            }
        });
    }

    /// A counted array behind a pointer: whether it is there, and its values.
    pub(crate) fn counted<T: Copy>(&mut self, values: &[T], mut each: impl FnMut(&mut Self, T)) {
        self.bool(!values.is_empty());
        values.iter().for_each(|value| each(self, *value));
    }

    /// `TArrayD`.
    pub(crate) fn array_f64(&mut self, values: &[f64]) {
        self.i32(values.len() as i32);
        values.iter().for_each(|value| self.f64(*value));
    }

    /// Puts into the four bytes at `start` how many follow them.
    fn count_bytes(&mut self, start: usize) {
        let count = (self.bytes.len() - start - 4) as u32 | BYTE_COUNT_MASK;
        if let Some(place) = self.bytes.get_mut(start..start + 4) {
            place.copy_from_slice(&count.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_count_covers_the_version_and_the_content() {
        let mut record = Record::new(0);
        record.framed(3, |r| r.i32(-2));
        assert_eq!(record.into_bytes(), [0x40, 0, 0, 6, 0, 3, 0xff, 0xff, 0xff, 0xfe]);
    }

    #[test]
    fn the_second_object_of_a_class_refers_to_the_name_in_the_first() {
        let mut record = Record::new(100);
        let first = record.object("TX", |r| r.u8(1));
        record.object("TX", |r| r.u8(2));
        record.refer(first);
        let expected: [u8; 29] = [
            0x40, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, b'T', b'X', 0,
            1, // new class at 4, which is 106 with the key and 2
            0x40, 0, 0, 5, 0x80, 0, 0, 106, 2, // the class by reference
            0, 0, 0, 102, // the first object by reference
            0, 0, 0, 0,
        ];
        record.null();
        assert_eq!(record.into_bytes(), expected);
    }

    #[test]
    fn strings_of_255_bytes_and_more_have_a_long_length() {
        let long = "x".repeat(255);
        let mut record = Record::new(0);
        record.string(&long);
        let bytes = record.into_bytes();
        assert_eq!(bytes.get(..5), Some(&[255, 0, 0, 0, 255][..]));
        assert_eq!(bytes.len(), string_length(&long));
    }
}
