//! Histograms with one axis, drawn over each other.

use super::canvas::{Anchor, Canvas, Text, text_width};
use super::frame::{Frame, Marks, Scale, axis_scale, font_size};
use super::{Layer, Plot, Style, summary};
use crate::axis::Interval;
use crate::error::{Error, Result};

/// A bin as it is drawn.
struct Step {
    low: f64,
    high: f64,
    value: f64,
    /// Half the length of the error bar.
    error: f64,
    /// Whether there is nothing in it.
    empty: bool,
}

pub(super) fn draw(plot: &Plot) -> Result<String> {
    let first = plot.layers.first().ok_or_else(|| Error::Plot("there is nothing to draw".into()))?;
    let axis = first.histogram.axes().first().ok_or_else(|| Error::Plot("there is no axis".into()))?;
    let layers: Vec<(&Layer, Vec<Step>)> = plot.layers.iter().map(|layer| (layer, steps(layer))).collect();

    let font = font_size(plot.width, plot.height);
    let scales: Vec<Scale> =
        plot.layers.iter().filter_map(|layer| layer.histogram.axes().first()).map(axis_scale).collect();
    let low = scales.iter().map(|scale| scale.low).fold(f64::INFINITY, f64::min);
    let high = scales.iter().map(|scale| scale.high).fold(f64::NEG_INFINITY, f64::max);
    let x = Scale::new(low, high, scales.iter().all(|scale| scale.log));
    let legend = Legend::new(plot, font);
    let top = if plot.title.is_empty() { 1.9 } else { 2.4 } * font;
    let bottom = f64::from(plot.height) - 3.5 * font;
    let y = values(plot, &layers, &x, &legend, bottom - top);
    let y_marks = Marks::Ticks(y.ticks((bottom - top) / (3.6 * font)));
    let frame = Frame {
        left: (2.5 * font + y_marks.width(0.92 * font)).max(4.0 * font),
        right: f64::from(plot.width) - 1.3 * font,
        top,
        bottom,
        font,
        theme: plot.theme,
    };
    let x = x.between(frame.left, frame.right);
    let y = y.between(frame.bottom, frame.top);

    let mut canvas = Canvas::new(plot.width, plot.height, plot.theme);
    let inside = ((frame.left, frame.top), (frame.right - frame.left, frame.bottom - frame.top));
    canvas.clipped(inside.0, inside.1, |canvas| {
        for (number, (layer, steps)) in layers.iter().enumerate() {
            let color = color(plot, number, layer.style);
            match layer.style {
                Style::Points => points(canvas, steps, (&x, &y), color, font),
                style => {
                    outline(canvas, steps, (&x, &y), color, (style == Style::Filled).then(|| plot.theme.fill_opacity()))
                }
            }
        }
    });
    let x_marks = Marks::of(axis, &x, (frame.right - frame.left) / (5.0 * font));
    frame.draw(&mut canvas, (&x, &x_marks), (&y, &y_marks));
    let value = plot.value_label.clone().unwrap_or_else(|| summary::value_label(first.histogram));
    // A title begins behind the power of ten of the values.
    let indent = if matches!(&y_marks, Marks::Ticks(ticks) if ticks.power != 0) { 3.4 * font } else { 0.0 };
    frame.labels(&mut canvas, &summary::axis_label(axis), &value, &y_marks);
    canvas.text(
        (frame.left + indent, frame.top - 0.6 * font),
        &plot.title,
        frame.text(Anchor::Start, plot.theme.ink()),
    );
    legend.draw(&mut canvas, plot, &frame);
    Ok(canvas.finish())
}

fn steps(layer: &Layer) -> Vec<Step> {
    let axes = layer.histogram.axes();
    let inside = layer.histogram.bins().filter(|bin| !bin.is_flow(axes));
    let step = inside.filter_map(|bin| {
        let index = bin.index.first().copied()? as f64;
        let (low, high) = match bin.intervals.first()? {
            Interval::Range(low, high) => (*low, *high),
            _ => (index, index + 1.0),
        };
        let (value, variance) = (bin.content.value(), bin.content.variance());
        let empty = bin.content.weight() == 0.0;
        let error = if variance > 0.0 { variance.sqrt() } else { 0.0 };
        value.is_finite().then_some(Step { low, high, value, error, empty })
    });
    step.collect()
}

