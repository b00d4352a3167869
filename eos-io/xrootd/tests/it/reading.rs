//! Reading files, and what it takes.

use eos_testbed::Xrootd;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::store;

#[tokio::test]
async fn a_file_is_read_whole_in_ranges_and_at_its_end() {
    let server = Xrootd::standalone().start();
    let content = server.volume().write_random("data/random.bin", 7, 12_345_678);
    let (store, path) = (store(&server), Path::from("data/random.bin"));
    let meta = store.head(&path).await.unwrap();
    assert_eq!(meta.size, 12_345_678);
    let whole = store.get(&path).await.unwrap().bytes().await.unwrap();
    assert!(whole == content);
    let ranges = [0..1, 12_345_670..12_345_678, 4095..4097, 0..9_000_000];
    let parts = store.get_ranges(&path, &ranges).await.unwrap();
    for (range, part) in ranges.iter().zip(parts) {
        assert!(part == content[range.start as usize..range.end as usize], "{range:?}");
    }
    assert_eq!(store.client().metrics().opens, 1);
}
