//! The settings of a run: the command line before `ROOT_QUERY_*` variables before the configuration file before the
//! defaults. clap settles the first two; this module does the rest, and knows where each value came from.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;
use eos_io::{Cache, SECTIONS};
use root_engine::TableOptions;
use root_writer::{Compression, Nulls};
use serde::Deserialize;

use crate::args::{BadFile, ByteSize, ColorWhen, GlobalArgs, ProgressWhen, TableLayout};
use crate::exit::{Failure, did_you_mean};
use crate::output::Format;
use crate::remote::Remote;

/// Rows that a table shows by default.
const MAX_ROWS: usize = 40;
/// Bytes that a cache keeps by default.
const CACHE_SIZE: ByteSize = ByteSize(20 << 30);

/// What every verb needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Format of the result.
    pub format: Format,
    /// Where it goes, if not to standard output.
    pub output: Option<PathBuf>,
    /// What was said about a ROOT file as output: its tree, behind the path, and its compression.
    pub root_tree: Option<String>,
    /// See `root_tree`.
    pub compression: Option<Compression>,
    /// What takes the place of NULLs in it.
    pub null_value: Option<Nulls>,
    /// Rows that a table shows.
    pub max_rows: usize,
    /// Whether only errors are told.
    pub quiet: bool,
    /// Whether there may be a progress bar.
    pub progress: ProgressWhen,
    /// Whether there may be colours.
    pub color: ColorWhen,
    /// Threads that compute.
    pub threads: NonZeroUsize,
    /// Bytes for sorts, joins and groups.
    pub memory: Option<ByteSize>,
    /// Where queries run, if not in this process.
    pub cluster: Option<String>,
    /// The file of the token that is shown there.
    pub cluster_token_file: Option<PathBuf>,
    /// The certificates of those who may vouch for it.
    pub cluster_ca: Option<PathBuf>,
    /// The name that its certificate has, if not that of its address.
    pub cluster_host: Option<String>,
    /// The context of the configuration of Kubernetes.
    pub kube_context: Option<String>,
    /// How long a query may take there.
    pub job_timeout: Option<Duration>,
    /// How long its scheduler may be away during a query.
    pub cluster_patience: Duration,
    /// The directory that keeps what is read of remote files.
    pub cache: Option<PathBuf>,
    /// Bytes that it keeps.
    pub cache_size: ByteSize,
    /// Lists of files.
    pub files_from: Vec<String>,
    /// Dataset files.
    pub datasets: Vec<String>,
    /// Where the report goes.
    pub report: Option<PathBuf>,
    /// Options of the table of files.
    pub table: TableOptions,
    /// What is set about places that are not local, and what the stores make of it.
    pub remote: Remote,
    /// See `remote`.
    pub stores: eos_io::Settings,
    /// Every setting as `config show` prints it: key, value, origin.
    pub origins: Vec<(&'static str, String, String)>,
    /// The configuration file that was looked for, and whether it is there.
    pub config_file: Option<(PathBuf, bool)>,
}

/// The configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Option<String>,
    max_rows: Option<usize>,
    quiet: Option<bool>,
    progress: Option<String>,
    color: Option<String>,
    threads: Option<NonZeroUsize>,
    memory: Option<String>,
    cluster: Option<String>,
    cluster_token_file: Option<PathBuf>,
    cluster_ca: Option<PathBuf>,
    cluster_host: Option<String>,
    kube_context: Option<String>,
    job_timeout: Option<u64>,
    cluster_patience: Option<u64>,
    #[serde(default)]
    cache: CacheTable,
    on_bad_file: Option<String>,
    layout: Option<String>,
}

/// The table `cache` of the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct CacheTable {
    dir: Option<PathBuf>,
    size: Option<String>,
}

/// Seconds that a scheduler may be away: one that somebody has to start again, and one that Kubernetes starts again.
const PATIENCE: u64 = 30;
const PATIENCE_OF_KUBERNETES: u64 = 180;

/// The keys of [`File`], in the order of `config show`.
const KEYS: [&str; 17] = [
    "format",
    "max_rows",
    "quiet",
    "progress",
    "color",
    "threads",
    "memory",
    "cluster",
    "cluster_token_file",
    "cluster_ca",
    "cluster_host",
    "kube_context",
    "job_timeout",
    "cluster_patience",
    "cache",
    "on_bad_file",
    "layout",
];

