//! Reads a corpus of files from many experiments and compares every branch with the values that uproot (and JSROOT) read.
//! The corpus is not part of the project; without it the test says so and passes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow_array::{Array, RecordBatch};
use root_reader::{Column, RootFile, ScanOptions, TextAs, Tree};
use serde_json::Value;

use crate::checksum::checksum;
use crate::compare::{Leniency, compare};
use crate::json;
use crate::support::{in_parallel, index_of, manifest_dir, read_column, read_parquet};

/// Why we are right where we differ from a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Because {
    /// The member counts others (`TStreamerInfo::kCounter`). Its class declares an `int`, as ROOT demands of a counter;
    /// uproot takes every counter for unsigned. The values are compared all the same.
    CountersAreSigned,
    /// `[0,0,nbits]` with 15 bits or more is no range and no number of bits in ROOT (TStreamerElement's `GetRange`): the
    /// default of 12 bits holds. uproot takes 16 bits. The generators of these files wrote the entry number.
    BitsBeyond14,
    /// A `TString` member of a split collection: uproot reads one string for each entry instead of one for each element.
    OneTextPerElement,
    /// JSROOT reads one element for each entry of a counted array whose counter has another name than its branch, or none
    /// at all. The offsets of the entries and the counter agree with us.
    JsrootMissesCounter,
    /// A process id of two bytes follows the bits of an object that others refer to; JSROOT misses it and reads on from there.
    JsrootMissesProcessId,
    /// JSROOT gives up on the container, the object or the entry, and reads nothing.
    JsrootGivesUp,
    /// The bytes do not follow the description in the file, and we give an error.
    WeCannot,
    /// JSROOT gives an empty string for the hash of a pair, where the file has the 16 bytes of an MD5 sum.
    JsrootLosesHash,
}

