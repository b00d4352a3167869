//! Places on disk: temporary directories that servers can reach, and that do not outlive the tests.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, OnceLock};

use crate::tools;

const PREFIX: &str = "eos-testbed-";
/// Locked as long as the process lives that made the directory.
const LOCK: &str = ".lock";

/// The directories that are still there: statics are never dropped, so what they hold is removed when the process ends.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The user that servers run as: `xrootd` refuses to be root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// The account of the Debian package when the tests run as root, and `None`, which is the caller's own, otherwise.
    pub fn of_servers() -> Option<Self> {
        static FOUND: OnceLock<Option<Account>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            rustix::process::geteuid().is_root().then(|| {
                let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
                let mut fields =
                    users.lines().find(|line| line.starts_with("xrootd:")).map(|line| line.split(':').skip(2));
                let mut number = || fields.as_mut()?.next()?.parse().ok();
                match (number(), number()) {
                    (Some(uid), Some(gid)) => Self { uid, gid },
                    _ => panic!("there is no user `xrootd` to run servers as: {}", tools::advice("xrootd-server")),
                }
            })
        })
    }

    /// Gives a file to the servers' user.
    pub fn give(path: &Path) {
        if let Some(account) = Self::of_servers() {
            chown(path, Some(account.uid), Some(account.gid))
                .unwrap_or_else(|error| panic!("cannot change the owner of {}: {error}", path.display()));
        }
    }
}

/// A temporary directory that belongs to the servers' user; removed when dropped.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
    _lock: File,
}

impl Dir {
    /// A new one, with something of what it is for in its name.
    pub fn new(what: &str) -> Self {
        static SWEPT: Once = Once::new();
        // Without it another process could sweep away what is made here, before it is locked.
        let _alone = alone(root());
        SWEPT.call_once(|| {
            sweep(root());
            crate::process::at_exit();
        });
        let path = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{what}-"))
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(root())
            .unwrap_or_else(|error| panic!("cannot make a directory in {}: {error}", root().display()))
            .keep();
        LIVE.lock().unwrap().insert(path.clone());
        let lock = File::create(path.join(LOCK)).expect("a new directory takes a file");
        lock.lock().expect("nobody else knows of the file");
        Account::give(&path);
        Self { path, _lock: lock }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A directory inside of this one, for the servers' user.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).expect("our own directory takes another");
        Account::give(&path);
        path
    }

    /// A file that everybody can read.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// A copy that only the servers' user can read, as secrets have to be.
    pub fn secret_for_servers(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.secret(name, content);
        Account::give(&path);
        path
    }

    /// A file that only the caller can read.
    pub fn secret(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name, content);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("the file is ours");
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        LIVE.lock().unwrap().remove(&self.path);
        remove(&self.path);
    }
}

/// Removes what is left when the process ends.
pub(crate) fn remove_all() {
    if let Ok(mut live) = LIVE.lock() {
        for path in std::mem::take(&mut *live) {
            remove(&path);
        }
    }
}

/// The directory for temporary files, or one that other users can enter where that of the tests is private.
fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let open = |path: &PathBuf| {
            Account::of_servers().is_none()
                || path.ancestors().all(|part| fs::metadata(part).is_ok_and(|meta| meta.mode() & 0o001 != 0))
        };
        [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")].into_iter().find(open).unwrap_or_else(
            || panic!("no directory for temporary files can be entered by the user `xrootd`: set TMPDIR to one"),
        )
    })
}

/// Keeps all other processes from making directories and from sweeping, as long as it is held.
fn alone(root: &Path) -> Option<File> {
    let path = root.join(".eos-testbed.lock");
    // Created only if it is not there: a file of another user can be opened, but not as one to be created.
    let file = File::open(&path).or_else(|_| File::create(&path)).ok()?;
    file.lock().ok()?;
    Some(file)
}

/// Removes the directories of processes that were killed.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let abandoned = || File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if ours && abandoned() {
            remove(&entry.path());
        }
    }
}

fn remove(path: &Path) {
    for mount in mounts_under(path) {
        let _ = std::process::Command::new("umount").arg("-l").arg(mount).status();
    }
    // A server that was just killed may still be letting go of a file.
    for _ in 0..20 {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            _ => return,
        }
    }
}

fn mounts_under(path: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(PathBuf::from)
        .filter(|mount| mount.starts_with(path))
        .collect()
}
