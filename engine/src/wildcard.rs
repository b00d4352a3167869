//! Names by patterns: `HLT_*`.

/// Whether a name is like a pattern, in which `*` stands for any characters and `?` for one.
pub fn is_like(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of) = (0, 0);
    // Where the last star stands, and up to where it reaches.
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = name.get(of) {
        match (pattern.get(at), star) {
            (Some('*'), _) => {
                star = Some((at, of));
                at += 1;
            }
            (Some(p), _) if *p == '?' || p == c => {
                at += 1;
                of += 1;
            }
            (_, Some((back, reach))) => {
                star = Some((back, reach + 1));
                at = back + 1;
                of = reach + 1;
            }
            (_, None) => return false,
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|p| *p == '*'))
}

/// Whether a text is a pattern, and not just a name.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Patterns that names suggest, for those that are like none of them: `Muon_*` of `Muon_pt`. Each once.
pub fn families<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut families: Vec<String> =
        names.into_iter().filter_map(|name| Some(format!("{}_*", name.split_once('_')?.0))).collect();
    families.sort();
    families.dedup();
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_a_question_mark_one_character() {
        for (pattern, name, expected) in [
            ("HLT_*", "HLT_IsoMu24", true),
            ("HLT_*", "L1_HLT_x", false),
            ("*_pt", "Muon_pt", true),
            ("*_pt", "Muon_pt_raw", false),
            ("n*o?", "nMuon", true),
            ("*a*b", "aabab", true),
            ("*a*b", "aaba", false),
            ("?", "", false),
            ("*", "", true),
            ("ä?", "äö", true),
            ("MET", "MET", true),
        ] {
            assert_eq!(is_like(pattern, name), expected, "{pattern} {name}");
        }
    }
}
