//! Histograms as UHI JSON, the interchange format of Scikit-HEP: written for `hist` and `boost-histogram`, and read.
//!
//! A text is a map from names to histograms. What the format has no field for is kept where boost-histogram keeps it, in
//! `writer_info` under its name: that an axis is logarithmic or grows. It then restores the same axis; others read the
//! edges. Names, labels and units of axes are in their `metadata`. A variance that is not defined is written as 0.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value, json};

use crate::axis::{Axis, AxisKind};
use crate::error::{Error, Result};
use crate::histogram::Histogram;
use crate::storage::{Content, Storage};

/// Whose notes on axes are understood: those of the library that readers of this format build on.
const NOTES: &str = "boost-histogram";
/// Whose notes on the histogram these are.
const OWN_NOTES: &str = "root-query";

/// Histograms by name, as UHI JSON. `notes` say how they came about: numbers, strings and booleans.
pub fn write_uhi(histograms: &[(&str, &Histogram)], notes: &[(&str, Value)]) -> Result<String> {
    let all = histograms.iter().map(|(_, histogram)| Written::new(histogram, notes)).collect::<Result<Vec<_>>>()?;
    let named = Named(histograms.iter().map(|(name, _)| *name).zip(&all).collect());
    serde_json::to_string(&named).map_err(|error| uhi("", error.to_string()))
}

/// Reads histograms by name from UHI JSON, in the order of their names. The text need not be trusted.
///
/// All of the format is understood but circular axes and bins that lie in other files. Sums of weights whose squares are
/// not known (storage `double`) get the squares that weights of one would have.
pub fn read_uhi(text: &str) -> Result<Vec<(String, Histogram)>> {
    let all: Map<String, Value> = serde_json::from_str(text).map_err(|error| uhi("", error.to_string()))?;
    all.into_iter().map(|(name, value)| Ok((name.clone(), Read { name: &name }.histogram(&value)?))).collect()
}

fn uhi(name: &str, problem: impl Into<String>) -> Error {
    Error::Uhi { name: name.to_owned(), problem: problem.into() }
}

struct Named<'a>(Vec<(&'a str, &'a Written)>);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// A histogram ready to be written.
struct Written {
    axes: Vec<Value>,
    shape: Vec<usize>,
    storage: &'static str,
    fields: Vec<(&'static str, Vec<f64>)>,
    notes: Map<String, Value>,
}

impl Written {
    fn new(histogram: &Histogram, notes: &[(&str, Value)]) -> Result<Self> {
        let (storage, names): (_, &[&'static str]) = match histogram.storage() {
            Storage::Count => ("int", &["values"]),
            Storage::Weight => ("weighted", &["values", "variances"]),
            Storage::Mean => ("mean", &["counts", "values", "variances"]),
            Storage::WeightedMean => {
                ("weighted_mean", &["sum_of_weights", "sum_of_weights_squared", "values", "variances"])
            }
        };
        let mut fields: Vec<(&'static str, Vec<f64>)> = names.iter().map(|name| (*name, Vec::new())).collect();
        let defined = |variance: f64| if variance.is_nan() { 0.0 } else { variance };
        for (bin, content) in histogram.contents().enumerate() {
            let values = match content {
                Content::Count(count) => [count as f64, 0.0, 0.0, 0.0],
                Content::Weight { sum, sum_of_squares } => [sum, sum_of_squares, 0.0, 0.0],
                Content::Mean { count, mean, variance } => [count as f64, mean, defined(variance), 0.0],
                Content::WeightedMean { sum_of_weights, sum_of_weights_squared, mean, variance } => {
                    [sum_of_weights, sum_of_weights_squared, mean, defined(variance)]
                }
            };
            for ((_, field), value) in fields.iter_mut().zip(values) {
                if !value.is_finite() {
                    return Err(Error::NotFinite { bin, value });
                }
                field.push(value);
            }
        }
        let tally = histogram.tally();
        let counts =
            [("entries", tally.entries), ("nulls", tally.nulls), ("nans", tally.nans), ("outside", tally.outside)];
        let mut own: Map<String, Value> =
            counts.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
        own.extend(notes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Ok(Self {
            axes: histogram.axes().iter().enumerate().map(axis_value).collect::<Result<_>>()?,
            shape: histogram.axes().iter().map(Axis::extent).collect(),
            storage,
            fields,
            notes: own,
        })
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("uhi_schema", &1)?;
        map.serialize_entry("writer_info", &json!({ OWN_NOTES: self.notes }))?;
        map.serialize_entry("axes", &self.axes)?;
        map.serialize_entry("storage", &Contents(self))?;
        map.end()
    }
}

struct Contents<'a>(&'a Written);

impl Serialize for Contents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = self.0.storage == "int";
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.0.storage)?;
        // An axis without bins yet has no values; the format has a form for that.
        if self.0.shape.iter().all(|&extent| extent > 0) {
            for (name, values) in &self.0.fields {
                map.serialize_entry(name, &Nested { shape: &self.0.shape, values, whole })?;
            }
        }
        map.end()
    }
}

