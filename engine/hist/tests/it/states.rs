//! Bytes that were written are read again, and bytes of any other origin are refused in words.

use arrow_array::{Array, BooleanArray, Float64Array, Int64Array, StringArray};
use proptest::prelude::*;
use root_hist::{Axis, Entries, Error, Histogram, Storage, read_uhi, write_uhi};

fn histogram(storage: Storage) -> Histogram {
    let axes = vec![
        Axis::log(3, 1.0, 1000.0).unwrap().with_name("pt").with_label("p_{T}").with_unit("GeV"),
        Axis::growing_int_category(),
        Axis::str_category(["a", "ä"]).unwrap(),
        Axis::boolean(),
        Axis::variable(vec![0.0, 1.0, 3.0]).unwrap().with_flow(false, true),
    ];
    let mut histogram = Histogram::new(axes, storage).unwrap();
    let x = Float64Array::from(vec![Some(3.0), Some(500.0), None, Some(f64::NAN)]);
    let n = Int64Array::from(vec![7, -7, 0, i64::MIN]);
    let s = StringArray::from(vec!["a", "ä", "b", "c"]);
    let b = BooleanArray::from(vec![true, false, true, true]);
    let v = Float64Array::from(vec![0.5, 2.0, -1.0, 9.0]);
    let columns: [&dyn Array; 5] = [&x, &n, &s, &b, &v];
    let w = Float64Array::from(vec![0.1, 1e-300, 1.0, f64::INFINITY]);
    let mut entries = Entries::new(&columns);
    if storage.is_weighted() {
        entries = entries.weights(&w);
    }
    if storage.is_mean() {
        entries = entries.sample(&v);
    }
    histogram.fill(&entries).unwrap();
    histogram
}

const STORAGES: [Storage; 4] = [Storage::Count, Storage::Weight, Storage::Mean, Storage::WeightedMean];

#[test]
fn bytes_give_the_same_histogram() {
    for storage in STORAGES {
        let written = histogram(storage);

        let read = Histogram::from_bytes(&written.to_bytes()).unwrap();

        assert_eq!(read.axes(), written.axes());
        assert_eq!(read.tally(), written.tally());
        assert_eq!(read.to_bytes(), written.to_bytes());
    }
}

/// Written by the first version. Later ones must go on reading it.
#[test]
fn bytes_of_version_one_are_read() {
    let bytes = b"RQH\x01\x01\x00\x03\x01x\x00\x03GeV\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x3f\x01\x03\x00\x01\x00\
        \x00\x01\x1f\x00\x80\x80\x80\x80\x08\x00\x00\x00\x01\x1f\x00\x80\x80\x80\x80\x04\x00\x00";

    let histogram = Histogram::from_bytes(bytes).unwrap();

    // Digit 31 has the weight 2^(32·31 − 1074) = 2^−82; 2^30 and 2^29 of it.
    assert_eq!(histogram.values(), [0.0, 2_f64.powi(-52), 0.0, 0.0]);
    assert_eq!(histogram.variances(), [0.0, 2_f64.powi(-53), 0.0, 0.0]);
    assert_eq!((histogram.axes()[0].name(), histogram.axes()[0].unit()), ("x", "GeV"));
    assert_eq!((histogram.tally().entries, histogram.tally().nans), (3, 1));
}

#[test]
fn few_bins_of_many_are_written_with_their_numbers() {
    let mut histogram = Histogram::new(vec![Axis::regular(998, 0.0, 998.0).unwrap()], Storage::Count).unwrap();
    histogram.fill_slice(&[299.5, 2.5, 300.0, 299.0]).unwrap();

    // 4 entries; 3 of the 1000 bins, underflow first: number 3, 296 between it and number 300, and 301 right behind it.
    let contents = b"\x04\x00\x00\x00\x01\x03\x03\xa8\x02\x00\x01\x02\x01";
    let written = histogram.to_bytes();
    assert!(written.ends_with(contents), "{written:x?}");

    // The same in a histogram of which all bins are kept.
    let again = read_uhi(&write_uhi(&[("h", &histogram)], &[]).unwrap()).unwrap().remove(0).1;
    assert_eq!(again.to_bytes(), written);

    // What is filled with a weight of nothing holds nothing.
    let new = || Histogram::new(vec![Axis::regular(998, 0.0, 998.0).unwrap()], Storage::Weight).unwrap();
    let x = Float64Array::from(vec![2.5, 700.0]);
    let (mut one, mut both) = (new(), new());
    one.fill(&Entries::new(&[&x]).weights(&Float64Array::from(vec![Some(0.5), None]))).unwrap();
    both.fill(&Entries::new(&[&x]).weights(&Float64Array::from(vec![0.5, 0.0]))).unwrap();
    let sums = |histogram: &Histogram| histogram.to_bytes().split_off(b"RQH".len() + 28);
    assert_eq!(sums(&one), sums(&both));
}

