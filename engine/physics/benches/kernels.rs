//! The kernels that physics queries spend their time in, beside plain loops that were written for the one query.
//!
//! Prints nanoseconds of processor time per particle, pair or trijet, the best of several runs; so the load of the
//! machine matters little. `cargo bench -p root-physics -- trijet` runs those whose name contains `trijet`.

// A benchmark has nobody to answer an error to, and prints.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{Datum, Float32Array, Int32Array, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use root_physics::combinatorics::{Momenta, PairRule, Tuples, any_pair, best_tuple, distance_to_mass, mass_between};
use root_physics::lists::{Extreme, Order, Reduction, any_near, arg_extreme, concat, reduce, sort_by};
use root_physics::{Collection, Function};
use rustix::time::{ClockId, clock_gettime};

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
        let lengths: Vec<usize> = (0..100_000).map(|_| (0..40).take_while(|_| uniform() < 3.2 / 4.2).count()).collect();
        let n = lengths.iter().sum();
        let mut column = |low: f32, high: f32| (0..n).map(|_| low + (high - low) * uniform()).collect::<Vec<f32>>();
        Self {
            offsets: OffsetBuffer::from_lengths(lengths),
            pt: column(15.0, 120.0),
            eta: column(-4.0, 4.0),
            phi: column(-3.1, 3.1),
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

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

struct Bench {
    filters: Vec<String>,
}

impl Bench {
    fn run<T>(&self, name: &str, elements: u64, mut function: impl FnMut() -> T) {
        if !self.filters.is_empty() && !self.filters.iter().any(|filter| name.contains(filter.as_str())) {
            return;
        }
        let run = |_| {
            let start = cpu_seconds();
            black_box(function());
            cpu_seconds() - start
        };
        let best = (0..15).map(run).fold(f64::INFINITY, f64::min);
        println!("{name:<40} {:8.2} ns", best * 1e9 / elements as f64);
    }
}

fn main() {
    let bench = Bench { filters: std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect() };
    let events = Events::new();
    let [pt, eta, phi, mass] = [&events.pt, &events.eta, &events.phi, &events.mass].map(|c| events.list(c));
    let charge = events.charges();
    let collection = Collection::new(&[&pt]).unwrap();

    let n = events.pt.len() as u64;
    bench.run("particle: momenta", n, || Momenta::new(&pt, &eta, &phi, &mass).unwrap());
    bench.run("particle: momenta by hand", n, || by_hand::momenta(&events));
    bench.run("particle: delta_phi", n, || Function::DeltaPhi.evaluate(&[&phi, &eta]).unwrap());
    let six: [&dyn Datum; 6] = [&pt, &eta, &phi, &mass, &phi, &eta];
    bench.run("particle: invariant_mass, massless", n, || Function::InvariantMass.evaluate(&six).unwrap());
    let eight: [&dyn Datum; 8] = [&pt, &eta, &phi, &mass, &mass, &phi, &eta, &mass];
    bench.run("particle: invariant_mass", n, || Function::InvariantMass.evaluate(&eight).unwrap());
    bench.run("particle: sum", n, || reduce(&pt, Reduction::Sum).unwrap());
    bench.run("particle: max", n, || reduce(&pt, Reduction::Max).unwrap());
    bench.run("particle: argmax", n, || arg_extreme(&pt, Extreme::Max).unwrap());
    bench.run("particle: sort_by", n, || sort_by(&eta, &pt, Order::Descending).unwrap());
    bench.run("particle: concat", 2 * n, || concat(&[&eta, &pt]).unwrap());

    let pairs = Tuples::combinations(&collection, 2).unwrap();
    let n = pairs.count();
    let momenta = Momenta::massless(&pt, &eta, &phi).unwrap();
    let rule = PairRule::new(&momenta, Some(&charge), None).unwrap();
    let any = |momenta: &Momenta| any_pair(momenta, |i, j| rule.allows(i, j), mass_between(60.0, 120.0));
    bench.run("pair: any opposite charge", n, || any(&momenta));
    bench.run("pair: any, with momenta", n, || any(&Momenta::massless(&pt, &eta, &phi).unwrap()));
    bench.run("pair: any by hand, from angles", n, || by_hand::any_pair(&events));
    bench.run("pair: best", n, || best_tuple(&momenta, 2, distance_to_mass(91.2)).unwrap());
    bench.run("pair: places", n, || count_chunks(&pairs));
    let distances = 2 * n + events.pt.len() as u64;
    bench.run("pair: any_near", distances, || any_near([&eta, &phi], [&phi, &eta], 0.4).unwrap());

    let trijets = Tuples::combinations(&collection, 3).unwrap();
    let n = trijets.count();
    let momenta = Momenta::new(&pt, &eta, &phi, &mass).unwrap();
    bench.run("trijet: best", n, || best_tuple(&momenta, 3, distance_to_mass(172.5)).unwrap());
    let [x, y, z, e] = by_hand::momenta(&events);
    bench.run("trijet: best by hand", n, || by_hand::best(&events.offsets, [&x, &y, &z, &e]));
    bench.run("trijet: places", n, || count_chunks(&trijets));
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
            let (pt, eta, phi, mass) = (
                f64::from(events.pt[i]),
                f64::from(events.eta[i]),
                f64::from(events.phi[i]),
                f64::from(events.mass[i]),
            );
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
