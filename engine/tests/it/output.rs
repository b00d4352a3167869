//! Results as ROOT files, by `COPY … TO`.

use std::time::Duration;

use root_engine::{RootSession, TableOptions};

use crate::support::{count, rows};

#[test]
fn a_partitioned_result_may_have_more_files_than_there_are_blocking_threads() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(2).enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let session = RootSession::builder().threads(2).batch_rows(64).build();
    // Every batch has rows for all files, so all are open until the last one.
    let numbers = "SELECT value AS n, value % 20 AS part FROM generate_series(1, 8000)";
    let to = directory.path().display();
    let copy = format!("COPY ({numbers}) TO '{to}/' STORED AS ROOT PARTITIONED BY (part)");

    let written = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), rows(&session, &copy)).await.expect("it hangs");
        let files = (0..20).flat_map(|part| std::fs::read_dir(directory.path().join(format!("part={part}"))).unwrap());
        let files: Vec<String> = files.map(|file| format!("{}:Events", file.unwrap().path().display())).collect();
        session.register("written", &files, &TableOptions::default()).await.unwrap();
        (
            files.len(),
            count(&session, "SELECT count(*) FROM written").await,
            count(&session, "SELECT sum(n) FROM written").await,
        )
    });

    assert_eq!(written, (20, 8000, 8000 * 8001 / 2));
}
