//! Baskets: the values of some entries of one branch, as a record of the file.

use std::io::{Seek, Write};

use crate::error::Result;
use crate::file::{Container, Key, key_length};
use crate::number::put_all;
use crate::wire::Record;

/// What a basket adds to its key.
const BASKET_HEADER: usize = 19;
/// Shorter tables are compressed together with the values.
const OWN_FRAMES: usize = 512;

/// A basket that is full and waits to be written.
#[derive(Debug)]
pub(crate) struct Basket {
    pub branch: usize,
    pub first_entry: u64,
    pub entries: u32,
    /// Values, and the table of where entries begin.
    pub payload: Vec<u8>,
    /// Bytes of the values.
    pub values: usize,
    pub is_jagged: bool,
}

/// Where a basket was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BasketPlace {
    pub seek: u64,
    pub bytes: u32,
    pub first_entry: u64,
}

/// What the keys of a branch's baskets are called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label<'a> {
    pub branch: &'a str,
    /// The name of the tree, and blanks behind it.
    pub title: &'a str,
}

impl Label<'_> {
    /// Length of the key.
    pub(crate) fn key_length(self) -> usize {
        key_length("TBasket", self.branch, self.title) + BASKET_HEADER
    }
}

impl Basket {
    /// Puts the values of a jagged branch together with the table of where its entries begin, counted from the record's
    /// start.
    pub(crate) fn append_table(payload: &mut Vec<u8>, starts: &[u32], key_length: usize) {
        let end = payload.len();
        payload.extend((starts.len() as u32 + 1).to_be_bytes());
        put_all(Some(starts), |start| (start + key_length as u32).to_be_bytes(), payload);
        payload.extend(((end + key_length) as u32).to_be_bytes());
    }

    /// What is compressed by itself: the values, and the table behind them if it is worth that.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        let table = self.payload.len() - self.values;
        let border = if self.values > 0 && table >= OWN_FRAMES { self.values } else { self.payload.len() };
        self.payload.split_at_checked(border).unwrap_or((&self.payload, &[]))
    }

    /// Its memory, for another one.
    pub(crate) fn into_room(self) -> Vec<u8> {
        let mut room = self.payload;
        room.clear();
        room
    }

    /// Writes the basket, compressed into `frames` or as it is.
    pub(crate) fn write<W: Write + Seek>(
        &self,
        label: Label<'_>,
        directory: usize,
        frames: Option<[&[u8]; 2]>,
        out: &mut Container<W>,
    ) -> Result<BasketPlace> {
        let length = label.key_length();
        let stored = frames.unwrap_or([&self.payload, &[]]);
        let key = Key {
            stored: (length + stored.iter().map(|part| part.len()).sum::<usize>()) as u32,
            object_bytes: self.payload.len() as u32,
            date: out.date(),
            length: length as u16,
            cycle: 0,
            seek: out.position(),
            parent: out.seek_of(directory),
            class: "TBasket",
            name: label.branch.into(),
            title: label.title.into(),
        };
        let mut head = Record::default();
        key.put(&mut head);
        head.u16(3);
        head.u32((length + self.payload.len()) as u32);
        // The size of each entry, or room for the table of where they begin.
        head.u32(if self.is_jagged {
            self.entries + 1
        } else {
            (self.values as u32).checked_div(self.entries).unwrap_or(0)
        });
        head.u32(self.entries);
        head.u32((length + self.values) as u32);
        head.u8(0);
        out.append(&head.into_bytes())?;
        stored.into_iter().try_for_each(|part| out.append(part))?;
        Ok(BasketPlace { seek: key.seek, bytes: key.stored, first_entry: self.first_entry })
    }
}
