//! The file system of Hadoop: a name node and data nodes out of Hadoop's own tests, in one Java process.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::credentials::{Kdc, Variables, variable};
use crate::place::Dir;
use crate::process::{Process, Spec};
use crate::tools::{Tool, program};

const POM: &str = include_str!("../hdfs/pom.xml");
const MAIN: &str = include_str!("../hdfs/Hdfs.java");
const DATA_NODES: usize = 2;

/// What Java 17 does not let Hadoop do otherwise.
const OPENED: &[&str] = &["java.base/java.lang", "java.base/java.nio", "java.base/java.net", "java.base/sun.nio.ch"];

const LOGGING: &str = "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n\
                       log4j.appender.out.target=System.err\n\
                       log4j.appender.out.layout=org.apache.log4j.PatternLayout\n\
                       log4j.appender.out.layout.ConversionPattern=%d %p %c: %m%n\n";

/// How much of what is sent is protected once a client has proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing more.
    Authentication,
    /// Nobody can change it.
    Integrity,
    /// Nobody can read it.
    Privacy,
}

impl Protection {
    fn name(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Integrity => "integrity",
            Self::Privacy => "privacy",
        }
    }
}

/// A running file system with two data nodes, blocks of 1 MiB and everybody's permission to write. It takes some
/// seconds to start, and minutes the very first time, when Maven fetches Hadoop.
#[derive(Debug)]
pub struct Hdfs {
    process: Process,
    name_node: u16,
    control: u16,
    http: u16,
    env: Variables,
    dir: Dir,
    jars: PathBuf,
}

impl Hdfs {
    /// One that believes users' names.
    ///
    /// # Panics
    /// With its log, if it does not come up.
    pub fn start() -> Self {
        Self::start_with(&[], Vec::new())
    }

    /// One that asks for Kerberos tickets and encrypts everything. [`Hdfs::env`] names no tickets: they are those of
    /// [`Kdc::kinit`].
    ///
    /// # Panics
    /// With its log, if it does not come up.
    pub fn start_kerberized(kdc: &Kdc) -> Self {
        Self::start_protected(kdc, Protection::Privacy)
    }

    /// One that asks for Kerberos tickets.
    ///
    /// # Panics
    /// With its log, if it does not come up.
    pub fn start_protected(kdc: &Kdc, protection: Protection) -> Self {
        let keytab = kdc.keytab("hdfs.keytab", &["hdfs/localhost", "HTTP/localhost"]).display().to_string();
        let service = format!("hdfs/localhost@{}", Kdc::REALM);
        let web = format!("HTTP/localhost@{}", Kdc::REALM);
        let settings = [
            ("hadoop.security.authentication", "kerberos"),
            ("hadoop.security.authorization", "true"),
            ("hadoop.rpc.protection", protection.name()),
            ("dfs.data.transfer.protection", protection.name()),
            ("dfs.block.access.token.enable", "true"),
            ("dfs.namenode.kerberos.principal", &service),
            ("dfs.namenode.keytab.file", &keytab),
            ("dfs.datanode.kerberos.principal", &service),
            ("dfs.datanode.keytab.file", &keytab),
            ("dfs.web.authentication.kerberos.principal", &web),
            ("dfs.web.authentication.kerberos.keytab", &keytab),
            // Ports below 1024 would otherwise have to prove that data nodes are root's.
            ("ignore.secure.ports.for.testing", "true"),
        ];
        Self::start_with(&settings, kdc.env())
    }

    fn start_with(settings: &[(&str, &str)], env: Variables) -> Self {
        let jars = jars();
        let dir = Dir::new("hdfs");
        let data_nodes = DATA_NODES.to_string();
        let mut all = vec![("dfs.blocksize", "1048576"), ("dfs.replication", "2"), ("testbed.data.nodes", &data_nodes)];
        all.extend(settings);
        let conf = dir.file("server.xml", xml(&all));
        let main = dir.file("Hdfs.java", MAIN);
        let ports = dir.path().join("ports");

        let mut args = java(&dir, &env);
        args.extend([format!("{}/*", jars.display())]);
        args.extend([&main, &dir.path().join("data"), &conf, &ports].map(|path| path.display().to_string()));
        let spec = Spec {
            program: crate::tools::program("java"),
            args,
            env: env.clone(),
            dir: dir.path().to_owned(),
            log: dir.path().join("hdfs.log"),
            as_server: false,
            file_limit: None,
            ready: "the file system is ready",
            port: None,
        };
        let process = Process::start(&spec).unwrap_or_else(|failed| failed.give_up());

        let ports = fs::read_to_string(ports).expect("it writes them before it is ready");
        let mut numbers = ports.split(' ').map(|number| number.parse().expect("a port"));
        let mut next = || numbers.next().expect("three ports");
        let mut hdfs = Self { process, name_node: next(), control: next(), http: next(), env, dir, jars };
        hdfs.configure_clients(settings);
        hdfs
    }

    /// What clients have to know, where they look for it.
    fn configure_clients(&mut self, settings: &[(&str, &str)]) {
        let conf = self.dir.folder("conf");
        let default = format!("hdfs://{}", self.address());
        let of_servers = |name: &str| name.contains("keytab") || name.starts_with("ignore.");
        let (core, hdfs): (Vec<_>, Vec<_>) = settings
            .iter()
            .copied()
            .filter(|(name, _)| !of_servers(name))
            .chain([("fs.defaultFS", default.as_str())])
            .partition(|(name, _)| !name.starts_with("dfs."));
        fs::write(conf.join("core-site.xml"), xml(&core)).expect("our directory");
        fs::write(conf.join("hdfs-site.xml"), xml(&hdfs)).expect("our directory");
        self.env.push(variable("HADOOP_CONF_DIR", conf));
    }

