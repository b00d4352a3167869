//! Proving to real servers who we are, in every way that they know. Credentials come from the environment of a process,
//! so each test has a user in a process of its own: this very program, told to run one test, which reads the files that
//! it is asked for line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eos_testbed::{Ca, EosLike, Kdc, SssKey, TokenIssuer, Variables, Xrootd, XrootdBuilder};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use xrootd_client::{Client, Credentials, Options, XrootdStore, XrootdUrl};

const HOUR: Duration = Duration::from_secs(3_600);

/// What would find other credentials than those of a test.
const FOREIGN: [&str; 9] = [
    "BEARER_TOKEN",
    "BEARER_TOKEN_FILE",
    "KRB5CCNAME",
    "KRB5_CLIENT_KTNAME",
    "X509_USER_PROXY",
    "XDG_RUNTIME_DIR",
    "XrdSecPROTOCOL",
    "XrdSecSSSKT",
    "XrdSecsssKT",
];

/// A process with an environment of its own, and one client for all that it is asked.
struct User {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl User {
    fn with(variables: &Variables) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "auth::a_user", "--ignored", "--nocapture", "--test-threads=1"]);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.env("HOME", "/nonexistent").env("USER", "tester").envs(variables.iter().cloned());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, questions, answers }
    }

    /// The content of a file, or why there is none.
    fn read(&mut self, url: &str) -> Result<String, String> {
        writeln!(self.questions, "{url}").unwrap();
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the user has gone");
            // What the test harness says comes between.
            if let Some((_, content)) = line.trim_end().split_once("CONTENT ") {
                return Ok(content.to_owned());
            }
            if let Some((_, error)) = line.trim_end().split_once("ERROR ") {
                return Err(error.to_owned());
            }
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test]
#[ignore = "the other tests run it, as a process of its own"]
async fn a_user() {
    let options = Options { retries: 1, ..Options::default() };
    let client = Client::new(options).unwrap();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (url, path) = XrootdUrl::parse(&line).unwrap();
        let (store, path) = (XrootdStore::new(&client, &url), Path::parse(path.trim_start_matches('/')).unwrap());
        let read = async { store.get(&path).await?.bytes().await };
        let answer = match read.await {
            Ok(content) => format!("CONTENT {}", String::from_utf8_lossy(&content)),
            Err(error) => format!("ERROR {}", error.to_string().replace('\n', " ")),
        };
        writeln!(std::io::stdout(), "{answer}").unwrap();
    }
}

/// What a user with these variables gets of a file that says `hello`.
fn read(server: &Xrootd, variables: &Variables) -> Result<String, String> {
    server.volume().write("/hello.txt", "hello");
    User::with(variables).read(&server.url("/hello.txt"))
}

fn hello() -> Result<String, String> {
    Ok("hello".to_owned())
}

/// The variables with one of them changed or added.
fn but(variables: &Variables, name: &str, value: impl AsRef<std::path::Path>) -> Variables {
    let mut changed: Variables = variables.iter().filter(|(other, _)| other != name).cloned().collect();
    changed.push((name.to_owned(), value.as_ref().to_string_lossy().into_owned()));
    changed
}

/// A server for everybody, but with these lines about its security.
fn secured(lines: &[&str]) -> XrootdBuilder {
    let server = Xrootd::standalone().line("xrootd.seclib libXrdSec.so");
    lines.iter().fold(server, |server, line| server.line(*line))
}

