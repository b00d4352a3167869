//! Many small ranges at once.

use std::ops::Range;
use std::time::Duration;

use eos_testbed::{Fault, FaultProxy, Request, Rule, Xrootd};
use object_store::ObjectStore;
use object_store::path::Path;
use xrootd_client::{Options, XrootdStore};

use crate::support::{behind, guarded, steady};

const BRANCHES: u64 = 1500;
const STEP: u64 = 20_000;

struct Setup {
    proxy: FaultProxy,
    store: XrootdStore,
    content: Vec<u8>,
    _server: Xrootd,
}

/// A file and a client that knows what its server allows.
async fn setup(options: Options) -> Setup {
    let server = Xrootd::standalone().start();
    let content = server.volume().write_random("f.bin", 8, (BRANCHES * STEP) as usize);
    let proxy = FaultProxy::to(server.port()).start();
    let store = behind(&proxy, options);
    let setup = Setup { proxy, store, content, _server: server };
    setup.check().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    setup
}

impl Setup {
    async fn check(&self) {
        let length = |n: u64| 1 + n * 37 % 900;
        let ranges: Vec<Range<u64>> = (0..BRANCHES).rev().map(|n| n * STEP..n * STEP + length(n)).collect();
        let parts = guarded(self.store.get_ranges(&Path::from("f.bin"), &ranges)).await.unwrap();
        assert_eq!(parts.len(), ranges.len());
        for (range, part) in ranges.iter().zip(parts) {
            assert!(part == self.content[range.start as usize..range.end as usize], "{range:?}");
        }
    }

    fn reads(&self) -> (u64, u64) {
        let counts = self.proxy.counts();
        (counts.of(Request::Readv), counts.of(Request::Read))
    }
}

#[tokio::test]
async fn fifteen_hundred_ranges_become_two_requests() {
    let setup = setup(steady()).await;
    let (_, reads) = setup.reads();
    setup.check().await;
    assert_eq!(setup.reads(), (2, reads));
    assert_eq!(setup.store.client().metrics().opens, 1);
}

#[tokio::test]
async fn a_server_that_refuses_vector_reads_is_asked_for_none_any_more() {
    let setup = setup(steady()).await;
    setup.proxy.set_rules([Rule::on(Request::Readv).then(Fault::Error(3013))]);
    setup.check().await;
    let (vectors, _) = setup.reads();
    setup.check().await;
    assert_eq!(setup.reads().0, vectors);
    assert_eq!(setup.store.client().metrics().retries, 0);
}

#[tokio::test]
async fn a_vector_read_that_fails_is_made_up_for_by_plain_ones() {
    for fault in [Fault::Error(3005), Fault::Drop, Fault::Cut(30), Fault::Stall, Fault::Wait(1)] {
        let setup = setup(Options { request_timeout: Duration::from_secs(2), ..steady() }).await;
        setup.proxy.set_rules([Rule::on(Request::Readv).first().then(fault)]);
        setup.check().await;
    }
}

#[tokio::test]
async fn where_data_are_verified_many_ranges_are_as_well() {
    let setup = setup(Options { verify: true, ..steady() }).await;
    setup.proxy.set_rules([Rule::on(Request::Pgread).nth(7..=7).then(Fault::Corrupt)]);
    setup.check().await;
    assert_eq!(setup.reads(), (0, 0));
    assert_eq!(setup.store.client().metrics().retries, 1);
}

#[tokio::test]
async fn ranges_may_overlap_repeat_and_touch() {
    let setup = setup(steady()).await;
    let size = BRANCHES * STEP;
    let mut ranges = vec![0..1, 0..1, 5..10, 7..8, size - 1..size, size - 10..size, 0..3_000_000, 2_000_000..2_000_001];
    ranges.extend((0..20).map(|n| n * STEP + 3..n * STEP + 9));
    let parts = guarded(setup.store.get_ranges(&Path::from("f.bin"), &ranges)).await.unwrap();
    for (range, part) in ranges.iter().zip(parts) {
        assert!(part == setup.content[range.start as usize..range.end as usize], "{range:?}");
    }
}
