//! Every format, on standard output and in files.

use arrow::array::AsArray;
use arrow::datatypes::{Float32Type, UInt32Type};
use arrow::record_batch::RecordBatch;

use crate::support::{fixture, run, sample};

const QUERY: &str = "SELECT nMuon, Muon_pt FROM t LIMIT 3";

fn formatted(format: &str) -> crate::support::Run {
    run(&["sql", "-c", QUERY, "--format", format, &sample()]).ok()
}

#[test]
fn text_formats_render_lists() {
    let six = "[37.748604, 6.9919257, 3.349816, 7.913256, 5.379204, 9.373967]";
    assert_eq!(formatted("csv").text(), format!("nMuon,Muon_pt\n1,[12.777097]\n1,[24.763006]\n6,\"{six}\"\n"));
    assert_eq!(formatted("tsv").text(), format!("nMuon\tMuon_pt\n1\t[12.777097]\n1\t[24.763006]\n6\t{six}\n"));
    assert_eq!(
        formatted("markdown").text(),
        format!("| nMuon | Muon_pt |\n|---:|---|\n| 1 | [12.777097] |\n| 1 | [24.763006] |\n| 6 | {six} |\n")
    );
    let table = formatted("table");
    assert_eq!(
        table.lines()[..3],
        [" nMuon | Muon_pt", &format!("-------+-{}-", "-".repeat(six.len())), "     1 | [12.777097]"]
    );
}

#[test]
fn json_is_one_array_and_ndjson_is_lines() {
    let array: serde_json::Value = serde_json::from_slice(&formatted("json").stdout).unwrap();
    assert_eq!(array.as_array().unwrap().len(), 3);
    assert_eq!(array[2]["Muon_pt"].as_array().unwrap().len(), 6);
    let lines = formatted("ndjson");
    assert_eq!(lines.lines()[1], "{\"nMuon\":1,\"Muon_pt\":[24.763006]}");
    assert_eq!(lines.lines().len(), 3);
}

#[test]
fn an_empty_result_is_well_formed_in_every_format() {
    let empty = |format: &str| {
        run(&["sql", "-c", "SELECT nMuon FROM t WHERE nMuon > 1000", "--format", format, &sample()]).ok()
    };
    assert_eq!(empty("csv").text(), "nMuon\n");
    assert_eq!(empty("json").text(), "[]\n");
    assert_eq!(empty("ndjson").text(), "");
    assert_eq!(empty("table").text(), " nMuon\n-------\n");
    assert_eq!(stream(&empty("arrow").stdout).iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    assert!(empty("parquet").stdout.starts_with(b"PAR1"));
}

#[test]
fn the_default_away_from_a_terminal_is_csv() {
    assert_eq!(run(&["sql", "-c", QUERY, &sample()]).ok().text(), formatted("csv").text());
}

fn stream(bytes: &[u8]) -> Vec<RecordBatch> {
    arrow::ipc::reader::StreamReader::try_new(bytes, None).unwrap().map(Result::unwrap).collect()
}

fn check_columns(batches: &[RecordBatch]) {
    let all = arrow::compute::concat_batches(&batches[0].schema(), batches).unwrap();
    assert_eq!(all.num_rows(), 1000);
    let counts = all.column(0).as_primitive::<UInt32Type>();
    assert_eq!(counts.values().iter().sum::<u32>(), 1328);
    let muons = all.column(1).as_list::<i32>();
    assert_eq!(muons.value(2).as_primitive::<Float32Type>().value(0), 37.748_604);
}

const ALL: &str = "SELECT nMuon, Muon_pt FROM t";

#[test]
fn arrow_is_a_stream_on_standard_output() {
    check_columns(&stream(&run(&["sql", "-c", ALL, "--format", "arrow", &sample()]).ok().stdout));
}

#[test]
fn the_name_of_the_file_says_the_format() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let path = dir.path().join(name);
        let run = run(&["sql", "-c", ALL, "-o", path.to_str().unwrap(), &sample()]).ok();
        assert!(run.stdout.is_empty());
        std::fs::read(path).unwrap()
    };
    let file = std::io::Cursor::new(write("x.arrow"));
    let batches = arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
    check_columns(&batches.map(Result::unwrap).collect::<Vec<_>>());
    check_columns(&stream(&write("x.arrows")));
    write("x.parquet");
    let parquet = std::fs::File::open(dir.path().join("x.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap();
    check_columns(&reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>());
    let json: serde_json::Value = serde_json::from_slice(&write("x.json")).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 1000);
    for (name, lines) in [("x.csv", 1001), ("x.tsv", 1001), ("x.ndjson", 1000), ("x.md", 1002)] {
        let text = String::from_utf8(write(name)).unwrap();
        assert_eq!(text.lines().count(), lines, "{name}");
    }
}

