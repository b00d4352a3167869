//! What is filled from which columns, and what is counted instead.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, DictionaryArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array, ListArray, StringArray,
};
use root_hist::{Axis, Content, Entries, Error, Histogram, Number, Storage, Tally};

use crate::support::Random;

fn count(axis: Axis) -> Histogram {
    Histogram::new(vec![axis], Storage::Count).unwrap()
}

fn unit() -> Axis {
    Axis::regular(4, 0.0, 4.0).unwrap().with_name("x")
}

#[test]
fn null_is_counted_and_not_filled_and_nan_is_counted_and_overflows() {
    let mut histogram = count(unit());
    let column = Float64Array::from(vec![Some(0.5), None, Some(f64::NAN), Some(3.5), None, Some(9.0)]);

    histogram.fill(&Entries::new(&[&column])).unwrap();

    assert_eq!(histogram.values(), [0.0, 1.0, 0.0, 0.0, 1.0, 2.0]);
    assert_eq!(histogram.tally(), Tally { entries: 4, nulls: 2, nans: 1, outside: 0 });
}

#[test]
fn what_lies_under_null_is_not_looked_at() {
    let nulls = Some(vec![true, false].into());
    let column = Float64Array::new(vec![1.0, f64::NAN].into(), nulls);
    let mut histogram = count(unit());

    histogram.fill(&Entries::new(&[&column])).unwrap();

    assert_eq!(histogram.tally(), Tally { entries: 1, nulls: 1, nans: 0, outside: 0 });
}

#[test]
fn a_null_weight_is_a_null_entry() {
    let column = Float64Array::from(vec![0.5, 0.5, 0.5]);
    let weights = Float32Array::from(vec![Some(2.0), None, Some(0.5)]);
    let mut histogram = Histogram::new(vec![unit()], Storage::Weight).unwrap();

    histogram.fill(&Entries::new(&[&column]).weights(&weights).weight(2.0)).unwrap();

    assert_eq!(histogram.get(&[0]), Some(Content::Weight { sum: 5.0, sum_of_squares: 17.0 }));
    assert_eq!(histogram.tally().nulls, 1);
}

#[test]
fn without_flow_bins_what_is_outside_is_counted() {
    let mut histogram = count(unit().without_flow());
    histogram.fill_slice(&[-1.0, 0.0, 4.0, 4.1, f64::NAN]).unwrap();

    assert_eq!(histogram.values(), [1.0, 0.0, 0.0, 1.0]);
    assert_eq!(histogram.tally(), Tally { entries: 2, nulls: 0, nans: 1, outside: 3 });
}

#[test]
fn every_element_of_a_list_is_an_entry_with_the_weight_of_its_row() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(0), Some(1)]),
        Some(vec![]),
        None,
        Some(vec![Some(1), None, Some(3)]),
    ]);
    let weights = Float64Array::from(vec![1.0, 10.0, 100.0, 0.5]);
    let mut histogram = Histogram::new(vec![unit()], Storage::Weight).unwrap();

    histogram.fill(&Entries::new(&[&lists]).weights(&weights)).unwrap();

    assert_eq!(histogram.values(), [0.0, 1.0, 1.5, 0.0, 0.5, 0.0]);
    // A list that is NULL, and an element.
    assert_eq!(histogram.tally(), Tally { entries: 4, nulls: 2, nans: 0, outside: 0 });
}

#[test]
fn slices_of_lists_are_filled_as_what_they_show() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>((0..4).map(|n| Some(vec![Some(n); 2])));
    let other = lists.slice(2, 2);
    let fixed = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>((0..2).map(|n| Some(vec![Some(n); 2])), 2);
    let axes = vec![unit(), unit()];
    let mut histogram = Histogram::new(axes, Storage::Count).unwrap();

    histogram.fill(&Entries::new(&[&other, &fixed])).unwrap();

    assert_eq!(histogram.get(&[2, 0]), Some(Content::Count(2)));
    assert_eq!(histogram.get(&[3, 1]), Some(Content::Count(2)));
    assert_eq!(histogram.tally().entries, 4);
}

#[test]
fn lists_of_different_lengths_are_an_error_that_names_the_entry() {
    let list = |lengths: [usize; 2]| {
        ListArray::from_iter_primitive::<Int32Type, _, _>(lengths.map(|length| Some(vec![Some(1); length])))
    };
    let mut histogram = Histogram::new(vec![unit(), unit().with_name("y")], Storage::Count).unwrap();

    let error = histogram.fill(&Entries::new(&[&list([1, 2]), &list([1, 3])])).unwrap_err();

    assert!(matches!(error, Error::ListLength { entry: 1, expected: 2, found: 3, .. }), "{error}");
    assert!(error.to_string().contains("\"y\""), "{error}");
    assert_eq!(histogram.tally(), Tally::default());
}

