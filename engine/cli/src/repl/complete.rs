//! What helps while typing: completion of names, and the wait for the `;` that ends a statement.

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::command;
use crate::run::types::quoted;

/// Keywords that begin or join the parts of a query.
const KEYWORDS: [&str; 40] = [
    "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST", "COPY", "CREATE", "CROSS", "DESC", "DESCRIBE", "DISTINCT",
    "ELSE", "END", "EXISTS", "EXPLAIN", "EXTERNAL", "FROM", "GROUP", "HAVING", "IN", "IS", "JOIN", "LEFT", "LIKE",
    "LIMIT", "LOCATION", "NOT", "NULL", "ON", "OPTIONS", "OR", "ORDER", "SELECT", "STORED", "TABLE", "UNION", "WHERE",
    "WITH",
];

/// The names that can be completed.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Tables.
    pub tables: Vec<String>,
    /// Columns of all tables.
    pub columns: Vec<String>,
    /// Functions.
    pub functions: Vec<String>,
}

impl Names {
    /// Where the word before the cursor starts, and what it can become.
    fn complete(&self, line: &str, pos: usize) -> (usize, Vec<Pair>) {
        let before = line.get(..pos).unwrap_or(line);
        let in_quotes = before.matches('"').count() % 2 == 1;
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let start = match in_quotes {
            true => before.rfind('"').unwrap_or(0),
            false => before
                .rfind(|c: char| !is_part(c))
                .map_or(0, |at| at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)),
        };
        let word = before.get(start..).unwrap_or_default().trim_start_matches('"').to_lowercase();
        // A qualified name, `t.Muon_pt`, is a column; so is whatever is quoted.
        let qualified = before.get(..start).is_some_and(|rest| rest.ends_with('.'));
        let names = || {
            let tables = self.tables.iter().filter(|_| !qualified);
            self.columns.iter().chain(tables).map(|name| (name.as_str(), quoted(name)))
        };
        let words = || {
            let keywords = KEYWORDS.iter().map(|word| (*word, (*word).to_string()));
            let functions = self.functions.iter().map(|name| (name.as_str(), format!("{name}(")));
            keywords.chain(functions).filter(|_| !in_quotes && !qualified && !word.is_empty())
        };
        let mut found: Vec<Pair> = names()
            .chain(words())
            .filter(|(name, _)| name.to_lowercase().starts_with(&word))
            .map(|(name, text)| pair(name, text, in_quotes))
            .collect();
        if found.is_empty() {
            // `pt` finds `Muon_pt`.
            let within = names().filter(|(name, _)| name.to_lowercase().contains(&word));
            found = within.map(|(name, text)| pair(name, text, in_quotes)).collect();
        }
        found.sort_by(|a, b| a.display.cmp(&b.display));
        found.dedup_by(|a, b| a.display == b.display);
        (start, found)
    }
}

fn pair(name: &str, text: String, in_quotes: bool) -> Pair {
    let replacement = if in_quotes { format!("\"{}\"", name.replace('"', "\"\"")) } else { text };
    Pair { display: name.to_string(), replacement }
}

/// Helps the line editor.
pub(super) struct Assistant {
    /// The names that can be completed now.
    pub names: Names,
    files: FilenameCompleter,
}

impl Default for Assistant {
    fn default() -> Self {
        Self { names: Names::default(), files: FilenameCompleter::new() }
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..pos).unwrap_or(line);
        if before.matches('\'').count() % 2 == 1 {
            return self.files.complete_path(line, pos);
        }
        Ok(self.names.complete(line, pos))
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// Whether a text can be run: a command, or SQL up to its `;`.
fn is_complete(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.ends_with(';') || !matches!(command::parse(text), Ok(None))
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Highlighter for Assistant {}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            tables: vec!["t".into(), "muons".into()],
            columns: vec!["Muon_pt".into(), "Muon_phi".into(), "obj.pt_".into(), "nMuon".into()],
            functions: vec!["array_max".into()],
        }
    }

    /// The completions of a line with the cursor at its end, and the text they replace.
    fn completed(line: &str) -> (String, Vec<String>) {
        let (start, pairs) = names().complete(line, line.len());
        (line[start..].to_string(), pairs.into_iter().map(|p| p.replacement).collect())
    }

    #[test]
    fn columns_tables_functions_and_keywords_are_completed() {
        assert_eq!(completed("SELECT Muon_p"), ("Muon_p".into(), vec!["Muon_phi".into(), "Muon_pt".into()]));
        assert_eq!(completed("select muon_pt").1, ["Muon_pt"]);
        assert_eq!(completed("SELECT * FROM mu").1, ["Muon_phi", "Muon_pt", "muons"]);
        assert_eq!(completed("SELECT arr").1, ["array_max("]);
        assert_eq!(completed("SELECT x FR").1, ["FROM"]);
        assert_eq!(completed("é sel"), ("sel".into(), vec!["SELECT".into()]));
    }

    #[test]
    fn names_that_need_quotes_get_them() {
        assert_eq!(completed("SELECT obj").1, ["\"obj.pt_\""]);
        assert_eq!(completed("SELECT \"obj.p"), ("\"obj.p".into(), vec!["\"obj.pt_\"".into()]));
    }

    #[test]
    fn behind_a_dot_there_are_columns_only() {
        assert_eq!(completed("SELECT t.nM"), ("nM".into(), vec!["nMuon".into()]));
        assert!(completed("SELECT t.arr").1.is_empty());
    }

    #[test]
    fn a_part_of_a_name_finds_it_if_nothing_begins_so() {
        assert_eq!(completed("SELECT phi").1, ["Muon_phi"]);
    }

    #[test]
    fn sql_waits_for_its_semicolon_and_commands_do_not() {
        for text in ["SELECT 1;", "\\d", ".exit", "", "quit", "SELECT\n1 ; ", "\\nonsense"] {
            assert!(is_complete(text), "{text}");
        }
        for text in ["SELECT 1", "SELECT ';' AS x"] {
            assert!(!is_complete(text), "{text}");
        }
    }
}
