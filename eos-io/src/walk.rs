//! Walking a store along a pattern. Level by level, a directory is listed only if the pattern
//! can match something in it, and only once; names the pattern spells out are not looked up in
//! a listing at all.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ListResult, ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::backend::Backend;
use crate::error::is_missing;
use crate::pattern::Component;

/// Requests in flight at a time; what counts on a remote store is their latency.
const CONCURRENT_REQUESTS: usize = 16;

/// How far `**` goes down where nothing tells a directory from a link to one above it.
const DEEPEST: usize = 32;

/// What a walk has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The files that match, in no particular order.
    pub(crate) files: Vec<ObjectMeta>,
    /// How many directories match.
    pub(crate) directories: usize,
}

/// Where and why a walk ended early.
#[derive(Debug)]
pub(crate) struct WalkError {
    pub(crate) path: Path,
    pub(crate) source: object_store::Error,
}

/// The components that the next name below a directory may match: several if `**` is among
/// them.
type Positions = BTreeSet<usize>;

/// Finds everything below `start` that matches the components.
pub(crate) async fn walk(
    store: &Arc<dyn ObjectStore>,
    backend: &dyn Backend,
    start: Path,
    components: &[Component],
) -> Result<Found, WalkError> {
    let mut found = Found::default();
    let deepest = start.parts().count() + components.len() + DEEPEST;
    let mut entered = HashSet::new();
    let mut level = BTreeMap::from([(start, Positions::from([0]))]);
    while !level.is_empty() {
        let mut requests = Vec::new();
        for (directory, positions) in std::mem::take(&mut level) {
            let active = activate(components, backend, &directory, &positions, &mut entered);
            if !active.is_empty() && directory.parts().count() > deepest && backend.identity(&directory).is_none() {
                return Err(too_deep(directory));
            }
            match next_step(components, &active) {
                Step::Nothing => {}
                Step::Descend(name, position) => {
                    let below = directory.join_raw(name);
                    let next: &mut Positions = level.entry(below).or_default();
                    next.insert(position);
                }
                Step::Ask(request) => requests.push((directory, active, request)),
            }
        }
        let mut answers = stream::iter(requests)
            .map(|(directory, active, request)| {
                let store = Arc::clone(store);
                async move {
                    let answer = ask(&*store, &directory, request).await?;
                    Ok((active, answer))
                }
            })
            .buffered(CONCURRENT_REQUESTS);
        while let Some((active, listing)) = answers.try_next().await? {
            sort_out(components, &active, listing, &mut found, &mut level);
        }
    }
    Ok(found)
}

/// The positions that count in a directory: `**` also lets what follows it begin here. A
/// directory is entered by the same `**` only once, under the first of its names - which also
/// ends the walk through a link that leads back up.
fn activate(
    components: &[Component],
    backend: &dyn Backend,
    directory: &Path,
    positions: &Positions,
    entered: &mut HashSet<(String, usize)>,
) -> Positions {
    let mut active = Positions::new();
    for &position in positions {
        if matches!(components.get(position), Some(Component::AnyDepth)) {
            if let Some(identity) = backend.identity(directory)
                && !entered.insert((identity, position))
            {
                continue;
            }
            active.insert(position + 1);
        }
        active.insert(position);
    }
    active
}

fn too_deep(path: Path) -> WalkError {
    let reason = format!(
        "it is more than {DEEPEST} directories below where the search began, perhaps by a link that leads \
                          back up: name the directories instead of '**'"
    );
    WalkError { path, source: object_store::Error::Generic { store: "search", source: reason.into() } }
}

enum Step<'a> {
    Nothing,
    /// Go on in this directory, whether it exists or not.
    Descend(&'a str, usize),
    Ask(Request),
}

enum Request {
    Head(String),
    List,
}

fn next_step<'a>(components: &'a [Component], active: &Positions) -> Step<'a> {
    let mut each = active.iter();
    match (each.next(), each.next()) {
        (None, _) => Step::Nothing,
        (Some(&position), None) => match components.get(position) {
            None => Step::Nothing,
            Some(Component::Literal(name)) if position + 1 < components.len() => Step::Descend(name, position + 1),
            Some(Component::Literal(name)) => Step::Ask(Request::Head(name.clone())),
            Some(_) => Step::Ask(Request::List),
        },
        _ => Step::Ask(Request::List),
    }
}

/// A head is answered like a listing with at most one file; what is not there lists as empty.
async fn ask(store: &dyn ObjectStore, directory: &Path, request: Request) -> Result<ListResult, WalkError> {
    let (path, answer) = match request {
        Request::List => (directory.clone(), store.list_with_delimiter(Some(directory)).await),
        Request::Head(name) => {
            let path = directory.join_raw(&name);
            let answer =
                store.head(&path).await.map(|meta| ListResult { common_prefixes: Vec::new(), objects: vec![meta] });
            (path, answer)
        }
    };
    match answer {
        Err(error) if is_missing(&error) => Ok(ListResult { common_prefixes: Vec::new(), objects: Vec::new() }),
        answer => answer.map_err(|source| WalkError { path, source }),
    }
}

