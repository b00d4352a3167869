//! The Arrow types of decoded values.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields};

use super::plan::fixed_dims;
use super::{Decode, Frame, TextAs};
use crate::class::{CLASS_FIELD, Node, RecordField, Special};
use crate::tree::Leaf;

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, false)))
}

fn with_dims(item: DataType, dims: &[usize]) -> DataType {
    dims.iter().rev().fold(item, |inner, dim| {
        DataType::FixedSizeList(Arc::new(Field::new_list_field(inner, false)), i32::try_from(*dim).unwrap_or(i32::MAX))
    })
}

pub(crate) fn data_type(decode: &Decode, leaves: &[Leaf], dims: &[usize], text: TextAs) -> DataType {
    match decode {
        Decode::Fixed { number, .. } => with_dims(number.data_type(), dims),
        Decode::Counted { number, .. } => list_of(with_dims(number.data_type(), dims)),
        Decode::Record { members, .. } => {
            let fields = members.iter().zip(leaves).map(|(member, leaf)| {
                let dims = fixed_dims(&leaf.title, member.count);
                Field::new(&leaf.name, with_dims(member.number.data_type(), &dims), false)
            });
            DataType::Struct(fields.collect())
        }
        Decode::Sequential { frame, node } => match frame {
            Frame::Bare | Frame::Member | Frame::Members | Frame::Base | Frame::Named => node_type(node, text),
            Frame::Repeated | Frame::VersionedRepeated => {
                DataType::List(Arc::new(Field::new_list_field(node_type(node, text), is_nullable(node))))
            }
        },
    }
}

fn node_type(node: &Node, text: TextAs) -> DataType {
    match node {
        Node::Number(number) => number.data_type(),
        Node::Bits | Node::Special(Special::Ref | Special::Datime) => DataType::UInt32,
        Node::Special(Special::RefArray) => list_of(DataType::UInt32),
        Node::Special(Special::NumberArray(number)) => list_of(number.data_type()),
        Node::Special(Special::Object) => {
            let names = ["fUniqueID", "fBits"];
            DataType::Struct(names.iter().map(|name| Field::new(*name, DataType::UInt32, false)).collect())
        }
        Node::Text(_) => match text {
            TextAs::Utf8 => DataType::Utf8,
            TextAs::Binary => DataType::Binary,
        },
        Node::List(element) => {
            let item = Field::new_list_field(node_type(element, text), is_nullable(element));
            DataType::List(Arc::new(item))
        }
        Node::Map(key, value) => {
            let pair = DataType::Struct(Fields::from(vec![
                Field::new("key", node_type(key, text), false),
                Field::new("value", node_type(value, text), is_nullable(value)),
            ]));
            DataType::Map(Arc::new(Field::new("entries", pair, false)), false)
        }
        Node::Array(element, length) => {
            let item = Field::new_list_field(node_type(element, text), is_nullable(element));
            DataType::FixedSizeList(Arc::new(item), i32::try_from(*length).unwrap_or(i32::MAX))
        }
        Node::Objects(_, pointer) => node_type(&Node::List(Box::new(Node::Pointer(pointer.clone()))), text),
        Node::Nullable(target) => node_type(target, text),
        Node::Enumeration(_) => DataType::Int32,
        Node::Undescribed(_) | Node::Empty => DataType::Null,
        Node::Record(record) => DataType::Struct(record_fields(&record.fields, text)),
        Node::Pointer(pointer) => DataType::Struct(record_fields(&pointer.fields, text)),
    }
}

fn record_fields(fields: &[RecordField], text: TextAs) -> Fields {
    let field = |f: &RecordField| {
        // Names of classes are text, whatever strings are read as.
        let text = if &*f.name == CLASS_FIELD { TextAs::Utf8 } else { text };
        Field::new(&*f.name, node_type(&f.node, text), f.optional || is_nullable(&f.node))
    };
    fields.iter().map(field).collect()
}

fn is_nullable(node: &Node) -> bool {
    matches!(node, Node::Pointer(_) | Node::Nullable(_) | Node::Undescribed(_) | Node::Empty)
}
