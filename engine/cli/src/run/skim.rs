//! `skim`: some entries and columns of a tree, in their order, into one file or several.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use datafusion::dataframe::DataFrame;
use eos_io::Location;
use futures::future::try_join_all;
use indicatif::{HumanBytes, HumanCount};
use root_engine::{Ordered, RootOptions, RootSession, RootTable};
use tokio::runtime::Handle;

use super::sql::TABLE;
use super::types::{counted, quoted};
use super::{Outcome, columns};
use crate::app::App;
use crate::args::SkimArgs;
use crate::config::spelling;
use crate::exit::{Exit, Failure};
use crate::inputs;
use crate::output::{self, Destination, Format, TableStyle, Target};
use crate::progress;

/// Stored bytes of a partition where all go into one file: what waits for its turn should not be much.
const PARTITION_BYTES: u64 = 64 << 20;
/// No more partitions than that, however large the files.
const MAX_PARTITIONS: u64 = 4096;

/// What was written.
struct Written {
    rows: u64,
    bytes: u64,
    /// How the summary calls it.
    place: String,
}

/// Writes the selection.
pub async fn skim(app: &App, args: &SkimArgs) -> Outcome {
    let Some(output) = &app.settings.output else {
        return Err(Failure::usage("skim writes a file; name it with -o, such as -o skim.root"));
    };
    let session = app.session();
    let mut bar = app.bar(progress::of_session(&session));
    let table = register(app, &session, args).await?;
    let (frame, width) = selection(app, &session, &table, args).await?;
    let written = match args.partitioned {
        true if app.writes_elsewhere(output) => on_executors(app, &session, &table, frame, output).await?,
        true => into_directory(app, &table, frame, output).await?,
        false => into_file(app, &table, frame).await?,
    };
    bar.stop();
    app.record.add_rows(written.rows);
    let (read, share) = (table.entries(), 100.0 * written.rows as f64 / (table.entries().max(1)) as f64);
    app.console.plain(&format!(
        "{} in, {} out ({share:.1} %); {}, {} in {}",
        counted(read, "entry"),
        HumanCount(written.rows),
        counted(width as u64, "column"),
        HumanBytes(written.bytes),
        written.place,
    ));
    Ok(app.conclude())
}

/// In how many partitions entries are read that are wanted one after the other: the files in pieces of a useful size, but
/// one for each thread at least.
pub fn pieces(app: &App) -> usize {
    let bytes: u64 = app.ledger().files().iter().map(|file| file.bytes).sum();
    ((bytes / PARTITION_BYTES).min(MAX_PARTITIONS) as usize).max(app.settings.threads.get())
}

async fn register(app: &App, session: &RootSession, args: &SkimArgs) -> Result<std::sync::Arc<RootTable>, Failure> {
    let specs = inputs::some_specs(app, &args.input.files)?;
    let mut options = app.settings.table.clone();
    if let Some(tree) = &args.input.tree {
        options.tree = Some(tree.clone());
    }
    let named = args.columns.iter().chain(&args.condition);
    options.row_id |= named.into_iter().any(|text| root_engine::names_row_id(text));
    Ok(session.register(TABLE, &specs, &options).await?)
}

