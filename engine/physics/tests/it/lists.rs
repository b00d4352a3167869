//! What is done with lists, by hand-computed values.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, Float64Array, Int32Array, Int64Array, ListArray, Scalar, StringArray};
use root_physics::Error;
use root_physics::lists::{
    Arithmetic, Extreme, Order, Reduction, all, any, any_near, arg_extreme, argsort, arithmetic, concat,
    concat_sources, count_if, filter, first, flatten, nearest, reduce, sort_by, spread, take, take_list, without,
};

use crate::support::{booleans, double_values, doubles, int_rows, int_values, integers, list, rows};

const NAN: f64 = f64::NAN;

#[test]
fn reductions_give_a_number_for_each_list() {
    let values = doubles(&[Some(&[2.0, 3.0, -1.0]), Some(&[]), None, Some(&[5.0])]);
    let of = |reduction| double_values(&reduce(&values, reduction).unwrap());
    assert_eq!(of(Reduction::Sum), [Some(4.0), Some(0.0), None, Some(5.0)]);
    assert_eq!(of(Reduction::Product), [Some(-6.0), Some(1.0), None, Some(5.0)]);
    assert_eq!(of(Reduction::Mean), [Some(4.0 / 3.0), None, None, Some(5.0)]);
    assert_eq!(of(Reduction::Min), [Some(-1.0), None, None, Some(5.0)]);
    assert_eq!(of(Reduction::Max), [Some(3.0), None, None, Some(5.0)]);
}

#[test]
fn integers_are_summed_in_64_bits_and_an_overflow_is_an_error() {
    let sum = reduce(&integers(&[Some(&[i32::MAX, i32::MAX]), Some(&[])]), Reduction::Sum).unwrap();
    assert_eq!(sum.as_primitive::<Int64Type>().values()[..], [2 * i64::from(i32::MAX), 0]);
    let large = list(std::sync::Arc::new(Int64Array::from(vec![1, i64::MAX, 1])), &[1, 2]);
    assert!(matches!(reduce(&large, Reduction::Sum), Err(Error::Overflow { row: 1 })));
    let smallest = reduce(&integers(&[Some(&[4, 2])]), Reduction::Min).unwrap();
    assert_eq!(smallest.as_primitive::<Int32Type>().value(0), 2);
}

#[test]
fn null_elements_are_passed_over_by_reductions() {
    let rows = [Some(vec![None, Some(4.0), Some(2.0)]), Some(vec![None])];
    let values = ListArray::from_iter_primitive::<arrow_array::types::Float64Type, _, _>(rows);
    assert_eq!(double_values(&reduce(&values, Reduction::Sum).unwrap()), [Some(6.0), Some(0.0)]);
    assert_eq!(double_values(&reduce(&values, Reduction::Mean).unwrap()), [Some(3.0), None]);
    assert_eq!(int_values(&arg_extreme(&values, Extreme::Max).unwrap()), [Some(1), None]);
    assert_eq!(int_rows(&argsort(&values, Order::Ascending).unwrap())[0], Some(vec![Some(2), Some(1), Some(0)]));
}

#[test]
fn the_first_of_equal_extremes_counts_and_nan_never() {
    let values = doubles(&[Some(&[1.0, 3.0, 3.0]), Some(&[NAN, 1.0, 2.0]), Some(&[NAN]), Some(&[]), None]);
    assert_eq!(int_values(&arg_extreme(&values, Extreme::Max).unwrap()), [Some(1), Some(2), None, None, None]);
    assert_eq!(int_values(&arg_extreme(&values, Extreme::Min).unwrap()), [Some(0), Some(1), None, None, None]);
    assert_eq!(double_values(&reduce(&values, Reduction::Max).unwrap()), [Some(3.0), Some(2.0), None, None, None]);
    assert!(double_values(&reduce(&values, Reduction::Sum).unwrap())[1].unwrap().is_nan());
}

#[test]
fn conditions_are_counted_and_joined() {
    let truth = booleans(&[Some(&[Some(true), Some(false), None]), Some(&[Some(true), None]), Some(&[]), None]);
    assert_eq!(count_if(&truth).unwrap().iter().collect::<Vec<_>>(), [Some(1), Some(1), Some(0), None]);
    assert_eq!(any(&truth).unwrap().iter().collect::<Vec<_>>(), [Some(true), Some(true), Some(false), None]);
    assert_eq!(all(&truth).unwrap().iter().collect::<Vec<_>>(), [Some(false), Some(true), Some(true), None]);
}

#[test]
fn an_element_is_taken_by_its_place_and_none_is_null() {
    let values = doubles(&[Some(&[1.0, 2.0]), Some(&[3.0]), Some(&[4.0]), None, Some(&[5.0])]);
    let places = Int32Array::from(vec![Some(1), Some(1), Some(-1), Some(0), None]);
    assert_eq!(double_values(&take(&values, &places).unwrap()), [Some(2.0), None, None, None, None]);
    let names = list(std::sync::Arc::new(StringArray::from(vec!["a", "b", "c"])), &[1, 2]);
    let taken = take(&names, &Int32Array::from(vec![0, 1])).unwrap();
    assert_eq!(taken.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), Some("c")]);
}

#[test]
fn several_elements_are_taken_in_the_order_of_their_places() {
    let values = doubles(&[Some(&[1.0, 2.0]), Some(&[3.0]), None]);
    let places = integers(&[Some(&[1, 0, 1]), Some(&[-1, 0]), Some(&[0])]);
    let taken = take_list(&values, &places).unwrap();
    assert_eq!(rows(&taken), [Some(vec![Some(2.0), Some(1.0), Some(2.0)]), Some(vec![None, Some(3.0)]), None]);
}

