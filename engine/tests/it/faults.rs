//! Files that are missing, damaged, of another kind or not allowed: what fails, what is passed over, and what is said.

use std::path::{Path, PathBuf};

use root_engine::{Error, ErrorKind, OnBadFile, Outcome, RootSession, TableOptions, kind_of, message_of};

use crate::support::{count, data, directory_of, project, rows};

fn skipping() -> TableOptions {
    TableOptions { on_bad_file: OnBadFile::Skip, tree: Some("Events".into()), ..TableOptions::default() }
}

fn stopping() -> TableOptions {
    TableOptions { tree: Some("Events".into()), ..TableOptions::default() }
}

/// The three years, and beside them a file of another kind and one of zeros.
fn spoilt() -> tempfile::TempDir {
    let years = [2011, 2012, 2013]
        .map(|year| (format!("{year}.root"), project(&format!("engine/tests/data/runs/{year}.root"))));
    let directory = directory_of(&years.each_ref().map(|(name, path)| (name.as_str(), path.as_path())));
    std::fs::write(directory.path().join("2010.root"), "<html>404 Not Found</html>").unwrap();
    std::fs::write(directory.path().join("2014.root"), [0; 1000]).unwrap();
    directory
}

fn specs(path: &Path) -> Vec<String> {
    vec![path.display().to_string()]
}

#[tokio::test]
async fn a_bad_file_stops_the_query_and_is_named() {
    let directory = spoilt();
    let session = RootSession::new();
    let error = session.register("t", &specs(directory.path()), &stopping()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("2010.root: not a ROOT file"), "{error}");
}

#[tokio::test]
async fn bad_files_that_are_skipped_stand_in_the_ledger() {
    let directory = spoilt();
    let session = RootSession::new();
    let table = session.register("t", &specs(directory.path()), &skipping()).await.unwrap();
    assert_eq!(table.files().len(), 3);
    assert_eq!(count(&session, "SELECT count(*) FROM t").await, 300);
    assert_eq!(count(&session, "SELECT sum(event) FROM t WHERE nMuon >= 0").await, 44850);

    let ledger = session.ledger();
    assert_eq!(ledger.skipped(), 2);
    let files = ledger.files();
    assert_eq!(files.len(), 5);
    for record in files {
        match &record.outcome {
            Outcome::Skipped { reason } => {
                assert!(record.file.ends_with("2010.root") || record.file.ends_with("2014.root"), "{record:?}");
                assert!(reason.contains("not a ROOT file"), "{reason}");
                assert_eq!(record.entries, 0);
            }
            other => assert_eq!((other, record.entries), (&Outcome::Ok, 100), "{}", record.file),
        }
    }
}

#[tokio::test]
async fn a_file_without_the_tree_has_an_outcome_of_its_own() {
    let year = project("engine/tests/data/runs/2011.root");
    let other = project("root-reader/tests/fixtures/uproot_many_baskets.root");
    let directory = directory_of(&[("a.root", &other), ("b.root", &year)]);
    let session = RootSession::new();
    session.register("t", &specs(directory.path()), &skipping()).await.unwrap();
    assert_eq!(count(&session, "SELECT count(*) FROM t").await, 100);
    let outcomes: Vec<Outcome> = session.ledger().files().into_iter().map(|f| f.outcome).collect();
    assert!(outcomes.contains(&Outcome::NoTree) && outcomes.contains(&Outcome::Ok), "{outcomes:?}");
    let error = session.register("u", &specs(directory.path()), &stopping()).await.unwrap_err();
    assert!(error.to_string().contains("a.root: no tree 'Events'"), "{error}");
}

