//! "Did you mean": the names in a directory that look like the one the user wrote.

/// How many names a message offers.
const OFFERED: usize = 3;

/// The names most like `wanted`, best first, at most three; none if nothing is close.
pub(crate) fn similar<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let length = wanted.chars().count();
    let limit = (length / 4).clamp(1, 4);
    let mut close: Vec<(usize, &str)> = names
        .into_iter()
        // The difference in length is a lower bound of the distance, and far cheaper.
        .filter(|name| name.chars().count().abs_diff(length) <= limit)
        .map(|name| {
            let distance = strsim::osa_distance(&wanted, &name.to_lowercase());
            (distance, name)
        })
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    close.sort_unstable();
    close.dedup();
    close.truncate(OFFERED);
    close.into_iter().map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::similar;

    #[test]
    fn offers_the_closest_names_first_and_at_most_three() {
        let names = ["runs1.root", "run2.root", "Run1.root", "rnu1.root", "x.root"];
        assert_eq!(similar("run1.root", names), ["Run1.root", "rnu1.root", "run2.root"]);
    }

    #[test]
    fn offers_nothing_when_nothing_is_close() {
        assert!(similar("nominal.root", ["data.root", "nominal_2024_v3.root"]).is_empty());
        assert!(similar("a", []).is_empty());
        assert!(similar("", ["a.root"]).is_empty());
    }
}
