//! Reading a part of the nested columns: which flat columns it takes, and how their arrays are put together without
//! copying values.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use super::{Element, Nested, Node};
use crate::error::{Error, Place, Result};

/// How to read some of the nested columns of a tree, or parts of them; see [`Nested::plan`].
#[derive(Debug, Clone)]
pub struct NestedPlan {
    schema: SchemaRef,
    columns: Vec<usize>,
    parts: Vec<Part>,
    place: Place,
}

/// A column or member that is put together out of the columns of a flat batch, which it names by their places.
#[derive(Debug, Clone)]
enum Part {
    Flat(usize),
    Struct(Fields, Vec<Part>),
    List {
        item: FieldRef,
        element: ElementPart,
        /// The columns that take part.
        members: Vec<usize>,
        /// The column to take the lengths from where no other takes part: counts, or lists.
        lengths: Option<usize>,
    },
}

#[derive(Debug, Clone)]
enum ElementPart {
    Values(usize),
    Struct(Fields, Vec<ElementPart>),
}

impl Nested {
    /// Plans to read `fields`: columns of [`Nested::schema`], each whole or with fewer members in its structs, at any depth
    /// and in any order. A list of structs without any members is still read as far as its lengths go.
    ///
    /// Types are those of this tree, whatever `fields` says of members that hold no others, and what the tree does not have
    /// is left out; [`NestedPlan::schema`] tells what will come.
    pub fn plan(&self, fields: &Fields) -> NestedPlan {
        let mut planner = Planner { nested: self, columns: Vec::new(), places: HashMap::new() };
        let mut planned = Vec::new();
        let mut parts = Vec::new();
        for wanted in fields {
            let Some((at, own)) = self.schema.column_with_name(wanted.name()) else { continue };
            let Some(node) = self.nodes.get(at) else { continue };
            let (data_type, part) = planner.part(own.data_type(), node, Some(wanted.data_type()));
            planned.push(own.clone().with_data_type(data_type));
            parts.push(part);
        }
        let schema = Arc::new(Schema::new(planned));
        NestedPlan { schema, columns: planner.columns, parts, place: self.place.clone() }
    }
}

struct Planner<'a> {
    nested: &'a Nested,
    columns: Vec<usize>,
    /// Where they stand in `columns`.
    places: HashMap<usize, usize>,
}

