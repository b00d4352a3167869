//! "Did you mean": the names nearest to one that does not exist.

/// Up to three of `names` that are likely meant by `wanted`, nearest first.
///
/// ```
/// let columns = ["Muon_pt", "Muon_eta", "Jet_pt", "run"];
/// assert_eq!(root_engine::nearest("muon_pT", columns), ["Muon_pt"]);
/// ```
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (strsim::osa_distance(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    near.sort();
    let best = near.first().map_or(0, |(distance, _)| *distance);
    near.into_iter().take_while(|(distance, _)| *distance <= best + 1).take(3).map(|(_, name)| name).collect()
}

/// Says that there is no such column, and which ones were probably meant.
pub(crate) fn no_such_column<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(wanted, names).as_slice() {
        [] => format!("there is no column '{wanted}'"),
        near => format!("there is no column '{wanted}'; did you mean {}?", near.join(" or ")),
    }
}
