//! A dataset file's text into rows: CSV with a header, or a list of objects in JSON or YAML.

use std::fmt;

use saphyr_parser::{Event, ScalarStyle};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::cell::Cell;
use crate::yaml::{Events, Fault};

/// The column that names the files of a sample.
const PATH: &str = "path";

/// What a dataset file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Csv,
    Json,
    Yaml,
}

/// A sample as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// The line where it begins, from 1.
    pub line: usize,
    /// What it names: paths, patterns and directories, each with an optional `:tree`.
    pub paths: Vec<String>,
    /// The other columns, in their order.
    pub cells: Vec<(String, Cell)>,
}

/// What stands behind a name, before it is known which columns there are.
enum Entry {
    One(Cell),
    Several(Vec<Cell>),
}

/// Reads the samples of a text.
pub(super) fn parse(text: &str, language: Language) -> Result<Vec<Row>, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows = match language {
        Language::Csv => csv(text),
        Language::Json => json(text),
        Language::Yaml => yaml(text),
    }?;
    match rows.is_empty() {
        true => Err(Fault { line: None, reason: "it names no samples".into() }),
        false => Ok(rows),
    }
}

fn csv(text: &str) -> Result<Vec<Row>, Fault> {
    let fault = |e: csv::Error| Fault {
        line: e.position().and_then(|p| usize::try_from(p.line()).ok()),
        reason: match e.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("it has {len} fields, and the header {expected_len}")
            }
            _ => e.to_string(),
        },
    };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(fault)?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(fault)?;
        let line = record.position().and_then(|p| usize::try_from(p.line()).ok()).unwrap_or_default();
        let entries = header.iter().zip(&record).map(|(name, value)| (name.to_string(), Entry::One(Cell::of(value))));
        rows.push(row(line, entries)?);
    }
    Ok(rows)
}

/// Sorts out what a sample says.
fn row(line: usize, entries: impl Iterator<Item = (String, Entry)>) -> Result<Row, Fault> {
    let mut row = Row { line, paths: Vec::new(), cells: Vec::new() };
    for (name, entry) in entries {
        if name.is_empty() {
            return Err(Fault::at(line, "a column has no name"));
        }
        let is_known = |name: &str| row.cells.iter().any(|(known, _)| known == name);
        match entry {
            Entry::One(cell) if name == PATH && row.paths.is_empty() => row.paths.extend(cell.into_text()),
            Entry::Several(cells) if name == PATH && row.paths.is_empty() => {
                row.paths.extend(cells.into_iter().filter_map(Cell::into_text));
            }
            Entry::One(cell) if name != PATH && !is_known(&name) => row.cells.push((name, cell)),
            Entry::Several(_) if name != PATH => {
                return Err(Fault::at(line, format!("'{name}' is a list; only '{PATH}' can be one")));
            }
            _ => return Err(Fault::at(line, format!("there are two columns '{name}'"))),
        }
    }
    match row.paths.iter().all(|path| path.trim().is_empty()) {
        true => Err(Fault::at(line, format!("the sample has no '{PATH}', which names its files"))),
        false => Ok(row),
    }
}

fn json(text: &str) -> Result<Vec<Row>, Fault> {
    let samples: Vec<Members> = serde_json::from_str(text).map_err(|e| {
        let reason = e.to_string();
        // The line stands in front of the message already.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        Fault::at(e.line(), format!("a list of objects is expected: {reason}"))
    })?;
    let mut rows = Vec::with_capacity(samples.len());
    for (Members(members), line) in samples.into_iter().zip(lines_of_objects(text)) {
        let entries = members.into_iter().map(|(name, value)| match of_json(value) {
            Some(entry) => Ok((name, entry)),
            None => Err(Fault::at(line, format!("'{name}' is neither a number, a string nor a boolean"))),
        });
        rows.push(row(line, entries.collect::<Result<Vec<_>, _>>()?.into_iter())?);
    }
    Ok(rows)
}

