//! Writing: entries that are in memory as Arrow batches into a tree of a ROOT file.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use clap::Args;
use root_reader::ScanOptions;
use root_writer::{Compression, FileOptions, FileWriter, TreeOptions};

use crate::baskets;
use crate::measure::Outcome;

/// What is written, and how.
#[derive(Debug, Clone, Args)]
pub struct WriteArgs {
    /// Of write: codec and level, as ROOT counts them.
    #[arg(long, value_name = "CODEC", default_value = "zlib:1")]
    pub compression: Compression,
    /// Of write: the first entries of the file, all columns of which are written.
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub events: u64,
    /// Of write: entries of a cluster.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub cluster: u64,
    /// Of write: the file.
    #[arg(long, value_name = "PATH", default_value = "/dev/shm/root-bench.root")]
    pub out: PathBuf,
}

/// Reads the entries; every call of the answer writes them.
pub fn write(path: &Path, args: &WriteArgs, threads: usize) -> impl FnMut() -> Outcome + use<> {
    let tree = baskets::open(path, "Events");
    let columns: Vec<usize> = (0..tree.schema().fields().len()).collect();
    let scan = tree.scan(&columns, 0..tree.entries().min(args.events), ScanOptions::default()).unwrap();
    let batches: Vec<RecordBatch> = scan.blocking().map(|batch| batch.unwrap()).collect();
    let args = args.clone();
    move || {
        let sink = BufWriter::with_capacity(1 << 20, File::create(&args.out).unwrap());
        let of_file = FileOptions { compression: args.compression, threads, ..FileOptions::default() };
        let mut file = FileWriter::new(sink, "root-bench.root", of_file).unwrap();
        let of_tree = TreeOptions { cluster_entries: Some(args.cluster), ..TreeOptions::default() };
        let events = file.tree("Events", &batches[0].schema(), of_tree).unwrap();
        for batch in &batches {
            file.write(events, batch).unwrap();
        }
        drop(file.finish().unwrap());
        Outcome {
            entries: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
            column_bytes: batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum(),
            stored_bytes: std::fs::metadata(&args.out).unwrap().len(),
            histogram: None,
        }
    }
}
