//! Codecs, clusters, baskets, several trees, directories, threads.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use root_writer::{Codec, Compression, FileOptions, FileWriter, TreeOptions};
use serde_json::json;

use crate::support::{
    assert_same, at_a_fixed_time, batch, file_of, integers, lists, python, python_on, read, read_nested, texts,
};

/// Rows whose values Python computes by the same formulas.
fn rows(count: usize) -> RecordBatch {
    batch([
        ("i", integers((0..count).map(|row| row as i32 * 7))),
        ("d", Arc::new(Float64Array::from_iter_values((0..count).map(|row| row as f64 / 8.0))) as ArrayRef),
        ("x", lists(count, |row| row % 5, |row, i| (row + i) as f32 / 4.0)),
        ("t", texts((0..count).map(|row| format!("event {row}")))),
    ])
}

/// Prints whether the values are those of the formulas, and facts of the tree.
const CHECK: &str = r#"
tree = uproot.open(path)["Events"]
n = tree.num_entries
rows = np.arange(n)
x = ak.unflatten(np.concatenate([(r + np.arange(r % 5)) / 4 for r in range(n)]).astype("f4"), rows % 5)
equal = [
    bool(np.all(tree["i"].array(library="np") == rows * 7)),
    bool(np.all(tree["d"].array(library="np") == rows / 8)),
    bool(ak.all(ak.num(tree["x"].array()) == rows % 5)) and bool(ak.all(tree["x"].array() == x)),
    tree["t"].array().to_list() == [f"event {r}" for r in range(n)],
]
"#;

#[test]
fn every_codec_and_level_is_read_back() {
    let columns = rows(3000);
    let folder = tempfile::tempdir().unwrap();
    let codecs = [
        (Codec::None, vec![0]),
        (Codec::Zlib, vec![1, 6, 9]),
        (Codec::Lz4, vec![1, 4, 9]),
        (Codec::Zstd, vec![1, 5, 9]),
        (Codec::Lzma, vec![1, 7, 9]),
    ];
    let all = codecs.into_iter().flat_map(|(codec, levels)| levels.into_iter().map(move |level| (codec, level)));
    let mut expected = serde_json::Map::new();
    for (codec, level) in all {
        let compression = Compression::new(codec, level).unwrap();
        let options = FileOptions { compression, ..at_a_fixed_time() };
        let bytes = file_of(std::slice::from_ref(&columns), options, TreeOptions::default());
        assert_same(read(&bytes, "Events").column_by_name("x").unwrap(), columns.column(2));
        let setting = compression.setting();
        let name = format!("{setting}.root");
        std::fs::write(folder.path().join(&name), bytes).unwrap();
        expected.insert(name, json!([[true, true, true, true], codec != Codec::None, setting, setting]));
    }
    let script = format!(
        "def look(path):\n{}\n    b = tree['d']\n    compression = uproot.open(path).file.compression\n    setting = compression.code if \
         compression else 0\n    return [equal, b.compressed_bytes < b.uncompressed_bytes, b.member('fCompress'), setting]\n\
         import os\nprint(json.dumps({{n: look(os.path.join(path, n)) for n in os.listdir(path)}}))",
        CHECK.replace('\n', "\n    ")
    );
    assert_eq!(python(&script, folder.path()), serde_json::Value::Object(expected));
}

#[test]
fn clusters_and_baskets_are_where_the_options_put_them() {
    let columns = rows(10_000);
    let tree = TreeOptions { cluster_entries: Some(3000), basket_bytes: 8192, ..TreeOptions::default() };
    let bytes =
        file_of(&[columns.slice(0, 1), columns.slice(1, 6000), columns.slice(6001, 3999)], at_a_fixed_time(), tree);

    let script = format!(
        "{CHECK}\nstarts = lambda n: [int(tree[n].basket_entry_start_stop(i)[0]) for i in range(tree[n].num_baskets)]\n\
         m = tree.member\n\
         print(json.dumps([equal, starts('i'), m('fAutoFlush'), m('fNClusterRange'), m('fEntries')]))"
    );
    // 8192 bytes of 4-byte integers are 2048 rows, which are two steps.
    let starts = json!([0, 2048, 3000, 5048, 6000, 8048, 9000]);
    assert_eq!(python_on(&bytes, &script), json!([[true, true, true, true], starts, 3000, 0, 10_000]));

    let tree = root_reader::RootFile::from_bytes("x", bytes).unwrap().tree_blocking("Events").unwrap();
    assert_eq!(tree.clusters(), [0..3000, 3000..6000, 6000..9000, 9000..10_000]);
}

