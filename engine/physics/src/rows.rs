//! Some rows of columns with lists. Arrow copies lists row by row; here the elements of neighbouring rows are taken
//! together, and not copied at all where the other rows have none.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, StructArray, UInt32Array};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::DataType;
use arrow_select::filter::{FilterBuilder, FilterPredicate};

use crate::collection::taken;
use crate::error::{Error, Result};

/// The rows that are kept.
#[derive(Debug)]
pub struct KeptRows {
    flags: BooleanBuffer,
    /// For columns without lists.
    plain: FilterPredicate,
}

impl KeptRows {
    /// Rows that are flagged.
    pub fn new(flags: BooleanBuffer) -> Self {
        let plain = FilterBuilder::new(&BooleanArray::new(flags.clone(), None)).optimize().build();
        Self { flags, plain }
    }

    /// These rows of a column.
    pub fn of(&self, column: &ArrayRef) -> Result<ArrayRef> {
        if column.len() != self.flags.len() {
            return Err(Error::Rows { argument: 1, found: column.len(), expected: self.flags.len() });
        }
        if let Some(lists) = column.as_list_opt::<i32>() {
            return Ok(Arc::new(self.of_lists(lists)?));
        }
        match column.as_struct_opt() {
            Some(objects) if objects.num_columns() > 0 => {
                let columns = objects.columns().iter().map(|column| self.of(column)).collect::<Result<_>>()?;
                let nulls = self.of_nulls(objects.nulls())?;
                Ok(Arc::new(StructArray::try_new(objects.fields().clone(), columns, nulls)?))
            }
            _ => Ok(self.plain.filter(column)?),
        }
    }

    fn of_lists(&self, lists: &ListArray) -> Result<ListArray> {
        let offsets = lists.offsets();
        let (mut ends, mut end) = (Vec::with_capacity(self.plain.count() + 1), 0);
        ends.push(end);
        let mut spans = Vec::new();
        for (from, to) in self.flags.set_slices() {
            let Some([first, bounds @ ..]) = offsets.get(from..=to) else { continue };
            ends.extend(bounds.iter().map(|bound| end + (bound - first)));
            let last = bounds.last().unwrap_or(first);
            end += last - first;
            spans.push(*first..*last);
        }
        let all = offsets.first().zip(offsets.last()).map_or(0..0, |(first, last)| *first..*last);
        let values = if end == all.end - all.start {
            lists.values().slice(all.start as usize, end as usize)
        } else {
            let mut places = Vec::with_capacity(end as usize);
            spans.into_iter().for_each(|span| places.extend(span.start as u32..span.end as u32));
            taken(lists.values(), &UInt32Array::from(places))?
        };
        let DataType::List(element) = lists.data_type() else { return Ok(lists.clone()) };
        let nulls = self.of_nulls(lists.nulls())?;
        Ok(ListArray::try_new(element.clone(), OffsetBuffer::new(ends.into()), values, nulls)?)
    }

    fn of_nulls(&self, nulls: Option<&NullBuffer>) -> Result<Option<NullBuffer>> {
        let Some(nulls) = nulls else { return Ok(None) };
        let valid = self.plain.filter(&BooleanArray::new(nulls.inner().clone(), None))?;
        Ok(Some(NullBuffer::new(valid.as_boolean().values().clone())).filter(|nulls| nulls.null_count() > 0))
    }
}
