//! Histograms as ROOT has them: `TH1D`, `TH2D`, `TH3D` and `TProfile`, from plain numbers.

use crate::record::{fill_attributes, line_attributes, marker_attributes};
use crate::wire::{PLAIN_BITS, Record};

/// Bits of objects that are deleted with what they belong to.
const MUST_CLEANUP: u32 = 1 << 3;
/// What ROOT has for a limit that nobody set.
const NO_LIMIT: f64 = -1111.0;

/// How an axis is divided into bins.
#[derive(Debug, Clone, PartialEq)]
pub enum Binning {
    /// Bins of one width.
    Regular {
        /// Number of bins.
        bins: usize,
        /// Lower edge of the first.
        low: f64,
        /// Upper edge of the last.
        high: f64,
    },
    /// Bins between these edges, in ascending order.
    Variable(Vec<f64>),
    /// A bin of width 1 for each label, from 0 on.
    Categories(Vec<String>),
}

/// An axis of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramAxis {
    /// What is drawn beside it.
    pub title: String,
    /// Its bins.
    pub binning: Binning,
}

impl HistogramAxis {
    /// Bins without underflow and overflow.
    fn bins(&self) -> usize {
        match &self.binning {
            Binning::Regular { bins, .. } => *bins,
            Binning::Variable(edges) => edges.len().saturating_sub(1),
            Binning::Categories(labels) => labels.len(),
        }
    }

    /// Bins with underflow and overflow.
    fn cells(&self) -> usize {
        self.bins() + 2
    }

    fn range(&self) -> (f64, f64) {
        match &self.binning {
            Binning::Regular { low, high, .. } => (*low, *high),
            Binning::Variable(edges) => (edges.first().copied().unwrap_or(0.0), edges.last().copied().unwrap_or(0.0)),
            Binning::Categories(labels) => (0.0, labels.len() as f64),
        }
    }

    /// The middle of a bin; 0 is underflow.
    fn center(&self, bin: usize) -> f64 {
        if let Binning::Variable(edges) = &self.binning
            && let Some([low, high]) = bin.checked_sub(1).and_then(|i| edges.get(i..i + 2))
        {
            return 0.5 * (low + high);
        }
        let (low, high) = self.range();
        low + (bin as f64 - 0.5) * (high - low) / self.bins().max(1) as f64
    }

    fn fault(&self) -> Option<String> {
        let (low, high) = self.range();
        let is_ascending = match &self.binning {
            Binning::Variable(edges) => edges.windows(2).all(|w| matches!(w, [a, b] if a < b)),
            _ => low < high,
        };
        if self.bins() == 0 {
            return Some(format!("the axis '{}' has no bins", self.title));
        }
        if !is_ascending || !low.is_finite() || !high.is_finite() {
            return Some(format!("the edges of the axis '{}' do not ascend, or are not finite", self.title));
        }
        None
    }
}

/// What a profile has beside a histogram. Its contents are sums of weight × y, and its `sumw2` sums of weight × y².
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileSums {
    /// Sum of weights in each bin.
    pub weights: Vec<f64>,
    /// Sum of squared weights in each bin; empty if all weights are 1.
    pub squared_weights: Vec<f64>,
    /// How errors of bins are computed.
    pub errors: ProfileErrors,
}

/// What ROOT computes the errors of a profile's bins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProfileErrors {
    /// The error on the mean: the spread by the root of the number of entries.
    #[default]
    Mean,
    /// The spread (option `s`).
    Spread,
}

/// Sums over all fills inside the axes, by which ROOT gives means and standard deviations without looking at bins.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    /// Sum of weights.
    pub w: f64,
    /// Sum of squared weights.
    pub w2: f64,
    /// Sum of weight × x.
    pub wx: f64,
    /// Sum of weight × x².
    pub wx2: f64,
    /// Sum of weight × y, of two or three axes, and of profiles.
    pub wy: f64,
    /// Sum of weight × y².
    pub wy2: f64,
    /// Sum of weight × x × y, of two or three axes.
    pub wxy: f64,
    /// Sum of weight × z, of three axes.
    pub wz: f64,
    /// Sum of weight × z².
    pub wz2: f64,
    /// Sum of weight × x × z.
    pub wxz: f64,
    /// Sum of weight × y × z.
    pub wyz: f64,
}

