//! File name patterns, taken apart into one matcher per path component, so that a walk can
//! decide level by level where to look.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::spec;

/// More alternatives than this from `{a/b,c/d}` groups are refused, not enumerated.
const MAX_ALTERNATIVES: usize = 1024;
/// Groups within groups; the matcher recurses into them.
const MAX_NESTING: usize = 16;
/// In bytes, for one component: a few thousand names in a group.
const MAX_LENGTH: usize = 1 << 16;

/// What one path component has to be.
#[derive(Debug, Clone)]
pub(crate) enum Component {
    /// This name.
    Literal(String),
    /// A name that matches.
    Glob(NamePattern),
    /// Any number of directories, also none: `**`.
    AnyDepth,
}

/// A pattern for one name. The matcher works on bytes: `?` and classes stand for one ASCII
/// character, only `*` and spelt-out text match others.
#[derive(Debug, Clone)]
pub(crate) struct NamePattern {
    globs: GlobSet,
    shows_hidden: bool,
}

impl NamePattern {
    fn new(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .empty_alternates(true)
            .build()
            .map_err(|e| e.kind().to_string())?;
        // A set of one: compiling a single glob would panic where this returns an error.
        let globs = GlobSetBuilder::new().add(glob).build().map_err(|e| e.kind().to_string())?;
        Ok(Self { globs, shows_hidden: text.starts_with('.') })
    }
}

impl Component {
    /// Whether a file or directory of this name fits. Hidden names have to be asked for.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == name,
            Self::Glob(pattern) => (pattern.shows_hidden || !is_hidden(name)) && pattern.globs.is_match(name),
            Self::AnyDepth => !is_hidden(name),
        }
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// Where the directory ends that a spec names before its first wildcard; `None` if it has no
/// wildcard. In a URL a `?` begins the query.
pub(crate) fn literal_prefix(spec: &str) -> Option<&str> {
    let start = spec::path_start(spec);
    let path = spec::without_query(spec).get(start..)?;
    let wildcard = path.find(['*', '?', '[', '{'])?;
    let slash = path.get(..wildcard)?.rfind('/').map_or(0, |at| at + 1);
    spec.get(..start + slash)
}

/// The files of a directory that are meant by naming the directory.
pub(crate) fn root_files_below() -> Result<Vec<Component>, String> {
    Ok(vec![Component::AnyDepth, Component::Glob(NamePattern::new("*.root")?)])
}

/// Takes a pattern apart; several lists only if a `{}` group reaches across a `/`. The last
/// component of a list is never [`Component::AnyDepth`].
pub(crate) fn parse(pattern: &str) -> Result<Vec<Vec<Component>>, String> {
    let across = components(pattern).iter().any(|component| component.contains('/'));
    let alternatives = if across { expand_groups(pattern)? } else { vec![pattern.to_owned()] };
    alternatives.iter().map(|text| parse_one(text)).collect()
}

fn parse_one(pattern: &str) -> Result<Vec<Component>, String> {
    let mut parsed = Vec::new();
    for text in components(pattern) {
        match text {
            "" | "." => {}
            ".." => return Err("'..' cannot follow a wildcard".to_owned()),
            "**" => {
                if !matches!(parsed.last(), Some(Component::AnyDepth)) {
                    parsed.push(Component::AnyDepth);
                }
            }
            _ if text.len() > MAX_LENGTH => return Err("it is too long".to_owned()),
            _ if nesting(text) > MAX_NESTING => return Err("too many nested groups".to_owned()),
            _ if text.contains(['*', '?', '[', '{', '}']) => {
                parsed.push(Component::Glob(NamePattern::new(text)?));
            }
            _ => parsed.push(Component::Literal(text.to_owned())),
        }
    }
    if matches!(parsed.last(), Some(Component::AnyDepth)) {
        parsed.push(Component::Glob(NamePattern::new("*")?));
    }
    Ok(parsed)
}

