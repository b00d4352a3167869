//! HTTP and WebDAV of a real server.

use std::sync::LazyLock;

use eos_io::{ErrorKind, Stores, Upload};
use eos_testbed::{Xrootd, random_bytes};
use object_store::ObjectStoreExt;

static SERVER: LazyLock<Xrootd> = LazyLock::new(|| {
    let server = Xrootd::standalone().start();
    server.volume().write_random("/data/run1.root", 1, 300_000);
    server
        .volume()
        .write("/data/run 2+a%.root", "two")
        .write("/data/deep/er/x.root", "x")
        .write("/data/notes.txt", "n");
    server.volume().write("/data/empty.root", "");
    server.volume().write("/closed/x.root", "x").permit("/closed", 0);
    server
});

async fn names(spec: &str) -> Vec<String> {
    let found = Stores::new().expand(&SERVER.http_url(spec)).await.unwrap();
    found.iter().map(|file| file.location.path.to_string()).collect()
}

#[tokio::test]
async fn a_file_is_read_whole_and_in_ranges() {
    let content = random_bytes(1, 300_000);
    let files = Stores::new().expand(&SERVER.http_url("/data/run1.root")).await.unwrap();
    let location = &files[0].location;
    assert_eq!(files[0].meta.size, 300_000);
    assert!(location.store.get(&location.path).await.unwrap().bytes().await.unwrap() == content);
    let ranges = [250_000..250_100, 0..16, 100_000..180_000, 299_999..300_000, 7..7];
    let found = location.store.get_ranges(&location.path, &ranges).await.unwrap();
    for (range, bytes) in ranges.iter().zip(found) {
        assert!(bytes == content[range.start as usize..range.end as usize], "{range:?}");
    }
}

#[tokio::test]
async fn patterns_and_directories_mean_the_files_in_them() {
    assert_eq!(names("/data/run*.root").await, ["data/run 2+a%.root", "data/run1.root"]);
    let all = ["data/deep/er/x.root", "data/empty.root", "data/run 2+a%.root", "data/run1.root"];
    assert_eq!(names("/data").await, all);
    assert_eq!(names("/data/").await, all);
    assert_eq!(names("/data/**/x.root").await, ["data/deep/er/x.root"]);
    assert_eq!(names("//data/{run1,notes}.*").await, ["data/notes.txt", "data/run1.root"]);
}

#[tokio::test]
async fn a_file_found_by_a_pattern_is_named_by_a_url_that_means_it() {
    let stores = Stores::new();
    let found = stores.expand(&SERVER.http_url("/data/run 2*.root")).await.unwrap();
    let shown = found[0].location.to_string();
    assert_eq!(shown, SERVER.http_url("/data/run%202%2Ba%25.root"));
    let again = stores.expand(&shown).await.unwrap();
    assert_eq!(again[0].location.path, found[0].location.path);
    let location = &again[0].location;
    assert_eq!(location.store.get(&location.path).await.unwrap().bytes().await.unwrap(), "two");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_similar_names_are_offered() {
    let error = Stores::new().expand(&SERVER.http_url("/data/rum1.root")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("did you mean 'run1.root'"), "{error}");
    let error = Stores::new().expand(&SERVER.http_url("/data/y*.root")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_directory_that_may_not_be_read_is_a_refusal() {
    for spec in ["/closed/x.root", "/closed/*.root"] {
        let error = Stores::new().expand(&SERVER.http_url(spec)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{spec}: {error}");
    }
}

#[tokio::test]
async fn a_file_that_is_sent_replaces_the_old_one_and_nothing_else_is_left() {
    let server = Xrootd::standalone().start();
    server.volume().write("/d/x.bin", "old");
    let stores = Stores::new();
    for name in ["/d/x.bin", "/new/er/y z.bin"] {
        let location = stores.resolve(&server.http_url(&name.replace(' ', "%20"))).unwrap();
        let mut upload = Upload::start(&location, None).await.unwrap();
        upload.write(random_bytes(2, 3 << 20).into()).await.unwrap();
        upload.finish().await.unwrap();
        assert!(server.volume().read(name) == random_bytes(2, 3 << 20));
        let directory = server.volume().path(name);
        assert_eq!(std::fs::read_dir(directory.parent().unwrap()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let files = Stores::new().expand(&SERVER.http_url("/data/empty.root")).await.unwrap();
    let location = &files[0].location;
    assert_eq!(files[0].meta.size, 0);
    assert!(location.store.get(&location.path).await.unwrap().bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn webdav_is_the_same_under_its_own_scheme() {
    let url = SERVER.http_url("/data/notes.txt").replace("http://", "dav://");
    let stores = Stores::new();
    let location = stores.resolve(&url).unwrap();
    assert_eq!(location.store.get(&location.path).await.unwrap().bytes().await.unwrap(), "n");
    assert_eq!(location.url, stores.resolve(&SERVER.http_url("/y")).unwrap().url);
    assert_eq!(location.to_string(), url);
}