/// A histogram with one to three axes, or a profile with one.
///
/// ```
/// use root_writer::{Binning, HistogramAxis, HistogramObject};
///
/// let axis = HistogramAxis { title: "m [GeV]".into(), binning: Binning::Regular { bins: 2, low: 60.0, high: 120.0 } };
/// let histogram = HistogramObject {
///     name: "dimuon/mass".into(),
///     title: "mass of muon pairs".into(),
///     axes: vec![axis],
///     contents: vec![0.0, 3.0, 1.0, 0.0],
///     sumw2: Vec::new(),
///     entries: 4.0,
///     moments: None,
///     profile: None,
/// };
/// assert_eq!(histogram.class(), Ok("TH1D"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramObject {
    /// Name, with the directories in front that it is in: `dir/h`.
    pub name: String,
    /// What is drawn above it.
    pub title: String,
    /// One to three axes.
    pub axes: Vec<HistogramAxis>,
    /// Sum of weights in each bin, those for underflow and overflow of each axis included; the first axis runs fastest.
    pub contents: Vec<f64>,
    /// Sum of squared weights in each bin; empty if all weights are 1.
    pub sumw2: Vec<f64>,
    /// Number of fills.
    pub entries: f64,
    /// Sums over the fills; if absent they are computed from the bins, as if all fills were in the middle of theirs.
    pub moments: Option<Moments>,
    /// What makes it a profile.
    pub profile: Option<ProfileSums>,
}

impl HistogramObject {
    /// The class that ROOT has for it; an error says what does not go together.
    pub fn class(&self) -> Result<&'static str, String> {
        let class = match (self.axes.len(), &self.profile) {
            (1, None) => "TH1D",
            (2, None) => "TH2D",
            (3, None) => "TH3D",
            (1, Some(_)) => "TProfile",
            (axes, None) => return Err(format!("it has {axes} axes: ROOT files hold one to three")),
            (axes, Some(_)) => {
                return Err(format!("it is a profile with {axes} axes: only those with one are written"));
            }
        };
        if let Some(fault) = self.axes.iter().find_map(HistogramAxis::fault) {
            return Err(fault);
        }
        let cells: usize = self.axes.iter().map(HistogramAxis::cells).product();
        let check = |what: &str, length: usize, may_lack: bool| match length {
            _ if length == cells || may_lack && length == 0 => Ok(()),
            _ => Err(format!("it has {length} {what}, but its axes make {cells} bins with underflow and overflow")),
        };
        check("contents", self.contents.len(), false)?;
        check("sums of squared weights", self.sumw2.len(), self.profile.is_none())?;
        if let Some(profile) = &self.profile {
            check("sums of weights", profile.weights.len(), false)?;
            check("sums of squared weights of the profile", profile.squared_weights.len(), true)?;
        }
        Ok(class)
    }

    /// The sums over the fills, as far as the bins tell them.
    fn moments(&self) -> Moments {
        if let Some(known) = self.moments {
            return known;
        }
        let cells: Vec<usize> = self.axes.iter().map(HistogramAxis::cells).collect();
        let mut sums = Moments::default();
        for (index, content) in self.contents.iter().enumerate() {
            let mut rest = index;
            let mut at = [0.0; 3];
            let mut is_inside = true;
            for ((axis, cells), at) in self.axes.iter().zip(&cells).zip(&mut at) {
                let bin = rest % cells;
                rest /= cells;
                is_inside &= bin > 0 && bin + 1 < *cells;
                *at = axis.center(bin);
            }
            if !is_inside {
                continue;
            }
            let [x, y, z] = at;
            let own = |sums: &[f64]| sums.get(index).copied();
            let (w, w2) = match &self.profile {
                Some(profile) => {
                    let weight = own(&profile.weights).unwrap_or(0.0);
                    sums.wy += content;
                    sums.wy2 += own(&self.sumw2).unwrap_or(0.0);
                    (weight, own(&profile.squared_weights).unwrap_or(weight))
                }
                None => (*content, own(&self.sumw2).unwrap_or(*content)),
            };
            sums.w += w;
            sums.w2 += w2;
            sums.wx += w * x;
            sums.wx2 += w * x * x;
            if self.profile.is_none() {
                sums.wy += w * y;
                sums.wy2 += w * y * y;
            }
            sums.wxy += w * x * y;
            sums.wz += w * z;
            sums.wz2 += w * z * z;
            sums.wxz += w * x * z;
            sums.wyz += w * y * z;
        }
        sums
    }
}