/// Values as lists of lists, one level for each axis.
struct Nested<'a> {
    shape: &'a [usize],
    values: &'a [f64],
    whole: bool,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        match self.shape {
            [_, shape @ ..] if !shape.is_empty() => {
                for values in self.values.chunks(shape.iter().product::<usize>().max(1)) {
                    list.serialize_element(&Nested { shape, values, whole: self.whole })?;
                }
            }
            _ if self.whole => self.values.iter().try_for_each(|value| list.serialize_element(&(*value as u64)))?,
            _ => self.values.iter().try_for_each(|value| list.serialize_element(value))?,
        }
        list.end()
    }
}

fn axis_value((number, axis): (usize, &Axis)) -> Result<Value> {
    let mut value = match axis.kind() {
        AxisKind::Regular { bins, lower, upper } => {
            json!({ "type": "regular", "bins": bins, "lower": lower, "upper": upper })
        }
        AxisKind::Log { .. } | AxisKind::Variable { .. } => {
            let edges = axis.edges();
            if edges.iter().any(|edge| !edge.is_finite()) {
                return Err(Error::InfiniteEdge { axis: axis.display_name(number) });
            }
            json!({ "type": "variable", "edges": edges })
        }
        AxisKind::IntCategory { categories, .. } => json!({ "type": "category_int", "categories": categories }),
        AxisKind::StrCategory { categories, .. } => json!({ "type": "category_str", "categories": categories }),
        AxisKind::Boolean => json!({ "type": "boolean" }),
    };
    let Some(fields) = value.as_object_mut() else { return Ok(value) };
    if axis.is_numeric() {
        fields.insert("underflow".into(), axis.underflow().into());
        fields.insert("overflow".into(), axis.overflow().into());
        fields.insert("circular".into(), false.into());
    } else if *axis.kind() != AxisKind::Boolean {
        fields.insert("flow".into(), axis.overflow().into());
    }
    match axis.kind() {
        AxisKind::Log { bins, lower, upper } => {
            let note = json!({ "transform": "log", "bins": bins, "lower": lower, "upper": upper });
            fields.insert("writer_info".into(), json!({ NOTES: note }));
        }
        _ if axis.is_growing() => {
            fields.insert("writer_info".into(), json!({ NOTES: { "growth": true } }));
        }
        _ => {}
    }
    let texts = [("name", axis.name()), ("label", axis.label()), ("unit", axis.unit())];
    let metadata: Map<String, Value> =
        texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key.into(), text.into())).collect();
    if !metadata.is_empty() {
        fields.insert("metadata".into(), metadata.into());
    }
    Ok(value)
}

/// Reads one histogram.
struct Read<'a> {
    name: &'a str,
}

