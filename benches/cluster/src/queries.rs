//! The same queries in this process and on a cluster, one after the other, so that a mood of the machine meets both.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use root_cluster::{LocalCluster, LocalOptions};
use root_engine::{RootSession, TableOptions};

#[derive(Args)]
pub struct LatencyArgs {
    /// FILE:TREE
    file: String,
    /// The query, of table t
    #[arg(long, default_value = "SELECT count(*) FROM t WHERE nMuon = 2")]
    sql: String,
    /// How often
    #[arg(long, default_value_t = 51)]
    rounds: usize,
}

#[derive(Args)]
pub struct QueriesArgs {
    /// FILE:TREE
    file: String,
    /// Files with SQL, of table t
    #[arg(required = true)]
    queries: Vec<PathBuf>,
    /// Threads, and executors of one core
    #[arg(long, default_value_t = 2)]
    executors: usize,
    /// How often
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// A session in this process and one on a cluster, each with the file as table `t`.
async fn sessions(file: &str, executors: usize) -> (RootSession, RootSession, LocalCluster) {
    let cluster = LocalCluster::start(&LocalOptions::new(executors, 1)).await.unwrap();
    let here = RootSession::builder().threads(executors).build();
    let there = RootSession::builder().elsewhere(cluster.cluster().elsewhere().await.unwrap()).build();
    for session in [&here, &there] {
        session.register("t", &[file.to_string()], &TableOptions::default()).await.unwrap();
    }
    (here, there, cluster)
}

async fn time(session: &RootSession, sql: &str) -> Duration {
    let since = Instant::now();
    session.sql(sql).await.unwrap().collect().await.unwrap();
    since.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

pub async fn latency(args: &LatencyArgs) {
    let (here, there, _cluster) = sessions(&args.file, 1).await;
    let (mut on_this, mut on_cluster) = (Vec::new(), Vec::new());
    for round in 0..=args.rounds {
        let times = (time(&here, &args.sql).await, time(&there, &args.sql).await);
        // The first round opens files and connections.
        if round > 0 {
            on_this.push(times.0);
            on_cluster.push(times.1);
        }
    }
    let (here, there) = (median(on_this), median(on_cluster));
    println!("in process {here:.1?}, on the cluster {there:.1?}: {:.1?} more", there.saturating_sub(here));
}

pub async fn run(args: &QueriesArgs) {
    let (here, there, _cluster) = sessions(&args.file, args.executors).await;
    let (mut sum_here, mut sum_there) = (Duration::ZERO, Duration::ZERO);
    for path in &args.queries {
        let sql = fs::read_to_string(path).unwrap();
        let (mut on_this, mut on_cluster) = (Vec::new(), Vec::new());
        for _ in 0..args.rounds {
            on_this.push(time(&here, &sql).await);
            on_cluster.push(time(&there, &sql).await);
        }
        let (here, there) = (median(on_this), median(on_cluster));
        sum_here += here;
        sum_there += there;
        let ratio = here.as_secs_f64() / there.as_secs_f64();
        println!("{}: in process {here:.1?}, on the cluster {there:.1?}, speed {ratio:.2}", path.display());
    }
    let ratio = sum_here.as_secs_f64() / sum_there.as_secs_f64();
    println!("all: in process {sum_here:.1?}, on the cluster {sum_there:.1?}, speed {ratio:.2}");
}
