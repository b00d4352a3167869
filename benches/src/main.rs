//! Runs one contender of the comparison and prints what it took, as a line of JSON.

// Measurements stop at the first thing that is wrong: there is nobody to recover for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use root_benches::queries::Query;
use root_benches::write::WriteArgs;
use root_benches::{api, bound, floor, measure, scan, sql, write};
use serde_json::{Value, json};

/// The allocator of the command-line program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs a contender of the comparison on one file and prints what it took, as a line of JSON.
#[derive(Debug, Parser)]
struct Args {
    /// Who runs.
    contender: Contender,
    /// File with a tree `Events`, as benches/data/make_data.py makes it; for aod and muons one of CMS AOD.
    file: PathBuf,
    /// Queries, or the columns of queries: q1 to q8, dimuon, aod, muons; by default q1.
    #[arg(long, value_delimiter = ',', default_value = "q1")]
    query: Vec<String>,
    /// Runs that are measured, after one that is not.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// What is written, and how.
    #[command(flatten)]
    writing: WriteArgs,
    /// Threads that bound, sql, api and write compute with.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Prints the histogram as well.
    #[arg(long)]
    bins: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Contender {
    /// Read and decompress.
    Floor,
    /// A loop written by hand for the query.
    Bound,
    /// Read into Arrow.
    Scan,
    /// Open the file and its tree, which is a part of scan and sql.
    Open,
    /// The query through the engine.
    Sql,
    /// The query through the Rust API.
    Api,
    /// The reduction of CMS AOD through the Rust API: queries aod and muons.
    Reduce,
    /// All columns of some entries, which are in memory, into a ROOT file.
    Write,
    /// Runs bound, scan, sql and api once and compares their histograms.
    Check,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // As the command-line program does: whether the kernel has huge pages at hand would decide the times otherwise.
    #[cfg(target_os = "linux")]
    rustix::thread::disable_transparent_huge_pages(true).unwrap();
    for name in &args.query {
        let query = Query::find(name).unwrap_or_else(|| panic!("no query {name}"));
        let (path, threads) = (args.file.as_path(), args.threads);
        let mut line = match args.contender {
            Contender::Floor => measure::repeat(args.repeat, floor::floor(path, query)),
            Contender::Bound => measure::repeat(args.repeat, bound::bound(path, query, threads)),
            Contender::Scan => measure::repeat(args.repeat, || scan::scan(path, query)),
            Contender::Open => measure::repeat(args.repeat, || scan::open(path, query)),
            Contender::Sql => measure::repeat(args.repeat, || sql::sql(path, query, threads)),
            Contender::Api => measure::repeat(args.repeat, || api::api(path, query, threads)),
            Contender::Reduce => measure::repeat(args.repeat, || scan::reduce(path, query)),
            Contender::Write => measure::repeat(args.repeat, write::write(path, &args.writing, threads)),
            Contender::Check => match check(path, query) {
                Ok(line) => line,
                Err(difference) => {
                    eprintln!("{name}: {difference}");
                    return ExitCode::FAILURE;
                }
            },
        };
        if let Some(line) = line.as_object_mut() {
            if !args.bins {
                line.remove("bins");
            }
            let contender = args.contender.to_possible_value().map(|v| v.get_name().to_string());
            line.insert("contender".into(), json!(contender));
            line.insert("query".into(), json!(name));
            line.insert("file".into(), json!(path.file_name().map(|f| f.to_string_lossy())));
            line.insert("threads".into(), json!(threads));
        }
        println!("{line}");
    }
    ExitCode::SUCCESS
}

/// Compares the histograms of all who fill one.
fn check(path: &Path, query: &'static Query) -> Result<Value, String> {
    let expected = bound::bound(path, query, 1)().histogram.unwrap();
    let others =
        [("scan", scan::checked(path, query)), ("sql", sql::sql(path, query, 1)), ("api", api::api(path, query, 1))];
    for (who, outcome) in others {
        let histogram = outcome.histogram.unwrap();
        let moved = expected.moved(&histogram);
        if expected.total() != histogram.total() || moved > expected.total() / 100_000 {
            return Err(format!(
                "{who} counts {} values and bound {}; {moved} are in another bin",
                histogram.total(),
                expected.total()
            ));
        }
    }
    Ok(json!({ "bins": expected.filled(), "values": expected.total() }))
}
