//! From a host name to a TCP connection: every address is tried, the next one soon after the last, and the first that
//! answers wins.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::error::Error;

/// How long one address may take before the next is tried beside it (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);
/// A peer that has vanished is noticed after some minutes without traffic.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The addresses of a host, those of both families in turn.
pub(crate) async fn look_up(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, Error> {
    let fault = |reason: String| Error::Connect {
        host: shown(host, port),
        reason,
        hint: Some("check the name of the host, and that this machine can look names up (DNS)".to_owned()),
    };
    let addresses: Vec<SocketAddr> = match timeout(limit, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err(fault(format!("the name cannot be looked up: {error}"))),
        Err(_) => return Err(fault(format!("the name was not looked up within {} s", limit.as_secs_f32()))),
    };
    if addresses.is_empty() {
        return Err(fault("the name has no address".to_owned()));
    }
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(SocketAddr::is_ipv6);
    // The resolver's order says which family it would rather use.
    let (first, second) = if addresses.first().is_some_and(SocketAddr::is_ipv6) { (v6, v4) } else { (v4, v6) };
    let longest = first.len().max(second.len());
    Ok((0..longest).flat_map(|at| [first.get(at).copied(), second.get(at).copied()]).flatten().collect())
}

/// Connects to the first address that answers within the limit.
pub(super) async fn dial(host: &str, addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, Error> {
    let mut attempts: FuturesUnordered<_> = addresses
        .iter()
        .enumerate()
        .map(|(at, &address)| async move {
            sleep(HEAD_START * u32::try_from(at).unwrap_or(u32::MAX)).await;
            timeout(limit, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
        .collect();
    let mut failure = None;
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(stream) => {
                prepare(&stream);
                return Ok(stream);
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    let error = failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
    Err(Error::Connect { host: host.to_owned(), reason: reason(&error, limit), hint: hint(&error) })
}

/// Both settings only make things better; a system that refuses one goes without.
fn prepare(stream: &TcpStream) {
    drop(stream.set_nodelay(true));
    drop(SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE)));
}

fn reason(error: &io::Error, limit: Duration) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "the connection is refused: nothing listens on this port".to_owned(),
        io::ErrorKind::TimedOut => format!("no answer within {} s", limit.as_secs_f32()),
        _ => error.to_string(),
    }
}

fn hint(error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some("check host and port, and that the server runs".to_owned()),
        io::ErrorKind::TimedOut => Some("check that no firewall between here and there blocks the port".to_owned()),
        _ => None,
    }
}

fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
