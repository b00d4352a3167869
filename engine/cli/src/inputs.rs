//! From the names on the command line to open files and trees, for verbs that need no DataFusion.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eos_io::FileEntry;
use futures::{StreamExt, stream};
use root_engine::{ErrorKind, FileRecord, Inputs, OnBadFile, Outcome, SAMPLE_CONDITION, Sample};
use root_reader::{RootFile, TextAs, Tree};

use crate::app::App;
use crate::args::InputArgs;
use crate::exit::Failure;
use crate::progress::Counts;

/// Files that are opened at the same time.
const CONCURRENCY: usize = 32;

/// A file, and the tree or directory in it that the user named.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The file.
    pub file: FileEntry,
    /// What stood behind the `:`, or the tree of `--tree`.
    pub object: Option<String>,
    /// The sample that it belongs to, if a dataset file names it.
    pub sample: Option<Sample>,
}

impl Wanted {
    /// The file as messages call it.
    pub fn name(&self) -> &str {
        &self.file.location.display
    }

    /// Opens the file.
    pub async fn open(&self) -> Result<RootFile, root_reader::Error> {
        let location = &self.file.location;
        RootFile::open(location.store.clone(), location.path.clone(), location.display.as_str()).await
    }
}

/// All names: those of the command line, then those of the lists, then the dataset files.
pub fn specs(app: &App, named: &[String]) -> Result<Vec<String>, Failure> {
    let mut specs = named.to_vec();
    specs.extend(listed(app)?.iter().cloned());
    for dataset in &app.settings.datasets {
        if !Inputs::is_dataset(dataset) {
            return Err(Failure::usage(format!("--dataset {dataset}: its name has to end in .csv, .json or .yaml")));
        }
        specs.push(dataset.clone());
    }
    Ok(specs)
}

/// The names in the lists, which are read once: one can be standard input.
fn listed(app: &App) -> Result<&[String], Failure> {
    if let Some(listed) = app.listed.get() {
        return Ok(listed);
    }
    let mut names = Vec::new();
    for list in &app.settings.files_from {
        names.extend(eos_io::read_file_list(list)?);
    }
    Ok(app.listed.get_or_init(|| names))
}

/// All names; it is a mistake to name none.
pub fn some_specs(app: &App, named: &[String]) -> Result<Vec<String>, Failure> {
    let specs = specs(app, named)?;
    if specs.is_empty() {
        return Err(Failure::usage(
            "no file is named; add FILE, FILE:TREE, a pattern or a directory, --files-from LIST or --dataset FILE",
        ));
    }
    Ok(specs)
}

/// The tree that `--tree` or `--set tree=` asks for.
pub fn tree_option<'a>(app: &'a App, input: &'a InputArgs) -> Option<&'a str> {
    input.tree.as_deref().or(app.settings.table.tree.as_deref())
}

/// Finds the files behind the names, each once for every tree that is wanted of it.
pub async fn find(app: &App, named: &[String], tree: Option<&str>) -> Result<Vec<Wanted>, Failure> {
    if !app.settings.table.friends.is_empty() {
        return Err(Failure::usage("friends are for sql and explain; this verb reads the named files alone"));
    }
    if app.settings.table.lumi_mask.is_some() {
        return Err(Failure::usage(
            "--lumi-mask selects events; this verb looks at files as a whole (sql, hist, cutflow, skim, count and head take it)",
        ));
    }
    let found = Inputs::find(&some_specs(app, named)?, &app.stores).await;
    let inputs = found.inspect_err(|error| app.ledger().denied(error))?;
    let mut all = Vec::new();
    let mut seen = HashSet::new();
    for input in inputs.files() {
        let location = &input.entry.location;
        if let (Some(object), Some(tree)) = (&input.tree, tree)
            && object != tree
        {
            let asks = format!("'{location}' asks for the tree '{object}', and --tree for '{tree}'");
            return Err(Failure::usage(asks));
        }
        let object = input.tree.as_deref().or(tree).map(str::to_string);
        if seen.insert((location.url.clone(), location.path.clone(), object.clone())) {
            all.push(Wanted { file: input.entry.clone(), object, sample: input.sample().cloned() });
        }
    }
    Ok(all)
}

