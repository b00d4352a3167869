//! The command line: every verb and option, and the help that explains them.

mod cluster;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{FalseyValueParser, OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use eos_io::ChecksumKind;
use root_writer::{Compression, Nulls};

pub use cluster::{
    CancelArgs, CheckArgs, ClusterAction, CreateArgs, DeleteArgs, DescriptionArgs, JobArgs, ListArgs, LogsArgs,
    NamedArgs, NamespaceArgs, ScaleArgs, SubmitArgs, UpgradeArgs, WaitArgs, WaitJobArgs,
};

use crate::output::Format;

const EXAMPLES: &str = "\
Examples:
  root-query ls -l run1.root                            what is in the file
  root-query schema run1.root:Events                    columns and their types
  root-query schema run1.root:Events --layout nested    objects as structs and lists of structs
  root-query head run1.root:Events -n 5                 the first entries
  root-query sql -c 'SELECT count(*) FROM t WHERE nMuon = 2' 'data/*.root:Events'
  root-query sql -c \"SELECT avg(MET_pt) FROM 'run1.root:Events'\" --format json
  root-query sql -f skim.sql 'data/*.root:Events' -o skim.parquet
  root-query skim 'data/*.root:Events' --where 'nMuon >= 2' --columns 'Muon_*,MET_*' -o skim.root
  root-query diff old.root:Events new.root:Events       which branches differ, and where first
  root-query sql run1.root:Events                       a prompt, with the file as table t
  root-query hist run1.root:Events 'Muon_pt[50,0,100]'  a histogram, in the terminal or in a file
  root-query count --dataset samples.csv                events of each sample
  root-query lumi data.root:Events --lumi-file lumi.csv luminosity, every section once
  root-query cutflow --cut 'nMuon = 2' run1.root:Events how many events pass
  root-query cp root://eos.example//d/run1.root .       a copy, with its checksum compared
  root-query diagnose root://eos.example//d/run1.root   why it cannot be read, and what helps
  root-query cluster create muons --image IMAGE         a cluster on Kubernetes, for --cluster k8s:muons

Names keep their case, and those with other characters than letters, digits and _ are quoted: \"obj.pt_\".

Exit codes:
  0  done                        3  input missing or unreadable
  1  query or output failed,     4  credentials missing or refused
     or diff found differences
  2  wrong usage                 5  done, but files were skipped
  130  interrupted

Options can also be set by ROOT_QUERY_* variables and in a configuration file; see `root-query config show`.";

/// Queries ROOT files with SQL and looks into them.
#[derive(Debug, Parser)]
#[command(name = "root-query", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Options of all verbs.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do; without it, and at a terminal, the prompt of `sql`.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// Options that every verb takes, before or behind it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Format of the result; `auto` is a table on a terminal and CSV elsewhere, or what the name behind -o ends in.
    #[arg(long, global = true, value_name = "FORMAT", env = "ROOT_QUERY_FORMAT", hide_env = true)]
    pub format: Option<Format>,
    /// Write the result to a file or URL, where it appears once it is complete.
    #[arg(short, long, global = true, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Compression of ROOT files: none, zlib, lz4, zstd or lzma, with a level from 1 to 9 behind a colon (zstd:5); by
    /// default zlib:1. The tree is called Events, or as -o out.root:NAME says.
    #[arg(long, global = true, value_name = "CODEC")]
    pub compression: Option<Compression>,
    /// What takes the place of NULLs in ROOT files, whose branches cannot hold them: a number (-999), or one for integers and
    /// one for floating-point numbers (-1,nan); texts and lists become empty. By default a NULL is an error.
    #[arg(long, global = true, value_name = "VALUE", allow_hyphen_values = true)]
    pub null_value: Option<Nulls>,
    /// Rows that a table on the terminal shows; 0 shows all.
    #[arg(long, global = true, value_name = "N", env = "ROOT_QUERY_MAX_ROWS", hide_env = true)]
    pub max_rows: Option<usize>,
    /// Say nothing but errors.
    #[arg(
        short, long, global = true, env = "ROOT_QUERY_QUIET", hide_env = true, value_parser = FalseyValueParser::new()
    )]
    pub quiet: bool,
    /// Progress bar on the terminal for what takes longer than 2 seconds.
    #[arg(long, global = true, value_name = "WHEN", env = "ROOT_QUERY_PROGRESS", hide_env = true)]
    pub progress: Option<ProgressWhen>,
    /// Colours in messages; the variable NO_COLOR turns them off as well.
    #[arg(long, global = true, value_name = "WHEN", env = "ROOT_QUERY_COLOR", hide_env = true)]
    pub color: Option<ColorWhen>,
    /// Threads that compute; by default as many as there are cores.
    #[arg(long, global = true, value_name = "N", env = "ROOT_QUERY_THREADS", hide_env = true)]
    pub threads: Option<NonZeroUsize>,
    /// Memory for sorts, joins and groups (8G, 512M) before they spill to disk; by default unlimited.
    #[arg(long, global = true, value_name = "SIZE", env = "ROOT_QUERY_MEMORY", hide_env = true)]
    pub memory: Option<ByteSize>,
    /// Run queries on a cluster: k8s:NAME or k8s:NAMESPACE/NAME of one on Kubernetes, http://HOST:PORT or https://HOST:PORT of a
    /// scheduler, or local:N for a scheduler and N executors that are started on this machine and end with this program. What
    /// looks at metadata only runs here.
    #[arg(long, global = true, value_name = "CLUSTER", env = "ROOT_QUERY_CLUSTER", hide_env = true)]
    pub cluster: Option<String>,
    /// The file of the token that the cluster asks for; it is read whenever it is needed.
    #[arg(long, global = true, value_name = "PATH", env = "ROOT_QUERY_CLUSTER_TOKEN_FILE", hide_env = true)]
    pub cluster_token_file: Option<PathBuf>,
    /// The certificates (PEM) of those who may vouch for the cluster, in place of those that this machine trusts.
    #[arg(long, global = true, value_name = "PATH", env = "ROOT_QUERY_CLUSTER_CA", hide_env = true)]
    pub cluster_ca: Option<PathBuf>,
    /// The name of a host that the cluster's certificate has, where it is not the one in its address; of a cluster on Kubernetes
    /// it is that of its service, unless it is said.
    #[arg(long, global = true, value_name = "HOST", env = "ROOT_QUERY_CLUSTER_HOST", hide_env = true)]
    pub cluster_host: Option<String>,
    /// The context of the configuration of Kubernetes (KUBECONFIG), if not the current one.
    #[arg(long = "context", global = true, value_name = "CONTEXT", env = "ROOT_QUERY_KUBE_CONTEXT", hide_env = true)]
    pub kube_context: Option<String>,
    /// Seconds that a query may take on a cluster before it is stopped; by default as many as it needs.
    #[arg(long, global = true, value_name = "SECONDS", env = "ROOT_QUERY_JOB_TIMEOUT", hide_env = true)]
    pub job_timeout: Option<u64>,
    /// Seconds that the cluster's scheduler may be away during a query, which then runs again; by default 30, and 180 on
    /// Kubernetes, which may need that long to start another one.
    #[arg(long, global = true, value_name = "SECONDS", env = "ROOT_QUERY_CLUSTER_PATIENCE", hide_env = true)]
    pub cluster_patience: Option<u64>,
    /// Keep what is read of remote files in this directory, which must be your own, and take it from there the next time; an
    /// empty name turns it off.
    #[arg(
        long, global = true, value_name = "DIR", env = "ROOT_QUERY_CACHE", hide_env = true,
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    pub cache: Option<PathBuf>,
    /// Bytes that the cache keeps at most; by default 20G.
    #[arg(long, global = true, value_name = "SIZE", env = "ROOT_QUERY_CACHE_SIZE", hide_env = true)]
    pub cache_size: Option<ByteSize>,
    /// Read the names of files from a list, one per line; `-` is standard input. May be repeated.
    #[arg(long, global = true, value_name = "LIST")]
    pub files_from: Vec<String>,
    /// Read the files of the samples in a dataset file (.csv, .json, .yaml): a column `path`, and others, such as
    /// sampleID, that become columns of the table. sample_where is a condition that the events of the sample have to meet;
    /// sample_weight is their weight, which hist and cutflow multiply with --weight: a number, or SQL over the other
    /// columns of the sample. May be repeated, and stand among the files as well.
    #[arg(long, global = true, value_name = "FILE")]
    pub dataset: Vec<String>,
    /// Only events of certified luminosity sections, by a mask in JSON ("golden JSON"), a file or URL: the others count
    /// nowhere, not even before the first cut of a cutflow, and how many they are is told. For sql, explain, hist, cutflow,
    /// skim, count, head and lumi.
    #[arg(long, global = true, value_name = "FILE")]
    pub lumi_mask: Option<String>,
    /// The columns of the run and the luminosity section, if they are not run and luminosityBlock.
    #[arg(long, global = true, value_name = "RUN,SECTION")]
    pub lumi_columns: Option<String>,
    /// The value of a column in the files that lack it, such as 'HLT_IsoMu24=false' for a trigger of another year; without
    /// it the column is NULL there. A pattern with * and ? is for all columns like it ('HLT_*=false') but those that have a
    /// default of their own; one that no column is like is an error. May be repeated.
    #[arg(long = "default", global = true, value_name = "COLUMN=VALUE", allow_hyphen_values = true)]
    pub default: Vec<String>,
    /// What to do with a file that cannot be read: stop, or go on without it and exit with 5. Missing or refused credentials
    /// always stop the run, with 4.
    #[arg(long, global = true, value_name = "ACTION", env = "ROOT_QUERY_ON_BAD_FILE", hide_env = true)]
    pub on_bad_file: Option<BadFile>,
    /// How branches become columns: one per leaf branch, or objects and collections as structs and lists of structs.
    #[arg(long, global = true, value_name = "LAYOUT", env = "ROOT_QUERY_LAYOUT", hide_env = true)]
    pub layout: Option<TableLayout>,
    /// Write what became of every file, as JSON, also when the run fails.
    #[arg(long, global = true, value_name = "PATH")]
    pub report: Option<PathBuf>,
    /// Add the columns of another tree to the table, as "NAME.column": 'FILES:TREE AS NAME' reads it entry by entry, its
    /// files beside those of the table in their order; 'FILES:TREE AS NAME ON run, event' joins it by columns that both
    /// have. May be repeated; for sql, explain and, without ON, skim.
    #[arg(long, global = true, value_name = "FRIEND")]
    pub friend: Vec<String>,
    /// Set an option of the table: tree, layout, on_bad_file, strings (utf8, binary), row_id (true, false), friends,
    /// friend_missing (null, error), defaults, lumi_mask, lumi_columns; or of the places where files are, as in a section of the configuration file, such as
    /// xrootd.connections=8 (`root-query config show` lists them).
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub options: Vec<KeyValue>,
    /// Configuration file instead of ~/.config/root-query/config.toml.
    #[arg(long, global = true, value_name = "PATH", env = "ROOT_QUERY_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run SQL over files; without SQL and at a terminal, a prompt.
    Sql(SqlArgs),
    /// List what is in a file.
    Ls(LsArgs),
    /// Show the columns of a tree with their C++ and Arrow types.
    Schema(InputArgs),
    /// Show the first entries of a tree.
    Head(HeadArgs),
    /// Count the events that pass cuts, one after the other and without each.
    Cutflow(CutflowArgs),
    /// Fill histograms, all in one pass: plots, CSV, UHI JSON, or ROOT histograms.
    Hist(HistArgs),
    /// Count entries, of each sample where there are any: from the metadata alone, unless only some of them count.
    Count(CountArgs),
    /// Sum the luminosity of the data, every section once.
    Lumi(LumiArgs),
    /// Write some entries and columns of a tree to a file.
    Skim(SkimArgs),
    /// Compare two trees, entry by entry; exits with 1 if they differ.
    Diff(DiffArgs),
    /// Show bytes, baskets and compression of every branch.
    Stats(InputArgs),
    /// Read everything, verify checksums, and list what is bad.
    Check(InputArgs),
    /// Copy files between any two places, and compare their checksums.
    Cp(CpArgs),
    /// Try what reading a file takes, step by step: look-up, connection, TLS, credentials, first bytes, first tree.
    Diagnose(DiagnoseArgs),
    /// Show how a query would run.
    Explain(ExplainArgs),
    /// Make, look at, change and delete clusters on Kubernetes, on which --cluster k8s:NAME has queries run.
    Cluster {
        /// What to do.
        #[command(subcommand)]
        action: Box<ClusterAction>,
    },
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Look at the configuration.
    Config {
        /// What to do with it.
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Print the version.
    Version {
        /// As JSON, with the versions of the main libraries.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigAction {
    /// Print every setting, its value, and where it comes from.
    Show,
}

/// The files to read.
#[derive(Debug, Clone, Default, Args)]
pub struct InputArgs {
    /// Files, URLs, patterns, directories or dataset files; FILE:TREE selects a tree.
    #[arg(value_name = "FILE")]
    pub files: Vec<String>,
    /// The tree to read, where a file has several: NAME, DIR/NAME, or either with ;CYCLE.
    #[arg(short, long, value_name = "TREE")]
    pub tree: Option<String>,
}

/// Where the SQL comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct QueryArgs {
    /// The SQL to run. The files are the table t.
    // SQL may begin with a comment (`--`).
    #[arg(short = 'c', long = "command", value_name = "SQL", allow_hyphen_values = true, conflicts_with = "script")]
    pub command: Option<String>,
    /// A file with the SQL to run; `-` is standard input.
    #[arg(short = 'f', long = "file", value_name = "SCRIPT")]
    pub script: Option<PathBuf>,
}

