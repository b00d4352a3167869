//! Servers that break the rules, and things that are no servers: clear errors within the time-outs, bounded memory.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use xrootd_client::{Error, ErrorKind, Options};

use crate::store_at;
use crate::support::{Asked, Reply, Scripted, cause, frame, guarded, kind, read, request, steady};

/// What reading a file comes to where one kind of request is answered in a way of its own.
async fn reading(options: Options, odd: u16, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> String {
    let server = Scripted::start(move |asked| if asked.request == odd { answer(asked) } else { Reply::Usual });
    let store = store_at(&server.url(), options);
    let error = guarded(read(&store, "a/file.root")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{}", server.port)), "the error does not name the server: {text}");
    text
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_said_to_be_unknown() {
    let store = store_at("root://no-such-host.invalid//", steady());
    let error = guarded(store.head(&Path::from("x"))).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Unreachable);
    let text = error.to_string();
    assert!(text.contains("no-such-host.invalid:1094") && text.contains("check the name of the host"), "{text}");
}

#[tokio::test]
async fn a_closed_port_is_said_to_be_closed() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let store = store_at(&format!("root://127.0.0.1:{port}//"), steady());
    let error = guarded(store.head(&Path::from("x"))).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Unreachable);
    assert!(error.to_string().contains("nothing listens on this port"), "{error}");
    assert!(store.client().metrics().retries <= 2, "{:?}", store.client().metrics());
}

/// Answers everybody who connects with the same bytes, and then keeps the connection open.
fn listener(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                drop(stream.write_all(bytes));
                drop(stream.read_to_end(&mut Vec::new()));
            });
        }
    });
    format!("root://127.0.0.1:{port}//")
}

#[tokio::test]
async fn whatever_else_listens_on_a_port_is_recognised() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        &[0xff; 64],
        &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3],
    ] {
        let store = store_at(&listener(bytes), steady());
        let error = guarded(store.head(&Path::from("x"))).await.unwrap_err();
        assert!(error.to_string().contains("something else seems to listen on this port"), "{error}");
        assert_eq!(store.client().metrics().retries, 0);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let options = Options { connect_timeout: Duration::from_millis(300), ..steady() };
    let store = store_at(&listener(b""), options);
    let error = guarded(store.head(&Path::from("x"))).await.unwrap_err();
    assert!(error.to_string().contains("no answer to the login within"), "{error}");
}

#[tokio::test]
async fn many_requests_share_one_vain_attempt_to_connect() {
    let server = Scripted::start(|asked| match asked.request {
        request::LOGIN => {
            std::thread::sleep(Duration::from_millis(500));
            asked.answer(4003, &[&3010_u32.to_be_bytes()[..], b"not you"].concat())
        }
        _ => Reply::Usual,
    });
    let store = store_at(&server.url(), steady());
    let paths: Vec<_> = (0..40).map(|n| Path::from(format!("{n}"))).collect();
    let heads = futures::future::join_all(paths.iter().map(|path| store.head(path)));
    assert!(guarded(heads).await.iter().all(|head| head.as_ref().is_err_and(|e| e.to_string().contains("not you"))));
    assert!(server.count(request::LOGIN) < 10, "{} attempts", server.count(request::LOGIN));
}

#[tokio::test]
async fn what_has_to_be_encrypted_is_not_sent_to_a_server_that_does_not_begin_the_encryption() {
    const HAS_TLS: u32 = 0x8000_0000;
    const TLS_LOGIN: u32 = 0x400_0000;
    for (scheme, flags) in
        [("roots", HAS_TLS | 1), ("roots", HAS_TLS | TLS_LOGIN | 1), ("root", HAS_TLS | TLS_LOGIN | 1)]
    {
        let server = Scripted::start(move |asked| match asked.request {
            request::PROTOCOL => asked.answer(0, &[0x520_u32.to_be_bytes(), flags.to_be_bytes()].concat()),
            request::LOGIN => asked.answer(0, &[&[7; 16][..], b"&P=unix\0"].concat()),
            _ => Reply::Usual,
        });
        let store = store_at(&server.url().replace("root:", &format!("{scheme}:")), steady());
        let error = guarded(read(&store, "a")).await.unwrap_err();
        assert!(matches!(cause(&error), Error::Tls { .. }), "{scheme}: {error}");
        // Without encryption the login goes out with the question what the server wants, and holds a name alone.
        assert_eq!(server.count(request::AUTH) + server.count(request::OPEN), 0, "{scheme}");
        assert!(scheme == "root" || server.count(request::LOGIN) == 0, "{scheme}");
    }
}

