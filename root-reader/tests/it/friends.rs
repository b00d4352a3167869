//! Trees read beside each other: the values are those of each tree alone, wherever its file lies.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use root_reader::{ErrorKind, RootFile, RowFilter, ScanOptions, Spawn, TextAs, Tree};

use crate::fixtures::{ByNumber, check, filtered, read_async, runtime};
use crate::support::{fixtures, reference_of};

fn local(file: &str, tree: &str) -> Tree {
    RootFile::open_local(fixtures().join(file)).unwrap().tree_blocking(tree).unwrap()
}

async fn remote(file: &str, tree: &str) -> Tree {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let place = object_store::path::Path::from(file);
    store.put(&place, std::fs::read(fixtures().join(file)).unwrap().into()).await.unwrap();
    RootFile::open(store, place, file).await.unwrap().tree(tree).await.unwrap()
}

/// References side by side, under the names that friends' columns have.
fn beside(parts: &[(&str, RecordBatch)]) -> RecordBatch {
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (prefix, batch) in parts {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let name = if prefix.is_empty() { field.name().clone() } else { format!("{prefix}.{}", field.name()) };
            fields.push(Field::new(name, field.data_type().clone(), true));
            columns.push(column.clone());
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn reference(file: &str, tree: &str) -> RecordBatch {
    reference_of(&fixtures().join(file), tree)
}

#[test]
fn friends_have_the_values_of_their_own_files() {
    let (main, near, far) = ("uproot_types_zstd.root", "uproot_types_lz4.root", "groot_vectors_fixed.root");
    let expected = beside(&[
        ("", reference(main, "events")),
        ("near", reference(near, "events")),
        ("far", reference(far, "vectors")),
    ]);
    runtime().block_on(async {
        let spawn: Spawn = Arc::new(|work| drop(tokio::spawn(work)));
        for which in 0..8u32 {
            // Every mixture of files at hand and files that are fetched.
            let mut trees = Vec::new();
            for (at, (file, tree)) in [(main, "events"), (near, "events"), (far, "vectors")].into_iter().enumerate() {
                let fetched = which & (1 << at) != 0;
                trees.push(if fetched { remote(file, tree).await } else { local(file, tree) });
            }
            let tree = trees[0].with_friend("near", &trees[1]).unwrap().with_friend("far", &trees[2]).unwrap();
            let unreadable: Vec<_> = tree.columns().iter().filter_map(|c| c.field().err()).collect();
            assert!(unreadable.is_empty(), "{unreadable:?}");
            let last = tree.schema().fields().len() - 1;
            for (batch_rows, byte_budget, keep) in [
                (1000, 32 << 20, None),
                (7, 700, None),
                (11, 5000, Some((|i| i % 7 == 3) as fn(u64) -> bool)),
                (16, 0, Some(|i| (i / 20) % 2 == 1)),
            ] {
                // The filters look at the first column of the main tree and the last one of a friend.
                let filter = |keep| -> Arc<dyn RowFilter> {
                    Arc::new(ByNumber { columns: vec![0, last], next: AtomicU64::new(0), keep })
                };
                let (filters, spawn) = (keep.into_iter().map(filter).collect(), Some(spawn.clone()));
                let options = ScanOptions { batch_rows, byte_budget, filters, spawn, ..ScanOptions::default() };
                let expected = keep.map_or_else(|| expected.clone(), |keep| filtered(&expected, keep));
                check(&read_async(&tree, options).await, &expected, &tree, &format!("mixture {which} by {batch_rows}"));
            }
        }
    });
}

#[test]
fn a_friend_may_lie_in_its_own_tree_record_and_have_friends() {
    let file = "built_embedded.root";
    let inner = local(file, "embedded").with_friend("only", &local(file, "embedded_only")).unwrap();
    let tree = local(file, "embedded_only").with_friend("f", &inner).unwrap();
    let (one, two) = (reference(file, "embedded"), reference(file, "embedded_only"));
    let expected = beside(&[("", two.clone()), ("f", one), ("f.only", two)]);
    runtime().block_on(async {
        check(&read_async(&tree, ScanOptions::default()).await, &expected, &tree, "embedded");
    });
}

#[test]
fn friends_of_friends_are_fetched_from_their_own_files() {
    let (main, friend, inner) = ("groot_vectors_fixed.root", "uproot_types_lz4.root", "uproot_types_zstd.root");
    let expected = beside(&[
        ("", reference(main, "vectors")),
        ("f", reference(friend, "events")),
        ("f.g", reference(inner, "events")),
    ]);
    runtime().block_on(async {
        let both = remote(friend, "events").await.with_friend("g", &remote(inner, "events").await).unwrap();
        let tree = remote(main, "vectors").await.with_friend("f", &both).unwrap();
        check(&read_async(&tree, ScanOptions::default()).await, &expected, &tree, "friends of friends");
    });
}

#[test]
fn strings_are_bytes_in_friends_too() {
    let tree = local("uproot_types_zstd.root", "events");
    let both = tree.with_friend("f", &tree).unwrap();
    let binary = both.with_text(TextAs::Binary).schema();
    let alone = tree.with_text(TextAs::Binary).schema();
    let types = |schema: &Schema| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
    assert_eq!(types(&binary), [types(&alone), types(&alone)].concat());
    assert_ne!(types(&binary), types(&both.schema()));
}

#[test]
fn a_friend_with_other_entries_is_an_error_that_names_both() {
    let (short, long) = (local("groot_types_lz4.root", "events"), local("uproot_types_lz4.root", "events"));
    for (main, friend, words) in [
        (&short, &long, ["groot_types_lz4.root, tree 'events' has 50", "uproot_types_lz4.root, tree 'events' has 60"]),
        (&long, &short, ["uproot_types_lz4.root, tree 'events' has 60", "groot_types_lz4.root, tree 'events' has 50"]),
    ] {
        let error = main.with_friend("f", friend).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        for word in words {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}

#[test]
fn a_column_of_a_friend_takes_nobodys_name() {
    let tree = local("uproot_types_lz4.root", "events");
    let both = tree.with_friend("f", &tree).unwrap();
    let first = format!("'f.{}'", tree.columns()[0].name);
    let error = both.with_friend("f", &tree).unwrap_err().to_string();
    assert!(error.contains(&first) && error.contains("another name"), "{error}");
}

#[test]
fn faults_name_the_file_of_the_friend() {
    let main = local("uproot_types_none.root", "events");
    let mut bytes = std::fs::read(fixtures().join("uproot_types_zlib.root")).unwrap();
    let whole = RootFile::from_bytes("whole.root", bytes.clone()).unwrap().tree_blocking("events").unwrap();
    let basket = whole.branches().iter().find_map(|b| b.baskets().next()?.bytes).unwrap();
    for byte in &mut bytes[basket.start as usize..basket.end as usize] {
        *byte = 0xff;
    }
    let friend = RootFile::from_bytes("friend.root", bytes).unwrap().tree_blocking("events").unwrap();
    let tree = main.with_friend("f", &friend).unwrap();
    let all: Vec<usize> = (0..tree.schema().fields().len()).collect();
    let scan = tree.scan(&all, 0..tree.entries(), ScanOptions::default()).unwrap();
    let error = scan.blocking().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("friend.root, tree 'events', branch '"), "{error}");
}
