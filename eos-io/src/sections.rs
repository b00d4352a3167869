//! Settings as a configuration file spells them: one section for each protocol. Every program that opens stores for its user
//! reads them here, so that a file means the same to all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

use crate::settings::Settings;
use crate::suggest::similar;

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

/// A setting that does not exist, or a value that it cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// There is no such section.
    #[error("there is no section '{name}'; there are {}", SECTIONS.map(|(name, _)| name).join(", "))]
    NoSection {
        /// Its name.
        name: String,
    },
    /// What has the name of a section is none.
    #[error("{section}: a section is expected: [{section}]")]
    NotASection {
        /// Its name.
        section: &'static str,
    },
    /// A section has no such key.
    #[error("there is no setting '{section}.{key}'{}", similar.iter().map(|near| format!("; did you mean '{near}'?")).collect::<String>())]
    NoKey {
        /// The section.
        section: &'static str,
        /// The key.
        key: String,
        /// The key that was meant, perhaps.
        similar: Option<String>,
    },
    /// A value of the wrong type, or that cannot be read.
    #[error("{reason}")]
    Value {
        /// What is wrong with it.
        reason: String,
    },
}

impl Settings {
    /// The settings of a configuration file.
    ///
    /// ```
    /// use eos_io::Settings;
    ///
    /// let settings = Settings::from_sections("[eos.hosts]\npublic = 'root://eospublic.cern.ch'".parse()?)?;
    /// assert_eq!(settings.eos.hosts["public"], "root://eospublic.cern.ch");
    /// assert!(Settings::from_sections("[xrootd]\nconections = 3".parse()?).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Where a section or a key does not exist, or a value is none for its key.
    pub fn from_sections(sections: Table) -> Result<Self, SettingError> {
        if let Some(name) = sections.keys().find(|name| !SECTIONS.iter().any(|(section, _)| section == name)) {
            return Err(SettingError::NoSection { name: name.clone() });
        }
        for (section, keys) in SECTIONS {
            let Some(set) = sections.get(section) else { continue };
            let set = set.as_table().ok_or(SettingError::NotASection { section })?;
            if let Some(unknown) = set.keys().find(|key| !keys.contains(&key.as_str())) {
                let similar = similar(unknown, keys.iter().copied()).into_iter().next();
                return Err(SettingError::NoKey { section, key: unknown.clone(), similar });
            }
        }
        let parsed: Result<Sections, _> = Value::Table(sections).try_into();
        // The message alone: the rest of the error shows the line, which may hold a header with a secret.
        parsed
            .map(Sections::settings)
            .map_err(|error: toml::de::Error| SettingError::Value { reason: error.message().to_string() })
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

    fn read(text: &str) -> Result<Settings, SettingError> {
        Settings::from_sections(text.parse().unwrap())
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
    fn mistakes_are_named() {
        let text = |file: &str| read(file).unwrap_err().to_string();
        assert!(text("[xrootd]\nconections = 3").contains("did you mean 'connections'?"));
        assert!(text("xrootd = 3").contains("[xrootd]"));
        assert!(text("[xrotd]\nretries = 3").contains("xrootd, eos, http, s3, hdfs, credentials"));
        assert!(read("[xrootd]\nconnections = \"many\"").is_err());
    }
}
