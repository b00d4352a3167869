//! The file's description of the classes of its objects (`TStreamerInfo`), by which any reader decodes them without
//! knowing the version of ROOT that they are of.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::wire::{PLAIN_BITS, Record};

/// One line per class: `Class version checksum member …`, in streaming order, as ROOT 6 describes them. A base class is
/// `name/code/version`, a member `name/code/type` with `_` for blanks, a counted array `name/code/type/counter/version
/// of the counter's class/that class`.
const CLASSES: &str = include_str!("classes.txt");

static DESCRIPTIONS: LazyLock<BTreeMap<&'static str, Class>> =
    LazyLock::new(|| CLASSES.lines().filter_map(parse_class).map(|class| (class.name, class)).collect());

/// The kinds of `TStreamerElement` by what they describe, with their type codes.
const BASE: [i32; 3] = [0, 66, 67];
const OBJECT: i32 = 61;
const ANY: i32 = 62;
const POINTERS: [i32; 2] = [63, 64];
const STRING: i32 = 65;

struct Class {
    name: &'static str,
    version: i32,
    checksum: u32,
    members: Vec<Member>,
}

struct Member {
    name: &'static str,
    code: i32,
    type_name: String,
    /// Version of the base class.
    base_version: Option<i32>,
    /// Name of the counter, version of its class, and that class.
    counter: Option<(&'static str, i32, &'static str)>,
}

fn parse_class(line: &'static str) -> Option<Class> {
    let mut words = line.split_whitespace();
    let (name, version, checksum) = (words.next()?, words.next()?, words.next()?);
    Some(Class {
        name,
        version: version.parse().ok()?,
        checksum: u32::from_str_radix(checksum, 16).ok()?,
        members: words.filter_map(parse_member).collect(),
    })
}

fn parse_member(text: &'static str) -> Option<Member> {
    let mut parts = text.split('/');
    let (name, code, kind) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    if BASE.contains(&code) {
        return Some(Member { name, code, type_name: "BASE".into(), base_version: kind.parse().ok(), counter: None });
    }
    let counter = match (parts.next(), parts.next(), parts.next()) {
        (Some(counter), Some(version), Some(class)) => Some((counter, version.parse().ok()?, class)),
        _ => None,
    };
    Some(Member { name, code, type_name: kind.replace('_', " "), base_version: None, counter })
}

/// The content of the file's record of class descriptions: those of `classes` and of what they are made of.
pub(crate) fn describe(classes: &[&'static str], key_length: usize) -> Vec<u8> {
    let mut wanted: Vec<&Class> = Vec::new();
    classes.iter().for_each(|class| collect(class, &mut wanted));
    let mut record = Record::new(key_length);
    record.list(&wanted, |r, _, class| {
        r.object("TStreamerInfo", |r| streamer_info(r, class));
    });
    record.into_bytes()
}

/// Appends a class behind its bases and the classes of its members.
fn collect(name: &str, wanted: &mut Vec<&'static Class>) {
    let Some(class) = DESCRIPTIONS.get(name) else {
        return;
    };
    if wanted.iter().any(|known| known.name == name) {
        return;
    }
    for member in &class.members {
        match member.base_version {
            Some(_) => collect(member.name, wanted),
            None => collect(&member.type_name, wanted),
        }
    }
    wanted.push(class);
}

fn streamer_info(r: &mut Record, class: &Class) {
    r.framed(9, |r| {
        r.tnamed(PLAIN_BITS | 1 << 16, class.name, "");
        r.u32(class.checksum);
        r.i32(class.version);
        r.object("TObjArray", |r| {
            r.obj_array(&class.members, |r, member| {
                element(r, member);
            });
        });
    });
}

fn element(r: &mut Record, member: &Member) {
    if let Some(version) = member.base_version {
        let checksum = DESCRIPTIONS.get(member.name).map_or(0, |class| class.checksum);
        r.object("TStreamerBase", |r| {
            r.framed(3, |r| {
                common(r, member, "", 0, checksum);
                r.i32(version);
            });
        });
        return;
    }
    if let Some((counter, version, class)) = member.counter {
        r.object("TStreamerBasicPointer", |r| {
            r.framed(2, |r| {
                common(r, member, &format!("[{counter}]"), size_of_value(member), 0);
                r.i32(version);
                r.string(counter);
                r.string(class);
            });
        });
        return;
    }
    let class = match member.code {
        OBJECT => "TStreamerObject",
        ANY => "TStreamerObjectAny",
        STRING => "TStreamerString",
        code if POINTERS.contains(&code) => "TStreamerObjectPointer",
        _ => "TStreamerBasicType",
    };
    // Code 63 is of pointers that are never null: ROOT knows them by the arrow in the title.
    let title = if member.code == 63 { "->" } else { "" };
    r.object(class, |r| r.framed(2, |r| common(r, member, title, size_of_value(member), 0)));
}

/// `TStreamerElement`. The second slot of the dimensions holds the checksum of a base class.
fn common(r: &mut Record, member: &Member, title: &str, size: i32, checksum: u32) {
    r.framed(4, |r| {
        r.tnamed(PLAIN_BITS, member.name, title);
        r.i32(member.code);
        r.i32(size);
        r.i32(0);
        r.i32(0);
        r.i32(0);
        r.u32(checksum);
        (0..3).for_each(|_| r.i32(0));
        r.string(&member.type_name);
    });
}

/// Bytes that the member takes in memory, as 64-bit ROOT has it.
fn size_of_value(member: &Member) -> i32 {
    match (member.code, member.type_name.as_str()) {
        (1 | 11 | 18, _) | (ANY, "ROOT::TIOFeatures") => 1,
        (2 | 12, _) => 2,
        (3 | 5 | 6 | 13 | 15 | 43, _) => 4,
        (ANY | STRING, _) => 24,
        (OBJECT, "TAxis") => 216,
        (OBJECT, _) => 64,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_class() {
        assert!(CLASSES.lines().all(|line| parse_class(line).is_some()));
        assert_eq!(DESCRIPTIONS.len(), CLASSES.lines().count());
        let features = DESCRIPTIONS.get("ROOT::TIOFeatures").map(|class| (class.checksum, class.members.len()));
        assert_eq!(features, Some((0x1aa1_2f10, 1)));
    }

    #[test]
    fn bases_stand_in_front_of_what_is_derived_from_them() {
        let mut wanted = Vec::new();
        collect("TH1D", &mut wanted);
        let names: Vec<_> = wanted.iter().map(|class| class.name).collect();
        let place = |name: &str| names.iter().position(|known| *known == name);
        assert!(place("TObject") < place("TNamed") && place("TNamed") < place("TH1") && place("TH1") < place("TH1D"));
        assert!(place("TAxis").is_some() && place("TTree").is_none());
    }
}