impl Planner<'_> {
    /// The place of a flat column in the batches that will be scanned.
    fn scanned(&mut self, column: usize) -> usize {
        *self.places.entry(column).or_insert_with(|| {
            self.columns.push(column);
            self.columns.len() - 1
        })
    }

    fn part(&mut self, own: &DataType, node: &Node, wanted: Option<&DataType>) -> (DataType, Part) {
        match (node, own) {
            (Node::Struct(nodes), DataType::Struct(fields)) => {
                let chosen = members(fields, nodes, wanted);
                let made = chosen.into_iter().map(|(field, node, wanted)| {
                    let (data_type, part) = self.part(field.data_type(), node, wanted);
                    (field.as_ref().clone().with_data_type(data_type), part)
                });
                let (fields, parts): (Vec<Field>, Vec<Part>) = made.unzip();
                let fields = Fields::from(fields);
                (DataType::Struct(fields.clone()), Part::Struct(fields, parts))
            }
            (Node::List { element, counter }, DataType::List(item)) => {
                let wanted = match wanted {
                    Some(DataType::List(item)) => Some(item.data_type()),
                    _ => None,
                };
                let mut taken = Vec::new();
                let (data_type, part) = self.element(item.data_type(), element, wanted, &mut taken);
                let lengths = taken.is_empty().then(|| counter.or_else(|| self.cheapest(element))).flatten();
                let item = Arc::new(Field::new_list_field(data_type, true));
                let lengths = lengths.map(|column| self.scanned(column));
                let part = Part::List { item: item.clone(), element: part, members: taken, lengths };
                (DataType::List(item), part)
            }
            (Node::Flat(column), _) => (own.clone(), Part::Flat(self.scanned(*column))),
            // A node and its type are made together.
            (_, _) => (DataType::Null, Part::Struct(Fields::empty(), Vec::new())),
        }
    }

    fn element(
        &mut self,
        own: &DataType,
        element: &Element,
        wanted: Option<&DataType>,
        taken: &mut Vec<usize>,
    ) -> (DataType, ElementPart) {
        match (element, own) {
            (Element::Struct(elements), DataType::Struct(fields)) => {
                let chosen = members(fields, elements, wanted);
                let made = chosen.into_iter().map(|(field, element, wanted)| {
                    let (data_type, part) = self.element(field.data_type(), element, wanted, taken);
                    (field.as_ref().clone().with_data_type(data_type), part)
                });
                let (fields, parts): (Vec<Field>, Vec<ElementPart>) = made.unzip();
                let fields = Fields::from(fields);
                (DataType::Struct(fields.clone()), ElementPart::Struct(fields, parts))
            }
            (Element::Values(column), _) => {
                let at = self.scanned(*column);
                taken.push(at);
                (own.clone(), ElementPart::Values(at))
            }
            (Element::Struct(_), _) => (DataType::Null, ElementPart::Struct(Fields::empty(), Vec::new())),
        }
    }

    /// The column of an element that is read with the fewest bytes.
    fn cheapest(&self, element: &Element) -> Option<usize> {
        match element {
            Element::Values(column) => Some(*column),
            Element::Struct(elements) => {
                let columns = elements.iter().filter_map(|element| self.cheapest(element));
                columns.min_by_key(|column| self.nested.stored.get(*column).copied().unwrap_or(u64::MAX))
            }
        }
    }
}

/// A member with the node that makes it and what is wanted of it.
type Chosen<'a, N> = (&'a FieldRef, &'a N, Option<&'a DataType>);

/// Those members of a struct that are wanted, in the wanted order.
fn members<'a, N>(fields: &'a Fields, nodes: &'a [N], wanted: Option<&'a DataType>) -> Vec<Chosen<'a, N>> {
    let Some(DataType::Struct(wanted)) = wanted else {
        return fields.iter().zip(nodes).map(|(field, node)| (field, node, None)).collect();
    };
    let chosen = wanted.iter().filter_map(|wanted| {
        let (at, field) = fields.find(wanted.name())?;
        Some((field, nodes.get(at)?, Some(wanted.data_type())))
    });
    chosen.collect()
}

/// The common lengths of the lists of a collection.
struct Lengths {
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
    /// Elements of all lists together.
    elements: usize,
}

