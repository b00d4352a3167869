//! What a verb works with: settings, messages, the output, the record of the run.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use arrow::array::RecordBatch;
use eos_io::Stores;
use indicatif::HumanCount;
use root_engine::{FilledColumn, Ledger, Outcome, RootOptions, RootSession};

use crate::attention::Attention;
use crate::cluster::{self, Connected};
use crate::config::Settings;
use crate::console::{Console, wants_color};
use crate::exit::{Exit, Failure};
use crate::output::{self, Destination, Format, TableStyle, Target};
use crate::progress::{self, Bar, Watch};
use crate::report::Record;
use crate::shutdown::Shutdown;

/// Columns that a note names that have the same default.
const FILLED_COLUMNS: usize = 5;

/// A run of the program.
pub struct App {
    /// What was asked for.
    pub settings: Settings,
    /// The stores behind paths and URLs.
    pub stores: Stores,
    /// What servers make us wait for.
    pub attention: Attention,
    /// Standard error.
    pub console: Console,
    /// Ctrl-C.
    pub shutdown: Shutdown,
    /// What will stand in the report.
    pub record: Record,
    /// The names in lists of files, once these were read.
    pub listed: OnceLock<Vec<String>>,
    /// Where queries run, if not in this process.
    pub cluster: OnceLock<Connected>,
}

impl App {
    /// Connects to the cluster, if there is to be one.
    pub async fn connect(&self) -> Result<(), Failure> {
        if let Some(connected) = cluster::connect(&self.settings, &self.console).await? {
            self.cluster.get_or_init(|| connected);
        }
        Ok(())
    }

    /// A DataFusion session. Building one takes some milliseconds, so only verbs that run SQL do.
    pub fn session(&self) -> RootSession {
        let mut builder = RootSession::builder()
            .stores(self.stores.clone())
            .threads(self.settings.threads.get())
            .table_options(self.settings.table.clone());
        if let Some(size) = self.settings.memory {
            builder = builder.memory_limit(size.0);
        }
        if let Some(cluster) = self.cluster.get() {
            builder = builder.elsewhere(cluster.elsewhere.clone());
        }
        let session = builder.build();
        let disk = session.context().runtime_env().disk_manager.clone();
        self.shutdown.set_scratch(move || disk.temp_dir_paths());
        self.record.set_ledger(session.ledger());
        self.record.set_watch(progress::of_session(&session));
        session
    }

    /// Whether a result in several files is written by the executors of a cluster.
    pub fn writes_elsewhere(&self, output: &Path) -> bool {
        self.cluster.get().is_some_and(|cluster| cluster.can_write(output))
    }

    /// Where the result goes.
    pub fn target(&self) -> Result<Target, Failure> {
        Target::new(self.settings.output.as_deref(), &self.stores)
    }

    /// Opens the output; `auto` stands for the format if none was asked for and no name says one.
    pub fn open(&self, auto: Format) -> Result<(Destination, Format), Failure> {
        let target = self.target()?;
        let format = match (self.settings.format, &target) {
            (Format::Auto, Target::Stdout { .. }) => auto,
            (chosen, _) => chosen,
        };
        let format = format.settle(&target)?;
        let root = self.root_options(format)?;
        Ok((Destination::open(target, &self.shutdown)?.with_root(root), format))
    }

    /// What was chosen about ROOT files, which has no meaning for other formats.
    pub fn root_options(&self, format: Format) -> Result<RootOptions, Failure> {
        let settings = &self.settings;
        let refused = |what: &str| Failure::usage(format!("{what} is for ROOT files; end the name behind -o in .root"));
        match (format, settings.compression, settings.null_value, &settings.root_tree) {
            (Format::Root, ..) | (_, None, None, None) => {}
            (_, Some(_), ..) => return Err(refused("--compression")),
            (_, _, Some(_), _) => return Err(refused("--null-value")),
            (.., Some(tree)) => return Err(refused(&format!("the tree ':{tree}' of the output"))),
        }
        let mut options = RootOptions { threads: settings.threads.get(), ..RootOptions::default() };
        options.compression = settings.compression.unwrap_or(options.compression);
        options.nulls = settings.null_value.unwrap_or(options.nulls);
        options.tree = settings.root_tree.clone().unwrap_or(options.tree);
        Ok(options)
    }

    /// How tables look.
    pub fn style(&self, target: &Target, max_rows: usize) -> TableStyle {
        TableStyle { max_rows, color: wants_color(self.settings.color, target.is_terminal()) && target.is_terminal() }
    }

