//! The bound: what a program reaches that was written for the one query. Baskets are read, decompressed no further than
//! needed, and swapped into reused buffers. Where entries begin is asked only if the query needs it: of the small branch
//! that counts elements where that lets zlib stop before the table of entry offsets, else of the table of one column.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;

use crate::baskets::{Part, Place, Unpacker, is_deflated, locate};
use crate::histogram::Histogram;
use crate::kernels::{Block, fill};
use crate::measure::Outcome;
use crate::queries::Query;

/// Prepares the loop of a query; every call of the answer is one run.
pub fn bound(path: &Path, query: &'static Query, threads: usize) -> impl FnMut() -> Outcome + use<> {
    let path = path.to_path_buf();
    let counters: Vec<String> = query.collections.iter().map(|collection| format!("n{collection}")).collect();
    let columns: Vec<&str> = query.columns.iter().copied().chain(counters.iter().map(String::as_str)).collect();
    let mut places = locate(&path, query.tree, &columns);
    if !is_deflated(&path, &places[0][0]) {
        places.truncate(query.columns.len());
    }
    let same = |branch: &Vec<Place>| {
        branch.len() == places[0].len() && branch.iter().zip(&places[0]).all(|(a, b)| a.entries == b.entries)
    };
    assert!(places.iter().all(same), "the bound is for files whose branches have the same baskets");
    move || {
        let parts: Vec<(Histogram, u64)> = thread::scope(|scope| {
            let clusters = places[0].len();
            let bounds = move |t: usize| t * clusters / threads..(t + 1) * clusters / threads;
            let run = |t: usize| {
                let (path, places) = (&path, &places);
                move || part(path, query, places, bounds(t))
            };
            // The first part runs here: one thread is no thread.
            let others: Vec<_> = (1..threads).map(|t| scope.spawn(run(t))).collect();
            let mut parts = vec![run(0)()];
            parts.extend(others.into_iter().map(|o| o.join().unwrap()));
            parts
        });
        let mut histogram = query.histogram();
        parts.iter().for_each(|(part, _)| histogram.merge(part));
        Outcome {
            entries: places[0].last().map_or(0, |b| b.entries.end),
            column_bytes: parts.iter().map(|(_, bytes)| bytes).sum(),
            stored_bytes: places.iter().flatten().map(|p| p.size as u64).sum(),
            histogram: Some(histogram),
        }
    }
}

fn part(path: &PathBuf, query: &Query, places: &[Vec<Place>], clusters: std::ops::Range<usize>) -> (Histogram, u64) {
    let file = File::open(path).unwrap();
    let mut unpacker = Unpacker::default();
    let mut histogram = query.histogram();
    let is_integer = |name: &&&str| name.ends_with("_charge");
    let mut integers = vec![Vec::new(); query.columns.iter().filter(is_integer).count()];
    let mut floats = vec![Vec::new(); query.columns.len() - integers.len()];
    let mut offsets = vec![Vec::new(); query.collections.len()];
    // The first column of each collection has its table, unless there are counters.
    let has_counters = places.len() > query.columns.len();
    let tables: Vec<usize> = if has_counters { Vec::new() } else { query.firsts().collect() };
    let mut bytes = 0;
    for cluster in clusters {
        let entries = &places[0][cluster].entries;
        let rows = (entries.end - entries.start) as usize;
        let (mut float, mut integer) = (floats.iter_mut(), integers.iter_mut());
        for (at, branch) in places.iter().enumerate() {
            let table_of = tables.iter().position(|table| *table == at);
            let part = if table_of.is_some() { Part::Whole } else { Part::Values };
            let (content, length, key) = unpacker.split(&file, &branch[cluster], part);
            let (values, table) = content.split_at(length);
            bytes += content.len() as u64;
            let words = values.as_chunks::<4>().0.iter();
            if let Some(collection) = table_of {
                // A count, and as many offsets; some writers add the end.
                let starts = table.as_chunks::<4>().0[1..].iter();
                let offsets: &mut Vec<i32> = &mut offsets[collection];
                offsets.clear();
                offsets.extend(starts.map(|w| (i32::from_be_bytes(*w) - key as i32) / 4));
                offsets.truncate(rows);
                offsets.push(length as i32 / 4);
            }
            match query.columns.get(at) {
                Some(name) if is_integer(&name) => {
                    let column: &mut Vec<i32> = integer.next().unwrap();
                    column.clear();
                    column.extend(words.map(|w| i32::from_be_bytes(*w)));
                }
                Some(_) => {
                    let column: &mut Vec<f32> = float.next().unwrap();
                    column.clear();
                    column.extend(words.map(|w| f32::from_be_bytes(*w)));
                }
                None => {
                    let offsets = &mut offsets[at - query.columns.len()];
                    let mut end = 0;
                    offsets.clear();
                    offsets.push(0);
                    offsets.extend(words.map(|w| {
                        end += i32::from_be_bytes(*w);
                        end
                    }));
                }
            }
        }
        let block = Block {
            rows,
            floats: floats.iter().map(Vec::as_slice).collect(),
            integers: integers.iter().map(Vec::as_slice).collect(),
            offsets: offsets.iter().map(Vec::as_slice).collect(),
        };
        fill(query.name, &block, &mut histogram);
    }
    (histogram, bytes)
}
