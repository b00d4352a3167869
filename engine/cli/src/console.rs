//! What is told to the user: errors, warnings and notes, on standard error and nowhere else.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::args::ColorWhen;

/// Standard error. Clones share it.
#[derive(Debug, Clone)]
pub struct Console {
    quiet: bool,
    color: bool,
    told: Arc<Mutex<HashSet<String>>>,
}

impl Console {
    /// A console that is quiet, or in colours, as the settings say.
    pub fn new(quiet: bool, color: ColorWhen) -> Self {
        Self { quiet, color: wants_color(color, std::io::stderr().is_terminal()), told: Arc::default() }
    }

    /// Whether only errors are told.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Why the run failed. Told even if quiet.
    pub fn error(&self, message: &str) {
        self.line("error", "31", message);
    }

    /// Something that the user should know about the result; each text is told once.
    pub fn warning(&self, message: &str) {
        let new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(message.to_string());
        if new && !self.quiet {
            self.line("warning", "33", message);
        }
    }

    /// Something good to know.
    pub fn note(&self, message: &str) {
        if !self.quiet {
            self.line("note", "36", message);
        }
    }

    /// A line as it is.
    pub fn plain(&self, message: &str) {
        if !self.quiet {
            // Nobody can be told that standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "{message}");
        }
    }

    fn line(&self, label: &str, color: &str, message: &str) {
        let message = printable(message);
        let mut stderr = std::io::stderr().lock();
        let _ = if self.color {
            writeln!(stderr, "\x1b[1;{color}m{label}:\x1b[0m {message}")
        } else {
            writeln!(stderr, "{label}: {message}")
        };
    }
}

/// Whether a stream gets colours.
pub fn wants_color(when: ColorWhen, is_terminal: bool) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        // https://no-color.org: any value but the empty one.
        ColorWhen::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// A text without control characters, of which names in a hostile file can be full: they could rewrite the screen.
pub fn printable(text: &str) -> String {
    let escape = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(escape) {
        return text.to_string();
    }
    text.chars().map(|c| if escape(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_rewrite_the_screen() {
        assert_eq!(printable("plain\tname\n"), "plain\tname\n");
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
    }

    #[test]
    fn a_stream_that_is_no_terminal_gets_colours_only_if_asked() {
        assert!(!wants_color(ColorWhen::Auto, false));
        assert!(wants_color(ColorWhen::Always, false));
        assert!(!wants_color(ColorWhen::Never, true));
    }
}