/// Whether the table has other rows or values than the files: events that are selected, or defaults of columns.
pub async fn are_selected(app: &App, input: &InputArgs) -> Result<bool, Failure> {
    let table = &app.settings.table;
    if table.lumi_mask.is_some() || !table.defaults.is_empty() {
        return Ok(true);
    }
    let specs = specs(app, &input.files)?;
    if !specs.iter().any(|spec| Inputs::is_dataset(spec)) {
        return Ok(false);
    }
    let inputs = Inputs::find(&specs, &app.stores).await?;
    let has_condition = |sample: &Sample| sample.columns().find(SAMPLE_CONDITION).is_some();
    Ok(inputs.files().iter().filter_map(|file| file.sample()).any(has_condition))
}

/// Opens files, several at a time, and hands out the trees in order. What cannot be read is an error, or skipped.
pub async fn trees(app: &App, input: &InputArgs) -> Result<Vec<(Wanted, Tree)>, Failure> {
    let wanted = find(app, &input.files, tree_option(app, input)).await?;
    let text = app.settings.table.strings;
    let (files, done) = (wanted.len() as u64, Arc::new(AtomicU64::new(0)));
    let watched = done.clone();
    let watch = Arc::new(move || Counts { files, files_done: watched.load(Ordering::Relaxed), ..Counts::default() });
    let bar = app.bar(watch);
    let opened: Vec<_> = stream::iter(wanted)
        .map(|wanted| async {
            let tree = open_tree(&wanted, text).await;
            done.fetch_add(1, Ordering::Relaxed);
            (wanted, tree)
        })
        .buffered(CONCURRENCY)
        .collect()
        .await;
    drop(bar);
    let mut trees = Vec::new();
    for (wanted, result) in opened {
        match result {
            Ok((tree, warnings)) => {
                record(app, &wanted, tree.entries(), warnings);
                trees.push((wanted, tree));
            }
            Err(error) => skip_or_fail(app, &wanted, error)?,
        }
    }
    Ok(trees)
}

async fn open_tree(wanted: &Wanted, text: TextAs) -> Result<(Tree, Vec<String>), root_reader::Error> {
    let file = wanted.open().await?;
    let key = match &wanted.object {
        Some(name) => file.find_tree(name)?,
        None => file.only_tree()?,
    };
    let tree = file.tree_of(key).await?;
    let tree = if text == TextAs::Utf8 { tree } else { tree.with_text(text) };
    Ok((tree, file.warnings().to_vec()))
}

/// Notes a file that was opened.
pub fn record(app: &App, wanted: &Wanted, entries: u64, warnings: Vec<String>) {
    let ledger = app.ledger();
    for warning in warnings {
        ledger.warn(warning);
    }
    ledger.record(FileRecord {
        file: wanted.name().to_string(),
        entries,
        bytes: wanted.file.meta.size,
        outcome: Outcome::Ok,
    });
}

/// Notes a file that could not be read, if the user wants to go on without such files; never one that needs credentials.
pub fn skip_or_fail(app: &App, wanted: &Wanted, error: root_reader::Error) -> Result<(), Failure> {
    let no_tree = matches!(error, root_reader::Error::NoSuchTree { .. });
    let error = root_engine::Error::Read(error);
    if error.kind() == ErrorKind::Authentication {
        note(app, wanted, Outcome::Denied { reason: error.to_string() });
    }
    if app.settings.table.on_bad_file == OnBadFile::Fail || error.kind() != ErrorKind::Input {
        return Err(error.into());
    }
    note(app, wanted, if no_tree { Outcome::NoTree } else { Outcome::Skipped { reason: error.to_string() } });
    Ok(())
}

/// Notes what became of a file of which nothing was read.
pub fn note(app: &App, wanted: &Wanted, outcome: Outcome) {
    let (file, bytes) = (wanted.name().to_string(), wanted.file.meta.size);
    app.ledger().record(FileRecord { file, entries: 0, bytes, outcome });
}
