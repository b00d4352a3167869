//! Tuples: their order as in awkward, chunks, limits, and the search for the best against trying all.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ListArray};
use root_physics::combinatorics::{
    Momenta, PairRule, Tuples, any_pair, best_pair, best_tuple, cartesian, combinations, distance_to_mass, mass_between,
};
use root_physics::{Collection, Error};
use serde_json::json;

use crate::support::{Random, double_array, double_values, doubles, int_values, integers, list, python, rows};

/// Lists of structs of doubles as lists of tuples.
fn tuples(list: &ListArray) -> Vec<Option<Vec<Vec<f64>>>> {
    let tuples_of = |row: arrow_array::ArrayRef| {
        let columns: Vec<_> =
            row.as_struct().columns().iter().map(|c| c.as_primitive::<Float64Type>().clone()).collect();
        (0..row.len()).map(|at| columns.iter().map(|c| c.value(at)).collect()).collect()
    };
    list.iter().map(|row| row.map(tuples_of)).collect()
}

#[test]
fn combinations_and_products_come_in_the_order_of_awkward() {
    let mut random = Random(11);
    let lengths = random.lengths(200, 6);
    let values = random.column(lengths.iter().sum(), 0.0, 1.0);
    let other_lengths = random.lengths(200, 4);
    let others = random.column(other_lengths.iter().sum(), 0.0, 1.0);
    let theirs = python(
        "a, b = (ak.unflatten(np.round(np.array(v), 6), l) for v, l in (data[:2], data[2:]))\n\
         out = [ak.combinations(a, k).tolist() for k in (2, 3, 4)] + [ak.cartesian([a, b]).tolist(), ak.cartesian([a, b, a]).tolist()]",
        &json!([values, lengths, others, other_lengths]),
    );
    let (a, b) = (list(double_array(&values), &lengths), list(double_array(&others), &other_lengths));
    let ours = [
        combinations(&a, 2, None).unwrap(),
        combinations(&a, 3, None).unwrap(),
        combinations(&a, 4, None).unwrap(),
        cartesian(&[&a, &b], None).unwrap(),
        cartesian(&[&a, &b, &a], None).unwrap(),
    ];
    for (ours, theirs) in ours.iter().zip(theirs.as_array().unwrap()) {
        let ours: Vec<Vec<Vec<f64>>> = tuples(ours).into_iter().map(Option::unwrap).collect();
        let rounded = |v: f64| (v * 1e6).round_ties_even() as i64;
        for (ours, theirs) in ours.iter().zip(theirs.as_array().unwrap()) {
            let ours: Vec<Vec<i64>> = ours.iter().map(|t| t.iter().map(|v| rounded(*v)).collect()).collect();
            let theirs: Vec<Vec<i64>> = theirs
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t.as_array().unwrap().iter().map(|v| rounded(v.as_f64().unwrap())).collect())
                .collect();
            assert_eq!(ours, theirs);
        }
    }
}

#[test]
fn tuples_have_names_and_null_rows_have_none() {
    let values = doubles(&[Some(&[1.0, 2.0]), None, Some(&[3.0])]);
    let pairs = combinations(&values, 2, Some(&["lead", "trail"])).unwrap();
    assert_eq!(pairs.values().as_struct().column_names(), ["lead", "trail"]);
    assert_eq!(tuples(&pairs), [Some(vec![vec![1.0, 2.0]]), None, Some(vec![])]);
    assert!(matches!(combinations(&values, 2, Some(&["a", "a"])), Err(Error::TupleNames { .. })));
    assert!(matches!(combinations(&values, 0, None), Err(Error::TupleSize { .. })));
    assert_eq!(combinations(&values.slice(0, 0), 2, None).unwrap().len(), 0);
}

#[test]
fn chunks_are_bounded_and_together_hold_all_tuples() {
    let mut random = Random(2);
    let lengths = random.lengths(50, 9);
    let values = list(double_array(&random.column(lengths.iter().sum(), 0.0, 1.0)), &lengths);
    let collection = Collection::new(&[&values]).unwrap();
    for size in [1, 2, 3] {
        let tuples = Tuples::combinations(&collection, size).unwrap();
        let whole = tuples.all(u32::MAX).unwrap();
        assert_eq!(whole.len() as u64, tuples.count());
        assert!(matches!(tuples.all(whole.len() as u32 - 1), Err(Error::TooMany { .. })));
        for limit in [1, 7, 64] {
            let mut members = vec![Vec::new(); size];
            let mut per_row = vec![0u64; lengths.len()];
            let visit = |chunk: &root_physics::combinatorics::Chunk| {
                assert!(chunk.len() <= limit);
                members.iter_mut().zip(chunk.members()).for_each(|(all, some)| all.extend_from_slice(some));
                for (row, bounds) in chunk.rows().zip(chunk.offsets().windows(2)) {
                    per_row[row] += u64::from(bounds[1] - bounds[0]);
                }
                Ok::<_, ()>(())
            };
            tuples.for_each_chunk(limit, visit).unwrap();
            assert_eq!(members, whole.members());
            assert_eq!(per_row, tuples.counts().collect::<Vec<_>>());
            assert!(whole.offsets().windows(2).map(|bounds| u64::from(bounds[1] - bounds[0])).eq(tuples.counts()));
        }
    }
}

