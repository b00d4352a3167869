//! Descriptions of the classes of a tree's metadata for files that lost, or never had, their own: a file whose writer
//! died before it could write its streamer info.

use std::sync::LazyLock;

use crate::streamer::{ClassInfo, Element, Streamers, code};

/// One line per class and version: `Class version: member:code[/extra] …`. Member order is streaming order, as
/// ROOT writes it into every healthy file.
const CLASSES: &str = include_str!("builtin.txt");

static BUILTIN: LazyLock<Streamers> = LazyLock::new(|| parse(CLASSES));

/// Descriptions as text, a line for each class and version.
pub(crate) fn parse(lines: &str) -> Streamers {
    let mut all = Streamers::default();
    lines.lines().filter_map(parse_line).for_each(|info| all.insert(info));
    all
}

/// The description of a version of one of ROOT's own classes.
pub(crate) fn class(name: &str, version: i32) -> Option<&'static ClassInfo> {
    BUILTIN.version(name, version)
}

/// The newest version that is known of one of ROOT's own classes.
pub(crate) fn latest(name: &str) -> Option<&'static ClassInfo> {
    BUILTIN.latest(name)
}

fn parse_line(line: &str) -> Option<ClassInfo> {
    let (head, members) = line.split_once(": ")?;
    let (name, version) = head.split_once(' ')?;
    let elements = members.split(' ').filter_map(parse_member).collect();
    Some(ClassInfo { name: name.into(), version: version.parse().ok()?, checksum: 0, elements })
}

fn parse_member(text: &str) -> Option<Element> {
    let mut parts = text.split('/');
    let name = parts.next()?;
    let code: i32 = parts.next()?.parse().ok()?;
    let extra = parts.next().unwrap_or_default();
    let is_base = matches!(code, code::BASE | code::TOBJECT | code::TNAMED);
    Some(Element {
        name: name.into(),
        title: String::new(),
        code,
        array_length: 0,
        dims: Vec::new(),
        type_name: if is_base { "BASE".into() } else { extra.into() },
        counter: (code > code::POINTER && code < code::POINTER + code::ARRAY).then(|| extra.into()),
        base_version: if is_base { extra.parse().ok() } else { None },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_class() {
        assert!(CLASSES.lines().all(|line| parse_line(line).is_some_and(|info| !info.elements.is_empty())));
        let branch = class("TBranch", 13).unwrap();
        let seeks = branch.elements.iter().find(|e| &*e.name == "fBasketSeek").unwrap();
        assert_eq!((seeks.code, seeks.counter.as_deref()), (56, Some("fMaxBaskets")));
        assert_eq!(class("TBranchElement", 10).unwrap().elements[0].base_version, Some(13));
    }
}