fn color(plot: &Plot, number: usize, style: Style) -> &'static str {
    // Data are black, profiles alone, too.
    if style == Style::Points && plot.layers.iter().filter(|layer| layer.style == Style::Points).count() == 1 {
        return plot.theme.ink();
    }
    plot.theme.series(number)
}

/// The scale of the values, with room above for what is written there.
fn values(plot: &Plot, layers: &[(&Layer, Vec<Step>)], x: &Scale, legend: &Legend, height: f64) -> Scale {
    let all = || layers.iter().flat_map(|(layer, steps)| steps.iter().map(move |step| (layer, step)));
    let drawn = || all().filter(|(layer, step)| layer.style != Style::Points || !step.empty);
    let tops = || drawn().map(|(_, step)| step.value + step.error);
    let max = tops().fold(f64::NEG_INFINITY, f64::max);
    let min = drawn().map(|(_, step)| step.value - step.error).fold(f64::INFINITY, f64::min);
    let behind = drawn().filter(|(_, step)| x.part(step.high) > legend.begins(plot.width));
    let behind = behind.map(|(_, step)| step.value + step.error).fold(f64::NEG_INFINITY, f64::max);
    // What part of the height the legend leaves.
    let free = (1.0 - legend.height() / height).clamp(0.35, 1.0);
    if plot.log {
        let positive = drawn().map(|(_, step)| step.value).filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if !positive.is_finite() || max <= 0.0 {
            return Scale::new(0.1, 10.0, true);
        }
        let low = if positive >= 1.0 { 0.5 } else { positive / 2.0 };
        let low = low.max(max * 1e-12);
        let high = (low * (max / low).powf(1.08)).max(low * (behind.max(low) / low).powf(1.0 / free)).max(low * 10.0);
        return Scale::new(low, high, true);
    }
    if !max.is_finite() || !min.is_finite() {
        return Scale::new(0.0, 1.0, false);
    }
    // Entries begin at nothing. Means may lie anywhere.
    let means = layers.iter().all(|(layer, _)| layer.style == Style::Points && layer.histogram.storage().is_mean());
    let span = if max > min { max - min } else { max.abs().max(1.0) };
    let low = match means {
        true => min - 0.12 * span,
        false if min < 0.0 => min - 0.05 * (max - min),
        false => 0.0,
    };
    let high = (if means { max + 0.12 * span } else { max.max(0.0) * 1.1 }).max(low + (behind - low) / free);
    Scale::new(low, if high > low { high } else { low + 1.0 }, false)
}

/// Steps, the area below, and error bars.
fn outline(canvas: &mut Canvas, steps: &[Step], (x, y): (&Scale, &Scale), color: &str, fill: Option<f64>) {
    let base = y.at(if y.log { y.low } else { 0.0_f64.clamp(y.low, y.high) });
    let mut path = Vec::with_capacity(2 * steps.len() + 2);
    path.extend(steps.first().map(|step| (x.at(step.low), base)));
    for step in steps {
        path.push((x.at(step.low), y.at(step.value)));
        path.push((x.at(step.high), y.at(step.value)));
    }
    path.extend(steps.last().map(|step| (x.at(step.high), base)));
    if let Some(opacity) = fill {
        canvas.path(&path, &format!("fill=\"{color}\" fill-opacity=\"{opacity}\" stroke=\"none\""));
    }
    canvas.path(&path, &format!("fill=\"none\" stroke=\"{color}\" stroke-width=\"1.6\" stroke-linejoin=\"miter\""));
    // Bars that touch each other tell nothing.
    for step in steps.iter().filter(|step| step.error > 0.0 && x.at(step.high) - x.at(step.low) >= 3.0) {
        let center = 0.5 * (x.at(step.low) + x.at(step.high));
        canvas.line((center, y.at(step.value - step.error)), (center, y.at(step.value + step.error)), color, 1.1);
    }
}

