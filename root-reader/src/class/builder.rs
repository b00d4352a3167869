//! The fields of a record while the versions of its class are compiled one after the other.

use std::sync::Arc;

use super::{Node, RecordField, Skip, Special, Step};
use crate::streamer::{Element, code};

/// The fields of a record while its versions are compiled.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) fields: Vec<RecordField>,
    pub(super) omitted: Vec<(String, String)>,
    /// Fields that the version at hand has.
    pub(super) present: Vec<bool>,
    /// Class of each field.
    owners: Vec<Arc<str>>,
    /// The class at hand, behind those that it is a base of.
    pub(super) classes: Vec<Arc<str>>,
}

impl Builder {
    /// Where the member of that name of the version at hand is.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.fields.iter().zip(&self.present).rposition(|(f, present)| *present && &*f.name == name)
    }

    pub(super) fn field(&mut self, element: &Element, node: Node) -> Step {
        let free = |(at, f): (usize, &RecordField)| f.name == element.name && self.present.get(at) == Some(&false);
        let found = self.fields.iter().enumerate().position(free);
        if let Some(at) = found
            && let Some(field) = self.fields.get(at)
        {
            if field.node == node {
                self.take(at);
                return Step::Field { at, name: element.name.clone(), node };
            }
            if let (Node::Number(to), Node::Number(from)) = (&field.node, &node)
                && from.widens_to(*to)
            {
                let from = *from;
                self.take(at);
                return Step::Widened { at, from };
            }
        }
        let at = self.add(element, node.clone());
        Step::Field { at, name: element.name.clone(), node }
    }

    /// A list that another member counts.
    pub(super) fn list(&mut self, element: &Element, node: Node) -> usize {
        match self.field(element, Node::List(Box::new(node))) {
            Step::Field { at, .. } | Step::Widened { at, .. } => at,
            _ => 0,
        }
    }

    fn take(&mut self, at: usize) {
        if let Some(present) = self.present.get_mut(at) {
            *present = true;
        }
    }

    /// A new field. A member hides one of the same name in a base class, which then has the class in its name.
    fn add(&mut self, element: &Element, node: Node) -> usize {
        let owner = self.classes.last().cloned().unwrap_or_else(|| "".into());
        // As a base class an array is a member without a name; ROOT's own is this.
        let is_array = element.type_name == "BASE" && matches!(node, Node::Special(Special::NumberArray(_)));
        let name: Arc<str> = if is_array { "fArray".into() } else { element.name.clone() };
        let hidden = self.fields.iter().position(|f| f.name == name);
        if let Some((field, owner)) = hidden.and_then(|at| self.fields.get_mut(at).zip(self.owners.get(at))) {
            field.name = format!("{owner}::{}", field.name).into();
        }
        self.fields.push(RecordField { name, node, optional: false });
        self.owners.push(owner);
        self.present.push(true);
        self.fields.len() - 1
    }

    pub(super) fn skip(&mut self, element: &Element, how: Skip, reason: &str) -> Step {
        self.omitted.push((element.name.to_string(), reason.to_string()));
        Step::Skip { name: element.name.clone(), how }
    }
}

/// How a member can be passed over, if it tells its length.
pub(super) fn skip_of(element: &Element) -> Option<Skip> {
    let count = element.array_length.max(1);
    Some(match element.code {
        code::OBJECT_POINTER | code::ANY_POINTER => Skip::Pointer(count),
        c if c == code::OBJECT_POINTER + code::ARRAY || c == code::ANY_POINTER + code::ARRAY => Skip::Pointer(count),
        code::OBJECT | code::ANY | code::OBJECT_NEVER_NULL | code::ANY_NEVER_NULL => Skip::Object(1),
        c if c == code::OBJECT + code::ARRAY || c == code::ANY + code::ARRAY => Skip::Object(count),
        // Containers have one frame for all elements of an array.
        code::STL | code::STL_STRING | code::STL_POINTER | code::STREAMER | code::STREAM_LOOP => Skip::Container,
        c if c == code::STL + code::ARRAY => Skip::Container,
        _ => return None,
    })
}