/// Branches where we and the reference differ and we are right: how the file's name begins, the tree (`*` for any), how the
/// branch's path ends, and why.
const EXCEPTIONS: &[(&str, &str, &str, Because)] = &[
    (
        "roottest__meta__MakeProject__alice_ESDs",
        "esdTree",
        "AliESDFMD/fMultiplicity/fMultiplicity.fTotal",
        Because::CountersAreSigned,
    ),
    ("roottest__meta__MakeProject__alice_ESDs", "esdTree", "AliESDFMD/fEta/fEta.fTotal", Because::CountersAreSigned),
    ("roottest__meta__MakeProject__alice_ESDs", "esdTree", "SPDVertex/AliVertex/fNIndices", Because::CountersAreSigned),
    (
        "roottest__meta__MakeProject__alice_ESDs",
        "esdTree",
        "PrimaryVertex/AliVertex/fNIndices",
        Because::CountersAreSigned,
    ),
    (
        "roottest__meta__MakeProject__alice_ESDs",
        "esdTree",
        "PrimaryVertex/AliVertex/fIndices",
        Because::JsrootMissesCounter,
    ),
    ("roottest__meta__MakeProject__alice_ESDs", "esdTree", "AliMultiplicity/fNtracks", Because::CountersAreSigned),
    ("roottest__meta__MakeProject__alice_ESDs", "esdTree", "AliMultiplicity/fNsingle", Because::CountersAreSigned),
    (
        "roottest__meta__MakeProject__alice_ESDs",
        "HLTesdTree",
        "AliESDFMD/fMultiplicity/fMultiplicity.fTotal",
        Because::CountersAreSigned,
    ),
    ("roottest__meta__MakeProject__alice_ESDs", "HLTesdTree", "AliESDFMD/fEta/fEta.fTotal", Because::CountersAreSigned),
    (
        "roottest__meta__MakeProject__alice_ESDs",
        "HLTesdTree",
        "SPDVertex/AliVertex/fNIndices",
        Because::CountersAreSigned,
    ),
    (
        "roottest__meta__MakeProject__alice_ESDs",
        "HLTesdTree",
        "PrimaryVertex/AliVertex/fNIndices",
        Because::CountersAreSigned,
    ),
    ("roottest__meta__MakeProject__alice_ESDs", "HLTesdTree", "AliMultiplicity/fNtracks", Because::CountersAreSigned),
    ("roottest__meta__MakeProject__alice_ESDs", "HLTesdTree", "AliMultiplicity/fNsingle", Because::CountersAreSigned),
    (
        "skhep__uproot-issue433-splitlevel2",
        "KM3NET_TIMESLICE_L1",
        "km3net_timeslice_L1/KM3NETDAQ::JDAQTimeslice/vector<KM3NETDAQ::JDAQSuperFrame>/vector<KM3NETDAQ::JDAQSuperFrame>.numberOfHits",
        Because::CountersAreSigned,
    ),
    (
        "skhep__uproot-issue433-splitlevel2",
        "KM3NET_TIMESLICE_L2",
        "km3net_timeslice_L2/KM3NETDAQ::JDAQTimeslice/vector<KM3NETDAQ::JDAQSuperFrame>/vector<KM3NETDAQ::JDAQSuperFrame>.numberOfHits",
        Because::CountersAreSigned,
    ),
    (
        "skhep__uproot-issue433-splitlevel2",
        "KM3NET_TIMESLICE_SN",
        "km3net_timeslice_SN/KM3NETDAQ::JDAQTimeslice/vector<KM3NETDAQ::JDAQSuperFrame>/vector<KM3NETDAQ::JDAQSuperFrame>.numberOfHits",
        Because::CountersAreSigned,
    ),
    (
        "roottest__io__issue-7754__mwe__pluto_newpers",
        "Streams",
        "Stream/fAnalysisInfo/fAnalysisInfo.fAnalyzerList/fAnalysisInfo.fAnalyzerList.fAnalyzerName.fString",
        Because::OneTextPerElement,
    ),
    (
        "roottest__treeformula__scan__missingString",
        "t",
        "event/fSambaSubRecs/fSambaSubRecs.fRunNameSize",
        Because::CountersAreSigned,
    ),
    (
        "roottest__treeformula__scan__missingString",
        "t",
        "event/fSambaSubRecs/fSambaSubRecs.fFileNameSize",
        Because::CountersAreSigned,
    ),
    (
        "roottest__treeformula__scan__missingString",
        "t",
        "event/fBoloPulseSubRecs/fBoloPulseSubRecs.fChannelNameSize",
        Because::CountersAreSigned,
    ),
    ("roottest__treeformula__sync__run00155-short", "DATA", "X1wireUsed", Because::JsrootMissesCounter),
    ("roottest__treeformula__sync__run00155-short", "DATA", "X1distUsed", Because::JsrootMissesCounter),
    ("roottest__treeformula__sync__run00155-short", "DATA", "U1wireUsed", Because::JsrootMissesCounter),
    ("roottest__treeformula__sync__run00155-short", "DATA", "X2wireUsed", Because::JsrootMissesCounter),
    ("roottest__treeformula__sync__run00155-short", "DATA", "U2wireUsed", Because::JsrootMissesCounter),
    (
        "func_adl_xaod__cms__aod__sample_cms_opendata_1507_0025907B4F20",
        "MetaData",
        "ProductRegistry",
        Because::JsrootGivesUp,
    ),
    (
        "func_adl_xaod__cms__aod__sample_cms_opendata_1507_0025907B4F20",
        "ParameterSets",
        "IdToParameterSetsBlobs",
        Because::JsrootLosesHash,
    ),
    ("root4j__test_cmssw", "ParameterSets", "IdToParameterSetsBlobs", Because::JsrootLosesHash),
    ("cms-iopool__rawData_old_format_CMSSW_4_2_8", "ParameterSets", "IdToParameterSetsBlobs", Because::JsrootLosesHash),
    ("cms-iopool__old_format_CMSSW_4_3_0", "MetaData", "ProductDependencies", Because::JsrootGivesUp),
    ("skhep__uproot-issue475", "Meta/navigator", "EvtNavigator/m_refs", Because::JsrootGivesUp),
    ("km3net__", "*", "vector<KM3NETDAQ::JDAQSuperFrame>", Because::CountersAreSigned),
    ("km3net__", "*", "KM3NETDAQ::JDAQPreamble", Because::JsrootGivesUp),
    ("skhep__uproot-issue433-splitlevel2", "*", "KM3NETDAQ::JDAQPreamble", Because::JsrootGivesUp),
    ("km3net__gseagen__gseagen", "Header", "RangeSW", Because::CountersAreSigned),
    ("km3net__gseagen__gseagen", "Header", "RangeSR", Because::CountersAreSigned),
    (
        "roottest__tree__addresses__converterIssues__belle2-ROOT-8794",
        "tree",
        "ExtHits.m_Covariance",
        Because::CountersAreSigned,
    ),
    ("skhep__uproot-small-evnt-tree-nosplit", "tree", "evt", Because::CountersAreSigned),
    ("skhep__uproot-issue46", "tree", "evt", Because::CountersAreSigned),
    ("skhep__uproot-issue475", "*", "Header/m_event", Because::JsrootGivesUp),
    ("roottest__tree__addresses__data__S_1_1004", "recData", "fFdRecPixel.fStatus", Because::JsrootGivesUp),
    ("roottest__io__evolution__skim", "rootTree", "Jpsi.jmu1", Because::WeCannot),
    ("roottest__io__evolution__skim", "rootTree", "Jpsi.jmu2", Because::WeCannot),
    ("gohep__std-containers-split00", "tree", "uset_str", Because::JsrootGivesUp),
    ("gohep__std-containers-split00", "tree", "umap_str_str", Because::JsrootGivesUp),
    ("gohep__small-evnt-tree-fullsplit@39b8f1c0", "tree", "evt/N", Because::CountersAreSigned),
    ("gohep__x-flat-tree", "tree", "D16", Because::BitsBeyond14),
    ("gohep__x-flat-tree", "tree", "ArrD16", Because::BitsBeyond14),
    ("gohep__x-flat-tree", "tree", "SliD16", Because::BitsBeyond14),
    ("gohep__ndim", "tree", "ArrD16", Because::BitsBeyond14),
    ("roottest__multicore__treeprocmt_race_regression_input1", "t", "truthCaloPt", Because::JsrootGivesUp),
    ("skhep__uproot-issue513", "Delphes", "Particle/Particle.fBits", Because::JsrootMissesProcessId),
    ("skhep__uproot-issue513", "Delphes", "Track/Track.fBits", Because::JsrootMissesProcessId),
    ("skhep__uproot-issue513", "Delphes", "EFlowTrack/EFlowTrack.fBits", Because::JsrootMissesProcessId),
    ("skhep__uproot-issue513", "Delphes", "EFlowPhoton/EFlowPhoton.fBits", Because::JsrootMissesProcessId),
    (
        "skhep__uproot-issue513",
        "Delphes",
        "EFlowNeutralHadron/EFlowNeutralHadron.fBits",
        Because::JsrootMissesProcessId,
    ),
    (
        "k4simdelphes__data__gev91ee_zboson_100events",
        "Delphes",
        "Particle/Particle.fBits",
        Because::JsrootMissesProcessId,
    ),
    ("roottest__treeformula__array__shorttrack", "T", "event/fTracks/fTracks.fBits", Because::JsrootMissesProcessId),
    ("roottest__tree__friend__Event@1b33b4a5", "T", "event/fTracks/fTracks.fBits", Because::JsrootMissesProcessId),
    ("roottest__tree__friend__Event3a", "T", "event/fTracks/fTracks.fBits", Because::JsrootMissesProcessId),
];

