//! Layer 6: a part of an object. A query seldom wants all members of a class; those that it does not want are passed over,
//! by their byte counts where they have them, and take no memory.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields};

use crate::class::{Node, Record, RecordField, Step, Version};

type Narrowed<T> = Result<T, String>;

/// The type of a value with only those struct fields, at any depth, that `wanted` has as well.
pub(crate) fn shared_part(own: &DataType, wanted: &DataType) -> DataType {
    let part = |own: &FieldRef, wanted: &FieldRef| {
        let data_type = shared_part(own.data_type(), wanted.data_type());
        if data_type == *own.data_type() {
            own.clone()
        } else {
            Arc::new(own.as_ref().clone().with_data_type(data_type))
        }
    };
    match (own, wanted) {
        (DataType::Struct(own), DataType::Struct(wanted)) => {
            let shared = own.iter().filter_map(|field| Some(part(field, wanted.find(field.name())?.1)));
            DataType::Struct(shared.collect())
        }
        (DataType::List(own), DataType::List(wanted)) => DataType::List(part(own, wanted)),
        (DataType::FixedSizeList(own, length), DataType::FixedSizeList(wanted, _)) => {
            DataType::FixedSizeList(part(own, wanted), *length)
        }
        (DataType::Map(own, sorted), DataType::Map(wanted, _)) => DataType::Map(part(own, wanted), *sorted),
        (own, _) => own.clone(),
    }
}

/// The same value with only the fields that `wanted` has, which is the type of the value or one with fewer fields at any
/// depth. Behind pointers all fields remain.
pub(crate) fn narrow(node: &Node, wanted: &DataType) -> Narrowed<Node> {
    Ok(match (node, wanted) {
        (Node::List(element), DataType::List(item)) => Node::List(Box::new(narrow(element, item.data_type())?)),
        (Node::Array(element, length), DataType::FixedSizeList(item, _)) => {
            Node::Array(Box::new(narrow(element, item.data_type())?), *length)
        }
        (Node::Map(key, value), DataType::Map(entries, _)) => match entries.data_type() {
            DataType::Struct(pair) => match pair.as_ref() {
                [first, second] => {
                    Node::Map(Box::new(narrow(key, first.data_type())?), Box::new(narrow(value, second.data_type())?))
                }
                _ => return Err("a map has keys and values".into()),
            },
            _ => return Err("a map has keys and values".into()),
        },
        (Node::Record(record), DataType::Struct(fields)) => Node::Record(Arc::new(narrow_record(record, fields)?)),
        // What pointers lead to is read whole: its class decides what there is.
        (other, _) => other.clone(),
    })
}

fn find<'a>(fields: &'a [RecordField], wanted: &Field, class: &str) -> Narrowed<(usize, &'a RecordField)> {
    let found = fields.iter().enumerate().find(|(_, field)| *field.name == **wanted.name());
    found.ok_or_else(|| format!("class {class} has no member {}", wanted.name()))
}

fn narrow_record(record: &Record, wanted: &Fields) -> Narrowed<Record> {
    let mut fields = Vec::with_capacity(wanted.len());
    let mut places = HashMap::new();
    for field in wanted {
        let (at, own) = find(&record.fields, field, &record.class)?;
        places.insert(at, fields.len());
        fields.push(narrow_field(own, field.data_type())?);
    }
    if fields.is_empty()
        && let Some(first) = record.fields.first()
    {
        // A struct without fields has no length in Arrow.
        places.insert(0, 0);
        fields.push(RecordField { name: first.name.clone(), node: first.node.clone(), optional: first.optional });
    }
    // What counts others, and what others count, is read all the same; it stands behind the fields that are given.
    let mut counted = Vec::new();
    record.versions.iter().for_each(|version| add_counted(&version.steps, &mut counted));
    for at in counted {
        if let (std::collections::hash_map::Entry::Vacant(place), Some(field)) =
            (places.entry(at), record.fields.get(at))
        {
            place.insert(fields.len());
            fields.push(RecordField { name: field.name.clone(), node: field.node.clone(), optional: field.optional });
        }
    }
    let versions = record.versions.iter().map(|version| narrow_version(version, &places, &fields));
    let versions = versions.collect();
    let (class, has_header, omitted) = (record.class.clone(), record.has_header, record.omitted.clone());
    Ok(Record { class, has_header, fields, versions, omitted }.fused())
}

