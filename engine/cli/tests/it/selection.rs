//! Which events count, and how much: luminosity masks, defaults of absent columns, weights and conditions of samples,
//! variations. The files of `engine/tests/data/runs` are described in its `make.py`; what is expected was worked out by hand.

use serde_json::{Value, json};

use crate::support::{Run, data, in_dir, python, run, sample};

/// The files, through the mask, with the number of the event as luminosity section.
fn masked(verb: &[&str], more: &[&str]) -> Run {
    let (files, mask) = (data("runs/*.root"), data("lumi/events.json"));
    run(&[verb, &[&files, "--lumi-mask", &mask, "--lumi-columns", "run,event"], more].concat())
}

fn report_of(args: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = in_dir(&dir, "r.json");
    run(&[args, &["--report", &path]].concat()).ok();
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
}

#[test]
fn only_certified_events_count_in_every_verb_and_how_many_they_are_is_told() {
    let counted = masked(&["sql", "-c", "SELECT count(*) AS n, sum(event) AS s FROM t"], &[]).ok();
    assert_eq!(counted.text(), "n,s\n20,1590\n");
    assert!(counted.stderr.contains("events.json: 20 of 300 events read are certified"), "{}", counted.stderr);
    assert_eq!(masked(&["count"], &[]).ok().text(), "20\n");
    let by_file = masked(&["count", "--by-file", "--format", "json"], &[]).ok();
    let by_file: Value = serde_json::from_slice(&by_file.stdout).unwrap();
    let entries: Vec<u64> = by_file.as_array().unwrap().iter().map(|line| line["entries"].as_u64().unwrap()).collect();
    assert_eq!(entries, [10, 10, 0]);
    let head = masked(&["head", "-n", "12", "--columns", "run,event"], &[]).ok();
    assert_eq!((head.lines().len(), head.lines()[1], head.lines()[12]), (13, "2011,0", "2012,151"));
    let filled = masked(&["hist", "event[3,0,300]", "--where", "nMuon < 4"], &[]).ok();
    assert_eq!(filled.lines()[2..5], ["0,0,100,10,10", "1,100,200,10,10", "2,200,300,0,0"]);
    let cuts = masked(&["cutflow", "--cut", "nMuon = 2"], &[]).ok();
    assert_eq!(cuts.lines()[1..], ["all events,20,1.0,1.0,,", "nMuon = 2,5,0.25,0.25,5,20"]);
    assert!(cuts.stderr.contains("20 of 300 events"), "{}", cuts.stderr);
    let dir = tempfile::tempdir().unwrap();
    let skim = in_dir(&dir, "x.root");
    assert!(
        masked(&["skim", "--columns", "run,event", "-o", &skim], &[]).ok().stderr.contains("300 entries in, 20 out")
    );
    assert_eq!(run(&["count", &skim]).ok().text(), "20\n");
}

#[test]
fn a_condition_is_asked_behind_the_mask_so_that_all_events_are_counted() {
    let some = masked(&["sql", "-c", "SELECT count(*) AS n FROM t WHERE nMuon = 2 AND event > 5"], &[]).ok();
    assert_eq!(some.text(), "n\n4\n");
    assert!(some.stderr.contains("20 of 300 events read"), "{}", some.stderr);
}

#[test]
fn the_report_has_the_events_of_the_mask() {
    let (files, mask) = (data("runs/"), data("lumi/events.json"));
    let report = report_of(&["count", &files, "--lumi-mask", &mask, "--lumi-columns", "run,event"]);
    assert_eq!(report["lumi_masks"], json!([{"file": mask, "events_read": 300, "events_certified": 20}]));
}

#[test]
fn real_events_are_certified_by_run_and_section() {
    let dir = tempfile::tempdir().unwrap();
    let mask = in_dir(&dir, "golden.json");
    let script = "t = uproot.open(sys.argv[1])['Events'].arrays(['run', 'luminosityBlock'])\n\
                  runs, blocks = t.run.to_numpy(), t.luminosityBlock.to_numpy()\n\
                  run, low, high = int(runs[0]), int(blocks.min()), int(blocks.min()) + int(blocks.max() - blocks.min()) // 2\n\
                  inside = (runs == run) & (blocks >= low) & (blocks <= high)\n\
                  json.dump({str(run): [[low, high]]}, open(sys.argv[2], 'w'))\n\
                  print(json.dumps(int(inside.sum())))";
    let expected = python(script, &[&sample(), &mask]).as_u64().unwrap();
    let counted = run(&["count", &sample(), "--lumi-mask", &mask]).ok();
    assert_eq!(counted.text(), format!("{expected}\n"));
}

