//! Settings of places that are not local: sections of the configuration file, and `--set SECTION.KEY=VALUE` before them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use eos_io::Settings;
use serde::Deserialize;
use toml::{Table, Value};

use crate::exit::did_you_mean;

/// The sections and their keys.
pub const SECTIONS: [(&str, &[&str]); 6] = [
    (
        "xrootd",
        &[
            "connections",
            "connect_timeout",
            "silence_timeout",
            "request_timeout",
            "wait_limit",
            "retries",
            "hedge_after",
            "verify",
            "user",
        ],
    ),
    ("eos", &["default_host", "hosts"]),
    ("http", &["connect_timeout", "read_timeout", "retries", "token_hosts", "plain_redirects", "headers"]),
    ("s3", &["endpoint", "region", "anonymous", "virtual_hosted", "machine_role"]),
    ("hdfs", &["config_dir", "timeout", "options"]),
    ("credentials", &["token_file", "certificate", "key", "authorities_dir", "authorities_file"]),
];

/// What was set, and where.
#[derive(Debug, Clone, Default)]
pub struct Remote {
    sections: Table,
    /// `section.key` of those from the command line.
    given: Vec<String>,
}

impl Remote {
    /// Takes the sections out of a configuration file.
    pub fn take(file: &mut Table) -> Self {
        let sections = SECTIONS.iter().filter_map(|(name, _)| file.remove_entry(*name)).collect();
        Self { sections, given: Vec::new() }
    }

    /// Whether a key of `--set` is for a section, and not for a table of files.
    pub fn is_key(key: &str) -> bool {
        key.split_once('.').is_some_and(|(section, _)| SECTIONS.iter().any(|(name, _)| *name == section))
    }

    /// Sets `section.key`, or `section.key.name` where names have values, to what the command line says.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        // As in the file, but a text needs no quotes.
        let read = format!("v = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
        let value = read.unwrap_or_else(|| Value::String(value.to_string()));
        let mut names: Vec<&str> = key.splitn(3, '.').collect();
        let last = names.pop().unwrap_or_default();
        let mut table = &mut self.sections;
        for name in names {
            let below = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
            table = below.as_table_mut().ok_or_else(|| format!("'{name}' has no names below it"))?;
        }
        table.insert(last.to_string(), value);
        self.given.push(key.splitn(3, '.').take(2).collect::<Vec<_>>().join("."));
        Ok(())
    }

    /// What the stores take.
    pub fn settings(&self) -> Result<Settings, String> {
        for (section, keys) in SECTIONS {
            let Some(set) = self.sections.get(section) else { continue };
            let set = set.as_table().ok_or_else(|| format!("{section}: a section is expected: [{section}]"))?;
            if let Some(unknown) = set.keys().find(|key| !keys.contains(&key.as_str())) {
                let hint = did_you_mean(unknown, keys.iter().copied());
                return Err(format!("there is no setting '{section}.{unknown}'{hint}"));
            }
        }
        let parsed: Sections =
            self.sections.clone().try_into().map_err(|e: toml::de::Error| e.message().to_string())?;
        Ok(parsed.settings())
    }

    /// The sections as `config show` prints them: a name, and what is set in it with its origin.
    pub fn shown(&self, file: &str) -> Vec<(&'static str, Vec<(String, String)>)> {
        let show = |section: &'static str, keys: &[&str]| {
            let set = self.sections.get(section).and_then(Value::as_table);
            let lines = keys.iter().filter_map(|key| {
                let value = set?.get(*key)?;
                let is_given = self.given.iter().any(|given| *given == format!("{section}.{key}"));
                let origin = if is_given { "command line" } else { file };
                Some((format!("{key} = {}", masked(key, value)), origin.to_string()))
            });
            (section, lines.collect())
        };
        SECTIONS.iter().map(|(section, keys)| show(section, keys)).collect()
    }
}

