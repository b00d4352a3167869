//! The reference reduction of CMS AOD through the Rust API, against what ROOT computes. The files are not part of the
//! project; without them the tests say so and pass.

use std::path::PathBuf;

use root_reader::RootFile;

#[allow(dead_code, reason = "a program of its own, whose main is not called here")]
#[path = "../../../examples/dimuon_reduction_aod.rs"]
mod example;

fn shared() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    if !folder.join("aod").is_dir() {
        eprintln!("\n*** ../shared/aod is absent: the reduction was not compared with ROOT's ***\n");
        return None;
    }
    Some(folder)
}

fn reduced(file: PathBuf, tree: &str) -> Vec<f32> {
    let tree = RootFile::open_local(file).unwrap().tree_blocking(tree).unwrap();
    let mut masses = Vec::new();
    example::reduce(&tree, &mut masses).unwrap();
    masses
}

#[test]
fn the_reduction_of_split_and_unsplit_muons_gives_the_masses_that_root_computes() {
    let Some(shared) = shared() else { return };
    let text = std::fs::read_to_string(shared.join("aod/ref_dimuon_dimuon.csv")).unwrap();
    let expected: Vec<f32> =
        text.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(expected.len(), 578);
    for tree in ["Events", "EventsUnsplit;9"] {
        assert_eq!(reduced(shared.join("aod/aod_dimuon_zlib.root"), tree), expected, "{tree}");
    }
}

#[test]
fn the_reduction_of_real_events_has_the_masses_that_follow_from_what_uproot_reads() {
    let Some(shared) = shared() else { return };
    let file = "corpus/files/func_adl_xaod__cms__aod__sample_cms_opendata_1507_0025907B4F20.root";
    // Computed with NumPy from the members as uproot reads them: events 7 and 9 of ten.
    assert_eq!(reduced(shared.join(file), "Events"), [87.24557, 88.8612]);
}

#[test]
fn the_reduction_of_forty_thousand_events_has_the_count_and_the_sum_of_root() {
    let Some(shared) = shared() else { return };
    let masses = reduced(shared.join("aod/aod_40k.root"), "Events");
    assert_eq!(masses.len(), 11_582);
    let sum: f64 = masses.iter().map(|mass| f64::from(*mass)).sum();
    assert!((sum - 1_060_695.489_429_950_7).abs() < 1e-6, "{sum}");
}
