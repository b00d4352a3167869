//! Ports that are free, and stay ours while a server is down.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that the system hands out to outgoing connections, one of which could otherwise take the port of a
/// server that is being restarted.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// A port that no other test uses, in this process or another.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// A socket in the abstract namespace: the system removes it together with the process.
    _claim: UnixListener,
}

impl Port {
    /// One that is free.
    pub fn free() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Processes start at different places, so that they seldom try the same ports.
        let start = std::process::id().wrapping_mul(7_919);
        (0..COUNT)
            .find_map(|_| {
                let step = NEXT.fetch_add(1, Ordering::Relaxed);
                let number = u16::try_from(FIRST + start.wrapping_add(step) % COUNT).ok()?;
                let claim = UnixAddr::from_abstract_name(format!("eos-testbed-port-{number}")).ok()?;
                let claim = UnixListener::bind_addr(&claim).ok()?;
                let unused = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, number))).is_ok();
                unused.then_some(Self { number, _claim: claim })
            })
            .expect("some port is free")
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