fn sort_out(
    components: &[Component],
    active: &Positions,
    listing: ListResult,
    found: &mut Found,
    level: &mut BTreeMap<Path, Positions>,
) {
    for directory in listing.common_prefixes {
        let Some(name) = directory.filename() else {
            continue;
        };
        let mut next = Positions::new();
        let mut matches_whole = false;
        for (position, component) in at(components, active) {
            match component {
                _ if !component.matches(name) => {}
                Component::AnyDepth => {
                    next.insert(position);
                }
                _ if position + 1 == components.len() => matches_whole = true,
                _ => {
                    next.insert(position + 1);
                }
            }
        }
        found.directories += usize::from(matches_whole);
        if !next.is_empty() {
            level.entry(directory).or_default().extend(next);
        }
    }
    let last = components.len().checked_sub(1);
    let Some((_, last)) = at(components, active).find(|(position, _)| Some(*position) == last) else {
        return;
    };
    let files = listing.objects.into_iter();
    found.files.extend(files.filter(|meta| meta.location.filename().is_some_and(|n| last.matches(n))));
}

fn at<'a>(components: &'a [Component], active: &Positions) -> impl Iterator<Item = (usize, &'a Component)> {
    active.iter().filter_map(|&position| Some((position, components.get(position)?)))
}

/// Appending a name that is already in the form the store uses.
pub(crate) trait JoinRaw {
    fn join_raw(&self, name: &str) -> Path;
}

impl JoinRaw for Path {
    fn join_raw(&self, name: &str) -> Path {
        // Names come out of a valid path, so parsing one cannot fail; if it did, the encoded
        // name would simply not be found.
        match object_store::path::PathPart::parse(name) {
            Ok(part) => self.clone().join(part),
            Err(_) => self.clone().join(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use crate::testing::Memory;

    const TREE: [&str; 8] = [
        "top.root",
        "a/x.root",
        "a/1/x.root",
        "a/2/x.root",
        "a/2/deep/er/x.root",
        "b/1/x.root",
        "b/.hidden/x.root",
        "b/1/x.txt",
    ];

    /// What a pattern finds in `TREE`, and the requests it takes.
    fn expand(pattern: &str) -> (Vec<String>, Vec<String>) {
        let (stores, requests) = Memory::stores(&TREE);
        let found = block_on(stores.expand(&format!("mem://{pattern}")));
        let mut asked = requests.take();
        // The first request asks for a file literally of that name.
        let first = asked.remove(0);
        assert_eq!(first, format!("head {}", &pattern[1..]));
        let paths = found.unwrap().into_iter();
        let paths = paths.map(|entry| entry.location.path.to_string()).collect();
        (paths, asked)
    }

    #[test]
    fn a_wildcard_costs_one_listing_of_its_directory() {
        let (found, asked) = expand("/a/*.root");
        assert_eq!(found, ["a/x.root"]);
        assert_eq!(asked, ["list a"]);
    }

    #[test]
    fn names_after_a_wildcard_are_asked_for_not_listed() {
        let (found, asked) = expand("/*/1/x.root");
        assert_eq!(found, ["a/1/x.root", "b/1/x.root"]);
        assert_eq!(asked, ["list ", "head a/1/x.root", "head b/1/x.root"]);
    }

    #[test]
    fn only_directories_that_match_are_entered() {
        let (found, asked) = expand("/a/[2-9]/*.root");
        assert_eq!(found, ["a/2/x.root"]);
        assert_eq!(asked, ["list a", "list a/2"]);
    }

    #[test]
    fn any_depth_includes_none_lists_each_directory_once_and_skips_hidden_ones() {
        let (found, asked) = expand("/**/x.root");
        assert_eq!(found, ["a/1/x.root", "a/2/deep/er/x.root", "a/2/x.root", "a/x.root", "b/1/x.root"]);
        assert_eq!(
            asked,
            ["list ", "list a", "list b", "list a/1", "list a/2", "list b/1", "list a/2/deep", "list a/2/deep/er"]
        );
    }

    #[test]
    fn any_depth_may_stand_in_the_middle_more_than_once() {
        assert_eq!(expand("/a/**/2/**/x.root").0, ["a/2/deep/er/x.root", "a/2/x.root"]);
        assert_eq!(expand("/**/deep/**").0, ["a/2/deep/er/x.root"]);
        assert_eq!(expand("/**/1/x.*").0, ["a/1/x.root", "b/1/x.root", "b/1/x.txt"]);
    }

    #[test]
    fn hidden_names_have_to_be_asked_for() {
        assert_eq!(expand("/b/.h*/*.root").0, ["b/.hidden/x.root"]);
        assert_eq!(expand("/b/{.hidden,1}/x.root").0, ["b/1/x.root"]);
        assert_eq!(expand("/*/.hidden/x.root").0, ["b/.hidden/x.root"]);
    }

    #[test]
    fn groups_may_reach_across_directories() {
        let (found, asked) = expand("/{a/1,b/1}/x.root");
        assert_eq!(found, ["a/1/x.root", "b/1/x.root"]);
        assert_eq!(asked, ["head a/1/x.root", "head b/1/x.root"]);
    }
}