/// The query, and how many columns it has.
async fn selection(
    app: &App,
    session: &RootSession,
    table: &RootTable,
    args: &SkimArgs,
) -> Result<(DataFrame, usize), Failure> {
    let schema = session.context().table_provider(TABLE).await?.schema();
    let chosen = columns::select(&schema, &args.columns, table.unreadable())?;
    let all = columns::with_counters(&schema, &chosen);
    let name = |index: &usize| schema.fields().get(*index).map(|field| field.name().as_str());
    let added: Vec<&str> = all.iter().filter(|index| !chosen.contains(index)).filter_map(name).collect();
    if !added.is_empty() {
        app.console.note(&format!("{} written along, to count the lists", added.join(", ")));
    }
    if args.columns.is_empty() && !table.unreadable().is_empty() {
        let left_out: Vec<&str> = table.unreadable().iter().map(|(column, _)| column.as_str()).collect();
        app.console.warning(&format!(
            "{} cannot be read and left out: {}; `root-query schema` says why",
            counted(left_out.len() as u64, "branch"),
            left_out.join(", ")
        ));
    }
    let names: Vec<String> = all.iter().filter_map(name).map(quoted).collect();
    let mut sql = format!("SELECT {} FROM {TABLE}", names.join(", "));
    if let Some(condition) = &args.condition {
        // The condition may end in a comment.
        sql.push_str(&format!(" WHERE ({condition}\n)"));
    }
    app.record.set_query(&sql);
    Ok((session.sql(&sql).await?, all.len()))
}

/// What was chosen about ROOT files; the tree keeps its name if no other was chosen.
fn root_options(app: &App, table: &RootTable, format: Format) -> Result<RootOptions, Failure> {
    let mut options = app.root_options(format)?;
    if let (None, Some(tree)) = (&app.settings.root_tree, table.tree_in_file()) {
        options.tree = tree.to_string();
    }
    Ok(options)
}

async fn into_file(app: &App, table: &RootTable, frame: DataFrame) -> Result<Written, Failure> {
    let threads = app.settings.threads.get();
    let rows = Ordered::new(frame, pieces(app)).await?;
    let (to, format) = app.open(Format::Root)?;
    let mut to = to.with_root(root_options(app, table, format)?);
    let style = app.style(to.target(), 0);
    let mut writer = output::writer(format, rows.schema(), &mut to, style)?;
    let (rows, note) = output::write_stream(rows.all(threads), writer.as_mut(), &mut || {}).await?;
    drop(writer);
    let (bytes, place) = (to.bytes(), to.target().name());
    to.commit()?;
    if let Some(note) = note {
        app.console.note(&note);
    }
    Ok(Written { rows, bytes, place })
}

/// Writes a file for each partition, all at the same time. They get their names when all are complete, and at a server
/// that then refuses one of them they are taken back.
async fn into_directory(app: &App, table: &RootTable, frame: DataFrame, output: &Path) -> Result<Written, Failure> {
    let format = match app.settings.format {
        Format::Auto => Format::Root,
        chosen => chosen.settle(&Target::File(output.to_path_buf()))?,
    };
    let options = RootOptions { threads: 1, ..root_options(app, table, format)? };
    let rows = Ordered::new(frame, app.settings.threads.get()).await?;
    let directory = Directory::prepare(app, output).await?;
    let parts = (0..rows.partitions()).map(|index| {
        let target = directory.part(app, &format!("part-{index:04}.{}", spelling(&format)));
        let (batches, schema, shutdown) = (rows.partition(index), rows.schema(), app.shutdown.clone());
        let options = options.clone();
        let runtime = Handle::current();
        // The writers compute and know nothing of waiting, so each has a thread of its own.
        let work = move || -> Result<(Destination, u64), Failure> {
            let mut to = Destination::open(target?, &shutdown)?.with_root(options);
            let style = TableStyle { max_rows: 0, color: false };
            let mut writer = output::writer(format, schema, &mut to, style)?;
            let (rows, _) = runtime.block_on(output::write_stream(batches, writer.as_mut(), &mut || {}))?;
            drop(writer);
            Ok((to, rows))
        };
        async {
            let done = tokio::task::spawn_blocking(work).await;
            done.map_err(|e| Failure::new(Exit::Query, format!("a thread that writes ended early: {e}")))?
        }
    });
    let mut parts = try_join_all(parts.collect::<Vec<_>>()).await?;
    for (to, _) in &mut parts {
        to.settle()?;
    }
    let place = format!("{} in {}", counted(parts.len() as u64, "file"), directory.name());
    let mut written = Written { rows: 0, bytes: 0, place };
    let mut complete: Vec<Target> = Vec::new();
    for (to, rows) in parts {
        written.rows += rows;
        written.bytes += to.bytes();
        let target = to.target().clone();
        match to.commit() {
            Ok(()) => complete.push(target),
            Err(failure) => {
                directory.take_back(app, &complete).await;
                return Err(failure);
            }
        }
    }
    Ok(written)
}

