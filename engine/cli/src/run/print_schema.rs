//! A schema as Spark's `printSchema` shows it, which is how users of nested columns know them. Unsigned integers, which
//! Spark does not have, are called what they are.

use arrow::datatypes::{DataType, Field};

use crate::console::printable;

/// One line per column and member, without the first, `root`.
pub fn columns<'a>(fields: impl IntoIterator<Item = &'a Field>) -> String {
    let mut text = String::new();
    for field in fields {
        entry(&mut text, 0, field.name(), field.data_type(), &format!(" (nullable = {})", field.is_nullable()));
    }
    text
}

fn entry(text: &mut String, depth: usize, name: &str, data_type: &DataType, nullable: &str) {
    let name = printable(name);
    text.push_str(&format!("{} |-- {name}: {}{nullable}\n", " |   ".repeat(depth), type_name(data_type)));
    let depth = depth + 1;
    match data_type {
        DataType::Struct(fields) => {
            for field in fields {
                let nullable = format!(" (nullable = {})", field.is_nullable());
                entry(text, depth, field.name(), field.data_type(), &nullable);
            }
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            entry(text, depth, "element", item.data_type(), &format!(" (containsNull = {})", item.is_nullable()));
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else { return };
            let [key, value] = &pair[..] else { return };
            entry(text, depth, "key", key.data_type(), "");
            let nullable = format!(" (valueContainsNull = {})", value.is_nullable());
            entry(text, depth, "value", value.data_type(), &nullable);
        }
        _ => {}
    }
}

fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 => "byte",
        DataType::Int16 => "short",
        DataType::Int32 => "integer",
        DataType::Int64 => "long",
        DataType::UInt8 => "unsigned byte",
        DataType::UInt16 => "unsigned short",
        DataType::UInt32 => "unsigned integer",
        DataType::UInt64 => "unsigned long",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Utf8 => "string",
        DataType::Binary | DataType::LargeBinary => "binary",
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "array",
        DataType::Struct(_) => "struct",
        DataType::Map(..) => "map",
        other => return other.to_string(),
    };
    name.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn types_stand_below_what_holds_them() {
        let item = DataType::Struct(vec![Field::new("pt", DataType::Float32, true)].into());
        let pair = vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::UInt32, false)];
        let entries = Arc::new(Field::new("entries", DataType::Struct(pair.into()), false));
        let fields = [
            Field::new_list("muons", Field::new_list_field(item, true), true),
            Field::new("counts", DataType::Map(entries, false), true),
            Field::new("ok", DataType::Boolean, false),
        ];
        let text = columns(&fields);
        let expected = [
            " |-- muons: array (nullable = true)",
            " |    |-- element: struct (containsNull = true)",
            " |    |    |-- pt: float (nullable = true)",
            " |-- counts: map (nullable = true)",
            " |    |-- key: string",
            " |    |-- value: unsigned integer (valueContainsNull = false)",
            " |-- ok: boolean (nullable = false)",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
