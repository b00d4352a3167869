//! Options of a table, spelt the same in SQL's `OPTIONS (…)`, on the command line and in Rust.

use std::collections::HashMap;
use std::str::FromStr;

use root_reader::TextAs;

use crate::error::Error;
use crate::friends::{Friend, OnMissingFriend, parse_friends};

/// What to do with a file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnBadFile {
    /// Stop with an error.
    #[default]
    Fail,
    /// Leave the file out, and say so in the ledger. Never applies to missing credentials.
    Skip,
}

impl FromStr for OnBadFile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "fail" => Ok(Self::Fail),
            "skip" => Ok(Self::Skip),
            other => Err(bad("on_bad_file", other, "it is 'fail' or 'skip'")),
        }
    }
}

/// How branches become columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Layout {
    /// A column per leaf branch.
    #[default]
    Flat,
    /// Structs and lists of structs, as [`root_reader::Nested`] puts them together.
    Nested,
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "flat" => Ok(Self::Flat),
            "nested" => Ok(Self::Nested),
            other => Err(bad("layout", other, "it is 'flat' or 'nested'")),
        }
    }
}

/// How the files of a table are read.
///
/// ```
/// use root_engine::TableOptions;
/// let options = TableOptions { tree: Some("Events".into()), ..TableOptions::default() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TableOptions {
    /// `tree`: the tree to read, `name`, `dir/name` or either with `;cycle`. By default the only tree of the file.
    pub tree: Option<String>,
    /// `layout`: `flat` (default), a column per leaf branch, or `nested`, objects and collections as structs and lists.
    pub layout: Layout,
    /// `on_bad_file`: `fail` (default) or `skip`.
    pub on_bad_file: OnBadFile,
    /// `strings`: `utf8` (default) or `binary`, for strings that hold arbitrary bytes.
    pub strings: TextAs,
    /// `row_id`: adds the columns `_file` and `_entry`, the file and the entry number that a row comes from.
    pub row_id: bool,
    /// `friends`: trees whose columns the table has as well, `PATH:TREE AS NAME` or `PATH:TREE AS NAME ON COLUMN, COLUMN`,
    /// with semicolons between them. To set it again adds to them.
    pub friends: Vec<Friend>,
    /// `friend_missing`: `null` (default) or `error`, for entries that a friend with `ON` does not have.
    pub friend_missing: OnMissingFriend,
}

impl TableOptions {
    /// The options of a `CREATE EXTERNAL TABLE`.
    pub fn parse(options: &HashMap<String, String>) -> Result<Self, Error> {
        let mut parsed = Self::default();
        for (name, value) in options {
            // DataFusion prefixes names that have no namespace of their own.
            parsed.set(name.strip_prefix("format.").unwrap_or(name), value)?;
        }
        Ok(parsed)
    }

    /// Sets one option by its name.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "tree" => self.tree = Some(value.to_string()),
            "layout" => self.layout = value.parse()?,
            "on_bad_file" => self.on_bad_file = value.parse()?,
            "strings" => {
                self.strings = match value {
                    "utf8" => TextAs::Utf8,
                    "binary" => TextAs::Binary,
                    other => return Err(bad(name, other, "it is 'utf8' or 'binary'")),
                }
            }
            "row_id" => {
                self.row_id = value.parse().map_err(|_| bad(name, value, "it is 'true' or 'false'"))?;
            }
            "friends" => self.friends.extend(parse_friends(value)?),
            "friend_missing" => self.friend_missing = value.parse()?,
            _ => {
                let known = "tree, layout, on_bad_file, strings, row_id, friends, friend_missing";
                return Err(bad(name, value, &format!("there is no such option; there are {known}")));
            }
        }
        Ok(())
    }
}

fn bad(name: &str, value: &str, expected: &str) -> Error {
    Error::Option { name: name.to_string(), value: value.to_string(), expected: expected.to_string() }
}
