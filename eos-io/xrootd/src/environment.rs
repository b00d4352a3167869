//! What the process knows of its user: variables, user number, home and temporary directory. Whatever looks for
//! credentials gets them from here, so that tests can give it others.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Variables = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// A view of the surroundings of the process.
#[derive(Clone)]
pub(crate) struct Environment {
    variable: Arc<Variables>,
    user_id: u32,
    temporary: PathBuf,
}

impl Environment {
    /// The real one.
    pub(crate) fn of_process() -> Self {
        Environment {
            variable: Arc::new(|name| std::env::var_os(name)),
            user_id: rustix::process::geteuid().as_raw(),
            // The conventions for tokens and proxies name this directory, whatever `TMPDIR` says.
            temporary: PathBuf::from("/tmp"),
        }
    }

    /// One with these variables and no others.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn with(variables: &[(&str, &str)], user_id: u32, temporary: &Path) -> Self {
        let variables: std::collections::HashMap<String, OsString> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        Environment {
            variable: Arc::new(move |name| variables.get(name).cloned()),
            user_id,
            temporary: temporary.to_path_buf(),
        }
    }

    /// The value of a variable, unless it is empty or not text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name)?.into_string().ok().filter(|value| !value.is_empty())
    }

    /// The path that a variable holds, unless it is empty.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        (self.variable)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// The number of the user that we act as.
    pub(crate) fn user_id(&self) -> u32 {
        self.user_id
    }

    /// The directory where credentials lie that have no other place.
    pub(crate) fn temporary(&self) -> &Path {
        &self.temporary
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}
