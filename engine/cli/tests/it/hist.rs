//! `hist`. Expected values by boost-histogram over what uproot reads.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{run, sample};

const PT: [f64; 6] = [0.0, 392.0, 620.0, 267.0, 37.0, 12.0];

/// What a script prints, given the path of a file.
fn python(script: &str, path: &Path) -> Value {
    let program = std::env::var("ROOT_QUERY_PYTHON").unwrap_or_else(|_| "python3".into());
    let head = "import json, sys\n\
                try:\n    import uproot\n\
                except ImportError as missing:\n    sys.exit(f'{missing}: run `make test-packages`')\n\
                path = sys.argv[1]\n";
    let output = Command::new(&program)
        .arg("-c")
        .arg(format!("{head}{script}"))
        .arg(path)
        .output()
        .unwrap_or_else(|e| panic!("{program} cannot be started ({e}): run `make test-packages`"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn away_from_a_terminal_bins_are_rows_of_csv() {
    let one = run(&["hist", &sample(), "Muon_pt[4,0,80]"]).ok();
    assert_eq!(
        one.lines(),
        [
            "bin,low,high,value,variance",
            "-1,-inf,0,0,0",
            "0,0,20,392,392",
            "1,20,40,620,620",
            "2,40,60,267,267",
            "3,60,80,37,37",
            "4,80,inf,12,12"
        ]
    );
    let two = run(&["hist", &sample(), "Muon_pt[4,0,80]", "MET_pt[4,0,80] AS met"]).ok();
    assert_eq!((two.lines()[0], two.lines()[9]), ("histogram,bin,low,high,value,variance", "met,1,20,40,427,427"));
    run(&["hist", &sample(), "Muon_pt[4,0,80]", "nMuon[]"]).fails(2, &["different axes", "--format json"]);
}

#[test]
fn histograms_among_the_columns_of_a_query_are_readable() {
    let query = "SELECT hist(Muon_pt, 4, 0, 80) AS pt FROM t";
    let table = run(&["sql", "-c", query, &sample(), "--format", "table"]).ok();
    // Heights of 392, 620, 267 and 37 as eighths of the highest, rounded up.
    assert_eq!(table.lines()[2].trim(), "▆█▄▁ 1328 entries");
    let rows = run(&["sql", "-c", query, &sample(), "--format", "json"]).ok();
    let rows: Value = serde_json::from_slice(&rows.stdout).unwrap();
    let pt: Value = serde_json::from_str(rows[0]["pt"].as_str().unwrap()).unwrap();
    assert_eq!(pt["hist"]["storage"]["values"], json!(PT.map(|n| n as u64)));
}

#[test]
fn conditions_and_weights_are_sql() {
    let values = |run: crate::support::Run| -> Vec<f64> {
        run.lines()[1..].iter().map(|row| row.split(',').nth(3).unwrap().parse().unwrap()).collect()
    };
    let pairs = run(&["hist", &sample(), "Muon_pt[4,0,80]", "--where", "nMuon = 2"]).ok();
    assert_eq!(values(pairs), [0.0, 136.0, 118.0, 83.0, 10.0, 7.0]);
    let weighted = values(run(&["hist", &sample(), "Muon_pt[4,0,80]", "--weight", "MET_pt"]).ok());
    let expected =
        [0.0, 9459.537620276213, 18177.135619938374, 7581.286564409733, 1255.121033191681, 378.02881717681885];
    assert!(weighted.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-9 * b), "{weighted:?}");
}

#[test]
fn uproot_reads_what_is_written_as_root_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("h.root");
    run(&[
        "hist",
        &sample(),
        "Muon_pt[4,0,80]",
        "Muon_eta,Muon_phi[2,-2.4,2.4,2,-3.2,3.2] AS map",
        "MET_pt[edges,0,10,30,100] AS met",
        "Muon_charge[]",
        "-o",
        path.to_str().unwrap(),
    ])
    .ok();
    let script = r#"
f = uproot.open(path)
print(json.dumps([f.classnames(cycle=False), f["Muon_pt"].values(flow=True).tolist(), f["Muon_pt"].variances(flow=True).tolist(),
    f["Muon_pt"].axis().edges().tolist(), f["Muon_pt"].member("fEntries"), f["map"].values(flow=True).tolist(),
    f["met"].values(flow=True).tolist(), f["Muon_charge"].values().tolist(), f["Muon_charge"].axis().labels()]))
"#;
    assert_eq!(
        python(script, &path),
        json!([
            {"Muon_pt": "TH1D", "map": "TH2D", "met": "TH1D", "Muon_charge": "TH1D"},
            PT, PT, [0.0, 20.0, 40.0, 60.0, 80.0], 1328.0,
            [[0.0, 1.0, 2.0, 0.0], [0.0, 339.0, 333.0, 0.0], [0.0, 341.0, 311.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
            [0.0, 112.0, 481.0, 402.0, 5.0], [637.0, 691.0], ["-1", "1"]
        ])
    );

    run(&["hist", &sample(), "Muon_pt[4,0,80]", "--weight", "MET_pt", "-o", path.to_str().unwrap()]).ok();
    let script = "h = uproot.open(path)['Muon_pt']\n\
                  print(json.dumps([h.values(flow=True).tolist(), h.variances(flow=True).tolist()]))";
    let found = python(script, &path);
    let expected = json!([
        [0.0, 9459.537620276213, 18177.135619938374, 7581.286564409733, 1255.121033191681, 378.02881717681885],
        [0.0, 338284.7119897761, 684622.9521786066, 297976.966813556, 55799.45599477799, 15771.56318715085]
    ]);
    for (row, wanted) in found.as_array().unwrap().iter().zip(expected.as_array().unwrap()) {
        for (a, b) in row.as_array().unwrap().iter().zip(wanted.as_array().unwrap()) {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 1e-9 * b, "{a} {b}");
        }
    }
}

#[test]
fn profiles_and_three_axes_are_what_numpy_computes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("h.root");
    let profile = "MET_pt,MET_sumet[profile,3,0,60] AS profile";
    let cube = "MET_pt,MET_phi,MET_sumet[2,0,60,2,-3.2,3.2,3,0,900] AS cube";
    run(&["hist", &sample(), profile, cube, "-o", path.to_str().unwrap()]).ok();
    let script = format!(
        r#"
import numpy as np
events = uproot.open({:?})["Events"].arrays(["MET_pt", "MET_phi", "MET_sumet"], library="np")
pt, phi, total = (events[name].astype("f8") for name in ("MET_pt", "MET_phi", "MET_sumet"))
f = uproot.open(path)
found = f["profile"].values()
means = [total[(pt >= low) & (pt < low + 20)].mean() for low in (0, 20, 40)]
counts, _ = np.histogramdd((pt, phi, total), bins=[[0, 30, 60], [-3.2, 0, 3.2], [0, 300, 600, 900]])
print(json.dumps([f.classnames(cycle=False), bool(np.allclose(found, means, rtol=1e-12)), f["cube"].values().tolist() == counts.tolist()]))
"#,
        sample()
    );
    assert_eq!(python(&script, &path), json!([{"profile": "TProfile", "cube": "TH3D"}, true, true]));
    run(&["hist", &sample(), "MET_pt[profile,3,0,60]"]).fails(2, &["is no profile", "X,Y[profile,BINS,LOW,HIGH]"]);
}

#[test]
fn json_holds_all_histograms_by_name() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("h.json");
    run(&["hist", &sample(), "Muon_pt[4,0,80]", "MET_pt[4,0,80] AS met", "-o", path.to_str().unwrap()]).ok();
    let found: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(found["Muon_pt"]["storage"]["values"], json!([0, 392, 620, 267, 37, 12]), "{found}");
    assert_eq!(found["met"]["storage"]["values"], json!([0, 346, 427, 196, 25, 6]));
}

