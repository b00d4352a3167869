//! Hadoop's file system, with and without Kerberos.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use eos_io::{ErrorKind, Settings, Stores};
use eos_testbed::{Hdfs, Kdc, random_bytes};
use object_store::ObjectStoreExt;

/// Larger than a block of the test's file system.
const SIZE: usize = 3_000_000;

pub static SERVER: LazyLock<Hdfs> = LazyLock::new(|| {
    let server = Hdfs::start();
    server.write("/data/run1.root", random_bytes(1, SIZE));
    server.write("/data/deep/er/x.root", "x");
    server.write("/data/notes.txt", "n");
    server
});

fn stores_of(server: &Hdfs) -> Stores {
    let directory = server.env().iter().find(|(name, _)| name == "HADOOP_CONF_DIR").map(|(_, value)| value);
    let mut settings = Settings::default();
    settings.hdfs.config_dir = directory.map(PathBuf::from);
    settings.hdfs.timeout = Duration::from_secs(10);
    Stores::builder().settings(settings).build()
}

pub fn stores() -> Stores {
    stores_of(&SERVER)
}

/// A name that the test's server cannot be asked to write.
async fn write_strange_name(stores: &Stores) {
    let location = stores.resolve(&SERVER.url("/data/run 2+a%20.root")).unwrap();
    location.store.put(&location.path, "two".into()).await.unwrap();
}

async fn names(spec: &str) -> Vec<String> {
    let found = stores().expand(&SERVER.url(spec)).await.unwrap();
    found.iter().map(|file| file.location.path.to_string()).collect()
}

#[tokio::test]
async fn a_file_is_read_whole_and_in_ranges() {
    let content = random_bytes(1, SIZE);
    let files = stores().expand(&SERVER.url("/data/run1.root")).await.unwrap();
    let location = &files[0].location;
    assert_eq!(files[0].meta.size, SIZE as u64);
    assert!(location.store.get(&location.path).await.unwrap().bytes().await.unwrap() == content);
    let ranges = [2_500_000..2_600_000, 0..16, 1_048_000..1_049_000, 2_999_999..3_000_000, 7..7];
    let found = location.store.get_ranges(&location.path, &ranges).await.unwrap();
    for (range, bytes) in ranges.iter().zip(found) {
        assert!(bytes == content[range.start as usize..range.end as usize], "{range:?}");
    }
    let beyond = location.store.get_ranges(&location.path, &[0..1, 2_999_999..3_000_001]).await;
    assert!(beyond.is_err());
}

#[tokio::test]
async fn patterns_and_directories_mean_the_files_in_them() {
    write_strange_name(&stores()).await;
    assert_eq!(names("/data/run*.root").await, ["data/run 2+a%20.root", "data/run1.root"]);
    let all = ["data/deep/er/x.root", "data/run 2+a%20.root", "data/run1.root"];
    assert_eq!(names("/data").await, all);
    assert_eq!(names("/data/").await, all);
    assert_eq!(names("/data/**/x.root").await, ["data/deep/er/x.root"]);
}

#[tokio::test]
async fn a_url_without_a_server_means_the_default_one() {
    write_strange_name(&stores()).await;
    let found = stores().expand("hdfs:///data/run 2*.root").await.unwrap();
    assert_eq!(found[0].location.to_string(), "hdfs:///data/run 2+a%20.root");
    let location = &found[0].location;
    assert_eq!(location.store.get(&location.path).await.unwrap().bytes().await.unwrap(), "two");
}

