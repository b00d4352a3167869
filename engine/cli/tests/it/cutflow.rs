//! The verb `cutflow`. Counts and sums were computed with NumPy of the values that uproot reads.

use crate::support::{run, sample};

const CUTS: &str = "weight: MET_pt
cuts:
  - two muons: nMuon = 2
  - opposite charge: Muon_charge[1] <> Muon_charge[2]
  - little is missing: MET_pt < 30
";

fn events() -> String {
    format!("{}:Events", sample())
}

#[test]
fn cutflow_counts_after_alone_and_without_each_cut_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let cuts = directory.path().join("cuts.yaml");
    std::fs::write(&cuts, CUTS).unwrap();

    let run = run(&["cutflow", "-f", cuts.to_str().unwrap(), &events(), "--format", "json"]).ok();

    let rows: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let expected = [
        ("all events", 1000, None, None, 28467.610664397478, 1040.2730495042977),
        ("two muons", 177, Some(177), Some(118), 4201.863415777683, 370.3691834407758),
        ("opposite charge", 113, Some(148), Some(137), 2355.3774583935738, 260.13652114223925),
        ("little is missing", 95, Some(593), Some(113), 1576.6815927624702, 176.40343310201575),
    ];
    let mut before = expected[0].4;
    for (row, (name, passed, alone, without, weights, error)) in rows.as_array().unwrap().iter().zip(expected) {
        assert_eq!((&row["cut"], row["passed"].as_u64()), (&name.into(), Some(passed)));
        assert_eq!((row["alone"].as_u64(), row["without"].as_u64()), (alone, without), "{name}");
        let is_close = |column: &str, expected: f64| {
            let value = row[column].as_f64().unwrap();
            assert!((value - expected).abs() <= 1e-9 * expected, "{name}, {column}: {value}");
        };
        is_close("weights", weights);
        is_close("error", error);
        is_close("efficiency", weights / before);
        is_close("of_all", weights / expected[0].4);
        before = weights;
    }
}

#[test]
fn cutflow_takes_cuts_from_the_command_line_and_standard_output_is_csv() {
    let run = run(&["cutflow", "--cut", "nMuon = 2", "--cut", "MET_pt < 30", &events()]).ok();
    assert_eq!(run.lines()[0], "cut,passed,efficiency,of_all,alone,without");
    assert_eq!(run.lines()[1], "all events,1000,1.0,1.0,,");
    assert_eq!(run.lines()[2], "nMuon = 2,177,0.177,0.177,177,593");
    assert_eq!(run.stderr, "");
}

#[test]
fn cutflow_says_what_is_wrong_with_cuts() {
    let directory = tempfile::tempdir().unwrap();
    let cuts = directory.path().join("cuts.yaml");
    std::fs::write(&cuts, "cuts:\n  - two: nMuon = 2\n  - none: nMuon =\n").unwrap();
    let cuts = cuts.to_str().unwrap();
    run(&["cutflow", "-f", cuts, &events()]).fails(2, &["cuts.yaml, line 3", "cut 'none'", "not an SQL expression"]);
    run(&["cutflow", &events()]).fails(2, &["there are no cuts", "--cut"]);
    run(&["cutflow", "--cut", "nMuon = 2"]).fails(2, &["no file is named"]);
    run(&["cutflow", "--cut", "nMoun = 2", &events()]).fails(1, &["no column 'nMoun'", "nMuon"]);
    run(&["cutflow", "--cut", "nMuon", "--cut", "nMuon", &events()]).fails(2, &["another cut has the same name"]);
    run(&["cutflow", "-f", "nowhere.yaml", &events()]).fails(2, &["cannot read nowhere.yaml"]);
}
