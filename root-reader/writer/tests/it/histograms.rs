//! Histograms, as uproot and the `hist` package read them.

use std::io::Cursor;

use root_writer::{Binning, Error, FileWriter, HistogramAxis, HistogramObject, Moments, ProfileErrors, ProfileSums};
use serde_json::json;

use crate::support::{at_a_fixed_time, python_on};

fn regular(title: &str, bins: usize, low: f64, high: f64) -> HistogramAxis {
    HistogramAxis { title: title.into(), binning: Binning::Regular { bins, low, high } }
}

fn plain(name: &str, axes: Vec<HistogramAxis>, contents: Vec<f64>) -> HistogramObject {
    HistogramObject {
        name: name.into(),
        title: format!("title of {name}"),
        axes,
        entries: contents.iter().sum(),
        contents,
        sumw2: Vec::new(),
        moments: None,
        profile: None,
    }
}

fn file_of(histograms: &[HistogramObject]) -> Vec<u8> {
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), "h.root", at_a_fixed_time()).unwrap();
    histograms.iter().for_each(|histogram| writer.histogram(histogram).unwrap());
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_weighted_histogram_keeps_flow_variances_and_titles() {
    let histogram = HistogramObject {
        sumw2: vec![1.0, 0.5, 4.0, 9.0],
        entries: 17.0,
        moments: Some(Moments { w: 5.0, w2: 4.5, wx: 6.5, wx2: 9.0, ..Moments::default() }),
        ..plain("dir/mass", vec![regular("m [GeV]", 2, 1.0, 2.0)], vec![1.0, 2.0, 3.0, 4.5])
    };
    let script = r#"
h = uproot.open(path)["dir/mass"]
x = h.member("fXaxis")
m = {n: h.member(n) for n in ("fEntries", "fTsumw", "fTsumw2", "fTsumwx", "fTsumwx2", "fNcells")}
back = h.to_hist()
print(json.dumps([h.classname, h.title, h.values(flow=True).tolist(), h.variances(flow=True).tolist(), x.edges().tolist(),
    x.member("fTitle"), m, h.axis().edges().tolist(), back.axes[0].label, back.view(flow=True)["variance"].tolist()]))
"#;
    assert_eq!(
        python_on(&file_of(&[histogram]), script),
        json!([
            "TH1D", "title of dir/mass", [1.0, 2.0, 3.0, 4.5], [1.0, 0.5, 4.0, 9.0], [1.0, 1.5, 2.0], "m [GeV]",
            {"fEntries": 17.0, "fTsumw": 5.0, "fTsumw2": 4.5, "fTsumwx": 6.5, "fTsumwx2": 9.0, "fNcells": 4},
            [1.0, 1.5, 2.0], "m [GeV]", [1.0, 0.5, 4.0, 9.0],
        ])
    );
}

#[test]
fn axes_may_have_unequal_bins_and_labels() {
    let variable = HistogramAxis { title: "pt".into(), binning: Binning::Variable(vec![0.0, 1.0, 10.0]) };
    let labels = vec!["trigger".to_string(), "two muons".into(), "mass".into()];
    let categories = HistogramAxis { title: "cut".into(), binning: Binning::Categories(labels) };
    let histograms = [
        plain("variable", vec![variable], vec![0.0, 5.0, 6.0, 0.0]),
        plain("cutflow", vec![categories], vec![0.0, 100.0, 10.0, 1.0, 0.0]),
    ];
    let script = r#"
f = uproot.open(path)
c = f["cutflow"]
print(json.dumps([f["variable"].axis().edges().tolist(), f["variable"].values().tolist(),
    c.axis().labels(), c.values().tolist(), list(c.to_hist().axes[0])]))
"#;
    assert_eq!(
        python_on(&file_of(&histograms), script),
        json!([
            [0.0, 1.0, 10.0],
            [5.0, 6.0],
            ["trigger", "two muons", "mass"],
            [100.0, 10.0, 1.0],
            ["trigger", "two muons", "mass"],
        ])
    );
}