#[test]
fn what_is_wrong_with_a_mask_is_said() {
    let (files, mask) = (data("runs/"), data("lumi/events.json"));
    run(&["count", &files, "--lumi-mask", &mask])
        .fails(2, &["no column 'luminosityBlock'", "--lumi-columns RUN,SECTION"]);
    run(&["count", &files, "--lumi-mask", "/no/such.json", "--lumi-columns", "run,event"])
        .fails(3, &["luminosity file", "/no/such.json"]);
    run(&["count", &files, "--lumi-mask", &sample(), "--lumi-columns", "run,event"])
        .fails(3, &["not a luminosity mask", ".root"]);
    run(&["stats", &files, "--lumi-mask", &mask]).fails(2, &["--lumi-mask selects events"]);
}

#[test]
fn a_default_stands_where_a_file_lacks_the_column_and_that_is_told() {
    let files = data("runs/*.root");
    let sql = ["sql", "-c", "SELECT count(*) AS n FROM t WHERE HLT_IsoMu24", &files];
    let passed = run(&[&sql[..], &["--default", "HLT_IsoMu24=true"]].concat()).ok();
    assert_eq!(passed.text(), "n\n140\n");
    assert!(passed.stderr.contains("HLT_IsoMu24 = true in 1 of 3 files"), "{}", passed.stderr);
    assert!(!passed.stderr.contains("NULL there: HLT_IsoMu24"), "{}", passed.stderr);
    let plain = run(&sql).ok();
    assert_eq!(plain.text(), "n\n40\n");
    assert!(plain.stderr.contains("HLT_IsoMu24"), "{}", plain.stderr);
    let report = report_of(&["count", &files, "--default", "HLT_*=false", "--default", "run=1", "--default", "ev*=2"]);
    let expected = json!([
        {"column": "run", "value": "1", "files": 0},
        {"column": "HLT_IsoMu24", "value": "false", "files": 1},
        {"column": "ev*", "value": "2", "files": 0},
    ]);
    assert_eq!(report["defaults"], expected);
    let passed = run(&[&sql[..], &["--default", "*_Iso*=true", "--default", "nothing*=1", "-q"]].concat());
    passed.fails(2, &["nothing* = 1", "no file has a column that is like that"]);
    let passed = run(&[&sql[..], &["--default", "HLT_*=true", "--default", "M*=-1"]].concat()).ok();
    assert_eq!(passed.text(), "n\n140\n");
    assert!(passed.stderr.contains("HLT_IsoMu24 = true in 1 of 3 files, which lack the column"), "{}", passed.stderr);
    run(&["count", &files, "--default", "HLT_IsoMu42=true"]).fails(2, &["no file has such a column", "HLT_IsoMu24"]);
    run(&["count", &files, "--default", "HLT_IsoMu24"]).fails(2, &["COLUMN = VALUE"]);
}

#[test]
fn samples_choose_among_their_events_and_weigh_them() {
    let samples = data("samples/chosen.yaml");
    let counted = run(&["count", "--dataset", &samples]).ok();
    assert_eq!(counted.lines(), ["A       50", "B       20", "C      100", "total  170"]);
    // 50 events of weight 1.5, 20 of 0.25 and 100 of no weight, which is 1.
    let filled = run(&["hist", &samples, "event[1,0,300]"]).ok();
    assert_eq!(filled.lines()[2], "0,0,300,180,213.75");
    assert!(filled.stderr.contains("the column sample_weight"), "{}", filled.stderr);
    let doubled = run(&["hist", &samples, "event[1,0,300]", "--weight", "2 -- twice"]).ok();
    assert_eq!(doubled.lines()[2], "0,0,300,360,855");
    let cuts = run(&["cutflow", "--cut", "nMuon = 2", &samples, "--format", "json"]).ok();
    let cuts: Value = serde_json::from_slice(&cuts.stdout).unwrap();
    let told = |row: usize| (cuts[row]["passed"].as_u64().unwrap(), cuts[row]["weights"].as_f64().unwrap());
    assert_eq!((told(0), told(1)), ((170, 180.0), (55, 63.75)));
    let head = run(&["head", "-n", "2", "--columns", "event,sample_weight", &samples]).ok();
    assert_eq!(head.lines(), ["event,sample_weight", "0,1.5", "2,1.5"]);
}

