//! A scheduler with many executors that compute nothing: what each task costs it.

use std::time::{Duration, Instant};

use root_cluster::{LocalCluster, LocalOptions};
use root_engine::RootSession;

use crate::tasks::{small_files, split};
use crate::{idle, process};

#[derive(clap::Args)]
pub struct Args {
    /// Executors
    #[arg(long, default_value_t = 1000)]
    executors: usize,
    /// Cores of each
    #[arg(long, default_value_t = 8)]
    cores: u32,
    /// Tasks of a job, one job after the other
    #[arg(long, value_delimiter = ',', default_value = "1000,3000,10000")]
    tasks: Vec<usize>,
    /// Milliseconds that a task takes
    #[arg(long, default_value_t = 100)]
    task_time: u64,
}

pub async fn run(args: &Args) {
    let cluster = LocalCluster::start(&LocalOptions::new(0, 1)).await.unwrap();
    let scheduler = cluster.scheduler_id();
    let since = Instant::now();
    idle::start(&cluster.cluster().name(), args.executors, args.cores, Duration::from_millis(args.task_time)).await;
    println!("{} executors of {} cores registered in {:.2?}", args.executors, args.cores, since.elapsed());
    let before = process::seconds(scheduler);
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!(
        "with nothing to do, the scheduler computes {:.1} % of a core",
        10.0 * (process::seconds(scheduler) - before)
    );
    for tasks in &args.tasks {
        let session = RootSession::builder().elsewhere(cluster.cluster().elsewhere().await.unwrap()).build();
        let folder = tempfile::tempdir().unwrap();
        split(&session, small_files(&folder, *tasks).await).await;
        let before = process::seconds(scheduler);
        let since = Instant::now();
        // There are no rows, as nobody has computed any.
        session.sql("SELECT count(*) FROM t WHERE x > 4").await.unwrap().collect().await.unwrap();
        let (time, computed) = (since.elapsed(), process::seconds(scheduler) - before);
        let ideal = *tasks as f64 * args.task_time as f64 / 1000.0 / (args.executors as f64 * f64::from(args.cores));
        println!(
            "{tasks} tasks: {time:.2?} (with no scheduler at all {ideal:.2} s), {:.0} a second; the scheduler computed \
             {:.0} us for each, peak {:.0} MiB",
            *tasks as f64 / time.as_secs_f64(),
            1e6 * computed / *tasks as f64,
            process::peak_memory(scheduler),
        );
    }
}