#[test]
fn parquet_goes_to_standard_output_if_it_is_no_terminal() {
    let run = run(&["sql", "-c", ALL, "--format", "parquet", &sample()]).ok();
    assert!(run.stdout.starts_with(b"PAR1") && run.stdout.ends_with(b"PAR1"));
}

#[test]
fn special_numbers_and_texts_survive() {
    let sql = "SELECT s_f32, s_i32, str FROM t LIMIT 2";
    let file = fixture("uproot_types_zlib.root");
    let csv = run(&["sql", "-c", sql, &file]).ok();
    assert_eq!(csv.lines()[1..], ["0.0,0,\"\"", "NaN,-2147483648,naïve ∑ 漢字 🚀"]);
    let json = run(&["sql", "-c", sql, &file, "--format", "ndjson"]).ok();
    assert_eq!(json.lines()[1], "{\"s_f32\":null,\"s_i32\":-2147483648,\"str\":\"naïve ∑ 漢字 🚀\"}");
}

#[test]
fn maps_with_numbers_for_keys_are_json_objects() {
    let file = format!("{}:maps", fixture("built_stl.root"));
    let run = run(&["head", "-n", "25", "--columns", "map_int_float_checksum", &file, "--format", "ndjson"]).ok();
    for line in run.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row["map_int_float_checksum"].is_object(), "{line}");
    }
}

#[test]
fn every_column_of_every_fixture_is_written_in_every_format() {
    let files = [
        ("built_stl.root", vec!["vectors", "nested", "deep", "sets", "maps", "maps_filled"]),
        ("built_leaves.root", vec!["leaflist", "counted"]),
        ("groot_types_zlib.root", vec!["events"]),
        ("uproot_types_zstd.root", vec!["events"]),
    ];
    for (file, trees) in files {
        for tree in trees {
            for format in ["table", "csv", "tsv", "json", "ndjson", "markdown", "arrow", "parquet"] {
                let spec = format!("{}:{tree}", fixture(file));
                let run = run(&["head", "-n", "100", &spec, "--format", format]);
                assert_eq!(run.code, 0, "{spec} as {format}: {}", run.stderr);
            }
        }
    }
}

#[test]
fn a_table_shows_forty_rows_and_says_so() {
    let args = ["sql", "-c", "SELECT run FROM t", "--format", "table", &sample()];
    let short = run(&args).ok();
    assert_eq!(short.lines().len(), 42);
    assert!(short.stderr.contains("only the first 40 rows"), "{}", short.stderr);
    let all = run(&[&args[..], &["--max-rows", "0"]].concat()).ok();
    assert_eq!((all.lines().len(), all.stderr.as_str()), (1002, ""));
    let five = run(&[&args[..], &["--max-rows", "5", "-q"]].concat()).ok();
    assert_eq!((five.lines().len(), five.stderr.as_str()), (7, ""));
}

#[test]
fn formats_of_schema_are_for_schema_only() {
    run(&["sql", "-c", "SELECT 1", "--format", "ddl"]).fails(2, &["schema only"]);
    run(&["sql", "-c", "SELECT 1", "--format", "xml"]).fails(2, &["invalid value 'xml'"]);
}