fn is_excepted(exception: &(&str, &str, &str, Because), file: &str, tree: &str, branch: &str) -> bool {
    let (file_start, name, branch_end, _) = exception;
    file.starts_with(file_start) && (*name == "*" || *name == tree) && branch.ends_with(branch_end)
}

#[derive(Debug)]
enum Outcome {
    Equal,
    /// Equal to what JSROOT read, where uproot cannot.
    EqualToJsroot,
    /// An object of which the parts are columns of their own, so that it is none itself.
    InParts,
    /// An object of a class without members, which the reference shows as empty too.
    NothingToRead,
    /// An expected difference.
    Excepted,
    Refused {
        reason: String,
        covered: bool,
    },
    Different(String),
}

struct Verdict {
    file: String,
    tree: String,
    branch: String,
    kind: String,
    outcome: Outcome,
}

#[derive(Default)]
struct Report {
    trees: usize,
    verdicts: Vec<Verdict>,
}

fn corpus() -> Option<PathBuf> {
    let folder = manifest_dir().join("../../shared/corpus");
    folder.join("manifest").is_dir().then_some(folder)
}

#[test]
fn every_branch_of_the_corpus_has_the_values_of_its_reference() {
    let Some(corpus) = corpus() else {
        eprintln!("\n*** NO CORPUS: ../shared/corpus is absent, nothing was compared with real files ***\n");
        return;
    };
    let started = Instant::now();
    let mut manifests: Vec<PathBuf> =
        std::fs::read_dir(corpus.join("manifest")).unwrap().map(|e| e.unwrap().path()).collect();
    // Big ones first, so that no processor is left with one of them at the end.
    manifests.sort_by_key(|path| std::cmp::Reverse(path.metadata().map_or(0, |m| m.len())));
    if let Ok(only) = std::env::var("CORPUS_FILE") {
        manifests.retain(|m| m.to_string_lossy().contains(&only));
    }
    let reports = in_parallel(&manifests, |manifest| check_file(&corpus, manifest));
    let table = summary(&reports);
    eprintln!("{table}in {:.1} s", started.elapsed().as_secs_f64());
    if std::env::var_os("CORPUS_FILE").is_none() {
        let used = |exception: &(&str, &str, &str, Because)| {
            let all = reports.iter().flat_map(|r| &r.verdicts);
            let mut excepted = all.filter(|v| matches!(v.outcome, Outcome::Excepted));
            exception.3 == Because::WeCannot || excepted.any(|v| is_excepted(exception, &v.file, &v.tree, &v.branch))
        };
        let unused: Vec<_> = EXCEPTIONS.iter().filter(|e| !used(e)).collect();
        assert!(unused.is_empty(), "exceptions that can go: {unused:?}");
    }
    let bad = reports.iter().flat_map(|r| &r.verdicts);
    let bad = bad.filter(|v| matches!(v.outcome, Outcome::Different(_) | Outcome::Refused { covered: true, .. }));
    assert_eq!(bad.count(), 0, "branches differ from their reference, or are of a covered kind and were refused");
}

