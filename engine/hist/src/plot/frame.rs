//! The frame of a picture: scales, ticks inward on all four sides, and labels.

use super::canvas::{Anchor, Canvas, Text, text_width};
use super::summary;
use super::theme::Theme;
use super::ticks::{self, Tick, Ticks};
use crate::axis::{Axis, AxisKind};

/// From values to coordinates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) log: bool,
    from: f64,
    to: f64,
}

impl Scale {
    pub(super) fn new(low: f64, high: f64, log: bool) -> Self {
        Self { low, high, log, from: 0.0, to: 1.0 }
    }

    /// The same between two coordinates.
    pub(super) fn between(self, from: f64, to: f64) -> Self {
        Self { from, to, ..self }
    }

    /// What lies outside is drawn somewhat outside.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + self.part(value).clamp(-0.5, 1.5) * (self.to - self.from)
    }

    /// From 0 to 1.
    pub(super) fn part(&self, value: f64) -> f64 {
        let way = |value: f64| if self.log { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let part = (way(value) - way(self.low)) / (way(self.high) - way(self.low));
        if part.is_nan() { 0.0 } else { part }
    }

    pub(super) fn ticks(&self, count: f64) -> Ticks {
        if self.log { ticks::log(self.low, self.high, count) } else { ticks::linear(self.low, self.high, count) }
    }
}

/// The scale along an axis of bins. Categories are one apart.
pub(super) fn axis_scale(axis: &Axis) -> Scale {
    let edges: Vec<f64> = axis.edges().into_iter().filter(|edge| edge.is_finite()).collect();
    let (low, high) = (edges.first().copied().unwrap_or(0.0), edges.last().copied().unwrap_or(1.0));
    let high = if high > low { high } else { low + 1.0 };
    Scale::new(low, high, matches!(axis.kind(), AxisKind::Log { .. }))
}

/// Marks of a side: ticks, or names of categories between them.
pub(super) enum Marks {
    Ticks(Ticks),
    Names(Vec<String>),
}

impl Marks {
    pub(super) fn of(axis: &Axis, scale: &Scale, count: f64) -> Self {
        if axis.is_numeric() {
            return Self::Ticks(scale.ticks(count));
        }
        Self::Names((0..axis.bins()).map(|index| summary::category(axis, index)).collect())
    }

    /// How wide the widest label is.
    pub(super) fn width(&self, size: f64) -> f64 {
        let widest =
            |labels: &mut dyn Iterator<Item = &str>| labels.map(|label| text_width(label, size)).fold(0.0, f64::max);
        match self {
            Self::Ticks(ticks) => widest(&mut ticks.ticks.iter().filter_map(|tick| tick.label.as_deref())),
            Self::Names(names) => widest(&mut names.iter().map(String::as_str)).min(11.0 * size),
        }
    }
}

/// Where everything stands.
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// Height of letters.
    pub(super) font: f64,
    pub(super) theme: Theme,
}

/// Letters of smaller pictures are smaller, but not in proportion.
pub(super) fn font_size(width: u32, height: u32) -> f64 {
    let part = (f64::from(width) / 800.0).min(f64::from(height) / 600.0);
    (17.0 * part.powf(0.6) * 10.0).round().max(80.0) / 10.0
}

/// Part of the letters of labels that letters beside ticks have.
const TICK_FONT: f64 = 0.92;

impl Frame {
    pub(super) fn tick_font(&self) -> f64 {
        self.font * TICK_FONT
    }

