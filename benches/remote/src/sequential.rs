//! A large file in the page cache, from its beginning to its end: raw TCP between two processes, this client with one and
//! with two connections, and the tools of XRootD.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use eos_testbed::Xrootd;

use crate::process::{Cost, measured, observed};

#[derive(clap::Args)]
pub struct Args {
    /// Size of the file in MiB
    #[arg(long, default_value_t = 1024)]
    mib: usize,
    /// How often each is measured; they take turns
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Only rows whose name holds this
    #[arg(long)]
    only: Option<String>,
}

struct Row<'a> {
    name: &'static str,
    run: Box<dyn Fn() -> Cost + 'a>,
    costs: Vec<Cost>,
}

pub fn run(args: &Args) {
    let (plain, encrypted) = (Xrootd::standalone().start(), Xrootd::tls().start());
    plain.volume().write_random("big.bin", 1, args.mib << 20);
    std::fs::hard_link(plain.volume().path("big.bin"), encrypted.volume().path("big.bin")).unwrap();
    let file = plain.volume().path("big.bin").to_string_lossy().into_owned();
    let (root, roots) = (plain.url("/big.bin"), encrypted.url("/big.bin"));
    let bytes = (args.mib << 20) as u64;
    let xrdcp = |url: &str, variables: &[(&str, &str)]| {
        let mut environment = encrypted.env().to_vec();
        environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        observed("xrdcp", &["-f", "-s", url, "/dev/null"], &environment, bytes)
    };
    let read = |url: &str, more: &[&str]| measured(&[&["read", url], more].concat(), encrypted.env());
    let mut rows: Vec<Row<'_>> = vec![
        row("raw TCP", || raw(&file)),
        row("this client, 1 connection", || read(&root, &["--connections", "1"])),
        row("this client, 2 connections", || read(&root, &["--connections", "2"])),
        row("this client, verified pages", || read(&root, &["--connections", "1", "--verify"])),
        row("this client, roots://", || read(&roots, &["--connections", "1"])),
        row("this client, roots://, 2 connections", || read(&roots, &["--connections", "2"])),
        row("xrdcp, plain reads", || xrdcp(&root, &[("XRD_CPUSEPGWRTRD", "0")])),
        row("xrdcp as shipped", || xrdcp(&root, &[])),
        row("xrdcp roots://", || xrdcp(&roots, &[])),
    ];
    rows.retain(|row| args.only.as_ref().is_none_or(|only| row.name.contains(only) || row.name == "raw TCP"));
    for _ in 0..args.rounds {
        for row in &mut rows {
            let cost = (row.run)();
            assert_eq!(cost.bytes, bytes, "{}", row.name);
            row.costs.push(cost);
        }
    }
    let floor = median(&rows[0].costs, Cost::megabytes_per_second);
    println!("{} MiB, {} rounds", args.mib, args.rounds);
    println!("{:<40} {:>9} {:>9} {:>10} {:>12}", "", "best MB/s", "median", "/ raw TCP", "CPU s/GB");
    for Row { name, costs, .. } in &rows {
        let best = costs.iter().map(Cost::megabytes_per_second).fold(0.0, f64::max);
        let middle = median(costs, Cost::megabytes_per_second);
        let cpu = median(costs, Cost::cpu_per_gigabyte);
        println!("{name:<40} {best:>9.0} {middle:>9.0} {:>10.2} {cpu:>12.2}", middle / floor);
    }
}

fn row<'a>(name: &'static str, run: impl Fn() -> Cost + 'a) -> Row<'a> {
    Row { name, run: Box::new(run), costs: Vec::new() }
}

/// A process that reads the file and sends it, and one that receives it.
fn raw(file: &str) -> Cost {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut server = command.args(["serve", file]).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let cost = measured(&["receive", port.trim()], &[]);
    server.wait().unwrap();
    cost
}

fn median(costs: &[Cost], value: fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<_> = costs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
