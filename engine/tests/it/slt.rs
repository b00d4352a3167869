//! Runs `tests/slt/*.slt`: SQL and its results as text. Paths in them start at the folder of this crate.

use std::path::Path;
use std::sync::Arc;

use root_engine::RootSession;
use sqllogictest::Runner;

use super::database::Database;
use super::wire::OverTheWire;

/// One file, once on one partition, once on three, and once with plans that went through their encoded form: the answers
/// are the same.
async fn run(file: &str) {
    let path = Path::new("tests/slt").join(file);
    let session = RootSession::builder;
    for (how, session) in [
        ("with one thread", session().threads(1)),
        ("with three threads", session().threads(3)),
        ("over the wire", session().threads(3).elsewhere(Arc::new(OverTheWire))),
    ] {
        let session = session.build();
        let mut runner = Runner::new(|| async { Ok(Database(session.clone())) });
        runner.with_column_validator(sqllogictest::strict_column_validator);
        if let Err(error) = runner.run_file_async(&path).await {
            panic!("{how}: {}", error.display(false));
        }
    }
}

macro_rules! files {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            run(concat!(stringify!($name), ".slt")).await;
        })*

        #[test]
        fn every_file_is_run() {
            let mut found: Vec<String> = std::fs::read_dir("tests/slt")
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort();
            assert_eq!(found, [$(concat!(stringify!($name), ".slt")),*]);
        }
    };
}

files!(
    datasets, defaults, files, friends, histograms, lists, luminosity, names, nested, objects, physics, products,
    row_id, selection, trees, types
);