/// Arguments of `sql`.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = "\
Examples:
  root-query sql -c 'SELECT nMuon, count(*) FROM t GROUP BY nMuon' data.root:Events
  root-query sql -c 'SELECT array_max(Muon_pt) AS pt FROM t WHERE nMuon > 0' 'data/*.root:Events' -o pt.parquet
  echo \"SELECT count(*) FROM 'data.root:Events'\" | root-query sql

The columns _file and _entry tell the file and the entry number of a row; they are there when the SQL names them.")]
pub struct SqlArgs {
    /// The SQL.
    #[command(flatten)]
    pub query: QueryArgs,
    /// The files.
    #[command(flatten)]
    pub input: InputArgs,
}

/// Arguments of `explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// Run the query and show what each step did.
    #[arg(long)]
    pub analyze: bool,
    /// The SQL.
    #[command(flatten)]
    pub query: QueryArgs,
    /// The files.
    #[command(flatten)]
    pub input: InputArgs,
}

/// Arguments of `ls`.
#[derive(Debug, Clone, Args)]
pub struct LsArgs {
    /// Files; FILE:DIR lists a directory of the file.
    #[arg(value_name = "FILE")]
    pub files: Vec<String>,
    /// With sizes, titles, and the entries of trees.
    #[arg(short, long)]
    pub long: bool,
    /// With everything in the directories.
    #[arg(short, long)]
    pub recursive: bool,
}

