//! Every kind of XRootD server, asked by the programs that people use.

use std::sync::Arc;
use std::time::Duration;

use eos_testbed::{Ca, Cluster, EosLike, Kdc, Ran, SssKey, TokenIssuer, Tool, Variables, Volume, Xrootd, random_bytes};

fn xrdcp(url: &str, env: &Variables) -> Ran {
    Tool::new("xrdcp").args("-f -s").arg(url).arg("-").envs(env).run()
}

/// The server serves a file of random bytes to a client with its variables.
fn serves(server: &Xrootd) {
    let content = server.volume().write_random("/dir/some.bin", 7, 100_000);
    let got = xrdcp(&server.url("/dir/some.bin"), server.env());
    assert!(got.ok, "{}\n{}", got.errors, server.log());
    assert!(got.output == content);
}

#[test]
fn a_standalone_server_serves_root_and_http_on_one_port() {
    let server = Xrootd::standalone().start();

    serves(&server);

    let http = Tool::new("curl").args("-sf").arg(server.http_url("/dir/some.bin")).check();
    assert!(http.output == random_bytes(7, 100_000));
}

#[test]
fn a_server_asks_for_a_shared_secret() {
    let server = Xrootd::sss().start();

    serves(&server);

    let other = SssKey::new();
    assert!(!xrdcp(&server.url("/dir/some.bin"), &other.env()).ok);
}

#[test]
fn a_server_believes_names() {
    serves(&Xrootd::unix().start());
}

#[test]
fn a_server_asks_for_signatures() {
    serves(&Xrootd::signing().start());
}

#[test]
fn a_server_speaks_tls_on_root_and_http() {
    let server = Xrootd::tls().start();

    serves(&server);

    let ca = Ca::of_this_process().certificate();
    let http = Tool::new("curl").args("-sf --cacert").arg(ca).arg(server.http_url("/dir/some.bin")).check();
    assert!(http.output == random_bytes(7, 100_000));
}

#[test]
fn a_server_wants_tls_for_the_login() {
    serves(&Xrootd::tls_login().start());
}

#[test]
fn a_server_asks_for_a_token_that_is_still_valid() {
    let issuer = Arc::new(TokenIssuer::new());
    let server = Xrootd::ztn(&issuer).start();

    serves(&server);

    let mut env = server.env().clone();
    let expired = issuer.file("expired", &issuer.expired_token());
    env.push(("BEARER_TOKEN_FILE".to_owned(), expired.display().to_string()));
    assert!(!xrdcp(&server.url("/dir/some.bin"), &env).ok);
}

#[test]
fn a_server_asks_for_a_certificate() {
    serves(&Xrootd::gsi().start());
}

#[test]
fn a_server_asks_for_tickets_that_are_still_valid() {
    let kdc = Kdc::start();
    let server = Xrootd::kerberos(&kdc).start();
    let content = server.volume().write_random("/some.bin", 7, 1_000);
    let mut env = server.env().clone();

    env.extend(kdc.kinit(Duration::from_secs(3_600)).env());
    let got = xrdcp(&server.url("/some.bin"), &env);
    assert!(got.ok, "{}\n{}", got.errors, server.log());
    assert!(got.output == content);

    let expired = kdc.expired();
    env.extend(expired.env());
    assert!(!xrdcp(&server.url("/some.bin"), &env).ok);

    kdc.renew(&expired, Duration::from_secs(60));
    assert!(xrdcp(&server.url("/some.bin"), &env).ok);
}

#[test]
fn a_manager_redirects_to_the_data_server_that_has_the_file() {
    let cluster = Cluster::start();
    cluster.server(0).volume().write("/only-0.txt", "zero");
    cluster.server(1).volume().write("/only-1.txt", "one");

    assert!(xrdcp(&cluster.manager().url("/only-0.txt"), &vec![]).output == b"zero");
    assert!(xrdcp(&cluster.manager().url("/only-1.txt"), &vec![]).output == b"one");
}

#[test]
fn an_mgm_redirects_to_an_fst_that_wants_another_proof() {
    let eos = EosLike::start();
    let content = eos.volume().write_random("/dir/some.bin", 3, 5_000_000);

    let got = xrdcp(&eos.mgm().url("/dir/some.bin"), eos.env());
    assert!(got.ok, "{}\n{}\n{}", got.errors, eos.mgm().log(), eos.fst().log());
    assert!(got.output == content);
    let listed = Tool::new("xrdfs").arg(format!("127.0.0.1:{}", eos.mgm().port())).args("ls /dir").envs(eos.env());
    assert_eq!(listed.check().text().trim(), "/dir/some.bin");
}

