//! The commands of the prompt: those that begin with `\`, as in psql, or with `.`, as in other shells.

use clap::ValueEnum;

use crate::exit::did_you_mean;
use crate::output::Format;

/// What `\?` says.
pub(super) const HELP: &str = "\
SQL ends with ; and may go over several lines. A file can stand for a table: FROM 'data.root:Events'
  \\d              list the tables
  \\d TABLE        list the columns of a table
  \\timing         switch the time of every query on or off
  \\format FORMAT  table, csv, tsv, json, ndjson or markdown
  \\?              this help
  \\q              leave (also Ctrl-D)
Tab completes names; Ctrl-C stops a query.";

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Leave.
    Quit,
    /// Help.
    Help,
    /// The tables, or the columns of one.
    Describe(Option<String>),
    /// Timing on, off, or the other way round.
    Timing(Option<bool>),
    /// The format of results.
    Format(Option<Format>),
}

const NAMES: [&str; 9] = ["d", "q", "quit", "exit", "?", "help", "timing", "format", "mode"];

/// Reads a command; `None` if the line is SQL.
pub(super) fn parse(line: &str) -> Result<Option<Command>, String> {
    let line = line.trim().trim_end_matches(';').trim_end();
    if matches!(line.to_ascii_lowercase().as_str(), "quit" | "exit") {
        return Ok(Some(Command::Quit));
    }
    let Some(rest) = line.strip_prefix(['\\', '.']) else {
        return Ok(None);
    };
    let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let argument = Some(argument.trim()).filter(|a| !a.is_empty());
    let command = match name {
        "q" | "quit" | "exit" => Command::Quit,
        "?" | "h" | "help" => Command::Help,
        "d" | "dt" | "tables" => Command::Describe(argument.map(str::to_string)),
        "timing" | "timer" => Command::Timing(match argument {
            None => None,
            Some("on") => Some(true),
            Some("off") => Some(false),
            Some(other) => return Err(format!("timing is on or off, not '{other}'")),
        }),
        "format" | "mode" => Command::Format(match argument {
            None => None,
            Some(word) => Some(Format::from_str(word, true).map_err(|_| {
                let all = Format::value_variants().iter().filter_map(ValueEnum::to_possible_value);
                let all: Vec<String> = all.map(|v| v.get_name().to_string()).collect();
                format!("there is no format '{word}'{}", did_you_mean(word, all.iter().map(String::as_str)))
            })?),
        }),
        other => {
            return Err(format!("there is no command \\{other}{}; \\? lists them", did_you_mean(other, NAMES)));
        }
    };
    Ok(Some(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_sql() {
        for (line, command) in [
            ("\\q", Command::Quit),
            (".exit", Command::Quit),
            ("quit;", Command::Quit),
            (" \\? ", Command::Help),
            ("\\d", Command::Describe(None)),
            ("\\d  t;", Command::Describe(Some("t".into()))),
            ("\\timing off", Command::Timing(Some(false))),
            (".mode CSV", Command::Format(Some(Format::Csv))),
            ("\\format", Command::Format(None)),
        ] {
            assert_eq!(parse(line), Ok(Some(command)), "{line}");
        }
        for line in ["SELECT 1;", "exit_code", "d"] {
            assert_eq!(parse(line), Ok(None), "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_answered_with_the_nearest() {
        assert!(parse("\\timming").unwrap_err().contains("did you mean 'timing'?"));
        assert!(parse("\\format jason").unwrap_err().contains("json"));
        assert!(parse("\\timing maybe").is_err());
    }
}
