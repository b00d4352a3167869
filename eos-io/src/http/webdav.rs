//! Listings: what servers with WebDAV answer to `PROPFIND`. Only what is needed is read, by local
//! names, since servers differ in their namespaces.

use chrono::{DateTime, Utc};
use object_store::path::Path;
use object_store::{ListResult, ObjectMeta};
use percent_encoding::percent_decode_str;
use quick_xml::events::Event;
use quick_xml::name::QName;
use quick_xml::reader::Reader;

use crate::parts::normalized;

/// A listing of some 300,000 files.
pub(super) const MAX_LISTING: usize = 256 << 20;

/// What is asked for.
pub(super) const PROPERTIES: &str = concat!(
    r#"<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop>"#,
    "<D:resourcetype/><D:getcontentlength/><D:getlastmodified/><D:getetag/>",
    "</D:prop></D:propfind>",
);

/// One entry of an answer.
#[derive(Debug, Default)]
struct Entry {
    href: String,
    is_directory: bool,
    size: Option<u64>,
    modified: Option<DateTime<Utc>>,
    e_tag: Option<String>,
}

impl Entry {
    fn into_meta(self, location: Path) -> Result<ObjectMeta, String> {
        let Some(size) = self.size else { return Err(format!("it does not say how large '{location}' is")) };
        let last_modified = self.modified.unwrap_or_default();
        Ok(ObjectMeta { location, last_modified, size, e_tag: self.e_tag, version: None })
    }
}

/// Reads the listing of a directory. Entries elsewhere than directly in it are none of its.
pub(super) fn listing(xml: &[u8], directory: &Path) -> Result<ListResult, String> {
    let mut found = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
    let entries = entries(xml)?;
    let coding = Coding::of(&entries, directory);
    for entry in entries {
        let Some(location) = coding.location(&entry.href)? else { continue };
        let is_inside = location.prefix_match(directory).is_some_and(|rest| rest.count() == 1);
        if !is_inside {
            continue;
        }
        match entry.is_directory {
            true => found.common_prefixes.push(location),
            false => found.objects.push(entry.into_meta(location)?),
        }
    }
    found.common_prefixes.sort_unstable();
    found.objects.sort_unstable_by(|a, b| a.location.cmp(&b.location));
    Ok(found)
}

/// Reads what is said of one file; `None` if it is a directory.
pub(super) fn file(xml: &[u8], path: &Path) -> Result<Option<ObjectMeta>, String> {
    let entries = entries(xml)?;
    let coding = Coding::of(&entries, path);
    for entry in entries {
        if coding.location(&entry.href)?.is_some_and(|location| location == *path) {
            return if entry.is_directory { Ok(None) } else { entry.into_meta(path.clone()).map(Some) };
        }
    }
    Err(format!("it says nothing of '{path}'"))
}

/// Whether the names in an answer are percent-encoded, as they should be. XRootD writes them as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Encoded,
    Plain,
}

impl Coding {
    /// Finds out by what cannot stand in a URL, and by how the path that was asked for comes back.
    fn of(entries: &[Entry], asked: &Path) -> Self {
        let plain = format!("/{asked}");
        let is_plain = |entry: &Entry| {
            let path = path_in(&entry.href).trim_end_matches('/');
            path.contains(|c: char| !c.is_ascii() || " \"<>[]{}|\\^`".contains(c))
                || (path == plain
                    && plain.contains('%')
                    && location(&decoded(path).unwrap_or_default()).as_ref() != Some(asked))
        };
        if entries.iter().any(is_plain) { Self::Plain } else { Self::Encoded }
    }

    fn location(self, href: &str) -> Result<Option<Path>, String> {
        let path = path_in(href);
        Ok(match self {
            Self::Plain => location(path),
            Self::Encoded => location(&decoded(path)?),
        })
    }
}

/// The path in a `href`: that of a URL, or the whole with or without a slash in front.
fn path_in(href: &str) -> &str {
    match href.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => href,
    }
}

fn decoded(path: &str) -> Result<String, String> {
    let text = percent_decode_str(path).decode_utf8().map_err(|_| format!("the name '{path}' is no text"))?;
    Ok(text.into_owned())
}

/// A name that is none, such as `..`, is passed over: nothing can be read under it.
fn location(path: &str) -> Option<Path> {
    normalized(path, path).ok().and_then(|path| Path::parse(path).ok())
}

