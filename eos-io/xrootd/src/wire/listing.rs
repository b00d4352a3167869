//! The answer to a listing with stat: `.\n0 0 0 0\n` and then, for each entry, its name and what is known of it, one to a
//! line. A server that cannot tell more leaves the prefix out and gives names only.

use super::cursor::{WireError, text};
use super::stat::Stat;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    /// `None` where the server tells names only.
    pub(crate) stat: Option<Stat>,
}

/// Reads a whole listing.
pub(crate) fn listing(body: &[u8]) -> Result<Vec<Listed>, WireError> {
    const PREFIX: &str = ".\n0 0 0 0\n";
    let text = text(body);
    let text = text.trim_end_matches('\n');
    let is_name = |name: &&str| !name.is_empty() && *name != "." && *name != "..";
    let Some(entries) = text.strip_prefix(PREFIX).or((text == PREFIX.trim_end()).then_some("")) else {
        let names = text.split('\n').filter(is_name);
        return names.map(|name| checked(name, None)).collect();
    };
    let mut lines = entries.split('\n');
    let mut listed = Vec::new();
    while let Some(name) = lines.next() {
        if name.is_empty() {
            continue;
        }
        let stat = lines.next().ok_or_else(|| WireError(format!("a listing ends after the name '{name}'")))?;
        let stat = Stat::parse(stat)?;
        if is_name(&name) {
            listed.push(checked(name, Some(stat))?);
        }
    }
    Ok(listed)
}

/// A name leads nowhere but into the directory.
fn checked(name: &str, stat: Option<Stat>) -> Result<Listed, WireError> {
    if name.contains('/') {
        return Err(WireError(format!("a listing has the name '{name}', which leads out of the directory")));
    }
    Ok(Listed { name: name.to_owned(), stat })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_spaces_and_the_prefix_comes_once() {
        let listed = listing(b".\n0 0 0 0\na b.root\n1 17 48 1700000000\nd\n2 4096 51 1700000001\n\0").unwrap();
        let names: Vec<_> = listed.iter().map(|l| (l.name.as_str(), l.stat.unwrap().size)).collect();
        assert_eq!(names, [("a b.root", 17), ("d", 4096)]);
        assert!(listed[1].stat.unwrap().is_directory());
    }

    #[test]
    fn an_empty_directory_lists_nothing() {
        for body in [&b".\n0 0 0 0\n"[..], b".\n0 0 0 0\n\0", b".\n0 0 0 0", b"", b"\0"] {
            assert_eq!(listing(body).unwrap(), []);
        }
    }

    #[test]
    fn a_server_without_stat_gives_names() {
        let listed = listing(b"x.root\ny.root\0").unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[1], Listed { name: "y.root".into(), stat: None });
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        assert!(listing(b".\n0 0 0 0\n../../etc/passwd\n1 17 48 1700000000\n").is_err());
    }
}
