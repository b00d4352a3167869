//! Reading what the user wrote, as text only: the scheme, where the path begins, and which `:`
//! separates a file from the object (the tree) in it.

/// Splits `FILE:object` into the file and the object in it.
///
/// A `:` separates when it follows `.root` or `.root.<digits>` (also as the last alternative of
/// a `{a,b}` group), a `/` that ends a directory, or a `*` that ends a pattern; the last such
/// `:` counts. In a URL with a query any `:` after the `?` may separate, as long as what follows
/// cannot be more query. A `:` anywhere else - scheme, port, drive, a time in a file name -
/// belongs to the file.
///
/// ```
/// use eos_io::split_object;
///
/// assert_eq!(split_object("data.root:Events"), ("data.root", Some("Events")));
/// assert_eq!(
///     split_object("root://eos.cern.ch:1094//run_12:30.root"),
///     ("root://eos.cern.ch:1094//run_12:30.root", None),
/// );
/// ```
pub fn split_object(spec: &str) -> (&str, Option<&str>) {
    let path_start = path_start(spec);
    for (at, _) in spec.rmatch_indices(':') {
        if at < path_start {
            break;
        }
        if let (Some(file), Some(object)) = (spec.get(..at), spec.get(at + 1..))
            && separates(file, object, path_start)
        {
            return (file, Some(object));
        }
    }
    (spec, None)
}

fn separates(file: &str, object: &str, path_start: usize) -> bool {
    if object.is_empty() || object.contains(['=', '&']) || object.contains("//") {
        return false;
    }
    if in_query(file, path_start) {
        // `tried=host:1094` is a port, `authz=zteos64:...` is how every EOS token begins.
        let is_port = object.bytes().all(|b| b.is_ascii_digit());
        return !is_port && !file.ends_with("=zteos64");
    }
    if ends_as_root_file(file) || file.strip_suffix('}').is_some_and(ends_as_root_file) {
        return true;
    }
    // `run_*:30.root` is a pattern for names with a time in them, not an object `30.root`.
    file.ends_with(['*', '/']) && !object.contains(['*', '?']) && !ends_as_root_file(object)
}

/// Whether `file` reaches into the query of a ROOT file's URL, as in `x.root?authz=abc`.
fn in_query(file: &str, path_start: usize) -> bool {
    file.get(path_start..).and_then(|path| path.split_once('?')).is_some_and(|(path, _query)| ends_as_root_file(path))
}

