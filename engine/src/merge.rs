//! One type for a column that several files have in different types: members of structs are united by name, and numbers
//! widened where no value can be lost.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, Fields};

/// The type that holds all values of both types exactly; `None` if there is none.
///
/// Integers become wider ones, unsigned ones larger signed ones beside signed ones, and those of up to 32 bits beside
/// floating-point numbers `Float64`. Structs get the members of both, the first one's first; what one of them lacks will be
/// NULL. Lists, fixed-size lists and the values of maps follow their elements. Everything else has to be equal.
pub fn common_type(first: &DataType, second: &DataType) -> Option<DataType> {
    use DataType::{FixedSizeList, Float32, Float64, List, Map, Struct};
    if first == second {
        return Some(first.clone());
    }
    Some(match (first, second) {
        (Struct(first), Struct(second)) => Struct(united(first, second)?),
        (List(first), List(second)) => List(common_field(first, second)?),
        (FixedSizeList(first, size), FixedSizeList(second, other)) if size == other => {
            FixedSizeList(common_field(first, second)?, *size)
        }
        (Map(first, sorted), Map(second, other)) if sorted == other => Map(common_entries(first, second)?, *sorted),
        (Float32, Float64) | (Float64, Float32) => Float64,
        (Float32 | Float64, integer) | (integer, Float32 | Float64) => {
            let (bits, _) = integer_form(integer)?;
            (bits <= 32).then_some(Float64)?
        }
        (first, second) => {
            let ((bits, signed), (other, also)) = (integer_form(first)?, integer_form(second)?);
            match (signed, also) {
                (true, true) => signed_of(bits.max(other))?,
                (false, false) => unsigned_of(bits.max(other))?,
                (true, false) => signed_of(bits.max(2 * other))?,
                (false, true) => signed_of(other.max(2 * bits))?,
            }
        }
    })
}

/// The members of both structs.
fn united(first: &Fields, second: &Fields) -> Option<Fields> {
    let mut fields: Vec<FieldRef> = Vec::with_capacity(first.len());
    for field in first {
        fields.push(match second.find(field.name()) {
            Some((_, other)) => common_field(field, other)?,
            None => nullable(field),
        });
    }
    fields.extend(second.iter().filter(|field| first.find(field.name()).is_none()).map(nullable));
    Some(fields.into())
}

fn nullable(field: &FieldRef) -> FieldRef {
    if field.is_nullable() { field.clone() } else { Arc::new(field.as_ref().clone().with_nullable(true)) }
}

fn common_field(first: &FieldRef, second: &FieldRef) -> Option<FieldRef> {
    let data_type = common_type(first.data_type(), second.data_type())?;
    let is_nullable = first.is_nullable() || second.is_nullable();
    Some(Arc::new(first.as_ref().clone().with_data_type(data_type).with_nullable(is_nullable)))
}

/// Maps have the same keys, or two keys could become one.
fn common_entries(first: &FieldRef, second: &FieldRef) -> Option<FieldRef> {
    let (DataType::Struct(one), DataType::Struct(other)) = (first.data_type(), second.data_type()) else { return None };
    let ([key, value], [other_key, other_value]) = (&one[..], &other[..]) else { return None };
    if key.data_type() != other_key.data_type() {
        return None;
    }
    let entries = Fields::from(vec![key.clone(), common_field(value, other_value)?]);
    Some(Arc::new(first.as_ref().clone().with_data_type(DataType::Struct(entries))))
}

/// Bits of an integer, and whether it is signed.
fn integer_form(data_type: &DataType) -> Option<(u32, bool)> {
    Some(match data_type {
        DataType::Int8 => (8, true),
        DataType::Int16 => (16, true),
        DataType::Int32 => (32, true),
        DataType::Int64 => (64, true),
        DataType::UInt8 => (8, false),
        DataType::UInt16 => (16, false),
        DataType::UInt32 => (32, false),
        DataType::UInt64 => (64, false),
        _ => return None,
    })
}

fn signed_of(bits: u32) -> Option<DataType> {
    Some(match bits {
        8 => DataType::Int8,
        16 => DataType::Int16,
        32 => DataType::Int32,
        64 => DataType::Int64,
        _ => return None,
    })
}

fn unsigned_of(bits: u32) -> Option<DataType> {
    Some(match bits {
        8 => DataType::UInt8,
        16 => DataType::UInt16,
        32 => DataType::UInt32,
        64 => DataType::UInt64,
        _ => return None,
    })
}

