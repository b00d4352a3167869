//! The verb `cp`, between local places. The checksums are those of zlib: `python3 -c 'import zlib; zlib.adler32(...)'`.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{in_dir, run, sample};

/// A directory with some files, and one below with more.
fn files() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/e")).unwrap();
    for (name, text) in [("a.bin", "Wikipedia"), ("d/b.bin", "b"), ("d/e/c.txt", "c"), ("d/e/.hidden", "h")] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// All files below a directory.
fn tree(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                names.push(path.strip_prefix(dir).unwrap().to_str().unwrap().to_string());
            }
        }
    }
    names.sort();
    names
}

#[test]
fn a_file_is_copied_and_its_checksum_printed() {
    let dir = files();
    let (from, to) = (in_dir(&dir, "a.bin"), in_dir(&dir, "copy.bin"));
    let run1 = run(&["cp", &from, &to, "--format", "json"]).ok();
    assert_eq!(fs::read_to_string(&to).unwrap(), "Wikipedia");
    let told: Value = serde_json::from_slice(&run1.stdout).unwrap();
    assert_eq!(told[0]["source"], from.as_str());
    assert_eq!(told[0]["copy"], to.as_str());
    assert_eq!(told[0]["bytes"], 9);
    assert_eq!(told[0]["checksum"], "adler32:11e60398");
    assert_eq!(told[0]["compared"], "copy");
    assert!(run1.stderr.starts_with("1 file, 9 B"), "{}", run1.stderr);
    assert_eq!(run(&["-q", "cp", &from, &in_dir(&dir, "quiet.bin")]).ok().stderr, "");
}

#[test]
fn the_checksum_can_be_chosen_and_left_out() {
    let dir = files();
    let from = in_dir(&dir, "a.bin");
    let sum = |args: &[&str], name: &str| {
        let to = in_dir(&dir, name);
        let told = run(&[&["cp", &from, &to, "--format", "json"], args].concat()).ok();
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        (told[0]["checksum"].clone(), told[0]["compared"].clone())
    };
    // The CRC is that of `crc32c.crc32c(b"Wikipedia")` in Python.
    assert_eq!(sum(&["--checksum", "crc32c"], "1").1, "copy");
    assert_eq!(sum(&["--checksum", "none"], "2"), (Value::Null, Value::Null));
    assert_eq!(sum(&["--no-verify"], "3"), ("adler32:11e60398".into(), Value::Null));
    run(&["cp", &from, &in_dir(&dir, "4"), "--checksum", "md5"]).fails(2, &["md5", "adler32"]);
}

#[test]
fn a_large_file_arrives_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..40_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(dir.path().join("large"), &bytes).unwrap();
    run(&["cp", &in_dir(&dir, "large"), &in_dir(&dir, "copy")]).ok();
    assert!(fs::read(dir.path().join("copy")).unwrap() == bytes);
}

#[test]
fn several_files_and_patterns_go_into_a_directory() {
    let dir = files();
    let pattern = in_dir(&dir, "d/*/c.*");
    let to = in_dir(&dir, "new/");
    run(&["cp", &in_dir(&dir, "a.bin"), &pattern, &to, "--parallel", "2"]).ok();
    assert_eq!(tree(&dir.path().join("new")), ["a.bin", "c.txt"]);
    // Into one that exists.
    fs::create_dir(dir.path().join("old")).unwrap();
    run(&["cp", &in_dir(&dir, "a.bin"), &in_dir(&dir, "old")]).ok();
    assert_eq!(tree(&dir.path().join("old")), ["a.bin"]);
}

#[test]
fn names_can_come_from_a_list() {
    let dir = files();
    let list = in_dir(&dir, "list.txt");
    fs::write(&list, format!("{}\n{}\n", in_dir(&dir, "a.bin"), in_dir(&dir, "d/b.bin"))).unwrap();
    run(&["cp", "--files-from", &list, &in_dir(&dir, "to/")]).ok();
    assert_eq!(tree(&dir.path().join("to")), ["a.bin", "b.bin"]);
}

