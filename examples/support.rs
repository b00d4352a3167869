//! What the examples share.

/// The files that were named on the command line, or else the sample that comes with the project.
pub fn files() -> Vec<String> {
    let named: Vec<String> = std::env::args().skip(1).collect();
    if named.is_empty() { vec![sample()] } else { named }
}

/// 1,000 events of CMS.
pub fn sample() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root:Events").to_owned()
}