#[tokio::test]
async fn files_are_written_renamed_and_removed() {
    let location = stores().resolve(&SERVER.url("/written/a.root")).unwrap();
    let to = stores().resolve(&SERVER.url("/written/new/b.root")).unwrap().path;
    location.store.put(&location.path, "hello".into()).await.unwrap();
    location.store.rename(&location.path, &to).await.unwrap();
    assert_eq!(SERVER.read("/written/new/b.root"), b"hello");
    assert!(matches!(location.store.head(&location.path).await, Err(object_store::Error::NotFound { .. })));
    let mut upload = location.store.put_multipart(&to).await.unwrap();
    for part in ["first ", "second"] {
        upload.put_part(part.into()).await.unwrap();
    }
    upload.complete().await.unwrap();
    assert_eq!(SERVER.read("/written/new/b.root"), b"first second");
    location.store.delete(&to).await.unwrap();
    assert!(matches!(location.store.head(&to).await, Err(object_store::Error::NotFound { .. })));
}

#[tokio::test]
async fn refusals_and_missing_files_are_told_apart() {
    SERVER.write("/closed/x.root", "x");
    SERVER.shell("-chown other /closed").check();
    SERVER.shell("-chmod 700 /closed").check();
    // The one who started the file system may do everything, so that another asks.
    let user = if cfg!(unix) { "HADOOP_USER_NAME" } else { "USERNAME" };
    child("hdfs::asked_by_a_stranger", &[(user, "stranger"), ("TESTED_URL", &SERVER.url("/closed/x.root"))], &SERVER);
    let error = stores().expand(&SERVER.url("/data/rum1.root")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("run1.root"), "{error}");
}

#[tokio::test]
#[ignore = "run by another test, with variables of its own"]
async fn asked_by_a_stranger() {
    let error = Stores::new().expand(&std::env::var("TESTED_URL").unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_says_nothing_is_an_error_in_time() {
    let mut settings = Settings::default();
    settings.hdfs.timeout = Duration::from_secs(2);
    let stores = Stores::builder().settings(settings).build();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("hdfs://localhost:{}/x.root", silent.local_addr().unwrap().port());
    for url in ["hdfs://localhost:9/x.root", "hdfs://no.such.host.invalid:9000/x.root", &silent] {
        let error = stores.expand(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{url}: {error}");
        assert!(error.to_string().contains(url), "{error}");
    }
}

#[test]
fn tickets_open_a_file_system_that_asks_for_them() {
    let kdc = Kdc::start();
    let server = Hdfs::start_kerberized(&kdc);
    let tickets = kdc.kinit(Duration::from_secs(3600));
    let mut env: Vec<(String, String)> = kdc.env();
    let url = server.url("/data/secret.root");
    env.push(("TESTED_URL".into(), url));
    let without: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let missing = [without.clone(), vec![("KRB5CCNAME", "/does/not/exist")]].concat();
    child("hdfs::asked_without_tickets", &missing, &server);
    let tickets = tickets.env();
    let with: Vec<(&str, &str)> =
        without.into_iter().chain(tickets.iter().map(|(name, value)| (name.as_str(), value.as_str()))).collect();
    child("hdfs::asked_with_tickets", &with, &server);
}

#[tokio::test]
#[ignore = "run by another test, with variables of its own"]
async fn asked_with_tickets() {
    let stores = Stores::new();
    let content = random_bytes(2, 1_500_000);
    let location = stores.resolve(&std::env::var("TESTED_URL").unwrap()).unwrap();
    location.store.put(&location.path, content.clone().into()).await.unwrap();
    let found = stores.expand(&location.display.replace("secret", "s*")).await.unwrap();
    assert_eq!(found[0].meta.size, 1_500_000);
    let read = location.store.get(&location.path).await.unwrap().bytes().await.unwrap();
    assert!(read == content);
}

#[tokio::test]
#[ignore = "run by another test, with variables of its own"]
async fn asked_without_tickets() {
    let error = Stores::new().expand(&std::env::var("TESTED_URL").unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
}

/// Runs a test in a process of its own: what Hadoop and Kerberos read from the environment is the same for all threads.
fn child(test: &str, env: &[(&str, &str)], server: &Hdfs) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).envs(env.iter().copied());
    command.envs(server.env().iter().map(|(name, value)| (name, value)));
    let ran = command.output().unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && text.contains("1 passed"), "{text}");
}
