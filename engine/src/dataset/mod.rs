//! The files behind what a user names: ROOT files, patterns and directories, and dataset files, which name the files of
//! several samples and say what is known of each.

mod cell;
mod parse;
mod reserved;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, FieldRef, Fields};
use datafusion::common::ScalarValue;
use eos_io::{FileEntry, Location, Stores, split_object};

use crate::error::Error;
use cell::{Cell, type_of};
use parse::{Language, Row, parse};
pub(crate) use reserved::SampleCondition;
pub use reserved::{CONDITION, WEIGHT};

/// The column whose value messages call a sample by.
const SAMPLE_ID: &str = "sampleID";

/// No dataset file is nearly as large.
const DATASET_BYTES: u64 = 256 << 20;

/// Files, and the columns that their samples add.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
/// # std::fs::copy(sample, dir.path().join("data.root"))?;
/// # let spec = dir.path().join("samples.csv").display().to_string();
/// std::fs::write(&spec, "path,sampleID,luminosity\n*.root:Events,SingleMu,11.6\n")?;
/// let inputs = root_engine::Inputs::find(&[spec], &eos_io::Stores::new()).await?;
/// let sample = inputs.files()[0].sample().expect("it belongs to one");
/// assert_eq!((sample.name(), sample.columns()[1].name().as_str()), ("SingleMu", "luminosity"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    columns: Fields,
    files: Vec<InputFile>,
}

/// A file, and what is known of it before it is opened.
#[derive(Debug, Clone)]
pub struct InputFile {
    /// The file.
    pub entry: FileEntry,
    /// The tree that was named with it.
    pub tree: Option<String>,
    sample: Option<Arc<Sample>>,
}

/// A sample of a dataset file.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    name: String,
    dataset: String,
    line: usize,
    columns: Fields,
    values: Vec<ScalarValue>,
}

impl Sample {
    /// Its `sampleID`, or what it gives as its path if it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns that all samples of the files add together: numbers, strings and booleans.
    pub fn columns(&self) -> &Fields {
        &self.columns
    }

    /// Its value of each of [`Self::columns`], which may be NULL.
    pub fn values(&self) -> &[ScalarValue] {
        &self.values
    }

    fn value(&self, column: &str) -> Option<&ScalarValue> {
        self.values.get(self.columns.find(column)?.0)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' ({}, line {})", self.name, self.dataset, self.line)
    }
}

impl InputFile {
    /// The sample that it belongs to; `None` for a file that no dataset file names.
    pub fn sample(&self) -> Option<&Sample> {
        self.sample.as_deref()
    }
}

/// What a user named.
enum Named {
    Path(String),
    Row { dataset: Arc<Location>, row: Row, tree: Option<String> },
}

impl Inputs {
    /// Finds the files that `specs` name, in their order: paths, patterns, directories and dataset files (names that end
    /// in `.csv`, `.json`, `.yaml` or `.yml`), each with an optional `:tree`. A file that is named twice is taken once,
    /// unless it is for two trees.
    pub async fn find(specs: &[String], stores: &Stores) -> Result<Self, Error> {
        let mut named = Vec::new();
        for spec in specs {
            match dataset_of(spec) {
                Some((path, language, tree)) => named.extend(read(path, language, tree, stores).await?),
                None => named.push(Named::Path(spec.clone())),
            }
        }
        let columns = columns_of(&named);
        for entry in &mut named {
            let Named::Row { dataset, row, .. } = entry else { continue };
            reserved::compute_weight(row, &columns).map_err(|fault| Error::Dataset {
                file: dataset.display.clone(),
                line: fault.line,
                reason: fault.reason,
            })?;
        }
        let mut found = Found::default();
        for named in named {
            match named {
                Named::Path(spec) => found.add(&spec, None, None, stores).await?,
                Named::Row { dataset, row, tree } => {
                    let paths = row.paths.clone();
                    let sample = Arc::new(sample_of(&dataset.display, row, &columns));
                    for path in paths {
                        let spec = if is_absolute(&path) { path } else { dataset.beside(&path) };
                        found.add(&spec, tree.as_deref(), Some(&sample), stores).await.map_err(
                            |error| match error {
                                Error::Location(source) => {
                                    Error::Sample { sample: sample.to_string(), source: Box::new(source) }
                                }
                                other => other,
                            },
                        )?;
                    }
                }
            }
        }
        Ok(Self { columns, files: found.files })
    }

    /// Whether `spec` names a dataset file.
    pub fn is_dataset(spec: &str) -> bool {
        dataset_of(spec).is_some()
    }

    /// The columns that the samples add.
    pub(crate) fn columns(&self) -> &Fields {
        &self.columns
    }

    /// The files, in the order in which they were named.
    pub fn files(&self) -> &[InputFile] {
        &self.files
    }

    /// The conditions on events of samples, each once.
    pub(crate) fn conditions(&self) -> Vec<SampleCondition> {
        let mut found: Vec<SampleCondition> = Vec::new();
        for sample in self.files.iter().filter_map(|file| file.sample.as_deref()) {
            let Some(sql) = sample.value(CONDITION).and_then(|value| value.try_as_str().flatten()) else { continue };
            if !found.iter().any(|known| known.sql == sql) {
                let (sample, dataset, line) = (sample.name.clone(), sample.dataset.clone(), sample.line);
                found.push(SampleCondition { sample, dataset, line, sql: sql.to_string() });
            }
        }
        found
    }

    /// The value that each of [`Self::columns`] has in a file.
    pub(crate) fn values(&self, file: &InputFile) -> Vec<ScalarValue> {
        let null = |field: &FieldRef| ScalarValue::try_from(field.data_type()).unwrap_or(ScalarValue::Null);
        match &file.sample {
            Some(sample) => sample.values.clone(),
            None => self.columns.iter().map(null).collect(),
        }
    }
}