#[test]
fn a_product_with_an_empty_list_costs_nothing() {
    // The first five lists alone have 3000⁵ tuples.
    let full = list(double_array(&vec![0.0; 3001]), &[3000, 1]);
    let empty = list(double_array(&[1.0]), &[0, 1]);

    let tuples = cartesian(&[&full, &full, &full, &full, &full, &empty], None).unwrap();

    assert_eq!([tuples.value_length(0), tuples.value_length(1)], [0, 1]);
}

#[test]
fn more_tuples_than_an_array_can_hold_are_an_error_that_says_what_to_do() {
    let values = list(double_array(&vec![0.0; 3000]), &[3000]);
    let error = combinations(&values, 3, None).unwrap_err();
    assert!(matches!(error, Error::TooMany { count: 4_495_501_000, .. }), "{error}");
    assert!(error.to_string().contains("fewer rows to a batch"), "{error}");
    let error = combinations(&values, 16, None).unwrap_err();
    assert!(matches!(error, Error::TooMany { count: u64::MAX, .. }), "{error}");
}

fn momenta(random: &mut Random, lengths: &[usize]) -> Momenta {
    let n = lengths.iter().sum();
    let mut column = |low, high| list(double_array(&random.column(n, low, high)), lengths);
    let (pt, eta) = (column(15.0, 120.0), column(-3.0, 3.0));
    Momenta::new(&pt, &eta, &column(-3.1, 3.1), &column(1.0, 15.0)).unwrap()
}

#[test]
fn the_best_tuple_is_the_one_that_trying_all_finds() {
    let mut random = Random(23);
    let lengths = random.lengths(300, 11);
    let momenta = momenta(&mut random, &lengths);
    let positions = list(double_array(&vec![0.0; lengths.iter().sum()]), &lengths);
    let collection = Collection::new(&[&positions]).unwrap();
    for size in 1..=5 {
        let best = best_tuple(&momenta, size, distance_to_mass(172.5)).unwrap();
        let mut expected: Vec<Option<(f64, Vec<i32>)>> = vec![None; lengths.len()];
        let tuples = Tuples::combinations(&collection, size).unwrap();
        let visit = |chunk: &root_physics::combinatorics::Chunk| {
            for (row, bounds) in chunk.rows().zip(chunk.offsets().windows(2)) {
                for at in bounds[0] as usize..bounds[1] as usize {
                    let places: Vec<usize> = chunk.members().iter().map(|m| m[at] as usize).collect();
                    let sum = places.iter().map(|p| momenta.get(*p).unwrap()).reduce(|a, b| a + b).unwrap();
                    let score = (sum.mass() - 172.5).abs();
                    if expected[row].as_ref().is_none_or(|(best, _)| score < *best) {
                        let start = momenta.offsets()[row];
                        expected[row] = Some((score, places.iter().map(|p| *p as i32 - start).collect()));
                    }
                }
            }
            Ok::<_, ()>(())
        };
        tuples.for_each_chunk(usize::MAX, visit).unwrap();
        for (row, expected) in expected.iter().enumerate() {
            let found = best
                .scores
                .is_valid(row)
                .then(|| (best.scores.value(row), best.places.iter().map(|p| p.value(row)).collect::<Vec<_>>()));
            assert_eq!(&found, expected, "row {row}, size {size}");
        }
    }
}

#[test]
fn of_equal_tuples_the_first_one_counts() {
    // All pairs of these have the same sum but that of the first and the last two.
    let x = doubles(&[Some(&[1.0, 1.0, 1.0, 1.0])]);
    let zero = doubles(&[Some(&[0.0; 4])]);
    let same = Momenta::cartesian(&x, &zero, &zero, &x).unwrap();
    for size in 1..=4 {
        let best = best_tuple(&same, size, distance_to_mass(5.0)).unwrap();
        let places: Vec<i32> = best.places.iter().map(|p| p.value(0)).collect();
        assert_eq!(places, (0..size as i32).collect::<Vec<_>>());
    }
    // Energies 1, 2, 5, 3, 4: of the pairs, (0, 2) comes before (1, 4), and both give 6.
    let e = doubles(&[Some(&[1.0, 2.0, 5.0, 3.0, 4.0])]);
    let zero = doubles(&[Some(&[0.0; 5])]);
    let best = best_tuple(&Momenta::cartesian(&zero, &zero, &zero, &e).unwrap(), 2, distance_to_mass(6.0)).unwrap();
    assert_eq!((best.places[0].value(0), best.places[1].value(0)), (0, 2));
}

