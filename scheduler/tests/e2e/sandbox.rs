//! A Kubernetes with a real kubelet, in namespaces of its own, with our programs as an image, and a server of files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The image with our programs.
pub const IMAGE: &str = "root-query.test/root-query:1";
/// Where pods and we reach the server of files.
pub const FILES: &str = "root://10.99.0.1/";
/// How long Kubernetes may take for anything.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The sandbox. With it everything in it ends.
pub struct Sandbox {
    folder: PathBuf,
    programs: PathBuf,
    files: Option<Child>,
}

impl Sandbox {
    /// One with the programs of a folder, and one file of events.
    pub fn start(programs: &Path, events: &Path) -> Self {
        let folder = std::env::temp_dir().join(format!("root-query-e2e-{}", std::process::id()));
        fs::create_dir_all(folder.join("files")).unwrap();
        let archive = image(&folder, programs);
        let mut sandbox = Self { folder, programs: programs.to_path_buf(), files: None };
        let mut up = script("up");
        up.arg(sandbox.folder.join("node")).args(["--owner", &std::process::id().to_string()]).arg(&archive);
        checked(&mut up);
        fs::remove_file(archive).unwrap();
        sandbox.files = Some(sandbox.serve(events));
        eventually("the server of files answers", || {
            let output = sandbox.inside("xrdfs").args([FILES, "stat", "/events.root"]).output().unwrap();
            let log = || fs::read_to_string(sandbox.folder.join("xrootd.log")).unwrap_or_default();
            if output.status.success() { Ok(()) } else { Err(log()) }
        });
        sandbox
    }

    /// A real server, which root may not run.
    fn serve(&self, events: &Path) -> Child {
        let files = self.folder.join("files");
        fs::copy(events, files.join("events.root")).unwrap();
        let config = files.join("xrootd.cfg");
        let text = format!(
            "all.export /\noss.localroot {files}\nall.adminpath {files}/admin\nall.pidpath {files}/admin\n\
             xrd.network nodnr\n",
            files = files.display()
        );
        fs::write(&config, text).unwrap();
        for folder in [&self.folder, &files] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let nobody = Some(65_534);
        chown(&files, nobody, nobody).unwrap();
        let mut server = self.inside("setpriv");
        server.args(["--reuid=65534", "--regid=65534", "--clear-groups", "xrootd", "-c"]).arg(&config);
        let log = fs::File::create(self.folder.join("xrootd.log")).unwrap();
        // Nobody in the sandbox knows the name of its machine, for which the server asks before it listens.
        server.env("RES_OPTIONS", "timeout:1 attempts:1");
        server.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null());
        server.spawn().unwrap()
    }

    /// A program in the network of the sandbox, as its administrator.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = script("inside");
        command.arg(self.folder.join("node")).arg(program);
        command
    }

    /// Our command there.
    pub fn root_query(&self, arguments: &[&str]) -> Command {
        let mut command = self.inside(&self.programs.join("root-query").display().to_string());
        command.args(arguments);
        command
    }

    /// What `kubectl` answers.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        String::from_utf8(checked(self.inside("kubectl").args(arguments)).stdout).unwrap()
    }

    /// The same, where there may be no answer.
    pub fn ask(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.inside("kubectl").args(arguments).args(["-o", "json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())
    }

    /// Stops or starts a daemon of Kubernetes.
    pub fn daemon(&self, verb: &str, name: &str) {
        checked(script("daemon").arg(self.folder.join("node")).args([verb, name]));
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(server) = &mut self.files {
            // It may have ended.
            let _ = server.kill();
            let _ = server.wait();
        }
        let mut down = script("down");
        if std::thread::panicking() {
            println!("the logs are in {}", self.folder.display());
            down.arg("--keep");
        }
        let is_down = down.arg(self.folder.join("node")).status().is_ok_and(|status| status.success());
        if !std::thread::panicking() {
            assert!(is_down, "the sandbox does not end");
            fs::remove_dir_all(&self.folder).unwrap();
        }
    }
}

/// An image with our programs, without what only debuggers want.
fn image(folder: &Path, programs: &Path) -> PathBuf {
    let archive = folder.join("image.tar");
    let mut command = script("image.py");
    command.arg(IMAGE).arg(&archive).args(["--user", "65532"]);
    for name in ["root-query", "root-scheduler", "root-executor"] {
        let stripped = folder.join(name);
        checked(Command::new("strip").arg("-o").arg(&stripped).arg(programs.join(name)));
        command.arg("--program").arg(&stripped);
    }
    checked(&mut command);
    archive
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes/testbed/node").join(name))
}

/// What a command has to say that must not fail.
pub fn checked(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {text}", output.status);
    output
}

/// Waits until something is had, and says what was seen last if it never is.
pub fn eventually<T>(what: &str, mut get: impl FnMut() -> Result<T, String>) -> T {
    let since = Instant::now();
    loop {
        match get() {
            Ok(got) => return got,
            Err(seen) => assert!(since.elapsed() < PATIENCE, "{what}: {seen}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
