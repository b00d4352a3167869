//! The notebook that the project shows, run as its readers do.

use std::path::Path;
use std::process::Command;

use crate::support::{Process, SAMPLE, connected, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn the_notebook_finds_the_pairs_that_uproot_and_numpy_find() {
    let port = free_port();
    let data = Path::new(SAMPLE).parent().unwrap().to_str().unwrap();
    let _scheduler = Process::scheduler_with(port, &["--offer", data]);
    let _executor = Process::executor(port);
    connected(port).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var("ROOT_QUERY_PYTHON").unwrap_or_else(|_| "python3".into());
    let run = Command::new(&python)
        .arg(folder.join("tests/it/notebook.py"))
        .arg(folder.join("../examples/notebooks/dimuon.ipynb").canonicalize().unwrap())
        .arg(SAMPLE)
        .env("ROOT_QUERY_URL", format!("grpc://127.0.0.1:{port}"))
        .env("MPLBACKEND", "agg")
        .output()
        .unwrap_or_else(|error| panic!("{python}: {error}; `make test-packages` installs what the tests need"));
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(!errors.contains("ModuleNotFoundError"), "{errors}\n`make test-packages` installs what the tests need");
    assert!(run.status.success(), "{errors}");
    // The number by uproot and numpy, as in the tests of SQL.
    assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), "113");
}
