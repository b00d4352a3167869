//! The suite that every object store passes, as far as the protocols allow.

use eos_io::Stores;
use eos_testbed::Xrootd;
use object_store::{ObjectStore, integration};

/// Left out are: `put_get_delete_list`, which wants files named `%2F` and names of directories that this server lists as if
/// they were encoded; `get_opts`, as this server has no entity tags; `put_opts`, as HTTP has no writing that fails where a file exists; `copy_if_not_exists` and
/// `rename_and_copy`, as this server copies from other servers only; `put_get_attributes`, as it keeps none.
#[tokio::test]
async fn http_store() {
    let server = Xrootd::standalone().start();
    let location = Stores::new().resolve(&server.http_url("/")).unwrap();
    let store: &dyn ObjectStore = &*location.store;
    integration::list_uses_directories_correctly(store).await;
    integration::list_with_delimiter(store).await;
    integration::list_with_offset_exclusivity(store).await;
    integration::stream_get(store).await;
}

/// Left out are: `put_get_attributes` and conditional updates, which HDFS does not have, and `stream_get`, since a file that
/// is being written is listed under a hidden name.
#[tokio::test]
async fn hdfs_store() {
    let server = eos_testbed::Hdfs::start();
    let location = Stores::new().resolve(&server.url("/")).unwrap();
    let store: &dyn ObjectStore = &*location.store;
    integration::put_get_delete_list(store).await;
    integration::list_uses_directories_correctly(store).await;
    integration::list_with_delimiter(store).await;
    integration::list_with_offset_exclusivity(store).await;
    integration::rename_and_copy(store).await;
    integration::copy_if_not_exists(store).await;
    integration::copy_rename_nonexistent_object(store).await;
    integration::get_opts(store).await;
}