/// Arguments of `head`.
#[derive(Debug, Clone, Args)]
pub struct HeadArgs {
    /// The files.
    #[command(flatten)]
    pub input: InputArgs,
    /// How many entries.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub entries: u64,
    /// Only these columns, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub columns: Vec<String>,
}

/// Arguments of `hist`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A histogram is any SQL, and its bins in brackets behind it:
  'Muon_pt[100,0,200]'              100 bins from 0 to 200; of a list every element is filled
  'Muon_eta,Muon_phi[50,-2.5,2.5,64,-3.2,3.2]'   two axes, or three
  'MET_pt[log,50,1,1000]'           bins of equal width in the logarithm
  'MET_pt[edges,0,10,30,100]'       bins between edges
  'nMuon[]'                         a bin for each value
  'nJet,MET_pt[profile,10,0,10]'    the mean of the second in bins of the first
  'MET_pt / 1000 [50,0,1] AS met'   with a name

Examples:
  root-query hist data.root:Events 'Muon_pt[50,0,100]'
  root-query hist 'data/*.root:Events' 'Muon_pt[100,0,200]' 'MET_pt[50,0,500]' --where 'nMuon = 2' -o muons.json
  root-query hist data.root:Events 'MET_pt[50,0,500]' --weight genWeight --log -o met.svg
  root-query hist data.root:Events 'Muon_eta,Muon_phi[50,-2.5,2.5,64,-3.2,3.2]' -o maps.root --plot maps.png
  root-query hist mc.root:Events 'array_sum(Jet_pt)[50,0,1000] AS ht' --where 'array_max(Jet_pt) > 30' \\
      --vary jesUp 'Jet_pt = Jet_pt * 1.05' --vary jesDown 'Jet_pt = Jet_pt * 0.95' \\
      --weight genWeight --vary-weight puUp 'genWeight * puWeightUp' -o systematics.root
  root-query hist --dataset samples.csv 'MET_pt[50,0,500]' --lumi-mask golden.json --default 'HLT_IsoMu24=false'

