//! JSON: one array of objects, or one object per line. Every object has every key; what is not finite is null, as JSON
//! has no other way to say it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited, Writer, WriterBuilder};

use super::{BatchWriter, Destination};
use crate::exit::Failure;

/// How the objects are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One array.
    Array,
    /// One line each.
    Lines,
}

/// Writes objects.
pub(super) struct JsonWriter<'a> {
    inner: Inner<'a>,
    schema: SchemaRef,
}

enum Inner<'a> {
    Array(Writer<&'a mut Destination, JsonArray>),
    Lines(Writer<&'a mut Destination, LineDelimited>),
}

impl<'a> JsonWriter<'a> {
    pub(super) fn new(schema: SchemaRef, to: &'a mut Destination, shape: Shape) -> Result<Self, Failure> {
        let builder = WriterBuilder::new().with_explicit_nulls(true);
        let inner = match shape {
            Shape::Array => Inner::Array(builder.build(to)),
            Shape::Lines => Inner::Lines(builder.build(to)),
        };
        let fields = schema.fields().iter().map(text_keys);
        Ok(Self { inner, schema: Arc::new(Schema::new(fields.collect::<Fields>())) })
    }
}

impl BatchWriter for JsonWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, Failure> {
        let batch = with_schema(batch, &self.schema);
        match &mut self.inner {
            Inner::Array(writer) => put(writer, batch)?,
            Inner::Lines(writer) => put(writer, batch)?,
        }
        Ok(true)
    }

    fn finish(&mut self) -> Result<Option<String>, Failure> {
        match &mut self.inner {
            Inner::Array(writer) => {
                let done = writer.finish();
                let to = writer.get_mut();
                done.map_err(|e| to.failure(&e))?;
                to.put(b"\n")?;
                to.pass_on()?;
            }
            Inner::Lines(writer) => {
                let done = writer.finish();
                let to = writer.get_mut();
                done.map_err(|e| to.failure(&e))?;
                to.pass_on()?;
            }
        }
        Ok(None)
    }
}

fn put<F: JsonFormat>(
    writer: &mut Writer<&mut Destination, F>,
    batch: Result<RecordBatch, ArrowError>,
) -> Result<(), Failure> {
    let done = batch.and_then(|batch| writer.write(&batch));
    let to = writer.get_mut();
    done.map_err(|e| to.failure(&e))?;
    to.pass_on()
}

fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() { Ok(column.clone()) } else { cast(column, field.data_type()) }
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
}

/// The field with text for the keys of its maps, as the keys of JSON objects are text.
fn text_keys(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::List(inner) => DataType::List(text_keys(inner)),
        DataType::LargeList(inner) => DataType::LargeList(text_keys(inner)),
        DataType::FixedSizeList(inner, size) => DataType::FixedSizeList(text_keys(inner), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(text_keys).collect()),
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else { return field.clone() };
            let pair: Fields = pair
                .iter()
                .enumerate()
                .map(|(index, part)| match part.data_type() {
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => part.clone(),
                    _ if index == 0 => Arc::new(Field::new(part.name(), DataType::Utf8, part.is_nullable())),
                    _ => text_keys(part),
                })
                .collect();
            let entries = Field::new(entries.name(), DataType::Struct(pair), entries.is_nullable());
            DataType::Map(Arc::new(entries), *sorted)
        }
        _ => return field.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Float32Array, Float32Builder, Int32Builder, ListBuilder, MapBuilder};

    use super::super::Target;
    use super::*;
    use crate::shutdown::Shutdown;

    fn written(batches: &[RecordBatch], schema: SchemaRef, shape: Shape) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let mut to = Destination::open(Target::File(path.clone()), &Shutdown::default()).unwrap();
        let mut writer = JsonWriter::new(schema, &mut to, shape).unwrap();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        to.commit().unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn every_object_has_every_key_and_what_is_not_finite_is_null() {
        let numbers: ArrayRef = Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::NAN)]));
        let batch = RecordBatch::try_from_iter([("x", numbers)]).unwrap();
        let (schema, two) = (batch.schema(), [batch.slice(0, 1), batch.slice(1, 2)]);
        assert_eq!(written(&two, schema.clone(), Shape::Array), "[{\"x\":0.1},{\"x\":null},{\"x\":null}]\n");
        assert_eq!(written(&two, schema.clone(), Shape::Lines), "{\"x\":0.1}\n{\"x\":null}\n{\"x\":null}\n");
        assert_eq!(written(&[], schema, Shape::Array), "[]\n");
    }

    #[test]
    fn maps_with_numbers_for_keys_become_objects() {
        let map = MapBuilder::new(None, Int32Builder::new(), Float32Builder::new());
        let mut lists = ListBuilder::new(map);
        lists.values().keys().append_value(7);
        lists.values().values().append_value(0.5);
        lists.values().append(true).unwrap();
        lists.append(true);
        let maps: ArrayRef = Arc::new(lists.finish());
        let batch = RecordBatch::try_from_iter([("m", maps)]).unwrap();
        assert_eq!(written(std::slice::from_ref(&batch), batch.schema(), Shape::Lines), "{\"m\":[{\"7\":0.5}]}\n");
    }
}
