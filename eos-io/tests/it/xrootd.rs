//! XRootD and EOS, as far as URLs go; the client has tests of its own.

use std::sync::LazyLock;

use eos_io::{ErrorKind, Settings, Stores};
use eos_testbed::Xrootd;
use object_store::ObjectStoreExt;

static SERVER: LazyLock<Xrootd> = LazyLock::new(|| {
    let server = Xrootd::standalone().start();
    server.volume().write("/data/run1.root", "one").write("/data/run 2+a%20.root", "two").write("/data/d/x.root", "x");
    server
});

async fn read(stores: &Stores, spec: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for file in stores.expand(spec).await.unwrap() {
        let bytes = file.location.store.get(&file.location.path).await.unwrap().bytes().await.unwrap();
        out.push((file.location.to_string(), String::from_utf8(bytes.to_vec()).unwrap()));
    }
    out
}

fn pair(name: String, content: &str) -> (String, String) {
    (name, content.to_owned())
}

#[tokio::test]
async fn patterns_and_directories_mean_the_files_in_them() {
    let stores = Stores::new();
    let one = pair(SERVER.url("/data/run1.root"), "one");
    let two = pair(SERVER.url("/data/run 2+a%20.root"), "two");
    assert_eq!(read(&stores, &SERVER.url("/data/run*.root")).await, [two.clone(), one.clone()]);
    let all = [pair(SERVER.url("/data/d/x.root"), "x"), two.clone(), one.clone()];
    assert_eq!(read(&stores, &SERVER.url("/data")).await, all);
    assert_eq!(read(&stores, &SERVER.url("/data/")).await, all);
    assert_eq!(read(&stores, &SERVER.url("/data/run 2+a%20.root")).await, [two]);
    assert_eq!(read(&stores, &SERVER.url("/data/run1.root").replacen("//data", "/data", 1)).await.len(), 1);
}

#[tokio::test]
async fn opaque_parts_go_along_with_every_file() {
    let found = read(&Stores::new(), &format!("{}?authz=hunter2&eos.app=test", SERVER.url("/data/run1*.root"))).await;
    assert_eq!(found, [pair(format!("{}?authz=***&eos.app=test", SERVER.url("/data/run1.root")), "one")]);
}

#[tokio::test]
async fn the_short_form_leads_to_the_server_that_is_set() {
    let mut settings = Settings::default();
    settings.eos.hosts.insert("test".into(), format!("root://127.0.0.1:{}", SERVER.port()));
    let stores = Stores::builder().settings(settings).build();
    let found = read(&stores, "eos://test/data/run1.root").await;
    assert_eq!(found, [pair("eos://test/data/run1.root".into(), "one")]);
    let found = read(&stores, "eos://test/data/run1*").await;
    assert_eq!(found, [pair(SERVER.url("/data/run1.root"), "one")]);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_apart() {
    let stores = Stores::new();
    let error = stores.expand(&SERVER.url("/data/rum1.root")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("run1.root"), "{error}");
    let error = stores.expand("root://no.such.host.invalid//x.root?authz=hunter2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}