#[test]
fn pictures_are_drawn_beside_or_in_place_of_the_numbers() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let plotted = run(&["hist", &sample(), "Muon_pt[4,0,80]", "--plot", &at("pt.svg"), "--log"]).ok();
    assert_eq!(plotted.lines().len(), 7);
    assert!(std::fs::read_to_string(at("pt.svg")).unwrap().contains("Muon"));
    run(&["hist", &sample(), "Muon_pt[4,0,80]", "MET_pt[4,0,80]", "-o", &at("p.png")]).ok();
    for name in ["p_Muon_pt.png", "p_MET_pt.png"] {
        assert!(std::fs::read(at(name)).unwrap().starts_with(b"\x89PNG"), "{name}");
    }
    let text = run(&["hist", &sample(), "Muon_pt[4,0,80]", "--format", "table"]).ok();
    assert!(text.text().contains("Muon_pt") && text.text().contains('█'), "{}", text.text());
}

#[test]
fn what_is_wrong_is_told() {
    run(&["hist", &sample(), "Muon_pt[100]"]).fails(2, &["'Muon_pt[100]'", "'Muon_pt[100,0,200]'"]);
    run(&["hist", &sample()]).fails(2, &["no histogram is asked for", "'Muon_pt[100,0,200]'"]);
    run(&["hist", "Muon_pt[4,0,80]"]).fails(2, &["no file is named"]);
    run(&["hist", &sample(), "Muon_p[4,0,80]"]).fails(1, &["did you mean", "Muon_pt"]);
    run(&["hist", &sample(), "Muon_pt[4,80,0]"]).fails(1, &["hist(x, bins, low, high"]);
    run(&["hist", &sample(), "Muon_pt[4,0,80]", "-o", "x.parquet"]).fails(2, &[".root"]);
    run(&["hist", "/nowhere.root", "Muon_pt[4,0,80]"]).fails(3, &["/nowhere.root"]);
}

#[test]
fn bad_files_are_skipped_and_reported_as_by_other_verbs() {
    let dir = TempDir::new().unwrap();
    let bad = dir.path().join("bad.root");
    std::fs::write(&bad, b"not a ROOT file").unwrap();
    let (bad, report) = (bad.to_str().unwrap(), dir.path().join("report.json"));
    let skipped = run(&[
        "hist",
        &sample(),
        bad,
        "Muon_pt[4,0,80]",
        "--on-bad-file",
        "skip",
        "--report",
        report.to_str().unwrap(),
    ]);
    assert_eq!((skipped.code, skipped.lines().len()), (5, 7), "{}", skipped.stderr);
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert!(report.to_string().contains("hist(Muon_pt, 4.0, 0.0, 80.0)"), "{report}");
}
