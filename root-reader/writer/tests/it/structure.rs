//! The structure of our files beside that of files which ROOT wrote.

use std::io::Cursor;
use std::path::Path;

use root_writer::{FileWriter, TreeOptions};
use serde_json::{Value, json};

use crate::support::{at_a_fixed_time, batch, file_of, integers, lists, python_on};

/// Versions of the records, and members whose values do not depend on the content.
const STRUCTURE: &str = r#"
def structure(path, jagged, plain, counter):
    file = uproot.open(path)
    tree = file["Events"]
    versions = {n: sorted(v) for n, v in file.file.streamers.items()}
    constant = ("fWeight", "fTimerInterval", "fScanField", "fUpdate", "fDefaultEntryOffsetLen", "fMaxEntries",
        "fMaxEntryLoop", "fMaxVirtualSize", "fEstimate", "fLineColor", "fLineStyle", "fLineWidth", "fFillColor", "fFillStyle",
        "fMarkerColor", "fMarkerStyle", "fMarkerSize", "@fUniqueID", "@fBits")
    out = {"tree": [tree.class_version, {n: tree.all_members[n] for n in constant}]}
    for kind, name in (("jagged", jagged), ("plain", plain), ("counter", counter)):
        b = tree[name]
        same = ("fOffset", "fSplitLevel", "fFirstEntry", "fMaxBaskets", "fFillColor", "fFillStyle", "@fUniqueID", "@fBits")
        leaf = b.member("fLeaves")[0]
        leaf_same = ("fLen", "fLenType", "fOffset", "fIsRange", "fIsUnsigned", "@fUniqueID", "@fBits")
        basket = b.basket(0)
        out[kind] = [b.class_version, {n: b.all_members[n] for n in same}, b.member("fEntryOffsetLen") > 0,
            leaf.classname, leaf.class_version, {n: leaf.all_members[n] for n in leaf_same},
            b.title.replace(name, "NAME"), leaf.member("fTitle").replace(name, "NAME"),
            basket.member("fVersion"), basket.member("fKeylen") - len(name) - len(tree.name)]
    return out
"#;

/// Looks up every description of a class that a file by ROOT has of the same version.
const CLASSES: &str = r#"
def classes(path):
    out = {}
    for name, versions in uproot.open(path).file.streamers.items():
        for version, info in versions.items():
            out[f"{name};{version}"] = [info._members["fCheckSum"]] + [
                [type(e).__name__, e.member("fName"), e.all_members["fType"], e.all_members["fTypeName"], e.all_members["fSize"]]
                for e in info.elements if e.member("fName") != "TArrayD"]
    return out
"#;

fn shared(file: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(file);
    if !path.exists() {
        eprintln!("NOT CHECKED: {} is not there, files are not compared with those of ROOT", path.display());
        return None;
    }
    Some(path.to_string_lossy().into_owned())
}

#[test]
fn trees_are_built_as_root_builds_them() {
    let Some(reference) = shared("adl/Run2012B_SingleMu_1000_none.root") else { return };
    let columns =
        batch([("run", integers(0..10)), ("nMuon", integers([1; 10])), ("Muon_pt", lists(10, |_| 1, |_, _| 1.0))]);
    let bytes = file_of(&[columns], at_a_fixed_time(), TreeOptions::default());
    let script = format!(
        "{STRUCTURE}\nprint(json.dumps([structure(p, 'Muon_pt', 'run', 'nMuon') for p in (path, {reference:?})]))"
    );
    let found = python_on(&bytes, &script);
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0]["tree"][0], json!(20));
    assert_eq!(found[0]["jagged"][0], json!(13));
}

#[test]
fn classes_are_described_as_root_describes_them() {
    let files = [
        "adl/Run2012B_SingleMu_1000_original.root",
        "corpus/files/unroot__TLeafC_pr342.root",
        "corpus/files/skhep__uproot-issue-227b.root",
    ];
    let references: Vec<String> = files.into_iter().filter_map(shared).collect();
    if references.is_empty() {
        return;
    }
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), "c.root", at_a_fixed_time()).unwrap();
    let columns = batch([("x", integers(0..10)), ("y", lists(10, |_| 1, |_, _| 1.0))]);
    let tree = writer.tree("Events", &columns.schema(), TreeOptions::default()).unwrap();
    writer.write(tree, &columns).unwrap();
    let axis = |name: &str| root_writer::HistogramAxis {
        title: name.into(),
        binning: root_writer::Binning::Regular { bins: 1, low: 0.0, high: 1.0 },
    };
    for axes in [vec![axis("x")], vec![axis("x"), axis("y")], vec![axis("x"), axis("y"), axis("z")]] {
        let cells = 3usize.pow(axes.len() as u32);
        let histogram = root_writer::HistogramObject {
            name: format!("h{}", axes.len()),
            title: String::new(),
            axes,
            contents: vec![1.0; cells],
            sumw2: Vec::new(),
            entries: 1.0,
            moments: None,
            profile: None,
        };
        writer.histogram(&histogram).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();

    let script = format!("{CLASSES}\nprint(json.dumps([classes(path), [classes(p) for p in {references:?}]]))");
    let found = python_on(&bytes, &script);
    let (ours, theirs) = (found[0].as_object().unwrap(), found[1].as_array().unwrap());
    let mut compared = Vec::new();
    for (class, description) in ours {
        let known: Vec<&Value> = theirs.iter().filter_map(|file| file.get(class)).collect();
        known.iter().for_each(|known| assert_eq!(description, *known, "{class}"));
        if !known.is_empty() {
            compared.push(class.as_str());
        }
    }
    for class in ["TTree;20", "TBranch;13", "TLeafF;1", "TH1;8", "TH1D;3", "TH2D;4", "TH3D;4", "TAxis;10"] {
        assert!(compared.contains(&class), "{class} was not compared: {compared:?}");
    }
}
