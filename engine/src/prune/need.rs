//! How much of a column is needed, and the type that has no more than that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};

/// How much of a value is needed. Lists are transparent: what is needed of a list is what is needed of its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// Of a struct these fields. With none of them only whether there is a value at all, and the lengths of lists. Of
    /// other types everything, as they have no parts that could be left out.
    Fields(BTreeMap<String, Need>),
    /// All of it.
    All,
}

impl Need {
    /// Not the value itself: whether it is null, and how long the lists are.
    pub(super) const NOTHING: Self = Self::Fields(BTreeMap::new());

    /// Of a struct the field `name`, and of that `self`.
    pub(super) fn within(self, name: &str) -> Self {
        Self::Fields(BTreeMap::from([(name.to_string(), self)]))
    }

    /// What is needed of the field `name`, if so much is needed of the struct.
    pub(super) fn of_field(&self, name: &str) -> Self {
        match self {
            Self::Fields(fields) => fields.get(name).cloned().unwrap_or(Self::NOTHING),
            Self::All => Self::All,
        }
    }

    /// Of a struct these fields, and of them all.
    pub(super) fn fields(names: &[&str]) -> Self {
        Self::Fields(names.iter().map(|name| (name.to_string(), Self::All)).collect())
    }

    /// Of a struct these fields, and of them what is needed.
    pub(super) fn of_fields(&self, names: &[&str]) -> Self {
        Self::Fields(names.iter().map(|name| (name.to_string(), self.of_field(name))).collect())
    }

    /// The members of a struct, or of the structs of a list, that are needed, where these are not all; at least one.
    pub(super) fn members<'a>(&self, data_type: &'a DataType) -> Option<Vec<&'a str>> {
        let Self::Fields(needs) = self else { return None };
        let fields = match data_type {
            DataType::Struct(fields) => fields,
            DataType::List(element) => match element.data_type() {
                DataType::Struct(fields) => fields,
                _ => return None,
            },
            _ => return None,
        };
        let mut members: Vec<&str> =
            fields.iter().map(|field| field.name().as_str()).filter(|name| needs.contains_key(*name)).collect();
        if members.is_empty() {
            members
                .extend(fields.iter().min_by_key(|field| cost(field.data_type())).map(|field| field.name().as_str()));
        }
        (members.len() < fields.len()).then_some(members)
    }

    /// Of a value that may be any field, if so much is needed of the struct.
    pub(super) fn of_any_field(&self) -> Self {
        match self {
            Self::Fields(fields) => fields.values().cloned().fold(Self::NOTHING, Self::and),
            Self::All => Self::All,
        }
    }

    /// Adds another need of the same value.
    pub(super) fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Fields(own), Self::Fields(others)) => {
                for (name, need) in others {
                    match own.entry(name) {
                        Entry::Occupied(mut entry) => entry.get_mut().merge(need),
                        Entry::Vacant(entry) => {
                            entry.insert(need);
                        }
                    }
                }
            }
        }
    }

    /// Both needs of the same value.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.merge(other);
        self
    }

    /// The field with no more than what is needed.
    pub(super) fn narrow(&self, field: &FieldRef) -> FieldRef {
        self.narrow_within(field, false)
    }

    fn narrow_within(&self, field: &FieldRef, is_element: bool) -> FieldRef {
        let Self::Fields(needs) = self else { return field.clone() };
        let narrower = match field.data_type() {
            DataType::Struct(fields) => DataType::Struct(narrow_struct(needs, fields, is_element)),
            DataType::List(element) => DataType::List(self.narrow_within(element, true)),
            DataType::LargeList(element) => DataType::LargeList(self.narrow_within(element, true)),
            DataType::FixedSizeList(element, n) => DataType::FixedSizeList(self.narrow_within(element, true), *n),
            _ => return field.clone(),
        };
        if narrower == *field.data_type() {
            return field.clone();
        }
        Arc::new(Field::clone(field).with_data_type(narrower))
    }
}

/// Of the struct's fields those that are needed. The elements of a list may be without any, as the list tells how many
/// there are; other structs keep the field that costs least.
fn narrow_struct(needs: &BTreeMap<String, Need>, fields: &Fields, is_element: bool) -> Fields {
    let mut kept: Vec<FieldRef> =
        fields.iter().filter_map(|f| Some(needs.get(f.name())?.narrow_within(f, false))).collect();
    if kept.is_empty()
        && !is_element
        && let Some(cheapest) = fields.iter().min_by_key(|f| cost(f.data_type()))
    {
        kept.push(Need::NOTHING.narrow_within(cheapest, false));
    }
    kept.into()
}

