//! Scans of files in memory: metadata, and the decoders for numbers, lists and strings.

// A benchmark has nobody to answer an error to.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use root_reader::{RootFile, ScanOptions, Tree};

const SAMPLE: &str = "../examples/data/Run2012B_SingleMu_1000.root";

fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn tree(path: &str) -> Tree {
    let file = RootFile::from_bytes(path, bytes(path)).unwrap();
    let name = file.trees().first().unwrap().path.clone();
    file.tree_blocking(&name).unwrap()
}

fn read(tree: &Tree, columns: &[usize]) -> usize {
    let scan = tree.scan(columns, 0..tree.entries(), ScanOptions::default()).unwrap();
    scan.blocking().map(|batch| batch.unwrap().num_rows()).sum()
}

/// Header, keys, class descriptions and the metadata of a tree.
fn open(criterion: &mut Criterion) {
    let content = bytes(SAMPLE);
    criterion.bench_function("open", |bencher| {
        bencher.iter_batched(
            || content.clone(),
            |content| RootFile::from_bytes("sample", content).unwrap().tree_blocking("Events").unwrap(),
            criterion::BatchSize::LargeInput,
        );
    });
}

/// Columns of a file from CMS: plain numbers, flags, and lists of numbers.
fn columns(criterion: &mut Criterion) {
    let tree = tree(SAMPLE);
    let schema = tree.schema();
    let mut group = criterion.benchmark_group("column");
    group.throughput(Throughput::Elements(tree.entries()));
    for name in ["MET_pt", "HLT_IsoMu24", "nJet", "Jet_pt", "Jet_puId", "Muon_charge"] {
        let column = schema.index_of(name).unwrap();
        group.bench_function(name, |bencher| bencher.iter(|| read(black_box(&tree), &[column])));
    }
    group.finish();
}

/// Everything in files with other shapes: leaf lists, vectors, strings, maps.
fn shapes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("file");
    for name in ["built_leaves", "built_stl"] {
        let tree = tree(&format!("../root-reader/tests/fixtures/{name}.root"));
        let columns: Vec<usize> = (0..tree.schema().fields().len()).collect();
        group.bench_with_input(BenchmarkId::from_parameter(name), &columns, |bencher, columns| {
            bencher.iter(|| read(&tree, columns));
        });
    }
    group.finish();
}

criterion_group!(benches, open, columns, shapes);
criterion_main!(benches);