#[test]
fn a_killed_server_comes_back_on_its_port_with_its_files() {
    let server = Xrootd::standalone().start();
    serves(&server);

    server.kill();
    assert!(!Tool::new("curl").args("-sf").arg(server.http_url("/dir/some.bin")).run().ok);

    server.restart();
    serves(&server);
}

#[test]
fn staging_makes_a_file_that_was_not_there() {
    for builder in [Xrootd::stage(), Xrootd::stage_async()] {
        let server = builder.start();
        let got = xrdcp(&server.url("/stage/late.bin"), server.env());
        assert!(got.ok, "{}\n{}", got.errors, server.log());
        assert!(got.output == server.volume().read("/staged.bin"));
    }
}

#[test]
fn a_cluster_goes_on_when_a_data_server_dies() {
    let cluster = Cluster::start();
    for index in [0, 1] {
        cluster.server(index).volume().write("/both.txt", "both");
    }

    cluster.server(0).kill();

    for _ in 0..3 {
        let got = xrdcp(&cluster.manager().url("/both.txt"), &vec![]);
        assert!(got.ok && got.output == b"both", "{}", got.errors);
    }

    cluster.server(0).restart();
    cluster.wait();
}

#[test]
fn a_paused_server_answers_when_it_goes_on() {
    let server = Xrootd::standalone().start();
    server.volume().write("/hello.txt", "hello");
    let ask = |seconds: u32| Tool::new("curl").args(&format!("-sf -m {seconds}")).arg(server.http_url("/hello.txt"));

    server.pause();
    assert!(!ask(1).run().ok);

    server.resume();
    assert_eq!(ask(10).check().text(), "hello");
}

fn put(server: &Xrootd, path: &str, len: usize) -> Ran {
    Tool::new("xrdcp").args("-f -s -").arg(server.url(path)).input(random_bytes(9, len)).run()
}

#[test]
fn files_can_be_written_unless_the_server_or_a_permission_forbids_it() {
    let server = Xrootd::standalone().start();
    server.volume().folder("/locked").permit("/locked", 0o555);

    assert!(put(&server, "/new.bin", 1_000).ok);
    assert!(server.volume().read("/new.bin") == random_bytes(9, 1_000));
    assert!(!put(&server, "/locked/new.bin", 1_000).ok);

    let read_only = Xrootd::standalone().read_only().volume(Arc::clone(server.volume())).start();
    assert!(!put(&read_only, "/other.bin", 1_000).ok);
    assert!(xrdcp(&read_only.url("/new.bin"), read_only.env()).output == random_bytes(9, 1_000));
}

#[test]
fn writing_fails_when_the_disk_is_full() {
    let server = match Volume::of_size(1 << 20) {
        Ok(volume) => Xrootd::standalone().volume(Arc::new(volume)).start(),
        Err(reason) => {
            eprintln!("no disk to fill, so files are limited: {reason}");
            Xrootd::standalone().file_limit(1 << 20).start()
        }
    };

    assert!(put(&server, "/small.bin", 1_000).ok);
    assert!(!put(&server, "/large.bin", 3_000_000).ok);
}

#[test]
fn writing_fails_beyond_the_limit_of_a_file() {
    let server = Xrootd::standalone().file_limit(1 << 20).start();

    assert!(put(&server, "/small.bin", 1_000).ok);
    assert!(!put(&server, "/large.bin", 3_000_000).ok);
    // The server is still there.
    serves(&server);
}

#[test]
fn a_certificate_can_be_for_another_name() {
    let other = Ca::of_this_process().server_named(&["elsewhere.test"]);
    let server = Xrootd::tls().identity(other).start();
    server.volume().write("/hello.txt", "hello");

    let ca = Ca::of_this_process().certificate();
    let refused = Tool::new("curl").args("-sS --cacert").arg(&ca).arg(server.http_url("/hello.txt")).run();
    assert!(!refused.ok && refused.errors.contains("subject name"), "{}", refused.errors);

    let port = server.http_port().expect("it speaks HTTP");
    let named = Tool::new("curl").args(&format!("-sS --resolve elsewhere.test:{port}:127.0.0.1 --cacert")).arg(&ca);
    assert_eq!(named.arg(format!("https://elsewhere.test:{port}/hello.txt")).check().text(), "hello");
}

#[test]
fn any_server_can_speak_tls_as_well() {
    let server = Xrootd::unix().tls().start();

    assert!(server.url("/").starts_with("roots://"));
    serves(&server);
}
