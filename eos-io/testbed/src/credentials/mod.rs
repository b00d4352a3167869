//! What servers and clients prove who they are with.

mod ca;
mod kdc;
mod sss;
mod token;

pub use ca::{Ca, Identity};
pub use kdc::{Ccache, Kdc};
pub use sss::SssKey;
pub use token::TokenIssuer;

/// Variables of the environment, for `Command::envs` and [`Tool::envs`](crate::Tool::envs).
pub type Variables = Vec<(String, String)>;

/// A variable that names a file.
pub(crate) fn variable(name: &str, value: impl AsRef<std::path::Path>) -> (String, String) {
    (name.to_owned(), value.as_ref().to_string_lossy().into_owned())
}
