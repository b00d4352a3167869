//! Settings of places that are not local: sections of the configuration file, and `--set SECTION.KEY=VALUE` before them.

use eos_io::{SECTIONS, SettingError, Settings};
use toml::{Table, Value};

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
    pub fn settings(&self) -> Result<Settings, SettingError> {
        Settings::from_sections(self.sections.clone())
    }

    /// The sections as a file that another program reads.
    pub fn to_file(&self) -> String {
        self.sections.to_string()
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn headers_are_shown_without_what_they_say() {
        let remote = Remote::take(&mut "[http.headers]\nAuthorization = \"secret\"".parse().unwrap());
        let shown = format!("{:?}", remote.shown("c.toml"));
        assert!(shown.contains("Authorization") && !shown.contains("secret"), "{shown}");
    }
}