#[tokio::test]
async fn lengths_that_cannot_be_are_refused() {
    for length in [u32::MAX, 1 << 31, (1 << 31) - 1] {
        let odd =
            move |asked: &Asked| Reply::Bytes([&asked.stream[..], &[0, 0], &length.to_be_bytes(), &[1; 100]].concat());
        for request in [request::LOGIN, request::OPEN, request::READ] {
            let text = reading(steady(), request, odd).await;
            assert!(text.contains("protocol"), "{request} {length}: {text}");
        }
    }
}

#[tokio::test]
async fn an_answer_to_what_was_not_asked_ends_the_connection() {
    let odd = |asked: &Asked| Reply::Bytes(frame([asked.stream[0] ^ 0x55, asked.stream[1]], 0, b"1234"));
    let text = reading(steady(), request::READ, odd).await;
    assert!(text.contains("on which nothing was asked"), "{text}");
}

#[tokio::test]
async fn statuses_and_bodies_that_do_not_exist_are_refused() {
    for (status, body) in
        [(4999, &b""[..]), (4003, b"\0"), (4004, b""), (4004, b"\0\0\0\x01"), (4005, b"1"), (4001, b"1")]
    {
        let odd = move |asked: &Asked| asked.answer(status, body);
        let text = reading(steady(), request::OPEN, odd).await;
        assert!(text.contains("protocol"), "{status}: {text}");
    }
}

#[tokio::test]
async fn an_answer_to_an_open_without_a_handle_is_refused() {
    let text = reading(steady(), request::OPEN, |asked| asked.answer(0, b"12")).await;
    assert!(text.contains("ends 2 bytes early"), "{text}");
}

#[tokio::test]
async fn more_data_than_were_asked_for_are_refused() {
    let text = reading(steady(), request::READ, |asked| asked.answer(0, &vec![1; 2 << 20])).await;
    assert!(text.contains("more than the 1048576 bytes that were asked for"), "{text}");
}

#[tokio::test]
async fn parts_of_an_answer_without_end_are_cut_off() {
    let odd = |body: &'static [u8]| move |asked: &Asked| Reply::Endless(frame(asked.stream, 4000, body));
    let options = || Options { request_timeout: Duration::from_secs(1), retries: 1, ..steady() };
    let text = reading(options(), request::READ, odd(b"")).await;
    assert!(text.contains("no answer to a read within"), "{text}");
    let text = reading(options(), request::READ, odd(&[7; 1000])).await;
    assert!(text.contains("more than the 1048576 bytes"), "{text}");
    let text = reading(options(), request::OPEN, odd(&[7; 1000])).await;
    assert!(text.contains("an answer of more than"), "{text}");
}

#[tokio::test]
async fn redirects_without_end_are_followed_sixteen_times() {
    let port = Arc::new(AtomicU32::new(0));
    let theirs = Arc::clone(&port);
    let server = Scripted::start(move |asked| match asked.request {
        request::OPEN => {
            let port = theirs.load(Ordering::Relaxed);
            asked.answer(4004, &[&port.to_be_bytes()[..], b"127.0.0.1?&a=secret"].concat())
        }
        _ => Reply::Usual,
    });
    port.store(u32::from(server.port), Ordering::Relaxed);
    let store = store_at(&server.url(), steady());
    let error = guarded(read(&store, "a/file.root")).await.unwrap_err();
    assert!(matches!(cause(&error), Error::Redirect { .. }), "{error}");
    assert!(error.to_string().contains("16 redirects in a row") && !error.to_string().contains("secret"), "{error}");
    assert_eq!(server.count(request::OPEN), 16);
}