#[track_caller]
fn assert_says(result: Result<String, String>, parts: &[&str]) {
    let error = result.expect_err("an error");
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn a_server_that_believes_names_lets_us_in() {
    let server = Xrootd::unix().start();
    assert_eq!(read(&server, server.env()), hello());
    assert!(server.log().contains("login as tester"), "{}", server.log());
}

#[test]
fn a_server_that_looks_at_addresses_lets_us_in() {
    let server = secured(&["sec.protocol host", "sec.protbind * only host"]).start();
    assert_eq!(read(&server, &Variables::new()), hello());
}

#[test]
fn what_the_user_excludes_is_not_tried() {
    let server = Xrootd::unix().start();
    let result = read(&server, &but(&Variables::new(), "XrdSecPROTOCOL", "krb5"));
    assert_says(result, &["it asks for unix", "tried: none", "not unix, because of XrdSecPROTOCOL=krb5"]);
}

#[test]
fn methods_are_tried_until_one_is_accepted() {
    let (key, other) = (SssKey::new(), SssKey::new());
    let secret = format!("sec.protocol sss -s {}", key.keytab().with_file_name("server.keytab").display());
    let server = secured(&[&secret, "sec.protocol unix", "sec.protbind * only sss unix"]).start();
    // No secret at all, a wrong one, and the right one.
    for variables in [Variables::new(), other.env(), key.env()] {
        assert_eq!(read(&server, &variables), hello(), "{}", server.log());
    }
    let only_wrong = but(&other.env(), "XrdSecPROTOCOL", "sss");
    assert_says(read(&server, &only_wrong), &["it asks for sss, unix", "not unix, because of XrdSecPROTOCOL=sss"]);
}

#[test]
fn a_shared_secret_opens_the_door() {
    let server = Xrootd::sss().start();
    assert_eq!(read(&server, server.env()), hello());
}

#[test]
fn another_secret_does_not() {
    let (server, other) = (Xrootd::sss().start(), SssKey::new());
    assert_says(
        read(&server, &other.env()),
        &["it asks for sss", "tried: sss (the server answers: ", "check that the keytab is the one of this server"],
    );
}

#[test]
fn without_a_keytab_the_variable_is_named() {
    let server = Xrootd::sss().start();
    let result = read(&server, &Variables::new());
    assert_says(result, &["it asks for sss", "there is no keytab", "/nonexistent/.xrd/sss.keytab", "set XrdSecSSSKT"]);
}

#[test]
fn a_keytab_that_others_can_read_is_not_used() {
    let key = Arc::new(SssKey::new());
    let server = Xrootd::sss_with(Arc::clone(&key)).start();
    std::fs::set_permissions(key.keytab(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let command = format!("chmod 600 {}", key.keytab().display());
    assert_says(read(&server, server.env()), &["can be read or written by others (its mode is 0644)", &command]);
}

#[test]
fn an_expired_secret_is_not_sent() {
    let key = Arc::new(SssKey::new());
    let server = Xrootd::sss_with(Arc::clone(&key)).start();
    let keys = std::fs::read_to_string(key.keytab()).unwrap();
    assert!(keys.contains(" e:0 "), "the key never expires");
    std::fs::write(key.keytab(), keys.replace(" e:0 ", " e:1000000000 ")).unwrap();
    assert_says(read(&server, server.env()), &["holds expired keys only", "ask the server's administrator"]);
}

#[test]
fn every_request_is_signed_where_the_server_demands_it() {
    let server = Xrootd::signing().start();
    assert_eq!(read(&server, server.env()), hello());
}

#[test]
fn a_ticket_of_kerberos_opens_the_door() {
    let kdc = Kdc::start();
    let server = Xrootd::kerberos(&kdc).start();
    assert_eq!(read(&server, &kdc.kinit(HOUR).env()), hello());
}

#[test]
fn a_keytab_is_enough_to_get_tickets_again_and_again() {
    let kdc = Kdc::start();
    let server = Xrootd::kerberos(&kdc).start();
    for file in ["/first.txt", "/second.txt"] {
        server.volume().write(file, "hello");
    }
    let keytab = kdc.keytab("robot.keytab", &["robot"]);
    let cache = keytab.with_file_name("tickets-of-robot");
    let mut user = User::with(&but(&but(&kdc.env(), "KRB5_CLIENT_KTNAME", &keytab), "KRB5CCNAME", &cache));
    assert_eq!(user.read(&server.url("/first.txt")), hello());

    std::fs::remove_file(&cache).unwrap();
    server.restart();
    assert_eq!(user.read(&server.url("/second.txt")), hello());
}

#[test]
fn the_url_can_name_a_ticket_cache_for_itself_alone() {
    let kdc = Kdc::start();
    let (server, tickets) = (Xrootd::kerberos(&kdc).start(), kdc.kinit(HOUR));
    server.volume().write("/hello.txt", "hello");
    let mut user = User::with(&but(&kdc.env(), "KRB5CCNAME", "/nowhere/at/all"));
    let url = server.url("/hello.txt");
    assert_eq!(user.read(&format!("{url}?xrd.k5ccname=FILE:{}", tickets.path().display())), hello());
    assert_says(user.read(&url), &["there is no Kerberos ticket in /nowhere/at/all (from KRB5CCNAME)"]);
}

#[test]
fn without_a_ticket_kinit_is_named() {
    let kdc = Kdc::start();
    let server = Xrootd::kerberos(&kdc).start();
    let result = read(&server, &but(&kdc.env(), "KRB5CCNAME", "FILE:/nowhere/at/all"));
    assert_says(
        result,
        &["it asks for krb5", "there is no Kerberos ticket in FILE:/nowhere/at/all", "kinit tester@TEST.LOCAL"],
    );
}

#[test]
fn an_expired_ticket_is_told_apart_from_none() {
    let kdc = Kdc::start();
    let server = Xrootd::kerberos(&kdc).start();
    let result = read(&server, &kdc.expired().env());
    assert_says(result, &["the Kerberos ticket in FILE:", "has expired", "kinit tester@TEST.LOCAL"]);
}

#[test]
fn a_server_that_kerberos_does_not_know_is_named() {
    let (ours, theirs) = (Kdc::start(), Kdc::start());
    let server = Xrootd::kerberos(&theirs).start();
    // Our realm has the same name, but not that service.
    let result = read(&server, &ours.kinit(HOUR).env());
    assert_says(result, &["Kerberos does not know the server host/localhost@TEST.LOCAL"]);
}

#[test]
fn a_ticket_renewed_while_the_program_runs_is_used_when_connections_open_anew() {
    let kdc = Kdc::start();
    let server = Xrootd::kerberos(&kdc).start();
    for file in ["/first.txt", "/second.txt", "/third.txt"] {
        server.volume().write(file, "hello");
    }
    let tickets = kdc.kinit(Duration::from_secs(5));
    let mut user = User::with(&tickets.env());
    assert_eq!(user.read(&server.url("/first.txt")), hello());

    std::thread::sleep(Duration::from_secs(6));
    server.restart();
    assert_says(user.read(&server.url("/second.txt")), &["has expired", "kinit"]);

    kdc.renew(&tickets, HOUR);
    assert_eq!(user.read(&server.url("/third.txt")), hello());
}

#[test]
fn a_token_opens_the_door() {
    let server = Xrootd::ztn(&Arc::new(TokenIssuer::new())).start();
    assert_eq!(read(&server, server.env()), hello());
}

#[test]
fn an_expired_token_is_not_sent() {
    let issuer = Arc::new(TokenIssuer::new());
    let server = Xrootd::ztn(&issuer).start();
    let file = issuer.file("old", &issuer.expired_token());
    let result = read(&server, &but(server.env(), "BEARER_TOKEN_FILE", &file));
    let place = format!("the token in {} (from BEARER_TOKEN_FILE) expired", file.display());
    assert_says(result, &["it asks for ztn", &place, "get a new token"]);
}

#[test]
fn a_token_of_another_issuer_is_refused_by_the_server() {
    let (issuer, other) = (Arc::new(TokenIssuer::new()), TokenIssuer::new());
    let server = Xrootd::ztn(&issuer).start();
    let token = other.token(HOUR);
    let result = read(&server, &but(server.env(), "BEARER_TOKEN_FILE", other.file("other", &token)));
    assert!(result.as_ref().is_err_and(|error| !error.contains(&token)), "{result:?}");
}

#[test]
fn a_renewed_token_is_used_when_connections_open_anew() {
    let issuer = Arc::new(TokenIssuer::new());
    let server = Xrootd::ztn(&issuer).start();
    server.volume().write("/hello.txt", "hello");
    let file = issuer.file("changing", &issuer.expired_token());
    let mut user = User::with(&but(server.env(), "BEARER_TOKEN_FILE", &file));
    assert_says(user.read(&server.url("/hello.txt")), &["expired"]);
    issuer.file("changing", &issuer.token(HOUR));
    assert_eq!(user.read(&server.url("/hello.txt")), hello());
}

/// Somebody who answers in place of a server: speaks no TLS, and asks for a token all the same. Answers the port, and all
/// that was heard on it.
fn impostor() -> (u16, Arc<Mutex<Vec<u8>>>) {
    const ANSWERS: [&[u8]; 3] = [
        b"\0\0\0\0\0\0\0\x08\0\0\x05\x11\0\0\0\x01",
        b"\0\0\0\0\0\0\0\x08\0\0\x05\x11\0\0\0\x01",
        b"\0\0\0\0\0\0\0\x1e0123456789abcdef&P=ztn,0:4096:",
    ];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let ear = Arc::clone(&heard);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            connection.write_all(&ANSWERS.concat()).unwrap();
            let mut all = Vec::new();
            drop(connection.read_to_end(&mut all));
            ear.lock().unwrap().extend(all);
        }
    });
    (port, heard)
}

