//! How types and settings are spelt for people.

use arrow::datatypes::DataType;

/// An Arrow type in one short line: `List<Float32>`, `Struct<x: Int32, y: Float64>`, `Map<Utf8, Int32>`.
pub fn arrow_type(data_type: &DataType) -> String {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => format!("List<{}>", arrow_type(item.data_type())),
        DataType::FixedSizeList(item, size) => format!("FixedSizeList<{}, {size}>", arrow_type(item.data_type())),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|f| format!("{}: {}", f.name(), arrow_type(f.data_type())));
            format!("Struct<{}>", fields.collect::<Vec<_>>().join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => {
                let parts: Vec<String> = pair.iter().map(|f| arrow_type(f.data_type())).collect();
                format!("Map<{}>", parts.join(", "))
            }
            other => format!("Map<{}>", arrow_type(other)),
        },
        other => other.to_string(),
    }
}

/// A compression setting of ROOT, 100 × algorithm + level: `zlib 1`, `none`.
pub fn codec(setting: u32) -> String {
    let (algorithm, level) = (setting / 100, setting % 100);
    let name = match algorithm {
        _ if level == 0 => return "none".to_string(),
        // 0 is "as the program says", which has always meant zlib.
        0 | 1 => "zlib",
        2 => "lzma",
        3 => "old",
        4 => "lz4",
        5 => "zstd",
        _ => return format!("unknown {setting}"),
    };
    format!("{name} {level}")
}

/// `1 file`, `2 files`, `3 entries`.
pub fn counted(count: u64, what: &str) -> String {
    let number = indicatif::HumanCount(count);
    match (count, what.strip_suffix('y'), what.strip_suffix('h')) {
        (1, ..) => format!("1 {what}"),
        (_, Some(stem), _) => format!("{number} {stem}ies"),
        (_, _, Some(_)) => format!("{number} {what}es"),
        _ => format!("{number} {what}s"),
    }
}

/// An identifier as SQL wants it: quoted unless it is plain.
pub fn quoted(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && !is_reserved(name) { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Words that are no names unless they are quoted; those among them that physicists call things.
fn is_reserved(name: &str) -> bool {
    const WORDS: [&str; 28] = [
        "all", "and", "as", "by", "case", "cross", "distinct", "end", "except", "from", "full", "group", "having",
        "in", "inner", "interval", "join", "left", "limit", "not", "null", "on", "or", "order", "right", "select",
        "union", "where",
    ];
    WORDS.contains(&name.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn types_fit_on_a_line() {
        let floats = DataType::new_list(DataType::Float32, true);
        assert_eq!(arrow_type(&floats), "List<Float32>");
        let fields = vec![Field::new("x", DataType::Int32, true), Field::new("y", floats, true)];
        assert_eq!(arrow_type(&DataType::Struct(fields.into())), "Struct<x: Int32, y: List<Float32>>");
        let pair = vec![Field::new("k", DataType::Utf8, false), Field::new("v", DataType::Int32, true)];
        let entries = Arc::new(Field::new("entries", DataType::Struct(pair.into()), false));
        assert_eq!(arrow_type(&DataType::Map(entries, false)), "Map<Utf8, Int32>");
    }

    #[test]
    fn settings_name_the_codec_and_its_level() {
        for (setting, name) in [
            (0, "none"),
            (1, "zlib 1"),
            (101, "zlib 1"),
            (207, "lzma 7"),
            (404, "lz4 4"),
            (505, "zstd 5"),
            (100, "none"),
        ] {
            assert_eq!(codec(setting), name);
        }
    }

    #[test]
    fn names_are_quoted_where_sql_would_not_take_them() {
        for (name, sql) in [
            ("nMuon", "nMuon"),
            ("obj.pt_", "\"obj.pt_\""),
            ("a\"b", "\"a\"\"b\""),
            ("2x", "\"2x\""),
            ("Order", "\"Order\""),
        ] {
            assert_eq!(quoted(name), sql);
        }
    }
}
