//! The kernels that physics queries spend their time in, beside plain loops that were written for the one query.
//! Times are per element: a particle, a pair or a trijet.

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{Float32Array, Int32Array, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use root_physics::combinatorics::{
    Momenta, PairRule, Tuples, any_pair, best_tuple, distance_to_mass, mass_between,
};
use root_physics::lists::{Extreme, Order, Reduction, any_near, arg_extreme, concat, reduce, sort_by};
use root_physics::{Collection, Function};

/// Particles of 100,000 events, as many in each as there are jets in real ones: 3.2 on average, 33 trijets.
struct Events {
    offsets: OffsetBuffer<i32>,
    pt: Vec<f32>,
    eta: Vec<f32>,
    phi: Vec<f32>,
    mass: Vec<f32>,
    charge: Vec<i32>,
}

impl Events {
    fn new() -> Self {
        let mut state = 1u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        let lengths: Vec<usize> = (0..100_000)
            .map(|_| (0..40).take_while(|_| uniform() < 3.2 / 4.2).count())
            .collect();
        let n = lengths.iter().sum();
        let mut column = |low: f32, high: f32| (0..n).map(|_| low + (high - low) * uniform()).collect::<Vec<f32>>();
        Self {
            offsets: OffsetBuffer::from_lengths(lengths),
            pt: column(15.0, 120.0),
            eta: column(-4.0, 4.0),
            phi: column(-3.14, 3.14),
            mass: column(2.0, 15.0),
            charge: column(0.0, 2.0).into_iter().map(|c| if c < 1.0 { -1 } else { 1 }).collect(),
        }
    }

    fn list(&self, values: &[f32]) -> ListArray {
        let field = Arc::new(Field::new_list_field(DataType::Float32, true));
        ListArray::new(field, self.offsets.clone(), Arc::new(Float32Array::from(values.to_vec())), None)
    }

    fn charges(&self) -> ListArray {
        let field = Arc::new(Field::new_list_field(DataType::Int32, true));
        ListArray::new(field, self.offsets.clone(), Arc::new(Int32Array::from(self.charge.clone())), None)
    }
}

fn kernels(criterion: &mut Criterion) {
    let events = Events::new();
    let [pt, eta, phi, mass] = [&events.pt, &events.eta, &events.phi, &events.mass].map(|c| events.list(c));
    let charge = events.charges();
    let collection = Collection::new(&[&pt]).unwrap();
    let pairs = Tuples::combinations(&collection, 2).unwrap();
    let trijets = Tuples::combinations(&collection, 3).unwrap();

    let mut group = criterion.benchmark_group("particle");
    group.throughput(Throughput::Elements(events.pt.len() as u64));
    group.bench_function("momenta", |b| b.iter(|| Momenta::new(&pt, &eta, &phi, &mass).unwrap()));
    group.bench_function("momenta by hand", |b| b.iter(|| by_hand::momenta(&events)));
    group.bench_function("delta_phi", |b| b.iter(|| Function::DeltaPhi.evaluate(&[&phi, &eta]).unwrap()));
    let six: Vec<&dyn arrow_array::Datum> = vec![&pt, &eta, &phi, &mass, &phi, &eta];
    group.bench_function("invariant_mass, massless", |b| b.iter(|| Function::InvariantMass.evaluate(&six).unwrap()));
    let eight: Vec<&dyn arrow_array::Datum> = vec![&pt, &eta, &phi, &mass, &mass, &phi, &eta, &mass];
    group.bench_function("invariant_mass", |b| b.iter(|| Function::InvariantMass.evaluate(&eight).unwrap()));
    group.bench_function("sum", |b| b.iter(|| reduce(&pt, Reduction::Sum).unwrap()));
    group.bench_function("max", |b| b.iter(|| reduce(&pt, Reduction::Max).unwrap()));
    group.bench_function("argmax", |b| b.iter(|| arg_extreme(&pt, Extreme::Max).unwrap()));
    group.bench_function("sort_by", |b| b.iter(|| sort_by(&eta, &pt, Order::Descending).unwrap()));
    group.bench_function("concat", |b| b.iter(|| concat(&[&eta, &pt]).unwrap()));
    group.finish();

    let mut group = criterion.benchmark_group("pair");
    group.throughput(Throughput::Elements(pairs.count()));
    let momenta = Momenta::massless(&pt, &eta, &phi).unwrap();
    let rule = PairRule::new(&momenta, Some(&charge), None).unwrap();
    group.bench_function("any opposite charge", |b| {
        b.iter(|| any_pair(&momenta, |i, j| rule.allows(i, j), mass_between(60.0, 120.0)))
    });
    group.bench_function("any opposite charge, with momenta", |b| {
        b.iter(|| {
            let momenta = Momenta::massless(&pt, &eta, &phi).unwrap();
            any_pair(&momenta, |i, j| rule.allows(i, j), mass_between(60.0, 120.0))
        })
    });
    group.bench_function("any opposite charge by hand, from angles", |b| b.iter(|| by_hand::any_pair(&events)));
    group.bench_function("places", |b| b.iter(|| count_chunks(&pairs)));
    group.bench_function("best", |b| b.iter(|| best_tuple(&momenta, 2, distance_to_mass(91.2)).unwrap()));
    group.finish();

    let mut group = criterion.benchmark_group("distance");
    group.throughput(Throughput::Elements(2 * pairs.count() + events.pt.len() as u64));
    group.bench_function("any_near", |b| b.iter(|| any_near([&eta, &phi], [&phi, &eta], 0.4).unwrap()));
    group.finish();

    let mut group = criterion.benchmark_group("trijet");
    group.throughput(Throughput::Elements(trijets.count()));
    let momenta = Momenta::new(&pt, &eta, &phi, &mass).unwrap();
    group.bench_function("best", |b| b.iter(|| best_tuple(&momenta, 3, distance_to_mass(172.5)).unwrap()));
    let [x, y, z, e] = by_hand::momenta(&events);
    group.bench_function("best by hand", |b| b.iter(|| by_hand::best(&events.offsets, [&x, &y, &z, &e])));
    group.bench_function("places", |b| b.iter(|| count_chunks(&trijets)));
    group.finish();

}

fn count_chunks(tuples: &Tuples<'_>) -> usize {
    let mut count = 0;
    let visit = |chunk: &root_physics::combinatorics::Chunk| {
        count += black_box(chunk).len();
        Ok::<_, ()>(())
    };
    tuples.for_each_chunk(8192, visit).unwrap();
    count
}

mod by_hand {
    use super::Events;

    pub fn momenta(events: &Events) -> [Vec<f64>; 4] {
        let mut columns: [Vec<f64>; 4] = Default::default();
        for i in 0..events.pt.len() {
            let (pt, eta, phi, mass) =
                (f64::from(events.pt[i]), f64::from(events.eta[i]), f64::from(events.phi[i]), f64::from(events.mass[i]));
            let (sin, cos) = phi.sin_cos();
            let z = pt * eta.sinh();
            let e = (pt * pt + z * z + mass * mass).sqrt();
            [pt * cos, pt * sin, z, e].into_iter().zip(&mut columns).for_each(|(value, column)| column.push(value));
        }
        columns
    }

    pub fn any_pair(events: &Events) -> usize {
        let mut found = 0;
        for row in events.offsets.windows(2) {
            let (start, end) = (row[0] as usize, row[1] as usize);
            'row: for i in start..end {
                for j in i + 1..end {
                    if events.charge[i] != events.charge[j] {
                        let cosh = (f64::from(events.eta[i]) - f64::from(events.eta[j])).cosh();
                        let cos = (f64::from(events.phi[i]) - f64::from(events.phi[j])).cos();
                        let square = 2.0 * f64::from(events.pt[i]) * f64::from(events.pt[j]) * (cosh - cos);
                        if square > 3600.0 && square < 14400.0 {
                            found += 1;
                            break 'row;
                        }
                    }
                }
            }
        }
        found
    }

    /// The trijet nearest to the top mass of each event, without a root for each: the nearest above and below.
    pub fn best(offsets: &[i32], [x, y, z, e]: [&[f64]; 4]) -> Vec<[usize; 3]> {
        let target = 172.5f64;
        let mut result = Vec::new();
        for row in offsets.windows(2) {
            let (start, end) = (row[0] as usize, row[1] as usize);
            let mut above = (f64::INFINITY, [0; 3]);
            let mut below = (f64::NEG_INFINITY, [0; 3]);
            for i in start..end {
                for j in i + 1..end {
                    let pair = (x[i] + x[j], y[i] + y[j], z[i] + z[j], e[i] + e[j]);
                    for k in j + 1..end {
                        let sum = (pair.0 + x[k], pair.1 + y[k], pair.2 + z[k], pair.3 + e[k]);
                        let square = sum.3 * sum.3 - sum.0 * sum.0 - sum.1 * sum.1 - sum.2 * sum.2;
                        if square >= target * target {
                            if square < above.0 {
                                above = (square, [i, j, k]);
                            }
                        } else if square > below.0 {
                            below = (square, [i, j, k]);
                        }
                    }
                }
            }
            let nearer_above = above.0.sqrt() - target < target - below.0.max(0.0).sqrt();
            result.push(if nearer_above { above.1 } else { below.1 });
        }
        result
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = kernels
}
criterion_main!(benches);
