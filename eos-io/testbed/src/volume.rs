//! The files that a server serves.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{Account, Dir};
use crate::tools;

/// A directory of files for a server, removed when dropped. Several servers may serve the same one.
///
/// Paths are those that clients use, `/dir/file`. What is made here belongs to the servers' user.
#[derive(Debug)]
pub struct Volume {
    root: PathBuf,
    _dir: Dir,
}

impl Volume {
    /// An empty one.
    pub fn new() -> Self {
        let dir = Dir::new("volume");
        Self { root: dir.folder("data"), _dir: dir }
    }

    /// One that holds no more than so many bytes (at least a few pages): writing more fails as on a full disk.
    ///
    /// # Errors
    /// Why there is none: it is a file system of its own, which only root can mount, and not in every container. Then
    /// [`file_limit`](crate::XrootdBuilder::file_limit) makes writes fail with another error.
    pub fn of_size(bytes: u64) -> Result<Self, String> {
        let volume = Self::new();
        let mode = Account::of_servers()
            .map_or("mode=755".to_owned(), |account| format!("mode=755,uid={},gid={}", account.uid, account.gid));
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes},{mode}"), "eos-testbed"])
            .arg(&volume.root)
            .output()
            .map_err(|error| format!("cannot run mount: {error}"))?;
        if mounted.status.success() {
            Ok(volume)
        } else {
            let reason = String::from_utf8_lossy(&mounted.stderr).trim().to_owned();
            Err(format!("a file system of a given size cannot be mounted here: {reason}"))
        }
    }

    /// Where a file lies on disk.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Makes a file.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let file = self.path(path);
        if let Some(parent) = file.parent() {
            self.make_folder(parent);
        }
        fs::write(&file, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
        Account::give(&file);
        self
    }

    /// Makes a file of [`random_bytes`], and returns them.
    pub fn write_random(&self, path: &str, seed: u64, len: usize) -> Vec<u8> {
        let content = random_bytes(seed, len);
        self.write(path, &content);
        content
    }

    /// Makes an empty directory.
    pub fn folder(&self, path: &str) -> &Self {
        self.make_folder(&self.path(path));
        self
    }

    /// Reads a file, which a client may have written.
    pub fn read(&self, path: &str) -> Vec<u8> {
        let file = self.path(path);
        fs::read(&file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()))
    }

    /// Whether there is such a file or directory.
    pub fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) -> &Self {
        let file = self.path(path);
        fs::remove_file(&file).unwrap_or_else(|error| panic!("cannot remove {}: {error}", file.display()));
        self
    }

    /// Sets who may do what: `0o000` makes a file or directory that the server cannot read, `0o555` a directory that
    /// it cannot write to.
    pub fn permit(&self, path: &str, mode: u32) -> &Self {
        let file = self.path(path);
        fs::set_permissions(&file, Permissions::from_mode(mode))
            .unwrap_or_else(|error| panic!("cannot change {}: {error}", file.display()));
        self
    }

    fn make_folder(&self, folder: &Path) {
        let missing: Vec<&Path> = folder.ancestors().take_while(|part| !part.exists()).collect();
        for part in missing.into_iter().rev() {
            fs::create_dir(part).unwrap_or_else(|error| panic!("cannot make {}: {error}", part.display()));
            Account::give(part);
        }
    }
}

impl Default for Volume {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // A directory that not even we may read could not be removed by anybody but root.
        if !rustix::process::geteuid().is_root() {
            let _ = tools::Tool::new("chmod").args("-R u+rwX").arg(&self.root).run();
        }
    }
}

/// Bytes that look random and are the same on every machine.
pub fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&next_random(&mut state).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The next number of the SplitMix64 sequence.
pub(crate) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
