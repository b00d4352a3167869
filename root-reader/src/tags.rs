//! The tags by which a buffer names the class of a pointed-to object, or refers back to an object already in the buffer
//! (`TBufferFile::ReadObjectAny`).

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::FormatError;
use crate::wire::{BYTE_COUNT_MASK, Cursor};

const NEW_CLASS: u32 = 0xffff_ffff;
const CLASS_MASK: u32 = 0x8000_0000;
/// References count from two bytes behind the start of what they refer to.
const MAP_OFFSET: usize = 2;

/// What stands at a pointer.
#[derive(Debug, Clone)]
pub(crate) enum Tag {
    Null,
    /// An object that was read before; its key is what [`Tag::Object`] gave as `key`.
    Back(u32),
    /// A new object of this class follows.
    Object {
        class: Arc<str>,
        end: Option<usize>,
        key: u32,
    },
}

/// The classes named so far in one buffer.
#[derive(Debug)]
pub(crate) struct Tags {
    origin: usize,
    classes: HashMap<u32, Arc<str>>,
}

impl Tags {
    /// `origin` is where the buffer starts in the offsets of its writer: the length of the key before it.
    pub(crate) fn new(origin: usize) -> Self {
        Self { origin, classes: HashMap::new() }
    }

    fn key(&self, pos: usize) -> u32 {
        (pos + self.origin + MAP_OFFSET) as u32
    }

    pub(crate) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<Tag, FormatError> {
        let start = cursor.pos();
        let word = cursor.u32()?;
        let (tag, end, tag_pos) = if word & BYTE_COUNT_MASK != 0 && word != NEW_CLASS {
            let end = start + 4 + (word & !BYTE_COUNT_MASK) as usize;
            if end > cursor.pos() + cursor.remaining() {
                return Err(FormatError::invalid(format!("an object at offset {start} reaches beyond its record")));
            }
            let pos = cursor.pos();
            (cursor.u32()?, Some(end), pos)
        } else {
            (word, None, start)
        };
        if tag & CLASS_MASK == 0 {
            if let Some(end) = end {
                cursor.seek(end)?;
            }
            return Ok(if tag == 0 { Tag::Null } else { Tag::Back(tag) });
        }
        let key = self.key(start);
        let class = if tag == NEW_CLASS {
            let class: Arc<str> = cursor.c_string()?.into();
            self.classes.insert(self.key(tag_pos), class.clone());
            class
        } else {
            self.classes.get(&(tag & !CLASS_MASK)).cloned().ok_or_else(|| {
                FormatError::invalid(format!(
                    "the object at offset {start} refers to a class that was not named before"
                ))
            })?
        };
        Ok(Tag::Object { class, end, key })
    }
}
