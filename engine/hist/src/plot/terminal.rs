//! Pictures made of text: rows with bars where there are few bins, a skyline where there are many, shades for two axes.

use std::fmt::Write;

use super::canvas::unmarked;
use super::frame::{Scale, axis_scale};
use super::ticks::plain;
use super::{Plot, summary};
use crate::axis::{Axis, Interval};
use crate::histogram::{Bin, Histogram};

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Letters in a line; at least 40 are used.
    pub columns: usize,
    /// Whether it has ASCII only.
    pub ascii: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { columns: 80, ascii: false }
    }
}

/// Up to so many bins there is a row for each.
const MAX_ROWS: usize = 40;
/// Rows of a skyline.
const HEIGHT: usize = 16;
/// Parts of a block, from nothing to all of it: to the right, and upwards.
const RIGHT: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const UP: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];
const ASCII_SHADES: [char; 5] = ['.', ':', 'o', '%', '#'];

pub(super) fn draw(plot: &Plot, histogram: &Histogram, terminal: &Terminal) -> String {
    let terminal = Terminal { columns: terminal.columns.clamp(40, 400), ..*terminal };
    let mut out = String::new();
    if !plot.title.is_empty() {
        out.push_str(&format!("{}\n", unmarked(&plot.title)));
    }
    match histogram.axes() {
        [axis] if axis.is_numeric() && axis.bins() > MAX_ROWS && !histogram.storage().is_mean() => {
            skyline(&mut out, plot, histogram, axis, &terminal);
        }
        [axis] => rows(&mut out, plot, histogram, axis, &terminal),
        [x, y] => shades(&mut out, plot, histogram, (x, y), &terminal),
        _ => {}
    }
    let notes = summary::lines(histogram).into_iter().map(|(name, value)| format!("{name} {}", unmarked(&value)));
    let notes: Vec<String> = notes.collect();
    out.push_str(&notes.join(if terminal.ascii { ", " } else { " · " }));
    out.push('\n');
    if terminal.ascii { ascii(&out) } else { out }
}

/// Letters that stand for particles and angles.
const GREEK: [(char, &str); 22] = [
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('δ', "delta"),
    ('ε', "epsilon"),
    ('η', "eta"),
    ('θ', "theta"),
    ('λ', "lambda"),
    ('μ', "mu"),
    ('ν', "nu"),
    ('ξ', "xi"),
    ('π', "pi"),
    ('ρ', "rho"),
    ('σ', "sigma"),
    ('τ', "tau"),
    ('φ', "phi"),
    ('χ', "chi"),
    ('ψ', "psi"),
    ('ω', "omega"),
    ('Δ', "Delta"),
    ('Σ', "Sigma"),
    ('Υ', "Upsilon"),
];

/// Letters that ASCII has not, written with those that it has.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '−' | '–' => plain.push('-'),
            '×' => plain.push('x'),
            '∞' => plain.push_str("inf"),
            '±' => plain.push_str("+-"),
            letter if letter.is_ascii() => plain.push(letter),
            letter => match GREEK.iter().find(|(greek, _)| *greek == letter) {
                Some((_, name)) => plain.push_str(name),
                None => plain.push('?'),
            },
        }
    }
    plain
}

/// The heights of bars: from the lowest to the highest value, or from nothing.
fn bar_scale(values: &[f64], log: bool) -> Scale {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let max = finite().fold(0.0, f64::max);
    if log {
        let min = finite().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        return if min.is_finite() { Scale::new(min / 2.0, max.max(min), true) } else { Scale::new(0.5, 1.0, true) };
    }
    let min = finite().fold(0.0, f64::min);
    Scale::new(min, if max > min { max } else { min + 1.0 }, false)
}

