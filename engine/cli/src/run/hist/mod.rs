//! `hist`: histograms of any SQL over files, all filled in one pass.

mod fill;
mod root;
mod spec;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use root_engine::{Histogram, histograms};
use root_hist::plot::{Plot, Terminal};
use root_hist::{write_csv, write_uhi};

use self::fill::{Fill, Variation, fills, query};
use self::root::identifier;
use self::spec::Spec;
use super::{Outcome, sql};
use crate::app::App;
use crate::args::{HistArgs, InputArgs};
use crate::exit::{Exit, Failure};
use crate::inputs;
use crate::output::{Destination, Format, Target};
use crate::progress;

/// Pixels for each unit of a plot's size.
const PIXELS: f32 = 2.0;

/// Fills histograms and writes them.
pub async fn hist(app: &App, args: &HistArgs) -> Outcome {
    let (specs, files): (Vec<_>, Vec<_>) =
        args.words.iter().cloned().partition(|word| Spec::is_meant(word) && !Path::new(word).exists());
    if specs.is_empty() {
        return Err(Failure::usage("no histogram is asked for; add one or several such as 'Muon_pt[100,0,200]'"));
    }
    let specs = unique(specs.iter().map(|word| Spec::parse(word)).collect::<Result<_, _>>()?);
    inputs::some_specs(app, &files)?;
    let target = app.target()?;
    let form = Form::of(app.settings.format, &target)?;
    let drawn = args.plot.as_deref().map(|path| drawn_form(path).map(|form| (path, form))).transpose()?;

    let variations = Variation::of(args)?;
    let session = app.session();
    let mut bar = app.bar(progress::of_session(&session));
    let input = InputArgs { files, tree: args.tree.clone() };
    let fills = fills(&specs, args.weight.as_deref(), args.condition.as_deref(), &variations)?;
    let table = sql::register(app, &session, &input, &query(&fills)).await?.table;
    let fills = match table.is_some_and(|table| table.has_sample_weights()) {
        true => {
            sql::tell_sample_weight(app);
            let weighted = |fill: Fill| Fill { weight: Some(sql::with_sample_weight(fill.weight.as_deref())), ..fill };
            fills.into_iter().map(weighted).collect()
        }
        false => fills,
    };
    let query = query(&fills);
    app.record.set_query(&query);
    let frame = session.sql(&query).await.map_err(|error| sql::explain_table(&session, error))?;
    let mut found = Vec::new();
    for batch in frame.collect().await? {
        found.extend(histograms(&batch)?.into_iter().map(|(_, histogram)| histogram));
    }
    bar.stop();
    let filled: Vec<(String, Histogram)> = fills
        .iter()
        .zip(found)
        .map(|(fill, histogram)| {
            (fill.spec.name.clone(), histogram.with_labels(fill.labels.iter().map(String::as_str)))
        })
        .collect();
    tell_tally(app, &filled);
    write(app, args, form, target, app.settings.output.as_deref(), &filled)?;
    if let Some((path, form)) = drawn {
        write(app, args, form, Target::named(path, &app.stores)?, Some(path), &filled)?;
    }
    app.record.add_rows(filled.len() as u64);
    Ok(app.conclude())
}

/// Gives histograms of one name numbers, in the names that files have as well.
fn unique(mut specs: Vec<Spec>) -> Vec<Spec> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for spec in &mut specs {
        let count = seen.entry(identifier(&spec.name)).or_default();
        *count += 1;
        if *count > 1 {
            spec.name = format!("{}_{count}", spec.name);
        }
    }
    specs
}

/// Tells what is in no bin, or in one where nobody looks for it.
fn tell_tally(app: &App, filled: &[(String, Histogram)]) {
    for (name, histogram) in filled {
        let tally = histogram.tally();
        if tally.nulls > 0 {
            app.console.note(&format!("{name}: {} entries are NULL and in no bin", tally.nulls));
        }
        if tally.nans > 0 {
            app.console.note(&format!("{name}: {} values are not numbers (NaN), and count as overflow", tally.nans));
        }
    }
}

/// How histograms are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Csv,
    Json,
    Svg,
    Png,
    Root,
}