#[test]
fn a_token_is_not_sent_in_the_clear() {
    let (port, heard) = impostor();
    let mut user = User::with(&vec![("BEARER_TOKEN".to_owned(), "a-secret-token".to_owned())]);
    assert_says(
        user.read(&format!("root://127.0.0.1:{port}//hello.txt")),
        &["it asks for ztn", "not sent over a connection that is not encrypted", "use roots:// instead of root://"],
    );
    assert_says(user.read(&format!("roots://127.0.0.1:{port}//hello.txt")), &["does not offer encryption"]);
    drop(user);
    // All of the first connection is heard at once.
    while heard.lock().unwrap().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!String::from_utf8_lossy(&heard.lock().unwrap()).contains("a-secret-token"));
}

#[test]
fn a_token_goes_to_where_an_encrypted_connection_redirects_and_not_to_where_a_plain_one_does() {
    let issuer = Arc::new(TokenIssuer::new());
    let data = Xrootd::ztn(&issuer).start();
    data.volume().write("/hello.txt", "hello");
    let redirect = format!("xrootd.redirect localhost:{} /", data.port());
    let (plain, encrypted) = (Xrootd::standalone().line(&redirect).start(), Xrootd::tls().line(&redirect).start());
    let mut user = User::with(data.env());
    // By its address, so that the manager does not have the name of the data server.
    assert_says(
        user.read(&format!("root://127.0.0.1:{}//hello.txt", plain.port())),
        &["it asks for ztn", "a token is not sent to localhost", "use roots:// instead of root://"],
    );
    assert_eq!(user.read(&format!("roots://127.0.0.1:{}//hello.txt", encrypted.port())), hello());
    // A host that the user has named may have the token, however it is come to.
    assert_eq!(user.read(&format!("root://localhost:{}//hello.txt", plain.port())), hello());
}