-o writes .csv, .json (UHI), .svg, .png, .root or .txt. Without it there is a plot on a terminal and CSV elsewhere. Several
pictures have the names of the histograms in the names of their files. Where samples of a dataset file have the column
sample_weight, it is multiplied with --weight.")]
pub struct HistArgs {
    /// Files, URLs, patterns, directories or dataset files (FILE:TREE selects a tree), and histograms, which end in ].
    #[arg(value_name = "FILE... 'SQL[BINS,LOW,HIGH]'", required = true)]
    pub words: Vec<String>,
    /// The tree to read, where a file has several: NAME, DIR/NAME, or either with ;CYCLE.
    #[arg(short, long, value_name = "TREE")]
    pub tree: Option<String>,
    /// Fill only entries for which this SQL is true.
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
    /// Fill with this weight, any SQL; an entry's weight holds for all elements of its lists.
    #[arg(long, value_name = "SQL", allow_hyphen_values = true)]
    pub weight: Option<String>,
    /// Fill each histogram again as HISTOGRAM__NAME, with other columns, in the same pass: wherever a histogram, --where or
    /// --weight names COLUMN, the SQL counts. Several columns have commas between them; may be repeated, also with one NAME.
    #[arg(long, num_args = 2, value_names = ["NAME", "COLUMN = SQL"], allow_hyphen_values = true)]
    pub vary: Vec<String>,
    /// The same with another weight in place of --weight.
    #[arg(long, num_args = 2, value_names = ["NAME", "SQL"], allow_hyphen_values = true)]
    pub vary_weight: Vec<String>,
    /// Draw as well, into a .svg or .png file.
    #[arg(long, value_name = "PATH")]
    pub plot: Option<PathBuf>,
    /// Values on a logarithmic scale in plots.
    #[arg(long)]
    pub log: bool,
}