#[test]
fn columns_that_do_not_fit_are_refused_and_leave_the_histogram_as_it_was() {
    let words = StringArray::from(vec!["a", "b"]);
    let numbers = Int32Array::from(vec![1, 2]);
    let mut histogram = Histogram::new(vec![Axis::growing_str_category(), unit()], Storage::Count).unwrap();

    let wrong_type = histogram.fill(&Entries::new(&[&words, &words])).unwrap_err();
    let too_few = histogram.fill(&Entries::new(&[&words])).unwrap_err();
    let weight = histogram.fill(&Entries::new(&[&words, &numbers]).weight(2.0)).unwrap_err();
    let sample = histogram.fill(&Entries::new(&[&words, &numbers]).sample(&numbers)).unwrap_err();

    assert!(wrong_type.to_string().contains("axis \"x\" takes numbers"), "{wrong_type}");
    assert!(too_few.to_string().contains("1 columns for 2 axes"), "{too_few}");
    assert!(weight.to_string().contains("takes no weights"), "{weight}");
    assert!(sample.to_string().contains("takes no sample"), "{sample}");
    assert_eq!(histogram.axes()[0].bins(), 0);
}

#[test]
fn growing_categories_are_in_order_whenever_they_came() {
    let mut histogram = Histogram::new(vec![Axis::growing_str_category(), unit()], Storage::Count).unwrap();
    for (word, number) in [("m", 0), ("z", 1), ("a", 2), ("m", 3)] {
        let (word, number) = (StringArray::from(vec![word]), Int32Array::from(vec![number]));
        histogram.fill(&Entries::new(&[&word, &number])).unwrap();
    }

    let filled: Vec<Vec<i64>> = histogram.bins().filter(|bin| bin.content.value() > 0.0).map(|bin| bin.index).collect();
    assert_eq!(filled, [[0, 2], [1, 0], [1, 3], [2, 1]]);
}

#[test]
fn dictionaries_are_filled_as_their_strings() {
    let column: DictionaryArray<Int32Type> =
        vec![Some("b"), None, Some("a"), Some("b"), Some("c")].into_iter().collect();
    let mut histogram = count(Axis::str_category(["a", "b"]).unwrap());

    histogram.fill(&Entries::new(&[&column])).unwrap();

    assert_eq!(histogram.values(), [1.0, 2.0, 1.0]);
    assert_eq!(histogram.tally().nulls, 1);
}

#[test]
fn numbers_of_every_type_are_filled_as_their_value() {
    fn check<T: Number + From<u8>>() {
        let mut histogram = count(unit());
        histogram.fill_slice(&[T::from(0), T::from(3), T::from(3), T::from(9)]).unwrap();
        assert_eq!(histogram.values(), [0.0, 1.0, 0.0, 0.0, 2.0, 1.0]);
    }
    check::<f64>();
    check::<f32>();
    check::<u8>();
    check::<i16>();
    check::<u16>();
    check::<i32>();
    check::<u32>();
    check::<i64>();
    check::<u64>();
}

#[test]
fn entries_of_one_weight_are_the_same_counted_or_added() {
    let mut random = Random::new(7);
    let values: Vec<f64> = (0..3000).map(|_| 5.0 * random.uniform()).collect();
    let column = Float64Array::from(values);
    let weights = Float64Array::from(vec![0.1; column.len()]);
    let new = || Histogram::new(vec![unit()], Storage::Weight).unwrap();
    let (mut counted, mut added) = (new(), new());

    counted.fill(&Entries::new(&[&column]).weight(0.1)).unwrap();
    added.fill(&Entries::new(&[&column]).weights(&weights)).unwrap();

    assert_eq!(counted.to_bytes(), added.to_bytes());
}

#[test]
fn the_error_of_a_weighted_mean_is_by_the_effective_number_of_entries_whatever_the_unit_of_the_weights() {
    let column = Float64Array::from(vec![0.5; 3]);
    let sample = Float64Array::from(vec![1.0, 2.0, 4.0]);
    for scale in [1.0, 1024.0, 1.0 / 1024.0] {
        let weights = Float64Array::from(vec![2.0 * scale, scale, scale]);
        let mut histogram = Histogram::new(vec![unit()], Storage::WeightedMean).unwrap();

        histogram.fill(&Entries::new(&[&column]).sample(&sample).weights(&weights)).unwrap();

        // Σw = 4, Σw² = 6, the mean 2, Σw(x−μ)² = 6: a variance of 6 / (4 − 6/4) and 4² / 6 entries.
        assert_eq!(histogram.values()[1], 2.0);
        assert!((histogram.variances()[1] - 2.4 * 6.0 / 16.0).abs() < 1e-15, "{:?}", histogram.variances());
    }
}

