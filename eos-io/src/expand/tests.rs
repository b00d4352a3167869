//! What a spec means, on real directories: names, patterns, links, permissions, and every way
//! to find nothing.

use std::fs;

use futures::executor::block_on;
use tempfile::TempDir;

use super::*;
use crate::ErrorKind;
use crate::testing::Memory;

/// A directory that holds these files.
fn tree(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    dir
}

fn expand(dir: &TempDir, spec: &str) -> Result<Vec<String>, Error> {
    let base = dir.path().to_str().unwrap();
    let found = block_on(Stores::new().expand(&format!("{base}/{spec}")))?;
    Ok(found
        .iter()
        .map(|file| {
            assert!(fs::metadata(&file.location.display).unwrap().len() == file.meta.size);
            let path = file.location.display.strip_prefix(base).unwrap();
            path.trim_start_matches('/').to_owned()
        })
        .collect())
}

fn failure(dir: &TempDir, spec: &str) -> Error {
    let error = expand(dir, spec).unwrap_err();
    assert!(error.to_string().contains(spec), "{error}");
    error
}

#[test]
fn a_file_is_itself_and_costs_one_request() {
    let (stores, requests) = Memory::stores(&["d/a.root", "d/b.root"]);
    let found = block_on(stores.expand("mem:///d/a.root")).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].location.path.as_ref(), "d/a.root");
    assert_eq!(found[0].meta.location, found[0].location.path);
    assert_eq!(requests.take(), ["head d/a.root"]);
}

#[test]
fn a_search_on_a_server_ends_where_a_link_may_lead_in_circles() {
    let deep = |levels: usize| format!("top/{}x.root", "d/".repeat(levels));
    let (stores, _) = Memory::stores(&[&deep(30)]);
    for spec in ["mem:///top/**/*.root", "mem:///top/"] {
        assert_eq!(block_on(stores.expand(spec)).unwrap().len(), 1, "{spec}");
    }
    let (stores, _) = Memory::stores(&[&deep(40)]);
    for spec in ["mem:///top/**/*.root", "mem:///top/"] {
        let error = block_on(stores.expand(spec)).unwrap_err().to_string();
        assert!(error.contains("32 directories") && error.contains("link"), "{error}");
    }
}

#[test]
fn a_file_named_like_a_pattern_wins_over_the_pattern() {
    let dir = tree(&["x[1].root", "x1.root", "d[1]/a.root", "e[/a.root"]);
    assert_eq!(expand(&dir, "x[1].root").unwrap(), ["x[1].root"]);
    assert_eq!(expand(&dir, "x[1].*").unwrap(), ["x1.root"]);
    assert_eq!(expand(&dir, "d[1]/a.root").unwrap(), ["d[1]/a.root"]);
    assert_eq!(expand(&dir, "d[1]").unwrap(), ["d[1]/a.root"]);
    assert_eq!(expand(&dir, "e[/").unwrap(), ["e[/a.root"]);
}

#[test]
fn percent_encoded_wildcards_before_the_first_plain_one_are_names() {
    let dir = tree(&["d[1]/*/a.root", "d[1]/x/b.root", "d1/x/c.root"]);
    let url = url::Url::from_directory_path(dir.path()).unwrap();
    let found = block_on(Stores::new().expand(&format!("{url}d%5B1%5D/%2A/*.root"))).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].location.path.filename(), Some("a.root"));
}

#[test]
fn a_pattern_means_the_files_that_match_in_order_of_their_paths() {
    let dir = tree(&["b/2.root", "b/10.root", "a/é.root", "a/x.txt", "a/.h.root", "c.root/x"]);
    assert_eq!(expand(&dir, "[ab]/*.root").unwrap(), ["a/é.root", "b/10.root", "b/2.root"]);
    assert_eq!(expand(&dir, "{b,a}/{2,é}.root").unwrap(), ["a/é.root", "b/2.root"]);
    assert_eq!(expand(&dir, "{b/2,b/{10,2}}.root").unwrap(), ["b/10.root", "b/2.root"]);
    assert_eq!(expand(&dir, "**/*.root").unwrap(), ["a/é.root", "b/10.root", "b/2.root"]);
}

#[test]
fn a_pattern_that_ends_in_a_slash_means_what_is_in_the_directories() {
    let dir = tree(&["r1/x/a.root", "r1/b.root", "r2/c.txt", "r3.root"]);
    assert_eq!(expand(&dir, "r*/").unwrap(), ["r1/b.root", "r1/x/a.root"]);
    let error = failure(&dir, "r[12]");
    assert!(matches!(error, Error::NoMatch { directories: 2, .. }), "{error:?}");
}

#[test]
fn a_directory_means_the_root_files_in_it_at_any_depth() {
    let dir = tree(&["b/x.root", "a.root", "n.txt", ".h.root", ".h/x.root", "z/y/x.root"]);
    for spec in ["", ".", "z/.."] {
        assert_eq!(expand(&dir, spec).unwrap().len(), 3, "{spec}");
    }
    assert_eq!(expand(&dir, "z").unwrap(), ["z/y/x.root"]);
    assert_eq!(expand(&dir, "z/").unwrap(), ["z/y/x.root"]);
    assert_eq!(expand(&dir, ".h").unwrap(), [".h/x.root"]);
}