/// Arguments of `count`.
#[derive(Debug, Clone, Args)]
pub struct CountArgs {
    /// The files.
    #[command(flatten)]
    pub input: InputArgs,
    /// One line per file instead of the sum or the samples.
    #[arg(long)]
    pub by_file: bool,
}

/// Arguments of `cutflow`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  root-query cutflow --cut 'nMuon = 2' --cut 'Muon_charge[1] <> Muon_charge[2]' data.root:Events
  root-query cutflow -f cuts.yaml 'data/*.root:Events' -o cutflow.csv

cuts.yaml:
  weight: genWeight
  cuts:
    - two muons: nMuon = 2
    - opposite charge: Muon_charge[1] <> Muon_charge[2]

`passed` counts the events that pass a cut and all before it, `efficiency` is their share of those before it and `of_all`
of all events; `alone` counts those that pass the cut whatever the others say, `without` those that pass all others (N-1).
An event for which a condition is NULL does not pass. Events outside --lumi-mask count nowhere, not as events either. Where
samples of a dataset file have the column sample_weight, it is multiplied with the weight.")]
pub struct CutflowArgs {
    /// A file with cuts in YAML; `-` is standard input.
    #[arg(short = 'f', long = "file", value_name = "CUTS")]
    pub script: Option<PathBuf>,
    /// A cut behind those of the file: an SQL condition. May be repeated.
    #[arg(long, value_name = "SQL", allow_hyphen_values = true)]
    pub cut: Vec<String>,
    /// The weight of events, an SQL expression, instead of the file's.
    #[arg(long, value_name = "SQL", allow_hyphen_values = true)]
    pub weight: Option<String>,
    /// The files.
    #[command(flatten)]
    pub input: InputArgs,
}