/// Roughly the bytes of a value, of which only its presence is needed.
fn cost(data_type: &DataType) -> usize {
    const LIST: usize = 100;
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|f| cost(f.data_type())).min().unwrap_or(0),
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            LIST + cost(element.data_type())
        }
        DataType::Boolean => 1,
        other => other.primitive_width().unwrap_or(LIST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, data_type: DataType) -> FieldRef {
        Arc::new(Field::new(name, data_type, true))
    }

    fn structure(name: &str, fields: Vec<FieldRef>) -> FieldRef {
        field(name, DataType::Struct(fields.into()))
    }

    fn list(name: &str, element: FieldRef) -> FieldRef {
        field(name, DataType::List(element))
    }

    fn lists(name: &str, fields: &[(&str, DataType)]) -> DataType {
        let fields = fields.iter().map(|(name, data_type)| field(name, data_type.clone())).collect();
        list(name, structure("item", fields)).data_type().clone()
    }

    fn fields(names: &[&str]) -> Need {
        Need::fields(names)
    }

    #[test]
    fn needs_of_one_value_are_added_field_by_field() {
        let base = fields(&["pt"]).within("base");
        let mut need = base.clone().and(fields(&["eta"]).within("base")).and(fields(&["charge"]));
        assert_eq!(need.of_field("base"), fields(&["eta", "pt"]));
        assert_eq!(need.of_field("charge"), Need::All);
        assert_eq!(need.of_field("other"), Need::NOTHING);

        need.merge(Need::All.within("base"));
        assert_eq!(need.of_field("base"), Need::All);

        need.merge(Need::All);
        assert_eq!(need.and(base), Need::All);
    }

    #[test]
    fn a_type_is_narrowed_through_lists_and_keeps_the_order_of_its_fields() {
        let (pt, eta) = (field("pt", DataType::Float32), field("eta", DataType::Float32));
        let base = structure("base", vec![pt.clone(), eta.clone()]);
        let muons = list("muons", structure("item", vec![base, field("type", DataType::Int32)]));

        let narrowed = fields(&["type"]).and(fields(&["pt"]).within("base")).narrow(&muons);

        let base = structure("base", vec![pt]);
        assert_eq!(narrowed, list("muons", structure("item", vec![base, field("type", DataType::Int32)])));
        assert_eq!(Need::All.narrow(&muons), muons);
    }

    #[test]
    fn elements_may_lose_all_fields_and_other_structs_keep_the_cheapest() {
        let muons = list("muons", structure("item", vec![field("pt", DataType::Float32)]));
        assert_eq!(Need::NOTHING.narrow(&muons), list("muons", structure("item", vec![])));

        let present = field("present", DataType::Boolean);
        let product = structure("product", vec![muons.clone(), field("size", DataType::Int64), present.clone()]);
        assert_eq!(Need::NOTHING.narrow(&product), structure("product", vec![present]));

        let nested = structure("outer", vec![structure("inner", vec![muons])]);
        let bare = list("muons", structure("item", vec![]));
        assert_eq!(Need::NOTHING.narrow(&nested), structure("outer", vec![structure("inner", vec![bare])]));
    }

    #[test]
    fn members_are_named_where_some_can_be_left_out() {
        let muons = lists("muons", &[("pt", DataType::Float64), ("kind", DataType::Int8), ("charge", DataType::Int32)]);
        assert_eq!(fields(&["charge", "pt", "other"]).members(&muons), Some(vec!["pt", "charge"]));
        assert_eq!(fields(&["charge", "pt", "kind"]).members(&muons), None);
        assert_eq!(Need::NOTHING.members(&muons), Some(vec!["kind"]));
        assert_eq!(Need::All.members(&muons), None);
        assert_eq!(Need::NOTHING.members(&DataType::Int32), None);
    }

    #[test]
    fn types_without_parts_stay_as_they_are() {
        let map = field("map", DataType::Map(structure("entries", vec![field("key", DataType::Utf8)]), false));
        for whole in [field("pt", DataType::Float32), list("pts", field("item", DataType::Float32)), map] {
            assert_eq!(Need::NOTHING.narrow(&whole), whole);
        }
    }
}
