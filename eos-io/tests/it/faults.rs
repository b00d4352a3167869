//! HTTP servers that refuse, redirect, break off, lie or say nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eos_io::{ErrorKind, Location, Notice, Settings, Stores};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};

use crate::scripted::{Reply, Request, Scripted};

fn content() -> Vec<u8> {
    (0..100_000u32).flat_map(|n| n.to_be_bytes()).collect()
}

fn stores() -> Stores {
    let mut settings = Settings::default();
    settings.http.read_timeout = Duration::from_millis(500);
    settings.http.retries = 2;
    Stores::builder().settings(settings).build()
}

fn resolve(server: &Scripted) -> Location {
    stores().resolve(&server.url("/d/x.root")).unwrap()
}

async fn read(location: &Location) -> object_store::Result<Bytes> {
    location.store.get(&location.path).await?.bytes().await
}

const RANGES: [std::ops::Range<u64>; 3] = [300_000..300_010, 5..9, 100_000..150_000];

fn expected() -> Vec<Vec<u8>> {
    RANGES.map(|range| content()[range.start as usize..range.end as usize].to_vec()).to_vec()
}

/// Reads three ranges and tells how many requests that took.
async fn read_ranges(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (Vec<Bytes>, usize) {
    let server = Scripted::start(move |request, _| script(request)).await;
    let location = resolve(&server);
    let found = location.store.get_ranges(&location.path, &RANGES).await.unwrap();
    // Once more: what was found out of the server is kept.
    assert_eq!(location.store.get_ranges(&location.path, &RANGES).await.unwrap(), found);
    (found, server.requests().len())
}

#[tokio::test]
async fn several_ranges_are_one_request() {
    let (found, requests) = read_ranges(|request| Reply::of_ranges(request, &content())).await;
    assert_eq!((found, requests), (expected().into_iter().map(Bytes::from).collect(), 2));
}

#[tokio::test]
async fn ranges_are_asked_for_one_by_one_where_a_server_cannot_give_several() {
    let only_first = |request: &Request| Reply::of_file(request, &content());
    let whole_file = |request: &Request| match request.ranges().len() {
        1 => Reply::of_file(request, &content()),
        _ => Reply::new(200).body(content()),
    };
    let refusal = |request: &Request| match request.ranges().len() {
        1 => Reply::of_file(request, &content()),
        _ => Reply::new(416),
    };
    let lie = |request: &Request| match request.ranges().len() {
        1 => Reply::of_file(request, &content()),
        _ => Reply::new(206)
            .header("content-type", "multipart/byteranges; boundary=B")
            .body("--B\r\ncontent-range: bytes 0-399999/400000\r\n\r\nshort\r\n--B--"),
    };
    let whole = expected().into_iter().map(Bytes::from).collect::<Vec<_>>();
    // One in vain, then three, and three again.
    assert_eq!(read_ranges(whole_file).await, (whole.clone(), 7));
    assert_eq!(read_ranges(refusal).await, (whole.clone(), 7));
    assert_eq!(read_ranges(lie).await, (whole.clone(), 7));
    assert_eq!(read_ranges(only_first).await.0, whole);
}

#[tokio::test]
async fn a_server_that_is_too_busy_for_several_ranges_is_asked_for_them_again() {
    let busy = Arc::new(AtomicUsize::new(0));
    let (found, requests) = read_ranges(move |request| match request.ranges().len() {
        // The first attempt and both of its repetitions.
        2.. if busy.fetch_add(1, Ordering::Relaxed) < 3 => Reply::new(503).header("retry-after", "0"),
        _ => Reply::of_ranges(request, &content()),
    })
    .await;
    // Three in vain, one for each range, and then all at once.
    assert_eq!((found, requests), (expected().into_iter().map(Bytes::from).collect(), 7));
}

#[tokio::test]
async fn a_range_is_found_in_the_whole_file_where_a_server_ignores_ranges() {
    let server = Scripted::start(|_, _| Reply::new(200).header("etag", "1").body(content())).await;
    let location = resolve(&server);
    let found = location.store.get_range(&location.path, 1000..1010).await.unwrap();
    assert_eq!(found, content()[1000..1010]);
}

#[tokio::test]
async fn a_body_that_breaks_off_goes_on_where_it_broke() {
    let server = Scripted::start(|request, number| {
        let reply = Reply::of_file(request, &content()).header("etag", "\"1\"");
        if number < 3 { reply.cut(1000) } else { reply }
    })
    .await;
    assert!(read(&resolve(&server)).await.unwrap() == content());
    let ranges: Vec<_> = server.requests().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges.len(), 4);
    assert_eq!(ranges[3].as_deref(), Some("bytes=3000-399999"));
}