/// Has a file for each partition written where its rows are computed.
async fn on_executors(
    app: &App,
    session: &RootSession,
    table: &RootTable,
    frame: DataFrame,
    output: &Path,
) -> Result<Written, Failure> {
    let (format, options) = match app.settings.format {
        Format::Auto | Format::Root => {
            let RootOptions { tree, compression, nulls, .. } = root_options(app, table, Format::Root)?;
            let options = [("tree", tree), ("compression", compression.to_string()), ("null_value", nulls.to_string())];
            ("root", options.map(|(name, value)| (name.to_string(), value)).into())
        }
        Format::Parquet => ("parquet", HashMap::new()),
        _ => return into_directory(app, table, frame, output).await,
    };
    let directory = Directory::prepare(app, output).await?;
    let url = format!("{}/", output.to_string_lossy().trim_end_matches('/'));
    let rows = root_engine::copy_in_order(session, frame, &url, format, options).await?;
    let location = app.stores.resolve(&url)?;
    let files = location.files_below().await?;
    let place = format!("{} in {}", counted(files.len() as u64, "file"), directory.name());
    Ok(Written { rows, bytes: files.iter().map(|file| file.meta.size).sum(), place })
}

/// The directory of the parts.
enum Directory {
    Local(PathBuf),
    /// At a server. The connections of this place are for what is done here, and not for the threads that write.
    Remote(Location),
}

impl Directory {
    /// Makes it, or finds it empty: files that are there already would be taken for parts.
    async fn prepare(app: &App, output: &Path) -> Result<Self, Failure> {
        let url = output.to_str().filter(|name| eos_io::is_url(name));
        let directory = match url.map(|url| app.stores.resolve(url)).transpose()? {
            None => Self::Local(output.to_path_buf()),
            Some(location) => match location.local_path() {
                Some(path) => Self::Local(path),
                None => Self::Remote(location),
            },
        };
        let name = directory.name();
        let is_filled = match &directory {
            Self::Local(path) => {
                fs::create_dir_all(path).map_err(|e| Failure::output(&name, &e))?;
                fs::read_dir(path).map_err(|e| Failure::output(&name, &e))?.next().is_some()
            }
            Self::Remote(location) => {
                if location.is_file().await? {
                    return Err(Failure::new(Exit::Query, format!("{name} is a file; name another directory")));
                }
                location.is_directory().await?
            }
        };
        if is_filled {
            let message = format!("{name} is not empty: name another directory, or remove what is in it");
            return Err(Failure::new(Exit::Query, message));
        }
        Ok(directory)
    }

    /// How messages call it.
    fn name(&self) -> String {
        match self {
            Self::Local(path) => path.display().to_string(),
            Self::Remote(location) => location.display.clone(),
        }
    }

    /// The place of a part.
    fn part(&self, app: &App, name: &str) -> Result<Target, Failure> {
        Ok(match self {
            Self::Local(path) => Target::File(path.join(name)),
            // The connections belong to the thread that writes the part.
            Self::Remote(location) => Target::Remote(app.stores.separate().reach(&location.below(name))?),
        })
    }

    /// Removes parts at a server that are complete, where another one could not be completed.
    async fn take_back(&self, app: &App, parts: &[Target]) {
        let Self::Remote(directory) = self else { return };
        for part in parts {
            let Target::Remote(part) = part else { continue };
            let Some(name) = part.path.filename() else { continue };
            if let Err(error) = directory.below(name).remove().await {
                app.console.warning(&format!("{} was written and is left: {error}", part.display));
            }
        }
    }
}
