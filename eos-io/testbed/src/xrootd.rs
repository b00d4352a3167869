//! One XRootD server, of every kind.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::credentials::{Ca, Identity, Kdc, SssKey, TokenIssuer, Variables, variable};
use crate::place::Dir;
use crate::port::Port;
use crate::process::{Failed, Process, Spec};
use crate::volume::Volume;

/// A running XRootD server on loopback. It is stopped, and its directory removed, when this is dropped or the process
/// ends, however it ends.
///
/// ```no_run
/// let server = eos_testbed::Xrootd::standalone().start();
/// server.volume().write("/hello.txt", "hello");
/// assert!(server.url("/hello.txt").starts_with("root://127.0.0.1:"));
/// ```
#[derive(Debug)]
pub struct Xrootd {
    /// In a cluster the daemon that finds the other servers, and the server itself; none while it is down. Declared
    /// first, so that they end before their directories are removed.
    processes: Mutex<Vec<Process>>,
    specs: Vec<Spec>,
    scheme: &'static str,
    host: &'static str,
    port: Port,
    http: Option<Http>,
    env: Variables,
    volume: Arc<Volume>,
    dir: Dir,
    _security: Security,
}

#[derive(Debug)]
enum Http {
    SamePort,
    Tls(Port),
}

/// How users prove who they are.
#[derive(Clone, Debug)]
enum Security {
    None,
    Unix,
    Sss { key: Arc<SssKey>, signed: bool },
    Kerberos { keytab: PathBuf, config: PathBuf },
    Token(Arc<TokenIssuer>),
    Gsi,
}

/// When connections are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    Never,
    /// If the client asks for it.
    Capable,
    /// Until the user is logged in.
    Login,
    Always,
}

/// How clients learn that a file has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Polled,
    Announced,
}

/// What a server is to be like.
#[derive(Clone, Debug)]
#[must_use]
pub struct XrootdBuilder {
    scheme: &'static str,
    host: &'static str,
    http: bool,
    security: Security,
    tls: Tls,
    identity: Option<Identity>,
    read_only: bool,
    lines: Vec<String>,
    env: Variables,
    file_limit: Option<u64>,
    volume: Option<Arc<Volume>>,
    stage: Option<Stage>,
    member: Option<Member>,
}

/// The part of a server in a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Member {
    /// Through whose daemon, on this port, the servers are found.
    Manager(u16),
    /// The port of the manager's daemon.
    Server(u16),
}

impl Xrootd {
    /// A server for everybody: `root://` and, on the same port, `http://` with WebDAV; it knows the checksums adler32,
    /// crc32c and md5.
    pub fn standalone() -> XrootdBuilder {
        XrootdBuilder { http: true, ..XrootdBuilder::new() }
    }

    /// A server in a cluster.
    pub(crate) fn member(member: Member) -> XrootdBuilder {
        XrootdBuilder { member: Some(member), ..XrootdBuilder::new() }
    }

    /// A server that believes users' names, as the FSTs of EOS do.
    pub fn unix() -> XrootdBuilder {
        XrootdBuilder { security: Security::Unix, ..XrootdBuilder::new() }
    }

    /// A server that asks for a shared secret.
    pub fn sss() -> XrootdBuilder {
        Self::sss_with(Arc::new(SssKey::new()))
    }

    /// A server that asks for this shared secret.
    pub fn sss_with(key: Arc<SssKey>) -> XrootdBuilder {
        XrootdBuilder { security: Security::Sss { key, signed: false }, ..XrootdBuilder::new() }
    }

    /// A server that asks for a shared secret and for a signature of every request.
    pub fn signing() -> XrootdBuilder {
        let security = Security::Sss { key: Arc::new(SssKey::new()), signed: true };
        XrootdBuilder { security, ..XrootdBuilder::new() }
    }

    /// A server that asks for Kerberos tickets, as the service `host/localhost`. [`Xrootd::env`] names no tickets: they
    /// are those of [`Kdc::kinit`].
    pub fn kerberos(kdc: &Kdc) -> XrootdBuilder {
        let keytab = kdc.keytab("xrootd.keytab", &["host/localhost"]);
        let security = Security::Kerberos { keytab, config: kdc.config() };
        XrootdBuilder { security, host: "localhost", ..XrootdBuilder::new() }
    }

    /// A server that can speak TLS (`root://` works as well as `roots://`), and `https://` on a port of its own.
    pub fn tls() -> XrootdBuilder {
        Self::standalone().tls()
    }

