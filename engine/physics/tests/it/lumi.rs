//! Luminosity masks and tables.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, UInt32Array};
use proptest::prelude::*;
use root_physics::lumi::{LumiError, LumiMask, LumiSections, LumiTable, Luminosity};

const TABLE: &[u8] = b"#Data tag : 19v3 , Norm tag: None\n\
    #run:fill,ls,time,beamstatus,E(GeV),delivered(/ub),recorded(/ub),avgpu,source\n\
    273158:4915,1:1,05/11/16 23:45:05,STABLE BEAMS,6500,10.5,10.0,17.4,DT\n\
    273158:4915,2:2,05/11/16 23:45:28,STABLE BEAMS,6500,11.5,11.0,17.4,DT\n\
    273302:4919,7:0,05/12/16 01:45:28,STABLE BEAMS,6500,2.0,1.0,17.4,DT\n\
    #Summary:\n#nfill,nrun\n";

#[test]
fn sections_in_the_ranges_of_a_run_are_certified_both_ends_included() {
    let mask = LumiMask::parse(br#"{"273158": [[3, 5], [10, 10]], "1": []}"#).unwrap();
    let runs = Int64Array::from(
        vec![Some(273_158); 7].into_iter().chain([Some(1), Some(2), None, Some(-1)]).collect::<Vec<_>>(),
    );
    let sections = UInt32Array::from(vec![2, 3, 5, 6, 9, 10, 11, 1, 1, 3, 3]);
    let certified = mask.contains_all(&runs, &sections).unwrap();
    let expected = [false, true, true, false, false, true, false, false, false].map(Some);
    assert_eq!(certified.iter().take(9).collect::<Vec<_>>(), expected);
    assert_eq!(certified.iter().skip(9).collect::<Vec<_>>(), [None, Some(false)]);
    assert!(mask.contains(273_158, 4) && !mask.contains(273_159, 4));
}

#[test]
fn ranges_in_any_order_are_joined_and_a_run_may_stand_twice() {
    let mask = LumiMask::parse(br#"{"5": [[8, 9], [1, 3], [4, 4]], "5": [[2, 6]]}"#).unwrap();
    assert_eq!(mask.runs().collect::<Vec<_>>(), [(5, &[(1, 6), (8, 9)][..])]);
    let edge = LumiMask::parse(br#"{"5": [[0, 4294967295], [1, 2]]}"#).unwrap();
    assert!(edge.contains(5, u32::MAX));
}

#[test]
fn what_is_no_mask_is_an_error_that_says_what_is_wrong() {
    let deep = "[".repeat(100_000);
    let hostile = [
        "",
        "[]",
        "{",
        "nul",
        r#"{"x": [[1, 2]]}"#,
        r#"{"1": [[2, 1]]}"#,
        r#"{"1": [[1]]}"#,
        r#"{"1": [[1, 2, 3]]}"#,
        r#"{"1": [[-1, 2]]}"#,
        r#"{"1": [[1, 4294967296]]}"#,
        r#"{"1": 3}"#,
        r#"{"1": [[1, 2]]} x"#,
        &deep,
    ];
    for text in hostile {
        let error = LumiMask::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("not a luminosity mask"), "{error}");
        assert!(error.to_string().len() < 300, "{error}");
    }
    assert!(LumiMask::parse(&[0xff, 0xfe]).is_err());
    let error =
        LumiMask::parse(b"{}").unwrap().contains_all(&Float64Array::from(vec![1.0]), &UInt32Array::from(vec![1]));
    assert!(matches!(error, Err(LumiError::Type { column: "runs", .. })));
}

#[test]
fn each_section_counts_once_in_whatever_parts_it_comes() {
    let table = LumiTable::parse(TABLE).unwrap();
    let column = |values: &[u32]| -> ArrayRef { Arc::new(UInt32Array::from(values.to_vec())) };
    let (mut one, mut two) = (LumiSections::default(), LumiSections::default());
    one.extend(&column(&[273_158, 273_158, 273_158]), &column(&[1, 1, 2])).unwrap();
    two.extend(&column(&[273_158, 273_302, 9]), &column(&[2, 7, 1])).unwrap();
    one.merge(two);
    let integral = one.integrate(&table);
    assert_eq!(integral.luminosity, Luminosity { delivered: 24.0, recorded: 22.0 });
    assert_eq!((integral.found, integral.missing), (3, 1));
    let mask = LumiMask::parse(br#"{"273158": [[2, 9]]}"#).unwrap();
    assert_eq!(table.certified(&mask), Luminosity { delivered: 11.5, recorded: 11.0 });
}

#[test]
fn the_heading_says_where_the_luminosity_is() {
    let table = LumiTable::parse(TABLE).unwrap();
    assert_eq!((table.unit(), table.len()), (Some("/ub"), 3));
    let of_path = b"#run:fill,ls,time,hltpath,delivered(/pb),recorded(/pb),source\n1:2,3:3,t,HLT_x,2.0,1.5,DT\n";
    let table = LumiTable::parse(of_path).unwrap();
    assert_eq!(table.get(1, 3), Some(Luminosity { delivered: 2.0, recorded: 1.5 }));
    let old =
        b"Run:Fill,LS,UTCTime,Beam Status,E(GeV),Delivered(/ub),Recorded(/ub),avgPU\r\n1:2,3:3,t,b,7000,2.0,1.5,4\r\n";
    assert_eq!(LumiTable::parse(old).unwrap().iter().collect::<Vec<_>>(), table.iter().collect::<Vec<_>>());
    let rates = b"#run:fill,ls,time,beamstatus,E(GeV),delivered(hz/ub),recorded(hz/ub),avgpu,source\n";
    assert!(matches!(LumiTable::parse(rates), Err(LumiError::Rate { line: 1 })));
}

#[test]
fn what_is_certified_and_absent_is_told_in_ranges() {
    let column = |values: &[u32]| -> ArrayRef { Arc::new(UInt32Array::from(values.to_vec())) };
    let mut sections = LumiSections::default();
    sections.extend(&column(&[1, 1, 1, 2, 9]), &column(&[2, 3, 7, u32::MAX, 1])).unwrap();
    let mask =
        LumiMask::parse(br#"{"1": [[1, 8], [11, 12]], "2": [[4294967294, 4294967295]], "3": [[5, 5]]}"#).unwrap();
    let absent = [(1, 1, 1), (1, 4, 6), (1, 8, 8), (1, 11, 12), (2, u32::MAX - 1, u32::MAX - 1), (3, 5, 5)];
    assert_eq!(sections.absent(&mask), absent);
}

#[test]
fn sections_travel_as_bytes_that_do_not_depend_on_their_order() {
    let column = |values: &[u32]| -> ArrayRef { Arc::new(UInt32Array::from(values.to_vec())) };
    let (mut one, mut two) = (LumiSections::default(), LumiSections::default());
    one.extend(&column(&[7, 1, 7]), &column(&[2, u32::MAX, 2])).unwrap();
    two.extend(&column(&[1, 7]), &column(&[u32::MAX, 2])).unwrap();
    assert_eq!(one.to_bytes(), two.to_bytes());
    assert_eq!(LumiSections::from_bytes(&one.to_bytes()).unwrap(), one);
    assert!(matches!(LumiSections::from_bytes(&[0; 12]), Err(LumiError::State { bytes: 12 })));
}

#[test]
fn damaged_tables_are_errors_with_the_line() {
    let error = LumiTable::parse(b"273158:1,1:1,t,b,e,1.0\n").unwrap_err();
    assert!(matches!(error, LumiError::Field { line: 1, column: 7, .. }), "{error}");
    let error = LumiTable::parse(b"# x\nnumber,1:1,t,b,e,1.0,1.0\n").unwrap_err();
    assert!(matches!(error, LumiError::Field { line: 2, column: 1, .. }), "{error}");
    let error = LumiTable::parse(b"1:1,1:1,t,b,e,inf,1.0\n").unwrap_err();
    assert!(matches!(error, LumiError::Field { column: 6, .. }), "{error}");
    let twice = b"1:1,1:1,t,b,e,2.0,1.0\n1:1,1:1,t,b,e,2.0,1.0\n1:1,1:1,t,b,e,2.5,1.0\n";
    let error = LumiTable::parse(twice).unwrap_err();
    assert!(matches!(error, LumiError::Contradiction { line: 3, run: 1, section: 1 }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in a file, it is read or refused, and what is read makes sense.
    #[test]
    fn damaged_bytes_are_read_or_refused(
        which in 0_usize..3,
        changes in prop::collection::vec((0_usize..400, any::<u8>()), 0..8),
        length in 0_usize..800,
    ) {
        let mask = br#"{"273158": [[1, 1279], [1281, 4294967295]], "5": [], "5": [[2, 6], [1, 1]]}"#;
        let mut bytes = [mask.as_slice(), TABLE, &[0x5a; 64]][which].to_vec();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(length);
        if let Ok(mask) = LumiMask::parse(&bytes) {
            for (run, ranges) in mask.runs() {
                prop_assert!(ranges.iter().all(|(first, last)| first <= last && mask.contains(run, *first)));
                prop_assert!(ranges.windows(2).all(|pair| u64::from(pair[0].1) + 1 < u64::from(pair[1].0)));
            }
            prop_assert!(LumiSections::default().absent(&mask).len() * 4 <= bytes.len());
        }
        if let Ok(table) = LumiTable::parse(&bytes) {
            prop_assert!(table.len() <= bytes.len() / 8);
            prop_assert!(table.iter().all(|(.., one)| one.recorded.is_finite() && one.delivered.is_finite()));
        }
        if let Ok(sections) = LumiSections::from_bytes(&bytes) {
            prop_assert_eq!(LumiSections::from_bytes(&sections.to_bytes()).unwrap(), sections);
        }
    }
}