#[tokio::test]
async fn files_that_are_all_bad_are_an_error_even_when_skipped() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.root"), "no").unwrap();
    std::fs::write(directory.path().join("b.root"), "no").unwrap();
    let session = RootSession::new();
    let error = session.register("t", &specs(directory.path()), &skipping()).await.unwrap_err();
    assert!(matches!(error, Error::NoReadableFile { count: 2, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Input);
}

/// `clusters.root` as it is, and with a basket of `hits` that does not begin as a compressed one: entries 500 to 599.
fn damaged() -> tempfile::TempDir {
    let path = PathBuf::from(data("other/clusters.root"));
    let mut bytes = std::fs::read(&path).unwrap();
    // Class, name and title in a basket's key; 19 bytes of the basket and then the compressed frame follow.
    let key = b"\x07TBasket\x04hits\x06Events";
    let keys: Vec<usize> = bytes.windows(key.len()).enumerate().filter(|(_, w)| w == key).map(|(i, _)| i).collect();
    assert_eq!(keys.len(), 16);
    // The first two baskets stand behind the others, where there was room.
    let frame = keys[7] + key.len() + 19;
    assert_eq!(&bytes[frame..frame + 2], b"ZS");
    bytes[frame] = b'?';
    let directory = directory_of(&[("whole.root", &path)]);
    std::fs::write(directory.path().join("damaged.root"), bytes).unwrap();
    directory
}

#[tokio::test]
async fn damage_that_a_query_meets_is_located() {
    let directory = damaged();
    let session = RootSession::new();
    session.register("t", &specs(&directory.path().join("damaged.root")), &stopping()).await.unwrap();
    let error = session.sql("SELECT hits FROM t").await.unwrap().collect().await.unwrap_err();
    assert_eq!(kind_of(&error), ErrorKind::Input);
    let message = message_of(&error);
    for part in ["damaged.root", "tree 'Events'", "branch 'hits'", "basket 5", "entries 500..600"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    // Who does not meet it is not concerned.
    assert_eq!(count(&session, "SELECT sum(id) FROM t").await, 1_279_200);
    assert_eq!(count(&session, "SELECT sum(array_length(hits)) FROM t WHERE id < 498").await, 498);
}

#[tokio::test]
async fn damage_that_is_skipped_makes_the_result_partial_and_the_ledger_says_so() {
    let directory = damaged();
    let session = RootSession::builder().threads(1).batch_rows(100).build();
    session.register("t", &specs(directory.path()), &skipping()).await.unwrap();
    let batches = rows(&session, "SELECT hits FROM t").await;
    // All entries of the whole file, and those of the other one before the damage.
    assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 1600 + 500);
    let ledger = session.ledger();
    assert_eq!(ledger.skipped(), 1);
    let record = ledger.files().into_iter().find(|f| f.outcome != Outcome::Ok).unwrap();
    assert!(record.file.ends_with("damaged.root"));
    assert!(matches!(&record.outcome, Outcome::Skipped { reason } if reason.contains("basket 5")), "{record:?}");
}

#[tokio::test]
async fn errors_tell_programs_what_is_at_fault() {
    let session = RootSession::new();
    let register = |spec: String| {
        let session = session.clone();
        async move { session.register("t", &[spec], &TableOptions::default()).await.unwrap_err().kind() }
    };
    assert_eq!(register(data("runs") + "/2040.root").await, ErrorKind::Input);
    assert_eq!(register("gopher://host/a.root".into()).await, ErrorKind::Usage);
    let layout = project("root-reader/tests/fixtures/uproot_layout.root").display().to_string();
    assert_eq!(register(layout).await, ErrorKind::Usage);
    let mut options = TableOptions::default();
    assert_eq!(options.set("row_id", "perhaps").unwrap_err().kind(), ErrorKind::Usage);
    for sql in ["SELEC 1", "SELECT nothing FROM nowhere", "SELECT 1; SELECT 2"] {
        assert_eq!(session.sql(sql).await.unwrap_err().kind(), ErrorKind::Query, "{sql}");
    }
}

#[tokio::test]
async fn an_empty_file_is_called_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.root"), "").unwrap();
    let session = RootSession::new();
    let error = session.register("t", &specs(&directory.path().join("a.root")), &stopping()).await.unwrap_err();
    assert!(error.to_string().contains("a.root: not a ROOT file"), "{error}");
}

/// A file that the system does not let this process read: one without permissions, or, as root may read that, one that
/// the kernel lets nobody read.
fn forbidden(directory: &Path) -> Option<PathBuf> {
    let path = directory.join("forbidden.root");
    let denied =
        |path: &Path| std::fs::File::open(path).is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        std::fs::write(&path, "secret").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        if !denied(&path) {
            std::fs::remove_file(&path).unwrap();
            symlink("/proc/sys/net/ipv4/route/flush", &path).unwrap();
        }
    }
    denied(&path).then_some(path)
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_never_skipped() {
    let directory = directory_of(&[("2011.root", &project("engine/tests/data/runs/2011.root"))]);
    let Some(_) = forbidden(directory.path()) else {
        eprintln!("SKIPPED: this system lets the tests read every file");
        return;
    };
    for options in [skipping(), stopping()] {
        let session = RootSession::new();
        let error = session.register("t", &specs(&directory.path().join("*.root")), &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
        assert!(error.to_string().contains("forbidden.root"), "{error}");
    }
}