impl Form {
    fn of(format: Format, target: &Target) -> Result<Self, Failure> {
        let known = "hist writes .csv, .json, .svg, .png, .root and .txt, and --format csv, json or table";
        match (format, target.extension().as_deref()) {
            (Format::Csv, _) | (Format::Auto, Some("csv")) => Ok(Self::Csv),
            (Format::Json, _) | (Format::Auto, Some("json")) => Ok(Self::Json),
            (Format::Table, _) | (Format::Auto, Some("txt")) => Ok(Self::Text),
            (Format::Auto, Some("svg")) => Ok(Self::Svg),
            (Format::Auto, Some("png")) => Ok(Self::Png),
            (Format::Auto, Some("root")) => Ok(Self::Root),
            (Format::Auto, None) if target.is_terminal() => Ok(Self::Text),
            (Format::Auto, None) => Ok(Self::Csv),
            _ => Err(Failure::usage(known)),
        }
    }
}

fn drawn_form(path: &Path) -> Result<Form, Failure> {
    match path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("svg") => Ok(Form::Svg),
        Some("png") => Ok(Form::Png),
        _ => Err(Failure::usage(format!("--plot {}: its name has to end in .svg or .png", path.display()))),
    }
}

fn write(
    app: &App,
    args: &HistArgs,
    form: Form,
    target: Target,
    path: Option<&Path>,
    filled: &[(String, Histogram)],
) -> Result<(), Failure> {
    let put = |target: Target, bytes: &[u8]| {
        let mut to = Destination::open(target, &app.shutdown)?;
        to.put(bytes)?;
        to.commit()
    };
    let bytes = match form {
        Form::Text => text(app, args, &target, filled)?.into_bytes(),
        Form::Csv => csv(filled)?.into_bytes(),
        Form::Json => {
            let named: Vec<(&str, &Histogram)> = filled.iter().map(|(name, h)| (name.as_str(), h)).collect();
            (write_uhi(&named, &[]).map_err(failed)? + "\n").into_bytes()
        }
        Form::Root => root::file(&target.name(), filled).map_err(|e| Failure::new(Exit::Query, e.to_string()))?,
        Form::Svg | Form::Png => {
            for (name, histogram) in filled {
                let plot = Plot::new(histogram).map_err(failed)?.with_log(args.log);
                let bytes = match form {
                    Form::Png => plot.to_png(PIXELS).map_err(failed)?,
                    _ => plot.to_svg().map_err(failed)?.into_bytes(),
                };
                let target = match path {
                    Some(path) if filled.len() > 1 => Target::named(&beside(path, name), &app.stores)?,
                    _ => target.clone(),
                };
                put(target, &bytes)?;
            }
            return Ok(());
        }
    };
    put(target, &bytes)
}

/// The file for one of several pictures.
fn beside(path: &Path, name: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_{}.{extension}", identifier(name)))
}

fn text(app: &App, args: &HistArgs, target: &Target, filled: &[(String, Histogram)]) -> Result<String, Failure> {
    let width = match target {
        Target::Stdout { terminal: Some(width) } => *width,
        _ => Terminal::default().columns,
    };
    let terminal = Terminal { columns: width, ..Terminal::default() };
    let mut text = String::new();
    for (name, histogram) in filled {
        match Plot::new(histogram) {
            Ok(plot) => {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&plot.with_title(name.as_str()).with_log(args.log).to_text(&terminal));
            }
            // The others are shown.
            Err(error) if filled.len() > 1 => app.console.note(&format!("{name}: {error}")),
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(text)
}

/// Rows of bins; of several histograms with the name in front.
fn csv(filled: &[(String, Histogram)]) -> Result<String, Failure> {
    if let [(_, only)] = filled {
        return Ok(only.to_csv());
    }
    let named: Vec<(&str, &Histogram)> = filled.iter().map(|(name, h)| (name.as_str(), h)).collect();
    write_csv(&named).map_err(|error| {
        Failure::usage(format!("{error}; ask for one, or for --format json, or -o with .json or .root"))
    })
}

fn failed(error: root_hist::Error) -> Failure {
    Failure::new(Exit::Query, error.to_string())
}
