//! Pictures of histograms: SVG, the same as PNG, and text for terminals.

mod canvas;
mod curve;
mod frame;
mod heat;
mod png;
mod summary;
mod terminal;
mod theme;
mod ticks;

use crate::error::{Error, Result};
use crate::histogram::Histogram;

pub use terminal::Terminal;
pub use theme::Theme;

/// How a histogram with one axis is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Style {
    /// Steps, with the area below filled.
    Filled,
    /// Steps.
    Steps,
    /// A point for each bin, as for data and for profiles.
    Points,
}

/// A picture of one or several histograms.
///
/// Histograms with one axis are drawn over each other, with statistical errors; one with two axes is a map of colours.
/// Labels understand `p_{T}` and `cm^{2}`.
///
/// ```
/// # fn main() -> root_hist::Result<()> {
/// use root_hist::{Axis, Histogram, Storage, plot::{Plot, Theme}};
///
/// let mass = Axis::regular(60, 60.0, 120.0)?.with_label("m_{μμ}").with_unit("GeV");
/// let mut histogram = Histogram::new(vec![mass], Storage::Count)?;
/// histogram.fill_slice(&[90.3_f32, 91.2, 88.0, 92.5])?;
///
/// let plot = Plot::new(&histogram)?.with_title("Dimuon mass").with_theme(Theme::Dark);
/// let svg = plot.to_svg()?;
/// let png = plot.to_png(2.0)?;
/// # assert!(svg.starts_with("<svg") && png.starts_with(b"\x89PNG"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Plot<'h> {
    layers: Vec<Layer<'h>>,
    title: String,
    value_label: Option<String>,
    width: u32,
    height: u32,
    theme: Theme,
    log: bool,
    note: bool,
}

/// One histogram of a plot.
#[derive(Debug, Clone)]
struct Layer<'h> {
    histogram: &'h Histogram,
    name: String,
    style: Style,
}

/// The widest and highest picture.
const MAX_SIZE: u32 = 8192;

impl<'h> Plot<'h> {
    /// A picture of a histogram with one or two axes.
    pub fn new(histogram: &'h Histogram) -> Result<Self> {
        if histogram.axes().len() > 2 {
            let axes = histogram.axes().len();
            return Err(Error::Plot(format!("a histogram with {axes} axes cannot be drawn; one with 1 or 2 can")));
        }
        if histogram.cell_count() == 0 {
            return Err(Error::Plot("the histogram has no bins yet, as nothing was filled".into()));
        }
        let style = if histogram.storage().is_mean() { Style::Points } else { Style::Filled };
        Ok(Self {
            layers: vec![Layer { histogram, name: String::new(), style }],
            title: String::new(),
            value_label: None,
            width: 800,
            height: 600,
            theme: Theme::Light,
            log: false,
            note: true,
        })
    }

    /// Names the first histogram in the legend, and says how it is drawn.
    pub fn with_first(mut self, name: impl Into<String>, style: Style) -> Self {
        if let Some(first) = self.layers.first_mut() {
            first.name = name.into();
            first.style = style;
        }
        self
    }

    /// Draws another histogram over those that are there. It has one axis, with the same kind of bins.
    pub fn with_overlay(mut self, histogram: &'h Histogram, name: impl Into<String>, style: Style) -> Result<Self> {
        let same = self.layers.iter().all(|layer| match (layer.histogram.axes(), histogram.axes()) {
            ([mine], [theirs]) => mine.is_numeric() == theirs.is_numeric() && (mine.is_numeric() || mine == theirs),
            _ => false,
        });
        if !same {
            let axes = histogram.axes().len();
            return Err(Error::Plot(format!(
                "a histogram with {axes} axes and such bins cannot be drawn over the others"
            )));
        }
        self.layers.push(Layer { histogram, name: name.into(), style });
        Ok(self)
    }

    /// Writes a title above the frame.
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// What the values are, instead of "Entries / 2 GeV" and the like.
    pub fn with_value_label(mut self, label: impl Into<String>) -> Self {
        self.value_label = Some(label.into());
        self
    }

    /// The size of the picture, in units of which letters are 17 high; from 240 × 180 on.
    pub fn with_size(mut self, width: u32, height: u32) -> Self {
        self.width = width.clamp(240, MAX_SIZE);
        self.height = height.clamp(180, MAX_SIZE);
        self
    }

    /// The colours.
    pub fn with_theme(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self
    }

    /// Whether values, or colours of a map, are on a logarithmic scale.
    pub fn with_log(mut self, log: bool) -> Self {
        self.log = log;
        self
    }

    /// Whether entries, mean, deviation, and what is outside of the picture are written into it. They are where there
    /// is one histogram, unless this is taken away.
    pub fn with_note(mut self, note: bool) -> Self {
        self.note = note;
        self
    }

    /// The picture as SVG.
    pub fn to_svg(&self) -> Result<String> {
        match self.layers.as_slice() {
            [layer] if layer.histogram.axes().len() == 2 => heat::draw(self, layer.histogram),
            _ => curve::draw(self),
        }
    }

    /// The picture as PNG, `scale` pixels for each unit of the size.
    pub fn to_png(&self, scale: f32) -> Result<Vec<u8>> {
        png::render(&self.to_svg()?, scale)
    }

    /// The first histogram as text.
    pub fn to_text(&self, terminal: &Terminal) -> String {
        self.layers.first().map_or_else(String::new, |layer| terminal::draw(self, layer.histogram, terminal))
    }
}
