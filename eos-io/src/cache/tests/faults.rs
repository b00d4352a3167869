//! Directories that cannot be used, are damaged, or belong to others.

use std::fs;

use super::origin::{Origin, content};
use super::*;
use crate::cache::block::BLOCK;

const SIZE: u64 = 3 * BLOCK + 77;
const PLENTY: u64 = 1 << 30;

async fn reads_all(store: &CachedStore) {
    for range in [0..10, 0..SIZE, BLOCK - 3..BLOCK + 3] {
        assert_eq!(read(store, "x", range.clone()).await, content("x", 1, range));
    }
}

fn warning(cache: &Cache) -> String {
    cache.stats().warning.unwrap_or_default()
}

#[tokio::test]
async fn a_damaged_block_is_dropped_counted_and_fetched_again() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let cache = open(directory.path(), PLENTY);
    let store = behind(&origin, &cache);
    reads_all(&store).await;
    let damages: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(100),
        |bytes| bytes.truncate(400),
        |bytes| bytes[0] = 0,
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| bytes.fill(0),
    ];
    for (n, damage) in damages.into_iter().enumerate() {
        for block in blocks(directory.path()) {
            let mut bytes = fs::read(&block).unwrap();
            damage(&mut bytes);
            fs::write(&block, bytes).unwrap();
        }
        reads_all(&store).await;
        assert_eq!(cache.stats().damaged, 4 * (n as u64 + 1));
    }
    // A whole block, under the name of another.
    let all = blocks(directory.path());
    fs::copy(&all[0], &all[1]).unwrap();
    reads_all(&store).await;
    assert_eq!(cache.stats().damaged, 4 * 6 + 1);
}

#[tokio::test]
async fn drafts_that_a_crash_left_behind_are_in_nobodys_way_and_go_in_time() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let draft = directory.path().join("tmp").join("1-2-3");
    let cache = open(directory.path(), 1 << 20);
    fs::write(&draft, "half a block").unwrap();
    reads_all(&behind(&origin, &cache)).await;
    assert!(draft.exists(), "it may be in use");
    let hours_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    fs::File::open(&draft).unwrap().set_modified(hours_ago).unwrap();
    reads_all(&behind(&origin, &cache)).await;
    assert!(!draft.exists());
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_done_without() {
    let origin = Origin::new(&[("x", SIZE)]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let cache = open(&file.path().join("cache"), PLENTY);
    reads_all(&behind(&origin, &cache)).await;
    assert!(warning(&cache).contains("cannot be used"), "{}", warning(&cache));
}

#[tokio::test]
async fn a_directory_that_vanishes_is_not_made_again() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("cache");
    let cache = open(&inside, PLENTY);
    let store = behind(&origin, &cache);
    read(&store, "x", 0..10).await;
    fs::remove_dir_all(&inside).unwrap();
    reads_all(&store).await;
    assert!(!inside.exists());
    assert!(warning(&cache).contains("is not written any more"), "{}", warning(&cache));
}

#[tokio::test]
async fn what_others_could_read_or_plant_is_not_used_and_what_is_made_they_cannot_read() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &FilePath| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let set = |path: &FilePath, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("a").join("cache");
    reads_all(&behind(&origin, &open(&inside, PLENTY))).await;
    for made in [inside.clone(), inside.join("blocks"), inside.join("tmp"), blocks(&inside)[0].parent().unwrap().into()]
    {
        assert_eq!(mode(&made), 0o700, "{}", made.display());
    }
    assert_eq!(mode(&blocks(&inside)[0]), 0o600);
    for (path, bad) in
        [(&inside, 0o777), (&inside, 0o720), (&inside.join("blocks"), 0o750), (&inside.join("tmp"), 0o1777)]
    {
        set(path, bad);
        let cache = open(&inside, PLENTY);
        reads_all(&behind(&origin, &cache)).await;
        assert!(warning(&cache).contains("others may use it"), "{}", warning(&cache));
        assert_eq!((cache.stats().hits, cache.stats().bytes_cached), (0, 0));
        set(path, 0o700);
    }
    // Only root may give a directory away.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&inside, Some(12345), None).unwrap();
        assert!(warning(&open(&inside, PLENTY)).contains("belongs to another user"));
    }
}

/// A file system of 2 MiB, where we may mount one.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_ends_the_keeping_and_nothing_else() {
    use std::process::Command;
    struct Mounted(PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(&self.0).status();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs"])
        .arg(directory.path())
        .stderr(std::process::Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("not tested: a full disk, as no file system can be mounted here");
        return;
    }
    let mounted = Mounted(directory.path().to_path_buf());
    let origin = Origin::new(&[("x", SIZE)]);
    let cache = open(&mounted.0, PLENTY);
    let store = behind(&origin, &cache);
    reads_all(&store).await;
    reads_all(&store).await;
    assert!(warning(&cache).contains("is not written any more"), "{}", warning(&cache));
    assert!(cache.stats().bytes_cached > 0, "what is there is still used");
    assert!(files_below(&mounted.0.join("tmp")).is_empty());
    // Nothing can be written there from the start.
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&mounted.0).status();
    if remounted.is_ok_and(|status| status.success()) {
        let cache = open(&mounted.0, PLENTY);
        let store = behind(&origin, &cache);
        reads_all(&store).await;
        assert!(cache.stats().bytes_cached > 0);
        assert!(warning(&cache).contains("is not written any more"), "{}", warning(&cache));
    }
}