#[test]
fn two_and_three_dimensions_have_the_first_axis_run_fastest() {
    let x = || regular("x", 2, 0.0, 2.0);
    let y = || regular("y", 1, 0.0, 4.0);
    let z = || regular("z", 2, 0.0, 1.0);
    let numbered = |count: usize| (0..count).map(|i| i as f64).collect::<Vec<_>>();
    let two = HistogramObject { sumw2: numbered(12), ..plain("two", vec![x(), y()], numbered(12)) };
    let three = plain("three", vec![x(), y(), z()], numbered(48));
    let script = r#"
f = uproot.open(path)
two, three = f["two"], f["three"]
numbered = np.arange(48.0).reshape(4, 3, 4).transpose(2, 1, 0)
m = lambda h, *names: [h.member(n) for n in names]
print(json.dumps([two.classname, three.classname, two.values(flow=True).tolist(), two.variances(flow=True).tolist(),
    bool(np.all(three.values(flow=True) == numbered)), bool(np.all(three.to_hist().view(flow=True) == numbered)),
    two.to_hist().view(flow=True)["value"].shape, [a.member("fTitle") for a in three.axes],
    m(two, "fTsumw", "fTsumwx", "fTsumwx2", "fTsumwy", "fTsumwxy"),
    m(three, "fTsumw", "fTsumwx", "fTsumwy", "fTsumwz", "fTsumwz2", "fTsumwxz", "fTsumwyz")]))
"#;
    let expected = [[0.0, 4.0, 8.0], [1.0, 5.0, 9.0], [2.0, 6.0, 10.0], [3.0, 7.0, 11.0]];
    assert_eq!(
        python_on(&file_of(&[two, three]), script),
        json!([
            "TH2D",
            "TH3D",
            expected,
            expected,
            true,
            true,
            [4, 3],
            ["x", "y", "z"],
            // Bins with 5 and 6, at x = 0.5 and 1.5 and y = 2.
            [11.0, 11.5, 14.75, 22.0, 23.0],
            // Bins with 17, 18, 29 and 30, at x = 0.5, 1.5, 0.5, 1.5, y = 2 and z = 0.25, 0.25, 0.75, 0.75.
            [94.0, 95.0, 188.0, 53.0, 35.375, 53.5, 106.0],
        ])
    );
}

#[test]
fn a_profile_gives_the_means_of_its_bins() {
    let profile = HistogramObject {
        sumw2: vec![0.0, 30.0, 8.0, 0.0],
        profile: Some(ProfileSums {
            weights: vec![0.0, 3.0, 2.0, 0.0],
            squared_weights: Vec::new(),
            errors: ProfileErrors::Mean,
        }),
        ..plain("profile", vec![regular("x", 2, 0.0, 2.0)], vec![0.0, 9.0, 4.0, 0.0])
    };
    let script = r#"
p = uproot.open(path)["profile"]
m = [p.member(n) for n in ("fEntries", "fTsumw", "fTsumwx", "fTsumwy", "fTsumwy2")]
print(json.dumps([p.classname, p.values().tolist(), p.counts().tolist(), np.round(p.errors(), 12).tolist(), m]))
"#;
    // Of 3 entries, mean 3, mean square 10: the spread is 1, the error on the mean 1/sqrt(3). Of 2 the spread is 0, for
    // which uproot has 0 too.
    let found = python_on(&file_of(&[profile]), script);
    assert_eq!(found[0], "TProfile");
    assert_eq!(found[1], json!([3.0, 2.0]));
    assert_eq!(found[2], json!([3.0, 2.0]));
    assert_eq!(found[3][0], json!(0.577350269190));
    assert_eq!(found[4], json!([13.0, 5.0, 4.5, 13.0, 38.0]));
}

#[test]
fn histograms_that_contradict_themselves_are_refused() {
    let good = plain("h", vec![regular("x", 2, 0.0, 1.0)], vec![0.0; 4]);
    let cases = [
        (HistogramObject { contents: vec![0.0; 3], ..good.clone() }, "it has 3 contents, but its axes make 4 bins"),
        (HistogramObject { sumw2: vec![0.0; 2], ..good.clone() }, "it has 2 sums of squared weights"),
        (HistogramObject { axes: Vec::new(), ..good.clone() }, "it has 0 axes"),
        (HistogramObject { axes: vec![regular("x", 2, 1.0, 1.0)], ..good.clone() }, "do not ascend"),
        (HistogramObject { axes: vec![regular("x", 0, 0.0, 1.0)], ..good.clone() }, "has no bins"),
    ];
    for (histogram, why) in cases {
        let mut writer = FileWriter::new(Cursor::new(Vec::new()), "h.root", at_a_fixed_time()).unwrap();
        let error = writer.histogram(&histogram).unwrap_err();
        assert!(matches!(error, Error::Histogram { .. }));
        assert!(error.to_string().starts_with("h.root: histogram 'h': ") && error.to_string().contains(why), "{error}");
    }
}
