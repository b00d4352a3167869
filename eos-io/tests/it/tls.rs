//! Encrypted connections: whom they trust, and to whom a token goes.

use eos_io::{ErrorKind, Settings, Stores};
use eos_testbed::{Ca, Xrootd};
use object_store::ObjectStoreExt;

use crate::scripted::{Reply, Scripted};

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.credentials.authorities_dir = Some(Ca::of_this_process().directory());
    settings.http.retries = 0;
    settings
}

fn with_token(mut settings: Settings) -> (Settings, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2").unwrap();
    settings.credentials.token_file = Some(file.path().into());
    (settings, file)
}

async fn kind(settings: Settings, url: &str) -> (ErrorKind, String) {
    let error = Stores::builder().settings(settings).build().expand(url).await.unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_real_server_is_read_over_tls() {
    let server = Xrootd::tls().start();
    server.volume().write("/d/x.root", "encrypted");
    let found = Stores::builder().settings(settings()).build().expand(&server.http_url("/d/*.root")).await.unwrap();
    let location = &found[0].location;
    assert_eq!(location.store.get(&location.path).await.unwrap().bytes().await.unwrap(), "encrypted");
}

#[tokio::test]
async fn strangers_and_wrong_names_are_not_trusted() {
    let ca = Ca::of_this_process();
    let server = Scripted::start_tls(&ca.server(), |request, _| Reply::of_file(request, b"x")).await;
    let (of_stranger, text) = kind(Settings::default(), &server.url("/x.root")).await;
    assert_eq!(of_stranger, ErrorKind::Io, "{text}");
    assert!(text.contains("certificate") && text.contains("encrypted connection"), "{text}");

    let other = ca.server_named(&["elsewhere.org"]);
    let server = Scripted::start_tls(&other, |request, _| Reply::of_file(request, b"x")).await;
    let (_, text) = kind(settings(), &server.url("/x.root")).await;
    assert!(text.contains("encrypted connection") && text.contains("localhost"), "{text}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_token_goes_to_a_server_that_asks_for_it_and_stays_there() {
    let ca = Ca::of_this_process();
    let data = Scripted::start_tls(&ca.server(), |request, _| Reply::of_file(request, b"data")).await;
    let target = data.url("/pool?authz=theirs");
    let door = Scripted::start_tls(&ca.server(), move |request, _| match request.header("authorization") {
        None => Reply::new(401).header("www-authenticate", "Bearer"),
        Some(_) => Reply::new(302).header("location", target.clone()),
    })
    .await;
    let (settings, _file) = with_token(settings());
    let location = Stores::builder().settings(settings).build().resolve(&door.url("/x.root")).unwrap();

    for _ in 0..2 {
        assert_eq!(location.store.get(&location.path).await.unwrap().bytes().await.unwrap(), "data");
    }

    let sent: Vec<Option<String>> =
        door.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    let bearer = Some("Bearer hunter2".to_owned());
    assert_eq!(sent, [None, bearer.clone(), bearer]);
    assert!(data.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_token_is_never_sent_in_the_clear_nor_to_other_hosts() {
    let plain = Scripted::start(|_, _| Reply::new(401)).await;
    let (settings_plain, _file) = with_token(settings());
    assert_eq!(kind(settings_plain, &plain.url("/x.root")).await.0, ErrorKind::Unauthenticated);
    assert!(plain.requests().iter().all(|request| request.header("authorization").is_none()));

    let ca = Ca::of_this_process();
    let stranger = Scripted::start_tls(&ca.server(), |_, _| Reply::new(403)).await;
    let (mut limited, _file) = with_token(settings());
    limited.http.token_hosts = Some(vec!["*.cern.ch".into()]);
    assert_eq!(kind(limited, &stranger.url("/x.root")).await.0, ErrorKind::PermissionDenied);
    assert!(stranger.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn what_has_begun_encrypted_is_not_redirected_to_the_clear_unless_that_is_set() {
    let data = Scripted::start(|request, _| Reply::of_file(request, b"data")).await;
    let target = data.url("/pool?authz=theirs");
    let door = Scripted::start_tls(&Ca::of_this_process().server(), move |_, _| {
        Reply::new(302).header("location", target.clone())
    })
    .await;
    let mut settings = settings();
    let (_, text) = kind(settings.clone(), &door.url("/x.root")).await;
    assert!(text.contains(&data.url("/pool?authz=***")) && text.contains("plain_redirects"), "{text}");
    assert!(data.requests().is_empty());

    settings.http.plain_redirects = true;
    let location = Stores::builder().settings(settings).build().resolve(&door.url("/x.root")).unwrap();
    assert_eq!(location.store.get(&location.path).await.unwrap().bytes().await.unwrap(), "data");
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_shown() {
    let ca = Ca::of_this_process();
    let server = Scripted::start_tls(&ca.server(), |_, _| {
        Reply::new(401).header("www-authenticate", "Bearer error=\"invalid\"")
    })
    .await;
    let (settings, _file) = with_token(settings());
    let (kind, text) = kind(settings, &server.url("/x.root")).await;
    assert_eq!(kind, ErrorKind::Unauthenticated);
    assert!(text.contains("invalid") && !text.contains("hunter2"), "{text}");
}
