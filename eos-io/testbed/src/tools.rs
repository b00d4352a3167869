//! Programs that the servers are made of: where they are, which package has them, running them to their end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which package of Debian has a program.
const PACKAGES: &[(&str, &str)] = &[
    ("cmsd", "xrootd-server"),
    ("curl", "curl"),
    ("java", "default-jdk-headless"),
    ("kadmin.local", "krb5-admin-server"),
    ("kdb5_util", "krb5-kdc"),
    ("kinit", "krb5-user"),
    ("krb5kdc", "krb5-kdc"),
    ("mvn", "maven"),
    ("openssl", "openssl"),
    ("sqlite3", "sqlite3"),
    ("xrdcp", "xrootd-client"),
    ("xrdfs", "xrootd-client"),
    ("xrdgsiproxy", "xrootd-client"),
    ("xrdsssadmin", "xrootd-server"),
    ("xrootd", "xrootd-server"),
];

/// What to do about a missing package.
pub(crate) fn advice(package: &str) -> String {
    format!("install the package `{package}` (`.ci/packages test` installs all that tests need)")
}

/// The path of a program.
///
/// # Panics
/// If it is not installed, naming the package that has it.
pub fn program(name: &str) -> PathBuf {
    // The programs of administrators are not on everybody's path.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file()).unwrap_or_else(|| {
        let package = PACKAGES.iter().find(|(program, _)| *program == name).map_or(name, |(_, package)| package);
        panic!("the program `{name}` is missing: {}", advice(package))
    })
}

/// A program that is run to its end.
#[derive(Debug)]
pub struct Tool {
    command: Command,
    input: Vec<u8>,
}

/// What a program wrote, and whether it succeeded.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Whether its exit code was 0.
    pub ok: bool,
    /// Its standard output.
    pub output: Vec<u8>,
    /// Its standard error.
    pub errors: String,
}

impl Ran {
    /// Its standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

impl Tool {
    /// Looks up a program.
    ///
    /// # Panics
    /// If it is not installed, naming the package that has it.
    pub fn new(name: &str) -> Self {
        Self { command: Command::new(program(name)), input: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds the arguments of a line, which are separated by spaces.
    #[must_use]
    pub fn args(mut self, line: &str) -> Self {
        self.command.args(line.split_whitespace());
        self
    }

    /// Sets variables.
    #[must_use]
    pub fn envs(mut self, variables: &[(String, String)]) -> Self {
        self.command.envs(variables.iter().map(|(name, value)| (name, value)));
        self
    }

    /// Runs it in a directory.
    #[must_use]
    pub fn inside(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What it reads from its standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs it, whatever comes of it.
    ///
    /// # Panics
    /// If it cannot be run at all.
    pub fn run(mut self) -> Ran {
        let pipes = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap_or_else(|error| panic!("cannot run {:?}: {error}", self.command));
        let mut stdin = child.stdin.take().expect("it was asked for");
        let input = std::mem::take(&mut self.input);
        // A program may end without reading everything, or write much before it reads.
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap_or_else(|error| panic!("cannot run {:?}: {error}", self.command));
        let _ = writer.join();
        Ran {
            ok: output.status.success(),
            output: output.stdout,
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it.
    ///
    /// # Panics
    /// With what it wrote, if it fails.
    pub fn check(self) -> Ran {
        let shown = format!("{:?}", self.command);
        let ran = self.run();
        assert!(ran.ok, "{shown} failed:\n{}\n{}", ran.text(), ran.errors);
        ran
    }
}