fn rows(out: &mut String, plot: &Plot, histogram: &Histogram, axis: &Axis, terminal: &Terminal) {
    // Flow bins have a row if there is something in them.
    let axes = histogram.axes();
    let bins = histogram.bins().filter(|bin| !bin.is_flow(axes) || bin.content.weight() != 0.0);
    let bins: Vec<Bin> = if axis.is_numeric() { without_empty_ends(bins.collect()) } else { bins.collect() };
    let means = histogram.storage().is_mean();
    let names: Vec<String> = bins.iter().map(|bin| range(bin, axis)).collect();
    let value = |bin: &Bin| {
        let (value, error) = (bin.content.value(), bin.content.variance().max(0.0).sqrt());
        match histogram.storage() {
            crate::Storage::Count => format!("{value}"),
            _ if bin.content.weight() == 0.0 => String::new(),
            _ => format!("{} ± {}", plain(value), plain(error)),
        }
    };
    let values: Vec<String> = bins.iter().map(|bin| unmarked(&value(bin))).collect();
    let width = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let name_width = width(&names).min(terminal.columns / 3);
    let value_width = width(&values);
    let bar_width = terminal.columns.saturating_sub(name_width + value_width + 4).max(4);
    let heights: Vec<f64> = bins.iter().map(|bin| bin.content.value()).collect();
    let scale = match means {
        // Means do not begin at nothing.
        true => {
            let filled: Vec<f64> =
                bins.iter().filter(|bin| bin.content.weight() != 0.0).map(|bin| bin.content.value()).collect();
            let (low, high) =
                filled.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
            if high > low {
                Scale::new(low - 0.1 * (high - low), high, false)
            } else {
                Scale::new(0.0, high.abs().max(1.0), false)
            }
        }
        false => bar_scale(&heights, plot.log),
    };

    let label = summary::axis_label(axis);
    let what = plot.value_label.clone().unwrap_or_else(|| summary::value_label(histogram));
    let label = unmarked(&label);
    let gap = terminal.columns.saturating_sub(label.chars().count() + unmarked(&what).chars().count()).max(1);
    out.push_str(&format!("{label}{}{}\n", " ".repeat(gap), unmarked(&what)));
    let line = if terminal.ascii { '|' } else { '│' };
    for ((bin, name), value) in bins.iter().zip(&names).zip(&values) {
        let part = if bin.content.weight() == 0.0 { 0.0 } else { scale.part(bin.content.value()).clamp(0.0, 1.0) };
        let name = clipped(name, name_width, terminal.ascii);
        let bar = bar(part, bar_width, terminal.ascii);
        let padding = " ".repeat(name_width.saturating_sub(name.chars().count()));
        // Writing to a string does not fail.
        let _ = writeln!(out, "{padding}{name} {line}{bar} {value:>value_width$}");
    }
}

/// Bins with one in place of the empty ones before all others, and one in place of those behind them.
fn without_empty_ends(mut bins: Vec<Bin>) -> Vec<Bin> {
    let empty = |bin: &&Bin| bin.content.weight() == 0.0;
    if bins.iter().all(|bin| empty(&bin)) {
        return bins;
    }
    let (before, behind) = (bins.iter().take_while(empty).count(), bins.iter().rev().take_while(empty).count());
    if behind > 1 {
        let last = bins.split_off(bins.len() - behind + 1);
        widen(bins.last_mut(), last.last());
    }
    if before > 1 {
        let mut rest = bins.split_off(before);
        let last = bins.last().cloned();
        widen(bins.first_mut(), last.as_ref());
        bins.truncate(1);
        bins.append(&mut rest);
    }
    bins
}

/// Has a bin reach to where another ends.
fn widen(bin: Option<&mut Bin>, other: Option<&Bin>) {
    if let (Some(Interval::Range(_, high)), Some(Interval::Range(_, end))) =
        (bin.and_then(|bin| bin.intervals.first_mut()), other.and_then(|other| other.intervals.first()))
    {
        *high = *end;
    }
}

fn bar(part: f64, width: usize, ascii: bool) -> String {
    let eighths = (part * (width * 8) as f64).round() as usize;
    let (full, rest) = if ascii { ((eighths + 4) / 8, 0) } else { (eighths / 8, eighths % 8) };
    let mut bar: String = std::iter::repeat_n(if ascii { '#' } else { '█' }, full.min(width)).collect();
    if rest > 0 && full < width {
        bar.extend(RIGHT.get(rest));
    }
    let missing = width.saturating_sub(bar.chars().count());
    bar.extend(std::iter::repeat_n(' ', missing));
    bar
}

