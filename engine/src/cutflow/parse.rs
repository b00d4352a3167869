//! Cuts out of YAML: a list of names with conditions, and the weight.

use saphyr_parser::Event;

use super::Cutflow;
use crate::error::Error;
use crate::yaml::{Events, Fault};

pub(super) fn parse(file: &str, text: &str) -> Result<Cutflow, Error> {
    let of_file = |Fault { line, reason }| Error::Cuts { file: file.to_owned(), line, reason };
    let mut events = Events::of(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut cutflow = Cutflow::new();
    let (mut has_cuts, mut has_weight) = (false, false);
    let form = "names are expected: 'cuts:' with a list of cuts, and perhaps 'weight:'";
    loop {
        match events.next().map_err(of_file)? {
            Event::StreamStart | Event::DocumentStart(_) => {}
            Event::MappingStart(..) => break,
            Event::StreamEnd => return Err(of_file(Fault { line: None, reason: "it has no cuts".into() })),
            _ => return Err(of_file(events.fault(form))),
        }
    }
    loop {
        let key = match events.next().map_err(of_file)? {
            Event::Scalar(key, ..) => key.into_owned(),
            Event::MappingEnd => break,
            _ => return Err(of_file(events.fault(form))),
        };
        match key.as_str() {
            "cuts" if !has_cuts => {
                has_cuts = true;
                cutflow = list(&mut events, cutflow, file)?;
            }
            "weight" if !has_weight => {
                has_weight = true;
                let weight = text_of(&mut events, "the weight").map_err(of_file)?;
                cutflow = at_line(cutflow.weight(weight), file, events.line)?;
            }
            "cuts" | "weight" => return Err(of_file(events.fault(format!("there are two '{key}'")))),
            _ => return Err(of_file(events.fault(format!("'{key}' is not known; {form}")))),
        }
    }
    match (events.next().map_err(of_file)?, events.next().map_err(of_file)?) {
        (Event::DocumentEnd, Event::StreamEnd) if !cutflow.cuts().is_empty() => Ok(cutflow),
        (Event::DocumentEnd, Event::StreamEnd) => Err(of_file(Fault { line: None, reason: "it has no cuts".into() })),
        _ => Err(of_file(events.fault("only one list of cuts is expected"))),
    }
}

fn list(events: &mut Events<'_>, mut cutflow: Cutflow, file: &str) -> Result<Cutflow, Error> {
    let of_file = |Fault { line, reason }| Error::Cuts { file: file.to_owned(), line, reason };
    let form = "a list of cuts is expected, each '- name: condition'";
    match events.next().map_err(of_file)? {
        Event::SequenceStart(..) => {}
        _ => return Err(of_file(events.fault(form))),
    }
    loop {
        let (name, condition, line) = match events.next().map_err(of_file)? {
            Event::SequenceEnd => return Ok(cutflow),
            Event::Scalar(condition, ..) => (condition.to_string(), condition.into_owned(), events.line),
            Event::MappingStart(..) => {
                let name = text_of(events, "the name of a cut").map_err(of_file)?;
                let condition = text_of(events, &format!("the condition of '{name}'")).map_err(of_file)?;
                let line = events.line;
                match events.next().map_err(of_file)? {
                    Event::MappingEnd => (name, condition, line),
                    _ => return Err(of_file(events.fault(format!("'{name}' has more than a condition; {form}")))),
                }
            }
            _ => return Err(of_file(events.fault(form))),
        };
        cutflow = at_line(cutflow.cut(name, condition), file, line)?;
    }
}

fn text_of(events: &mut Events<'_>, what: &str) -> Result<String, Fault> {
    match events.next()? {
        Event::Scalar(text, ..) => Ok(text.into_owned()),
        _ => Err(events.fault(format!("{what} is not a text"))),
    }
}

/// What is wrong with a cut, with the place where it stands.
fn at_line(cutflow: Result<Cutflow, Error>, file: &str, line: usize) -> Result<Cutflow, Error> {
    cutflow.map_err(|error| match error {
        Error::Cuts { file: what, reason, .. } => {
            Error::Cuts { file: file.to_owned(), line: Some(line), reason: format!("{what}: {reason}") }
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cutflow::Cut;

    #[test]
    fn cuts_keep_their_order_and_may_be_their_own_names() {
        let text =
            "weight: genWeight * 2\ncuts:\n  - two muons: nMuon = 2\n  - MET_pt < 50  # their own\n  - {z: 'x > 1'}\n";
        let cutflow = parse("cuts.yaml", text).unwrap();
        let cut = |name: &str, condition: &str| Cut { name: name.into(), condition: condition.into() };
        assert_eq!(
            cutflow.cuts(),
            [cut("two muons", "nMuon = 2"), cut("MET_pt < 50", "MET_pt < 50"), cut("z", "x > 1")]
        );
        assert_eq!(cutflow.weight.as_deref(), Some("genWeight * 2"));
    }

    #[test]
    fn faults_name_file_and_line() {
        let cases = [
            ("", "no cuts", None),
            ("- a", "names are expected", Some(1)),
            ("cuts: a > 1", "a list of cuts", Some(1)),
            ("cuts:\n  - a: x >", "cut 'a': 'x >' is not", Some(2)),
            ("cuts:\n  - a: x > 1\n  - a: x > 2", "another cut has the same name", Some(3)),
            ("cuts:\n  - a: x > 1\n    b: y > 1", "more than a condition", Some(3)),
            ("cuts:\n  - a: [x]", "the condition of 'a' is not a text", Some(2)),
            ("cut:\n  - a: x > 1", "'cut' is not known", Some(1)),
            ("cuts: []", "no cuts", None),
            ("cuts:\n  - x > 1\nweight: (", "the weight: '('", Some(3)),
            ("cuts:\n  - x > 1\n---\ncuts:\n  - y > 1", "only one", Some(3)),
        ];
        for (text, words, at) in cases {
            let error = parse("c.yaml", text).unwrap_err();
            let Error::Cuts { file, line, reason } = &error else { panic!("{error}") };
            assert_eq!((file.as_str(), *line), ("c.yaml", at), "{text}: {reason}");
            assert!(reason.contains(words), "{text}: {reason}");
        }
    }
}