    /// The name node's address, `localhost:1234`.
    pub fn address(&self) -> String {
        format!("localhost:{}", self.name_node)
    }

    /// The URL of a file: `hdfs://localhost:1234/dir/file`.
    pub fn url(&self, path: &str) -> String {
        format!("hdfs://{}/{}", self.address(), path.trim_start_matches('/'))
    }

    /// The URL of a file for the REST interface of the name node.
    pub fn web_url(&self, path: &str) -> String {
        format!("http://localhost:{}/webhdfs/v1/{}", self.http, path.trim_start_matches('/'))
    }

    /// The variables that a client needs: `HADOOP_CONF_DIR` and, with Kerberos, `KRB5_CONFIG`.
    pub fn env(&self) -> &Variables {
        &self.env
    }

    /// Hadoop's own client, with arguments such as `-cat /dir/file`. With Kerberos it needs the variables of tickets.
    pub fn shell(&self, line: &str) -> Tool {
        let class_path = format!("{}:{}/*", self.dir.path().join("conf").display(), self.jars.display());
        let arguments = java(&self.dir, &self.env);
        let tool = arguments.into_iter().fold(Tool::new("java"), Tool::arg);
        tool.arg(class_path).arg("org.apache.hadoop.fs.FsShell").args(line)
    }

    /// Makes a file, as the superuser, that everybody can read.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn write(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.control("PUT", &format!("files/{}", path.trim_start_matches('/')))
            .args("--data-binary @-")
            .input(content)
            .check();
    }

    /// Reads a file, which a client may have written.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn read(&self, path: &str) -> Vec<u8> {
        self.control("GET", &format!("files/{}", path.trim_start_matches('/'))).check().output
    }

    /// Removes a file, or a directory with all that is in it.
    ///
    /// # Panics
    /// If it cannot be removed.
    pub fn remove(&self, path: &str) {
        self.control("DELETE", &format!("files/{}", path.trim_start_matches('/'))).check();
    }

    /// Stops one of the two data nodes, 0 or 1; the other has all blocks as well.
    ///
    /// # Panics
    /// If it cannot be stopped.
    pub fn stop_data_node(&self, index: usize) {
        self.control("POST", &format!("stop-data-node/{index}")).check();
    }

    /// Stops it in its tracks: connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    fn control(&self, method: &str, path: &str) -> Tool {
        let url = format!("http://127.0.0.1:{}/{path}", self.control);
        Tool::new("curl").args("-sS --fail-with-body -X").arg(method).arg(url)
    }
}

/// The arguments of Java up to the class path, which follows.
fn java(dir: &Dir, env: &Variables) -> Vec<String> {
    let logging = dir.file("log4j.properties", LOGGING);
    let mut args = vec![
        "-Xmx512m".to_owned(),
        // It runs for seconds: to compile little and to collect simply takes half the time.
        "-XX:TieredStopAtLevel=1".to_owned(),
        "-XX:+UseSerialGC".to_owned(),
        "-Djava.net.preferIPv4Stack=true".to_owned(),
        format!("-Dlog4j.configuration=file:{}", logging.display()),
    ];
    args.extend(OPENED.iter().map(|module| format!("--add-opens={module}=ALL-UNNAMED")));
    if let Some((_, config)) = env.iter().find(|(name, _)| name == "KRB5_CONFIG") {
        args.push(format!("-Djava.security.krb5.conf={config}"));
        args.push("-Dsun.security.krb5.rcache=none".to_owned());
    }
    args.push("-cp".to_owned());
    args
}

fn xml(settings: &[(&str, &str)]) -> String {
    let properties: String = settings
        .iter()
        .map(|(name, value)| format!("  <property><name>{name}</name><value>{value}</value></property>\n"))
        .collect();
    format!("<configuration>\n{properties}</configuration>\n")
}

/// The directory with Hadoop's jars, outside of the checkout; fetched once, by whichever process comes first.
fn jars() -> PathBuf {
    program("java");
    let mut hasher = DefaultHasher::new();
    POM.hash(&mut hasher);
    let cache = cache().join("hdfs");
    let jars = cache.join(format!("{:016x}", hasher.finish()));
    fs::create_dir_all(&cache).unwrap_or_else(|error| panic!("cannot make {}: {error}", cache.display()));
    let lock = File::create(cache.join("lock")).expect("the cache is ours");
    lock.lock().expect("a file can be locked");
    if !jars.exists() {
        fetch(&cache, &jars);
    }
    jars
}

fn fetch(cache: &Path, jars: &Path) {
    let pom = cache.join("pom.xml");
    fs::write(&pom, POM).expect("the cache is ours");
    let partial = cache.join("partial");
    let _ = fs::remove_dir_all(&partial);
    Tool::new("mvn")
        .args("-B -q -ntp dependency:copy-dependencies -f")
        .arg(&pom)
        .arg(format!("-DoutputDirectory={}", partial.display()))
        .patience(Duration::from_secs(1_200))
        .check();
    fs::rename(partial, jars).expect("both are in the cache");
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").expect("there is a home directory")).join(".cache");
    std::env::var_os("XDG_CACHE_HOME")
        .filter(|path| !path.is_empty())
        .map_or_else(home, PathBuf::from)
        .join("root-query")
}
