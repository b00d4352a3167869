//! Luminosity masks and tables.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, UInt32Array};
use root_physics::lumi::{LumiError, LumiMask, LumiSections, LumiTable, Luminosity};

const TABLE: &[u8] = b"#Data tag : 19v3 , Norm tag: None\n\
    #run:fill,ls,time,beamstatus,E(GeV),delivered(/ub),recorded(/ub),avgpu,source\n\
    273158:4915,1:1,05/11/16 23:45:05,STABLE BEAMS,6500,x,10.5,10.0,17.4,DT\n\
    273158:4915,2:2,05/11/16 23:45:28,STABLE BEAMS,6500,x,11.5,11.0,17.4,DT\n\
    273302:4919,7:0,05/12/16 01:45:28,STABLE BEAMS,6500,x,2.0,1.0,17.4,DT\n\
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
fn damaged_tables_are_errors_with_the_line() {
    let error = LumiTable::parse(b"273158:1,1:1,t,b,e,x,1.0\n").unwrap_err();
    assert!(matches!(error, LumiError::Field { line: 1, column: 8, .. }), "{error}");
    let error = LumiTable::parse(b"# x\nrun,1:1,t,b,e,x,1.0,1.0\n").unwrap_err();
    assert!(matches!(error, LumiError::Field { line: 2, column: 1, .. }), "{error}");
    let error = LumiTable::parse(b"1:1,1:1,t,b,e,x,inf,1.0\n").unwrap_err();
    assert!(matches!(error, LumiError::Field { column: 7, .. }), "{error}");
    let twice = b"1:1,1:1,t,b,e,x,2.0,1.0\n1:1,1:1,t,b,e,x,2.0,1.0\n1:1,1:1,t,b,e,x,2.5,1.0\n";
    let error = LumiTable::parse(twice).unwrap_err();
    assert!(matches!(error, LumiError::Contradiction { line: 3, run: 1, section: 1 }), "{error}");
}
