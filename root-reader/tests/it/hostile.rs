//! Damaged and hostile files: an error or the values, never a panic, a hang, or memory out of proportion.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use root_reader::{Error, RootFile, ScanOptions};

use crate::support::{Random, all_columns, fixtures, in_parallel, manifest_dir};

/// Files of every kind of content; the larger ones have so many bytes of values that most damage hits those.
const SUBJECTS: &[&str] = &[
    "built_embedded",
    "built_leaves",
    "built_stl",
    "built_truncated",
    "objects/bitsets",
    "objects/event_nosplit",
    "objects/lorentz_vectors",
    "objects/nested_vectors",
    "groot_layout",
    "groot_types_lz4",
    "groot_types_lzma",
    "groot_types_none",
    "groot_types_zlib",
    "groot_types_zstd",
    "groot_vectors",
    "uproot_layout",
    "uproot_many_baskets",
    "uproot_types_none",
];

/// Reading one damaged file takes milliseconds; this is a hang.
const TOO_LONG: Duration = Duration::from_secs(5);

fn subject(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(format!("{name}.root"))).unwrap()
}

/// What came of reading a file as a whole.
#[derive(Default)]
struct Outcome {
    opened: bool,
    trees: usize,
    columns: usize,
    errors: Vec<Error>,
}

/// Opens, lists and reads everything, column by column so that a broken one does not hide the others.
fn read_everything(bytes: impl Into<Bytes>) -> Outcome {
    let started = Instant::now();
    let mut outcome = Outcome::default();
    let file = match RootFile::from_bytes("damaged.root", bytes.into()) {
        Ok(file) => file,
        Err(error) => {
            outcome.errors.push(error);
            return outcome;
        }
    };
    outcome.opened = true;
    for key in file.keys().iter().filter(|k| k.is_tree()) {
        let tree = match futures::executor::block_on(file.tree_of(key)) {
            Ok(tree) => tree,
            Err(error) => {
                outcome.errors.push(error);
                continue;
            }
        };
        outcome.trees += 1;
        let clusters = tree.clusters();
        assert_eq!(clusters.iter().map(|c| c.end - c.start).sum::<u64>(), tree.entries(), "clusters cover the tree");
        for index in all_columns(&tree) {
            outcome.columns += 1;
            let scan = tree.scan(&[index], 0..u64::MAX, ScanOptions::default()).unwrap();
            for batch in scan.blocking() {
                assert!(
                    started.elapsed() < TOO_LONG,
                    "{} {:?}: it takes too long",
                    tree.path(),
                    tree.schema().field(index)
                );
                if let Err(error) = batch {
                    outcome.errors.push(error);
                    break;
                }
            }
        }
        let nested = tree.nested().plan(tree.nested().fields());
        let scan = tree.scan(nested.columns(), 0..u64::MAX, ScanOptions::default()).unwrap();
        outcome.errors.extend(scan.blocking().map(|batch| nested.assemble(&batch?)).find_map(Result::err));
    }
    outcome
}

#[test]
fn a_file_cut_off_anywhere_is_an_error_or_its_whole_trees() {
    in_parallel(SUBJECTS, |name| {
        let whole = Bytes::from(subject(name));
        let step = (whole.len() / 150).max(1);
        let lengths = (0..whole.len()).step_by(step).chain(0..200).chain(whole.len() - 200..whole.len());
        for length in lengths {
            let outcome = read_everything(whole.slice(..length));
            for error in outcome.errors {
                assert!(error.to_string().contains("damaged.root"), "{name} cut off at {length}: {error}");
            }
        }
    });
}

#[test]
fn a_file_that_lost_its_end_gives_the_trees_that_it_still_has() {
    for name in ["groot_types_none", "groot_types_zstd", "built_leaves"] {
        let bytes = Bytes::from(subject(name));
        let whole = RootFile::from_bytes(name, bytes.clone()).unwrap();
        // Behind the last tree stand the class descriptions, which the header knows, the list of keys and that of gaps.
        let descriptions = u32::from_be_bytes(*bytes[37..].first_chunk().unwrap()) as usize;
        let shortest = bytes.slice(..descriptions);
        assert!(shortest.len() + 1000 < bytes.len(), "{name}: {} of {}", shortest.len(), bytes.len());
        let file = RootFile::from_bytes(name, shortest).unwrap();
        assert!(!file.warnings().is_empty(), "{name}");
        assert_eq!(file.trees().len(), whole.trees().len(), "{name}");
        for key in whole.trees() {
            let (ours, theirs) = (file.tree_blocking(&key.path).unwrap(), whole.tree_blocking(&key.path).unwrap());
            assert_eq!(ours.schema(), theirs.schema(), "{name}");
            let read = |tree: &root_reader::Tree| -> Vec<_> {
                let scan = tree.scan(&all_columns(tree), 0..tree.entries(), ScanOptions::default()).unwrap();
                scan.blocking().map(|b| b.unwrap()).collect()
            };
            assert_eq!(format!("{:?}", read(&ours)), format!("{:?}", read(&theirs)), "{name}");
        }
    }
}