impl Settings {
    /// Settles what the command line, the environment and the configuration file say.
    pub fn new(args: &GlobalArgs, matches: &ArgMatches) -> Result<Self, Failure> {
        let (config_file, file, mut remote) = find_file(args.config.as_deref())?;
        let mut settle = Settle { matches, file: config_file.as_ref().map(|(path, _)| path), origins: Vec::new() };
        let format = settle.value("format", args.format, file.format.as_deref(), Format::Auto)?;
        let max_rows = settle.plain("max_rows", args.max_rows, file.max_rows, MAX_ROWS);
        let quiet = settle.plain("quiet", args.quiet.then_some(true), file.quiet, false);
        let progress = settle.value("progress", args.progress, file.progress.as_deref(), ProgressWhen::Auto)?;
        let color = settle.value("color", args.color, file.color.as_deref(), ColorWhen::Auto)?;
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = settle.plain("threads", args.threads, file.threads, cores);
        let memory = settle.memory(args.memory, file.memory.as_deref())?;
        let cluster = settle.name("cluster", args.cluster.clone(), file.cluster);
        let token_file = settle.path("cluster_token_file", args.cluster_token_file.clone(), file.cluster_token_file);
        let cluster_ca = settle.path("cluster_ca", args.cluster_ca.clone(), file.cluster_ca);
        let cluster_host = settle.name("cluster_host", args.cluster_host.clone(), file.cluster_host);
        let kube_context = settle.name("kube_context", args.kube_context.clone(), file.kube_context);
        let job_timeout = settle.job_timeout(args.job_timeout, file.job_timeout);
        let is_on_kubernetes = cluster.as_ref().is_some_and(|cluster| cluster.starts_with("k8s:"));
        let patience = if is_on_kubernetes { PATIENCE_OF_KUBERNETES } else { PATIENCE };
        let patience = settle.plain("cluster_patience", args.cluster_patience, file.cluster_patience, patience);
        let cache = settle.cache(args.cache.clone(), file.cache.dir);
        let cache_size = settle.cache_size(args.cache_size, file.cache.size.as_deref())?;
        let on_bad_file = settle.value("on_bad_file", args.on_bad_file, file.on_bad_file.as_deref(), BadFile::Fail)?;
        let layout = settle.value("layout", args.layout, file.layout.as_deref(), TableLayout::Flat)?;
        let origins = settle.origins;
        let mut table = TableOptions::default();
        table.set("on_bad_file", &spelling(&on_bad_file))?;
        table.set("layout", &spelling(&layout))?;
        // First the file alone, so that a mistake in it is said to be there.
        if let Err(what) = remote.settings() {
            let file = config_file.as_ref().map(|(path, _)| path.display().to_string()).unwrap_or_default();
            return Err(Failure::usage(format!("{file}: {what}")));
        }
        for option in &args.options {
            match Remote::is_key(&option.key) {
                true => remote.set(&option.key, &option.value).map_err(|what| in_set(&option.key, &what))?,
                false => table.set(&option.key, &option.value)?,
            }
            remote.settings().map_err(|what| in_set(&option.key, &what.to_string()))?;
        }
        let stores = remote.settings().map_err(|what| Failure::usage(what.to_string()))?;
        for friend in &args.friend {
            table.friends.push(friend.parse()?);
        }
        for default in &args.default {
            table.set_default(default)?;
        }
        if let Some(mask) = &args.lumi_mask {
            table.set("lumi_mask", mask)?;
        }
        if let Some(columns) = &args.lumi_columns {
            table.set("lumi_columns", columns)?;
        }
        let (output, root_tree) = split_tree(args.output.clone());
        Ok(Self {
            format,
            output: output.filter(|path| path.as_os_str() != "-"),
            root_tree,
            compression: args.compression,
            null_value: args.null_value,
            max_rows,
            quiet,
            progress,
            color,
            threads,
            memory,
            cluster,
            cluster_token_file: token_file,
            cluster_ca,
            cluster_host,
            kube_context,
            job_timeout,
            cluster_patience: Duration::from_secs(patience),
            cache,
            cache_size,
            files_from: args.files_from.clone(),
            datasets: args.dataset.clone(),
            report: args.report.clone(),
            table,
            remote,
            stores,
            origins,
            config_file,
        })
    }

