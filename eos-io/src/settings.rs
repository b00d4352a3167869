//! What a user can set about the places where files live. Everything has a default that reads what
//! other programs read (environment variables, files of Hadoop and of the grid), so that an empty
//! configuration works where those do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of all protocols.
///
/// ```
/// use eos_io::{Settings, Stores};
///
/// let mut settings = Settings::default();
/// settings.eos.hosts.insert("public".into(), "root://eospublic.cern.ch".into());
/// settings.s3.endpoint = Some("https://s3.cern.ch".into());
/// let stores = Stores::builder().settings(settings).build();
/// # let _ = stores;
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// Files of this machine.
    pub local: LocalSettings,
    /// XRootD.
    pub xrootd: XrootdSettings,
    /// What `eos://` URLs stand for.
    pub eos: EosSettings,
    /// HTTP and WebDAV.
    pub http: HttpSettings,
    /// S3.
    pub s3: S3Settings,
    /// HDFS.
    pub hdfs: HdfsSettings,
    /// Where tokens, certificates and keys are.
    pub credentials: Credentials,
}

/// Files of this machine.
#[derive(Debug, Clone, Default)]
pub struct LocalSettings {
    /// Folders that alone may be read, and nothing be written, by a process that works for others; by default all that the
    /// process itself may read and write.
    pub only: Option<Vec<PathBuf>>,
}

/// XRootD. Times that are not set are those of the variables `XRD_CONNECTIONWINDOW`, `XRD_STREAMTIMEOUT` and
/// `XRD_REQUESTTIMEOUT`, in seconds, which other clients read too, or else the client's own.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct XrootdSettings {
    /// Connections to one server at most.
    pub connections: Option<usize>,
    /// How long a connection, and each step of a login, may take.
    pub connect_timeout: Option<Duration>,
    /// How long a request may go without a byte from the server.
    pub silence_timeout: Option<Duration>,
    /// How long a request may take altogether, besides what the server asks for.
    pub request_timeout: Option<Duration>,
    /// How long, altogether, a server may ask to wait, as for a file on tape.
    pub wait_limit: Option<Duration>,
    /// How often a request is made again after errors that may pass.
    pub retries: Option<u32>,
    /// After which time another server is asked for a read too; zero for never.
    pub hedge_after: Option<Duration>,
    /// Whether data are read with a checksum for each page, which costs the server a lot of time and takes a request for
    /// each range. Encrypted connections need none, and servers older than XRootD 5 are read without.
    pub verify: bool,
    /// The name to log in with, where the URL has none; by default the user's.
    pub user: Option<String>,
}

/// What `eos://` URLs stand for.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EosSettings {
    /// Names of instances, and the server that each stands for: with `public` for
    /// `root://eospublic.cern.ch`, `eos://public/eos/x.root` is
    /// `root://eospublic.cern.ch//eos/x.root`.
    pub hosts: BTreeMap<String, String>,
    /// The server of `eos:///eos/...`, which names none; by default that of `EOS_MGM_URL`.
    pub default_host: Option<String>,
}

/// HTTP and WebDAV.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpSettings {
    /// Headers sent with every request to a server that the user named; they do not go along to
    /// servers that these redirect to.
    pub headers: BTreeMap<String, String>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a server may send nothing while it is waited for.
    pub read_timeout: Duration,
    /// How often a request is repeated that failed for a reason that may pass.
    pub retries: u32,
    /// Servers that may see the bearer token, over HTTP and over XRootD, where not all may: names, or `*.domain`.
    pub token_hosts: Option<Vec<String>>,
    /// Whether `https://` servers may redirect to `http://`, where everybody on the way can read the data and change them,
    /// as some sites let their data servers do.
    pub plain_redirects: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            headers: BTreeMap::new(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            retries: 4,
            token_hosts: None,
            plain_redirects: false,
        }
    }
}

impl fmt::Debug for HttpSettings {
    /// Headers often carry credentials; only their names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("headers", &self.headers.keys())
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("retries", &self.retries)
            .field("token_hosts", &self.token_hosts)
            .field("plain_redirects", &self.plain_redirects)
            .finish()
    }
}

/// S3. What is not set is read from the environment (`AWS_*`).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct S3Settings {
    /// The server, e.g. `https://s3.cern.ch`; by default that of `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or
    /// `AWS_ENDPOINT`, or else Amazon's. Plain `http://` is allowed if it is written here.
    pub endpoint: Option<String>,
    /// The region; by default that of `AWS_REGION` or `AWS_DEFAULT_REGION`, or `us-east-1`.
    pub region: Option<String>,
    /// Whether requests are sent without credentials, for public buckets.
    pub anonymous: bool,
    /// Whether the bucket is part of the server's name instead of the path.
    pub virtual_hosted: bool,
    /// Whether the role of the machine may serve as credentials, where the machine is one of Amazon's: asking for it
    /// takes long where it is not.
    pub machine_role: bool,
}

/// HDFS.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HdfsSettings {
    /// The directory of `core-site.xml` and `hdfs-site.xml`; by default `HADOOP_CONF_DIR`, or
    /// `HADOOP_HOME/etc/hadoop`.
    pub config_dir: Option<PathBuf>,
    /// Hadoop's own options, which go before those of the files.
    pub options: BTreeMap<String, String>,
    /// How long a server may take for one answer.
    pub timeout: Duration,
}

impl Default for HdfsSettings {
    fn default() -> Self {
        Self { config_dir: None, options: BTreeMap::new(), timeout: Duration::from_secs(60) }
    }
}

/// Where tokens, certificates and keys are. What is not set is looked for where the grid's tools
/// look for it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Credentials {
    /// A file with a bearer token; by default `BEARER_TOKEN`, `BEARER_TOKEN_FILE`,
    /// `$XDG_RUNTIME_DIR/bt_u<uid>` and `/tmp/bt_u<uid>` are looked at.
    pub token_file: Option<PathBuf>,
    /// A file with the user's certificate (or proxy, with its key); by default `X509_USER_PROXY`,
    /// `X509_USER_CERT` and `/tmp/x509up_u<uid>` are looked at.
    pub certificate: Option<PathBuf>,
    /// A file with the key, if it is not in that of the certificate; by default `X509_USER_KEY`.
    pub key: Option<PathBuf>,
    /// A directory with certificates of authorities that are trusted besides the system's; by default `X509_CERT_DIR`,
    /// or `/etc/grid-security/certificates`.
    pub authorities_dir: Option<PathBuf>,
    /// A file with such certificates; by default `X509_CERT_FILE`.
    pub authorities_file: Option<PathBuf>,
}