/// The characters of a pattern that are syntax, with the depth of `{` before each.
fn syntax(pattern: &str) -> impl Iterator<Item = (usize, char, usize)> {
    let mut escaped = false;
    let mut in_class = false;
    let mut depth = 0_usize;
    pattern.char_indices().filter_map(move |(at, c)| {
        let before = depth;
        match c {
            _ if escaped => {
                escaped = false;
                return None;
            }
            '\\' => {
                escaped = true;
                return None;
            }
            // A class does not reach across a separator; an unclosed one is reported later.
            ']' | '/' if in_class => in_class = false,
            _ if in_class => return None,
            '[' => in_class = true,
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        Some((at, c, before))
    })
}

fn nesting(pattern: &str) -> usize {
    syntax(pattern).map(|(_, _, depth)| depth).max().unwrap_or(0)
}

/// Splits at every `/` outside of groups.
fn components(pattern: &str) -> Vec<&str> {
    let cuts = syntax(pattern).filter(|&(_, c, depth)| c == '/' && depth == 0).map(|(at, _, _)| at);
    pieces(pattern, cuts)
}

/// The text between the one-byte separators at `cuts`.
fn pieces(text: &str, cuts: impl Iterator<Item = usize>) -> Vec<&str> {
    let mut start = 0;
    let mut out = Vec::new();
    for cut in cuts {
        out.extend(text.get(start..cut));
        start = cut + 1;
    }
    out.extend(text.get(start..));
    out
}

/// Writes out every `{a,b}` group: `x{a/1,b}y` becomes `xa/1y` and `xby`.
fn expand_groups(pattern: &str) -> Result<Vec<String>, String> {
    let mut open = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(text) = open.pop() {
        match first_group(&text) {
            Some((before, alternatives, after)) => {
                // In reverse, so that the first alternative is next.
                for alternative in alternatives.iter().rev() {
                    open.push(format!("{before}{alternative}{after}"));
                }
            }
            None => done.push(text),
        }
        if open.len() + done.len() > MAX_ALTERNATIVES {
            return Err(format!("its groups stand for more than {MAX_ALTERNATIVES} patterns"));
        }
    }
    Ok(done)
}

/// The text before, the alternatives in, and the text after the first complete group.
fn first_group(text: &str) -> Option<(&str, Vec<&str>, &str)> {
    let mut group = syntax(text).skip_while(|&(_, c, _)| c != '{');
    let (start, _, _) = group.next()?;
    let mut commas = Vec::new();
    for (at, c, depth) in group {
        match c {
            ',' if depth == 1 => commas.push(at),
            '}' if depth == 1 => {
                let inside = text.get(..at)?;
                let alternatives = pieces(inside, std::iter::once(start).chain(commas));
                let alternatives = alternatives.into_iter().skip(1).collect();
                return Some((text.get(..start)?, alternatives, text.get(at + 1..)?));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(pattern: &str, names: &[&str]) -> Vec<String> {
        let parsed = parse(pattern).unwrap();
        assert_eq!(parsed.len(), 1, "{pattern}");
        assert_eq!(parsed[0].len(), 1, "{pattern}");
        let names = names.iter().filter(|name| parsed[0][0].matches(name));
        names.map(|name| (*name).to_owned()).collect()
    }

    fn shape(pattern: &str) -> Vec<String> {
        let of = |component: &Component| match component {
            Component::Literal(name) => name.clone(),
            Component::Glob(_) => "?".to_owned(),
            Component::AnyDepth => "**".to_owned(),
        };
        let lists = parse(pattern).unwrap();
        lists.iter().map(|list| list.iter().map(of).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn the_literal_prefix_is_the_directory_before_the_first_wildcard() {
        for (spec, prefix) in [
            ("data/run/x*.root", Some("data/run/")),
            ("data/r?n/*.root", Some("data/")),
            ("/*.root", Some("/")),
            ("*.root", Some("")),
            ("a{b/c,d}.root", Some("")),
            ("data/x.root", None),
            ("file:///d/*/x", Some("file:///d/")),
            ("root://[::1]:1094//d/x*", Some("root://[::1]:1094//d/")),
            ("root://h//x.root?a=*", None),
        ] {
            assert_eq!(literal_prefix(spec), prefix, "{spec}");
        }
    }

    #[test]
    fn one_component_matches_one_name() {
        let names = ["a.root", "b.root", "ab.root", "é.root", ".a.root", "a}.txt"];
        for (pattern, expected) in [
            ("*.root", &["a.root", "b.root", "ab.root", "é.root"][..]),
            ("a**.root", &["a.root", "ab.root"]),
            ("?.root", &["a.root", "b.root"]),
            ("[!a].root", &["b.root"]),
            ("[a-c].root", &["a.root", "b.root"]),
            ("{a,ab}.root", &["a.root", "ab.root"]),
            ("a{,b}.root", &["a.root", "ab.root"]),
            ("{a,{b,é}}.root", &["a.root", "b.root", "é.root"]),
            (".*", &[".a.root"]),
            (r"a\}*", &["a}.txt"]),
        ] {
            assert_eq!(matching(pattern, &names), expected, "{pattern}");
        }
    }

    #[test]
    fn only_groups_that_cross_a_separator_are_written_out() {
        for (pattern, shapes) in [
            ("a/*/b/{c,d}.root", &["a ? b ?"][..]),
            ("{a/1,b}/x*", &["a 1 ?", "b ?"]),
            ("{a/{1,2},b}", &["a 1", "a 2", "b"]),
            ("**/*.root", &["** ?"]),
            ("a/**/**", &["a ** ?"]),
            ("./a//*", &["a ?"]),
            // Only the matcher can take the backslash off.
            (r"a\{b/c*", &["? ?"]),
        ] {
            assert_eq!(shape(pattern), shapes, "{pattern}");
        }
    }

    #[test]
    fn a_malformed_or_boundless_pattern_is_an_error() {
        let nested = format!("{}a{}", "{".repeat(5000), "}".repeat(5000));
        let boundless = "{a/b,c/d}".repeat(40);
        let long = "?".repeat(1 << 20);
        for pattern in
            ["run[.root", "run[a/b]", "{a,b.root", "{a/b,c*", "a}*", "*/../x", "*\\", &nested, &boundless, &long]
        {
            let shown: String = pattern.chars().take(20).collect();
            assert!(parse(pattern).is_err(), "{shown}");
        }
    }
}