impl NestedPlan {
    /// The columns of [`NestedPlan::assemble`].
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// What has to be scanned, as [`Tree::scan`](crate::Tree::scan) takes it. Beside indices into
    /// [`Tree::schema`](crate::Tree::schema) there can be some behind its end: lengths of collections that are no columns.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Puts a batch with the columns of [`NestedPlan::columns`] together, which may have more columns behind them. Values
    /// are not copied.
    pub fn assemble(&self, flat: &RecordBatch) -> Result<RecordBatch> {
        let arrays = self.parts.iter().map(|part| self.build(part, flat)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(flat.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options).map_err(|e| self.refused(e))
    }

    fn refused(&self, source: ArrowError) -> Error {
        Error::Arrow { place: Box::new(self.place.clone()), source }
    }

    fn column<'a>(&self, flat: &'a RecordBatch, at: usize) -> Result<&'a ArrayRef> {
        let missing = || ArrowError::SchemaError(format!("the batch to put together has no column {at}"));
        flat.columns().get(at).ok_or_else(|| self.refused(missing()))
    }

    fn list<'a>(&self, flat: &'a RecordBatch, at: usize) -> Result<&'a ListArray> {
        let no_list = || ArrowError::SchemaError(format!("column {at} of the batch to put together is no list"));
        self.column(flat, at)?.as_list_opt::<i32>().ok_or_else(|| self.refused(no_list()))
    }

    fn build(&self, part: &Part, flat: &RecordBatch) -> Result<ArrayRef> {
        match part {
            Part::Flat(at) => Ok(self.column(flat, *at)?.clone()),
            Part::Struct(fields, parts) => {
                let arrays = parts.iter().map(|part| self.build(part, flat)).collect::<Result<Vec<_>>>()?;
                self.structure(fields, arrays, flat.num_rows())
            }
            Part::List { item, element, members, lengths } => {
                let lengths = match (members.split_first(), lengths) {
                    (Some((first, others)), _) => self.shared_lengths(flat, *first, others)?,
                    (None, Some(at)) => self.lengths_of(flat, *at)?,
                    (None, None) => return Err(self.refused(ArrowError::SchemaError("a list without lengths".into()))),
                };
                let values = self.build_element(element, flat, lengths.elements)?;
                let list = ListArray::try_new(item.clone(), lengths.offsets, values, lengths.nulls);
                Ok(Arc::new(list.map_err(|e| self.refused(e))?))
            }
        }
    }

    fn build_element(&self, element: &ElementPart, flat: &RecordBatch, elements: usize) -> Result<ArrayRef> {
        match element {
            ElementPart::Values(at) => {
                let list = self.list(flat, *at)?;
                let span = span(list.offsets());
                Ok(match span.len() == list.values().len() {
                    true => list.values().clone(),
                    false => list.values().slice(span.start, span.len()),
                })
            }
            ElementPart::Struct(fields, parts) => {
                let arrays =
                    parts.iter().map(|part| self.build_element(part, flat, elements)).collect::<Result<Vec<_>>>()?;
                self.structure(fields, arrays, elements)
            }
        }
    }

    fn structure(&self, fields: &Fields, arrays: Vec<ArrayRef>, length: usize) -> Result<ArrayRef> {
        let made = StructArray::try_new_with_length(fields.clone(), arrays, None, length);
        Ok(Arc::new(made.map_err(|e| self.refused(e))?))
    }

    /// The lengths that several columns of lists agree on.
    fn shared_lengths(&self, flat: &RecordBatch, first: usize, others: &[usize]) -> Result<Lengths> {
        let list = self.list(flat, first)?;
        let mut nulls = list.nulls().cloned();
        for other in others {
            let also = self.list(flat, *other)?;
            if !agree(list.offsets(), also.offsets()) {
                let name = |at: usize| flat.schema_ref().fields().get(at).map(|f| f.name().clone()).unwrap_or_default();
                return Err(Error::Uneven {
                    place: Box::new(self.place.clone()),
                    first: name(first),
                    second: name(*other),
                });
            }
            // An entry is there as soon as one of the branches has it.
            nulls = match (nulls, also.nulls()) {
                (Some(known), Some(own)) => Some(NullBuffer::new(known.inner() | own.inner())),
                _ => None,
            };
        }
        let span = span(list.offsets());
        let offsets = match i32::try_from(span.start) {
            Ok(start) if start > 0 => {
                OffsetBuffer::new(list.offsets().iter().map(|o| o - start).collect::<Vec<_>>().into())
            }
            _ => list.offsets().clone(),
        };
        Ok(Lengths { offsets, nulls: nulls.filter(|n| n.null_count() > 0), elements: span.len() })
    }

    /// The lengths that a column of counts tells, or one of lists.
    fn lengths_of(&self, flat: &RecordBatch, at: usize) -> Result<Lengths> {
        let column = self.column(flat, at)?;
        let counts = match column.data_type() {
            DataType::List(_) => return self.shared_lengths(flat, at, &[]),
            DataType::Int8 => totals::<Int8Type>(column),
            DataType::Int16 => totals::<Int16Type>(column),
            DataType::Int32 => totals::<Int32Type>(column),
            DataType::Int64 => totals::<Int64Type>(column),
            DataType::UInt8 => totals::<UInt8Type>(column),
            DataType::UInt16 => totals::<UInt16Type>(column),
            DataType::UInt32 => totals::<UInt32Type>(column),
            DataType::UInt64 => totals::<UInt64Type>(column),
            _ => None,
        };
        let no_counts = || {
            let name = flat.schema_ref().fields().get(at).map(|f| f.name().clone()).unwrap_or_default();
            ArrowError::ComputeError(format!("the values of '{name}' are no numbers of elements"))
        };
        let offsets = counts.ok_or_else(|| self.refused(no_counts()))?;
        let elements = offsets.last().copied().unwrap_or(0).max(0) as usize;
        let nulls = column.nulls().filter(|n| n.null_count() > 0).cloned();
        Ok(Lengths { offsets, nulls, elements })
    }
}