#[test]
fn what_is_no_number_is_in_no_best_tuple() {
    let e = doubles(&[Some(&[1.0, f64::NAN, 2.0]), Some(&[f64::NAN, 1.0]), None, Some(&[1.0])]);
    let zero = doubles(&[Some(&[0.0; 3]), Some(&[0.0; 2]), None, Some(&[0.0])]);
    let best = best_tuple(&Momenta::cartesian(&zero, &zero, &zero, &e).unwrap(), 2, distance_to_mass(0.0)).unwrap();
    assert_eq!(int_values(&best.places[0]), [Some(0), None, None, None]);
    assert_eq!(int_values(&best.places[1]), [Some(2), None, None, None]);
    assert_eq!(double_values(&best.scores), [Some(3.0), None, None, None]);
}

#[test]
fn a_particle_without_a_mass_is_in_no_best_tuple() {
    let zero = doubles(&[Some(&[0.0; 3]), Some(&[0.0; 3])]);
    let pt = doubles(&[Some(&[1.0, 2.0, 4.0]), Some(&[1.0, 2.0, 4.0])]);
    let masses = [Some(0.0), None, Some(0.0), Some(f64::NAN), Some(0.0), Some(0.0)];
    let masses = list(std::sync::Arc::new(arrow_array::Float64Array::from(masses.to_vec())), &[3, 3]);
    let momenta = Momenta::new(&pt, &zero, &zero, &masses).unwrap();

    let best = best_tuple(&momenta, 2, distance_to_mass(0.0)).unwrap();

    assert_eq!(int_values(&best.places[0]), [Some(0), Some(1)]);
    assert_eq!(int_values(&best.places[1]), [Some(2), Some(2)]);
    assert!(momenta.get(1).unwrap().mass().is_nan());
}

#[test]
fn pairs_are_of_opposite_charge_and_equal_flavour() {
    let e = doubles(&[Some(&[10.0, 20.0, 30.0, 40.0]), Some(&[10.0, 20.0]), None, Some(&[])]);
    let zero = doubles(&[Some(&[0.0; 4]), Some(&[0.0; 2]), None, Some(&[])]);
    let momenta = Momenta::cartesian(&zero, &zero, &zero, &e).unwrap();
    let charge = integers(&[Some(&[1, -1, -1, 1]), Some(&[1, 1]), None, Some(&[])]);
    let flavour = integers(&[Some(&[0, 1, 0, 0]), Some(&[0, 0]), None, Some(&[])]);
    let rule = PairRule::new(&momenta, Some(&charge), Some(&flavour)).unwrap();
    // Of (0, 2) with 40 and (2, 3) with 70.
    let best = best_pair(&momenta, |a, b| rule.allows(a, b), distance_to_mass(65.0));
    assert_eq!(int_values(&best.places[0]), [Some(2), None, None, None]);
    assert_eq!(int_values(&best.places[1]), [Some(3), None, None, None]);
    let within = |low, high| any_pair(&momenta, |a, b| rule.allows(a, b), mass_between(low, high));
    assert_eq!(within(39.0, 41.0).iter().collect::<Vec<_>>(), [Some(true), Some(false), None, Some(false)]);
    assert!(!within(40.0, 70.0).value(0), "limits are not included");
    let rows = PairRule::new(&momenta, Some(&charge.slice(0, 3)), None);
    assert!(matches!(rows, Err(Error::Rows { argument: 2, found: 3, expected: 4 })));
    let short = integers(&[Some(&[1]), Some(&[1, 1]), None, Some(&[])]);
    assert!(matches!(PairRule::new(&momenta, Some(&short), None), Err(Error::ListLengths { row: 0, .. })));
}

#[test]
fn momenta_are_summed_by_row_and_by_place() {
    let pt = doubles(&[Some(&[3.0, 4.0]), Some(&[]), None]);
    let phi = doubles(&[Some(&[0.0, std::f64::consts::FRAC_PI_2]), Some(&[]), None]);
    let zero = doubles(&[Some(&[0.0, 0.0]), Some(&[]), None]);
    let momenta = Momenta::massless(&pt, &zero, &phi).unwrap();
    let sums = momenta.sums();
    assert_eq!(double_values(&sums.pt()), [Some(5.0), Some(0.0), None]);
    assert!((double_values(&sums.mass())[0].unwrap() - 24f64.sqrt()).abs() < 1e-12);
    let places = [vec![Some(1), Some(0), Some(0)].into(), vec![Some(0), None, Some(0)].into()];
    assert_eq!(double_values(&momenta.sums_of(&places).unwrap().pt()), [Some(5.0), None, None]);
    assert_eq!(momenta.sums().to_pt_eta_phi_mass().unwrap().column_names(), ["pt", "eta", "phi", "mass"]);
    assert_eq!(rows(&pt).len(), momenta.len());
}