fn clipped(name: &str, width: usize, ascii: bool) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(width.saturating_sub(1)).collect();
    short.push(if ascii { '~' } else { '…' });
    short
}

/// What falls into a bin, in a few letters.
fn range(bin: &Bin, axis: &Axis) -> String {
    let text = match bin.intervals.first() {
        Some(Interval::Range(low, high)) if *low == f64::NEG_INFINITY => format!("< {}", plain(*high)),
        Some(Interval::Range(low, high)) if *high == f64::INFINITY => format!(">= {}", plain(*low)),
        Some(Interval::Range(low, high)) => format!("{} – {}", plain(*low), plain(*high)),
        Some(Interval::Other) | None => "(others)".into(),
        _ => summary::category(axis, bin.index.first().copied().unwrap_or(0).max(0) as usize),
    };
    unmarked(&text)
}

fn skyline(out: &mut String, plot: &Plot, histogram: &Histogram, axis: &Axis, terminal: &Terminal) {
    let axes = histogram.axes();
    let bins: Vec<f64> = histogram.bins().filter(|bin| !bin.is_flow(axes)).map(|bin| bin.content.value()).collect();
    // Some bins to a letter, or several letters to a bin.
    let room = terminal.columns.saturating_sub(11).max(20);
    let merged = bins.len().div_ceil(room);
    let wide = (room / bins.len().max(1)).max(1);
    let columns: Vec<f64> = bins.chunks(merged).map(|group| group.iter().sum()).collect();
    let scale = bar_scale(&columns, plot.log);
    let what = plot.value_label.clone().unwrap_or_else(|| summary::value_label(histogram));
    out.push_str(&unmarked(&what));
    if merged > 1 {
        out.push_str(&format!(", {merged} bins to a column"));
    }
    out.push('\n');
    let line = if terminal.ascii { '|' } else { '┤' };
    for row in (0..HEIGHT).rev() {
        let label = match row {
            _ if row == HEIGHT - 1 => plain(scale.high),
            0 => plain(scale.low),
            _ if row == HEIGHT / 2 && !scale.log => plain(0.5 * (scale.low + scale.high)),
            _ => String::new(),
        };
        let mut text =
            format!("{:>9} {}", unmarked(&label), if label.is_empty() && !terminal.ascii { '│' } else { line });
        for value in &columns {
            let eighths = scale.part(*value).clamp(0.0, 1.0) * (HEIGHT * 8) as f64 - (row * 8) as f64;
            let part = eighths.round().clamp(0.0, 8.0) as usize;
            let letter = match terminal.ascii {
                true if part >= 4 => '#',
                true => ' ',
                false => UP.get(part).copied().unwrap_or(' '),
            };
            text.extend(std::iter::repeat_n(letter, wide));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    ruler(out, axis, columns.len() * wide, bins.len() as f64 / merged as f64 * wide as f64, terminal.ascii);
}

/// The line below a picture, with labels at ticks. The axis ends at `end`, perhaps within the last column.
fn ruler(out: &mut String, axis: &Axis, width: usize, end: f64, ascii: bool) {
    let scale = axis_scale(axis);
    let ticks = scale.ticks(end / 12.0);
    let (mut line, mut labels) = (vec![if ascii { '-' } else { '─' }; width + 1], vec![' '; width + 12]);
    let mut free = 0;
    for tick in &ticks.ticks {
        let Some(label) = &tick.label else { continue };
        let at = (scale.part(tick.at) * end).round() as usize;
        let label: Vec<char> = unmarked(label).chars().collect();
        let start = at.saturating_sub(label.len() / 2).max(free);
        if start > at || start + label.len() > labels.len() {
            continue;
        }
        if let Some(mark) = line.get_mut(at) {
            *mark = if ascii { '+' } else { '┴' };
        }
        labels.iter_mut().skip(start).zip(&label).for_each(|(place, letter)| *place = *letter);
        free = start + label.len() + 1;
    }
    let line: String = line.into_iter().collect();
    let labels: String = labels.into_iter().collect();
    let _ = writeln!(out, "{:>10}{line}", "");
    let power = if ticks.power == 0 { String::new() } else { format!(" ×10^{}", ticks.power) };
    let _ = writeln!(out, "{:>10}{}{power}", "", labels.trim_end());
    let label = unmarked(&summary::axis_label(axis));
    let _ = writeln!(out, "{label:>right$}", right = width + 11);
}

fn shades(out: &mut String, plot: &Plot, histogram: &Histogram, (x, y): (&Axis, &Axis), terminal: &Terminal) {
    let room = terminal.columns.saturating_sub(14).max(20);
    let (x_merged, y_merged) = (x.bins().div_ceil(room), y.bins().div_ceil(MAX_ROWS));
    let wide = (room / x.bins().max(1)).clamp(1, 6);
    let (columns, lines) = (x.bins().div_ceil(x_merged), y.bins().div_ceil(y_merged));
    let mut values = vec![vec![0.0; columns]; lines];
    for bin in histogram.bins().filter(|bin| !bin.is_flow(histogram.axes())) {
        let [at_x, at_y] = bin.index.as_slice() else { continue };
        let place = values.get_mut(*at_y as usize / y_merged).and_then(|line| line.get_mut(*at_x as usize / x_merged));
        if let Some(place) = place {
            // Means of several bins cannot be added; the last one shows.
            *place = if histogram.storage().is_mean() { bin.content.value() } else { *place + bin.content.value() };
        }
    }
    let flat: Vec<f64> = values.iter().flatten().copied().collect();
    let scale = bar_scale(&flat, plot.log);
    let letters = if terminal.ascii { ASCII_SHADES } else { SHADES };
    let _ = writeln!(out, "{}", unmarked(&summary::axis_label(y)));
    let every = lines.div_ceil(10);
    for (row, line) in values.iter().enumerate().rev() {
        let label = match row % every {
            0 if y.is_numeric() => y.edges().get(row * y_merged).map_or_else(String::new, |edge| plain(*edge)),
            0 => summary::category(y, row * y_merged),
            _ => String::new(),
        };
        let label = clipped(&unmarked(&label), 10, terminal.ascii);
        let mut text = format!("{label:>10} {}", if terminal.ascii { '|' } else { '│' });
        for value in line {
            let shade = (scale.part(*value).clamp(0.0, 1.0) * letters.len() as f64).ceil() as usize;
            let letter = match shade.checked_sub(1) {
                Some(shade) if *value != 0.0 => letters.get(shade.min(letters.len() - 1)).copied().unwrap_or(' '),
                _ => ' ',
            };
            text.extend(std::iter::repeat_n(letter, wide));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    if x.is_numeric() {
        let mut ruled = String::new();
        ruler(&mut ruled, x, columns * wide, x.bins() as f64 / x_merged as f64 * wide as f64, terminal.ascii);
        // One letter further to the right than below a skyline.
        ruled.lines().for_each(|line| out.push_str(&format!(" {line}\n")));
    } else {
        let names: String = (0..columns)
            .map(|index| summary::category(x, index * x_merged))
            .map(|name| {
                let name = clipped(&unmarked(&name), wide.saturating_sub(1).max(1), terminal.ascii);
                format!("{name:<wide$}")
            })
            .collect();
        let _ = writeln!(out, "{:>12}{}", "", names.trim_end());
        let _ = writeln!(out, "{:>12}{}", "", unmarked(&summary::axis_label(x)));
    }
    let what = plot.value_label.clone().unwrap_or_else(|| summary::value_label(histogram));
    let shown: String = letters.iter().collect();
    let _ =
        writeln!(out, "{}: {} {shown} {}", unmarked(&what), unmarked(&plain(scale.low)), unmarked(&plain(scale.high)));
}
