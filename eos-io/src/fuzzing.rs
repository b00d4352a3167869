//! Entry points for the fuzz targets of `xrootd/fuzz`, only compiled for them: what servers answer, and what users write.
//! They may return errors; they must not panic, hang, or take more memory than the input or the request justifies.

use std::sync::LazyLock;

use crate::backend::{self, Backend};
pub use crate::http::fuzzing::multipart;
use crate::settings::Settings;
use crate::{is_url, redact, spec, split_object};

/// What a user writes as a place: any text is taken apart, and what can be a place of a protocol is one that can be
/// written again.
pub fn place(text: &str) {
    static BACKENDS: LazyLock<Vec<Box<dyn Backend>>> = LazyLock::new(|| backend::all(&Settings::default(), None));
    let (file, object) = split_object(text);
    match object {
        Some(object) => assert_eq!(format!("{file}:{object}"), text),
        None => assert_eq!(file, text),
    }
    drop((is_url(text), redact(text), spec::without_query(text)));
    for backend in BACKENDS.iter().filter(|backend| !backend.schemes().contains(&"file")) {
        if let Ok(address) = backend.address(text) {
            drop(address.site.name(&address.path));
            let url = address.site.url(&address.path);
            let again = backend.address(&url).map(|again| (again.site.identity, again.path));
            assert_eq!(again.ok(), Some((address.site.identity, address.path)), "{text:?} {url:?}");
        }
    }
}
