//! The programs of Kubernetes, which `.ci/kubernetes` builds.

use std::path::PathBuf;

/// The version that is built.
const VERSION: &str = "kubernetes-1.20.2";

/// A program, by its place in the directory of all.
///
/// # Panics
/// If it is not there, saying what brings it.
pub(crate) fn program(place: &str) -> PathBuf {
    let path = directory().join(place);
    assert!(path.is_file(), "there is no {}: `make test-packages` brings it", path.display());
    path
}

fn directory() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("ROOT_QUERY_KUBERNETES").unwrap_or_else(|| {
        let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
        cache.expect("a user has a home").join("root-query/tools").join(VERSION)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "`make test-packages` brings it")]
    fn a_missing_program_says_what_brings_it() {
        program("bin/nothing");
    }
}