    /// The cache of remote files, if one is wanted.
    pub fn cache(&self) -> Option<Cache> {
        self.cache.as_ref().map(|directory| Cache::open(directory, self.cache_size.0 as u64))
    }
}

/// Splits `out.root:Events` into the file and the tree.
fn split_tree(output: Option<PathBuf>) -> (Option<PathBuf>, Option<String>) {
    match output.as_deref().and_then(Path::to_str).map(eos_io::split_object) {
        Some((file, Some(tree))) => (Some(file.into()), Some(tree.to_string())),
        _ => (output, None),
    }
}

fn in_set(key: &str, what: &str) -> Failure {
    Failure::usage(format!("--set {key}: {what}"))
}

/// Settles one setting after the other, and remembers where each came from.
struct Settle<'a> {
    matches: &'a ArgMatches,
    file: Option<&'a PathBuf>,
    origins: Vec<(&'static str, String, String)>,
}

impl Settle<'_> {
    /// A setting that the file spells as a word.
    fn value<T: clap::ValueEnum>(
        &mut self,
        key: &'static str,
        given: Option<T>,
        filed: Option<&str>,
        default: T,
    ) -> Result<T, Failure> {
        let from_file = match filed {
            Some(word) => Some(T::from_str(word, false).map_err(|_| {
                let all: Vec<String> = T::value_variants().iter().map(spelling).collect();
                let hint = did_you_mean(word, all.iter().map(String::as_str));
                self.bad(key, &format!("'{word}' is none of {}{hint}", all.join(", ")))
            })?),
            None => None,
        };
        let origin = self.origin(key, given.is_some(), from_file.is_some());
        let value = given.or(from_file).unwrap_or(default);
        self.origins.push((key, format!("\"{}\"", spelling(&value)), origin));
        Ok(value)
    }

    /// A setting that needs no parsing.
    fn plain<T: ToString>(&mut self, key: &'static str, given: Option<T>, filed: Option<T>, default: T) -> T {
        let origin = self.origin(key, given.is_some(), filed.is_some());
        let value = given.or(filed).unwrap_or(default);
        self.origins.push((key, value.to_string(), origin));
        value
    }

    fn memory(&mut self, given: Option<ByteSize>, filed: Option<&str>) -> Result<Option<ByteSize>, Failure> {
        let key = "memory";
        let from_file = self.size(key, filed)?;
        let origin = self.origin(key, given.is_some(), from_file.is_some());
        let value = given.or(from_file);
        let shown = value.map_or_else(|| "unlimited".to_string(), |size| size.0.to_string());
        self.origins.push((key, format!("\"{shown}\""), origin));
        Ok(value)
    }

    /// A name. An empty one takes back what was set elsewhere.
    fn name(&mut self, key: &'static str, given: Option<String>, filed: Option<String>) -> Option<String> {
        let origin = self.origin(key, given.is_some(), filed.is_some());
        let value = given.or(filed).filter(|name| !name.is_empty());
        let shown = value.clone().unwrap_or_default();
        self.origins.push((key, toml::Value::String(shown).to_string(), origin));
        value
    }

    /// How many seconds a query may take on a cluster; 0 is as many as it needs.
    fn job_timeout(&mut self, given: Option<u64>, filed: Option<u64>) -> Option<Duration> {
        let seconds = self.plain("job_timeout", given, filed, 0);
        (seconds > 0).then_some(Duration::from_secs(seconds))
    }

    /// The directory of the cache.
    fn cache(&mut self, given: Option<PathBuf>, filed: Option<PathBuf>) -> Option<PathBuf> {
        let origin = self.origin("cache", given.is_some(), filed.is_some());
        self.settle_path("cache.dir", given.or(filed), origin)
    }

    /// A file that is named.
    fn path(&mut self, key: &'static str, given: Option<PathBuf>, filed: Option<PathBuf>) -> Option<PathBuf> {
        let origin = self.origin(key, given.is_some(), filed.is_some());
        self.settle_path(key, given.or(filed), origin)
    }

    /// An empty name takes back what was set elsewhere.
    fn settle_path(&mut self, key: &'static str, value: Option<PathBuf>, origin: String) -> Option<PathBuf> {
        let value = value.filter(|path| !path.as_os_str().is_empty());
        let shown = value.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        self.origins.push((key, toml::Value::String(shown).to_string(), origin));
        value
    }

    fn cache_size(&mut self, given: Option<ByteSize>, filed: Option<&str>) -> Result<ByteSize, Failure> {
        let from_file = self.size("cache.size", filed)?;
        let origin = self.origin("cache_size", given.is_some(), from_file.is_some());
        let value = given.or(from_file).unwrap_or(CACHE_SIZE);
        self.origins.push(("cache.size", format!("\"{}\"", value.0), origin));
        Ok(value)
    }

    fn size(&self, key: &str, filed: Option<&str>) -> Result<Option<ByteSize>, Failure> {
        let parse = |text: &str| text.parse().map_err(|e: String| self.bad(key, &format!("'{text}': {e}")));
        filed.map(parse).transpose()
    }

    fn origin(&self, key: &str, given: bool, filed: bool) -> String {
        if given {
            return match self.matches.value_source(key) {
                Some(ValueSource::EnvVariable) => format!("ROOT_QUERY_{}", key.to_ascii_uppercase()),
                _ => "command line".to_string(),
            };
        }
        match self.file {
            Some(path) if filed => path.display().to_string(),
            _ => "default".to_string(),
        }
    }

    fn bad(&self, key: &str, what: &str) -> Failure {
        let file = self.file.map(|path| path.display().to_string()).unwrap_or_default();
        Failure::usage(format!("{file}: {key}: {what}"))
    }
}

