//! `hist`: histograms of any SQL over files, all filled in one pass.

mod fill;
mod root;
mod spec;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use root_engine::{Histogram, histograms};
use root_hist::plot::{Plot, Terminal};
use root_hist::{write_csv, write_uhi};
use root_writer::Compression;

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
    for (option, sql) in [("--where", &args.condition), ("--weight", &args.weight)] {
        let Some(sql) = sql else { continue };
        root_engine::check_expression(sql).map_err(|problem| Failure::usage(format!("{option}: {problem}")))?;
    }
    inputs::some_specs(app, &files)?;
    let target = app.target()?;
    let form = Form::of(app.settings.format, &target)?;
    let drawn = args.plot.as_deref().map(|path| drawn_form(path).map(|form| (path, form))).transpose()?;

    let variations = Variation::of(args)?;
    let session = app.session();
    let mut bar = app.bar(progress::of_session(&session));
    let input = InputArgs { files, tree: args.tree.clone() };
    let fills = fills(&specs, args.weight.as_deref(), args.condition.as_deref(), &variations)?;
    // Opened before anything is computed, so that a refusal costs nothing.
    let mut outputs = open(app, form, target, app.settings.output.as_deref(), &fills)?;
    if let Some((path, form)) = drawn {
        outputs.extend(open(app, form, Target::named(path, &app.stores)?, Some(path), &fills)?);
    }
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
    if found.len() != fills.len() {
        let problem = format!("{} histograms came of {} that were asked for", found.len(), fills.len());
        return Err(Failure::new(Exit::Query, problem));
    }
    let filled: Vec<(String, Histogram)> = fills
        .iter()
        .zip(found)
        .map(|(fill, histogram)| {
            (fill.spec.name.clone(), histogram.with_labels(fill.labels.iter().map(String::as_str)))
        })
        .collect();
    tell_tally(app, &filled);
    // Nothing gets its name before all is written.
    for output in &mut outputs {
        let bytes = output.render(app, args, &filled)?;
        output.to.put(&bytes)?;
        output.to.settle()?;
    }
    for output in outputs {
        output.to.commit()?;
    }
    app.record.add_rows(filled.len() as u64);
    Ok(app.conclude())
}

/// Gives histograms of one name numbers, in the names that files have as well.
fn unique(mut specs: Vec<Spec>) -> Vec<Spec> {
    let mut seen = HashSet::new();
    for spec in &mut specs {
        let name = spec.name.clone();
        let mut number = 1;
        while !seen.insert(identifier(&spec.name)) {
            number += 1;
            spec.name = format!("{name}_{number}");
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
        if tally.outside > 0 {
            app.console
                .note(&format!("{name}: {} values lie outside of the axis, which has no bin for them", tally.outside));
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

/// Where histograms go: all of them, or the picture of one.
struct Output {
    to: Destination,
    form: Form,
    compression: Compression,
    /// Which histogram, of a picture.
    picture: Option<usize>,
}

/// Opens an output, or one for each histogram if it is a picture.
fn open(app: &App, form: Form, target: Target, path: Option<&Path>, fills: &[Fill]) -> Result<Vec<Output>, Failure> {
    let compression = match form {
        Form::Root if app.settings.root_tree.is_some() => {
            return Err(Failure::usage("a name behind -o is that of a tree; histograms are named by ' AS name'"));
        }
        Form::Root => app.root_options(Format::Root)?.compression,
        _ => app.root_options(Format::Auto)?.compression,
    };
    let output = |target: Target, picture| {
        Ok(Output { to: Destination::open(target, &app.shutdown)?, form, compression, picture })
    };
    if !matches!(form, Form::Svg | Form::Png) {
        return Ok(vec![output(target, None)?]);
    }
    if let Some(fill) = fills.iter().find(|fill| fill.spec.columns.len() > 2) {
        return Err(Failure::usage(format!("{}: a picture shows one axis or two, not three", fill.spec.name)));
    }
    let of_one = |(at, fill): (usize, &Fill)| match path {
        Some(path) if fills.len() > 1 => output(Target::named(&beside(path, &fill.spec.name), &app.stores)?, Some(at)),
        _ => output(target.clone(), Some(at)),
    };
    fills.iter().enumerate().map(of_one).collect()
}

impl Output {
    fn render(&self, app: &App, args: &HistArgs, filled: &[(String, Histogram)]) -> Result<Vec<u8>, Failure> {
        Ok(match (self.form, self.picture.and_then(|at| filled.get(at))) {
            (Form::Png, Some((_, one))) => picture(one, args)?.to_png(PIXELS).map_err(failed)?,
            (_, Some((_, one))) => picture(one, args)?.to_svg().map_err(failed)?.into_bytes(),
            (Form::Csv, None) => csv(filled)?.into_bytes(),
            (Form::Json, None) => (write_uhi(&named(filled), &[]).map_err(failed)? + "\n").into_bytes(),
            (Form::Root, None) => root::file(&self.to.target().name(), filled, self.compression)
                .map_err(|error| Failure::new(Exit::Query, error.to_string()))?,
            (Form::Text | Form::Svg | Form::Png, None) => text(app, args, self.to.target(), filled)?.into_bytes(),
        })
    }
}

fn picture<'a>(histogram: &'a Histogram, args: &HistArgs) -> Result<Plot<'a>, Failure> {
    Ok(Plot::new(histogram).map_err(failed)?.with_log(args.log))
}

fn named(filled: &[(String, Histogram)]) -> Vec<(&str, &Histogram)> {
    filled.iter().map(|(name, histogram)| (name.as_str(), histogram)).collect()
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
    write_csv(&named(filled)).map_err(|error| {
        Failure::usage(format!("{error}; ask for one, or for --format json, or -o with .json or .root"))
    })
}

fn failed(error: root_hist::Error) -> Failure {
    Failure::new(Exit::Query, error.to_string())
}