/// The rows of one histogram in CSV.
fn rows(run: &Run, name: &str) -> Vec<String> {
    let prefix = format!("{name},");
    run.lines().iter().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_string).collect()
}

#[test]
fn variations_are_filled_beside_the_nominal_histogram_in_one_pass() {
    let file = sample();
    let asked = ["hist", &file, "MET_pt[4,0,80] AS met", "--where", "MET_pt > 20", "--weight", "Muon_pt[1]"];
    let vary = ["--vary", "up", "MET_pt = MET_pt * 2", "--vary-weight", "flat", "1.0"];
    let varied = run(&[&asked[..], &vary[..]].concat()).ok();
    let plain = |args: &[&str]| run(&[&["hist", &file], args].concat()).ok().lines()[1..].join("\n");
    let expected = [
        ("met", plain(&["MET_pt[4,0,80]", "--where", "MET_pt > 20", "--weight", "Muon_pt[1]"])),
        ("met__up", plain(&["MET_pt * 2[4,0,80]", "--where", "MET_pt * 2 > 20", "--weight", "Muon_pt[1]"])),
        ("met__flat", plain(&["MET_pt[4,0,80]", "--where", "MET_pt > 20", "--weight", "1.0"])),
    ];
    for (name, rows_of_it) in expected {
        assert_eq!(rows(&varied, name).join("\n"), rows_of_it, "{name}");
    }

    let dir = tempfile::tempdir().unwrap();
    let path = in_dir(&dir, "h.root");
    run(&[&asked[..], &vary[..], &["-o", &path]].concat()).ok();
    let keys = python("print(json.dumps(sorted(uproot.open(sys.argv[1]).keys(cycle=False))))", &[&path]);
    assert_eq!(keys, json!(["met", "met__flat", "met__up"]));
    let report = report_of(&[&asked[..], &vary[..]].concat());
    assert_eq!(report["events"], 1000);
}

#[test]
fn a_variation_that_makes_no_sense_is_a_mistake() {
    let file = sample();
    let vary = |name: &str, text: &str| run(&["hist", &file, "MET_pt[4,0,80]", "--vary", name, text]);
    vary("up", "Jet_pt = Jet_pt * 2").fails(2, &["'up' changes nothing"]);
    vary("up", "MET_pt * 2").fails(2, &["COLUMN = SQL"]);
    vary("u p", "MET_pt = 1").fails(2, &["letters, digits"]);
}

#[test]
fn luminosity_is_summed_with_every_section_once() {
    let table = data("lumi/lumi.csv");
    let summed = masked(&["lumi", "--lumi-file", &table], &[]).ok();
    assert_eq!(
        summed.lines(),
        [
            "run,sections,recorded,delivered,without_luminosity,absent,absent_sections,absent_recorded",
            "2011,10,1.75,2.0,8,0,,0.0",
            "2012,10,0.0,0.0,10,0,,0.0",
            "2040,0,0.0,0.0,0,1,1,7.0",
        ]
    );
    for words in
        ["total: 20 sections of 2 runs; 1.75 /pb recorded, 2 /pb delivered", "18 sections", "1 certified section"]
    {
        assert!(summed.stderr.contains(words), "no '{words}' in {}", summed.stderr);
    }
    // A file twice under two names adds nothing.
    let dir = tempfile::tempdir().unwrap();
    let copy = in_dir(&dir, "again.root");
    std::fs::copy(data("runs/2011.root"), &copy).unwrap();
    let twice = run(&["lumi", &data("runs/2011.root"), &copy, "--lumi-columns", "run,event"]).ok();
    assert_eq!(twice.lines(), ["run,sections", "2011,100"]);
    run(&["lumi", &data("runs/"), "--lumi-file", "/no/such.csv"]).fails(3, &["/no/such.csv"]);
}