impl Read<'_> {
    fn histogram(&self, value: &Value) -> Result<Histogram> {
        if value.get("uhi_schema").and_then(Value::as_u64) != Some(1) {
            return Err(self.problem("its \"uhi_schema\" is not 1, the only version there is"));
        }
        let axes = self.list(value.get("axes"), "axes")?;
        let axes: Vec<Axis> = axes.iter().map(|axis| self.axis(axis)).collect::<Result<_>>()?;
        let storage = value.get("storage").ok_or_else(|| self.problem("it has no \"storage\""))?;
        let (kind, names): (_, &[&str]) = match storage.get("type").and_then(Value::as_str) {
            Some("int") => (Storage::Count, &["values"]),
            Some("double") => (Storage::Weight, &["values", "values"]),
            Some("weighted") => (Storage::Weight, &["values", "variances"]),
            Some("mean") => (Storage::Mean, &["counts", "values", "variances"]),
            Some("weighted_mean") => {
                (Storage::WeightedMean, &["sum_of_weights", "sum_of_weights_squared", "values", "variances"])
            }
            other => return Err(self.problem(format!("storage {other:?} is not known"))),
        };
        let mut histogram = Histogram::new(axes, kind)?;
        if storage.as_object().is_some_and(|fields| fields.len() > 1) {
            self.contents(&mut histogram, storage, names)?;
        }
        let note = |key: &str| value.get("writer_info")?.get(OWN_NOTES)?.get(key)?.as_u64();
        let entries: f64 = histogram.contents().map(|content| content.weight()).sum();
        histogram.tally.entries = note("entries").unwrap_or(entries.max(0.0).round() as u64);
        histogram.tally.nulls = note("nulls").unwrap_or(0);
        histogram.tally.nans = note("nans").unwrap_or(0);
        histogram.tally.outside = note("outside").unwrap_or(0);
        Ok(histogram)
    }

    fn contents(&self, histogram: &mut Histogram, storage: &Value, names: &[&str]) -> Result<()> {
        let shape: Vec<usize> = histogram.axes().iter().map(Axis::extent).collect();
        let mut fields = Vec::with_capacity(names.len());
        let index = storage.get("index").map(|index| self.sparse_cells(index, &shape)).transpose()?;
        for name in names {
            let mut values = Vec::new();
            let field = storage.get(*name).ok_or_else(|| self.problem(format!("its storage has no {name:?}")))?;
            match &index {
                Some(index) => {
                    self.flatten(field, &[index.len()], name, &mut values)?;
                }
                None => self.flatten(field, &shape, name, &mut values)?,
            }
            fields.push(values);
        }
        let cells = index.unwrap_or_else(|| (0..histogram.cell_count()).collect());
        for (row, cell) in cells.into_iter().enumerate() {
            let mut values = fields.iter().map(|field| field.get(row).copied().unwrap_or(0.0));
            let mut next = || values.next().unwrap_or(0.0);
            let content = match histogram.storage() {
                Storage::Count => Content::Count(self.count(next())?),
                Storage::Weight => Content::Weight { sum: next(), sum_of_squares: next() },
                Storage::Mean => Content::Mean { count: self.count(next())?, mean: next(), variance: next() },
                Storage::WeightedMean => Content::WeightedMean {
                    sum_of_weights: next(),
                    sum_of_weights_squared: next(),
                    mean: next(),
                    variance: next(),
                },
            };
            histogram.bins.set(cell, content);
        }
        Ok(())
    }

    /// The bins of a sparse storage: a list for each axis.
    fn sparse_cells(&self, index: &Value, shape: &[usize]) -> Result<Vec<usize>> {
        let lists = self.list(Some(index), "index")?;
        if lists.len() != shape.len() {
            return Err(self.problem(format!("its index has {} lists for {} axes", lists.len(), shape.len())));
        }
        let mut cells: Vec<usize> = Vec::new();
        for (number, (list, &extent)) in lists.iter().zip(shape).enumerate() {
            let list = self.list(Some(list), "index")?;
            if number == 0 {
                cells.resize(list.len(), 0);
            }
            if list.len() != cells.len() {
                return Err(self.problem("the lists of its index differ in length"));
            }
            for (cell, place) in cells.iter_mut().zip(list) {
                let place = place.as_u64().map(|place| place as usize).filter(|&place| place < extent);
                let place =
                    place.ok_or_else(|| self.problem(format!("its index names a bin that axis {number} has not")))?;
                *cell = *cell * extent + place;
            }
        }
        let mut sorted = cells.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(self.problem("its index names a bin twice"));
        }
        Ok(cells)
    }

    fn flatten(&self, value: &Value, shape: &[usize], name: &str, values: &mut Vec<f64>) -> Result<()> {
        if value.is_string() {
            return Err(self.problem(format!("{name:?} lies in another file, which is not supported")));
        }
        let (&extent, inner) = match shape.split_first() {
            Some(split) => split,
            None => {
                let number = value.as_f64().filter(|number| number.is_finite());
                values.push(number.ok_or_else(|| self.problem(format!("{name:?} has something that is no number")))?);
                return Ok(());
            }
        };
        let list = self.list(Some(value), name)?;
        if list.len() != extent {
            return Err(self.problem(format!("a list of {name:?} has {} elements, not {extent}", list.len())));
        }
        list.iter().try_for_each(|value| self.flatten(value, inner, name, values))
    }

    fn axis(&self, value: &Value) -> Result<Axis> {
        let note = |key: &str| value.get("writer_info")?.get(NOTES)?.get(key);
        let number = |key: &str| {
            let number = value.get(key).and_then(Value::as_f64);
            number.ok_or_else(|| self.problem(format!("an axis has no number {key:?}")))
        };
        let flag = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or(false);
        if flag("circular") {
            return Err(self.problem("circular axes are not supported"));
        }
        let growing = note("growth").and_then(Value::as_bool).unwrap_or(false);
        let axis = match value.get("type").and_then(Value::as_str) {
            Some("regular") => {
                let bins = value.get("bins").and_then(Value::as_u64).unwrap_or(0);
                Axis::regular(bins as usize, number("lower")?, number("upper")?)?
            }
            Some("variable") => self.variable(value, note)?,
            Some("category_int") => {
                let categories = self.list(value.get("categories"), "categories")?;
                let categories: Option<Vec<i64>> = categories.iter().map(Value::as_i64).collect();
                let categories = categories.ok_or_else(|| self.problem("a category is no whole number"))?;
                // Ours are in order. Those of a library that keeps the order of filling stay as they are.
                match growing && categories.is_sorted_by(|a, b| a < b) {
                    true => Axis::growing_int_category().grown(&[], &categories).0,
                    false => Axis::int_category(categories)?,
                }
            }
            Some("category_str") => {
                let categories = self.list(value.get("categories"), "categories")?;
                let categories: Option<Vec<String>> =
                    categories.iter().map(|category| category.as_str().map(str::to_owned)).collect();
                let categories = categories.ok_or_else(|| self.problem("a category is no string"))?;
                match growing && categories.is_sorted_by(|a, b| a < b) {
                    true => Axis::growing_str_category().grown(&categories, &[]).0,
                    false => Axis::str_category(categories)?,
                }
            }
            Some("boolean") => Axis::boolean(),
            other => return Err(self.problem(format!("axes of type {other:?} are not known"))),
        };
        let text =
            |key: &str| value.get("metadata").and_then(|data| data.get(key)).and_then(Value::as_str).unwrap_or("");
        let axis = axis.with_name(text("name")).with_label(text("label")).with_unit(text("unit"));
        Ok(axis.with_flow(flag("underflow"), flag("overflow") || flag("flow")))
    }

    fn variable<'v>(&self, value: &'v Value, note: impl Fn(&str) -> Option<&'v Value>) -> Result<Axis> {
        if note("transform").and_then(Value::as_str) == Some("log") {
            let bins = note("bins").and_then(Value::as_u64);
            let (lower, upper) = (note("lower").and_then(Value::as_f64), note("upper").and_then(Value::as_f64));
            if let (Some(bins), Some(lower), Some(upper)) = (bins, lower, upper) {
                return Axis::log(bins as usize, lower, upper);
            }
        }
        let edges = self.list(value.get("edges"), "edges")?;
        let edges: Option<Vec<f64>> = edges.iter().map(Value::as_f64).collect();
        Axis::variable(edges.ok_or_else(|| self.problem("an edge is no number"))?)
    }

    fn count(&self, value: f64) -> Result<u64> {
        if value < 0.0 || value.fract() != 0.0 || value > u64::MAX as f64 {
            return Err(self.problem(format!("{value} is no number of entries")));
        }
        Ok(value as u64)
    }

    fn list<'v>(&self, value: Option<&'v Value>, what: &str) -> Result<&'v Vec<Value>> {
        value.and_then(Value::as_array).ok_or_else(|| self.problem(format!("{what:?} is no list")))
    }

    fn problem(&self, problem: impl Into<String>) -> Error {
        uhi(self.name, problem)
    }
}
