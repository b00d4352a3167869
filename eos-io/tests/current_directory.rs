//! Specs that start from the current directory. A test of its own, alone in its process,
//! because it changes that directory.

#![allow(clippy::unwrap_used)]

use std::{env, fs};

use eos_io::Stores;
use futures::executor::block_on;

#[test]
fn the_name_of_the_current_directory_is_never_read_as_a_pattern() {
    let dir = tempfile::tempdir().unwrap();
    for (name, file) in [("run[1]{a}*", "in.root"), ("run1", "out.root")] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join(file), b"root").unwrap();
    }
    env::set_current_dir(dir.path().join("run[1]{a}*")).unwrap();

    for (spec, shown) in [
        ("*.root", "in.root"),
        ("./*.root", "./in.root"),
        ("**/*.root", "in.root"),
        ("in.root", "in.root"),
        (".", "./in.root"),
        ("./", "./in.root"),
        ("../run1/*.root", "../run1/out.root"),
        ("../run1", "../run1/out.root"),
        ("../run[1]/", "../run1/out.root"),
    ] {
        let found = block_on(Stores::new().expand(spec)).unwrap();
        let names: Vec<_> = found.iter().map(|f| f.location.to_string()).collect();
        assert_eq!(names, [shown], "{spec}");
        assert!(fs::metadata(shown).is_ok());
    }
}
