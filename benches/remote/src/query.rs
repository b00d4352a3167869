//! A query over `root://` beside the same query over the local file: next door, and a long way off.

use std::path::{Path, PathBuf};
use std::time::Duration;

use eos_testbed::{FaultProxy, Xrootd};

use crate::process::{Cost, observed};

#[derive(clap::Args)]
pub struct Args {
    /// The program `root-query`
    #[arg(long)]
    program: PathBuf,
    /// The file, as `FILE:tree`
    file: String,
    /// The query, over the table `t`
    #[arg(long, default_value = "benches/queries/dimuon.sql")]
    sql: PathBuf,
    /// Milliseconds of a round trip of the long way
    #[arg(long, default_value_t = 30)]
    rtt: u64,
    /// How often each is measured; they take turns
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Threads of the query; by default as many as there are cores
    #[arg(long)]
    threads: Option<String>,
    /// A Python with uproot and fsspec-xrootd, to be measured too
    #[arg(long)]
    python: Option<String>,
}

pub fn run(args: &Args) {
    let (file, tree) = args.file.rsplit_once(':').unwrap_or((&args.file, "Events"));
    let file = std::fs::canonicalize(file).unwrap();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let server = Xrootd::standalone().start();
    serve(&server, &file, &name);
    let proxy = FaultProxy::to(server.port()).rtt(Duration::from_millis(args.rtt)).start();
    let places = [
        ("local file", file.to_string_lossy().into_owned()),
        ("root://, next door", server.url(&format!("/{name}"))),
        ("root://, long way", proxy.url(&format!("/{name}"))),
    ];
    let program = args.program.to_string_lossy().into_owned();
    let sql = args.sql.to_string_lossy().into_owned();
    let query = |place: &str| {
        let file = format!("{place}:{tree}");
        let mut arguments = vec!["sql", "-q", "-f", &sql, "-o", "/dev/null", "--format", "csv", &file];
        if let Some(threads) = &args.threads {
            arguments.extend(["--threads", threads]);
        }
        observed(&program, &arguments, &[], 0)
    };
    let peer = |place: &str| {
        let python = args.python.as_deref().unwrap_or("python3");
        observed(python, &["benches/peers/adl_uproot.py", "--tuned", "--cold", place, "--query", "dimuon"], &[], 0)
    };
    let mut costs: Vec<(&str, &str, Vec<Cost>)> = Vec::new();
    for (what, place) in &places {
        costs.push((what, place, Vec::new()));
    }
    let mut peers = costs.clone();
    for _ in 0..args.rounds {
        for (_, place, costs) in &mut costs {
            costs.push(query(place));
        }
        for (_, place, costs) in peers.iter_mut().filter(|_| args.python.is_some()) {
            costs.push(peer(place));
        }
    }
    println!("{name}, {} ms, {} rounds: medians of whole processes", args.rtt, args.rounds);
    println!("{:<32} {:>9} {:>9} {:>9}", "", "ms", "/ local", "CPU ms");
    print("", &costs);
    if args.python.is_some() {
        print("uproot, ", &peers);
    }
}

fn print(who: &str, costs: &[(&str, &str, Vec<Cost>)]) {
    let local = median(&costs[0].2, |cost| cost.seconds);
    for (what, _, costs) in costs {
        let (seconds, cpu) = (median(costs, |cost| cost.seconds), median(costs, |cost| cost.cpu));
        let name = format!("{who}{what}");
        println!("{name:<32} {:>9.1} {:>9.2} {:>9.0}", seconds * 1e3, seconds / local, cpu * 1e3);
    }
}

fn serve(server: &Xrootd, file: &Path, name: &str) {
    let target = server.volume().path(name);
    if std::fs::hard_link(file, &target).is_err() {
        std::fs::copy(file, &target).unwrap();
    }
}

fn median(costs: &[Cost], value: fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<_> = costs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