/// Files as they are found.
#[derive(Default)]
struct Found {
    files: Vec<InputFile>,
    seen: HashSet<(String, String, Option<String>)>,
    samples: HashMap<(String, String), Option<Arc<Sample>>>,
}

impl Found {
    async fn add(
        &mut self,
        spec: &str,
        tree: Option<&str>,
        sample: Option<&Arc<Sample>>,
        stores: &Stores,
    ) -> Result<(), Error> {
        let (path, own_tree) = split_object(spec);
        let tree = own_tree.or(tree).map(str::to_string);
        for entry in stores.expand(path).await? {
            let place = (entry.location.url.to_string(), entry.location.path.to_string());
            let first = self.samples.entry(place.clone()).or_insert_with(|| sample.cloned());
            let is_same = match (&first, sample) {
                (Some(first), Some(second)) => Arc::ptr_eq(first, second),
                (first, second) => first.is_none() && second.is_none(),
            };
            if !is_same {
                let name = |sample: Option<&Arc<Sample>>| {
                    sample.map_or("no sample".to_string(), |s| format!("the sample {s}"))
                };
                return Err(Error::TwoSamples {
                    file: entry.location.display.clone(),
                    first: name(first.as_ref()),
                    second: name(sample),
                });
            }
            if self.seen.insert((place.0, place.1, tree.clone())) {
                self.files.push(InputFile { entry, tree: tree.clone(), sample: sample.cloned() });
            }
        }
        Ok(())
    }
}

/// The parts of the name of a dataset file, and its language.
fn dataset_of(spec: &str) -> Option<(&str, Language, Option<&str>)> {
    let language = |path: &str| match path.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "csv" => Some(Language::Csv),
        "json" => Some(Language::Json),
        "yaml" | "yml" => Some(Language::Yaml),
        _ => None,
    };
    if let Some(found) = language(spec) {
        return Some((spec, found, None));
    }
    let (path, tree) = spec.rsplit_once(':').filter(|(_, tree)| !tree.is_empty())?;
    Some((path, language(path)?, Some(tree)))
}

/// Reads the samples of a dataset file, or of all that match a pattern.
async fn read(path: &str, language: Language, tree: Option<&str>, stores: &Stores) -> Result<Vec<Named>, Error> {
    let mut named = Vec::new();
    for entry in stores.expand(path).await? {
        let dataset = entry.location.display.clone();
        let fault = |line, reason| Error::Dataset { file: dataset.clone(), line, reason };
        let bytes = entry.location.read_whole(DATASET_BYTES).await?;
        let text = str::from_utf8(&bytes).map_err(|_| fault(None, "it is not UTF-8 text".into()))?;
        let rows = parse(text, language).map_err(|f| fault(f.line, f.reason))?;
        let tree = tree.map(str::to_string);
        let place = Arc::new(entry.location.clone());
        named.extend(rows.into_iter().map(|row| Named::Row { dataset: place.clone(), row, tree: tree.clone() }));
    }
    Ok(named)
}

/// Whether a path does not start from the folder of the dataset file that names it.
fn is_absolute(path: &str) -> bool {
    std::path::Path::new(path).is_absolute() || path.contains("://") || path.starts_with("file:/")
}

/// The columns of all rows together, in the order in which they first appear.
fn columns_of(named: &[Named]) -> Fields {
    let mut cells: Vec<(&str, Vec<&Cell>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let rows = named.iter().filter_map(|named| match named {
        Named::Row { row, .. } => Some(row),
        Named::Path(_) => None,
    });
    for (name, cell) in rows.flat_map(|row| &row.cells) {
        let place = *places.entry(name).or_insert(cells.len());
        match cells.get_mut(place) {
            Some((_, column)) => column.push(cell),
            None => cells.push((name, vec![cell])),
        }
    }
    let of = |name: &str, column: Vec<&Cell>| reserved::type_of(name).unwrap_or_else(|| type_of(column.into_iter()));
    cells.into_iter().map(|(name, column)| Field::new(name, of(name, column), true)).collect()
}

fn sample_of(dataset: &str, row: Row, columns: &Fields) -> Sample {
    let mut cells: HashMap<String, Cell> = row.cells.into_iter().collect();
    let id = cells.get(SAMPLE_ID).cloned().and_then(Cell::into_text);
    let value = |field: &FieldRef| cells.remove(field.name()).unwrap_or(Cell::Null).into_scalar(field.data_type());
    Sample {
        columns: columns.clone(),
        values: columns.iter().map(value).collect(),
        name: id.unwrap_or_else(|| row.paths.join(", ")),
        dataset: dataset.to_string(),
        line: row.line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_makes_a_dataset_file() {
        assert_eq!(dataset_of("a.csv"), Some(("a.csv", Language::Csv, None)));
        assert_eq!(dataset_of("d/a.YML:dir/t"), Some(("d/a.YML", Language::Yaml, Some("dir/t"))));
        assert_eq!(dataset_of("C:\\a.json"), Some(("C:\\a.json", Language::Json, None)));
        for other in ["a.root", "a.root:csv", "csv", "a.csv:", "d.json/a.root:t", "a.csv.root"] {
            assert_eq!(dataset_of(other), None, "{other}");
        }
    }

    #[test]
    fn paths_and_urls_in_full_do_not_start_from_the_folder_of_the_dataset_file() {
        for absolute in ["/x.root", "file:///x.root", "file:/x.root", "root://h//x.root"] {
            assert!(is_absolute(absolute), "{absolute}");
        }
        for relative in ["x.root", "x/*.root:t", "../x.root"] {
            assert!(!is_absolute(relative), "{relative}");
        }
    }
}