#[test]
fn an_infinite_weight_gives_the_same_whatever_was_filled_with_it() {
    // The square of 1 is exact, that of 0.1 is not: what is left over of it is added on its own.
    let (weights, samples) = ([f64::INFINITY, 1.0], [1.0, 0.1]);
    let fill = |histogram: &mut Histogram, entries: std::ops::Range<usize>| {
        let column = Float64Array::from(vec![0.5; entries.len()]);
        let weights = Float64Array::from(weights[entries.clone()].to_vec());
        let sample = Float64Array::from(samples[entries].to_vec());
        histogram.fill(&Entries::new(&[&column]).sample(&sample).weights(&weights)).unwrap();
    };
    let [mut together, mut apart] = [(); 2].map(|()| Histogram::new(vec![unit()], Storage::WeightedMean).unwrap());

    fill(&mut together, 0..2);
    fill(&mut apart, 0..1);
    fill(&mut apart, 1..2);

    assert_eq!(together.to_bytes(), apart.to_bytes());
}

#[test]
fn the_variance_of_equal_samples_is_nothing_and_that_of_far_ones_is_exact() {
    let axis = || Axis::boolean();
    let column = arrow_array::BooleanArray::from(vec![true, true, true, false, false]);
    let sample = Float64Array::from(vec![0.1, 0.1, 0.1, 1e9 + 1.0, 1e9 - 1.0]);
    let weights = Float64Array::from(vec![0.3, 0.7, 0.9, 1.0, 1.0]);
    let mut mean = Histogram::new(vec![axis()], Storage::Mean).unwrap();
    let mut weighted = Histogram::new(vec![axis()], Storage::WeightedMean).unwrap();

    mean.fill(&Entries::new(&[&column]).sample(&sample)).unwrap();
    weighted.fill(&Entries::new(&[&column]).sample(&sample).weights(&weights)).unwrap();

    assert_eq!(mean.get(&[1]), Some(Content::Mean { count: 3, mean: 0.1, variance: 0.0 }));
    assert_eq!(mean.get(&[0]), Some(Content::Mean { count: 2, mean: 1e9, variance: 2.0 }));
    assert_eq!(weighted.variances(), [1.0, 0.0]);
    assert_eq!(weighted.values(), [1e9, 0.1]);
}

#[test]
fn a_weight_that_is_no_number_is_seen_in_its_bin_only() {
    let column = Int32Array::from(vec![0, 1, 1]);
    let weights = Float64Array::from(vec![1.0, 2.0, f64::NAN]);
    let mut histogram = Histogram::new(vec![unit()], Storage::Weight).unwrap();

    histogram.fill(&Entries::new(&[&column]).weights(&weights)).unwrap();

    assert_eq!(histogram.get(&[0]).unwrap().value(), 1.0);
    assert!(histogram.get(&[1]).unwrap().value().is_nan());
    let error = root_hist::write_uhi(&[("h", &histogram)], &[]).unwrap_err();
    assert!(matches!(error, Error::NotFinite { bin: 2, .. }), "{error}");
}

#[test]
fn an_edge_that_json_cannot_write_is_an_error() {
    let endless = Axis::variable(vec![0.0, 1.0, f64::INFINITY]).unwrap();

    let error = root_hist::write_uhi(&[("h", &count(endless))], &[]).unwrap_err();

    assert!(matches!(&error, Error::InfiniteEdge { axis } if axis == "axis 0"), "{error}");
}

#[test]
fn large_histograms_are_filled_like_small_ones() {
    let mut random = Random::new(3);
    let column: Arc<dyn Array> = Arc::new(Float32Array::from_iter_values((0..2000).map(|_| random.uniform() as f32)));
    let fine = Axis::regular(1 << 16, 0.0, 1.0).unwrap();
    let mut histogram = count(fine);

    histogram.fill(&Entries::new(&[&column])).unwrap();

    assert_eq!(histogram.values().iter().sum::<f64>(), 2000.0);
    assert!(matches!(
        Histogram::new(vec![Axis::regular(5000, 0.0, 1.0).unwrap(); 2], Storage::Count),
        Err(Error::TooManyBins)
    ));
}