    /// A server that wants TLS for the login, which is by shared secret, though clients ask for `root://`.
    pub fn tls_login() -> XrootdBuilder {
        let security = Security::Sss { key: Arc::new(SssKey::new()), signed: false };
        XrootdBuilder { security, tls: Tls::Login, scheme: "root", ..XrootdBuilder::new().tls() }
    }

    /// A server that asks for a bearer token, over TLS alone.
    pub fn ztn(issuer: &Arc<TokenIssuer>) -> XrootdBuilder {
        let security = Security::Token(Arc::clone(issuer));
        XrootdBuilder { security, tls: Tls::Always, ..XrootdBuilder::new().tls() }
    }

    /// A server that asks for a user's certificate, or a proxy of one.
    pub fn gsi() -> XrootdBuilder {
        XrootdBuilder { security: Security::Gsi, host: "localhost", ..XrootdBuilder::new() }
    }

    /// A server that brings files below `/stage` from elsewhere when they are opened, in about two seconds, and has
    /// clients poll for them. A file whose name contains `never` never comes. What comes are the bytes of
    /// `/staged.bin`.
    pub fn stage() -> XrootdBuilder {
        XrootdBuilder { stage: Some(Stage::Polled), ..XrootdBuilder::new() }
    }

    /// The same, but clients are told later without asking again.
    pub fn stage_async() -> XrootdBuilder {
        XrootdBuilder { stage: Some(Stage::Announced), ..XrootdBuilder::new() }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The URL of a file: `root://127.0.0.1:1234//dir/file`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}:{}//{}", self.scheme, self.host, self.port(), path.trim_start_matches('/'))
    }

    /// The URL of a file over HTTP.
    ///
    /// # Panics
    /// If it does not speak HTTP.
    pub fn http_url(&self, path: &str) -> String {
        let path = path.trim_start_matches('/');
        match &self.http {
            Some(Http::SamePort) => format!("http://{}:{}/{path}", self.host, self.port()),
            Some(Http::Tls(port)) => format!("https://{}:{}/{path}", self.host, port.number()),
            None => panic!("this server does not speak HTTP"),
        }
    }

    /// The port of HTTP, where it has one.
    pub fn http_port(&self) -> Option<u16> {
        self.http.as_ref().map(|http| match http {
            Http::SamePort => self.port(),
            Http::Tls(port) => port.number(),
        })
    }

    /// The directory with its configuration and logs.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// What it serves.
    pub fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// The variables that a client needs.
    pub fn env(&self) -> &Variables {
        &self.env
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        let logs = self.specs.iter().map(|spec| std::fs::read(&spec.log).unwrap_or_default());
        logs.map(|log| String::from_utf8_lossy(&log).into_owned()).collect()
    }

    /// The number of its process, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.processes.lock().unwrap().last().map(Process::id)
    }

    /// Ends it at once, as a crash does. Its files and its port stay.
    pub fn kill(&self) {
        self.processes.lock().unwrap().clear();
    }

    /// Starts it again on the same port, after ending it if it runs.
    ///
    /// # Panics
    /// With its log, if it does not come up.
    pub fn restart(&self) {
        let mut processes = self.processes.lock().unwrap();
        processes.clear();
        *processes = start(&self.specs).unwrap_or_else(|failed| failed.give_up());
    }

    /// Stops it in its tracks: connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.processes.lock().unwrap().iter().for_each(Process::pause);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.processes.lock().unwrap().iter().for_each(Process::resume);
    }
}

fn start(specs: &[Spec]) -> Result<Vec<Process>, Failed> {
    specs.iter().map(Process::start).collect()
}

impl XrootdBuilder {
    fn new() -> Self {
        Self {
            env: Vec::new(),
            scheme: "root",
            host: "127.0.0.1",
            http: false,
            security: Security::None,
            tls: Tls::Never,
            identity: None,
            read_only: false,
            lines: Vec::new(),
            file_limit: None,
            volume: None,
            stage: None,
            member: None,
        }
    }

    /// Adds a line to its configuration, such as `xrootd.async off nosf`.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Answers reads in frames of 2 MiB, one request at a time, as EOS does.
    pub fn like_eos(self) -> Self {
        self.line("xrootd.async off nosf")
    }

    /// Refuses to change anything.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Sets a variable of its environment.
    pub fn server_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Can speak TLS as well: `root://` and `roots://`.
    pub fn tls(mut self) -> Self {
        self.tls = Tls::Capable;
        self.identity = Some(Ca::of_this_process().server());
        (self.scheme, self.host) = ("roots", "localhost");
        self
    }

    /// Shows another certificate than the one for `localhost`.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Serves files that are already there, perhaps of another server.
    pub fn volume(mut self, volume: Arc<Volume>) -> Self {
        self.volume = Some(volume);
        self
    }