#[test]
fn bins_that_no_histogram_has_are_refused() {
    let mut histogram = Histogram::new(vec![Axis::regular(998, 0.0, 998.0).unwrap()], Storage::Count).unwrap();
    histogram.fill_slice(&[997.5]).unwrap();
    let written = histogram.to_bytes();
    let contents = written.len() - 4;
    assert_eq!(&written[contents - 1..], b"\x01\x01\xe6\x07\x01");

    for (place, byte, expected) in
        [(contents + 2, 0x08, "bin that is none"), (contents - 1, 2, "kind 2"), (contents, 9, "early")]
    {
        let mut bytes = written.clone();
        bytes[place] = byte;
        let error = Histogram::from_bytes(&bytes).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn every_end_that_comes_too_early_is_an_error() {
    for storage in STORAGES {
        let bytes = histogram(storage).to_bytes();
        for end in 0..bytes.len() {
            assert!(Histogram::from_bytes(&bytes[..end]).is_err(), "{storage:?} until {end}");
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert!(matches!(Histogram::from_bytes(&longer), Err(Error::State(_))));
    }
}

#[test]
fn a_few_bytes_that_promise_much_are_refused() {
    // An axis of 2²³ bins, and nothing behind it.
    let bytes = b"RQH\x01\x01\x00\x03\x00\x00\x00\x80\x80\x80\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x3f\x00\0\0\0\0";

    let error = Histogram::from_bytes(bytes).unwrap_err();

    assert!(error.to_string().contains("too early"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_with_errors_give_an_error_or_a_histogram(
        which in 0..4_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = histogram(STORAGES[which]).to_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }

        if let Ok(read) = Histogram::from_bytes(&bytes) {
            let mut twice = read.clone();
            twice.merge(&read).unwrap();
            prop_assert_eq!(Histogram::from_bytes(&read.to_bytes()).unwrap().to_bytes(), read.to_bytes());
        }
    }
}

#[test]
fn uhi_json_that_is_wrong_is_refused_in_words() {
    let with = |axes: &str, storage: &str| format!(r#"{{"h":{{"uhi_schema":1,"axes":[{axes}],"storage":{storage}}}}}"#);
    let axis = r#"{"type":"regular","lower":0,"upper":1,"bins":2,"underflow":false,"overflow":false,"circular":false}"#;
    for (text, expected) in [
        ("[]".to_owned(), "map"),
        (r#"{"h":{}}"#.to_owned(), "uhi_schema"),
        (with("", r#"{"type":"int"}"#), "1 to 6 axes"),
        (with(&axis.replace(r#"circular":false"#, r#"circular":true"#), r#"{"type":"int"}"#), "circular"),
        (with(axis, r#"{"type":"int","values":[1]}"#), "1 elements, not 2"),
        (with(axis, r#"{"type":"int","values":[1,-2]}"#), "-2 is no number of entries"),
        (with(axis, r#"{"type":"int","values":[1,null]}"#), "no number"),
        (with(axis, r#"{"type":"int","values":"h.npy"}"#), "another file"),
        (with(axis, r#"{"type":"int","index":[[0,2]],"values":[1,1]}"#), "axis 0 has not"),
        (with(axis, r#"{"type":"weighted","values":[1,1]}"#), "variances"),
        (with(axis, r#"{"type":"other"}"#), "not known"),
        (with(&axis.replace("\"bins\":2", "\"bins\":99999999999"), r#"{"type":"int"}"#), "more than"),
    ] {
        let error = read_uhi(&text).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn uhi_json_may_be_sparse_or_without_contents() {
    let text = r#"{"empty":{"uhi_schema":1,"axes":[{"type":"boolean"}],"storage":{"type":"weighted"}},
        "sparse":{"uhi_schema":1,"axes":[{"type":"boolean"},{"type":"boolean"}],
            "storage":{"type":"int","index":[[1,0],[0,1]],"values":[5,7]}}}"#;

    let read = read_uhi(text).unwrap();

    assert_eq!(read[0].1.values(), [0.0, 0.0]);
    assert_eq!(read[1].1.values(), [0.0, 7.0, 5.0, 0.0]);
    assert_eq!(read[1].1.tally().entries, 12);
}
