//! PNG from SVG, with the one font that is embedded: what is drawn does not depend on the machine.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::error::{Error, Result};

/// Arimo, reduced to Latin, Greek and mathematical signs. Its licence is beside it.
const FONT: &[u8] = include_bytes!("../../assets/Arimo-subset.ttf");

/// Pixels of the largest picture: 256 MiB while it is drawn.
const MAX_PIXELS: f64 = (64 << 20) as f64;

pub(super) fn render(svg: &str, scale: f32) -> Result<Vec<u8>> {
    let problem = |problem: String| Error::Plot(format!("the PNG: {problem}"));
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("Arimo");
    let options = Options { fontdb: Arc::new(fonts), font_family: "Arimo".into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| problem(error.to_string()))?;
    let size = tree.size();
    let (width, height) = ((size.width() * scale).round(), (size.height() * scale).round());
    if scale.is_nan() || scale <= 0.0 || f64::from(width) * f64::from(height) > MAX_PIXELS {
        return Err(problem(format!("{width} × {height} pixels are too many or too few; choose another scale")));
    }
    let mut pixels = Pixmap::new(width as u32, height as u32).ok_or_else(|| problem("it would be empty".into()))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| problem(error.to_string()))
}