fn summary(reports: &[Report]) -> String {
    let all = || reports.iter().flat_map(|r| &r.verdicts);
    let mut out = String::new();
    let equal = all().filter(|v| matches!(v.outcome, Outcome::Equal)).count();
    let jsroot = all().filter(|v| matches!(v.outcome, Outcome::EqualToJsroot)).count();
    let excepted = all().filter(|v| matches!(v.outcome, Outcome::Excepted)).count();
    let nothing = all().filter(|v| matches!(v.outcome, Outcome::NothingToRead)).count();
    let parts = all().filter(|v| matches!(v.outcome, Outcome::InParts)).count();
    let trees: usize = reports.iter().map(|r| r.trees).sum();
    writeln!(
        out,
        "\n{} files, {trees} trees: {equal} branches equal, {jsroot} more equal to JSROOT, {nothing} of classes \
         without members, {parts} read in parts, {excepted} excepted",
        reports.len()
    )
    .unwrap();
    let mut reasons: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for verdict in all() {
        if let Outcome::Refused { reason, covered } = &verdict.outcome {
            let group = format!("{}{}", if *covered { "COVERED " } else { "" }, general(reason));
            let example = format!("{} {} {} ({})", verdict.file, verdict.tree, verdict.branch, verdict.kind);
            reasons.entry(group).or_insert((0, example)).0 += 1;
        }
    }
    let refused: usize = reasons.values().map(|(n, _)| n).sum();
    writeln!(out, "refused: {refused}").unwrap();
    let mut groups: Vec<_> = reasons.into_iter().collect();
    groups.sort_by_key(|(_, (n, _))| std::cmp::Reverse(*n));
    for (reason, (count, example)) in groups {
        let reason = reason.replace(&*manifest_dir().to_string_lossy(), "");
        writeln!(out, "{count:6}  {reason}   e.g. {example}").unwrap();
    }
    let mut different = 0;
    for verdict in all() {
        if let Outcome::Different(how) = &verdict.outcome {
            different += 1;
            writeln!(out, "DIFFERENT {} {} {} ({}): {how}", verdict.file, verdict.tree, verdict.branch, verdict.kind)
                .unwrap();
        }
    }
    writeln!(out, "different: {different}").unwrap();
    out
}

/// A reason without what is special to one branch.
fn general(reason: &str) -> String {
    let short: String = reason.chars().take(110).collect();
    short
}

