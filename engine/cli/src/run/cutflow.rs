//! `cutflow`: how many events pass cuts, one after the other and without each.

use std::io::Read;
use std::path::Path;

use root_engine::{Cutflow, CutflowResult, Passed};
use unicode_width::UnicodeWidthStr;

use super::Outcome;
use super::sql::{TABLE, explain_table, register, tell_sample_weight, with_sample_weight};
use super::types::counted;
use crate::app::App;
use crate::args::CutflowArgs;
use crate::console::printable;
use crate::exit::Failure;
use crate::output::Format;
use crate::progress;

/// Counts the events of the files that pass the cuts.
pub async fn cutflow(app: &App, args: &CutflowArgs) -> Outcome {
    let mut cutflow = cuts(app, args)?;
    let session = app.session();
    let mut bar = app.bar(progress::of_session(&session));
    let Some(table) = register(app, &session, &args.input, &cutflow.sql(TABLE)).await?.table else {
        return Err(Failure::usage(
            "no file is named; add FILE, FILE:TREE, a pattern, a directory or --files-from LIST",
        ));
    };
    if table.has_sample_weights() {
        tell_sample_weight(app);
        let weight = with_sample_weight(cutflow.weight_sql());
        cutflow = cutflow.weight(weight)?;
    }
    app.record.set_query(&cutflow.sql(TABLE));
    let result = cutflow.of(&session, TABLE).await.map_err(|error| explain_table(&session, error))?;
    bar.stop();
    if result.without_weight() > 0 {
        let events = counted(result.without_weight(), "event");
        app.console.note(&format!("the weight of {events} is NULL: counted, with no weight"));
    }
    match app.settings.format == Format::Auto && app.target()?.is_terminal() {
        true => app.emit_text(&lines(&result))?,
        false => app.emit(&result.to_batch()?)?,
    }
    Ok(app.conclude())
}

fn cuts(app: &App, args: &CutflowArgs) -> Result<Cutflow, Failure> {
    let mut cutflow = match &args.script {
        None if args.cut.is_empty() => return Err(Failure::usage("there are no cuts; give them with -f or --cut")),
        None => Cutflow::new(),
        Some(path) if path.as_os_str() != "-" => {
            let text = std::fs::read_to_string(path).map_err(|error| Failure::side_input(path, &error))?;
            Cutflow::parse(&path.to_string_lossy(), &text)?
        }
        Some(_) if app.settings.files_from.iter().any(|list| list == "-") => {
            return Err(Failure::usage("standard input cannot be both the cuts and the list of files"));
        }
        Some(_) => {
            let (mut text, place) = (String::new(), "standard input");
            let read = std::io::stdin().lock().read_to_string(&mut text);
            read.map_err(|error| Failure::side_input(Path::new(place), &error))?;
            Cutflow::parse(place, &text)?
        }
    };
    for condition in &args.cut {
        cutflow = cutflow.cut(condition.trim(), condition)?;
    }
    if let Some(weight) = &args.weight {
        cutflow = cutflow.weight(weight)?;
    }
    Ok(cutflow)
}

/// For people: columns under one another, shares in per cent.
fn lines(result: &CutflowResult) -> String {
    let mut header = vec!["cut", "passed", "efficiency", "of all", "alone", "without"];
    if result.is_weighted() {
        header.push("weights");
    }
    let mut rows = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    let share = |part: &Passed, whole: &Passed| match whole.weights == 0.0 {
        true => "-".to_owned(),
        false => format!("{:.2} %", 100.0 * part.weights / whole.weights),
    };
    let weights = |passed: &Passed| format!("{:.6} ± {:.2}", passed.weights, passed.squares.sqrt());
    let all = result.all();
    let mut before = all;
    let mut row = vec!["all events".to_owned(), all.events.to_string()];
    row.resize(6, String::new());
    row.extend(result.is_weighted().then(|| weights(&all)));
    rows.push(row);
    for (at, cut) in result.cuts().iter().enumerate() {
        let passed = result.after(at);
        let mut row = vec![
            printable(&cut.name),
            passed.events.to_string(),
            share(&passed, &before),
            share(&passed, &all),
            result.alone(at).events.to_string(),
            result.without(at).events.to_string(),
        ];
        row.extend(result.is_weighted().then(|| weights(&passed)));
        rows.push(row);
        before = passed;
    }
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            let space = " ".repeat(width.saturating_sub(cell.width()));
            if at == 0 { format!("{cell}{space}") } else { format!("{space}{cell}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