#[test]
fn damaged_bytes_are_errors_or_other_values_and_nothing_worse() {
    let read = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    in_parallel(SUBJECTS, |name| {
        let whole = subject(name);
        let mut random = Random(0x5eed ^ whole.len() as u64);
        for round in 0..400 {
            let mut damaged = whole.clone();
            let hits = if round % 3 == 0 { 4 } else { 1 };
            for _ in 0..hits {
                let at = random.below(whole.len() as u64) as usize;
                match random.below(5) {
                    0 => damaged[at] ^= 1 << random.below(8),
                    1 => damaged[at] = 0xff,
                    2 => damaged[at] = 0,
                    3 => damaged[at] = random.below(256) as u8,
                    // A length or count that is all ones, or enormous, or negative.
                    _ => {
                        let word = [u32::MAX, 0x7fff_ffff, 0x4000_0000, 0x8000_0000][random.below(4) as usize];
                        let end = (at + 4).min(whole.len());
                        damaged[at..end].copy_from_slice(&word.to_be_bytes()[..end - at]);
                    }
                }
            }
            let outcome = read_everything(damaged);
            read.fetch_add(outcome.columns, Ordering::Relaxed);
            failed.fetch_add(outcome.errors.len(), Ordering::Relaxed);
        }
    });
    let (read, failed) = (read.into_inner(), failed.into_inner());
    eprintln!("{read} columns of damaged files read, {failed} errors");
    assert!(failed > 1000 && read > 10_000, "{read} columns read, {failed} errors");
}

/// Real files of many experiments and kinds: split and unsplit objects, old versions, all codecs.
const CORPUS_SUBJECTS: &[&str] = &[
    "cms-iopool__old_format_CMSSW_2_1_12",
    "gohep__std-containers-split00",
    "gohep__tbase",
    "gohep__tlv-6.14.00@7bc366de",
    "gohep__x-flat-tree",
    "km3net__online__KM3NeT_00000133_JDAQEvent",
    "roottest__io__evolution__skim",
    "roottest__tree__selectorreader__trees__TreeEventTreeSimple1",
    "roottest__treeformula__array__shorttrack",
    "skhep__uproot-issue-40",
    "skhep__uproot-issue-407",
    "skhep__uproot-issue-1221",
    "skhep__uproot-issue46",
    "skhep__uproot-issue433-splitlevel2",
    "skhep__uproot-issue475",
    "skhep__uproot-issue494",
    "skhep__uproot-small-evnt-tree-nosplit",
    "spark-root__test_root4j",
    "unroot__ttreeindex",
    "uproot5__dev__custom-interpretation__tiny_reader__gen-data__example@47dc7eba",
];

/// The values of every column that can be read, as text.
fn values(bytes: &Bytes) -> Vec<(String, Vec<Range<u64>>, String)> {
    let Ok(file) = RootFile::from_bytes("mutated.root", bytes.clone()) else { return Vec::new() };
    let mut all = Vec::new();
    for key in file.keys().iter().filter(|k| k.is_tree()) {
        let Ok(tree) = futures::executor::block_on(file.tree_of(key)) else { continue };
        for (index, column) in tree.columns().iter().filter(|c| c.field().is_ok()).enumerate() {
            let branch = &tree.branches()[column.branch];
            let options = ScanOptions { verify: true, ..ScanOptions::default() };
            let batches: Result<Vec<_>, _> =
                tree.scan(&[index], 0..tree.entries().min(500), options).unwrap().blocking().collect();
            if let Ok(batches) = batches {
                let baskets = branch.baskets().filter_map(|b| b.bytes).collect();
                all.push((
                    format!("{};{} {}", tree.path(), tree.cycle(), branch.path),
                    baskets,
                    format!("{batches:?}"),
                ));
            }
        }
    }
    all
}

#[test]
fn a_mutation_of_a_real_file_changes_only_what_it_hits() {
    let corpus = manifest_dir().join("../../shared/corpus/files");
    if !corpus.is_dir() {
        eprintln!("\n*** NO CORPUS: ../shared/corpus is absent, no real file was mutated ***\n");
        return;
    }
    let outcomes = in_parallel(CORPUS_SUBJECTS, |name| {
        let whole = Bytes::from(std::fs::read(corpus.join(format!("{name}.root"))).unwrap());
        let original = values(&whole);
        assert!(!original.is_empty(), "{name}");
        // Bytes in which only values are stored.
        let is_data = |at: u64| original.iter().any(|(_, baskets, _)| baskets.iter().any(|b| b.contains(&at)));
        let mut random = Random(0x2000 ^ whole.len() as u64);
        let (mut same, mut other, mut lost) = (0, 0, 0);
        for round in 0..100 {
            let at = random.below(whole.len() as u64);
            let mutated = if round % 4 == 0 {
                whole.slice(..at as usize)
            } else {
                let mut bytes = whole.to_vec();
                bytes[at as usize] ^= 1 + random.below(255) as u8;
                bytes.into()
            };
            let found = values(&mutated);
            for (column, baskets, values) in &original {
                match found.iter().find(|(c, ..)| c == column) {
                    None => lost += 1,
                    Some((.., ours)) if ours == values => same += 1,
                    Some(_) => {
                        other += 1;
                        let hit = baskets.iter().any(|b| b.contains(&at)) || !is_data(at);
                        assert!(hit, "{name} at {at}: {column} has other values");
                    }
                }
            }
        }
        (same, other, lost)
    });
    let sum = outcomes.iter().fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
    eprintln!("columns after 2,000 mutations: {} as before, {} with other values, {} errors", sum.0, sum.1, sum.2);
    assert!(sum.0 > 0 && sum.2 > 0);
}