#[test]
fn elements_are_chosen_by_condition_number_and_exclusion() {
    let values = doubles(&[Some(&[1.0, 2.0, 3.0]), Some(&[4.0]), None, Some(&[])]);
    let truth = booleans(&[Some(&[Some(true), None, Some(true)]), Some(&[Some(false)]), None, Some(&[])]);
    assert_eq!(
        rows(&filter(&values, &truth).unwrap()),
        [Some(vec![Some(1.0), Some(3.0)]), Some(vec![]), None, Some(vec![])]
    );
    assert_eq!(
        rows(&first(&values, 2).unwrap()),
        [Some(vec![Some(1.0), Some(2.0)]), Some(vec![Some(4.0)]), None, Some(vec![])]
    );
    let (a, b) = (Int32Array::from(vec![Some(0), None, None, Some(0)]), Int32Array::from(vec![2, 7, 0, 0]));
    assert_eq!(
        rows(&without(&values, &[&a, &b]).unwrap()),
        [Some(vec![Some(2.0)]), Some(vec![Some(4.0)]), None, Some(vec![])]
    );
}

#[test]
fn sorting_keeps_the_order_of_equal_elements_and_puts_nan_last() {
    let keys = doubles(&[Some(&[2.0, NAN, 3.0, 2.0]), Some(&[]), None]);
    let places = |order| int_rows(&argsort(&keys, order).unwrap())[0].clone().unwrap();
    assert_eq!(places(Order::Ascending), [Some(0), Some(3), Some(2), Some(1)]);
    assert_eq!(places(Order::Descending), [Some(2), Some(0), Some(3), Some(1)]);
    let values = doubles(&[Some(&[10.0, 20.0, 30.0, 40.0]), Some(&[]), None]);
    let sorted = sort_by(&values, &keys, Order::Descending).unwrap();
    assert_eq!(rows(&sorted), [Some(vec![Some(30.0), Some(10.0), Some(40.0), Some(20.0)]), Some(vec![]), None]);
}

#[test]
fn arithmetic_takes_lists_numbers_per_row_and_constants() {
    let a = doubles(&[Some(&[1.0, 2.0]), Some(&[3.0]), None]);
    let weights = Float64Array::from(vec![10.0, 100.0, 1.0]);
    let product = arithmetic(Arithmetic::Multiply, &a, &weights).unwrap();
    assert_eq!(rows(&product), [Some(vec![Some(10.0), Some(20.0)]), Some(vec![Some(300.0)]), None]);
    let difference = arithmetic(Arithmetic::Subtract, &a, &a).unwrap();
    assert_eq!(rows(&difference), [Some(vec![Some(0.0), Some(0.0)]), Some(vec![Some(0.0)]), None]);
    let two = Scalar::new(Int32Array::from(vec![2]));
    assert_eq!(rows(&arithmetic(Arithmetic::Divide, &a, &two).unwrap())[1], Some(vec![Some(1.5)]));
    let b = doubles(&[Some(&[1.0]), Some(&[3.0]), None]);
    assert!(matches!(arithmetic(Arithmetic::Add, &a, &b), Err(Error::ListLengths { row: 0, .. })));
}

#[test]
fn lists_are_put_one_behind_the_other_with_their_source() {
    let (muons, electrons) =
        (doubles(&[Some(&[1.0, 2.0]), Some(&[]), None]), doubles(&[Some(&[3.0]), Some(&[4.0]), Some(&[5.0])]));
    let both = [&muons, &electrons];
    assert_eq!(
        rows(&concat(&both).unwrap()),
        [Some(vec![Some(1.0), Some(2.0), Some(3.0)]), Some(vec![Some(4.0)]), None]
    );
    assert_eq!(
        int_rows(&concat_sources(&both).unwrap()),
        [Some(vec![Some(0), Some(0), Some(1)]), Some(vec![Some(1)]), None]
    );
}

#[test]
fn flattening_goes_along_with_numbers_of_the_rows() {
    let values = doubles(&[Some(&[1.0, 2.0]), None, Some(&[3.0])]);
    assert_eq!(double_values(&flatten(&values).unwrap()), [Some(1.0), Some(2.0), Some(3.0)]);
    let weights = Float64Array::from(vec![Some(0.5), Some(0.1), None]);
    let weights = flatten(&spread(&weights, &values).unwrap()).unwrap();
    assert_eq!(double_values(&weights), [Some(0.5), Some(0.5), None]);
}

#[test]
fn the_nearest_is_found_across_the_seam_of_phi() {
    let (eta, phi) =
        (doubles(&[Some(&[0.0, 1.0]), Some(&[0.0]), None]), doubles(&[Some(&[3.1, 0.0]), Some(&[0.0]), None]));
    let (other_eta, other_phi) = (
        doubles(&[Some(&[0.0, 0.0, NAN]), Some(&[]), Some(&[0.0])]),
        doubles(&[Some(&[2.9, -3.1, 3.1]), Some(&[]), Some(&[0.0])]),
    );
    let found = nearest([&eta, &phi], [&other_eta, &other_phi], Some(0.4)).unwrap();
    assert_eq!(int_rows(&found.places), [Some(vec![Some(1), None]), Some(vec![None]), None]);
    let distance = rows(&found.distances)[0].clone().unwrap()[0].unwrap();
    assert!((distance - (std::f64::consts::TAU - 6.2)).abs() < 1e-12);
    let near = any_near([&eta, &phi], [&other_eta, &other_phi], 0.4).unwrap();
    assert_eq!(near.value(0).as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false)]);
    assert!(near.is_null(2));
}
