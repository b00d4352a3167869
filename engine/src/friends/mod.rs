//! Friends of a table: other trees whose columns stand beside its own, entry by entry or joined by columns that both have.

mod aligned;
mod keyed;

use std::str::FromStr;

use crate::error::Error;

pub(crate) use aligned::{Companion, Companions};
pub(crate) use keyed::joined;

/// A tree, or one tree in each of several files, whose columns a table has as well, as `alias.column`.
///
/// ```
/// # fn main() -> Result<(), root_engine::Error> {
/// use root_engine::Friend;
///
/// let friend: Friend = "scores/*.root:Scores AS s ON run, event".parse()?;
/// assert_eq!(friend.files, "scores/*.root:Scores");
/// assert_eq!(friend.alias.as_deref(), Some("s"));
/// assert_eq!(friend.on, ["run", "event"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Friend {
    /// Path, pattern or directory, with `:tree` where the files have several.
    pub files: String,
    /// What stands in front of the names of its columns; the name of the tree by default.
    pub alias: Option<String>,
    /// The columns that both have, by which it is joined. Without them it is read entry by entry: its files belong to those
    /// of the table in their order, and each must have as many entries as the file that it belongs to.
    pub on: Vec<String>,
}

/// What to do with an entry for which a friend that is joined by columns has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnMissingFriend {
    /// The columns of the friend are NULL.
    #[default]
    Null,
    /// Stop with an error.
    Fail,
}

impl FromStr for Friend {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |expected: &str| Error::Option {
            name: "friends".into(),
            value: text.trim().into(),
            expected: expected.into(),
        };
        let named = split_word(text, "AS").and_then(|(files, rest)| {
            let (alias, on) = split_word(rest, "ON").map_or((rest, None), |(alias, on)| (alias, Some(on)));
            is_name(alias.trim()).then_some((files, alias.trim(), on))
        });
        let Some((files, alias, on)) = named else {
            if split_word(text, "ON").is_some() {
                return Err(bad("a friend with ON has a name as well: 'PATH:TREE AS NAME ON COLUMN, COLUMN'"));
            }
            return match text.trim() {
                "" => Err(bad("a friend is 'PATH:TREE', 'PATH:TREE AS NAME' or 'PATH:TREE AS NAME ON COLUMN, COLUMN'")),
                files => Ok(Self { files: files.into(), alias: None, on: Vec::new() }),
            };
        };
        let on: Vec<String> = on.iter().flat_map(|on| on.split(',')).map(|column| column.trim().to_string()).collect();
        if files.trim().is_empty() || on.iter().any(String::is_empty) {
            return Err(bad("a friend is 'PATH:TREE AS NAME' or 'PATH:TREE AS NAME ON COLUMN, COLUMN'"));
        }
        Ok(Self { files: files.trim().into(), alias: Some(alias.into()), on })
    }
}

impl FromStr for OnMissingFriend {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "null" => Ok(Self::Null),
            "error" => Ok(Self::Fail),
            other => Err(Error::Option {
                name: "friend_missing".into(),
                value: other.into(),
                expected: "it is 'null' or 'error'".into(),
            }),
        }
    }
}

/// Reads several friends with semicolons between them. A semicolon in front of a digit belongs to the name of a tree.
pub(crate) fn parse_friends(text: &str) -> Result<Vec<Friend>, Error> {
    let mut friends = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(';') {
        let rest = text.get(at + 1..).unwrap_or_default();
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            friends.push(text.get(start..at).unwrap_or_default().parse()?);
            start = at + 1;
        }
    }
    let last = text.get(start..).unwrap_or_default();
    if !last.trim().is_empty() || friends.is_empty() {
        friends.push(last.parse()?);
    }
    Ok(friends)
}

/// Splits at the last place where `word` stands alone, in capitals or small letters.
fn split_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let is_space = |c: Option<char>| c.is_some_and(char::is_whitespace);
    let parts = |at: usize| Some((text.get(..at)?, text.get(at..at + word.len())?, text.get(at + word.len()..)?));
    let (before, _, after) = (0..text.len()).rev().filter_map(parts).find(|(before, found, after)| {
        found.eq_ignore_ascii_case(word) && is_space(before.chars().next_back()) && is_space(after.chars().next())
    })?;
    Some((before, after))
}

/// Whether a text can be the name of a friend.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The name of a tree without its directory and cycle.
fn short_name(tree: &str) -> &str {
    let name = tree.rsplit('/').next().unwrap_or(tree);
    name.split(';').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn friend(files: &str, alias: Option<&str>, on: &[&str]) -> Friend {
        Friend {
            files: files.into(),
            alias: alias.map(str::to_string),
            on: on.iter().map(|column| (*column).to_string()).collect(),
        }
    }

    #[test]
    fn friends_are_read_as_people_write_them() {
        for (text, expected) in [
            ("a.root:T", friend("a.root:T", None, &[])),
            (" a.root:d/T;2 as f ", friend("a.root:d/T;2", Some("f"), &[])),
            ("a.root:T AS f ON run,obj.id", friend("a.root:T", Some("f"), &["run", "obj.id"])),
            ("as on/a as b.root:T AS f on  run", friend("as on/a as b.root:T", Some("f"), &["run"])),
            ("masks/reason.root", friend("masks/reason.root", None, &[])),
            ("known as/x y.root", friend("known as/x y.root", None, &[])),
        ] {
            assert_eq!(text.parse::<Friend>().unwrap(), expected, "{text}");
        }
        for text in ["", " ", " AS f", "a.root:T ON run", "a.root AS f ON run,,event", "a.root AS f ON "] {
            assert!(text.parse::<Friend>().is_err(), "{text}");
        }
    }

    #[test]
    fn semicolons_separate_friends_and_begin_cycles() {
        let names = |text: &str| parse_friends(text).unwrap().into_iter().map(|f| f.files).collect::<Vec<_>>();
        assert_eq!(names("a.root:T;2 AS f; b.root:U ON_ ; c.root;"), ["a.root:T;2", "b.root:U ON_", "c.root"]);
        assert!(parse_friends("a.root;; b.root").is_err());
        assert!(parse_friends("").is_err());
    }
}