/// The lines where the objects of a list begin. The text is JSON.
fn lines_of_objects(text: &str) -> Vec<usize> {
    let (mut lines, mut line, mut depth) = (Vec::new(), 1, 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' => line += 1,
            b'"' => while bytes.next().is_some_and(|b| b != b'"' && (b != b'\\' || bytes.next().is_some())) {},
            b'{' | b'[' => {
                depth += 1;
                if depth == 2 {
                    lines.push(line);
                }
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    lines
}

/// The members of an object in their order, also those of one name.
struct Members(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names and values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Reader)
    }
}

fn of_json(value: serde_json::Value) -> Option<Entry> {
    let one = |value: serde_json::Value| match value {
        serde_json::Value::Null => Some(Cell::Null),
        serde_json::Value::Bool(b) => Some(Cell::Bool(b)),
        serde_json::Value::Number(n) => Some(Cell::of(&n.to_string())),
        serde_json::Value::String(s) => Some(Cell::Text(s)),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
    };
    match value {
        serde_json::Value::Array(values) => Some(Entry::Several(values.into_iter().map(one).collect::<Option<_>>()?)),
        other => one(other).map(Entry::One),
    }
}

fn yaml(text: &str) -> Result<Vec<Row>, Fault> {
    let mut events = Events::of(text);
    let list = "a list of samples is expected, each beginning with '- '";
    loop {
        match events.next()? {
            Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd => return Ok(Vec::new()),
            Event::SequenceStart(..) => break,
            _ => return Err(events.fault(list)),
        }
    }
    let mut rows = Vec::new();
    loop {
        match events.next()? {
            Event::MappingStart(..) => {
                let line = events.line;
                rows.push(row(line, members(&mut events)?.into_iter())?);
            }
            Event::SequenceEnd => break,
            _ => return Err(events.fault("a sample is expected: names and values, such as 'path: a.root'")),
        }
    }
    match (events.next()?, events.next()?) {
        (Event::DocumentEnd, Event::StreamEnd) => Ok(rows),
        _ => Err(events.fault("only one list of samples is expected")),
    }
}

/// What a mapping holds, whose start was read.
fn members(events: &mut Events<'_>) -> Result<Vec<(String, Entry)>, Fault> {
    let mut members = Vec::new();
    loop {
        let name = match events.next()? {
            Event::Scalar(name, ..) => name.into_owned(),
            Event::MappingEnd => return Ok(members),
            _ => return Err(events.fault("the name of a column is expected")),
        };
        let entry = match events.next()? {
            Event::Scalar(text, style, ..) => Entry::One(scalar(&text, style)),
            Event::SequenceStart(..) => {
                let mut cells = Vec::new();
                loop {
                    match events.next()? {
                        Event::Scalar(text, style, ..) => cells.push(scalar(&text, style)),
                        Event::SequenceEnd => break,
                        _ => return Err(events.fault(format!("the list '{name}' holds more than plain values"))),
                    }
                }
                Entry::Several(cells)
            }
            Event::Alias(_) => return Err(events.fault(format!("'{name}' is an alias; write its value out"))),
            _ => return Err(events.fault(format!("'{name}' is neither a number, a string nor a boolean"))),
        };
        members.push((name, entry));
    }
}

