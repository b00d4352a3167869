//! The suite that every object store has to pass, as far as the protocol goes. Left out are attributes, tags, versions
//! and updates by version, which XRootD does not have.

use eos_testbed::Xrootd;
use object_store::integration;

use crate::store;

#[tokio::test]
async fn the_store_passes_the_suite_of_object_stores() {
    let server = Xrootd::standalone().start();
    let store = store(&server);
    integration::put_get_delete_list(&store).await;
    integration::list_uses_directories_correctly(&store).await;
    integration::list_with_delimiter(&store).await;
    integration::rename_and_copy(&store).await;
    integration::copy_if_not_exists(&store).await;
    integration::copy_rename_nonexistent_object(&store).await;
    integration::stream_get(&store).await;
    integration::get_nonexistent_object(&store, None).await.unwrap_err();
    integration::get_opts(&store).await;
    integration::multipart_race_condition(&store, true).await;
    integration::multipart_out_of_order(&store).await;
    integration::list_with_offset_exclusivity(&store).await;
    // Leaves files behind, which others would find.
    integration::put_opts(&store, false).await;
}
