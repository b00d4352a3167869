//! How much memory damaged files can ask for: no more than 16 times their size and 64 MB.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

use std::alloc::System;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cap::Cap;
use root_reader::{RootFile, ScanOptions};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Damaged versions of each file.
const ROUNDS: usize = 150;

/// Reads every column of every tree, whole.
fn read_everything(bytes: Bytes) {
    let Ok(file) = RootFile::from_bytes("damaged.root", bytes) else { return };
    for key in file.keys().iter().filter(|key| key.is_tree()) {
        let Ok(tree) = futures::executor::block_on(file.tree_of(key)) else { continue };
        for index in 0..tree.schema().fields().len() {
            let scan = tree.scan(&[index], 0..u64::MAX, ScanOptions::default()).unwrap();
            scan.blocking().take_while(Result::is_ok).count();
        }
    }
}

/// A number that looks random and is the same in every run.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "root")).collect();
    files.retain(|path| path.metadata().unwrap().len() < 100_000);
    files.sort();
    files
}

#[test]
fn a_damaged_file_takes_no_more_memory_than_its_size_justifies() {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut read = 0;
    for path in [files(&fixtures), files(&fixtures.join("objects"))].concat() {
        let whole = std::fs::read(&path).unwrap();
        let mut state = whole.len() as u64;
        for _ in 0..ROUNDS {
            let mut damaged = whole.clone();
            for _ in 0..1 + next(&mut state) % 3 {
                let at = next(&mut state) % whole.len();
                // A length or count that is enormous, or any other byte.
                let word = [0xffff_ffffu32, 0x7fff_ffff, 0x00ff_ffff, 0x4000_ffff, next(&mut state) as u32];
                let word = word[next(&mut state) % word.len()].to_be_bytes();
                let length = [1, 4][next(&mut state) % 2].min(whole.len() - at);
                damaged[at..at + length].copy_from_slice(&word[4 - length..]);
            }
            let limit = 16 * damaged.len() + (64 << 20);
            let damaged = Bytes::from(damaged);
            // An allocation beyond the limit fails, which ends the process.
            ALLOCATOR.set_limit(ALLOCATOR.allocated() + limit).unwrap();
            read_everything(damaged);
            ALLOCATOR.set_limit(usize::MAX).unwrap();
            read += 1;
        }
    }
    eprintln!("{read} damaged files read within their limits");
}