#[test]
fn clusters_of_different_sizes_are_recorded_as_ranges() {
    // Lists get longer, so that clusters of so many bytes get shorter.
    let columns = batch([("x", lists(12_000, |row| row / 1000, |_, i| i as f32))]);
    let tree = TreeOptions { cluster_bytes: 60_000, ..TreeOptions::default() };
    let bytes = file_of(&[columns], at_a_fixed_time(), tree);
    let script = r#"
tree = uproot.open(path)["Events"]
starts = [int(tree["x"].basket_entry_start_stop(i)[0]) for i in range(tree["x"].num_baskets)]
ends, sizes = tree.member("fClusterRangeEnd").tolist(), tree.member("fClusterSize").tolist()
print(json.dumps([starts, ends, sizes, tree.member("fAutoFlush")]))
"#;
    let found = python_on(&bytes, script);
    let starts: Vec<u64> = serde_json::from_value(found[0].clone()).unwrap();
    let ends: Vec<u64> = serde_json::from_value(found[1].clone()).unwrap();
    let sizes: Vec<u64> = serde_json::from_value(found[2].clone()).unwrap();
    assert!(!sizes.is_empty(), "{found}");
    // What the ranges say, written out, is where the baskets begin.
    let mut expected = Vec::new();
    let mut start = 0;
    for (end, size) in
        ends.iter().map(|end| end + 1).chain([12_000]).zip(sizes.into_iter().chain([found[3].as_u64().unwrap()]))
    {
        while start < end {
            expected.push(start);
            start = (start + size).min(end);
        }
    }
    assert_eq!(starts, expected);
    let tree = root_reader::RootFile::from_bytes("x", bytes).unwrap().tree_blocking("Events").unwrap();
    assert_eq!(tree.clusters().iter().map(|c| c.start).collect::<Vec<_>>(), expected);
}

#[test]
fn the_file_is_the_same_however_many_threads_and_batches_made_it() {
    let columns = rows(20_000);
    let tree = || TreeOptions { cluster_bytes: 200_000, basket_bytes: 16_000, ..TreeOptions::default() };
    let with = |threads| FileOptions { threads, compression: Codec::Zlib.into(), ..at_a_fixed_time() };
    let whole = file_of(std::slice::from_ref(&columns), with(1), tree());
    let pieces: Vec<RecordBatch> =
        (0..20_000).step_by(777).map(|start| columns.slice(start, 777.min(20_000 - start))).collect();
    assert!(whole == file_of(std::slice::from_ref(&columns), with(4), tree()), "four threads");
    assert!(whole == file_of(&pieces, with(3), tree()), "small batches");
}

#[test]
fn trees_and_directories_share_a_file() {
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), "many.root", at_a_fixed_time()).unwrap();
    let small = TreeOptions { cluster_entries: Some(2), title: "with a title".into(), ..TreeOptions::default() };
    let one = batch([("x", integers([1, 2, 3]))]);
    let names = ["Events", "dir/Events", "dir/sub/Runs", "dir/Lumi"];
    let trees = names.map(|name| writer.tree(name, &one.schema(), small.clone()).unwrap());
    // In turn, a batch each.
    for round in 0..2 {
        for (index, tree) in trees.iter().enumerate() {
            let value = (100 * round + index) as i32;
            writer.write(*tree, &batch([("x", integers([value, value, value]))])).unwrap();
        }
    }
    let bytes = writer.finish().unwrap().into_inner();

    let script = r#"
file = uproot.open(path)
trees = {k: file[k]["x"].array().to_list() for k, c in file.classnames(cycle=False).items() if c == "TTree"}
print(json.dumps([file.classnames(cycle=False), trees, file["dir/sub/Runs"].title]))
"#;
    assert_eq!(
        python_on(&bytes, script),
        json!([
            {"Events": "TTree", "dir": "TDirectory", "dir/Events": "TTree", "dir/sub": "TDirectory",
             "dir/sub/Runs": "TTree", "dir/Lumi": "TTree"},
            {"Events": [0, 0, 0, 100, 100, 100], "dir/Events": [1, 1, 1, 101, 101, 101],
             "dir/sub/Runs": [2, 2, 2, 102, 102, 102], "dir/Lumi": [3, 3, 3, 103, 103, 103]},
            "with a title",
        ])
    );
    for (index, name) in names.iter().enumerate() {
        let value = index as i32;
        let expected = integers([value, value, value, 100 + value, 100 + value, 100 + value]);
        assert_eq!(read(&bytes, name).column(0), &expected);
    }
}

#[test]
fn an_empty_file_is_a_file() {
    let writer = FileWriter::new(Cursor::new(Vec::new()), "empty.root", at_a_fixed_time()).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(python_on(&bytes, "print(json.dumps(uproot.open(path).keys()))"), json!([]));
    assert!(root_reader::RootFile::from_bytes("x", bytes).unwrap().keys().is_empty());
}

#[test]
fn a_copy_of_real_events_has_the_same_branches_and_values() {
    let original = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/Run2012B_SingleMu_1000.root");
    let bytes = std::fs::read(original).unwrap();
    // Counters that are made for lists of structs are int32_t, those of the file uint32_t.
    let counters = ["nMuon", "nElectron", "nTau", "nPhoton", "nJet"];
    for (columns, of_other_type) in [(read(&bytes, "Events"), &[][..]), (read_nested(&bytes, "Events"), &counters)] {
        let options = TreeOptions { cluster_entries: Some(300), ..TreeOptions::default() };
        let copy = file_of(&[columns], at_a_fixed_time(), options);
        let script = format!(
            r#"
ours, theirs = uproot.open(path)["Events"], uproot.open({original:?})["Events"]
equal = lambda n: repr(ours[n].array().to_list()) == repr(theirs[n].array().to_list())
same_type = lambda n: ours[n].typename == theirs[n].typename and ours[n].title == theirs[n].title
print(json.dumps([sorted(set(ours.keys()) ^ set(theirs.keys())), [n for n in theirs.keys() if not equal(n)],
    [n for n in theirs.keys() if not same_type(n)]]))
"#
        );
        assert_eq!(python_on(&copy, &script), json!([[], [], of_other_type]));
    }
}
