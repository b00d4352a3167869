//! SQL as the user wrote it: a script's statements in their own words, and the names that a text uses. A parsed statement
//! does not print all of its options again, so that the text is cut instead.

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::dialect::RootDialect;
use crate::error::Error;
use crate::opener::{ENTRY_COLUMN, FILE_COLUMN};

/// Cuts a script at its semicolons. Pieces without SQL are left out.
pub(crate) fn statements(script: &str) -> Result<Vec<String>, Error> {
    let mut offsets = Offsets::new(script);
    let (mut all, mut start, mut is_blank) = (Vec::new(), 0, true);
    let mut cut = |start: usize, end: usize, is_blank: bool| {
        let piece = script.get(start..end).map(str::trim).filter(|_| !is_blank);
        all.extend(piece.map(str::to_string));
    };
    for token in tokens(script)? {
        match token.token {
            Token::SemiColon => {
                let at = offsets.of(token.span.start);
                cut(start, at, is_blank);
                (start, is_blank) = (at + 1, true);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => is_blank = false,
        }
    }
    cut(start, script.len(), is_blank);
    Ok(all)
}

/// Whether a text of SQL names the columns that say where a row comes from (`_file` and `_entry`): as identifiers, not in
/// strings or comments. What is not SQL names nothing.
pub fn names_row_id(sql: &str) -> bool {
    let is_row_id = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) => [FILE_COLUMN, ENTRY_COLUMN].contains(&word.value.as_str()),
        _ => false,
    };
    tokens(sql).is_ok_and(|tokens| tokens.iter().any(is_row_id))
}

fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, DataFusionError> {
    let tokens = Tokenizer::new(&RootDialect, sql).tokenize_with_location();
    Ok(tokens.map_err(ParserError::from)?)
}

/// Turns lines and columns, which count from 1 and in characters, into offsets in bytes. They are asked in ascending
/// order.
struct Offsets<'a> {
    script: &'a str,
    line: u64,
    /// Where that line begins.
    start: usize,
}

impl<'a> Offsets<'a> {
    fn new(script: &'a str) -> Self {
        Self { script, line: 1, start: 0 }
    }

    fn of(&mut self, place: Location) -> usize {
        while self.line < place.line {
            let rest = self.script.get(self.start..).unwrap_or_default();
            self.start += rest.find('\n').map_or(rest.len(), |end| end + 1);
            self.line += 1;
        }
        let rest = self.script.get(self.start..).unwrap_or_default();
        let before = usize::try_from(place.column).unwrap_or(usize::MAX).saturating_sub(1);
        self.start + rest.char_indices().nth(before).map_or(rest.len(), |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_cut_at_their_semicolons() {
        let script = "SELECT ';é' AS \"a;b\"; -- c;\n /* ; /* ; */ ; */ SELECT 'it''s;\n' ;;\n-- the end;";
        assert_eq!(
            statements(script).unwrap(),
            ["SELECT ';é' AS \"a;b\"", "-- c;\n /* ; /* ; */ ; */ SELECT 'it''s;\n'"]
        );
        assert_eq!(statements("SELECT 1").unwrap(), ["SELECT 1"]);
        for empty in ["", " ;; ", "-- nothing"] {
            assert!(statements(empty).unwrap().is_empty(), "{empty}");
        }
        assert!(statements("SELECT 'open").is_err());
    }

    #[test]
    fn names_are_found_as_identifiers_only() {
        for sql in
            ["SELECT _entry FROM t", "SELECT t.\"_file\", x FROM t", "SELECT 'a''b', _file", "-- x\nSELECT _entry"]
        {
            assert!(names_row_id(sql), "{sql}");
        }
        for sql in [
            "SELECT my_entry FROM t",
            "SELECT '_entry'",
            "SELECT 1 -- _entry",
            "SELECT /* _file */ 1",
            "SELECT \"x _file\"",
            "SELECT 'it''s _file'",
            "",
            "'unclosed _entry",
        ] {
            assert!(!names_row_id(sql), "{sql}");
        }
    }
}
