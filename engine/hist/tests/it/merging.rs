//! Neither the partitioning of the entries nor the order of merging changes a bit.

use arrow_array::{Array, Float64Array, StringArray};
use proptest::prelude::*;
use root_hist::{Axis, Entries, Error, Histogram, Storage};

/// An entry: position, category, weight, sample.
type Entry = (f64, u8, f64, f64);

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -10.0..10.0_f64,
        2 => any::<f32>().prop_filter("finite", |x| x.is_finite()).prop_map(f64::from),
        1 => any::<f64>(),
        1 => prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(f64::INFINITY), Just(5e-324), Just(f64::MAX), Just(f64::MIN), Just(1e300), Just(-1e300)],
    ]
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    proptest::collection::vec((-1.0..5.0_f64, 0..6_u8, number(), number()), 1..200)
}

fn storages() -> impl Strategy<Value = Storage> {
    prop_oneof![Just(Storage::Count), Just(Storage::Weight), Just(Storage::Mean), Just(Storage::WeightedMean)]
}

/// With few bins, which are all kept, or with many, of which those are kept that are filled.
fn new(storage: Storage, bins: usize) -> Histogram {
    let axes = vec![Axis::regular(bins, 0.0, 4.0).unwrap(), Axis::growing_str_category()];
    Histogram::new(axes, storage).unwrap()
}

fn filled(storage: Storage, bins: usize, entries: &[Entry]) -> Histogram {
    let mut histogram = new(storage, bins);
    let floats = |get: fn(&Entry) -> f64| Float64Array::from_iter_values(entries.iter().map(get));
    let x = floats(|entry| entry.0);
    let words = StringArray::from_iter_values(entries.iter().map(|entry| format!("category {}", entry.1)));
    let (weights, sample) = (floats(|entry| entry.2), floats(|entry| entry.3));
    let columns: [&dyn Array; 2] = [&x, &words];
    let mut all = Entries::new(&columns);
    if storage.is_weighted() {
        all = all.weights(&weights);
    }
    if storage.is_mean() {
        all = all.sample(&sample);
    }
    histogram.fill(&all).unwrap();
    histogram
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_partitioning_and_any_order_of_merging_give_the_same_bits(
        storage in storages(),
        bins in prop_oneof![Just(3), Just(40), Just(400)],
        entries in entries(),
        order in any::<u64>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let expected = filled(storage, bins, &entries);

        let mut shuffled = entries.clone();
        let mut random = crate::support::Random::new(order);
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, random.below(last + 1));
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(shuffled.len())).collect();
        cuts.extend([0, shuffled.len()]);
        cuts.sort_unstable();
        let mut parts: Vec<Histogram> = cuts.windows(2).map(|cut| filled(storage, bins, &shuffled[cut[0]..cut[1]])).collect();
        while parts.len() > 1 {
            let one = parts.swap_remove(random.below(parts.len()));
            let other = random.below(parts.len());
            // Some travel as bytes.
            let one = if random.below(2) == 0 { Histogram::from_bytes(&one.to_bytes()).unwrap() } else { one };
            parts[other].merge(&one).unwrap();
        }

        prop_assert_eq!(parts[0].to_bytes(), expected.to_bytes());
        let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        prop_assert_eq!(bits(parts[0].values()), bits(expected.values()));
        prop_assert_eq!(bits(parts[0].variances()), bits(expected.variances()));
    }

    #[test]
    fn a_sum_of_whole_numbers_is_that_of_integers(numbers in proptest::collection::vec(any::<i64>(), 1..100)) {
        // Halved until they are floating-point numbers.
        let numbers: Vec<i64> = numbers.into_iter().map(|number| number >> 11).collect();
        let weights = Float64Array::from_iter_values(numbers.iter().map(|&number| number as f64 / 1024.0));
        let x = Float64Array::from(vec![1.0; numbers.len()]);
        let mut histogram = Histogram::new(vec![Axis::regular(1, 0.0, 4.0).unwrap()], Storage::Weight).unwrap();

        histogram.fill(&Entries::new(&[&x]).weights(&weights)).unwrap();

        let expected = numbers.iter().map(|&number| i128::from(number)).sum::<i128>() as f64 / 1024.0;
        prop_assert_eq!(histogram.values()[1], expected);
    }
}

