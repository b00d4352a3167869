//! Many short tasks: one small file each.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use root_cluster::{LocalCluster, LocalOptions};
use root_engine::{PartitionSize, RootSession, TableOptions};
use tempfile::TempDir;

use crate::process;

#[derive(clap::Args)]
pub struct Args {
    /// Tasks
    #[arg(long, default_value_t = 10_000)]
    tasks: usize,
    /// Executors of one core
    #[arg(long, default_value_t = 2)]
    executors: usize,
}

/// Names of one file that an inode may have, with room to spare.
const LINKS: usize = 10_000;

/// Files with one entry each, as a pattern.
pub async fn small_files(folder: &TempDir, count: usize) -> String {
    let path = |number: usize| folder.path().join(format!("small-{number}.root"));
    let first = path(0);
    let sql = format!("COPY (SELECT 5 AS x) TO '{}' STORED AS ROOT", first.display());
    RootSession::new().sql(&sql).await.unwrap().collect().await.unwrap();
    for number in 1..count {
        if number % LINKS == 0 {
            fs::copy(&first, path(number)).unwrap();
        } else {
            fs::hard_link(path(number - number % LINKS), path(number)).unwrap();
        }
    }
    folder.path().join("*.root").display().to_string()
}

/// Has each file be a partition, and each partition a task.
pub async fn split(session: &RootSession, files: String) {
    {
        let state = session.context().state_ref();
        let mut state = state.write();
        let config = state.config_mut();
        config.set_extension(Arc::new(PartitionSize { bytes: 1, per_core: usize::MAX }));
        config.options_mut().set("ballista.scheduler.max_partitions_per_task", "1").unwrap();
    }
    session.register("t", &[files], &TableOptions::default()).await.unwrap();
}

pub async fn run(args: &Args) {
    let folder = tempfile::tempdir().unwrap();
    let files = small_files(&folder, args.tasks).await;
    let cluster = LocalCluster::start(&LocalOptions::new(args.executors, 1)).await.unwrap();
    let session = RootSession::builder().elsewhere(cluster.cluster().elsewhere().await.unwrap()).build();
    split(&session, files).await;
    let before = process::seconds(cluster.scheduler_id());
    let since = Instant::now();
    let rows = session.sql("SELECT count(*) FROM t WHERE x > 4").await.unwrap().collect().await.unwrap();
    let time = since.elapsed();
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), args.tasks as i64);
    let scheduler = process::seconds(cluster.scheduler_id()) - before;
    println!(
        "{} tasks on {} executors: {time:.2?}, {:.0} tasks a second; the scheduler computed {scheduler:.2} s, peak {:.0} MiB",
        args.tasks,
        args.executors,
        args.tasks as f64 / time.as_secs_f64(),
        process::peak_memory(cluster.scheduler_id()),
    );
}
