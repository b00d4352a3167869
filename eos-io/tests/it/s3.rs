//! What is asked of an S3 server, and how its answers are read. No real one is at hand, so that the requests are compared
//! with the protocol's documentation.

use eos_io::{ErrorKind, Settings, Stores};
use object_store::ObjectStoreExt;

use crate::scripted::{Reply, Scripted};

const LISTING: &str = "<?xml version=\"1.0\"?><ListBucketResult><Name>bucket</Name><Prefix>d/</Prefix>\
    <IsTruncated>false</IsTruncated><Contents><Key>d/a b.root</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>\
    <ETag>&quot;1&quot;</ETag><Size>5</Size></Contents><CommonPrefixes><Prefix>d/sub/</Prefix></CommonPrefixes>\
    </ListBucketResult>";

fn stores(endpoint: String) -> Stores {
    let mut settings = Settings::default();
    settings.s3.endpoint = Some(endpoint);
    settings.s3.anonymous = true;
    settings.http.retries = 1;
    Stores::builder().settings(settings).build()
}

#[tokio::test]
async fn a_pattern_is_a_listing_and_files_are_read_under_the_name_of_the_bucket() {
    let server = Scripted::start(|request, _| match request.target.as_str() {
        list if list.contains("list-type=2") => Reply::new(200).body(LISTING),
        "/bucket/d/a%20b.root" => Reply::of_file(request, b"hello")
            .header("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")
            .header("etag", "1"),
        _ => Reply::new(404),
    })
    .await;
    let found = stores(server.url("")).expand("s3://bucket/d/*.root").await.unwrap();
    assert_eq!(found[0].location.to_string(), "s3://bucket/d/a b.root");
    let location = &found[0].location;
    assert_eq!(location.store.get_range(&location.path, 1..3).await.unwrap(), "el");
    let asked = server.requests();
    let listed = asked.iter().find(|request| request.target.contains("list-type=2")).unwrap();
    assert!(listed.target.starts_with("/bucket?") && listed.target.contains("prefix=d%2F"), "{}", listed.target);
    assert!(listed.target.contains("delimiter=%2F"), "{}", listed.target);
    assert!(asked.iter().all(|request| request.header("authorization").is_none()));
    assert_eq!(asked.last().unwrap().header("range"), Some("bytes=1-2"));
}

#[tokio::test]
async fn refusals_keep_their_meaning() {
    for (status, kind) in
        [(401, ErrorKind::Unauthenticated), (403, ErrorKind::PermissionDenied), (404, ErrorKind::NotFound)]
    {
        let server = Scripted::start(move |request, _| match request.method.as_str() {
            "GET" if status == 404 => Reply::new(200).body("<ListBucketResult></ListBucketResult>"),
            _ => Reply::new(status),
        })
        .await;
        let error = stores(server.url("")).expand("s3://bucket/x.root").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_in_time() {
    let error = stores("http://localhost:9".into()).expand("s3://bucket/x.root").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
}
