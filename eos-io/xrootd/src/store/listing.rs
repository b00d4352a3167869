//! Listing directories, one by one or with all that is below.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, FuturesUnordered, StreamExt, TryStreamExt};
use object_store::path::{Path, PathPart};
use object_store::{Error as StoreError, ListResult, ObjectMeta};

use super::{XrootdStore, generic, meta, to_store};
use crate::client::Shared;
use crate::error::{Error, ErrorKind};
use crate::route::Place;
use crate::wire::Listed;
use crate::writer::is_staging_name;

/// Directories listed at a time.
const AT_A_TIME: usize = 8;
/// Entries of one directory asked for at a time, where a server tells names only.
const STATS_AT_A_TIME: usize = 16;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The files and directories in a directory; nothing where there is none of that name.
pub(super) async fn directory(store: &XrootdStore, directory: &Path) -> Result<ListResult> {
    let place = store.place(directory).map_err(|error| to_store(error, directory))?;
    let listing = store.client.run(|shared| {
        let place = place.clone();
        async move {
            let listed = match shared.list(&place).await {
                Err(error) if is_nothing(&error) => return Ok(Vec::new()),
                listed => listed?,
            };
            let complete =
                stream::iter(listed).map(|entry| with_stat(&shared, &place, entry)).buffered(STATS_AT_A_TIME);
            complete.try_filter_map(|entry| std::future::ready(Ok(entry))).try_collect().await
        }
    });
    let listed: Vec<Listed> = listing.await.map_err(|error| to_store(error, directory))?;
    let mut result = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
    for Listed { name, stat } in listed {
        // Paths hold names as they are on the server.
        let path = match PathPart::parse(&name) {
            Ok(part) => directory.clone().join(part),
            Err(error) => return Err(generic(Box::new(error))),
        };
        match stat {
            Some(stat) if stat.is_directory() => result.common_prefixes.push(path),
            Some(stat) if !stat.is_other() && !is_staging_name(&name) => result.objects.push(meta(path, &stat)),
            _ => {}
        }
    }
    result.common_prefixes.sort_unstable();
    result.objects.sort_unstable_by(|a, b| a.location.cmp(&b.location));
    Ok(result)
}

/// The entry with what the server knows of it: one that tells names only is asked for the rest. `None` where the entry has
/// gone since it was listed, or leads nowhere.
async fn with_stat(shared: &Arc<Shared>, directory: &Place, entry: Listed) -> Result<Option<Listed>, Error> {
    if entry.stat.is_some() {
        return Ok(Some(entry));
    }
    let path = format!("{}/{}", directory.path.trim_end_matches('/'), entry.name);
    match shared.stat(&Place { path, ..directory.clone() }).await {
        Ok(stat) => Ok(Some(Listed { stat: Some(stat), ..entry })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that there is no such directory, or that it is a file.
fn is_nothing(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::IsDirectory => true,
        ErrorKind::Other => error.to_string().contains("not a directory"),
        _ => false,
    }
}

/// Everything below a directory, at any depth.
pub(super) fn below(store: XrootdStore, prefix: Path) -> BoxStream<'static, Result<ObjectMeta>> {
    let store = Arc::new(store);
    let state = Walk { waiting: vec![prefix], listing: FuturesUnordered::new(), found: Vec::new(), store };
    futures::stream::unfold(state, |mut walk| async move {
        loop {
            if let Some(found) = walk.found.pop() {
                return Some((Ok(found), walk));
            }
            while walk.listing.len() < AT_A_TIME
                && let Some(next) = walk.waiting.pop()
            {
                let store = Arc::clone(&walk.store);
                walk.listing.push(async move { directory(&store, &next).await }.boxed());
            }
            match walk.listing.next().await? {
                Ok(ListResult { common_prefixes, objects }) => {
                    walk.waiting.extend(common_prefixes);
                    walk.found.extend(objects.into_iter().rev());
                }
                Err(error) => return Some((Err::<ObjectMeta, StoreError>(error), walk)),
            }
        }
    })
    .boxed()
}

struct Walk {
    store: Arc<XrootdStore>,
    waiting: Vec<Path>,
    listing: FuturesUnordered<BoxFuture<'static, Result<ListResult>>>,
    found: Vec<ObjectMeta>,
}
