//! SVG, written element by element, with labels that have raised and lowered parts.

use std::fmt::Write;

use super::theme::Theme;

/// The font of the PNG is as wide as the others.
const FONTS: &str = "Arimo, Helvetica, Arial, 'Liberation Sans', sans-serif";

/// Where a text is anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) size: f64,
    pub(super) anchor: Anchor,
    pub(super) color: &'a str,
    /// From bottom to top.
    pub(super) upright: bool,
}

/// A picture that is being drawn.
pub(super) struct Canvas {
    out: String,
}

impl Canvas {
    pub(super) fn new(width: u32, height: u32, theme: Theme) -> Self {
        let mut canvas = Self { out: String::new() };
        canvas.push(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" font-family=\"{FONTS}\">\n<rect width=\"100%\" height=\"100%\" fill=\"{}\"/>\n",
            theme.background()
        ));
        canvas
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
        self.push(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{color}\" stroke-width=\"{width}\"/>\n",
            short(from.0),
            short(from.1),
            short(to.0),
            short(to.1)
        ));
    }

    pub(super) fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str, more: &str) {
        self.push(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"{more}/>\n",
            short(x),
            short(y),
            short(width),
            short(height)
        ));
    }

    pub(super) fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: &str) {
        self.push(format_args!("<circle cx=\"{}\" cy=\"{}\" r=\"{radius}\" fill=\"{fill}\"/>\n", short(x), short(y)));
    }

    /// A path through points; `more` are attributes.
    pub(super) fn path(&mut self, points: &[(f64, f64)], more: &str) {
        self.out.push_str("<path d=\"");
        for (number, (x, y)) in points.iter().enumerate() {
            self.push(format_args!("{}{} {}", if number == 0 { 'M' } else { 'L' }, short(*x), short(*y)));
        }
        self.push(format_args!("\" {more}/>\n"));
    }

    /// What is drawn in `draw` only shows within a rectangle.
    pub(super) fn clipped(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), draw: impl FnOnce(&mut Self)) {
        self.push(format_args!(
            "<clipPath id=\"frame\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/></clipPath>\n<g clip-path=\"url(#frame)\">\n",
            short(x),
            short(y),
            short(width),
            short(height)
        ));
        draw(self);
        self.out.push_str("</g>\n");
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), text: &str, look: Text) {
        let anchor = match look.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y) = (short(x), short(y));
        let turn = if look.upright { format!(" transform=\"rotate(-90 {x} {y})\"") } else { String::new() };
        self.push(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{}\"{turn}>",
            look.size, look.color
        ));
        let mut raised = 0.0;
        for (part, level) in parts(text) {
            let height = match level {
                Level::Base => 0.0,
                Level::Lower => 0.22 * look.size,
                Level::Upper => -0.38 * look.size,
            };
            let size = if level == Level::Base { look.size } else { 0.7 * look.size };
            let (move_by, escaped) = (short(height - raised), escape(part));
            self.push(format_args!("<tspan dy=\"{move_by}\" font-size=\"{}\">{escaped}</tspan>", short(size)));
            raised = height;
        }
        self.out.push_str("</text>\n");
    }

    fn push(&mut self, text: std::fmt::Arguments) {
        // Writing to a string does not fail.
        let _ = self.out.write_fmt(text);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Base,
    Lower,
    Upper,
}

/// A label in parts: `_{…}` is lowered, `^{…}` raised.
fn parts(text: &str) -> Vec<(&str, Level)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((start, level)) = [("_{", Level::Lower), ("^{", Level::Upper)]
        .into_iter()
        .filter_map(|(mark, level)| rest.find(mark).map(|start| (start, level)))
        .min_by_key(|(start, _)| *start)
    {
        let (before, marked) = rest.split_at(start);
        let Some((inside, after)) = marked.get(2..).and_then(|marked| marked.split_once('}')) else { break };
        parts.push((before, Level::Base));
        parts.push((inside, level));
        rest = after;
    }
    parts.push((rest, Level::Base));
    parts.retain(|(part, _)| !part.is_empty());
    parts
}

/// A label without marks, for terminals, and without control characters, which those would obey.
pub(super) fn unmarked(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for (part, level) in parts(text) {
        match level {
            Level::Base => {}
            Level::Lower => plain.push('_'),
            Level::Upper => plain.push('^'),
        }
        plain.extend(part.chars().map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter }));
    }
    plain
}

/// About how wide a text is, by the font that is embedded.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let letter = |letter: char| match letter {
        'i' | 'j' | 'l' | '\'' => 0.22,
        '.' | ',' | ':' | ' ' | 'f' | 't' | 'I' | '/' | '[' | ']' => 0.28,
        'r' | '(' | ')' | '-' => 0.33,
        'm' | 'M' => 0.83,
        'w' | 'W' => 0.8,
        letter if letter.is_uppercase() => 0.68,
        letter if letter.is_alphanumeric() => 0.556,
        _ => 0.58,
    };
    let scale = |level| if level == Level::Base { size } else { 0.7 * size };
    parts(text).into_iter().map(|(part, level)| part.chars().map(letter).sum::<f64>() * scale(level)).sum()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // XML has no others.
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Coordinates to a hundredth.
fn short(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_raise_and_lower() {
        let expected = [("p", Level::Base), ("T", Level::Lower), (" cm", Level::Base), ("2", Level::Upper)];
        assert_eq!(parts("p_{T} cm^{2}"), expected);
        assert_eq!(parts("a_b^c {x}"), [("a_b^c {x}", Level::Base)]);
        assert_eq!(parts("x_{open"), [("x_{open", Level::Base)]);
        assert_eq!(unmarked("p_{T}"), "p_T");
        assert_eq!(unmarked("a\u{1b}[2J\nb\u{9b}"), "a\u{fffd}[2J\u{fffd}b\u{fffd}");
    }

    #[test]
    fn what_xml_reserves_is_escaped() {
        assert_eq!(escape("a<b & \u{1}"), "a&lt;b &amp;  ");
    }
}
