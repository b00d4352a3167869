//! `version`, `config show` and `completions`: what the program knows of itself.

use std::fmt::Write;

use clap::CommandFactory;
use clap_complete::Shell;
use eos_io::SECTIONS;

use super::Outcome;
use crate::app::App;
use crate::args::Cli;
use crate::exit::{Exit, Failure};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `version [--json]`.
pub fn version(app: &App, json: bool) -> Outcome {
    let text = if json {
        let facts = serde_json::json!({
            "name": env!("CARGO_BIN_NAME"),
            "version": VERSION,
            "datafusion": datafusion::DATAFUSION_VERSION,
            "arrow": arrow::ARROW_VERSION,
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        });
        format!("{facts:#}\n")
    } else {
        format!("{} {VERSION}\n", env!("CARGO_BIN_NAME"))
    };
    app.emit_text(&text)?;
    Ok(Exit::Ok)
}

/// `config show`: every setting with its value and origin, as a file that could be used as configuration.
pub fn config(app: &App) -> Outcome {
    let settings = &app.settings;
    let mut text = match &settings.config_file {
        Some((path, true)) => format!("# configuration file: {}\n", path.display()),
        Some((path, false)) => format!("# configuration file: {} (there is none)\n", path.display()),
        None => "# configuration file: none, as there is no home directory\n".to_string(),
    };
    for (key, value, origin) in &settings.origins {
        let unset = value == "\"unlimited\"";
        let line = format!("{}{key} = {value}", if unset { "# " } else { "" });
        let written = writeln!(text, "{line:<28} # {origin}");
        written.map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
    }
    let file = settings.config_file.as_ref().map(|(path, _)| path.display().to_string()).unwrap_or_default();
    for ((section, set), (_, keys)) in settings.remote.shown(&file).into_iter().zip(SECTIONS) {
        text += &format!("\n[{section}] # {}\n", keys.join(", "));
        text.extend(set.into_iter().map(|(line, origin)| format!("{line:<28} # {origin}\n")));
    }
    app.emit_text(&text)?;
    Ok(Exit::Ok)
}

/// `completions SHELL`.
pub fn completions(app: &App, shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), env!("CARGO_BIN_NAME"), &mut script);
    app.emit_text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
