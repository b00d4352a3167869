//! What servers of HTTP answer, for the fuzz target.

use std::ops::Range;

use object_store::path::Path;

use super::byteranges::{ContentRange, Parts, boundary};
use super::webdav::{date, file, listing};
use crate::ranges::pick;

const RANGES: [Range<u64>; 4] = [100..5000, 0..10, 20..30, 1 << 40..(1 << 40) + 5];

/// The first byte says in what pieces the others come. They are taken for an answer with several ranges, for a listing,
/// and for the value of a header.
pub fn multipart(data: &[u8]) {
    let Some((&piece, content)) = data.split_first() else { return };
    let piece = if piece == 0 { usize::MAX } else { usize::from(piece) };
    let mut parts = Parts::new("B", &RANGES);
    if content.chunks(piece).all(|bytes| parts.push(bytes).is_ok())
        && let Ok(parts) = parts.finish()
    {
        assert!(parts.iter().map(|part| part.bytes.len()).sum::<usize>() <= content.len());
        for (range, found) in RANGES.iter().zip(pick(&RANGES, &parts)) {
            assert!(found.is_none_or(|bytes| bytes.len() as u64 == range.end - range.start));
        }
    }
    let directory = Path::from("d");
    if let Ok(listed) = listing(content, &directory) {
        let files = listed.objects.iter().map(|meta| &meta.location);
        for path in files.chain(&listed.common_prefixes) {
            assert_eq!(path.prefix_match(&directory).map(Iterator::count), Some(1), "{path}");
        }
    }
    drop(file(content, &Path::from("d/a b&.root")));
    let text = String::from_utf8_lossy(content);
    if let Some(given) = ContentRange::parse(&text) {
        assert!(given.range.start < given.range.end && given.size.is_none_or(|size| given.range.end <= size));
    }
    drop((boundary(&text), ContentRange::size_in(&text), date(&text)));
}