fn narrow_field(field: &RecordField, wanted: &DataType) -> Narrowed<RecordField> {
    Ok(RecordField { name: field.name.clone(), node: narrow(&field.node, wanted)?, optional: field.optional })
}

fn add_counted(steps: &[Step], counted: &mut Vec<usize>) {
    for step in steps {
        match step {
            Step::Counted { at, counter, .. } | Step::Loop { at, counter, .. } => counted.extend([*counter, *at]),
            Step::Triangle { at, rows, .. } => counted.extend([*rows, *at]),
            Step::Widened { at, .. } => counted.push(*at),
            Step::Base { version, .. } => add_counted(&version.steps, counted),
            Step::Field { .. }
            | Step::Run(_)
            | Step::Object
            | Step::Absent { .. }
            | Step::Pass { .. }
            | Step::Skip { .. } => {}
        }
    }
}

fn narrow_version(version: &Version, places: &HashMap<usize, usize>, fields: &[RecordField]) -> Version {
    let parts = version.steps.iter().flat_map(Step::parts);
    let steps = parts.filter_map(|step| narrow_step(&step, places, fields)).collect();
    Version::new(version.version, version.checksum, steps)
}

/// `None` for what takes no bytes and is not wanted.
fn narrow_step(step: &Step, places: &HashMap<usize, usize>, fields: &[RecordField]) -> Option<Step> {
    let place = |at: &usize| places.get(at).copied();
    Some(match step {
        Step::Field { at, name, node } => match place(at).and_then(|at| Some((at, fields.get(at)?))) {
            Some((at, field)) => Step::Field { at, name: name.clone(), node: field.node.clone() },
            None => Step::Pass { name: name.clone(), node: node.clone() },
        },
        Step::Widened { at, from } => Step::Widened { at: place(at)?, from: *from },
        Step::Counted { at, number, counter } => {
            Step::Counted { at: place(at)?, number: *number, counter: place(counter)? }
        }
        Step::Loop { at, name, record, counter } => {
            // Only this step knows how the elements are read; they are narrowed as the field is.
            let at = place(at)?;
            let record = match fields.get(at).map(|f| &f.node) {
                Some(Node::List(element)) => match &**element {
                    Node::Record(narrower) => narrower.clone(),
                    _ => record.clone(),
                },
                _ => record.clone(),
            };
            Step::Loop { at, name: name.clone(), record, counter: place(counter)? }
        }
        Step::Triangle { at, number, rows } => Step::Triangle { at: place(at)?, number: *number, rows: place(rows)? },
        Step::Base { class, version, .. } => {
            let narrower = narrow_version(version, places, fields);
            let is_wanted = !narrower.steps.iter().all(is_passed_over);
            Step::Base { class: class.clone(), version: narrower, is_wanted }
        }
        Step::Absent { at } => Step::Absent { at: place(at)? },
        Step::Object => Step::Object,
        // Merged steps were taken apart.
        Step::Run(_) | Step::Pass { .. } | Step::Skip { .. } => step.clone(),
    })
}

/// Whether a step gives nothing, and tells nothing to the steps behind it.
fn is_passed_over(step: &Step) -> bool {
    match step {
        Step::Pass { node, .. } => !node.has_pointers(),
        Step::Base { version, .. } => version.steps.iter().all(is_passed_over),
        Step::Object | Step::Skip { .. } => true,
        _ => false,
    }
}