#[test]
fn every_byte_of_the_metadata_may_be_wrong() {
    // Header, directory and keys of a small file; the tree's record, which is not compressed there.
    let whole = subject("built_embedded");
    let positions: Vec<usize> = (0..whole.len()).collect();
    in_parallel(&positions, |at| {
        let value = [0x00, 0x7f, 0x80, 0xff, whole[*at].wrapping_add(1)][*at % 5];
        if whole[*at] != value {
            let mut damaged = whole.clone();
            damaged[*at] = value;
            read_everything(damaged);
        }
    });
}

/// Where the baskets of a branch lie in a file, from the outside: records of class TBasket with that name.
fn basket_records(bytes: &[u8], branch: &str) -> Vec<usize> {
    let mark = [&[7][..], b"TBasket", &[branch.len() as u8], branch.as_bytes()].concat();
    let found = bytes.windows(mark.len()).enumerate().filter(|(_, w)| *w == mark);
    // A small key has 26 bytes before its names, a big one 34; its version tells.
    let start = |at: usize| if u16::from_be_bytes([bytes[at - 22], bytes[at - 21]]) < 1000 { at - 26 } else { at - 34 };
    found.map(|(at, _)| start(at)).collect()
}

#[test]
fn the_error_of_a_damaged_basket_names_file_tree_branch_basket_and_entries() {
    for name in ["groot_types_lz4", "groot_types_zlib", "groot_types_zstd", "groot_types_lzma"] {
        let mut bytes = subject(name);
        let whole = RootFile::from_bytes(name, bytes.clone()).unwrap().tree_blocking("events").unwrap();
        let branch = whole.branches().iter().find(|b| b.basket_count() > 1 && b.zip_bytes > 2000).unwrap();
        let (branch, entries) = (branch.name.clone(), branch.baskets().nth(1).unwrap().entries);
        let at = basket_records(&bytes, &branch)[1];
        let length = i32::from_be_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
        // The middle of the compressed values.
        bytes[at + length / 2..][..8].iter_mut().for_each(|byte| *byte ^= 0x55);
        let tree = RootFile::from_bytes("store/damaged.root", bytes).unwrap().tree_blocking("events").unwrap();
        let index = tree.schema().index_of(&branch).unwrap();
        let options = ScanOptions { verify: true, ..ScanOptions::default() };
        let error = tree.scan(&[index], 0..tree.entries(), options).unwrap().blocking().find_map(Result::err);
        let Some(Error::Corrupt { place, .. }) = &error else { panic!("{name}: {error:?}") };
        assert_eq!(place.file, "store/damaged.root", "{name}");
        assert_eq!((place.tree.as_deref(), place.branch.as_deref()), (Some("events"), Some(&*branch)), "{name}");
        assert_eq!((place.basket, place.entries.clone()), (Some(1), Some(entries.clone())), "{name}");
        let text = error.unwrap().to_string();
        let parts =
            ["store/damaged.root", "'events'", &branch, "basket 1", &format!("{}..{}", entries.start, entries.end)];
        for part in parts {
            assert!(text.contains(part), "{name}: {text}");
        }
    }
}

#[test]
fn files_of_another_kind_are_named_as_such() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "empty"),
        (b"PAR1....", "PAR1"),
        (b"root", "needs"),
        (b"<html>not found</html>", "<html>"),
        (b"root\0\0\xea\x60\0\0\0\x64\xff\xff\xff\xff", "needs"),
    ];
    for (bytes, part) in cases {
        let error = RootFile::from_bytes("x.root", bytes).unwrap_err().to_string();
        assert!(error.contains("x.root") && error.contains(part), "{error}");
    }
}

#[test]
fn a_missing_file_and_a_directory_are_errors() {
    for path in [Path::new("/no/such/file.root"), fixtures().as_path()] {
        let error = RootFile::open_local(path).unwrap_err();
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
}

#[test]
fn a_directory_that_contains_itself_ends() {
    let bytes = subject("groot_layout");
    // The key of `dir` in the top directory: its place is set to the top directory's own record, at 100.
    let name = [&b"\x03dir"[..]].concat();
    let at: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(&name)).collect();
    for at in at {
        for back in 8..40usize {
            let mut looped = bytes.clone();
            looped[at - back..at - back + 4].copy_from_slice(&100u32.to_be_bytes());
            read_everything(looped);
        }
    }
}
