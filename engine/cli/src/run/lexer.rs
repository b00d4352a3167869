//! As much of SQL's lexical rules as it takes to find identifiers, and the semicolons between statements, in the user's
//! own text.

use std::ops::Range;

/// What a piece of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A word: an identifier, a keyword or a number.
    Word,
    /// An identifier in quotes.
    Quoted,
    /// White space or a comment.
    Blank,
    /// The end of a statement.
    Semicolon,
    /// A string, or any other character.
    Other,
}

/// The first piece of a text that is not empty, and its length.
fn first(text: &str) -> (Kind, usize) {
    let Some(c) = text.chars().next() else { return (Kind::Blank, 0) };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    match c {
        '\'' => (Kind::Other, quoted(text, c)),
        '"' | '`' => (Kind::Quoted, quoted(text, c)),
        '-' if text.starts_with("--") => (Kind::Blank, text.find('\n').unwrap_or(text.len())),
        '/' if text.starts_with("/*") => (Kind::Blank, comment(text)),
        ';' => (Kind::Semicolon, 1),
        c if c.is_whitespace() => (Kind::Blank, c.len_utf8()),
        c if is_word(c) => (Kind::Word, text.find(|c: char| !is_word(c)).unwrap_or(text.len())),
        c => (Kind::Other, c.len_utf8()),
    }
}

/// The length of a quoted text. A doubled quote ends one and begins the next, which comes to the same.
fn quoted(text: &str, quote: char) -> usize {
    text.get(1..).and_then(|inner| inner.find(quote)).map_or(text.len(), |at| at + 2)
}

/// The length of a comment, which can hold comments.
fn comment(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth.saturating_sub(1), at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            match rest.chars().next() {
                Some(c) => at += c.len_utf8(),
                None => break,
            }
        }
    }
    text.len()
}

/// The pieces of a text.
fn pieces(text: &str) -> impl Iterator<Item = (Kind, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let (kind, length) = first(rest);
        let piece = at..at + length.max(1);
        at = piece.end;
        Some((kind, piece))
    })
}

/// Splits a script into its statements, as they were written.
pub fn statements(script: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut start = 0;
    let mut is_blank = true;
    let end = (Kind::Semicolon, script.len()..script.len());
    for (kind, piece) in pieces(script).chain([end]) {
        if kind == Kind::Semicolon {
            if !is_blank {
                all.extend(script.get(start..piece.start).map(str::trim));
            }
            (start, is_blank) = (piece.end, true);
        } else {
            is_blank &= kind == Kind::Blank;
        }
    }
    all
}

/// Whether one of these names is an identifier of the text: not in a string, not in a comment, not part of a name.
pub fn names_any(sql: &str, names: &[&str]) -> bool {
    pieces(sql).any(|(kind, piece)| {
        let name = match kind {
            Kind::Word => sql.get(piece),
            Kind::Quoted => sql.get(piece.start + 1..piece.end.saturating_sub(1)),
            _ => None,
        };
        name.is_some_and(|name| names.contains(&name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_split_at_their_semicolons() {
        let script = "SELECT ';' AS \"a;b\"; -- c;\n /* ; /* ; */ ; */ SELECT 'it''s;' ;;\n-- the end;";
        assert_eq!(statements(script), ["SELECT ';' AS \"a;b\"", "-- c;\n /* ; /* ; */ ; */ SELECT 'it''s;'"]);
        assert_eq!(statements("SELECT 1"), ["SELECT 1"]);
        for empty in ["", " ;; ", "-- nothing", "/* open"] {
            assert!(statements(empty).is_empty(), "{empty}");
        }
    }

    #[test]
    fn names_are_found_as_identifiers_only() {
        let found = |sql: &str| names_any(sql, &["_file", "_entry"]);
        for sql in
            ["SELECT _entry FROM t", "SELECT t.\"_file\", x FROM t", "SELECT 'a''b', _file", "-- x\nSELECT _entry"]
        {
            assert!(found(sql), "{sql}");
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
            "\"",
            "é_file ✓",
        ] {
            assert!(!found(sql), "{sql}");
        }
    }
}
