//! Columns by patterns: `Muon_*,MET_pt`.

use arrow::datatypes::{DataType, Schema};
use root_engine::{families, is_like, is_pattern};

use crate::exit::{Exit, Failure, did_you_mean};

/// Columns that tell where a row comes from. They are taken only by their whole names.
const ROW_ID: [&str; 2] = ["_file", "_entry"];

/// The columns that any of the patterns takes, in the order of the schema; all of them without patterns. A pattern that takes
/// none is a mistake. `unreadable` are branches that are no columns, with the reasons.
pub fn select(schema: &Schema, patterns: &[String], unreadable: &[(String, String)]) -> Result<Vec<usize>, Failure> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    for pattern in patterns {
        if names().any(|name| takes(pattern, name)) {
            continue;
        }
        if let Some((column, reason)) = unreadable.iter().find(|(column, _)| takes(pattern, column)) {
            return Err(Failure::new(Exit::Query, format!("column '{column}' cannot be read: {reason}")));
        }
        let message = match is_pattern(pattern) {
            true => {
                let families = families(names());
                let hint = did_you_mean(pattern, families.iter().map(String::as_str));
                format!("no column is like '{pattern}'{hint}")
            }
            false => format!("there is no column '{pattern}'{}", did_you_mean(pattern, names())),
        };
        return Err(Failure::new(Exit::Query, message));
    }
    let wanted = |name: &str| match patterns {
        [] => !ROW_ID.contains(&name),
        some => some.iter().any(|pattern| takes(pattern, name)),
    };
    Ok(names().enumerate().filter(|(_, name)| wanted(name)).map(|(index, _)| index).collect())
}

/// The same columns and, of lists among them, those that count their elements: `nMuon` for `Muon_pt`, as NanoAOD names them.
pub fn with_counters(schema: &Schema, columns: &[usize]) -> Vec<usize> {
    let mut all = columns.to_vec();
    for field in columns.iter().filter_map(|index| schema.fields().get(*index)) {
        if !matches!(field.data_type(), DataType::List(_) | DataType::LargeList(_)) {
            continue;
        }
        let name = field.name();
        let shorter = name.match_indices('_').rev().filter_map(|(end, _)| name.get(..end));
        let counter = std::iter::once(name.as_str()).chain(shorter).find_map(|stem| {
            let (index, counter) = schema.fields().find(&format!("n{stem}"))?;
            counter.data_type().is_integer().then_some(index)
        });
        all.extend(counter);
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a pattern takes a name.
fn takes(pattern: &str, name: &str) -> bool {
    if ROW_ID.contains(&name) { pattern == name } else { is_like(pattern, name) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    fn schema() -> Schema {
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Float32, true)));
        let number = DataType::Int32;
        let columns = [
            ("nMuon", number.clone()),
            ("Muon_pt", list.clone()),
            ("Muon_charge", list.clone()),
            ("nJet", number.clone()),
            ("Jet_pt", list.clone()),
            ("loose", list),
            ("MET_pt", DataType::Float32),
            ("_entry", number),
        ];
        Schema::new(columns.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec())
    }

    fn selected(patterns: &[&str]) -> Vec<usize> {
        let patterns: Vec<String> = patterns.iter().map(|p| p.to_string()).collect();
        select(&schema(), &patterns, &[]).unwrap()
    }

    #[test]
    fn patterns_take_columns_in_the_order_of_the_schema() {
        assert_eq!(selected(&["MET_pt", "Muon_*"]), [1, 2, 6]);
        assert_eq!(selected(&["*_pt"]), [1, 4, 6]);
        assert_eq!(selected(&["n*o?"]), [0]);
        assert_eq!(selected(&["*"]), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(selected(&[]), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(selected(&["_entry"]), [7]);
    }

    #[test]
    fn a_pattern_that_takes_nothing_is_a_mistake() {
        let error = |pattern: &str| select(&schema(), &[pattern.to_string()], &[]).unwrap_err().to_string();
        assert_eq!(error("Muon_tp"), "there is no column 'Muon_tp'; did you mean 'Muon_pt'?");
        assert_eq!(error("Moun_*"), "no column is like 'Moun_*'; did you mean 'Muon_*'?");
        let unreadable = [("gone".to_string(), "a class without description".to_string())];
        let error = select(&schema(), &["gone".to_string()], &unreadable).unwrap_err().to_string();
        assert_eq!(error, "column 'gone' cannot be read: a class without description");
    }

    #[test]
    fn what_counts_a_list_comes_along_with_it() {
        assert_eq!(with_counters(&schema(), &[2, 5, 6]), [0, 2, 5, 6]);
        assert_eq!(with_counters(&schema(), &[0, 4]), [0, 3, 4]);
    }
}