/// A value without quotes is what it looks like.
fn scalar(text: &str, style: ScalarStyle) -> Cell {
    match (style, text) {
        (ScalarStyle::Plain, "~" | "null" | "Null" | "NULL") => Cell::Null,
        (ScalarStyle::Plain, "True" | "TRUE") => Cell::Bool(true),
        (ScalarStyle::Plain, "False" | "FALSE") => Cell::Bool(false),
        (ScalarStyle::Plain, text) => Cell::of(text),
        (_, text) => Cell::Text(text.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Vec<Row> {
        let row = |line, path: &str, id: &str, xsec, data| Row {
            line,
            paths: vec![path.to_string()],
            cells: vec![
                ("sampleID".to_string(), Cell::Text(id.to_string())),
                ("xsec".to_string(), xsec),
                ("data".to_string(), data),
            ],
        };
        let number = |value, text: &str| Cell::Number(value, text.to_string());
        vec![
            row(2, "dy/*.root:Events", "DY, low", number(5765.4, "5765.4"), Cell::Bool(false)),
            row(3, "data.root", "007", Cell::Null, Cell::Bool(true)),
        ]
    }

    #[test]
    fn the_languages_say_the_same() {
        let csv = "path,sampleID,xsec,data\n dy/*.root:Events,\"DY, low\",5765.4,false\ndata.root, 007,,true\n";
        assert_eq!(parse(csv, Language::Csv).unwrap(), two());
        let json = "[\n\t{\"path\": \"dy/*.root:Events\", \"sampleID\": \"DY, low\", \"xsec\": 5765.4, \"data\": false},\
                    \n {\"path\": [\"data.root\"], \"sampleID\": \"007\", \"xsec\": null, \"data\": true}]";
        assert_eq!(parse(json, Language::Json).unwrap(), two());
        let yaml = "# samples\n- path: dy/*.root:Events\n  sampleID: DY, low\n  xsec: 5765.4\n  data: false\n";
        let yaml = format!("\u{feff}{yaml}- {{path: [data.root], sampleID: \"007\", xsec: ~, data: true}}");
        let mut rows = parse(&yaml, Language::Yaml).unwrap();
        assert_eq!((rows[0].line, rows[1].line), (2, 6));
        rows[1].line = 3;
        assert_eq!(rows, two());
    }

    #[test]
    fn faults_name_the_line() {
        let cases = [
            (Language::Csv, "sampleID\nDY\n", Some(2), "no 'path'"),
            (Language::Csv, "path,x\na.root,1\n,2\n", Some(3), "no 'path'"),
            (Language::Csv, "path,x\na.root\n", Some(2), "1 fields, and the header 2"),
            (Language::Csv, "path,x,x\na.root,1,2\n", Some(2), "two columns 'x'"),
            (Language::Csv, "path,\na.root,1\n", Some(2), "no name"),
            (Language::Csv, "path,x\n", None, "no samples"),
            (Language::Csv, "", None, "no samples"),
            (Language::Json, "[{\"path\": \"a.root\"},\n{\"x\": 1}]", Some(2), "no 'path'"),
            (Language::Json, "[{\"path\": \"{\\\"}\\n\"},\n\n{}]", Some(3), "no 'path'"),
            (Language::Json, "[{\"path\": []}]", Some(1), "no 'path'"),
            (Language::Json, "{\"path\": \"a.root\"}", Some(1), "a list of objects"),
            (Language::Json, "[\n1]", Some(2), "an object"),
            (Language::Json, "[{\"path\": \"a\", \"x\": [1]}]", Some(1), "'x' is a list"),
            (Language::Json, "[{\"path\": \"a\", \"x\": {}}]", Some(1), "'x' is neither"),
            (Language::Json, "[{\"path\": \"a\"}", Some(1), "EOF"),
            (Language::Yaml, "path: a.root", Some(1), "a list of samples"),
            (Language::Yaml, "- a.root", Some(1), "a sample is expected"),
            (Language::Yaml, "- path: a.root\n- x: 1", Some(2), "no 'path'"),
            (Language::Yaml, "- path: a.root\n  x: &x 1\n  y: *x", Some(3), "'y' is an alias"),
            (Language::Yaml, "- path: a.root\n  x: {a: 1}", Some(2), "'x' is neither"),
            (Language::Yaml, "- path: a.root\n  path: b.root", Some(1), "two columns 'path'"),
            (Language::Yaml, "- path: a.root\n---\n- path: b.root", Some(2), "only one list"),
            (Language::Yaml, "- path: [a.root", Some(2), "expected ','"),
            (Language::Yaml, "", None, "no samples"),
        ];
        for (language, text, line, words) in cases {
            let fault = parse(text, language).unwrap_err();
            assert_eq!(fault.line, line, "{text}: {}", fault.reason);
            assert!(fault.reason.contains(words), "{text}: {}", fault.reason);
        }
    }
}
