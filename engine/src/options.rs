//! Options of a table, spelt the same in SQL's `OPTIONS (…)`, on the command line and in Rust.

use std::collections::{BTreeMap, HashMap};
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

/// The columns that say which luminosity section an event is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LumiColumns {
    /// The run.
    pub run: String,
    /// The luminosity section.
    pub section: String,
}

impl Default for LumiColumns {
    fn default() -> Self {
        Self { run: "run".to_string(), section: "luminosityBlock".to_string() }
    }
}

impl FromStr for LumiColumns {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (run, section) = text.split_once(',').unwrap_or((text, ""));
        match (run.trim(), section.trim()) {
            (run, section) if !run.is_empty() && !section.is_empty() && !section.contains(',') => {
                Ok(Self { run: run.to_string(), section: section.to_string() })
            }
            _ => Err(bad("lumi_columns", text, "it is two columns, RUN, SECTION, such as run, luminosityBlock")),
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
    /// `defaults`: values of columns in the files that lack them, `HLT_IsoMu24 = false`, with semicolons between them. A
    /// pattern (`HLT_* = false`) is for all columns like it but those that have a default of their own. What is NULL in a
    /// file that has the column stays so. To set it again adds to them.
    pub defaults: BTreeMap<String, String>,
    /// `lumi_mask`: only events of luminosity sections that this mask certifies, a file or URL of JSON.
    pub lumi_mask: Option<String>,
    /// `lumi_columns`: the columns of the run and the luminosity section, `run, luminosityBlock` by default.
    pub lumi_columns: LumiColumns,
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
            "defaults" => {
                for one in value.split(';').filter(|one| !one.trim().is_empty()) {
                    self.set_default(one)?;
                }
            }
            "lumi_mask" => self.lumi_mask = Some(value.to_string()),
            "lumi_columns" => self.lumi_columns = value.parse()?,
            "friend_missing" => self.friend_missing = value.parse()?,
            _ => {
                let known = "tree, layout, on_bad_file, strings, row_id, friends, friend_missing, defaults, lumi_mask, \
                             lumi_columns";
                return Err(bad(name, value, &format!("there is no such option; there are {known}")));
            }
        }
        Ok(())
    }

    /// Adds one default, `COLUMN = VALUE`.
    pub fn set_default(&mut self, text: &str) -> Result<(), Error> {
        let expected = "a default is COLUMN = VALUE, such as HLT_IsoMu24 = false";
        let (column, default) = text.split_once('=').ok_or_else(|| bad("defaults", text.trim(), expected))?;
        let (column, default) = (column.trim(), default.trim());
        if column.is_empty() {
            return Err(bad("defaults", text.trim(), expected));
        }
        match self.defaults.insert(column.to_string(), default.to_string()) {
            Some(other) if other != default => {
                Err(bad("defaults", text.trim(), &format!("'{column}' has the default '{other}' already")))
            }
            _ => Ok(()),
        }
    }
}

fn bad(name: &str, value: &str, expected: &str) -> Error {
    Error::Option { name: name.to_string(), value: value.to_string(), expected: expected.to_string() }
}
