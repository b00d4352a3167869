//! C++ type names as dictionaries spell them, parsed into what can be decoded.

use crate::number::Number;

/// A type that is decoded without a class description.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CppType {
    Number(Number),
    /// A string.
    Text(TextForm),
    /// `std::vector`, `list`, `deque`, `set`, …: a count and the elements.
    List(Box<CppType>),
    /// `std::map`, `multimap`, `unordered_map`: a count and pairs.
    Map(Box<CppType>, Box<CppType>),
    /// `std::bitset<N>`: a count and a byte per bit.
    Bitset,
    /// `std::pair`.
    Pair(Box<CppType>, Box<CppType>),
    /// `std::array`.
    Array(Box<CppType>, usize),
    /// A pointer, plain or smart, to a class.
    Pointer(String),
    /// Anything else.
    Class(String),
}

/// How a string is streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextForm {
    /// `std::string`: a short length and characters; as a member, or as a column of members, behind a version.
    Std,
    /// `TString`: a short length and characters, never behind a version.
    Root,
    /// `char*`: a 32-bit length and characters.
    Long,
}

/// How deep templates may nest in a name.
const MAX_DEPTH: usize = 32;

impl CppType {
    pub(crate) fn parse(name: &str) -> Self {
        Self::parse_at(name, 0)
    }

    fn parse_at(name: &str, depth: usize) -> Self {
        let name = name.trim();
        let name = name.strip_prefix("const ").unwrap_or(name);
        let name = name.strip_prefix("std::").unwrap_or(name);
        if let Some(number) = Number::from_cpp(name) {
            return Self::Number(number);
        }
        match name {
            "string" | "basic_string<char>" => return Self::Text(TextForm::Std),
            "TString" => return Self::Text(TextForm::Root),
            _ => {}
        }
        if let Some(pointee) = name.strip_suffix('*') {
            return Self::Pointer(pointee.trim().to_string());
        }
        let class = || Self::Class(name.to_string());
        let Some((outer, rest)) = name.split_once('<') else {
            return class();
        };
        let Some(inner) = rest.trim_end().strip_suffix('>') else {
            return class();
        };
        let arguments = split_arguments(inner);
        if depth >= MAX_DEPTH {
            return class();
        }
        let argument = |i: usize| arguments.get(i).map(|a| Box::new(Self::parse_at(a, depth + 1)));
        match (outer.trim(), argument(0), argument(1)) {
            (
                "vector" | "list" | "deque" | "forward_list" | "set" | "multiset" | "unordered_set"
                | "unordered_multiset" | "ROOT::VecOps::RVec" | "ROOT::RVec" | "RVec",
                Some(element),
                _,
            ) => Self::List(element),
            ("map" | "multimap" | "unordered_map" | "unordered_multimap", Some(key), Some(value)) => {
                Self::Map(key, value)
            }
            ("bitset", ..) => Self::Bitset,
            ("pair", Some(first), Some(second)) => Self::Pair(first, second),
            ("array", Some(element), Some(_)) => match arguments.get(1).and_then(|n| length(n)) {
                Some(length) => Self::Array(element, length),
                None => class(),
            },
            ("unique_ptr" | "shared_ptr", Some(_), _) => {
                Self::Pointer(arguments.first().map(|pointee| pointee.trim().to_string()).unwrap_or_default())
            }
            ("atomic", Some(value), _) => *value,
            _ => class(),
        }
    }
}

/// The number of elements in a template argument such as `3`, `3ul`.
fn length(argument: &str) -> Option<usize> {
    argument.trim().trim_end_matches(['u', 'l', 'U', 'L']).parse().ok()
}