#[test]
fn files_are_shown_the_way_the_user_writes() {
    let dir = tree(&["a b.root", "d/c#.root"]);
    let url = url::Url::from_directory_path(dir.path()).unwrap();
    let found = block_on(Stores::new().expand(&format!("{url}**/*.root"))).unwrap();
    let shown: Vec<_> = found.iter().map(|f| f.location.to_string()).collect();
    assert_eq!(shown, [format!("{url}a%20b.root"), format!("{url}d/c%23.root")]);
    for shown in shown {
        assert_eq!(block_on(Stores::new().expand(&shown)).unwrap().len(), 1);
    }
    let found = block_on(Stores::new().expand("./src/expan?.rs")).unwrap();
    assert_eq!(found[0].location.display, "./src/expand.rs");
    let found = block_on(Stores::new().expand("Cargo.tom*")).unwrap();
    assert_eq!(found[0].location.display, "Cargo.toml");
}

#[test]
fn links_are_followed_but_no_directory_is_searched_twice() {
    use std::os::unix::fs::symlink;
    let dir = tree(&["real/sub/x.root", "else.txt"]);
    symlink(dir.path().join("real/sub"), dir.path().join("again")).unwrap();
    symlink(dir.path().join("else.txt"), dir.path().join("y.root")).unwrap();
    symlink(dir.path(), dir.path().join("real/sub/up")).unwrap();
    symlink("missing", dir.path().join("broken.root")).unwrap();
    assert_eq!(expand(&dir, "").unwrap(), ["again/x.root", "y.root"]);
    assert_eq!(expand(&dir, "again/up/y.root").unwrap(), ["again/up/y.root"]);
    assert_eq!(
        expand(&dir, "*/sub/*.root").unwrap(),
        ["real/sub/x.root"],
        "a pattern without '**' takes the names as they are"
    );
}

#[test]
fn every_way_to_find_nothing_has_its_own_error() {
    let dir = tree(&["run1.root", "run2.root", "empty/n.txt", "other.txt"]);
    match failure(&dir, "run11.root") {
        Error::FileNotFound { suggestions, .. } => {
            assert_eq!(suggestions, ["run1.root", "run2.root"]);
        }
        error => panic!("{error:?}"),
    }
    assert!(matches!(failure(&dir, "missing/"), Error::FileNotFound { .. }));
    assert!(matches!(failure(&dir, "run1.root/x.root"), Error::FileNotFound { .. }));
    assert!(matches!(failure(&dir, "x*"), Error::NoMatch { .. }));
    assert!(matches!(failure(&dir, "missing/*"), Error::NoMatch { .. }));
    assert!(matches!(failure(&dir, "run1.root/*"), Error::NoMatch { .. }));
    assert!(matches!(failure(&dir, "empty"), Error::EmptyDirectory { .. }));
    assert!(matches!(failure(&dir, "empty/"), Error::EmptyDirectory { .. }));
    assert!(matches!(failure(&dir, "run1.root/"), Error::NotADirectory { .. }));
    for spec in ["run[1", "*/../x"] {
        assert_eq!(failure(&dir, spec).kind(), ErrorKind::InvalidSpec);
    }
}

#[test]
fn a_group_longer_than_any_file_name_is_still_a_pattern() {
    let names: Vec<_> = (0..100).map(|n| format!("run{n}.root")).collect();
    let dir = tree(&["run7.root", "run99.root"]);
    let spec = format!("{{{}}}", names.join(","));
    assert_eq!(expand(&dir, &spec).unwrap(), ["run7.root", "run99.root"]);
}

#[test]
fn what_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tree(&["shut/x.root", "open/x.root", "shut.root"]);
    let shut = dir.path().join("shut");
    let none = fs::Permissions::from_mode(0o000);
    fs::set_permissions(&shut, none.clone()).unwrap();
    fs::set_permissions(dir.path().join("shut.root"), none).unwrap();
    if fs::read_dir(&shut).is_err() {
        for spec in ["shut.root", "shut/x.root", "shut", "*/*.root", "*/x.root"] {
            let error = failure(&dir, spec);
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{spec}");
            assert!(error.to_string().contains("/shut"), "{error}");
        }
    }
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn several_specs_keep_their_order_and_each_file_its_first_place() {
    let dir = tree(&["a.root", "b.root", "c.root"]);
    let base = dir.path().display();
    let specs = ["c.root", "*.root", "a.root"].map(|name| format!("{base}/{name}"));
    let found = block_on(Stores::new().expand_all(&specs)).unwrap();
    let names: Vec<_> = found.iter().filter_map(|file| file.location.path.filename()).collect();
    assert_eq!(names, ["c.root", "a.root", "b.root"]);
    assert!(block_on(Stores::new().expand_all(&[])).unwrap().is_empty());
}

#[test]
fn one_spec_that_fails_fails_them_all() {
    let dir = tree(&["a.root"]);
    let base = dir.path().display();
    let specs = ["a.root", "b.root"].map(|name| format!("{base}/{name}"));
    let error = block_on(Stores::new().expand_all(&specs)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn expansions_can_run_on_any_thread() {
    let dir = tree(&["a/x.root", "b/x.root"]);
    let specs = vec![format!("{}/**/*.root", dir.path().display())];
    let stores = Stores::new();
    let found = tokio::spawn(async move { stores.expand_all(&specs).await });
    assert_eq!(found.await.unwrap().unwrap().len(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_text_is_reported_not_passed_over() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tree(&["d/a.root"]);
    let name = std::ffi::OsStr::from_bytes(b"d/\xff.root");
    fs::write(dir.path().join(name), b"").unwrap();
    let error = failure(&dir, "d");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("%FF.root"), "{error}");
    assert_eq!(expand(&dir, "d/a.root").unwrap(), ["d/a.root"]);
}
