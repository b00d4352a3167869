//! The verbs that look into a file.

use crate::support::{fixture, run, sample};

#[test]
fn ls_lists_the_top_directory() {
    let run = run(&["ls", &fixture("uproot_layout.root")]).ok();
    assert_eq!(
        run.lines(),
        [
            "name,cycle,class",
            "first,1,TTree",
            "second,1,TTree",
            "dir,1,TDirectory",
            "twice,1,TTree",
            "twice,2,TTree",
            "none,1,TTree",
        ]
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn ls_goes_into_directories_if_asked() {
    let file = fixture("uproot_layout.root");
    let all = run(&["ls", "-r", &file]).ok();
    assert!(all.lines().contains(&"dir/sub/tree,1,TTree"), "{}", all.text());
    let one = run(&["ls", &format!("{file}:dir")]).ok();
    assert_eq!(one.lines(), ["name,cycle,class", "dir/tree,1,TTree", "dir/sub,1,TDirectory"]);
    let itself = run(&["ls", &format!("{file}:twice;1")]).ok();
    assert_eq!(itself.lines(), ["name,cycle,class", "twice,1,TTree"]);
}

#[test]
fn ls_long_tells_entries_sizes_and_titles() {
    let run = run(&["ls", "-l", &sample(), "--format", "json"]).ok();
    let rows: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let row = &rows[0];
    assert_eq!(row["name"], "Events");
    assert_eq!(row["entries"], 1000);
    // All baskets take 281367 bytes, and the description of the tree some more.
    let stored = row["stored_bytes"].as_u64().unwrap();
    assert!((281_367..293_333).contains(&stored), "{stored}");
    assert_eq!(row["title"], "Events");
}

#[test]
fn ls_of_several_files_names_the_file() {
    let (a, b) = (sample(), fixture("uproot_layout.root"));
    let run = run(&["ls", &a, &b]).ok();
    assert_eq!(run.lines()[0], "file,name,cycle,class");
    assert_eq!(run.lines()[1], format!("{a},Events,1,TTree"));
    assert_eq!(run.lines().len(), 8);
}

#[test]
fn ls_suggests_what_was_meant() {
    let file = fixture("uproot_layout.root");
    run(&["ls", &format!("{file}:frist")]).fails(3, &["no 'frist'", "did you mean 'first'?"]);
}

#[test]
fn schema_is_an_indented_listing() {
    let run = run(&["schema", &sample()]).ok();
    let lines = run.lines();
    assert_eq!(lines[0], "Events: 1,000 entries and 86 columns in 1 file");
    assert_eq!(lines.len(), 87);
    let words = |line: &str| line.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    assert_eq!(words(lines[1]), ["|--", "run", "int32_t", "Int32"]);
    let muon_pt = lines.iter().find(|line| line.contains("Muon_pt ")).unwrap();
    assert!(muon_pt.ends_with("List<Float32>"), "{muon_pt}");
}

#[test]
fn schema_of_the_nested_layout_is_printed_as_spark_does() {
    let run = run(&["schema", "--layout", "nested", &sample()]).ok();
    let lines = run.lines();
    assert_eq!(lines[..3], ["root", " |-- run: integer (nullable = true)", LUMI]);
    let muon = lines.iter().position(|line| line.contains("Muon:")).unwrap();
    assert_eq!(
        lines[muon..muon + 3],
        [
            " |-- Muon: array (nullable = true)",
            " |    |-- element: struct (containsNull = true)",
            " |    |    |-- pt: float (nullable = true)",
        ]
    );
    assert!(lines.contains(&" |-- MET: struct (nullable = true)"));
    assert!(!run.text().contains("nMuon"), "the length of a list is no column");
}

const LUMI: &str = " |-- luminosityBlock: unsigned integer (nullable = true)";

#[test]
fn schema_of_split_objects_shows_their_base_classes_and_what_cannot_be_read() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/aod/aod_dimuon_zlib.root");
    if !file.is_file() {
        eprintln!("SKIPPED: the file with split objects is not here");
        return;
    }
    let run = run(&["schema", "--layout", "nested", &format!("{}:Events", file.display())]).ok();
    let lines = run.lines();
    let muons = lines.iter().position(|line| line.contains("recoMuons_muons__RECO.:")).unwrap();
    assert_eq!(
        lines[muons..muons + 6],
        [
            " |-- recoMuons_muons__RECO.: struct (nullable = true)",
            " |    |-- recoMuons_muons__RECO.present: boolean (nullable = true)",
            " |    |-- recoMuons_muons__RECO.obj: array (nullable = true)",
            " |    |    |-- element: struct (containsNull = true)",
            " |    |    |    |-- reco::RecoCandidate: struct (nullable = true)",
            " |    |    |    |    |-- reco::LeafCandidate: struct (nullable = true)",
        ]
    );
    assert!(run.text().contains(" |    |    |    |    |    |-- pt_: float (nullable = true)"));
}

#[test]
fn schema_lists_a_group_and_not_the_branch_that_is_its_interface() {
    let name = "func_adl_xaod__atlas__r22_xaod__100events_ttbar.FullSim.DAOD_PHYSLITE-22.2.110.pool.root";
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/files").join(name);
    if !file.is_file() {
        eprintln!("SKIPPED: the file in ATLAS's format is not here");
        return;
    }
    let run = run(&["schema", "--layout", "nested", &format!("{}:CollectionTree", file.display())]).ok();
    let muons = run.lines().into_iter().filter(|line| line.starts_with(" |-- AnalysisMuons:")).collect::<Vec<_>>();
    assert_eq!(muons, [" |-- AnalysisMuons: array (nullable = true)"]);
}

#[test]
fn schema_of_the_nested_layout_has_the_other_forms_too() {
    let json = run(&["schema", "--layout", "nested", "--format", "json", &sample()]).ok();
    let schema: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let columns = schema["columns"].as_array().unwrap();
    let muon = columns.iter().find(|c| c["name"] == "Muon").unwrap();
    assert!(muon["arrow_type"].as_str().unwrap().starts_with("List<Struct<pt: Float32, eta: Float32"));
    let ddl = run(&["schema", "--layout", "nested", "--format", "ddl", &sample()]).ok();
    let script = format!("{}\nSELECT max(MET.pt) > 100 AS large FROM Events;", ddl.text());
    assert_eq!(crate::support::run_with_input(&["sql"], &script).ok().text(), "large\ntrue\n");
}

#[test]
fn all_verbs_take_the_layout() {
    let nested = ["--layout", "nested"];
    let verb = |args: &[&str]| run(&[args, &nested, &[&sample()]].concat()).ok();
    let head = verb(&["head", "-n", "1", "--columns", "event,HLT", "--format", "ndjson"]);
    let first: serde_json::Value = serde_json::from_str(head.text()).unwrap();
    assert_eq!((&first["event"], &first["HLT"]["IsoMu24"]), (&263142897.into(), &serde_json::Value::Bool(false)));
    let sql = verb(&["sql", "-c", "SELECT Muon[1]['pt'] AS pt FROM t WHERE event = 263142897"]);
    assert_eq!(sql.text(), "pt\n12.777097\n");
    // Also files that the SQL names.
    let from = format!("SELECT max(MET.pt) > 100 AS large FROM '{}'", sample());
    assert_eq!(run(&["sql", "--layout", "nested", "-c", &from]).ok().text(), "large\ntrue\n");
    assert_eq!(verb(&["count"]).text().lines().last(), Some("1000"));
    run(&["head", "--layout", "nested", "--columns", "Moun", &sample()]).fails(1, &["'Moun'", "Muon"]);
    run(&["head", "--layout", "round", &sample()]).fails(2, &["flat", "nested"]);
}

#[test]
fn schema_is_machine_readable() {
    let run = run(&["schema", "--format", "json", &format!("{}:events", fixture("uproot_types_zlib.root"))]).ok();
    let schema: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(schema["tree"], "events");
    assert_eq!(schema["entries"], 60);
    let columns = schema["columns"].as_array().unwrap();
    let column = |name: &str| columns.iter().find(|c| c["name"] == name).unwrap();
    assert_eq!(column("s_u64")["arrow_type"], "UInt64");
    assert_eq!(column("arr_i32")["arrow_type"], "FixedSizeList<Int32, 3>");
    assert_eq!(column("j_f64")["arrow_type"], "List<Float64>");
    assert_eq!(column("str")["arrow_type"], "Utf8");
}

#[test]
fn schema_as_sql_makes_the_table() {
    let file = fixture("uproot_layout.root");
    let ddl = run(&["schema", "--format", "ddl", &format!("{file}:dir/sub/tree")]).ok();
    assert!(ddl.text().contains("-- 3 entries in 1 file"), "{}", ddl.text());
    let script = format!("{}\nSELECT count(*) AS n FROM tree;", ddl.text());
    let run = crate::support::run_with_input(&["sql"], &script).ok();
    assert_eq!(run.text(), "n\n3\n");
}

#[test]
fn schema_of_many_files_is_their_union() {
    let files = [fixture("uproot_types_zlib.root"), fixture("uproot_types_zstd.root")];
    let run = run(&["schema", &files[0], &files[1]]).ok();
    assert!(run.lines()[0].starts_with("events: 120 entries"), "{}", run.lines()[0]);
    assert!(run.lines()[0].ends_with("in 2 files"), "{}", run.lines()[0]);
}

#[test]
fn schema_as_a_table_of_columns() {
    let run = run(&["schema", "--format", "csv", &sample()]).ok();
    assert_eq!(run.lines()[..2], ["column,cpp_type,arrow_type,unreadable", "run,int32_t,Int32,"]);
}

#[test]
fn head_shows_the_first_entries() {
    let run = run(&["head", "-n", "2", "--columns", "event,Muon_pt", &sample()]).ok();
    assert_eq!(run.text(), "event,Muon_pt\n263142897,[12.777097]\n263176076,[24.763006]\n");
    assert_eq!(run.stderr, "");
}

#[test]
fn head_has_all_columns_and_ten_rows_unless_told_otherwise() {
    let run = run(&["head", &sample()]).ok();
    assert_eq!(run.lines().len(), 11);
    assert_eq!(run.lines()[0].split(',').count(), 86);
}

#[test]
fn head_goes_on_in_the_next_file() {
    let file = fixture("uproot_layout.root");
    let run =
        run(&["head", "-n", "4", &format!("{file}:twice;1"), &format!("{file}:twice;2"), "--format", "ndjson"]).ok();
    // The cycles have 2 and 3 entries.
    assert_eq!(run.lines().len(), 4);
}

#[test]
fn head_suggests_the_nearest_column() {
    run(&["head", "--columns", "Muon_ptt", &sample()]).fails(1, &["no column 'Muon_ptt'", "'Muon_pt'"]);
}

#[test]
fn count_is_one_number() {
    assert_eq!(run(&["count", &sample()]).ok().text(), "1000\n");
    let run = run(&["count", &fixture("uproot_big_zlib.root")]).ok();
    assert_eq!((run.text(), run.stderr.as_str()), ("5000000\n", ""));
}

#[test]
fn count_adds_files_up_or_lists_them() {
    let (a, b) = (sample(), format!("{}:second", fixture("uproot_layout.root")));
    assert_eq!(run(&["count", &a, &b]).ok().text(), "1007\n");
    assert_eq!(run(&["count", &a, &b, "--format", "json"]).ok().text(), "[{\"entries\":1007}]\n");
    let by_file = run(&["count", "--by-file", &a, &b]).ok();
    assert_eq!(by_file.lines()[1], format!("{a},1000"));
    assert!(by_file.lines()[2].ends_with(",7"), "{}", by_file.text());
}

#[test]
fn stats_tells_what_every_branch_costs() {
    let run = run(&["stats", &sample()]).ok();
    assert_eq!(run.lines()[0], "branch,type,entries,baskets,stored_bytes,raw_bytes,ratio,codec");
    let muon_pt = run.lines().into_iter().find(|line| line.starts_with("Muon_pt,")).unwrap().to_string();
    assert!(muon_pt.ends_with(",1000,1,6625,9396,1.42,zlib 1"), "{muon_pt}");
    assert!(run.stderr.contains("86 branches, 86 baskets"), "{}", run.stderr);
    let silent = crate::support::run(&["stats", &format!("{}:gap", fixture("uproot_many_baskets.root"))]).ok();
    assert!(silent.lines()[1].ends_with(",not recorded"), "{}", silent.text());
}

#[test]
fn explain_shows_that_only_the_needed_columns_are_read() {
    let run = run(&["explain", "-c", "SELECT Muon_pt FROM t WHERE nMuon = 2", &sample()]).ok();
    assert!(run.text().starts_with("logical_plan:\n"), "{}", run.text());
    assert!(run.text().contains("projection=[nMuon, Muon_pt]"), "{}", run.text());
    assert!(run.text().contains("physical_plan:\n"), "{}", run.text());
}

#[test]
fn explain_analyze_runs_the_query() {
    let run = run(&["explain", "--analyze", "-c", "SELECT count(*) FROM t WHERE nMuon = 2", &sample()]).ok();
    assert!(run.text().contains("output_rows=1"), "{}", run.text());
}

#[test]
fn version_as_text_and_as_json() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run(&["version"]).ok().text(), format!("root-query {version}\n"));
    assert_eq!(run(&["--version"]).ok().text(), format!("root-query {version}\n"));
    let json: serde_json::Value = serde_json::from_slice(&run(&["version", "--json"]).ok().stdout).unwrap();
    assert_eq!(json["version"], version);
    assert!(json["datafusion"].is_string());
}

#[test]
fn completions_are_printed_for_each_shell() {
    for (shell, word) in
        [("bash", "_root__query()"), ("zsh", "#compdef root-query"), ("fish", "complete -c root-query")]
    {
        let run = run(&["completions", shell]).ok();
        assert!(run.text().contains(word), "{shell}");
        assert!(run.text().contains("on-bad-file"), "{shell}");
    }
}

#[test]
fn help_teaches_with_examples() {
    let run = run(&["--help"]).ok();
    for word in ["root-query sql -c", "Exit codes", "--on-bad-file", "explain"] {
        assert!(run.text().contains(word), "{word}");
    }
}
