//! Writing while servers, disks and callers fail: the whole file under its name, or the old one and an error.

use std::sync::Arc;
use std::time::Duration;

use eos_testbed::{Fault, FaultProxy, Request, Rule, Volume, Xrootd, random_bytes};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use xrootd_client::{ErrorKind, Options};

use crate::support::{behind, guarded, kind, read, steady, until};
use crate::{store, store_at, store_with};

fn files(volume: &Volume) -> Vec<String> {
    let entries = std::fs::read_dir(volume.path("/")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn payload(bytes: &[u8]) -> PutPayload {
    PutPayload::from(bytes.to_vec())
}

#[tokio::test]
async fn a_file_is_there_when_it_has_been_written_although_the_manager_learns_of_it_late() {
    let server = Xrootd::standalone().start();
    let manager = FaultProxy::to(server.port()).start();
    let late = || Fault::Error(3011);
    manager.set_rules([Rule::on(Request::Stat).nth(1..=3).then(late())]);
    let store = behind(&manager, steady());
    guarded(store.put(&Path::from("a.bin"), payload(b"abc"))).await.unwrap();
    assert_eq!(manager.counts().of(Request::Stat), 4);

    manager.set_rules([Rule::on(Request::Stat).then(late())]);
    let error = guarded(store.put(&Path::from("b.bin"), payload(b"abc"))).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn a_full_disk_is_called_so_and_no_half_file_stays() {
    let volume = match Volume::of_size(4 << 20) {
        Ok(volume) => Arc::new(volume),
        Err(reason) => {
            #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
            {
                eprintln!("LEFT OUT: {reason}");
            }
            return;
        }
    };
    let server = Xrootd::standalone().volume(Arc::clone(&volume)).start();
    let store = store_with(&server, steady());
    let old = random_bytes(1, 1000);
    store.put(&Path::from("f.bin"), payload(&old)).await.unwrap();
    let error = guarded(store.put(&Path::from("f.bin"), payload(&random_bytes(2, 8 << 20)))).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NoSpace, "{error}");
    assert!(error.to_string().contains(": /f.bin: "), "{error}");
    assert_eq!(files(&volume), ["f.bin"]);
    assert_eq!(volume.read("f.bin"), old);
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_is_written_to_keeps_the_old_file() {
    let server = Xrootd::standalone().start();
    let old = server.volume().write_random("f.bin", 1, 1000);
    let proxy = FaultProxy::to(server.port()).bytes_per_second(2 << 20).start();
    let store = behind(&proxy, Options { retries: 1, ..steady() });
    let data = payload(&random_bytes(2, 8 << 20));
    let writing = tokio::spawn(async move { store.put(&Path::from("f.bin"), data).await });
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.kill();
    let error = guarded(writing).await.unwrap().unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("/f.bin"), "{error}");
    assert_eq!(server.volume().read("f.bin"), old);
}

#[tokio::test]
async fn where_nothing_may_be_written_permission_is_denied() {
    let server = Xrootd::standalone().read_only().start();
    let content = server.volume().write_random("f.bin", 1, 1000);
    let (store, path) = (store_with(&server, steady()), Path::from("f.bin"));
    for error in [
        guarded(store.put(&path, "x".into())).await.unwrap_err(),
        guarded(store.put_opts(&Path::from("g.bin"), "x".into(), PutMode::Create.into())).await.unwrap_err(),
        guarded(store.delete(&path)).await.unwrap_err(),
        guarded(store.rename(&path, &Path::from("g.bin"))).await.unwrap_err(),
    ] {
        assert_eq!(kind(&error), ErrorKind::PermissionDenied, "{error}");
    }
    assert_eq!(files(server.volume()), ["f.bin"]);
    assert_eq!(server.volume().read("f.bin"), content);
}

#[tokio::test]
async fn the_old_file_stays_until_the_new_one_is_complete() {
    let server = Xrootd::standalone().start();
    let (store, path) = (store(&server), Path::from("f.bin"));
    store.put(&path, "old".into()).await.unwrap();
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part("ne".into()).await.unwrap();
    assert_eq!(read(&store, "f.bin").await.unwrap(), b"old");
    upload.put_part("w".into()).await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(read(&store, "f.bin").await.unwrap(), b"new");
    assert_eq!(files(server.volume()), ["f.bin"]);
}

#[tokio::test]
async fn parts_have_the_order_in_which_they_were_put() {
    let server = Xrootd::standalone().start();
    let (store, path) = (store(&server), Path::from("f.bin"));
    let content = random_bytes(3, 7_654_321);
    let mut upload = store.put_multipart(&path).await.unwrap();
    let parts: Vec<_> = content.chunks(1_000_000).map(|part| upload.put_part(payload(part))).collect();
    for part in parts.into_iter().rev() {
        guarded(part).await.unwrap();
    }
    upload.complete().await.unwrap();
    assert!(server.volume().read("f.bin") == content);
}

#[tokio::test]
async fn a_file_that_is_given_up_leaves_nothing_behind() {
    let server = Xrootd::standalone().start();
    let (store, path) = (store(&server), Path::from("f.bin"));
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part(payload(&random_bytes(1, 3 << 20))).await.unwrap();
    upload.abort().await.unwrap();
    assert!(files(server.volume()).is_empty());
    // And without a word.
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part(payload(&random_bytes(1, 3 << 20))).await.unwrap();
    assert_eq!(files(server.volume()).len(), 1);
    drop(upload);
    until(|| files(server.volume()).is_empty()).await;
    let metrics = store.client().metrics();
    assert_eq!((metrics.connections, metrics.retries), (1, 0));
}

#[tokio::test]
async fn a_put_that_is_given_up_leaves_nothing_behind() {
    let server = Xrootd::standalone().start();
    let old = server.volume().write_random("f.bin", 1, 1000);
    let proxy = FaultProxy::to(server.port()).bytes_per_second(10 << 20).start();
    let (store, path) = (behind(&proxy, steady()), Path::from("f.bin"));
    store.ping().await.unwrap();
    for milliseconds in [1, 3, 10, 100, 300] {
        let putting = store.put(&path, payload(&random_bytes(2, 8 << 20)));
        assert!(tokio::time::timeout(Duration::from_millis(milliseconds), putting).await.is_err());
    }
    until(|| files(server.volume()) == ["f.bin"]).await;
    // What was under way has come to its end.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(files(server.volume()), ["f.bin"]);
    assert_eq!(server.volume().read("f.bin"), old);
}

#[tokio::test]
async fn a_file_with_a_part_that_failed_is_not_completed() {
    let server = Xrootd::standalone().start();
    let proxy = FaultProxy::to(server.port()).start();
    let (store, path) = (behind(&proxy, steady()), Path::from("f.bin"));
    store.put(&path, "old".into()).await.unwrap();
    proxy.set_rules([Rule::on(Request::Write).nth(2..=2).then(Fault::Error(3007))]);
    let mut upload = store.put_multipart(&path).await.unwrap();
    upload.put_part("one".into()).await.unwrap();
    upload.put_part("two".into()).await.unwrap_err();
    upload.put_part("three".into()).await.unwrap();
    let error = guarded(upload.complete()).await.unwrap_err();
    assert!(error.to_string().contains("only 8 of 11 bytes"), "{error}");
    upload.abort().await.unwrap();
    assert_eq!(files(server.volume()), ["f.bin"]);
    assert_eq!(server.volume().read("f.bin"), b"old");
}

#[tokio::test]
async fn a_server_that_asks_for_patience_or_is_slow_is_written_to_all_the_same() {
    for fault in [Fault::Wait(1), Fault::Delay(Duration::from_secs(1)), Fault::WaitResp(Duration::from_secs(1))] {
        let server = Xrootd::standalone().start();
        let proxy = FaultProxy::to(server.port()).rule(Rule::on(Request::Write).nth(2..=2).then(fault)).start();
        let store = behind(&proxy, steady());
        let content = random_bytes(4, 5 << 20);
        guarded(store.put(&Path::from("d/e/f.bin"), payload(&content))).await.unwrap();
        assert!(server.volume().read("d/e/f.bin") == content);
        assert_eq!(store.client().metrics().bytes_written, 5 << 20);
    }
}

#[tokio::test]
async fn a_rename_that_must_not_replace_does_not_if_nobody_can_tell_whether_there_is_a_file() {
    let server = Xrootd::standalone().start();
    server.volume().write("from.bin", "new").write("to.bin", "old");
    let proxy = FaultProxy::to(server.port()).start();
    let store = behind(&proxy, steady());
    let (from, to) = (Path::from("from.bin"), Path::from("to.bin"));
    proxy.set_rules([Rule::on(Request::Stat).then(Fault::Error(3010))]);
    let error = guarded(store.rename_if_not_exists(&from, &to)).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::PermissionDenied, "{error}");
    assert_eq!(server.volume().read("to.bin"), b"old");
    proxy.set_rules([]);
    assert!(guarded(store.rename_if_not_exists(&from, &to)).await.is_err());
    guarded(store.rename_if_not_exists(&from, &Path::from("d/to.bin"))).await.unwrap();
    assert_eq!(files(server.volume()), ["d", "to.bin"]);
}

#[tokio::test]
async fn the_opaque_part_of_a_url_goes_with_both_names_of_a_rename() {
    let issuer = Arc::new(eos_testbed::TokenIssuer::new());
    let server = Xrootd::ztn(&issuer).start();
    let hour = Duration::from_secs(3_600);
    // The token of the login may only read; the one in the URL may write.
    let credentials = xrootd_client::Credentials {
        token_file: Some(issuer.file("reader", &issuer.token_for("read:/", hour))),
        authorities_dir: Some(eos_testbed::Ca::of_this_process().directory()),
        ..Default::default()
    };
    let options = Options { credentials, ..steady() };
    let plain = store_with(&server, options.clone());
    let error = guarded(plain.put(&Path::from("f.bin"), "x".into())).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::PermissionDenied, "{error}");
    let url = format!("{}?authz=Bearer%20{}", server.url("/"), issuer.token_for("read:/ write:/", hour));
    let store = store_at(&url, options);
    guarded(store.put(&Path::from("f.bin"), "content".into())).await.unwrap();
    guarded(store.rename(&Path::from("f.bin"), &Path::from("g.bin"))).await.unwrap();
    assert_eq!(files(server.volume()), ["g.bin"]);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_not_taken_for_a_failure() {
    let server = Xrootd::standalone().start();
    let proxy = FaultProxy::to(server.port()).start();
    let (store, path) = (behind(&proxy, steady()), Path::from("f.bin"));
    let lost = |request| proxy.set_rules([Rule::on(request).first().then(Fault::Cut(0))]);
    lost(Request::Mv);
    guarded(store.put(&path, "content".into())).await.unwrap();
    assert_eq!(server.volume().read("f.bin"), b"content");
    lost(Request::Rm);
    guarded(store.delete(&path)).await.unwrap();
    assert!(!server.volume().exists("f.bin"));
    lost(Request::Mkdir);
    guarded(store.make_directory(&Path::from("d"))).await.unwrap();
    assert!(server.volume().exists("d"));
    lost(Request::Rmdir);
    guarded(store.remove_directory(&Path::from("d"))).await.unwrap();
    assert!(!server.volume().exists("d"));
}
