//! The client against the programs that come with XRootD.

use std::collections::BTreeSet;

use eos_testbed::{Tool, Xrootd, random_bytes};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use xrootd_client::ErrorKind;

use crate::store;
use crate::support::{guarded, kind, read};
use crate::waiting::adler32;

const SIZES: [usize; 7] = [0, 1, 4095, 4096, 4097, (2 << 20) + 1, 20 << 20];

#[tokio::test]
async fn what_is_written_is_read_by_xrdcp_and_has_the_right_checksum() {
    let server = Xrootd::standalone().start();
    let store = store(&server);
    for size in SIZES {
        let content = random_bytes(size as u64, size);
        let name = format!("w/{size}.bin");
        let path = Path::from(name.as_str());
        guarded(store.put(&path, PutPayload::from(content.clone()))).await.unwrap();
        let copied = Tool::new("xrdcp").args("-s").arg(server.url(&name)).arg("-").check();
        assert!(copied.output == content, "{size}");
        let (kind, value) = guarded(store.checksum(&path, "adler32")).await.unwrap();
        assert_eq!((kind.as_str(), u32::from_str_radix(&value, 16).unwrap()), ("adler32", adler32(&content)), "{size}");
    }
}

#[tokio::test]
async fn what_xrdcp_wrote_is_read() {
    let server = Xrootd::standalone().start();
    let store = store(&server);
    for size in SIZES {
        let content = random_bytes(size as u64, size);
        let name = format!("r/{size}.bin");
        Tool::new("xrdcp").args("-s -").arg(server.url(&name)).input(content.clone()).check();
        assert!(guarded(read(&store, &name)).await.unwrap() == content, "{size}");
    }
}

#[tokio::test]
async fn names_are_what_they_are_on_the_server() {
    let server = Xrootd::standalone().start();
    let store = store(&server);
    for name in
        ["a b.bin", "a+b.bin", "a%20b.bin", "100%.bin", "übung-β-文.bin", "a&b=c;d.bin", "#1.bin", "[x]{y}~.bin"]
    {
        let path = Path::parse(name).unwrap();
        guarded(store.put(&path, name.to_owned().into())).await.unwrap();
        assert_eq!(server.volume().read(name), name.as_bytes());
        let bytes = guarded(store.get(&path)).await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes, name.as_bytes());
        let (_, value) = guarded(store.checksum(&path, "adler32")).await.unwrap();
        assert_eq!(u32::from_str_radix(&value, 16).unwrap(), adler32(name.as_bytes()), "{name}");
        let to = Path::parse(format!("sub dir/{name}")).unwrap();
        guarded(store.rename(&path, &to)).await.unwrap();
        let listed: Vec<_> = guarded(store.list(Some(&Path::parse("sub dir").unwrap())).try_collect()).await.unwrap();
        let listed: Vec<_> = listed.into_iter().map(|meta| meta.location).collect();
        assert_eq!(listed, std::slice::from_ref(&to));
        guarded(store.delete(&to)).await.unwrap();
        assert!(!server.volume().exists(&format!("sub dir/{name}")));
    }
}

#[tokio::test]
async fn a_listing_is_that_of_xrdfs() {
    let server = Xrootd::standalone().start();
    for name in ["l/a.bin", "l/b c.bin", "l/d/e.bin", "l/d/f/g.bin", "l/.hidden"] {
        server.volume().write(name, name);
    }
    server.volume().folder("l/empty");
    let address = format!("127.0.0.1:{}", server.port());
    let theirs = Tool::new("xrdfs").arg(&address).args("ls -R /l").check().text();
    let theirs: BTreeSet<_> = theirs.lines().map(|line| line.trim_start_matches('/').to_owned()).collect();
    let store = store(&server);
    let ours: Vec<_> = guarded(store.list(Some(&Path::from("l"))).try_collect()).await.unwrap();
    let files: BTreeSet<_> = ours.iter().map(|meta| meta.location.to_string()).collect();
    let directories = ["l/d", "l/d/f", "l/empty"].map(str::to_owned);
    assert_eq!(files.iter().cloned().chain(directories).collect::<BTreeSet<_>>(), theirs);
    assert!(ours.iter().all(|meta| meta.size == meta.location.as_ref().len() as u64));
    let one = guarded(store.list_with_delimiter(Some(&Path::from("l")))).await.unwrap();
    assert_eq!(one.common_prefixes, [Path::from("l/d"), Path::from("l/empty")]);
}

#[tokio::test]
async fn names_are_made_moved_cut_and_removed() {
    let server = Xrootd::standalone().start();
    let (store, volume) = (store(&server), server.volume());
    guarded(store.make_directory(&Path::from("m/n/o"))).await.unwrap();
    guarded(store.make_directory(&Path::from("m/n/o"))).await.unwrap();
    assert!(volume.exists("m/n/o"));
    guarded(store.put(&Path::from("m/x"), "0123456789".into())).await.unwrap();
    guarded(store.rename(&Path::from("m/x"), &Path::from("m/n/y"))).await.unwrap();
    assert!(!volume.exists("m/x"));
    guarded(store.truncate(&Path::from("m/n/y"), 4)).await.unwrap();
    assert_eq!(guarded(read(&store, "m/n/y")).await.unwrap(), b"0123");
    guarded(store.truncate(&Path::from("m/n/y"), 6)).await.unwrap();
    assert_eq!(guarded(read(&store, "m/n/y")).await.unwrap(), b"0123\0\0");
    guarded(store.delete(&Path::from("m/n/y"))).await.unwrap();
    guarded(store.remove_directory(&Path::from("m/n/o"))).await.unwrap();
    assert!(!volume.exists("m/n/o") && volume.exists("m/n"));
    let error = guarded(store.delete(&Path::from("m/n/y"))).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_server_tells_where_a_file_is_and_what_it_allows() {
    let server = Xrootd::standalone().start();
    server.volume().write("f.bin", "x");
    let store = store(&server);
    let locations = guarded(store.locate(&Path::from("f.bin"))).await.unwrap();
    assert_eq!(locations.len(), 1);
    assert!(locations[0].server.ends_with(&format!(":{}", server.port())), "{locations:?}");
    let values = guarded(store.configuration(&["readv_iov_max", "no_such_setting", "version"])).await.unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let theirs = Tool::new("xrdfs").arg(address).args("query config version").check().text();
    assert_eq!(values, ["1024", "no_such_setting", theirs.trim()]);
}