#[test]
fn a_login_that_the_server_encrypts_needs_no_other_url() {
    let server = Xrootd::tls_login().start();
    assert!(server.url("/").starts_with("root://"));
    assert_eq!(read(&server, server.env()), hello());
}

#[test]
fn a_proxy_of_x509_opens_the_door() {
    let server = Xrootd::gsi().start();
    assert_eq!(read(&server, server.env()), hello());
    assert!(server.log().contains("/O=xrdtest/CN=Test User"), "{}", server.log());
}

#[test]
fn without_a_proxy_the_command_that_makes_one_is_named() {
    let server = Xrootd::gsi().start();
    let result = read(&server, &but(server.env(), "X509_USER_PROXY", "/nowhere/at/all"));
    assert_says(result, &["it asks for gsi", "there is no X.509 proxy at /nowhere/at/all", "voms-proxy-init"]);
}

#[test]
fn a_server_with_the_certificate_of_another_host_gets_nothing() {
    let server = Xrootd::gsi().start();
    server.volume().write("/hello.txt", "hello");
    // The certificate is for `localhost` and its usual address.
    let url = server.url("/hello.txt").replace("localhost", "127.0.0.2");
    assert_says(User::with(server.env()).read(&url), &["the server does not prove that it is 127.0.0.2"]);
}

#[test]
fn requests_are_signed_with_the_key_that_came_of_a_proxy() {
    let server = Xrootd::gsi().line("sec.level all pedantic").start();
    assert_eq!(read(&server, server.env()), hello());
}

#[test]
fn every_server_on_the_way_is_told_in_its_own_way_who_we_are() {
    let eos = EosLike::start();
    eos.volume().write("/hello.txt", "hello");
    let url = eos.mgm().url("/hello.txt");
    assert_eq!(User::with(eos.env()).read(&url), hello());
    // The second server does not take what the first one wants.
    let only_secret = but(eos.env(), "XrdSecPROTOCOL", "sss");
    assert_says(User::with(&only_secret).read(&url), &["it asks for unix", "not unix, because of XrdSecPROTOCOL=sss"]);
}

#[tokio::test]
async fn credentials_can_be_set_without_variables() {
    let (ca, issuer) = (Ca::of_this_process(), Arc::new(TokenIssuer::new()));
    let credentials = Credentials {
        token_file: Some(issuer.file("set", &issuer.token(HOUR))),
        token_hosts: Some(vec!["localhost".to_owned()]),
        proxy: Some(ca.proxy()),
        authorities_dir: Some(ca.directory()),
        authorities_file: None,
    };
    for server in [Xrootd::ztn(&issuer).start(), Xrootd::gsi().start()] {
        server.volume().write("/hello.txt", "hello");
        let store = crate::store_with(&server, Options { credentials: credentials.clone(), ..Options::default() });
        assert_eq!(store.get(&Path::from("hello.txt")).await.unwrap().bytes().await.unwrap(), "hello");
    }
}
