//! YAML as events, for the small files that people write: lists of samples, cuts. What is wrong with one is told with its
//! line.

use saphyr_parser::{Event, Parser};

/// What is wrong, and in which line if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub line: Option<usize>,
    pub reason: String,
}

impl Fault {
    pub(crate) fn at(line: usize, reason: impl Into<String>) -> Self {
        Self { line: Some(line), reason: reason.into() }
    }
}

/// The events of a YAML text, and the line of the last one.
pub(crate) struct Events<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    pub(crate) line: usize,
}

impl<'a> Events<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { parser: Parser::new_from_str(text), line: 1 }
    }

    pub(crate) fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault::at(self.line, reason)
    }

    pub(crate) fn next(&mut self) -> Result<Event<'a>, Fault> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.line = span.start.line();
                Ok(event)
            }
            Some(Err(error)) => Err(Fault::at(error.marker().line(), error.info())),
            None => Ok(Event::StreamEnd),
        }
    }
}
