//! A histogram with two axes as a map of colours, with the scale beside it.

use super::canvas::{Anchor, Canvas, Text};
use super::frame::{Frame, Marks, Scale, axis_scale, font_size};
use super::theme::map_color;
use super::{Plot, summary};
use crate::axis::Axis;
use crate::error::{Error, Result};
use crate::histogram::Histogram;

/// Colours of the scale.
const SHADES: usize = 128;

pub(super) fn draw(plot: &Plot, histogram: &Histogram) -> Result<String> {
    let [x_axis, y_axis] = histogram.axes() else {
        return Err(Error::Plot("a map has two axes".into()));
    };
    let cells = cells(histogram, x_axis, y_axis);
    let z = value_scale(&cells, plot.log);

    let font = font_size(plot.width, plot.height);
    let (x, y) = (axis_scale(x_axis), axis_scale(y_axis));
    let (top, bottom) = (2.6 * font, f64::from(plot.height) - 3.5 * font);
    let y_marks = Marks::of(y_axis, &y, (bottom - top) / (3.6 * font));
    let z_marks = z.ticks((bottom - top) / (3.6 * font));
    let z_width = Marks::Ticks(z_marks).width(0.92 * font);
    let frame = Frame {
        left: (2.5 * font + y_marks.width(0.92 * font)).max(4.0 * font),
        right: f64::from(plot.width) - z_width - 5.6 * font,
        top,
        bottom,
        font,
        theme: plot.theme,
    };
    let (x, y) = (x.between(frame.left, frame.right), y.between(frame.bottom, frame.top));

    let mut canvas = Canvas::new(plot.width, plot.height, plot.theme);
    map(&mut canvas, &cells, (x_axis, &x), (y_axis, &y), &z);
    let x_marks = Marks::of(x_axis, &x, (frame.right - frame.left) / (5.0 * font));
    frame.draw(&mut canvas, (&x, &x_marks), (&y, &y_marks));
    frame.labels(&mut canvas, &summary::axis_label(x_axis), &summary::axis_label(y_axis), &y_marks);
    canvas.text((frame.left, frame.top - 0.6 * font), &plot.title, frame.text(Anchor::Start, plot.theme.ink()));
    let label = plot.value_label.clone().unwrap_or_else(|| summary::value_label(histogram));
    color_scale(&mut canvas, plot, &frame, &z, &label);
    if plot.note {
        let lines: Vec<String> =
            summary::lines(histogram).iter().map(|(name, value)| format!("{name} {value}")).collect();
        let look = Text { size: 0.84 * font, ..frame.text(Anchor::End, plot.theme.pale_ink()) };
        canvas.text((frame.right, frame.top - 0.6 * font), &lines.join(" · "), look);
    }
    Ok(canvas.finish())
}

/// Values of the bins that are no flow, row by row of `x`; nothing where a bin is empty.
fn cells(histogram: &Histogram, x: &Axis, y: &Axis) -> Vec<Option<f64>> {
    let indices = (0..x.bins() as i64).flat_map(|x| (0..y.bins() as i64).map(move |y| [x, y]));
    let value = |index: [i64; 2]| {
        let content = histogram.get(&index)?;
        (content.weight() != 0.0 && content.value().is_finite()).then(|| content.value())
    };
    indices.map(value).collect()
}

fn value_scale(cells: &[Option<f64>], log: bool) -> Scale {
    let values = || cells.iter().flatten().copied();
    let max = values().fold(f64::NEG_INFINITY, f64::max);
    let min = values().fold(f64::INFINITY, f64::min);
    if log {
        let min = values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        return if min.is_finite() { Scale::new(min, max.max(min * 10.0), true) } else { Scale::new(0.1, 1.0, true) };
    }
    let low = if min.is_finite() { min.min(0.0) } else { 0.0 };
    Scale::new(low, if max > low { max } else { low + 1.0 }, false)
}

/// Neighbours above each other that have the same colour are one rectangle.
fn map(
    canvas: &mut Canvas,
    cells: &[Option<f64>],
    (x_axis, x): (&Axis, &Scale),
    (y_axis, y): (&Axis, &Scale),
    z: &Scale,
) {
    let (x_edges, y_edges) = (x_axis.edges(), y_axis.edges());
    for (column, edges) in cells.chunks(y_axis.bins().max(1)).zip(x_edges.windows(2)) {
        let (left, right) = match edges {
            [left, right] => (x.at(*left).round(), x.at(*right).round()),
            _ => continue,
        };
        let colors: Vec<Option<String>> =
            column.iter().map(|value| value.map(|value| map_color(z.part(value)))).collect();
        let mut start = 0;
        for run in colors.chunk_by(|a, b| a == b) {
            let end = start + run.len();
            if let (Some(Some(color)), Some(low), Some(high)) = (run.first(), y_edges.get(start), y_edges.get(end)) {
                let (bottom, top) = (y.at(*low).round(), y.at(*high).round());
                canvas.rectangle((left, top), (right - left, bottom - top), color, " shape-rendering=\"crispEdges\"");
            }
            start = end;
        }
    }
}

fn color_scale(canvas: &mut Canvas, plot: &Plot, frame: &Frame, z: &Scale, label: &str) {
    let (font, ink) = (frame.font, plot.theme.ink());
    let (left, right) = ((frame.right + 0.9 * font).round(), (frame.right + 2.1 * font).round());
    let height = (frame.bottom - frame.top) / SHADES as f64;
    for shade in 0..SHADES {
        let top = frame.bottom - (shade + 1) as f64 * height;
        // Each reaches below the next, so that no line shows between them.
        let tall = if shade == 0 { height } else { height + 1.0 };
        canvas.rectangle((left, top), (right - left, tall), &map_color((shade as f64 + 0.5) / SHADES as f64), "");
    }
    let bar = Frame { left, right, theme: plot.theme, ..*frame };
    let z = z.between(bar.bottom, bar.top);
    let ticks = z.ticks((frame.bottom - frame.top) / (3.6 * font));
    let size = bar.tick_font();
    for tick in &ticks.ticks {
        let at = z.at(tick.at);
        let length = if tick.label.is_some() { 0.36 * font } else { 0.2 * font };
        canvas.line((right, at), (right - length, at), ink, 1.0);
        if let Some(text) = &tick.label {
            let look = Text { size, ..frame.text(Anchor::Start, ink) };
            canvas.text((right + 0.4 * size, at + 0.36 * size), text, look);
        }
    }
    if ticks.power != 0 {
        let power = ticks.power.to_string().replace('-', "−");
        let look = Text { size, ..frame.text(Anchor::Start, ink) };
        canvas.text((left, frame.top - 0.45 * size), &format!("×10^{{{power}}}"), look);
    }
    let corners =
        [(left, frame.top), (right, frame.top), (right, frame.bottom), (left, frame.bottom), (left, frame.top)];
    canvas.path(&corners, &format!("fill=\"none\" stroke=\"{ink}\" stroke-width=\"1.3\" stroke-linecap=\"square\""));
    let look = Text { upright: true, ..frame.text(Anchor::End, ink) };
    canvas.text((f64::from(plot.width) - 0.7 * font, frame.top), label, look);
}