fn check_file(corpus: &Path, manifest: &Path) -> Report {
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    let id = manifest["id"].as_str().unwrap();
    let mut report = Report::default();
    let trees: Vec<&Value> = manifest["trees"].as_array().unwrap().iter().filter(|t| t["kind"] == "TTree").collect();
    let path = corpus.join(manifest["file"].as_str().unwrap());
    let file = RootFile::open_local(&path);
    for facts in trees {
        report.trees += 1;
        let name = facts["name"].as_str().unwrap();
        let whole = |outcome| Verdict {
            file: id.into(),
            tree: name.into(),
            branch: String::new(),
            kind: "tree".into(),
            outcome,
        };
        let tree = match &file {
            Ok(file) => file.tree_blocking(&format!("{name};{}", facts["cycle"])),
            Err(error) => {
                report.verdicts.push(whole(Outcome::Refused { reason: error.to_string(), covered: true }));
                continue;
            }
        };
        let tree = match tree {
            Ok(tree) => tree,
            Err(error) => {
                report.verdicts.push(whole(Outcome::Refused { reason: error.to_string(), covered: true }));
                continue;
            }
        };
        if !facts["entries"].is_null() && Some(tree.entries()) != facts["entries"].as_u64() {
            report.verdicts.push(whole(Outcome::Different(format!(
                "{} entries, not {}",
                tree.entries(),
                facts["entries"]
            ))));
            continue;
        }
        check_tree(corpus, id, &tree, facts, &mut report);
    }
    report
}

fn check_tree(corpus: &Path, id: &str, tree: &Tree, facts: &Value, report: &mut Report) {
    let reference = facts["reference"]["file"].as_str().map(|file| read_parquet(&corpus.join("reference").join(file)));
    let truncated = facts["reference"]["truncated"] == true;
    let jsroot = facts["reference_jsroot"].as_str().or(facts["reference_jsroot"]["file"].as_str());
    let jsroot = jsroot.map(|file| read_json_gz(&corpus.join("reference_jsroot").join(file)));
    let binary = tree.with_text(TextAs::Binary);
    let mut by_path: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, column) in tree.columns().iter().enumerate() {
        by_path.entry(&tree.branches()[column.branch].path).or_default().push(i);
    }
    for facts in facts["columns"].as_array().into_iter().flatten() {
        let from_jsroot = jsroot.as_ref().and_then(|j| j[facts["b"].as_str()?].as_array());
        if facts["s"] != "ok" && from_jsroot.is_none() {
            continue;
        }
        let path = facts["b"].as_str().unwrap();
        let nth = facts["dup"].as_u64().unwrap_or(1) as usize - 1;
        let column = by_path.get(path).and_then(|all| all.get(nth)).map(|i| &tree.columns()[*i]);
        let exception = EXCEPTIONS.iter().find(|e| is_excepted(e, id, tree.path(), path));
        let parent = tree.branches().iter().any(|b| b.path == path && b.children > 0);
        let outcome = match column {
            None if parent => Outcome::InParts,
            None => Outcome::Different("there is no such branch".into()),
            Some(column) if facts["s"] != "ok" => check_with_jsroot(tree, column, from_jsroot.unwrap()),
            Some(column) => {
                let why = exception.map(|(.., why)| *why).filter(|why| *why == Because::CountersAreSigned);
                check_branch(tree, &binary, column, facts, reference.as_ref(), truncated, why)
            }
        };
        let outcome = match (outcome, exception) {
            (Outcome::Different(reason), Some((.., Because::WeCannot))) => Outcome::Refused { reason, covered: false },
            (Outcome::Different(_), Some((.., why))) if *why != Because::CountersAreSigned => Outcome::Excepted,
            (other, _) => other,
        };
        report.verdicts.push(Verdict {
            file: id.into(),
            tree: tree.path().into(),
            branch: path.into(),
            kind: format!("{}, {}", facts["cpp"].as_str().unwrap_or_default(), facts["t"].as_str().unwrap_or_default())
                .chars()
                .take(150)
                .collect(),
            outcome,
        });
    }
}

/// Whether every part of the type is a number, text, list, array, set, map or a plain leaf list.
fn is_covered(facts: &Value) -> bool {
    let awkward = facts["t"].as_str().unwrap_or_default();
    if awkward.starts_with('{') {
        return facts["cls"] == "TBranch";
    }
    let mut rest = awkward.to_string();
    for mark in ["parameters={\"__array__\": \"set\"}", "parameters={\"__array__\": \"sorted_map\"}", "tuple["] {
        rest = rest.replace(mark, "");
    }
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').all(|word| {
        matches!(word, "" | "var" | "bool" | "string" | "float32" | "float64")
            || word.parse::<usize>().is_ok()
            || word.trim_start_matches('u').strip_prefix("int").is_some_and(|w| w.parse::<usize>().is_ok())
    })
}