/// A class name in one spelling: without `std::`, `const`, and spaces that mean nothing.
pub(crate) fn normal_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name.trim();
    while let Some(letter) = rest.chars().next() {
        let starts_word = out.chars().last().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
        match rest.strip_prefix("std::").or_else(|| rest.strip_prefix("const ")).filter(|_| starts_word) {
            Some(shorter) => rest = shorter,
            None => {
                let next = rest.get(letter.len_utf8()..).unwrap_or_default();
                // A space is part of a name between words only, as in `unsigned int`.
                let between_words =
                    starts_word || next.trim_start().starts_with(|c: char| !c.is_alphanumeric() && c != '_');
                if letter != ' ' || !between_words {
                    out.push(letter);
                }
                rest = next;
            }
        }
    }
    without_defaults(out)
}

/// Leaves out the template arguments that containers have by default, and that only some dictionaries spell.
fn without_defaults(mut name: String) -> String {
    for default in [",allocator<", ",less<", ",char_traits<", ",default_delete<"] {
        while let Some(start) = name.find(default) {
            let rest = name.get(start + default.len()..).unwrap_or_default();
            let mut depth = 1usize;
            let end = rest.char_indices().find(|(_, letter)| {
                match letter {
                    '<' => depth += 1,
                    '>' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            let Some((end, _)) = end else { break };
            name.replace_range(start..start + default.len() + end + 1, "");
        }
    }
    name
}

/// Splits template arguments at the commas that are not inside further templates.
fn split_arguments(inner: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0usize, 0, Vec::new());
    for (at, letter) in inner.char_indices() {
        match letter {
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.extend(inner.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(inner.get(start..));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_templates_with_and_without_spaces() {
        let float = || Box::new(CppType::Number(Number::F32));
        assert_eq!(CppType::parse("vector<float>"), CppType::List(float()));
        assert_eq!(CppType::parse("std::vector<std::vector<float> >"), CppType::List(Box::new(CppType::List(float()))));
        assert_eq!(CppType::parse("vector<float,allocator<float> >"), CppType::List(float()));
        assert_eq!(
            CppType::parse("map<string,vector<float> >"),
            CppType::Map(Box::new(CppType::Text(TextForm::Std)), Box::new(CppType::List(float())))
        );
        assert_eq!(CppType::parse("set<short>"), CppType::List(Box::new(CppType::Number(Number::I16))));
        assert_eq!(CppType::parse("bitset<8>"), CppType::Bitset);
    }

    #[test]
    fn pairs_arrays_and_pointers_are_known() {
        let int = || Box::new(CppType::Number(Number::I32));
        let float = Box::new(CppType::Number(Number::F32));
        assert_eq!(CppType::parse("pair<int,float>"), CppType::Pair(int(), float));
        assert_eq!(CppType::parse("std::array<int,3ul>"), CppType::Array(int(), 3));
        assert_eq!(CppType::parse("reco::Candidate*"), CppType::Pointer("reco::Candidate".into()));
        assert_eq!(CppType::parse("unique_ptr<Poly>"), CppType::Pointer("Poly".into()));
    }

    #[test]
    fn a_class_has_one_spelling() {
        assert_eq!(
            normal_name("edm::Ref<std::vector<reco::Track> , reco::Track >"),
            "edm::Ref<vector<reco::Track>,reco::Track>"
        );
        assert_eq!(normal_name("pair<unsigned int,const string>"), "pair<unsigned int,string>");
        assert_eq!(normal_name("mystd::X"), "mystd::X");
        let with_defaults = "edm::Ref<vector<reco::Track,allocator<reco::Track> >,reco::Track>";
        assert_eq!(normal_name(with_defaults), "edm::Ref<vector<reco::Track>,reco::Track>");
        assert_eq!(normal_name("map<int,float,less<int>,allocator<pair<const int,float> > >"), "map<int,float>");
    }

    #[test]
    fn what_is_not_known_is_a_class() {
        assert_eq!(CppType::parse("reco::Muon"), CppType::Class("reco::Muon".into()));
        assert_eq!(CppType::parse("vector<"), CppType::Class("vector<".into()));
        let deep = format!("{}int{}", "vector<".repeat(100), ">".repeat(100));
        let _ = CppType::parse(&deep);
    }
}
