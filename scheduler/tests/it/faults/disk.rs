//! Disks that are full, and what keeps them from it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use eos_testbed::Volume;
use futures::StreamExt;
use root_engine::{ErrorKind, RootSession, kind_of, message_of};

use super::{TIMES, count_events, count_pairs, number};
use crate::support::{Process, SAMPLE, connected, free_port, programs, until};

/// Bytes of the disk.
const SIZE: u64 = 2 << 20;

/// A directory with little room for the rows of an executor, and the executor.
fn executor(port: u16) -> (Volume, Process) {
    let scheduler = format!("http://127.0.0.1:{port}");
    let arguments = |command: &mut Command, folder: &Path| {
        command.args(["--scheduler", &scheduler, "--cores", "2", "--work-dir"]).arg(folder);
    };
    match Volume::of_size(SIZE) {
        Ok(volume) => {
            let mut command = Command::new(programs().join("root-executor"));
            arguments(&mut command, &volume.path("/"));
            (volume, Process::spawn(command))
        }
        Err(reason) => {
            eprintln!("{reason}; files that may not grow take its place");
            let volume = Volume::new();
            let mut command = Command::new("sh");
            // In blocks of 512 bytes.
            command.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", SIZE / 512));
            command.arg(programs().join("root-executor"));
            arguments(&mut command, &volume.path("/"));
            (volume, Process::spawn(command))
        }
    }
}

/// Bytes of files.
fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(
            |entry| {
                if entry.path().is_dir() { bytes_in(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) }
            },
        )
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_query_that_filled_it_with_an_error_that_names_the_place_and_has_room_afterwards() {
    let port = free_port();
    let _scheduler = Process::scheduler(port);
    let (volume, _executor) = executor(port);
    let cluster = connected(port).await;
    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    let file = format!("'{SAMPLE}:Events'");
    // A million rows to another stage.
    let sql = format!(
        "SELECT count(*) FROM (SELECT a.\"MET_pt\" + b.\"MET_pt\" + b.\"MET_phi\" AS s, count(*) FROM {file} a \
         CROSS JOIN {file} b GROUP BY s)"
    );
    let error = number(&session, &sql).await.unwrap_err();
    let text = message_of(&error);
    assert!(text.contains("no room left") && text.contains(&volume.path("/").display().to_string()), "{text}");
    assert!(text.contains("127.0.0.1:"), "{text}");
    assert_eq!(kind_of(&error), ErrorKind::Query);
    assert_eq!(count_events(&session).await.unwrap(), 1000);
    // What is left is of the query that went well.
    until(Duration::from_secs(30), || bytes_in(&volume.path("/")) < 20_000).await;
}

/// The directory for rows of the only executor that has its place in a directory.
fn rows_in(folder: &Path) -> PathBuf {
    let only = std::fs::read_dir(folder).unwrap().next().expect("the directory of an executor").unwrap();
    only.path().join("rows")
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_removed_as_soon_as_they_are_fetched() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let _scheduler = Process::scheduler_with(port, &["--keep-results", "3600"]);
    let _executor = Process::executor_with(port, &["--work-dir", &folder.path().display().to_string()]);
    let cluster = connected(port).await;
    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    let sql = format!("SELECT \"MET_pt\" FROM '{SAMPLE}:Events'");
    let mut stream = session.sql(&sql).await.unwrap().execute_stream().await.unwrap();
    assert!(stream.next().await.unwrap().unwrap().num_rows() > 0);
    assert!(bytes_in(&rows_in(folder.path())) > 0);

    // The rest of them, and then the end.
    let rest: Vec<_> = stream.by_ref().collect().await;
    assert!(rest.iter().all(Result::is_ok));
    until(Duration::from_secs(10), || bytes_in(&rows_in(folder.path())) == 0).await;

    // Those that nobody wants any more.
    let mut stream = session.sql(&sql).await.unwrap().execute_stream().await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    until(Duration::from_secs(10), || bytes_in(&rows_in(folder.path())) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_removes_by_itself_rows_that_no_job_of_its_scheduler_wants() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let _scheduler = Process::scheduler_with(port, &["--keep-results", "1"]);
    let _executor = Process::executor_with(port, &["--work-dir", &folder.path().display().to_string()]);
    let cluster = connected(port).await;
    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    // Of a scheduler that is no more; and something that is not the rows of a job.
    let rows = rows_in(folder.path());
    let (forgotten, other) = (rows.join("01a208d4c4287679947dbc819364a8d2/1/0"), rows.join("other"));
    std::fs::create_dir_all(&forgotten).unwrap();
    std::fs::write(forgotten.join("data-0.arrow"), "rows").unwrap();
    std::fs::create_dir(&other).unwrap();
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });

    until(Duration::from_secs(60), || !rows.join("01a208d4c4287679947dbc819364a8d2").exists()).await;

    assert!(other.exists());
    assert_eq!(query.await.unwrap().unwrap(), TIMES * 1_000_000, "what is wanted stays");
}
