//! The programs of Kubernetes, which `.ci/kubernetes` builds, and Helm, which `.ci/helm` does.

use std::path::PathBuf;

/// The version that is built.
const VERSION: &str = "kubernetes-1.20.2";
/// The Helm that is built.
const HELM: &str = "bin/helm-3.19.5";

/// The program by which people apply manifests.
///
/// # Panics
/// If it is not there, saying what brings it.
pub fn kubectl() -> PathBuf {
    program("bin/kubectl")
}

/// The program that renders and installs charts.
///
/// # Panics
/// If it is not there, saying what brings it.
pub fn helm() -> PathBuf {
    existing(variable("ROOT_QUERY_HELM").unwrap_or_else(|| tools().join(HELM)))
}

/// A program, by its place in the directory of all.
///
/// # Panics
/// If it is not there, saying what brings it.
pub(crate) fn program(place: &str) -> PathBuf {
    existing(variable("ROOT_QUERY_KUBERNETES").unwrap_or_else(|| tools().join(VERSION)).join(place))
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "there is no {}: `make test-packages` brings it", path.display());
    path
}

/// Where `make` keeps tools.
fn tools() -> PathBuf {
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    cache.expect("a user has a home").join("root-query/tools")
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
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