    pub(super) fn text<'a>(&self, anchor: Anchor, color: &'a str) -> Text<'a> {
        Text { size: self.font, anchor, color, upright: false }
    }

    /// The lines of the frame, with marks along it.
    pub(super) fn draw(&self, canvas: &mut Canvas, (x, x_marks): (&Scale, &Marks), (y, y_marks): (&Scale, &Marks)) {
        let ink = self.theme.ink();
        let size = self.tick_font();
        match x_marks {
            Marks::Ticks(ticks) => {
                for (at, length, label) in self.places(ticks, x) {
                    canvas.line((at, self.bottom), (at, self.bottom - length), ink, 1.0);
                    canvas.line((at, self.top), (at, self.top + length), ink, 1.0);
                    if let Some(label) = label {
                        let look = Text { size, ..self.text(Anchor::Middle, ink) };
                        canvas.text((at, self.bottom + 1.25 * size), label, look);
                    }
                }
                self.power(canvas, ticks, (self.right, self.bottom + 2.35 * size), Anchor::End);
            }
            Marks::Names(names) => {
                let slot = (self.right - self.left) / names.len().max(1) as f64;
                let every = (1.3 * size / slot).ceil().max(1.0) as usize;
                for (number, name) in names.iter().enumerate().filter(|(number, _)| number % every == 0) {
                    let look = Text { size, ..self.text(Anchor::Middle, ink) };
                    let name = fitting(name, slot * every as f64 * 0.96, size);
                    canvas.text((x.at(number as f64 + 0.5), self.bottom + 1.25 * size), &name, look);
                }
            }
        }
        match y_marks {
            Marks::Ticks(ticks) => {
                for (at, length, label) in self.places(ticks, y) {
                    canvas.line((self.left, at), (self.left + length, at), ink, 1.0);
                    canvas.line((self.right, at), (self.right - length, at), ink, 1.0);
                    if let Some(label) = label {
                        let look = Text { size, ..self.text(Anchor::End, ink) };
                        canvas.text((self.left - 0.45 * size, at + 0.36 * size), label, look);
                    }
                }
                self.power(canvas, ticks, (self.left, self.top - 0.45 * size), Anchor::Start);
            }
            Marks::Names(names) => {
                let slot = (self.bottom - self.top) / names.len().max(1) as f64;
                let every = (1.3 * size / slot).ceil().max(1.0) as usize;
                for (number, name) in names.iter().enumerate().filter(|(number, _)| number % every == 0) {
                    let look = Text { size, ..self.text(Anchor::End, ink) };
                    let at = (self.left - 0.45 * size, y.at(number as f64 + 0.5) + 0.36 * size);
                    canvas.text(at, &fitting(name, 11.0 * size, size), look);
                }
            }
        }
        let corners = [
            (self.left, self.top),
            (self.right, self.top),
            (self.right, self.bottom),
            (self.left, self.bottom),
            (self.left, self.top),
        ];
        canvas.path(&corners, &format!("fill=\"none\" stroke=\"{ink}\" stroke-width=\"1.3\" stroke-linejoin=\"miter\" stroke-linecap=\"square\""));
    }

    /// Labels at the ends of the axes, as physicists have them.
    pub(super) fn labels(&self, canvas: &mut Canvas, x: &str, y: &str, y_marks: &Marks) {
        let ink = self.theme.ink();
        canvas.text((self.right, self.bottom + 2.75 * self.font), x, self.text(Anchor::End, ink));
        let beside = self.left - y_marks.width(self.tick_font()) - 1.15 * self.font;
        canvas.text((beside, self.top), y, Text { upright: true, ..self.text(Anchor::End, ink) });
    }

    /// Coordinates and lengths of ticks.
    fn places<'t>(&self, ticks: &'t Ticks, scale: &Scale) -> impl Iterator<Item = (f64, f64, Option<&'t str>)> {
        let (major, minor) = (0.62 * self.font, 0.34 * self.font);
        let scale = *scale;
        ticks.ticks.iter().map(move |Tick { at, label }| {
            (scale.at(*at), if label.is_some() { major } else { minor }, label.as_deref())
        })
    }

    fn power(&self, canvas: &mut Canvas, ticks: &Ticks, at: (f64, f64), anchor: Anchor) {
        if ticks.power != 0 {
            let power = ticks.power.to_string().replace('-', "−");
            let look = Text { size: self.tick_font(), ..self.text(anchor, self.theme.ink()) };
            canvas.text(at, &format!("×10^{{{power}}}"), look);
        }
    }
}

/// As much of a name as there is room for.
fn fitting(name: &str, width: f64, size: f64) -> String {
    if text_width(name, size) <= width {
        return name.to_owned();
    }
    let mut short = String::new();
    for letter in name.chars() {
        if text_width(&short, size) + 1.2 * size > width {
            break;
        }
        short.push(letter);
    }
    short + "…"
}
