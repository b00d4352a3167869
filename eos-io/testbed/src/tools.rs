//! Programs that the servers are made of: where they are, which package has them, running them to their end.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients try for many minutes; a test that waits for that has failed.
const PATIENCE: Duration = Duration::from_secs(60);

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
    patience: Duration,
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
        Self { command: Command::new(program(name)), input: Vec::new(), patience: PATIENCE }
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

    /// How long it may take, if that is not a minute.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs it, whatever comes of it.
    ///
    /// # Panics
    /// If it cannot be run at all, or does not end.
    pub fn run(mut self) -> Ran {
        let pipes = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap_or_else(|error| panic!("cannot run {:?}: {error}", self.command));
        // All three at once, as it may read and write in any order; and it may end without reading everything.
        let (mut stdin, input) = (child.stdin.take().expect("piped"), self.input);
        std::thread::spawn(move || stdin.write_all(&input));
        let output = read_all(child.stdout.take().expect("piped"));
        let errors = read_all(child.stderr.take().expect("piped"));

        let began = Instant::now();
        let status = loop {
            match child.try_wait().expect("it is our child") {
                Some(status) => break status,
                None if began.elapsed() < self.patience => std::thread::sleep(Duration::from_millis(2)),
                None => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let errors = errors.join().unwrap_or_default();
                    let errors = String::from_utf8_lossy(&errors);
                    panic!("{:?} did not end within {:?}:\n{errors}", self.command, self.patience);
                }
            }
        };
        let output = output.join().expect("reading does not panic");
        let errors = String::from_utf8_lossy(&errors.join().expect("reading does not panic")).into_owned();
        Ran { ok: status.success(), output, errors }
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

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "install the package `no-such-program`")]
    fn a_missing_program_is_named_with_its_package() {
        super::program("no-such-program");
    }
}
