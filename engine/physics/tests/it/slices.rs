//! Arrow leaves much room for how the same lists can lie in memory: slices, values in front and behind that no list
//! has, null lists with elements. Every kernel must give the same for all of them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int32Array, ListArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use root_physics::Function;
use root_physics::combinatorics::{
    Momenta, PairRule, any_pair, best_pair, best_tuple, cartesian, combinations, distance_to_mass, mass_between,
};
use root_physics::lists::{
    Arithmetic, Extreme, Order, Reduction, all, any, any_near, arg_extreme, argsort, arithmetic, concat,
    concat_sources, count_if, filter, first, flatten, nearest, reduce, sort_by, spread, take, take_list, without,
};

use crate::support::Random;

const ROWS: usize = 40;

/// The same lists in different forms: as they are usually; and as a slice of a longer array, with elements that no list
/// has, and with elements in null lists.
struct Lists {
    random: Random,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl Lists {
    fn forms(&mut self, values: impl Fn(&mut Random) -> f64, make: impl Fn(Vec<f64>) -> ArrayRef) -> [ListArray; 2] {
        let list = |prefix: usize, hidden: bool, seed: u64| {
            let mut numbers = Random(seed);
            let mut junk = Random(seed + 99);
            let (mut elements, mut offsets, mut valid) = (Vec::new(), Vec::new(), Vec::new());
            elements.extend((0..prefix * 2).map(|_| values(&mut junk)));
            for _ in 0..prefix {
                offsets.push(elements.len() as i32);
                elements.extend((0..3).map(|_| values(&mut junk)));
                valid.push(true);
            }
            for (length, is_valid) in self.lengths.iter().zip(&self.valid) {
                offsets.push(elements.len() as i32);
                if *is_valid {
                    elements.extend((0..*length).map(|_| values(&mut numbers)));
                } else if hidden {
                    elements.extend((0..2).map(|_| values(&mut junk)));
                }
                valid.push(*is_valid);
            }
            for _ in 0..prefix {
                offsets.push(elements.len() as i32);
                elements.push(values(&mut junk));
                valid.push(true);
            }
            offsets.push(elements.len() as i32);
            elements.extend((0..prefix * 3).map(|_| values(&mut junk)));
            let values = make(elements);
            let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            ListArray::new(field, offsets, values, Some(NullBuffer::from(valid))).slice(prefix, ROWS)
        };
        let seed = self.random.uniform(0.0, 1e9) as u64;
        [list(0, false, seed), list(3, true, seed)]
    }

    fn doubles(&mut self, low: f64, high: f64) -> [ListArray; 2] {
        self.forms(|r| r.uniform(low, high), |values| Arc::new(Float64Array::from(values)))
    }
}

/// Whether two arrays hold the same, wherever it lies.
fn assert_same(usual: &dyn Array, other: &dyn Array, what: &str) {
    assert_eq!(usual.len(), other.len(), "{what}");
    for row in 0..usual.len() {
        assert_eq!(usual.is_valid(row), other.is_valid(row), "{what}, row {row}");
        if usual.is_null(row) {
            continue;
        }
        if matches!(usual.data_type(), DataType::List(_)) {
            let (a, b) = (usual.as_list::<i32>().value(row), other.as_list::<i32>().value(row));
            assert_eq!(&a, &b, "{what}, row {row}");
        } else {
            assert_eq!(&usual.slice(row, 1), &other.slice(row, 1), "{what}, row {row}");
        }
    }
}

#[test]
fn every_kernel_gives_the_same_for_slices_and_for_null_lists_with_elements() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let lengths = random.lengths(ROWS, 6);
        let valid = (0..ROWS).map(|_| random.uniform(0.0, 1.0) < 0.8).collect();
        let mut lists = Lists { random, lengths, valid };
        let (pt, eta, phi) = (lists.doubles(5.0, 100.0), lists.doubles(-3.0, 3.0), lists.doubles(-3.1, 3.1));
        let charge = lists.forms(
            |r| if r.uniform(-1.0, 1.0) < 0.0 { -1.0 } else { 1.0 },
            |v| Arc::new(v.into_iter().map(|v| Some(v as i32)).collect::<Int32Array>()),
        );
        let truth = lists.forms(
            |r| r.uniform(0.0, 3.0).floor(),
            |v| Arc::new(v.into_iter().map(|v| if v == 2.0 { None } else { Some(v == 1.0) }).collect::<BooleanArray>()),
        );
        let whole = Float64Array::from(lists.random.column(ROWS + 5, 0.0, 1.0));
        let per_row = [Float64Array::from(whole.values()[5..].to_vec()), whole.slice(5, ROWS)];
        let places: Vec<i32> = lists.random.column(ROWS, -1.0, 4.0).into_iter().map(|v| v.floor() as i32).collect();
        let places = Int32Array::from(places);