/// The content of the histogram's record.
pub(crate) fn encode(histogram: &HistogramObject, name: &str, key_length: usize) -> Vec<u8> {
    let moments = histogram.moments();
    let mut record = Record::new(key_length);
    let h = Encoder { histogram, name, moments };
    let r = &mut record;
    match (histogram.axes.len(), &histogram.profile) {
        (_, Some(profile)) => h.profile(r, profile),
        (2, _) => r.framed(4, |r| {
            r.framed(5, |r| {
                h.base(r);
                r.f64(1.0); // scale
                [moments.wy, moments.wy2, moments.wxy].iter().for_each(|sum| r.f64(*sum));
            });
            r.array_f64(&histogram.contents);
        }),
        (3, _) => r.framed(4, |r| {
            r.framed(6, |r| {
                h.base(r);
                r.framed(1, |_| {}); // TAtt3D
                let m = moments;
                [m.wy, m.wy2, m.wxy, m.wz, m.wz2, m.wxz, m.wyz].iter().for_each(|sum| r.f64(*sum));
            });
            r.array_f64(&histogram.contents);
        }),
        _ => h.one_dimensional(r),
    }
    record.into_bytes()
}

struct Encoder<'a> {
    histogram: &'a HistogramObject,
    name: &'a str,
    moments: Moments,
}

impl Encoder<'_> {
    /// `TH1D`.
    fn one_dimensional(&self, r: &mut Record) {
        r.framed(3, |r| {
            self.base(r);
            r.array_f64(&self.histogram.contents);
        });
    }

    /// `TProfile`.
    fn profile(&self, r: &mut Record, profile: &ProfileSums) {
        r.framed(7, |r| {
            self.one_dimensional(r);
            r.array_f64(&profile.weights);
            r.i32(match profile.errors {
                ProfileErrors::Mean => 0,
                ProfileErrors::Spread => 1,
            });
            r.f64(0.0); // limits of y
            r.f64(0.0);
            r.f64(self.moments.wy);
            r.f64(self.moments.wy2);
            r.array_f64(&profile.squared_weights);
        });
    }

    /// `TH1`.
    fn base(&self, r: &mut Record) {
        let h = self.histogram;
        let m = self.moments;
        r.framed(8, |r| {
            r.tnamed(PLAIN_BITS | MUST_CLEANUP, self.name, &h.title);
            line_attributes(r);
            fill_attributes(r);
            marker_attributes(r);
            r.i32(h.contents.len() as i32);
            let mut axes = h.axes.iter();
            ["xaxis", "yaxis", "zaxis"].iter().for_each(|name| axis(r, name, axes.next()));
            r.i16(0); // offset and width of bars
            r.i16(1000);
            [h.entries, m.w, m.w2, m.wx, m.wx2, NO_LIMIT, NO_LIMIT, 0.0].iter().for_each(|sum| r.f64(*sum));
            r.array_f64(&[]); // contours
            r.array_f64(&h.sumw2);
            r.string(""); // option
            r.list(&[(); 0], |_, _, ()| {}); // functions
            r.i32(0); // buffer
            r.bool(false);
            r.i32(0); // errors of bins: normal
            r.i32(2); // underflow and overflow in statistics: as the session has it
        });
    }
}

/// `TAxis`; those that the histogram does not have are there too, with one bin.
fn axis(r: &mut Record, name: &str, axis: Option<&HistogramAxis>) {
    let (low, high) = axis.map_or((0.0, 1.0), HistogramAxis::range);
    r.framed(10, |r| {
        r.tnamed(PLAIN_BITS, name, axis.map(|a| a.title.as_str()).unwrap_or_default());
        r.framed(4, |r| {
            r.i32(510); // divisions
            [1, 1, 42].iter().for_each(|n| r.i16(*n)); // colours and font
            [0.005, 0.035, 0.03, 1.0, 0.035].iter().for_each(|n| r.f32(*n)); // offsets and sizes
            [1, 42].iter().for_each(|n| r.i16(*n));
        });
        r.i32(axis.map_or(1, HistogramAxis::bins) as i32);
        r.f64(low);
        r.f64(high);
        match axis.map(|a| &a.binning) {
            Some(Binning::Variable(edges)) => r.array_f64(edges),
            _ => r.array_f64(&[]),
        }
        r.i32(0); // first and last bin that are shown: all
        r.i32(0);
        r.u16(0);
        r.bool(false); // times
        r.string("");
        match axis.map(|a| &a.binning) {
            Some(Binning::Categories(labels)) => labels_of(r, labels),
            _ => r.null(),
        }
        r.null();
    });
}

/// `THashList` of `TObjString`, which know their bins by their unique numbers.
fn labels_of(r: &mut Record, labels: &[String]) {
    r.object("THashList", |r| {
        r.list(labels, |r, index, label| {
            r.object("TObjString", |r| {
                r.framed(1, |r| {
                    r.tobject(index as u32 + 1, PLAIN_BITS);
                    r.string(label);
                });
            });
        });
    });
}