#[test]
fn an_empty_histogram_changes_nothing() {
    let entries = [(0.5, 1, 0.1, 3.0), (2.5, 2, 0.2, 5.0)];
    for (storage, bins) in STORAGES.into_iter().flat_map(|storage| [(storage, 3), (storage, 400)]) {
        let full = filled(storage, bins, &entries);
        let mut empty = new(storage, bins);
        empty.merge(&full).unwrap();
        let mut merged = full.clone();
        merged.merge(&new(storage, bins)).unwrap();

        assert_eq!(empty.to_bytes(), full.to_bytes());
        assert_eq!(merged.to_bytes(), full.to_bytes());
    }
}

const STORAGES: [Storage; 4] = [Storage::Count, Storage::Weight, Storage::Mean, Storage::WeightedMean];

#[test]
fn a_histogram_of_many_bins_takes_what_its_entries_take() {
    for (storage, full) in [(Storage::Count, 512_000), (Storage::Weight, 2_048_000)] {
        let axes = || (0..3).map(|_| Axis::regular(38, 0.0, 38.0).unwrap()).collect();
        let diagonal = Float64Array::from_iter_values((0..38).map(|n| f64::from(n) + 0.5));
        let columns: [&dyn Array; 3] = [&diagonal, &diagonal, &diagonal];
        let weights = Float64Array::from(vec![0.5; 38]);
        let mut sparse = Histogram::new(axes(), storage).unwrap();
        let empty = sparse.clone();
        let entries = Entries::new(&columns);
        let entries = if storage.is_weighted() { entries.weights(&weights) } else { entries };

        sparse.fill(&entries).unwrap();

        // 64,000 bins and 38 entries: each takes its 8 or 16 bytes for each sum, and what finds it.
        assert!(sparse.memory() < 12_000, "{}", sparse.memory());
        assert!(empty.to_bytes().len() < 100 && sparse.to_bytes().len() < 1_000, "{}", sparse.to_bytes().len());
        assert!(Histogram::from_bytes(&sparse.to_bytes()).unwrap().memory() < 12_000);
        let height = if storage.is_weighted() { 0.5 } else { 1.0 };
        assert_eq!(sparse.values().iter().sum::<f64>(), 38.0 * height);
        assert!((0..38).all(|n| sparse.get(&[n, n, n]).unwrap().value() == height));
        assert_eq!(sparse.get(&[1, 2, 3]).unwrap().value(), 0.0);

        // All bins are kept where one in eight is filled: then numbers for each cost more than those that are not.
        let dense: Vec<f64> = (0..38).map(f64::from).cycle().take(38 * 38 * 38).collect();
        let rows: Vec<f64> = (0..38 * 38 * 38).map(|n| f64::from(n / 38 % 38)).collect();
        let layers: Vec<f64> = (0..38 * 38 * 38).map(|n| f64::from(n / 38 / 38)).collect();
        let [x, y, z] =
            [dense, rows, layers].map(|places| Float64Array::from_iter_values(places.iter().map(|x| x + 0.5)));
        let columns: [&dyn Array; 3] = [&x, &y, &z];
        let weights = Float64Array::from(vec![0.5; x.len()]);
        let entries = Entries::new(&columns);
        sparse.fill(&if storage.is_weighted() { entries.weights(&weights) } else { entries }).unwrap();
        assert!((full..full + 20_000).contains(&sparse.memory()), "{}", sparse.memory());
        assert_eq!(sparse.values().iter().sum::<f64>(), f64::from(38 * 38 * 38 + 38) * height);
    }
}

#[test]
fn what_differs_in_axes_or_storage_is_not_merged() {
    let axis = |bins| Axis::regular(bins, 0.0, 1.0).unwrap().with_name("pt");
    let new = |axes, storage| Histogram::new(axes, storage).unwrap();
    let one = new(vec![axis(2)], Storage::Count);

    for other in [
        new(vec![axis(3)], Storage::Count),
        new(vec![axis(2)], Storage::Weight),
        new(vec![axis(2), axis(2)], Storage::Count),
        new(vec![axis(2).without_flow()], Storage::Count),
        new(vec![Axis::growing_str_category()], Storage::Count),
    ] {
        let error = one.clone().merge(&other).unwrap_err();
        assert!(matches!(error, Error::Merge(_)), "{error}");
    }
}