fn check_branch(
    tree: &Tree,
    binary: &Tree,
    column: &Column,
    facts: &Value,
    reference: Option<&RecordBatch>,
    truncated: bool,
    exception: Option<Because>,
) -> Outcome {
    if let Err(reason) = column.field() {
        return Outcome::Refused { reason: reason.into(), covered: is_covered(facts) };
    }
    let as_binary = facts["note"].as_str().is_some_and(|n| n.contains("binary"));
    let tree = if as_binary { binary } else { tree };
    let index = index_of(tree, column).unwrap();
    let options = ScanOptions { verify: std::env::var_os("CORPUS_VERIFY").is_some(), ..ScanOptions::default() };
    let ours = match read_column(tree, index, 0..tree.entries(), options.clone()) {
        // Hashes within objects are strings of any bytes.
        Err(error) if error.to_string().contains("not UTF-8") && !as_binary => {
            let index = index_of(binary, column).unwrap();
            read_column(binary, index, 0..tree.entries(), options)
        }
        other => other,
    };
    let ours = match ours {
        Ok(ours) => ours,
        Err(error) => return Outcome::Different(error.to_string()),
    };
    let own_entries = facts["n"].as_u64().unwrap();
    let present = ours.len() - ours.null_count();
    if present as u64 != own_entries.min(tree.entries()) {
        return Outcome::Different(format!("{present} entries of the branch, not {own_entries}"));
    }
    let name = match &facts["p"] {
        Value::Bool(true) => facts["b"].as_str().unwrap(),
        Value::String(name) => name,
        _ => return Outcome::Equal,
    };
    let Some(theirs) = reference.and_then(|r| r.column_by_name(name)) else {
        return Outcome::Different("the reference has no such column".into());
    };
    let packed = ["Double32_t", "Float16_t"].iter().any(|t| column.cpp_type.contains(t));
    let leniency = Leniency {
        tolerance: if packed { 1e-7 } else { 0.0 },
        flat_dimensions: true,
        signed_for_unsigned: exception == Some(Because::CountersAreSigned),
        unsigned_zero: false,
        references: false,
    };
    let rows = theirs.len().min(ours.len()).min(own_entries as usize);
    // The reference holds the first rows only; the checksum is of all of them.
    let kind = facts["t"].as_str().unwrap_or_default();
    let whole = truncated && !packed && !["tuple", "?", "TRef"].iter().any(|mark| kind.contains(mark));
    if whole && own_entries == ours.len() as u64 {
        let sum = checksum(&ours);
        if facts["sha256"] != sum.as_str() {
            return Outcome::Different(format!("checksum {sum}, not {}", facts["sha256"]));
        }
    }
    match compare(&ours.slice(0, rows), &theirs.slice(0, rows), leniency) {
        Ok(()) if leniency.signed_for_unsigned => Outcome::Excepted,
        Ok(()) => Outcome::Equal,
        Err(how) => Outcome::Different(how),
    }
}

fn check_with_jsroot(tree: &Tree, column: &Column, theirs: &[Value]) -> Outcome {
    if let Err(reason) = column.field() {
        // JSROOT gives an object without members for each entry.
        let empty = |value: &Value| value.as_object().is_some_and(|o| o.keys().all(|k| k == "_typename"));
        if reason.contains("has no members: there is nothing to read") && theirs.iter().all(empty) {
            return Outcome::NothingToRead;
        }
        return Outcome::Refused { reason: reason.into(), covered: false };
    }
    let tree = tree.with_text(TextAs::Binary);
    match read_column(&tree, index_of(&tree, column).unwrap(), 0..tree.entries(), ScanOptions::default()) {
        Ok(ours) => match json::compare(&ours, theirs) {
            Ok(()) => Outcome::EqualToJsroot,
            Err(how) => Outcome::Different(format!("(JSROOT) {how}")),
        },
        Err(error) => Outcome::Different(error.to_string()),
    }
}

fn read_json_gz(path: &Path) -> Value {
    let packed = std::fs::read(path).unwrap();
    let length = u32::from_le_bytes(*packed.last_chunk::<4>().unwrap());
    let mut text = vec![0; length as usize];
    libdeflater::Decompressor::new().gzip_decompress(&packed, &mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}