fn entries(xml: &[u8]) -> Result<Vec<Entry>, String> {
    let broken = |e: &dyn std::fmt::Display| format!("it is no XML: {e}");
    let mut reader = Reader::from_reader(xml);
    let (mut found, mut current) = (Vec::new(), None::<Entry>);
    let (mut text, mut is_answer) = (String::new(), false);
    loop {
        match reader.read_event().map_err(|e| broken(&e))? {
            Event::Start(tag) => {
                text.clear();
                match local(tag.name()).as_slice() {
                    b"multistatus" => is_answer = true,
                    b"response" => current = Some(Entry::default()),
                    b"collection" => mark_directory(&mut current),
                    _ => {}
                }
            }
            Event::Empty(tag) if local(tag.name()) == b"collection" => mark_directory(&mut current),
            Event::Text(piece) => text += &piece.decode().map_err(|e| broken(&e))?,
            Event::CData(piece) => text += &piece.decode().map_err(|e| broken(&e))?,
            Event::GeneralRef(reference) => {
                let name = reference.decode().map_err(|e| broken(&e))?;
                let whole = format!("&{name};");
                text += &quick_xml::escape::unescape(&whole).map_err(|e| broken(&e))?;
            }
            Event::End(tag) => {
                let Some(entry) = &mut current else { continue };
                let value = text.trim();
                match local(tag.name()).as_slice() {
                    // The names of users and of locks are `href`s too.
                    b"href" if entry.href.is_empty() => entry.href = value.to_owned(),
                    b"getcontentlength" => entry.size = value.parse().ok(),
                    b"getlastmodified" => entry.modified = date(value),
                    b"getetag" => entry.e_tag = Some(value.to_owned()).filter(|tag| !tag.is_empty()),
                    b"iscollection" if value == "1" => entry.is_directory = true,
                    b"response" => found.extend(current.take()),
                    _ => {}
                }
                text.clear();
            }
            Event::Eof if current.is_some() => return Err("it ends early".to_owned()),
            Event::Eof if !is_answer => return Err("it is no listing".to_owned()),
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

fn mark_directory(entry: &mut Option<Entry>) {
    if let Some(entry) = entry {
        entry.is_directory = true;
    }
}

fn local(name: QName<'_>) -> Vec<u8> {
    name.local_name().as_ref().to_ascii_lowercase()
}

/// A date as HTTP writes it.
pub(super) fn date(text: &str) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc2822(text.trim()).or_else(|_| DateTime::parse_from_rfc3339(text.trim())).ok()?;
    Some(date.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"<?xml version="1.0"?>
<D:multistatus xmlns:D="DAV:" xmlns:a="DAV:">
 <D:response><D:href>http://h:80//d/</D:href><D:propstat><D:prop>
   <a:resourcetype><D:collection/></a:resourcetype></D:prop></D:propstat></D:response>
 <D:response><D:href>/d/a%20b%26.root</D:href><D:propstat><D:prop><a:getcontentlength>12</a:getcontentlength>
   <a:getlastmodified>Tue, 03 Jun 2008 11:05:30 GMT</a:getlastmodified><a:getetag>"x"</a:getetag>
   <a:resourcetype/></D:prop></D:propstat></D:response>
 <D:response><D:href>/d/a&amp;b.root</D:href><D:prop><D:getcontentlength>1</D:getcontentlength></D:prop></D:response>
 <D:response><D:href>d/sub/</D:href><D:prop><a:iscollection>1</a:iscollection></D:prop></D:response>
 <D:response><D:href>/d/sub/deep.root</D:href><D:prop><D:getcontentlength>1</D:getcontentlength></D:prop></D:response>
 <D:response><D:href>/etc/passwd</D:href><D:prop><D:getcontentlength>1</D:getcontentlength></D:prop></D:response>
 <D:response><D:href>/d/../x</D:href><D:prop><D:getcontentlength>1</D:getcontentlength></D:prop></D:response>
</D:multistatus>"#;

    #[test]
    fn a_listing_holds_what_is_directly_in_the_directory() {
        let found = listing(ANSWER.as_bytes(), &Path::from("d")).unwrap();
        let files: Vec<_> = found.objects.iter().map(|meta| (meta.location.as_ref(), meta.size)).collect();
        assert_eq!(files, [("d/a b&.root", 12), ("d/a&b.root", 1)]);
        assert_eq!(found.common_prefixes, [Path::from("d/sub")]);
        assert_eq!(found.objects[0].e_tag.as_deref(), Some("\"x\""));
        assert_eq!(found.objects[0].last_modified.timestamp(), 1_212_491_130);
    }

    #[test]
    fn one_file_is_told_from_a_directory() {
        let of = |path: &str| file(ANSWER.as_bytes(), &Path::from(path));
        assert_eq!(of("d/a&b.root").unwrap().unwrap().size, 1);
        assert_eq!(of("d/sub").unwrap(), None);
        assert!(of("d/other").is_err());
    }

    #[test]
    fn names_that_are_not_encoded_are_taken_as_they_are() {
        let answer = |names: &[&str]| {
            let each = names.iter().map(|name| {
                format!("<response><href>{name}</href><prop><getcontentlength>1</getcontentlength></prop></response>")
            });
            format!("<multistatus>{}</multistatus>", each.collect::<String>())
        };
        let names = |xml: &str, directory: &str| {
            let found = listing(xml.as_bytes(), &Path::parse(directory).unwrap()).unwrap();
            found.objects.into_iter().map(|meta| meta.location.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&answer(&["/d/a%20b"]), "d"), ["d/a b"]);
        assert_eq!(names(&answer(&["/d/a%20b", "/d/a b"]), "d"), ["d/a b", "d/a%20b"]);
        assert_eq!(names(&answer(&["/d%20/", "/d%20/a%20b"]), "d%20"), ["d%20/a%20b"]);
        assert_eq!(names(&answer(&["/d%2520/", "/d%2520/a%20b"]), "d%20"), ["d%20/a b"]);
    }

    #[test]
    fn what_is_no_listing_is_an_error_that_says_why() {
        for (xml, why) in [
            ("", "no listing"),
            ("<html><body>hello</body></html>", "no listing"),
            ("<multistatus><response><href>/d/x</href>", "early"),
            ("<multistatus><response><href>/d/x</href></response></multistatus>", "how large"),
            ("<a></b>", "no XML"),
            ("<multistatus>&bomb;</multistatus>", "no XML"),
        ] {
            let error = listing(xml.as_bytes(), &Path::from("d")).unwrap_err();
            assert!(error.contains(why), "{xml}: {error}");
        }
    }
}