fn points(canvas: &mut Canvas, steps: &[Step], (x, y): (&Scale, &Scale), color: &str, font: f64) {
    for step in steps.iter().filter(|step| !step.empty) {
        let (left, right, at) = (x.at(step.low), x.at(step.high), y.at(step.value));
        let center = 0.5 * (left + right);
        canvas.line((left, at), (right, at), color, 1.1);
        canvas.line((center, y.at(step.value - step.error)), (center, y.at(step.value + step.error)), color, 1.1);
        canvas.circle((center, at), 0.5 * (0.42 * font).min(right - left).max(3.0), color);
    }
}

/// What is written in the upper right corner: names of histograms, or numbers about the only one.
struct Legend {
    names: Vec<(usize, String, Style)>,
    lines: summary::Lines,
    font: f64,
}

impl Legend {
    fn new(plot: &Plot, font: f64) -> Self {
        let named = plot.layers.iter().enumerate().filter(|(_, layer)| !layer.name.is_empty());
        let names = named.map(|(number, layer)| (number, layer.name.clone(), layer.style)).collect();
        let lines = match plot.layers.as_slice() {
            [layer] if plot.note => summary::lines(layer.histogram),
            _ => Vec::new(),
        };
        Self { names, lines, font: 0.88 * font }
    }

    fn line_height(&self) -> f64 {
        1.42 * self.font
    }

    fn height(&self) -> f64 {
        let lines = (self.names.len() + self.lines.len()) as f64;
        if lines == 0.0 { 0.0 } else { (lines + 1.0) * self.line_height() }
    }

    fn width(&self) -> f64 {
        let names = self.names.iter().map(|(_, name, _)| text_width(name, self.font) + 2.6 * self.font);
        let lines = self.lines.iter().map(|(_, value)| text_width(value, self.font) + 6.2 * self.font);
        names.chain(lines).fold(0.0, f64::max)
    }

    /// The part of the width that is left of it.
    fn begins(&self, width: u32) -> f64 {
        1.0 - (self.width() + 2.5 * self.font) / (f64::from(width) - 6.0 * self.font)
    }

    fn draw(&self, canvas: &mut Canvas, plot: &Plot, frame: &Frame) {
        let look = |anchor, color| Text { size: self.font, ..frame.text(anchor, color) };
        let right = frame.right - 1.1 * self.font;
        let mut y = frame.top + 1.7 * self.font;
        let left = right - self.width();
        for (number, name, style) in &self.names {
            let (color, middle) = (color(plot, *number, *style), y - 0.34 * self.font);
            let (from, to) = (left, left + 1.9 * self.font);
            match style {
                Style::Filled => {
                    let (at, size) = ((from, middle - 0.4 * self.font), (to - from, 0.8 * self.font));
                    let opacity = plot.theme.fill_opacity();
                    let more = format!(" fill-opacity=\"{opacity}\" stroke=\"{color}\" stroke-width=\"1.6\"");
                    canvas.rectangle(at, size, color, &more);
                }
                Style::Steps => canvas.line((from, middle), (to, middle), color, 1.8),
                Style::Points => {
                    let center = 0.5 * (from + to);
                    canvas.line((from, middle), (to, middle), color, 1.1);
                    canvas.line((center, middle - 0.5 * self.font), (center, middle + 0.5 * self.font), color, 1.1);
                    canvas.circle((center, middle), 0.24 * self.font, color);
                }
            }
            canvas.text((to + 0.6 * self.font, y), name, look(Anchor::Start, plot.theme.ink()));
            y += self.line_height();
        }
        for (name, value) in &self.lines {
            canvas.text((left, y), name, look(Anchor::Start, plot.theme.pale_ink()));
            canvas.text((right, y), value, look(Anchor::End, plot.theme.ink()));
            y += self.line_height();
        }
    }
}
