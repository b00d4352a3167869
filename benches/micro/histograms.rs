//! Filling: what a value costs, by axis, storage and shape of the columns. Batches are as large as a scan makes them.

// A benchmark has nobody to answer an error to.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use arrow_array::types::Float32Type;
use arrow_array::{Array, Float32Array, Float64Array, ListArray, StringArray};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use root_hist::{Axis, Entries, Histogram, Storage};

const ROWS: usize = 8192;

/// From 0 to 1, as if at random.
fn uniform(seed: u32) -> impl Iterator<Item = f64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1_u32 << 24)
    })
}

/// Some below the axis, and some above.
fn momenta() -> Float32Array {
    Float32Array::from_iter_values(uniform(1).map(|part| (220.0 * part - 10.0) as f32).take(ROWS))
}

fn regular() -> Axis {
    Axis::regular(100, 0.0, 200.0).unwrap()
}

fn fill(criterion: &mut Criterion) {
    let (x, nulls) = (momenta(), momenta().iter().zip(0..).map(|(x, row)| x.filter(|_| row % 3 > 0)).collect());
    let nulls: Float32Array = nulls;
    let y = Float64Array::from_iter_values(uniform(2).map(|part| 200.0 * part).take(ROWS));
    let weights = Float64Array::from_iter_values(uniform(3).map(|part| 0.8 + 0.4 * part).take(ROWS));
    let words = StringArray::from_iter_values((0..ROWS).map(|row| if row < ROWS / 2 { "data" } else { "simulation" }));
    let pairs: Vec<_> = x.iter().collect();
    let lists = ListArray::from_iter_primitive::<Float32Type, _, _>(pairs.chunks(2).map(|pair| Some(pair.to_vec())));
    let of_lists = weights.slice(0, ROWS / 2);
    let edges = |count: u32| (0..=count).map(|edge| 200.0 * f64::from(edge) / f64::from(count)).collect();

    let mut group = criterion.benchmark_group("histogram");
    group.throughput(Throughput::Elements(ROWS as u64));
    let mut bench = |name: &str, axes: Vec<Axis>, storage, entries: Entries| {
        let mut histogram = Histogram::new(axes, storage).unwrap();
        group.bench_function(name, |bencher| bencher.iter(|| histogram.fill(black_box(&entries)).unwrap()));
    };
    let one: [&dyn Array; 1] = [&x];
    bench("count/regular", vec![regular()], Storage::Count, Entries::new(&one));
    bench("count/NULLs", vec![regular()], Storage::Count, Entries::new(&[&nulls]));
    bench("count/variable, 10", vec![Axis::variable(edges(10)).unwrap()], Storage::Count, Entries::new(&one));
    bench("count/variable, 100", vec![Axis::variable(edges(100)).unwrap()], Storage::Count, Entries::new(&one));
    bench("count/log", vec![Axis::log(100, 0.1, 200.0).unwrap()], Storage::Count, Entries::new(&one));
    bench("count/two axes", vec![regular(), regular()], Storage::Count, Entries::new(&[&x, &y]));
    bench("count/category", vec![Axis::growing_str_category(), regular()], Storage::Count, Entries::new(&[&words, &x]));
    bench("count/lists", vec![regular()], Storage::Count, Entries::new(&[&lists]));
    bench("weight/one for all", vec![regular()], Storage::Weight, Entries::new(&one).weight(0.5));
    bench("weight/each its own", vec![regular()], Storage::Weight, Entries::new(&one).weights(&weights));
    bench("weight/lists", vec![regular()], Storage::Weight, Entries::new(&[&lists]).weights(&of_lists));
    bench("mean", vec![regular()], Storage::Mean, Entries::new(&one).sample(&y));
    bench("weighted mean", vec![regular()], Storage::WeightedMean, Entries::new(&one).sample(&y).weights(&weights));
    group.finish();
}

criterion_group!(benches, fill);
criterion_main!(benches);