    /// Writes a result that is at hand, all of its rows.
    pub fn emit(&self, batch: &RecordBatch) -> Result<(), Failure> {
        self.emit_below("", batch)
    }

    /// The same, below a text if it is a table.
    pub fn emit_below(&self, text: &str, batch: &RecordBatch) -> Result<(), Failure> {
        let (mut to, format) = self.open(Format::Auto)?;
        if format == Format::Table {
            to.put(text.as_bytes())?;
        }
        let style = self.style(to.target(), 0);
        let mut writer = output::writer(format, batch.schema(), &mut to, style)?;
        if batch.num_rows() > 0 {
            writer.write(batch)?;
        }
        let note = writer.finish()?;
        drop(writer);
        to.commit()?;
        self.record.add_rows(batch.num_rows() as u64);
        if let Some(note) = note {
            self.console.note(&note);
        }
        Ok(())
    }

    /// Writes a text that no other format can hold.
    pub fn emit_text(&self, text: &str) -> Result<(), Failure> {
        let mut to = Destination::open(self.target()?, &self.shutdown)?;
        to.put(text.as_bytes())?;
        to.commit()
    }

    /// Starts the progress bar of something that may take long.
    pub fn bar(&self, watch: Watch) -> Bar {
        self.record.set_watch(watch.clone());
        let wanted = self.settings.progress == crate::args::ProgressWhen::Auto && !self.console.is_quiet();
        Bar::start(watch, self.attention.clone(), wanted, self.record.slot())
    }

    /// The ledger of the run.
    pub fn ledger(&self) -> Ledger {
        self.record.ledger()
    }

    /// Tells what the ledger has to say that was not told yet.
    pub fn tell_warnings(&self) {
        let ledger = self.ledger();
        if let Some(warning) = self.stores.cache().and_then(|cache| cache.stats().warning) {
            self.console.warning(&format!("{warning}; files are read without it"));
        }
        for warning in ledger.warnings() {
            self.console.warning(&warning);
        }
        for file in ledger.files() {
            match &file.outcome {
                // A refusal ends the run, and that is told.
                Outcome::Ok | Outcome::Denied { .. } => {}
                Outcome::Skipped { reason } => self.console.warning(&format!("skipped {}: {reason}", file.file)),
                Outcome::NoTree => {
                    self.console.warning(&format!("skipped {}: it has no tree of that name", file.file));
                }
            }
        }
    }

    /// Tells what stands between the files and the result: masks, and defaults of columns.
    fn tell_selection(&self) {
        // A plan that is only explained asks no mask.
        for mask in self.ledger().masks().into_iter().filter(|mask| mask.events() > 0) {
            let (certified, events) = (HumanCount(mask.certified()), HumanCount(mask.events()));
            self.console.note(&format!("{}: {certified} of {events} events read are certified", mask.file()));
        }
        let mut told: Vec<(FilledColumn, Vec<String>)> = Vec::new();
        for filled in self.ledger().filled().into_iter().filter(|filled| filled.files > 0) {
            let same = |other: &FilledColumn| {
                (&other.value, other.files, other.of) == (&filled.value, filled.files, filled.of)
            };
            match told.iter_mut().find(|(other, _)| same(other)) {
                Some((_, columns)) => columns.push(filled.column),
                None => told.push((filled.clone(), vec![filled.column])),
            }
        }
        for (FilledColumn { value, files, of, .. }, columns) in told {
            // By a pattern there may be hundreds; the report has them all.
            let (named, more) = columns.split_at(columns.len().min(FILLED_COLUMNS));
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            let (named, lack) = (named.join(", "), if columns.len() == 1 { "the column" } else { "the columns" });
            self.console.note(&format!("{named}{more} = {value} in {files} of {of} files, which lack {lack}"));
        }
    }

    /// Tells what patience servers took, if any.
    pub fn tell_trouble(&self) {
        let statistics = self.stores.statistics();
        let counts = [
            (statistics.retries, "request was made again", "requests were made again"),
            (statistics.failovers, "server was replaced by another", "servers were replaced by others"),
            (statistics.hedged_reads, "slow read was asked for twice", "slow reads were asked for twice"),
        ];
        let mut told: Vec<String> = counts
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
            .collect();
        if statistics.waited >= Duration::from_secs(1) {
            told.push(format!("servers asked to wait for {} s", statistics.waited.as_secs()));
        }
        if !told.is_empty() {
            self.console.note(&told.join(", "));
        }
    }

    /// How a run ends that did what it could.
    pub fn conclude(&self) -> Exit {
        self.tell_warnings();
        self.tell_selection();
        if self.ledger().skipped() > 0 { Exit::Partial } else { Exit::Ok }
    }
}