/// Whether the name ends in `.root` or, as the grid numbers its files, `.root.<digits>`.
pub(crate) fn ends_as_root_file(name: &str) -> bool {
    let unnumbered = match name.rsplit_once('.') {
        Some((stem, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => stem,
        _ => name,
    };
    unnumbered.ends_with(".root")
}

/// Whether a spec is a URL, and no path.
///
/// ```
/// assert!(eos_io::is_url("root://eos.cern.ch//x.root"));
/// assert!(!eos_io::is_url("data/run_12:30.root"));
/// ```
pub fn is_url(spec: &str) -> bool {
    scheme(spec).is_some()
}

/// The scheme of a URL as written; `None` for a path. One letter is a drive, not a scheme.
pub(crate) fn scheme(spec: &str) -> Option<&str> {
    let (scheme, rest) = spec.split_once(':')?;
    let mut bytes = scheme.bytes();
    let is_scheme = scheme.len() > 1
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    // `file:/path` is how many programs print a file URL.
    let is_url = rest.starts_with("//") || (rest.starts_with('/') && scheme.eq_ignore_ascii_case("file"));
    (is_scheme && is_url).then_some(scheme)
}

/// Where the path begins: behind scheme and authority, at 0 for a plain path.
pub(crate) fn path_start(spec: &str) -> usize {
    let Some(scheme) = scheme(spec) else {
        return 0;
    };
    let colon = scheme.len() + 1;
    let authority = match spec.get(colon..) {
        Some(rest) if rest.starts_with("//") => colon + 2,
        _ => colon,
    };
    spec.get(authority..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(spec.len(), |at| authority + at)
}

/// The spec up to its query. The name of a local file may hold any `?`.
pub(crate) fn without_query(spec: &str) -> &str {
    let start = path_start(spec);
    match scheme(spec).and(spec.get(start..)).and_then(|path| path.find('?')) {
        Some(at) => spec.get(..start + at).unwrap_or(spec),
        None => spec,
    }
}

#[cfg(test)]
mod tests {
    use super::{path_start, scheme, split_object};

    #[test]
    fn the_object_follows_the_last_colon_behind_a_root_file() {
        for (spec, file, object) in [
            ("data.root:Events", "data.root", "Events"),
            ("a.root.1:dir/tree;2", "a.root.1", "dir/tree;2"),
            ("a.root.1234:t", "a.root.1234", "t"),
            ("run_12:30.root:Events", "run_12:30.root", "Events"),
            ("a.root:b.root:t", "a.root:b.root", "t"),
            ("a b.root:my tree", "a b.root", "my tree"),
            ("é.root:ü", "é.root", "ü"),
            (r"C:\data\x.root:Events", r"C:\data\x.root", "Events"),
            ("file:///d/x.root:Events", "file:///d/x.root", "Events"),
            ("root://host:1094//eos/x.root:Events", "root://host:1094//eos/x.root", "Events"),
            ("root://xcache//root://origin:1094//y.root:Events", "root://xcache//root://origin:1094//y.root", "Events"),
            ("root://u:p@[2001:db8::1]:1094//x.root:t", "root://u:p@[2001:db8::1]:1094//x.root", "t"),
            ("x.root:a:b", "x.root", "a:b"),
        ] {
            assert_eq!(split_object(spec), (file, Some(object)), "{spec}");
        }
    }

    #[test]
    fn patterns_and_directories_take_an_object_too() {
        for (spec, file, object) in [
            ("data/*.root:Events", "data/*.root", "Events"),
            ("data/{a,b}.root:Events", "data/{a,b}.root", "Events"),
            ("data/{a.root,b.root}:Events", "data/{a.root,b.root}", "Events"),
            ("data/?.root:Events", "data/?.root", "Events"),
            ("data/run*:Events", "data/run*", "Events"),
            ("data/*.root.*:Events", "data/*.root.*", "Events"),
            ("run_*:*:t", "run_*:*", "t"),
            ("dir/:Events", "dir/", "Events"),
            ("root://h:1//dir/:a/b", "root://h:1//dir/", "a/b"),
        ] {
            assert_eq!(split_object(spec), (file, Some(object)), "{spec}");
        }
    }

    #[test]
    fn in_a_query_the_last_colon_separates_unless_more_query_follows() {
        for (spec, file, object) in [
            ("x.root?authz=abc:def:Events", "x.root?authz=abc:def", Some("Events")),
            ("root://h//x.root?authz=zteos64:MDAw:Events", "root://h//x.root?authz=zteos64:MDAw", Some("Events")),
            ("root://h//x.root?authz=zteos64:MDAw", "root://h//x.root?authz=zteos64:MDAw", None),
            ("root://h//x.root?authz=a:b&c=d", "root://h//x.root?authz=a:b&c=d", None),
            ("root://h//x.root?url=http://a/b", "root://h//x.root?url=http://a/b", None),
            ("root://h//x.root?tried=other:1094", "root://h//x.root?tried=other:1094", None),
        ] {
            assert_eq!(split_object(spec), (file, object), "{spec}");
        }
    }

    #[test]
    fn any_other_colon_belongs_to_the_file() {
        for spec in [
            "",
            ":",
            "data.root",
            "data.root:",
            "run_12:30.root",
            "run_*:30.root",
            "dir/run_*:*.root",
            "a.txt:Events",
            "a.root.x:Events",
            "x.rootlike:t",
            r"C:\x.root",
            "root://host:1094//x.root",
            "root://data.root:1094//x",
            "root://h//run*?x=y",
            "http://h:80/x.root?a=b:c=d",
        ] {
            assert_eq!(split_object(spec), (spec, None), "{spec}");
        }
    }

    #[test]
    fn only_a_scheme_of_two_letters_or_more_makes_a_url() {
        for (spec, expected) in [
            ("root://h//x", Some("root")),
            ("File:///x", Some("File")),
            ("file:/x", Some("file")),
            ("a.b+c-1://x", Some("a.b+c-1")),
            ("C://x", None),
            ("file:x", None),
            ("root:/x", None),
            ("./a://b", None),
            ("1a://b", None),
            ("://b", None),
            ("x", None),
        ] {
            assert_eq!(scheme(spec), expected, "{spec}");
        }
        for (spec, path) in [
            ("dir/x", "dir/x"),
            ("file:///x", "/x"),
            ("file:/x", "/x"),
            ("root://[::1]:1//x", "//x"),
            ("http://h?a", "?a"),
            ("http://h", ""),
        ] {
            assert_eq!(&spec[path_start(spec)..], path, "{spec}");
        }
    }
}