/// Arguments of `lumi`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  root-query lumi 'data/*.root:Events' --lumi-file lumi.csv --lumi-mask golden.json
  root-query lumi 'skims/*.root:LuminosityBlocks' --lumi-file lumi.csv

lumi.csv is what `brilcalc lumi --byls --output-style csv` writes. Each section counts once, in however many files it is.
The result has a line for each run; the sums are told behind it. `absent` are sections that the mask certifies and the data
do not have. In a skim, sections of which no event is left are only in the tree LuminosityBlocks.")]
pub struct LumiArgs {
    /// The files.
    #[command(flatten)]
    pub input: InputArgs,
    /// The luminosity of each section, a file or URL of CSV; without it sections are counted.
    #[arg(long, value_name = "CSV")]
    pub lumi_file: Option<String>,
}

/// Arguments of `skim`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  root-query skim data.root:Events --where 'nMuon = 2' -o dimuon.root
  root-query skim 'data/*.root:Events' --columns 'Muon_*,nMuon,MET_pt' -o muons.root:Muons
  root-query skim data.root --where 'MET_pt > 40' -o met.root --compression zstd:5
  root-query skim 'data/*.root' --columns 'Jet_*' --partitioned -o jets/ --format parquet

The entries keep their order. The column that counts a list, nMuon for Muon_pt, is written along
with it. The tree is called as the one that is read, or as -o out.root:NAME says.")]
pub struct SkimArgs {
    /// The files.
    #[command(flatten)]
    pub input: InputArgs,
    /// Only entries for which this SQL condition holds.
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
    /// Only these columns, separated by commas; * and ? stand for any characters and any one.
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Write a directory, -o DIR, local or at a server, with a file for each thread, which are written at the same time:
    /// part-0000.root and so on. The entries of each follow those of the one before. It must be empty, or not there yet.
    #[arg(long)]
    pub partitioned: bool,
}

/// Arguments of `diff`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  root-query diff old.root:Events new.root:Events
  root-query diff data.root:Events 'skims/part-*.root:Events' --columns 'Muon_*'

The result has a line for each column that only A or only B has, that has another type in B, or
other values: in how many entries, and the first of them. Entries are counted from 0, elements of
lists from 1, as SQL does: element [2] of column v is v[2]. The types are those of Arrow, and only
columns of the same type have their values compared: NaN is equal to NaN, and 0 to -0. Entries that
only one of the trees has are not compared, but they are a difference.

Exit codes: 0 if nothing differs, 1 if something does.")]
pub struct DiffArgs {
    /// A file, pattern or dataset; FILE:TREE selects a tree.
    #[arg(value_name = "A")]
    pub first: String,
    /// What it is compared with.
    #[arg(value_name = "B")]
    pub second: String,
    /// Only these columns, separated by commas; * and ? stand for any characters and any one.
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    pub columns: Vec<String>,
}