#[tokio::test]
async fn a_body_that_always_breaks_off_is_an_error_in_the_end() {
    let server = Scripted::start(|request, _| Reply::of_file(request, &content()).cut(0)).await;
    let error = read(&resolve(&server)).await.unwrap_err();
    assert!(error.to_string().contains("broke") || error.to_string().contains("ends before"), "{error}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_an_error() {
    let server = Scripted::start(|request, number| {
        let reply = Reply::of_file(request, &content()).header("etag", format!("\"{number}\""));
        if number == 0 { reply.cut(1000) } else { reply }
    })
    .await;
    let error = read(&resolve(&server)).await.unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
}

#[tokio::test]
async fn a_part_of_the_file_that_was_not_asked_for_is_refused() {
    for range in ["bytes 7-10/400000", "bytes 5-400/400000", "bytes 5-8/6", "bytes 5--1/9", "nonsense"] {
        let server = Scripted::start(move |_, _| Reply::new(206).header("content-range", range).body("abcd")).await;
        let location = resolve(&server);
        assert!(location.store.get_range(&location.path, 5..9).await.is_err(), "{range}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let server = Scripted::start(|request, number| match number {
        0 => Reply::new(503).header("retry-after", "0"),
        1 => Reply::new(429),
        _ => Reply::of_file(request, b"ok"),
    })
    .await;
    assert_eq!(read(&resolve(&server)).await.unwrap(), "ok");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn requests_bytes_and_retries_are_counted_and_told() {
    let server = Scripted::start(|request, number| match number {
        0 => Reply::new(503).header("retry-after", "1"),
        1 => Reply::new(502),
        _ => Reply::of_file(request, &content()),
    })
    .await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&told);
    let stores = Stores::builder().listener(Arc::new(move |notice| ear.lock().unwrap().push(notice))).build();
    let location = stores.resolve(&server.url("/x.root?authz=hunter2")).unwrap();
    location.store.get_range(&location.path, 0..1000).await.unwrap();
    location.store.put(&location.path, "four".into()).await.unwrap();
    let counted = stores.statistics();
    assert_eq!((counted.requests, counted.retries, counted.waits), (4, 2, 1));
    assert_eq!((counted.bytes_read, counted.bytes_written), (1000, 4));
    assert_eq!(counted.waited, Duration::from_secs(1));
    let host = server.url("").replace("http://", "");
    let told = told.lock().unwrap();
    assert!(matches!(&told[0], Notice::Waiting { host: named, time, .. } if *named == host && time.as_secs() == 1));
    assert!(matches!(&told[1], Notice::Retry { reason, .. } if reason.contains("502")), "{told:?}");
    assert!(!format!("{told:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_change_that_was_made_though_the_server_stumbled_over_it_is_no_failure() {
    let server = Scripted::start(|request, number| match (request.method.as_str(), request.target.as_str()) {
        ("DELETE" | "MOVE", _) if number % 2 == 0 => Reply::new(503).header("retry-after", "0"),
        ("HEAD", "/d/moved.root") => Reply::of_file(request, b"moved"),
        _ => Reply::new(404),
    })
    .await;
    let location = resolve(&server);
    let (store, moved) = (&location.store, Path::from("d/moved.root"));
    store.delete(&location.path).await.unwrap();
    store.rename(&location.path, &moved).await.unwrap();
    // The source is gone, and so is the target.
    let error = store.rename(&location.path, &Path::from("d/elsewhere.root")).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");

    let missing = Scripted::start(|_, _| Reply::new(404)).await;
    let location = resolve(&missing);
    assert!(location.store.delete(&location.path).await.is_err());
}

#[tokio::test]
async fn what_does_not_pass_is_told_as_the_server_put_it() {
    let server = Scripted::start(|_, _| Reply::new(500).body("the disk\0 is gone\nmore")).await;
    let error = stores().expand(&server.url("/x.root")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("500 Internal Server Error"), "{error}");
    let error = read(&resolve(&server)).await.unwrap_err().to_string();
    assert!(error.contains("the disk is gone"), "{error}");
}

#[tokio::test]
async fn refusals_keep_their_meaning_and_hide_secrets() {
    for (status, kind) in [
        (401, ErrorKind::Unauthenticated),
        (403, ErrorKind::PermissionDenied),
        (404, ErrorKind::NotFound),
        (410, ErrorKind::NotFound),
    ] {
        let server = Scripted::start(move |_, _| Reply::new(status)).await;
        let spec = server.url("/x.root").replace("://", "://me:hunter2@");
        let error = stores().expand(&format!("{spec}?authz=hunter2")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("me:***@") && text.contains("authz=***") && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_says_nothing_is_told_apart_from_a_missing_file() {
    let silent = Scripted::start(|_, _| Reply::new(200).delay(Duration::from_secs(20))).await;
    for url in
        [silent.url("/x.root"), "http://localhost:9/x.root".to_owned(), "http://no.such.host.invalid/x".to_owned()]
    {
        let error = stores().expand(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{url}: {error}");
        assert!(error.to_string().contains(&url), "{error}");
    }
}

#[tokio::test]
async fn redirects_are_followed_with_the_range_and_without_what_was_meant_for_the_first_server() {
    let data = Scripted::start(|request, _| Reply::of_file(request, &content())).await;
    let target = data.url("/other?cap.sym=a/b+c==");
    let door = Scripted::start(move |_, _| Reply::new(307).header("location", target.clone())).await;
    let mut settings = Settings::default();
    settings.http.headers.insert("x-secret".into(), "s".into());
    let url = door.url("/x.root").replace("://", "://me:pw@");
    let location = Stores::builder().settings(settings).build().resolve(&url).unwrap();

    assert_eq!(location.store.get_range(&location.path, 10..20).await.unwrap(), content()[10..20]);

    let first = &door.requests()[0];
    // "me:pw"
    assert_eq!(first.header("authorization"), Some("Basic bWU6cHc="));
    assert_eq!(first.header("x-secret"), Some("s"));
    let second = &data.requests()[0];
    assert_eq!(second.target, "/other?cap.sym=a/b+c==");
    assert_eq!(second.header("range"), Some("bytes=10-19"));
    assert_eq!((second.header("authorization"), second.header("x-secret")), (None, None));
}

#[tokio::test]
async fn redirects_without_end_and_to_other_protocols_are_errors() {
    let round = Scripted::start(|_, _| Reply::new(302).header("location", "/x.root")).await;
    assert!(read(&resolve(&round)).await.unwrap_err().to_string().contains("redirects"));
    assert_eq!(round.requests().len(), 11);
    let away = Scripted::start(|_, _| Reply::new(302).header("location", "root://h//x?authz=hunter2")).await;
    let error = read(&resolve(&away)).await.unwrap_err().to_string();
    assert!(error.contains("root://h//x?authz=***"), "{error}");
}

#[tokio::test]
async fn a_redirected_upload_goes_to_where_it_is_redirected() {
    let data = Scripted::start(|_, _| Reply::new(201)).await;
    let target = data.url("/d/x.root?token=1");
    let door = Scripted::start(move |_, _| Reply::new(307).header("location", target.clone())).await;
    let location = resolve(&door);
    let mut upload = location.store.put_multipart(&location.path).await.unwrap();
    upload.put_part(PutPayload::from_static(b"first ")).await.unwrap();
    upload.put_part(PutPayload::from_static(b"second")).await.unwrap();
    upload.complete().await.unwrap();
    let requests = data.requests();
    assert_eq!((requests[0].method.as_str(), requests[0].body.as_slice()), ("PUT", &b"first second"[..]));
    assert_eq!(requests[1].method, "MOVE");
}

async fn upload(location: &Location) -> object_store::Result<()> {
    let mut upload = location.store.put_multipart(&location.path).await?;
    upload.put_part(PutPayload::from_static(b"content")).await?;
    upload.complete().await.map(drop)
}

/// The methods and names of the requests, with `PART` for a name of an unfinished file.
fn asked(server: &Scripted) -> Vec<String> {
    let shown = |request: &Request| match request.target.strip_prefix("/d/.x.root.") {
        Some(rest) if rest.ends_with(".part") => format!("{} PART", request.method),
        _ => format!("{} {}", request.method, request.target),
    };
    server.requests().iter().map(shown).collect()
}

#[tokio::test]
async fn a_file_has_its_name_only_when_all_of_it_was_sent() {
    let server = Scripted::start(|_, _| Reply::new(201)).await;
    upload(&resolve(&server)).await.unwrap();
    assert_eq!(asked(&server), ["PUT PART", "MOVE PART"]);
    let destination = server.requests()[1].header("destination").map(str::to_owned);
    assert_eq!(destination, Some(server.url("/d/x.root")));

    let full = Scripted::start(|request, _| Reply::new(if request.method == "PUT" { 507 } else { 204 })).await;
    assert!(upload(&resolve(&full)).await.unwrap_err().to_string().contains("507"));
    assert_eq!(asked(&full), ["PUT PART", "DELETE PART"]);
}

#[tokio::test]
async fn a_file_is_sent_under_its_name_where_the_server_cannot_rename() {
    let server = Scripted::start(|request, _| Reply::new(if request.method == "MOVE" { 405 } else { 201 })).await;
    let location = resolve(&server);
    upload(&location).await.unwrap();
    assert_eq!(asked(&server), ["PUT PART", "MOVE PART", "DELETE PART", "PUT /d/x.root"]);
    upload(&location).await.unwrap();
    assert_eq!(asked(&server)[4..], ["PUT /d/x.root"]);
}

#[tokio::test]
async fn a_signed_url_is_sent_as_it_is_and_only_for_the_method_it_is_good_for() {
    let server = Scripted::start(|request, _| match request.method.as_str() {
        "GET" => Reply::of_file(request, b"signed"),
        _ => Reply::new(403),
    })
    .await;
    let query = "?X-Amz-Signature=f0%2Fo&X-Amz-Expires=60";
    let files = stores().expand(&server.url(&format!("/a%20b.root{query}"))).await.unwrap();
    assert_eq!(files[0].meta.size, 6);
    assert_eq!(read(&files[0].location).await.unwrap(), "signed");
    assert!(server.requests().iter().all(|request| request.target == format!("/a%20b.root{query}")));
    assert!(files[0].location.display.ends_with("/a%20b.root?X-Amz-Signature=***&X-Amz-Expires=60"));
}

#[tokio::test]
async fn opening_a_store_and_naming_a_file_asks_no_server() {
    let location = stores().resolve("http://localhost:9/x.root").unwrap();
    assert_eq!(location.to_string(), "http://localhost:9/x.root");
}

#[tokio::test]
async fn a_missing_size_is_asked_for_with_the_first_byte() {
    let server = Scripted::start(|request, _| match request.method.as_str() {
        "HEAD" => Reply::new(200).header("content-length", ""),
        _ => Reply::of_file(request, &content()),
    })
    .await;
    let files = stores().expand(&server.url("/x.root")).await.unwrap();
    assert_eq!(files[0].meta.size, 400_000);
}

#[tokio::test]
async fn a_page_for_people_is_no_listing() {
    let server = Scripted::start(|request, _| match request.method.as_str() {
        "PROPFIND" => Reply::new(207).body("<html><a href=x.root></html>"),
        _ => Reply::new(404),
    })
    .await;
    let error = stores().expand(&server.url("/d/*.root")).await.unwrap_err();
    assert!(error.to_string().contains("listing"), "{error}");

    let plain = Scripted::start(|request, _| Reply::new(if request.method == "PROPFIND" { 405 } else { 404 })).await;
    let error = stores().expand(&plain.url("/d/*.root")).await.unwrap_err();
    assert!(error.to_string().contains("WebDAV"), "{error}");
}
