//! The fault of a task on its way to whoever asked. Ballista passes on a text, in which the layers of its own wrap ours and
//! quotation marks are escaped; what ours says and what it is about travels inside that text, in a form that survives this.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use root_engine::ErrorKind;
use serde::{Deserialize, Serialize};

const BEGIN: &str = "[[root-query ";
const END: &str = "]]";

/// What went wrong in a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What is at fault: `query`, `usage`, `input` or `authentication`.
    kind: String,
    /// What went wrong.
    pub message: String,
}

impl Fault {
    /// A fault of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let kind = match kind {
            ErrorKind::Usage => "usage",
            ErrorKind::Input => "input",
            ErrorKind::Authentication => "authentication",
            _ => "query",
        };
        Self { kind: kind.to_string(), message: message.into() }
    }

    /// What is at fault, as a word: `query`, `usage`, `input` or `authentication`.
    pub fn kind_name(&self) -> &str {
        match self.kind() {
            ErrorKind::Usage => "usage",
            ErrorKind::Input => "input",
            ErrorKind::Authentication => "authentication",
            ErrorKind::Query => "query",
        }
    }

    /// What is at fault.
    pub fn kind(&self) -> ErrorKind {
        match self.kind.as_str() {
            "usage" => ErrorKind::Usage,
            "input" => ErrorKind::Input,
            "authentication" => ErrorKind::Authentication,
            _ => ErrorKind::Query,
        }
    }

    /// A text that people can read and [`Fault::find`] understands.
    pub fn to_text(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{} {BEGIN}{}{END}", self.message, STANDARD.encode(json))
    }

    /// The fault that a text speaks of, wherever in it.
    pub fn find(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once(BEGIN)?;
        let (encoded, _) = rest.split_once(END)?;
        serde_json::from_slice(&STANDARD.decode(encoded).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_what_is_wrapped_around_its_text() {
        let fault = Fault::new(ErrorKind::Input, "f.root: basket 3 of \"Muon_pt\"\n is damaged");
        let wrapped = format!("Job failed: {:?}", Err::<(), _>(format!("stage 1: {:?}", fault.to_text())));
        assert_eq!(Fault::find(&wrapped), Some(fault));
    }

    #[test]
    fn other_texts_speak_of_no_fault() {
        for text in ["", "failed", "[[root-query ]]", "[[root-query e30=]]", "[[root-query"] {
            assert_eq!(Fault::find(text), None, "{text}");
        }
    }
}