/// Arguments of `cp`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  root-query cp root://eospublic.cern.ch//eos/opendata/cms/x.root .
  root-query cp 'root://eos.example//data/*.root' data/
  root-query cp -r skims root://eos.example//eos/user/m/me/skims/
  root-query cp https://web.example/x.root - | wc -c

Copies appear under their names when they are complete. What cannot be copied is told, and the rest is copied.")]
pub struct CpArgs {
    /// Files, URLs, patterns, with -r directories, and at the end where they go: a file, a directory, or - for standard
    /// output. What ends in / is a directory.
    #[arg(value_name = "SOURCE... DEST", required = true)]
    pub paths: Vec<String>,
    /// Copy directories with all that is in them.
    #[arg(short, long)]
    pub recursive: bool,
    /// Replace files that are there already.
    #[arg(short, long)]
    pub force: bool,
    /// Files that are copied at the same time.
    #[arg(long, value_name = "N", default_value = "4")]
    pub parallel: NonZeroUsize,
    /// The checksum that is computed, printed, and compared with those of the servers.
    #[arg(long, value_name = "KIND", default_value = "adler32")]
    pub checksum: ChecksumChoice,
    /// Do not compare the copy: neither ask the server that has it now, nor read it again.
    #[arg(long)]
    pub no_verify: bool,
}

/// Arguments of `diagnose`.
#[derive(Debug, Clone, Args)]
pub struct DiagnoseArgs {
    /// A file or URL; FILE:TREE tries that tree.
    #[arg(value_name = "URL")]
    pub url: String,
}

/// The checksum of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChecksumChoice {
    /// What most servers of the grid keep for each file.
    Adler32,
    /// CRC-32C.
    Crc32c,
    /// None.
    None,
}

impl ChecksumChoice {
    /// What is computed, if anything.
    pub fn kind(self) -> Option<ChecksumKind> {
        match self {
            Self::Adler32 => Some(ChecksumKind::Adler32),
            Self::Crc32c => Some(ChecksumKind::Crc32c),
            Self::None => None,
        }
    }
}

/// When there is a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressWhen {
    /// On a terminal, after 2 seconds.
    Auto,
    /// Never.
    Never,
}

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do with a file that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BadFile {
    /// Stop with an error.
    Fail,
    /// Go on without it.
    Skip,
}

/// How branches become columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableLayout {
    /// One column per leaf branch.
    Flat,
    /// Structs and lists of structs.
    Nested,
}

/// A number of bytes as people write it: `8G`, `512 MB`, `1.5GiB`. The units are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub usize);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(split).unwrap_or((text, ""));
        let shift = match unit.trim().to_ascii_lowercase().trim_end_matches("ib").trim_end_matches('b') {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            _ => return Err("a size is a number with K, M, G or T behind it, such as 8G".into()),
        };
        let value: f64 = number.parse().map_err(|_| "a size is a number with K, M, G or T behind it, such as 8G")?;
        let bytes = value * (1u64 << shift) as f64;
        // 2^53 is far beyond any memory, and exact in both types.
        if !(1.0..=9.0e15).contains(&bytes) {
            return Err("a size has to be at least one byte, and less than 8192T".into());
        }
        Ok(Self(bytes as usize))
    }
}

/// `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// What stands before the first `=`.
    pub key: String,
    /// What stands behind it.
    pub value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Self { key: key.trim().to_string(), value: value.trim().to_string() })
            }
            _ => Err("KEY=VALUE is expected, such as tree=Events".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1", 1),
            ("100", 100),
            ("8G", 8 << 30),
            ("512m", 512 << 20),
            ("1.5 GiB", 3 << 29),
            ("2KB", 2048),
            ("1b", 1),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "G", "8X", "-1", "0", "1e400", "1..2", "nan", "99999T"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_may_hold_equals_signs() {
        let parsed: KeyValue = "tree=a=b".parse().unwrap();
        assert_eq!((parsed.key.as_str(), parsed.value.as_str()), ("tree", "a=b"));
        assert!("tree".parse::<KeyValue>().is_err());
        assert!("=x".parse::<KeyValue>().is_err());
    }
}
