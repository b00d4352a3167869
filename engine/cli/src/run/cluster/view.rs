//! What the pods of a cluster do while it is waited for: a table that changes on a terminal, and a line for each change
//! elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use root_kubernetes::{Change, Error, PodView};

use super::phase_and_reason;
use crate::app::App;
use crate::args::ProgressWhen;
use crate::console::Console;

const HEADINGS: [&str; 6] = ["POD", "PHASE", "NODE", "RESTARTS", "IMAGE", "REASON"];

/// What is shown. It goes from the terminal when it is told to end.
pub struct View {
    console: Console,
    pods: BTreeMap<String, PodView>,
    live: Option<Live>,
}

/// A table on a terminal: a bar without a picture for each line.
struct Live {
    lines: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl View {
    /// A view of nothing yet.
    pub fn new(app: &App) -> Self {
        let is_wanted = app.settings.progress == ProgressWhen::Auto && !app.console.is_quiet();
        let live = (is_wanted && std::io::stderr().is_terminal())
            .then(|| Live { lines: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), bars: Vec::new() });
        Self { console: app.console.clone(), pods: BTreeMap::new(), live }
    }

    /// Shows what has changed.
    pub fn show(&mut self, change: &Result<Change, Error>) {
        match change {
            Ok(Change::Pod(pod)) => {
                let before = self.pods.insert(pod.name.clone(), pod.clone());
                let line = line(pod);
                if self.live.is_none() && before.as_ref().map(self::line).as_ref() != Some(&line) {
                    self.console.plain(&line);
                }
            }
            Ok(Change::Gone(name)) => {
                self.pods.remove(name);
                if self.live.is_none() {
                    self.console.plain(&format!("{name}: gone"));
                }
            }
            Ok(Change::Scheduler { why: Some(why), .. }) => {
                self.warn(&format!("the scheduler's pod cannot be made: {why}"));
            }
            Ok(_) => {}
            Err(error) => self.warn(&error.to_string()),
        }
        self.draw();
    }

    /// Takes the table off the terminal.
    pub fn end(&mut self) {
        if let Some(live) = self.live.take() {
            // Nobody can be told that standard error is closed.
            let _ = live.lines.clear();
        }
    }

    fn warn(&self, message: &str) {
        match &self.live {
            Some(live) => live.lines.suspend(|| self.console.warning(message)),
            None => self.console.warning(message),
        }
    }

    fn draw(&mut self) {
        let Some(live) = &mut self.live else { return };
        let rows = table(self.pods.values());
        while live.bars.len() > rows.len() {
            if let Some(bar) = live.bars.pop() {
                bar.finish_and_clear();
                live.lines.remove(&bar);
            }
        }
        while live.bars.len() < rows.len() {
            let bar = live.lines.add(ProgressBar::new_spinner());
            // What does not fit into the line is cut.
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            live.bars.push(bar);
        }
        for (bar, row) in live.bars.iter().zip(rows) {
            if bar.message() != row {
                bar.set_message(row);
            }
        }
    }
}

/// A pod in a line of a log.
fn line(pod: &PodView) -> String {
    let node = pod.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
    let restarts = if pod.restarts == 0 { String::new() } else { format!(", restarted {} times", pod.restarts) };
    format!("{}{node}: {}{restarts}", pod.name, pod.phase)
}

/// The pods as lines of a table; none if there are none.
fn table<'a>(pods: impl Iterator<Item = &'a PodView>) -> Vec<String> {
    let mut rows = vec![HEADINGS.map(str::to_string)];
    rows.extend(pods.map(|pod| {
        let (phase, reason) = phase_and_reason(pod);
        let [node, image] = [&pod.node, &pod.image].map(|text| text.clone().unwrap_or_default());
        [pod.name.clone(), phase, node, pod.restarts.to_string(), image, reason.unwrap_or_default()]
    }));
    if rows.len() == 1 {
        return Vec::new();
    }
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let text = |row: &[String; HEADINGS.len()]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_string()
    };
    rows.iter().map(text).collect()
}
