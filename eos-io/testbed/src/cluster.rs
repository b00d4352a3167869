//! XRootD servers that work together: a manager with two data servers, and the two kinds of server of EOS.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::credentials::{SssKey, Variables};
use crate::port::Port;
use crate::tools::Tool;
use crate::volume::Volume;
use crate::xrootd::{Member, Xrootd, XrootdBuilder};

const PATIENCE: Duration = Duration::from_secs(60);
/// A file on both data servers, which tells that the manager knows of both.
const PROBE: &str = "/.testbed";

/// A manager that redirects to two data servers, each with files of its own.
///
/// ```no_run
/// let cluster = eos_testbed::Cluster::start();
/// cluster.server(0).volume().write("/only-here.txt", "one");
/// let url = cluster.manager().url("/only-here.txt");
/// cluster.server(0).kill();
/// ```
#[derive(Debug)]
pub struct Cluster {
    manager: Xrootd,
    servers: [Xrootd; 2],
    _port: Port,
}

impl Cluster {
    /// Starts the servers and waits until the manager finds a file at both data servers, which takes some seconds.
    ///
    /// # Panics
    /// If they do not come up or do not find each other.
    pub fn start() -> Self {
        Self::start_with(|server| server)
    }

    /// Starts the servers, each data server with changes to its configuration.
    ///
    /// # Panics
    /// If they do not come up or do not find each other.
    pub fn start_with(change: impl Fn(XrootdBuilder) -> XrootdBuilder) -> Self {
        let port = Port::free();
        let manager = Xrootd::member(Member::Manager(port.number())).start();
        let server = || {
            let volume = Arc::new(Volume::new());
            volume.write(PROBE, "");
            change(Xrootd::member(Member::Server(port.number())).volume(volume)).start()
        };
        let servers = [server(), server()];
        let cluster = Self { manager, servers, _port: port };
        // Whoever asks before that is told to come back ten seconds later.
        let began = Instant::now();
        while !cluster.manager.log().contains("Status changed to active") && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster.wait();
        cluster
    }

    /// The server that clients turn to.
    pub fn manager(&self) -> &Xrootd {
        &self.manager
    }

    /// One of the two data servers, 0 or 1.
    pub fn server(&self, index: usize) -> &Xrootd {
        &self.servers[index]
    }

    /// Waits until the manager knows of both data servers, as it does when they are started; after one was started
    /// again it takes a while as well.
    ///
    /// # Panics
    /// If they do not find each other in a minute.
    pub fn wait(&self) {
        let began = Instant::now();
        loop {
            let manager = format!("127.0.0.1:{}", self.manager.port());
            let found = Tool::new("xrdfs").arg(manager).args("locate -r").arg(PROBE).run();
            let text = found.text();
            if self.servers.iter().all(|server| text.contains(&format!(":{}", server.port()))) {
                return;
            }
            let (waited, log) = (began.elapsed(), || self.manager.log());
            assert!(waited < PATIENCE, "the manager does not find both servers:\n{text}{}\n{}", found.errors, log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Two servers that share the work as those of EOS do.
///
/// The MGM asks for a shared secret, answers `stat` and listings itself, and redirects `open` to the FST. That believes
/// users' names and nothing else, answers one request of a connection at a time, and reads in frames of 2 MiB.
#[derive(Debug)]
pub struct EosLike {
    mgm: Xrootd,
    fst: Xrootd,
    env: Variables,
}

impl EosLike {
    /// Starts both.
    pub fn start() -> Self {
        let fst = Xrootd::unix().like_eos().start();
        Self::in_front_of(fst)
    }

    fn in_front_of(fst: Xrootd) -> Self {
        // Clients may come through a proxy.
        let mgm = Xrootd::sss_with(Arc::new(SssKey::for_any_address()))
            .volume(Arc::clone(fst.volume()))
            .line(format!("xrootd.redirect 127.0.0.1:{} /", fst.port()))
            .start();
        let mut env = mgm.env().clone();
        env.push(("XrdSecPROTOCOL".to_owned(), "sss,unix".to_owned()));
        Self { mgm, fst, env }
    }

    /// The server of names, that clients turn to.
    pub fn mgm(&self) -> &Xrootd {
        &self.mgm
    }

    /// The server of data.
    pub fn fst(&self) -> &Xrootd {
        &self.fst
    }

    /// The files of both.
    pub fn volume(&self) -> &Arc<Volume> {
        self.fst.volume()
    }

    /// The variables that a client needs.
    pub fn env(&self) -> &Variables {
        &self.env
    }
}