    /// Makes writing beyond a file's size fail.
    pub fn file_limit(mut self, bytes: u64) -> Self {
        self.file_limit = Some(bytes);
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// With its log, if it does not come up, and with the name of the package if a program is missing.
    pub fn start(self) -> Xrootd {
        let mut attempts = 5;
        loop {
            attempts -= 1;
            match self.try_start() {
                Ok(server) => return server,
                Err(Failed::PortTaken) if attempts > 0 => {}
                Err(failed) => failed.give_up(),
            }
        }
    }

    fn try_start(&self) -> Result<Xrootd, Failed> {
        let dir = Dir::new("xrootd");
        let volume = self.volume.clone().unwrap_or_default();
        let port = Port::free();
        let http = match (self.http, self.tls) {
            (false, _) => None,
            (true, Tls::Never) => Some(Http::SamePort),
            (true, _) => Some(Http::Tls(Port::free())),
        };
        let mut server_env = self.env.clone();
        let mut env = Variables::new();
        let mut lines = vec![
            format!("all.export / {}", if self.read_only { "r/o" } else { "r/w" }),
            format!("oss.localroot {}", volume.path("/").display()),
            "xrd.network nodnr keepalive".to_owned(),
            "xrd.sched mint 8 maxt 64".to_owned(),
            "xrootd.chksum max 2 adler32 crc32c md5".to_owned(),
        ];
        lines.extend(self.tls_lines(&mut env));
        lines.extend(self.security_lines(&mut env, &mut server_env));
        match &http {
            Some(Http::SamePort) => lines.push(format!("xrd.protocol http:{} libXrdHttp.so", port.number())),
            Some(Http::Tls(port)) => lines.extend(self.https_lines(port.number())),
            None => {}
        }
        if let Some(how) = self.stage {
            lines.extend(stage_lines(how, &dir, &volume));
        }
        lines.extend(self.lines.iter().cloned());

        let mut specs = Vec::new();
        if let Some(member) = self.member {
            lines.extend(member.lines());
            let daemon_port = match member {
                Member::Manager(port) => format!("xrd.port {port}"),
                Member::Server(_) => "xrd.port any".to_owned(),
            };
            let answers = if let Member::Manager(port) = member { Some(port) } else { None };
            specs.push(spec(&dir, "cmsd", &lines, &daemon_port, &server_env, answers));
        }
        let at = format!("xrd.port {}", port.number());
        let mut server = spec(&dir, "xrootd", &lines, &at, &server_env, Some(port.number()));
        server.file_limit = self.file_limit;
        // After the daemon: a server that does not find it tries again after ten seconds.
        specs.push(server);

        let processes = Mutex::new(start(&specs)?);
        let (scheme, host, _security) = (self.scheme, self.host, self.security.clone());
        Ok(Xrootd { processes, specs, scheme, host, port, http, env, volume, dir, _security })
    }

    fn tls_lines(&self, env: &mut Variables) -> Vec<String> {
        let Some(identity) = &self.identity else { return Vec::new() };
        let ca = Ca::of_this_process();
        env.extend(ca.env());
        let mut lines = vec![
            format!("xrd.tls {} {}", identity.certificate.display(), identity.key.display()),
            format!("xrd.tlsca certdir {}", ca.directory().display()),
        ];
        match self.tls {
            Tls::Never | Tls::Capable => {}
            Tls::Login => lines.push("xrootd.tls capable login".to_owned()),
            Tls::Always => lines.push("xrootd.tls all".to_owned()),
        }
        lines
    }

    fn https_lines(&self, port: u16) -> Vec<String> {
        let Some(identity) = &self.identity else { return Vec::new() };
        vec![
            format!("xrd.protocol https:{port} libXrdHttp.so"),
            format!("http.cadir {}", Ca::of_this_process().directory().display()),
            format!("http.cert {}", identity.certificate.display()),
            format!("http.key {}", identity.key.display()),
        ]
    }

    fn security_lines(&self, env: &mut Variables, server_env: &mut Variables) -> Vec<String> {
        let (name, arguments) = match &self.security {
            Security::None => return Vec::new(),
            Security::Unix => ("unix", String::new()),
            Security::Sss { key, .. } => {
                env.extend(key.env());
                ("sss", format!("-s {}", key.server_keytab().display()))
            }
            Security::Kerberos { keytab, config } => {
                env.push(variable("KRB5_CONFIG", config));
                server_env.push(variable("KRB5_CONFIG", config));
                // A cache of replays would be a file that servers of several tests share.
                server_env.push(("KRB5RCACHETYPE".to_owned(), "none".to_owned()));
                ("krb5", format!("{} host/localhost@{}", keytab.display(), Kdc::REALM))
            }
            Security::Token(issuer) => {
                env.extend(issuer.env());
                server_env.push(variable("XDG_CACHE_HOME", issuer.server_cache()));
                ("ztn", String::new())
            }
            Security::Gsi => {
                let ca = Ca::of_this_process();
                env.extend(ca.env());
                env.push(variable("X509_USER_PROXY", ca.proxy()));
                env.push(("XrdSecGSISRVNAMES".to_owned(), "*".to_owned()));
                let host = ca.server();
                let arguments = format!(
                    "-certdir:{} -cert:{} -key:{} -crl:0 -gmapopt:10 -dlgpxy:0",
                    ca.directory().display(),
                    host.certificate.display(),
                    host.key.display()
                );
                ("gsi", arguments)
            }
        };
        env.push(("XrdSecPROTOCOL".to_owned(), name.to_owned()));
        let mut lines = vec![
            "xrootd.seclib libXrdSec.so".to_owned(),
            format!("sec.protocol {name} {arguments}"),
            format!("sec.protbind * only {name}"),
        ];
        match &self.security {
            Security::Sss { signed: true, .. } => lines.push("sec.level all pedantic force".to_owned()),
            Security::Token(issuer) => lines.extend([
                "ofs.authorize 1".to_owned(),
                format!("ofs.authlib libXrdAccSciTokens.so config={}", issuer.server_config().display()),
            ]),
            _ => {}
        }
        lines
    }
}

/// Files below `/stage` come from a script. The synchronous kind runs it per file; the asynchronous kind writes
/// requests to it and hears of the result on a pipe that the request names.
fn stage_lines(how: Stage, dir: &Dir, volume: &Volume) -> Vec<String> {
    volume.folder("/stage").write("/staged.bin", crate::random_bytes(1, 1 << 20));
    let data = volume.path("/").display().to_string();
    let script = dir.file(
        "stage.sh",
        format!(
            "#!/bin/bash\nget() {{\n  case $1 in *never*) while kill -0 $PPID; do sleep 1; done; exit 1;; esac\n  sleep \
             2\n  cp {data}staged.bin \"{data}${{1#{data}}}\"\n}}\nif [[ ${{1:-}} ]]; then get \"$1\"; exit; fi\nwhile \
             read -r op id fifo prty act path; do\n  ( get \"$path\"; echo \"stage OK $path\" \
             >\"${{fifo#file:///}}\" ) </dev/null &\ndone\n"
        ),
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("the script is ours");
    let command = match how {
        Stage::Polled => format!("sync {}", script.display()),
        Stage::Announced => format!("async |{}", script.display()),
    };
    vec!["all.export /stage stage r/w".to_owned(), format!("oss.stagecmd {command}"), "oss.xfr 4 1g 2".to_owned()]
}

impl Member {
    fn lines(self) -> Vec<String> {
        let (role, port) = match self {
            Self::Manager(port) => ("manager", port),
            Self::Server(port) => ("server", port),
        };
        vec![
            format!("all.role {role}"),
            format!("all.manager 127.0.0.1:{port}"),
            "cms.allow host *".to_owned(),
            // All in seconds, for servers that are all on one machine.
            "cms.delay startup 1 lookup 1 qdl 1 servers 1 suspend 1 full 1".to_owned(),
            // Any server that has the file, not always the least busy one.
            "cms.sched fuzz 100".to_owned(),
            // However full the disk is.
            "cms.space min 10m 11m".to_owned(),
        ]
    }
}

/// How to start one of the two daemons of XRootD.
fn spec(dir: &Dir, program: &'static str, lines: &[String], at: &str, env: &Variables, port: Option<u16>) -> Spec {
    let admin = dir.folder("admin");
    let mut config = format!("all.adminpath {0}\nall.pidpath {0}\n{at}\n", admin.display());
    config.extend(lines.iter().map(|line| format!("{line}\n")));
    let config = dir.file(&format!("{program}.cfg"), config);
    // Beside this file it writes another one, which all servers of the machine would otherwise share.
    let identity = admin.join(format!("{program}.id"));
    let text = |path: &Path| path.to_str().expect("our own names are plain").to_owned();
    let (config, identity) = (text(&config), text(&identity));
    Spec {
        program: crate::tools::program(program),
        // Not `-l LOG`: the thread that it starts to rotate the log crashes one start in fifty.
        args: ["-I", "v4", "-c", &config, "-s", &identity].map(str::to_owned).to_vec(),
        env: env.clone(),
        dir: admin,
        log: dir.path().join(format!("{program}.log")),
        as_server: true,
        file_limit: None,
        ready: "initialization completed",
        port,
    }
}