/// How a value is spelt on the command line and in the file.
pub fn spelling<T: clap::ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|v| v.get_name().to_string()).unwrap_or_default()
}

/// Which configuration file was looked for and whether it is there, and what it says.
type Found = (Option<(PathBuf, bool)>, File, Remote);

/// The configuration file: the one that was named, or the one in its usual place if it is there.
fn find_file(named: Option<&Path>) -> Result<Found, Failure> {
    if let Some(path) = named {
        let text = std::fs::read_to_string(path).map_err(|e| Failure::side_input(path, &e))?;
        let (file, remote) = parse(&text, path)?;
        return Ok((Some((path.to_path_buf(), true)), file, remote));
    }
    let Some(path) = in_home("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("config.toml")) else {
        return Ok((None, File::default(), Remote::default()));
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let (file, remote) = parse(&text, &path)?;
            Ok((Some((path, true)), file, remote))
        }
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok((Some((path, false)), File::default(), Remote::default()))
        }
        Err(error) => Err(Failure::side_input(&path, &error)),
    }
}

/// Our directory under one that a variable names, or under one in the home directory.
pub fn in_home(variable: &str, fallback: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set(variable).filter(|path| path.is_absolute()).or_else(|| Some(set("HOME")?.join(fallback)))?;
    Some(base.join("root-query"))
}

fn parse(text: &str, path: &Path) -> Result<(File, Remote), Failure> {
    let bad = |what: String| Failure::usage(format!("{}: {what}", path.display()));
    let mut table: toml::Table =
        text.parse().map_err(|e: toml::de::Error| bad(e.to_string().trim_end().to_string()))?;
    let remote = Remote::take(&mut table);
    if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let sections = SECTIONS.iter().map(|(name, _)| *name);
        return Err(bad(format!(
            "there is no setting '{unknown}'{}",
            did_you_mean(unknown, KEYS.into_iter().chain(sections))
        )));
    }
    let file = table.try_into().map_err(|e: toml::de::Error| bad(e.to_string().trim_end().to_string()))?;
    Ok((file, remote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<File, String> {
        parse(text, Path::new("c.toml")).map(|(file, _)| file).map_err(|e| e.to_string())
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let file = parsed("format = \"json\"\nthreads = 3\nmemory = \"8G\"\nquiet = true").unwrap();
        assert_eq!(file.format.as_deref(), Some("json"));
        assert_eq!(file.threads, NonZeroUsize::new(3));
        assert_eq!((file.quiet, file.max_rows), (Some(true), None));
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        assert!(parsed("fromat = \"json\"").unwrap_err().contains("did you mean 'format'?"));
        assert!(parsed("threads = 0").is_err());
        assert!(parsed("format = ").unwrap_err().starts_with("c.toml: "));
    }
}
