//! Colours, chosen so that colour-blind people can tell them apart.

/// The colours of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Theme {
    /// Dark lines on white, for paper.
    #[default]
    Light,
    /// Light lines on black, for screens.
    Dark,
}

impl Theme {
    pub(super) fn background(self) -> &'static str {
        match self {
            Self::Light => "#ffffff",
            Self::Dark => "#14171c",
        }
    }

    pub(super) fn ink(self) -> &'static str {
        match self {
            Self::Light => "#16191d",
            Self::Dark => "#e6e4df",
        }
    }

    /// Of less important text.
    pub(super) fn pale_ink(self) -> &'static str {
        match self {
            Self::Light => "#50565e",
            Self::Dark => "#a9afb8",
        }
    }

    /// Of the histogram with this number: the colours of M. Petroff (arXiv:2107.02270), lighter on black.
    pub(super) fn series(self, number: usize) -> &'static str {
        const LIGHT: [&str; 6] = ["#3f7fd0", "#e8862b", "#bd1f01", "#832db6", "#5d6f6d", "#a96b59"];
        const DARK: [&str; 6] = ["#6aaef5", "#ffb547", "#ff6f55", "#c58bef", "#a9bdbb", "#d8a08f"];
        let colors = match self {
            Self::Light => LIGHT,
            Self::Dark => DARK,
        };
        colors.get(number % colors.len()).copied().unwrap_or("#888888")
    }

    /// How much of its colour an area has.
    pub(super) fn fill_opacity(self) -> f64 {
        match self {
            Self::Light => 0.22,
            Self::Dark => 0.30,
        }
    }
}

/// Colours from dark blue to yellow, even in lightness (viridis), at equal distances.
const MAP: [[u8; 3]; 11] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x24, 0x75],
    [0x41, 0x44, 0x87],
    [0x35, 0x5f, 0x8d],
    [0x2a, 0x78, 0x8e],
    [0x21, 0x91, 0x8c],
    [0x22, 0xa8, 0x84],
    [0x44, 0xbf, 0x70],
    [0x7a, 0xd1, 0x51],
    [0xbd, 0xdf, 0x26],
    [0xfd, 0xe7, 0x25],
];

/// The colour of a part of the whole, from 0 to 1.
pub(super) fn map_color(part: f64) -> String {
    let place = part.clamp(0.0, 1.0) * (MAP.len() - 1) as f64;
    let below = (place as usize).min(MAP.len() - 2);
    let (Some(low), Some(high)) = (MAP.get(below), MAP.get(below + 1)) else { return "#000000".into() };
    let weight = place - below as f64;
    let mix = |(low, high): (&u8, &u8)| (f64::from(*low) * (1.0 - weight) + f64::from(*high) * weight).round() as u8;
    let mut color = String::from("#");
    for part in low.iter().zip(high).map(mix) {
        color.push_str(&format!("{part:02x}"));
    }
    color
}
