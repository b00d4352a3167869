//! `stats`: what every branch costs.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use indicatif::HumanBytes;

use super::Outcome;
use super::types::{codec, counted};
use crate::app::App;
use crate::args::InputArgs;
use crate::exit::{Exit, Failure};
use crate::inputs;

/// One branch, summed over all files.
#[derive(Default)]
struct Line {
    branch: String,
    cpp_type: String,
    entries: u64,
    baskets: u64,
    stored: u64,
    raw: u64,
    codecs: Vec<String>,
}

/// Lists entries, baskets, bytes and compression of each branch that holds data.
pub async fn stats(app: &App, input: &InputArgs) -> Outcome {
    let trees = inputs::trees(app, input).await?;
    let mut lines: Vec<Line> = Vec::new();
    let mut by_path: HashMap<String, usize> = HashMap::new();
    for (_, tree) in &trees {
        let types: HashMap<usize, &str> = tree.columns().iter().map(|c| (c.branch, c.cpp_type.as_str())).collect();
        for (id, branch) in tree.branches().iter().enumerate() {
            let cpp_type = types.get(&id);
            // A branch that only holds other branches has no data of its own.
            if cpp_type.is_none() && branch.basket_count() == 0 {
                continue;
            }
            let index = *by_path.entry(branch.path.clone()).or_insert(lines.len());
            if index == lines.len() {
                lines.push(Line {
                    branch: branch.path.clone(),
                    cpp_type: cpp_type.map_or_else(|| branch.class.clone(), |t| (*t).to_string()),
                    ..Line::default()
                });
            }
            let Some(line) = lines.get_mut(index) else { continue };
            line.entries += branch.entries;
            line.baskets += branch.basket_count() as u64;
            line.stored += branch.zip_bytes;
            line.raw += branch.total_bytes;
            let codec = match codec(branch.compression) {
                // Not every writer tells in the branch how it compressed the baskets.
                none if none == "none" && branch.zip_bytes < branch.total_bytes => "not recorded".to_string(),
                codec => codec,
            };
            if !line.codecs.contains(&codec) {
                line.codecs.push(codec);
            }
        }
    }
    let batch = batch(&lines).map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
    app.emit(&batch)?;
    let sum = |of: fn(&Line) -> u64| lines.iter().map(of).sum::<u64>();
    let (stored, raw) = (sum(|l| l.stored), sum(|l| l.raw));
    app.console.note(&format!(
        "total: {}, {}, {}, {} stored, {} raw, ratio {:.2}",
        counted(trees.iter().map(|(_, tree)| tree.entries()).sum(), "entry"),
        counted(lines.len() as u64, "branch"),
        counted(sum(|l| l.baskets), "basket"),
        HumanBytes(stored),
        HumanBytes(raw),
        ratio(raw, stored).unwrap_or(1.0)
    ));
    Ok(app.conclude())
}

/// How much smaller compression made the bytes, to two digits.
fn ratio(raw: u64, stored: u64) -> Option<f64> {
    (stored > 0).then(|| (raw as f64 / stored as f64 * 100.0).round() / 100.0)
}

fn batch(lines: &[Line]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let text = |of: fn(&Line) -> &str| Arc::new(lines.iter().map(|l| Some(of(l))).collect::<StringArray>()) as ArrayRef;
    let number =
        |of: fn(&Line) -> u64| Arc::new(lines.iter().map(|l| Some(of(l))).collect::<UInt64Array>()) as ArrayRef;
    let ratios: Float64Array = lines.iter().map(|l| ratio(l.raw, l.stored)).collect();
    let codecs: StringArray = lines.iter().map(|l| Some(l.codecs.join(", "))).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("branch", text(|l| &l.branch), false),
        ("type", text(|l| &l.cpp_type), false),
        ("entries", number(|l| l.entries), false),
        ("baskets", number(|l| l.baskets), false),
        ("stored_bytes", number(|l| l.stored), false),
        ("raw_bytes", number(|l| l.raw), false),
        ("ratio", Arc::new(ratios), true),
        ("codec", Arc::new(codecs), false),
    ])
}