#[tokio::test]
async fn a_server_that_asks_to_wait_for_no_time_over_and_over_reaches_the_limit() {
    for request in [request::LOGIN, request::OPEN, request::READ] {
        let server = Scripted::start(move |asked| match asked.request == request {
            true => asked.answer(4005, &0_u32.to_be_bytes()),
            false => Reply::Usual,
        });
        let store = store_at(&server.url(), Options { wait_limit: Duration::from_secs(2), ..steady() });
        let error = guarded(read(&store, "a")).await.unwrap_err();
        assert!(matches!(cause(&error), Error::Wait { .. }), "{error}");
        assert!(server.count(request) < 20, "asked {} times", server.count(request));
    }
}

#[tokio::test]
async fn a_server_that_wants_to_be_left_in_peace_for_ever_is_not() {
    let odd = |asked: &Asked| asked.answer(4006, &u32::MAX.to_be_bytes());
    let options =
        Options { wait_limit: Duration::from_secs(1), silence_timeout: Duration::from_secs(1), retries: 1, ..steady() };
    let text = reading(options, request::OPEN, odd).await;
    assert!(text.contains("no answer to an open within"), "{text}");
}

#[tokio::test]
async fn questions_about_who_we_are_without_end_are_cut_off() {
    let server = Scripted::start(|asked| match asked.request {
        request::LOGIN => asked.answer(0, &[&[7; 16][..], b"&P=unix\0"].concat()),
        request::AUTH => asked.answer(4002, b"again"),
        _ => Reply::Usual,
    });
    let store = store_at(&server.url(), steady());
    let error = guarded(read(&store, "a")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Unauthenticated, "{error}");
    assert!(server.count(request::AUTH) < 100);
}

#[tokio::test]
async fn a_listing_that_leads_out_of_its_directory_is_refused() {
    let server = Scripted::start(|asked| match asked.request {
        request::DIRLIST => asked.answer(0, b".\n0 0 0 0\n../x\n1 2 16 1700000000\n"),
        _ => Reply::Usual,
    });
    let store = store_at(&server.url(), steady());
    let error = guarded(store.list_with_delimiter(None)).await.unwrap_err();
    assert!(error.to_string().contains("leads out of the directory"), "{error}");
}

#[tokio::test]
async fn an_entry_that_vanishes_while_a_directory_is_listed_takes_no_other_with_it() {
    let server = Scripted::start(|asked| match (asked.request, asked.payload.as_str()) {
        (request::DIRLIST, "/d") => asked.answer(0, b"a\ngone\nb"),
        (request::DIRLIST, _) => asked.answer(4003, &[&3011_u32.to_be_bytes()[..], b"no such directory"].concat()),
        (request::STAT, "/d/gone") => asked.answer(4003, &[&3011_u32.to_be_bytes()[..], b"no such file"].concat()),
        (request::STAT, "/d/b") if asked.before > 10 => {
            asked.answer(4003, &[&3010_u32.to_be_bytes()[..], b"not yours"].concat())
        }
        (request::STAT, _) => asked.answer(0, b"1 17 16 1700000000\0"),
        _ => Reply::Usual,
    });
    let store = store_at(&server.url(), steady());
    let listed = guarded(store.list_with_delimiter(Some(&Path::from("d")))).await.unwrap();
    let names: Vec<_> = listed.objects.iter().map(|object| object.location.to_string()).collect();
    assert_eq!(names, ["d/a", "d/b"]);
    assert!(guarded(store.list_with_delimiter(Some(&Path::from("e")))).await.unwrap().objects.is_empty());
    // Whatever else is wrong with an entry is an error of the listing.
    let failed = async {
        loop {
            if let Err(error) = store.list_with_delimiter(Some(&Path::from("d"))).await {
                return error;
            }
        }
    };
    assert_eq!(kind(&guarded(failed).await), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn texts_of_a_server_do_not_reach_the_user_as_they_are() {
    let text = format!("no /x?authz=s3cret\u{1b}[31m Bearer t0ken {}", "long ".repeat(100_000));
    let body = [&3010_u32.to_be_bytes()[..], text.as_bytes()].concat();
    let text = reading(steady(), request::OPEN, move |asked| asked.answer(4003, &body)).await;
    assert!(!text.contains("s3cret") && !text.contains("t0ken") && !text.contains('\u{1b}'), "{text}");
    assert!(text.len() < 4000, "{}", text.len());
}