#[test]
fn a_directory_is_copied_with_all_that_is_in_it_if_asked() {
    let dir = files();
    let from = in_dir(&dir, "d");
    run(&["cp", &from, &in_dir(&dir, "x")]).fails(2, &["is a directory", "-r"]);
    // To a name that is not there: it is the copy.
    run(&["cp", "-r", &from, &in_dir(&dir, "x")]).ok();
    assert_eq!(tree(&dir.path().join("x")), ["b.bin", "e/.hidden", "e/c.txt"]);
    // Into a directory that is there: the copy is in it.
    run(&["cp", "-r", &from, &in_dir(&dir, "x")]).ok();
    assert_eq!(tree(&dir.path().join("x")), ["b.bin", "d/b.bin", "d/e/.hidden", "d/e/c.txt", "e/.hidden", "e/c.txt"]);
}

#[test]
fn files_that_are_there_are_replaced_only_if_asked() {
    let dir = files();
    let (from, to) = (in_dir(&dir, "a.bin"), in_dir(&dir, "d/b.bin"));
    run(&["cp", &from, &to]).fails(1, &["exists", "--force"]);
    assert_eq!(fs::read_to_string(&to).unwrap(), "b");
    run(&["cp", "-f", &from, &to]).ok();
    assert_eq!(fs::read_to_string(&to).unwrap(), "Wikipedia");
    run(&["cp", "-f", &from, &from]).fails(2, &["same file"]);
    assert_eq!(fs::read_to_string(&from).unwrap(), "Wikipedia");
}

#[test]
fn what_cannot_be_copied_is_told_and_the_rest_is_copied() {
    let dir = files();
    let report = in_dir(&dir, "r.json");
    let (missing, to) = (in_dir(&dir, "missing.bin"), in_dir(&dir, "to/"));
    let run1 = run(&["cp", &missing, &in_dir(&dir, "a.bin"), &in_dir(&dir, "d/b.bin"), &to, "--report", &report]);
    assert_eq!(run1.code, 3, "{}", run1.stderr);
    assert!(run1.stderr.contains("missing.bin' does not exist"), "{}", run1.stderr);
    assert!(run1.stderr.contains("2 files") && run1.stderr.contains("1 failed"), "{}", run1.stderr);
    assert_eq!(tree(&dir.path().join("to")), ["a.bin", "b.bin"]);
    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!((&report["exit_code"], report["files"].as_array().unwrap().len()), (&Value::from(3), 3));
    assert_eq!(report["files"][0]["outcome"], "failed");
}

#[test]
fn two_files_never_become_one() {
    let dir = files();
    fs::write(dir.path().join("d/a.bin"), "another").unwrap();
    let to = in_dir(&dir, "to/");
    run(&["cp", &in_dir(&dir, "a.bin"), &in_dir(&dir, "d/a.bin"), &to]).fails(2, &["two files", "a.bin"]);
    assert!(!dir.path().join("to").exists());
    run(&["cp", &in_dir(&dir, "d/a.bin"), &in_dir(&dir, "d/b.bin"), &in_dir(&dir, "a.bin")]).fails(2, &["is a file"]);
}

#[test]
fn a_dash_is_standard_output() {
    let run1 = run(&["cp", &sample(), "-"]).ok();
    assert!(run1.stdout == fs::read(sample()).unwrap());
    assert!(run1.stderr.starts_with("1 file"), "{}", run1.stderr);
}

#[test]
fn the_places_of_a_copy_that_fails_stay_as_they_were() {
    let dir = files();
    run(&["cp", &in_dir(&dir, "a.bin"), &in_dir(&dir, "no/such/x")]).fails(1, &["no/such/x", "No such file"]);
    run(&["cp", &in_dir(&dir, "a.bin")]).fails(2, &["SOURCE... DEST"]);
    assert_eq!(tree(dir.path()), ["a.bin", "d/b.bin", "d/e/.hidden", "d/e/c.txt"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    run(&["cp", &sample(), "/dev/full", "--force"]).fails(1, &["/dev/full", "No space left on device"]);
}