/// A value in one line. Headers often carry credentials: only their names are shown.
fn masked(key: &str, value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let entry = |(name, value): (&String, &Value)| match key {
                "headers" => format!("{} = \"***\"", Value::String(name.clone())),
                _ => format!("{} = {value}", Value::String(name.clone())),
            };
            format!("{{ {} }}", table.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Sections {
    xrootd: Xrootd,
    eos: Eos,
    http: Http,
    s3: S3,
    hdfs: Hdfs,
    credentials: Credentials,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Xrootd {
    connections: Option<usize>,
    connect_timeout: Option<Time>,
    silence_timeout: Option<Time>,
    request_timeout: Option<Time>,
    wait_limit: Option<Time>,
    retries: Option<u32>,
    hedge_after: Option<Time>,
    verify: bool,
    user: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Eos {
    hosts: BTreeMap<String, String>,
    default_host: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Http {
    headers: BTreeMap<String, String>,
    connect_timeout: Option<Time>,
    read_timeout: Option<Time>,
    retries: Option<u32>,
    token_hosts: Option<Vec<String>>,
    plain_redirects: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct S3 {
    endpoint: Option<String>,
    region: Option<String>,
    anonymous: bool,
    virtual_hosted: bool,
    machine_role: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hdfs {
    config_dir: Option<PathBuf>,
    options: BTreeMap<String, String>,
    timeout: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Credentials {
    token_file: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    authorities_dir: Option<PathBuf>,
    authorities_file: Option<PathBuf>,
}

impl Sections {
    fn settings(self) -> Settings {
        let Self { xrootd, eos, http, s3, hdfs, credentials } = self;
        let time = |time: Option<Time>| time.map(|Time(time)| time);
        let mut settings = Settings::default();
        settings.xrootd.connections = xrootd.connections;
        settings.xrootd.connect_timeout = time(xrootd.connect_timeout);
        settings.xrootd.silence_timeout = time(xrootd.silence_timeout);
        settings.xrootd.request_timeout = time(xrootd.request_timeout);
        settings.xrootd.wait_limit = time(xrootd.wait_limit);
        settings.xrootd.retries = xrootd.retries;
        settings.xrootd.hedge_after = time(xrootd.hedge_after);
        settings.xrootd.verify = xrootd.verify;
        settings.xrootd.user = xrootd.user;
        settings.eos.hosts = eos.hosts;
        settings.eos.default_host = eos.default_host;
        settings.http.headers = http.headers;
        settings.http.connect_timeout = time(http.connect_timeout).unwrap_or(settings.http.connect_timeout);
        settings.http.read_timeout = time(http.read_timeout).unwrap_or(settings.http.read_timeout);
        settings.http.retries = http.retries.unwrap_or(settings.http.retries);
        settings.http.token_hosts = http.token_hosts;
        settings.http.plain_redirects = http.plain_redirects;
        settings.s3.endpoint = s3.endpoint;
        settings.s3.region = s3.region;
        settings.s3.anonymous = s3.anonymous;
        settings.s3.virtual_hosted = s3.virtual_hosted;
        settings.s3.machine_role = s3.machine_role;
        settings.hdfs.config_dir = hdfs.config_dir;
        settings.hdfs.options = hdfs.options;
        settings.hdfs.timeout = time(hdfs.timeout).unwrap_or(settings.hdfs.timeout);
        settings.credentials.token_file = credentials.token_file;
        settings.credentials.certificate = credentials.certificate;
        settings.credentials.key = credentials.key;
        settings.credentials.authorities_dir = credentials.authorities_dir;
        settings.credentials.authorities_file = credentials.authorities_file;
        settings
    }
}

/// A time as people write it: a number of seconds, `500ms`, `10s`, `5m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Spelling")]
struct Time(Duration);

#[derive(Deserialize)]
#[serde(untagged)]
enum Spelling {
    Seconds(f64),
    Text(String),
}

impl TryFrom<Spelling> for Time {
    type Error = String;

    fn try_from(spelling: Spelling) -> Result<Self, String> {
        let bad =
            || "a time is a number of seconds, or a number with ms, s, m or h behind it, such as \"30s\"".to_string();
        let seconds = match spelling {
            Spelling::Seconds(seconds) => seconds,
            Spelling::Text(text) => {
                let text = text.trim();
                let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
                let (number, unit) = text.split_at_checked(split).ok_or_else(bad)?;
                let unit = match unit {
                    "ms" => 1e-3,
                    "" | "s" => 1.0,
                    "m" | "min" => 60.0,
                    "h" => 3600.0,
                    _ => return Err(bad()),
                };
                number.trim().parse::<f64>().map_err(|_| bad())? * unit
            }
        };
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        Remote::take(&mut text.parse().unwrap()).settings()
    }

    #[test]
    fn every_key_that_is_listed_can_be_set() {
        for (section, keys) in SECTIONS {
            for key in keys {
                let value = match *key {
                    "hosts" | "headers" | "options" => "{ a = \"b\" }",
                    "token_hosts" => "[\"a\"]",
                    "verify" | "plain_redirects" | "anonymous" | "virtual_hosted" | "machine_role" => "true",
                    "connections" | "retries" => "3",
                    key if key.contains("timeout") || key.ends_with("_limit") || key.ends_with("_after") => "\"3s\"",
                    _ => "\"text\"",
                };
                read(&format!("[{section}]\n{key} = {value}")).unwrap_or_else(|e| panic!("{section}.{key}: {e}"));
            }
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, milliseconds) in
            [("5", 5000), ("0.5", 500), ("\"250ms\"", 250), ("\"2 m\"", 120_000), ("\"1h\"", 3_600_000)]
        {
            let settings = read(&format!("[xrootd]\nconnect_timeout = {text}")).unwrap();
            assert_eq!(settings.xrootd.connect_timeout, Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["-1", "\"soon\"", "\"3 days\"", "true"] {
            assert!(read(&format!("[xrootd]\nconnect_timeout = {text}")).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let mut remote = Remote::take(&mut "[eos.hosts]\npublic = \"a\"\n[s3]\nregion = \"x\"".parse().unwrap());
        remote.set("eos.hosts.public", "root://b").unwrap();
        remote.set("xrootd.connections", "8").unwrap();
        let settings = remote.settings().unwrap();
        assert_eq!(settings.eos.hosts["public"], "root://b");
        assert_eq!((settings.xrootd.connections, settings.s3.region.as_deref()), (Some(8), Some("x")));
        let shown = remote.shown("c.toml");
        assert_eq!(shown[0].1, [("connections = 8".to_string(), "command line".to_string())]);
        assert_eq!(shown[3].1, [("region = \"x\"".to_string(), "c.toml".to_string())]);
        assert!(Remote::is_key("xrootd.retries") && !Remote::is_key("tree") && !Remote::is_key("my.tree"));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(read("[xrootd]\nconections = 3").unwrap_err().contains("did you mean 'connections'?"));
        assert!(read("xrootd = 3").unwrap_err().contains("[xrootd]"));
        assert!(read("[xrootd]\nconnections = \"many\"").is_err());
    }

    #[test]
    fn headers_are_shown_without_what_they_say() {
        let remote = Remote::take(&mut "[http.headers]\nAuthorization = \"secret\"".parse().unwrap());
        let shown = format!("{:?}", remote.shown("c.toml"));
        assert!(shown.contains("Authorization") && !shown.contains("secret"), "{shown}");
    }
}