/// The values that the lists of a column take.
fn span(offsets: &OffsetBuffer<i32>) -> Range<usize> {
    let at = |offset: Option<&i32>| offset.copied().unwrap_or(0).max(0) as usize;
    at(offsets.first())..at(offsets.last())
}

/// Whether lists have the same lengths. Mostly they share their offsets.
fn agree(one: &OffsetBuffer<i32>, other: &OffsetBuffer<i32>) -> bool {
    let (a, b): (&ScalarBuffer<i32>, &ScalarBuffer<i32>) = (one.inner(), other.inner());
    if a.ptr_eq(b) {
        return true;
    }
    let shift = span(one).start as i64 - span(other).start as i64;
    a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| i64::from(*a) - i64::from(*b) == shift)
}

/// Running totals of counts; NULL counts nothing. `None` if a count is negative, or the total too large for a list.
fn totals<T: ArrowPrimitiveType>(counts: &ArrayRef) -> Option<OffsetBuffer<i32>>
where
    T::Native: TryInto<i32>,
{
    let counts = counts.as_primitive_opt::<T>()?;
    let mut offsets = Vec::with_capacity(counts.len() + 1);
    let mut total = 0i32;
    offsets.push(total);
    for count in counts {
        let count: i32 = count.map_or(Some(0), |n| n.try_into().ok())?;
        total = total.checked_add(count).filter(|_| count >= 0)?;
        offsets.push(total);
    }
    Some(OffsetBuffer::new(offsets.into()))
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Float32Type;
    use arrow_array::{Int32Array, RecordBatch};

    use super::*;

    /// A tree with the flat columns `pt`, `eta` (lists) and `count` that are the list `m`; `eta` takes the fewest bytes.
    fn nested(counter: Option<usize>) -> Nested {
        let members = vec![Field::new("pt", DataType::Float32, true), Field::new("eta", DataType::Float32, true)];
        let item = Field::new_list_field(DataType::Struct(members.into()), true);
        let element = Element::Struct(vec![Element::Values(0), Element::Values(1)]);
        Nested {
            schema: Arc::new(Schema::new(vec![Field::new("m", DataType::List(Arc::new(item)), true)])),
            nodes: vec![Node::List { element, counter }],
            stored: vec![20, 10, 30],
            place: Place::default(),
        }
    }

    fn lists(entries: &[Option<&[f32]>]) -> ArrayRef {
        let entries = entries.iter().map(|e| e.map(|values| values.iter().map(|v| Some(*v))));
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(entries))
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap()
    }

    /// The column `m` with these members.
    fn wanted(members: &[&str]) -> Fields {
        let members: Vec<Field> = members.iter().map(|m| Field::new(*m, DataType::Float32, true)).collect();
        let item = Field::new_list_field(DataType::Struct(members.into()), true);
        vec![Field::new("m", DataType::List(Arc::new(item)), true)].into()
    }

    #[test]
    fn members_with_the_same_lengths_become_structs_without_copies() {
        let plan = nested(None).plan(&wanted(&["eta", "pt"]));
        assert_eq!(plan.columns(), [1, 0]);
        let eta = lists(&[Some(&[1.0, 2.0]), None, Some(&[3.0])]);
        let pt = lists(&[Some(&[10.0, 20.0]), None, Some(&[30.0])]);
        let made = plan.assemble(&batch(vec![("eta", eta.clone()), ("pt", pt)])).unwrap();
        let list = made.column(0).as_list::<i32>();
        assert_eq!((list.value_length(0), list.is_null(1), list.value_length(2)), (2, true, 1));
        assert!(list.values().as_struct().column(0).to_data().ptr_eq(&eta.as_list::<i32>().values().to_data()));
        assert_eq!(list.values().as_struct().column(1).as_primitive::<Float32Type>().values()[2], 30.0);
    }

    #[test]
    fn lists_that_begin_elsewhere_in_their_buffers_agree_by_their_lengths() {
        let plan = nested(None).plan(&wanted(&["pt", "eta"]));
        let pt = lists(&[Some(&[0.0, 0.0, 0.0]), Some(&[1.0]), Some(&[2.0, 3.0])]).slice(1, 2);
        let eta = lists(&[Some(&[4.0]), Some(&[5.0, 6.0])]);
        for columns in [vec![("pt", pt.clone()), ("eta", eta.clone())], vec![("pt", eta), ("eta", pt)]] {
            let made = plan.assemble(&batch(columns)).unwrap();
            let list = made.column(0).as_list::<i32>();
            assert_eq!((list.value_length(0), list.value_length(1), list.values().len()), (1, 2, 3));
        }
    }

    #[test]
    fn members_with_other_lengths_are_an_error_that_names_both() {
        let plan = nested(None).plan(&wanted(&["pt", "eta"]));
        let (pt, eta) = (lists(&[Some(&[1.0]), Some(&[2.0])]), lists(&[Some(&[1.0, 2.0]), Some(&[])]));
        let error = plan.assemble(&batch(vec![("x.pt", pt), ("x.eta", eta)])).unwrap_err();
        assert!(matches!(error, Error::Uneven { .. }));
        assert!(error.to_string().contains("'x.pt' and 'x.eta'"), "{error}");
    }

    #[test]
    fn a_list_without_members_is_read_by_its_counter() {
        let plan = nested(Some(2)).plan(&wanted(&[]));
        assert_eq!(plan.columns(), [2]);
        let counts: ArrayRef = Arc::new(Int32Array::from(vec![Some(2), None, Some(0), Some(3)]));
        let made = plan.assemble(&batch(vec![("count", counts)])).unwrap();
        let list = made.column(0).as_list::<i32>();
        assert_eq!(
            list.iter().map(|entry| entry.map(|e| e.len())).collect::<Vec<_>>(),
            [Some(2), None, Some(0), Some(3)]
        );
        let negative: ArrayRef = Arc::new(Int32Array::from(vec![-1]));
        assert!(plan.assemble(&batch(vec![("count", negative)])).is_err());
    }

    #[test]
    fn a_list_without_members_and_counter_is_read_by_its_smallest_member() {
        let plan = nested(None).plan(&wanted(&[]));
        assert_eq!(plan.columns(), [1]);
        let made = plan.assemble(&batch(vec![("eta", lists(&[Some(&[1.0, 2.0]), None]))])).unwrap();
        let list = made.column(0).as_list::<i32>();
        assert_eq!((list.value_length(0), list.is_null(1)), (2, true));
        assert_eq!(list.values().as_struct().num_columns(), 0);
    }

    #[test]
    fn what_the_tree_does_not_have_is_left_out() {
        let mut fields: Vec<FieldRef> = wanted(&["pt", "phi"]).iter().cloned().collect();
        fields.push(Arc::new(Field::new("run", DataType::Int32, true)));
        let plan = nested(None).plan(&fields.into());
        assert_eq!(plan.schema().fields(), &wanted(&["pt"]));
    }
}
