//! Reading a file that holds a secret: only if nobody else can read it, and wiped from memory after use.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Far above any token, keytab or chain of certificates.
const LARGEST: u64 = 1 << 20;

/// Who, besides its owner, may be able to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    Nobody,
    Group,
}

/// Why a file was not read. Never holds anything of its content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// It is there, and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a directory, a pipe or the like.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error("{} can be read or written by others (its mode is {mode:04o})", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another user has put it there.
    #[error("{} belongs to another user (number {owner})", path.display())]
    OwnedByAnother {
        /// The file.
        path: PathBuf,
        /// The number of that user.
        owner: u32,
    },
    /// It is something else.
    #[error("{} has {size} bytes, more than any credential", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// In bytes.
        size: u64,
    },
}

impl SecretFileError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            SecretFileError::OpenToOthers { path, .. } => Some(format!("chmod 600 {}", path.display())),
            SecretFileError::OwnedByAnother { path, .. } => {
                Some(format!("remove {}, or name a file of your own", path.display()))
            }
            _ => None,
        }
    }
}

/// The content of a file that holds a key, `None` if it is not there. It is refused if others can read it, or if it is
/// another user's.
///
/// # Errors
/// Where it is there and cannot, or must not, be used.
pub fn secret_file(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, SecretFileError> {
    read(path, Readers::Nobody, rustix::process::geteuid().as_raw())
}

/// What a file of an owner must not permit. What the administrator gives to a user has to be readable by the group of that
/// user, as files of secrets are in pods of Kubernetes; other users are kept away by everybody.
fn forbidden(readers: Readers, owner: u32, user_id: u32) -> u32 {
    match readers {
        Readers::Nobody if owner != 0 || user_id == 0 => 0o066,
        Readers::Nobody | Readers::Group => 0o026,
    }
}

/// The content of a file, `None` if it is not there. What is checked is the opened file, so that nobody can exchange it
/// in between.
pub(crate) fn read(path: &Path, readers: Readers, user_id: u32) -> Result<Option<Zeroizing<Vec<u8>>>, SecretFileError> {
    let unreadable = |source| SecretFileError::Unreadable { path: path.to_path_buf(), source };
    // Opening a pipe would wait for whoever writes to it, and servers can name paths too.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(SecretFileError::NotAFile { path: path.to_path_buf() });
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(SecretFileError::NotAFile { path: path.to_path_buf() });
    }
    if metadata.mode() & forbidden(readers, metadata.uid(), user_id) != 0 {
        return Err(SecretFileError::OpenToOthers { path: path.to_path_buf(), mode: metadata.mode() & 0o7777 });
    }
    // Anybody can put a file where tokens are looked for. What the administrator put there for us is fine, and the
    // administrator can use the files of all.
    if user_id != 0 && metadata.uid() != user_id && metadata.uid() != 0 {
        return Err(SecretFileError::OwnedByAnother { path: path.to_path_buf(), owner: metadata.uid() });
    }
    if metadata.len() > LARGEST {
        return Err(SecretFileError::TooLarge { path: path.to_path_buf(), size: metadata.len() });
    }
    // With room for all of it: a vector that grows leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    file.take(LARGEST).read_to_end(&mut content).map_err(unreadable)?;
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "secret").expect("written");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).expect("permitted");
        file
    }

    fn me() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn a_file_of_our_own_is_read() {
        let content = read(file(0o600).path(), Readers::Nobody, me()).expect("readable").expect("there");
        assert_eq!(content.as_slice(), b"secret");
    }

    #[test]
    fn a_missing_file_is_no_error() {
        assert!(read(Path::new("/nowhere/at/all"), Readers::Nobody, me()).expect("no error").is_none());
    }

    #[test]
    fn a_file_open_to_others_is_refused_with_the_command_that_helps() {
        for mode in [0o640, 0o604, 0o620, 0o602, 0o666] {
            let file = file(mode);
            let error = read(file.path(), Readers::Nobody, me()).expect_err("open to others");
            assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
            assert_eq!(error.hint(), Some(format!("chmod 600 {}", file.path().display())));
        }
    }

    #[test]
    fn a_group_may_read_where_that_is_the_custom_but_not_write() {
        assert!(read(file(0o640).path(), Readers::Group, me()).is_ok());
        assert!(read(file(0o660).path(), Readers::Group, me()).is_err());
        assert!(read(file(0o644).path(), Readers::Group, me()).is_err());
    }

    #[test]
    fn a_group_may_read_what_the_administrator_gives_to_its_user() {
        let is_refused = |owner, user, mode| forbidden(Readers::Nobody, owner, user) & mode != 0;
        assert!(!is_refused(0, 65_532, 0o440), "a secret in a pod");
        assert!(is_refused(0, 65_532, 0o444), "everybody may read it");
        assert!(is_refused(0, 65_532, 0o460), "the group may write it");
        assert!(is_refused(65_532, 65_532, 0o440), "a file of our own");
        assert!(is_refused(0, 0, 0o440), "the administrator's own");
    }

    #[test]
    fn a_directory_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let error = read(directory.path(), Readers::Nobody, me()).expect_err("a directory");
        assert!(error.to_string().ends_with("is not a file"), "{error}");
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_who_writes_to_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().expect("run").success());
        let error = read(&path, Readers::Nobody, me()).expect_err("a pipe");
        assert!(error.to_string().ends_with("is not a file"), "{error}");
    }
}