        let results = |form: usize| -> Vec<(&str, ArrayRef)> {
            let (pt, eta, phi, charge) = (&pt[form], &eta[form], &phi[form], &charge[form]);
            let (truth, per_row) = (&truth[form], &per_row[form]);
            // The other form beside this one: offsets differ, but not the lists.
            let found = nearest([eta, phi], [&self::other(form, eta), phi], Some(1.0)).unwrap();
            let momenta = Momenta::massless(pt, eta, phi).unwrap();
            let rule = PairRule::new(&momenta, Some(charge), None).unwrap();
            let best = best_tuple(&momenta, 3, distance_to_mass(90.0)).unwrap();
            let pair = best_pair(&momenta, |a, b| rule.allows(a, b), distance_to_mass(90.0));
            let mut results: Vec<(&str, ArrayRef)> = vec![
                ("function", Function::DeltaR.evaluate(&[eta, phi, per_row, per_row]).unwrap()),
                ("struct", Function::ToCartesian.evaluate(&[pt, eta, phi, per_row]).unwrap()),
                ("arithmetic", arithmetic(Arithmetic::Multiply, pt, per_row).unwrap()),
                ("arithmetic of lists", arithmetic(Arithmetic::Add, pt, eta).unwrap()),
                ("argmax", Arc::new(arg_extreme(pt, Extreme::Max).unwrap())),
                ("count_if", Arc::new(count_if(truth).unwrap())),
                ("any", Arc::new(any(truth).unwrap())),
                ("all", Arc::new(all(truth).unwrap())),
                ("take", take(pt, &places).unwrap()),
                ("take_list", Arc::new(take_list(pt, charge).unwrap())),
                ("first", Arc::new(first(pt, 2).unwrap())),
                ("filter", Arc::new(filter(pt, truth).unwrap())),
                ("without", Arc::new(without(pt, &[&places]).unwrap())),
                ("argsort", Arc::new(argsort(pt, Order::Descending).unwrap())),
                ("sort_by", Arc::new(sort_by(eta, pt, Order::Ascending).unwrap())),
                ("concat", Arc::new(concat(&[pt, eta, pt]).unwrap())),
                ("concat_sources", Arc::new(concat_sources(&[pt, eta, pt]).unwrap())),
                ("flatten", flatten(pt).unwrap()),
                ("spread", Arc::new(spread(per_row, pt).unwrap())),
                ("nearest", Arc::new(found.places)),
                ("distances", Arc::new(found.distances)),
                ("any_near", Arc::new(any_near([eta, phi], [phi, eta], 1.0).unwrap())),
                ("combinations", Arc::new(combinations(pt, 2, None).unwrap())),
                ("cartesian", Arc::new(cartesian(&[pt, eta], None).unwrap())),
                ("best_tuple", Arc::new(best.scores)),
                ("best_tuple, last place", Arc::new(best.places[2].clone())),
                ("best_pair", Arc::new(pair.scores)),
                ("any_pair", Arc::new(any_pair(&momenta, |a, b| rule.allows(a, b), mass_between(60.0, 120.0)))),
                ("sums", Arc::new(momenta.sums().to_pt_eta_phi_mass().unwrap())),
            ];
            for reduction in [Reduction::Sum, Reduction::Product, Reduction::Mean, Reduction::Min, Reduction::Max] {
                results.push(("reduce", reduce(pt, reduction).unwrap()));
                results.push(("reduce integers", reduce(charge, reduction).unwrap()));
            }
            results
        };
        for ((what, usual), (_, other)) in results(0).iter().zip(results(1)) {
            assert_same(usual, &other, what);
        }
    }
}

/// The same lists with their values copied to the front.
fn other(form: usize, list: &ListArray) -> ListArray {
    if form == 0 {
        return list.clone();
    }
    let rows: Vec<_> = list
        .iter()
        .map(|row| row.map(|row| row.as_primitive::<arrow_array::types::Float64Type>().iter().collect::<Vec<_>>()))
        .collect();
    ListArray::from_iter_primitive::<arrow_array::types::Float64Type, _, _>(rows)
}
