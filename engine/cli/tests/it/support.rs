//! What the tests share: the data, and a way to run the binary.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a run left behind.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    /// Standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output as lines.
    pub fn lines(&self) -> Vec<&str> {
        self.text().lines().collect()
    }

    /// Fails unless the run ended well and said nothing.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// Fails unless the run failed with this code, wrote no data, and said these words.
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{}{}", self.text(), self.stderr);
        assert!(self.stdout.is_empty(), "{}", self.text());
        for word in words {
            assert!(self.stderr.contains(word), "no '{word}' in: {}", self.stderr);
        }
        self
    }
}

/// The binary, in an environment that holds none of the user's settings.
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_root-query"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROOT_QUERY_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", home).env_remove("XDG_CONFIG_HOME").env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Run {
    let home = TempDir::new().unwrap();
    finish(command(home.path()).args(args))
}

/// Runs a prepared command to its end.
pub fn finish(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the binary with a text as its standard input.
pub fn run_with_input(args: &[&str], input: &str) -> Run {
    let home = TempDir::new().unwrap();
    let mut command = command(home.path());
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a Python script, in which uproot and awkward are at hand, and gives what it prints, as JSON.
pub fn python(script: &str, args: &[&str]) -> serde_json::Value {
    let program = std::env::var("ROOT_QUERY_PYTHON").unwrap_or_else(|_| "python3".into());
    let head = "import json, sys\n\
                try:\n    import awkward as ak, uproot\n\
                except ImportError as missing:\n    sys.exit(f'{missing}: run `make test-packages`')\n";
    let output = Command::new(&program)
        .arg("-c")
        .arg(format!("{head}{script}"))
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{program} cannot be started ({e}): run `make test-packages`"));
    assert!(output.status.success(), "python failed:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A path in a directory.
pub fn in_dir(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_string()
}

/// The names of what is in a directory, in order.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// 1000 events of CMS open data as NanoAOD, tree `Events` with 86 branches.
pub fn sample() -> String {
    path("../../examples/data/Run2012B_SingleMu_1000.root")
}

/// A file of the engine's tests, or a pattern of such.
pub fn data(name: &str) -> String {
    format!("{}/{name}", path("../tests/data"))
}

/// A file of the reader's fixtures.
pub fn fixture(name: &str) -> String {
    path(&format!("../../root-reader/tests/fixtures/{name}"))
}

fn path(relative: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
    std::fs::canonicalize(path).unwrap().to_str().unwrap().to_string()
}

/// A copy of a file with some bytes overwritten: offsets and lengths.
pub fn damaged(dir: &TempDir, name: &str, original: &str, places: &[(usize, usize)]) -> String {
    let mut bytes = std::fs::read(original).unwrap();
    for (offset, length) in places {
        bytes[*offset..offset + length].fill(0xFF);
    }
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_string()
}