/// Whether `narrow` is `wide` with fewer members in its structs, at any depth, and nothing else.
pub(crate) fn is_narrower(narrow: &DataType, wide: &DataType) -> bool {
    let field = |narrow: &FieldRef, wide: &FieldRef| {
        narrow.is_nullable() == wide.is_nullable() && is_narrower(narrow.data_type(), wide.data_type())
    };
    match (narrow, wide) {
        (DataType::Struct(narrow), DataType::Struct(wide)) => narrow.iter().enumerate().all(|(at, member)| {
            let is_first = narrow.find(member.name()).is_some_and(|(first, _)| first == at);
            is_first && wide.find(member.name()).is_some_and(|(_, own)| field(member, own))
        }),
        (DataType::List(narrow), DataType::List(wide)) => field(narrow, wide),
        (DataType::FixedSizeList(narrow, size), DataType::FixedSizeList(wide, own)) => {
            size == own && field(narrow, wide)
        }
        (DataType::Map(narrow, sorted), DataType::Map(wide, own)) => match (narrow.data_type(), wide.data_type()) {
            (DataType::Struct(pair), DataType::Struct(own_pair)) => {
                // The keys are what makes it a map.
                sorted == own
                    && pair.len() == own_pair.len()
                    && pair.iter().zip(own_pair).all(|(member, own)| member.name() == own.name() && field(member, own))
            }
            _ => false,
        },
        (narrow, wide) => narrow == wide,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Field;

    use super::*;
    use DataType::{Boolean, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Utf8};

    fn list(item: DataType) -> DataType {
        DataType::new_list(item, false)
    }

    fn structure(members: &[(&str, DataType)]) -> DataType {
        DataType::Struct(members.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect())
    }

    #[test]
    fn numbers_are_widened_where_no_value_is_lost() {
        for (first, second, common) in [
            (Int8, Int64, Some(Int64)),
            (UInt8, UInt16, Some(UInt16)),
            (UInt8, Int8, Some(Int16)),
            (Int16, UInt8, Some(Int16)),
            (UInt32, Int32, Some(Int64)),
            (UInt64, Int64, None),
            (UInt64, Int8, None),
            (Float32, Float64, Some(Float64)),
            (Int32, Float64, Some(Float64)),
            (UInt32, Float32, Some(Float64)),
            (Int64, Float64, None),
            (Boolean, Int8, None),
            (Utf8, Int32, None),
            (list(Float32), list(Float64), Some(list(Float64))),
            (list(Float32), Float32, None),
            (DataType::new_fixed_size_list(UInt8, 3, false), DataType::new_fixed_size_list(UInt8, 4, false), None),
        ] {
            assert_eq!(common_type(&first, &second), common, "{first} and {second}");
            assert_eq!(common_type(&second, &first), common, "{second} and {first}");
        }
    }

    #[test]
    fn structs_get_the_members_of_both_in_the_order_of_appearance() {
        let first = list(structure(&[("a", Int32), ("b", structure(&[("x", Float32)]))]));
        let second = list(structure(&[("c", Utf8), ("b", structure(&[("y", Int8), ("x", Float64)])), ("a", UInt16)]));
        let b = structure(&[("x", Float64), ("y", Int8)]);
        assert_eq!(common_type(&first, &second), Some(list(structure(&[("a", Int32), ("b", b), ("c", Utf8)]))));
        assert_eq!(common_type(&first, &structure(&[("a", Int32)])), None);
        assert_eq!(common_type(&structure(&[("a", Utf8)]), &structure(&[("a", Int32)])), None);
    }

    #[test]
    fn a_narrower_type_has_fewer_members_and_is_else_the_same() {
        let wide = list(structure(&[("a", Int32), ("b", structure(&[("x", Float32), ("y", Float32)]))]));
        for narrow in [
            wide.clone(),
            list(structure(&[])),
            list(structure(&[("b", structure(&[("y", Float32)]))])),
            list(structure(&[("b", structure(&[])), ("a", Int32)])),
        ] {
            assert!(is_narrower(&narrow, &wide), "{narrow}");
        }
        for other in [
            list(structure(&[("a", Int64)])),
            list(structure(&[("c", Int32)])),
            list(structure(&[("a", Int32), ("a", Int32)])),
            structure(&[("a", Int32)]),
            DataType::new_list(structure(&[]), true),
        ] {
            assert!(!is_narrower(&other, &wide), "{other}");
        }
    }
}
