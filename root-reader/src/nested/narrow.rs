//! Objects that are not split are columns as they are among the nested ones; here is which of their members are decoded.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields};

use super::{Element, Node};
use crate::error::Result;
use crate::narrow::shared_part;
use crate::tree::Tree;

impl Tree {
    /// As [`Tree::narrowed`], for columns of [`Tree::nested`].
    pub fn narrowed_nested(&self, fields: &Fields) -> Result<Self> {
        let nested = self.nested();
        let mut whole = Vec::new();
        for wanted in fields {
            let found = nested.schema.column_with_name(wanted.name());
            if let Some((node, own)) = found.and_then(|(at, own)| Some((nested.nodes.get(at)?, own))) {
                in_node(node, own.data_type(), wanted.data_type(), &mut whole);
            }
        }
        let schema = self.schema();
        let narrower = whole.into_iter().filter_map(|part| {
            let field = schema.fields().get(part.column)?;
            let data_type = match (field.data_type(), part.is_element) {
                (DataType::List(item), true) => {
                    DataType::List(Arc::new(item.as_ref().clone().with_data_type(part.data_type)))
                }
                _ => part.data_type,
            };
            Some(Field::new(field.name(), data_type, true))
        });
        let narrower: Fields = narrower.collect();
        if narrower.is_empty() { Ok(self.clone()) } else { self.narrowed(&narrower) }
    }
}

/// A flat column of which less is wanted than it has.
struct Part {
    column: usize,
    /// Whether `data_type` is that of the elements of the column.
    is_element: bool,
    data_type: DataType,
}

fn in_node(node: &Node, own: &DataType, wanted: &DataType, found: &mut Vec<Part>) {
    match (node, own, wanted) {
        (Node::Flat(column), ..) => compare(*column, false, own, wanted, found),
        (Node::Struct(nodes), DataType::Struct(fields), DataType::Struct(wanted)) => {
            for (node, field) in nodes.iter().zip(fields) {
                if let Some((_, wanted)) = wanted.find(field.name()) {
                    in_node(node, field.data_type(), wanted.data_type(), found);
                }
            }
        }
        (Node::List { element, .. }, DataType::List(own), DataType::List(wanted)) => {
            in_element(element, own.data_type(), wanted.data_type(), found);
        }
        _ => {}
    }
}

fn in_element(element: &Element, own: &DataType, wanted: &DataType, found: &mut Vec<Part>) {
    match (element, own, wanted) {
        (Element::Values(column), ..) => compare(*column, true, own, wanted, found),
        (Element::Struct(elements), DataType::Struct(fields), DataType::Struct(wanted)) => {
            for (element, field) in elements.iter().zip(fields) {
                if let Some((_, wanted)) = wanted.find(field.name()) {
                    in_element(element, field.data_type(), wanted.data_type(), found);
                }
            }
        }
        _ => {}
    }
}

fn compare(column: usize, is_element: bool, own: &DataType, wanted: &DataType, found: &mut Vec<Part>) {
    if own.is_nested() {
        let data_type = shared_part(own, wanted);
        if data_type != *own {
            found.push(Part { column, is_element, data_type });
        }
    }
}
