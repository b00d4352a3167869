//! Pictures: what is in them, and that they can be read as what they are.

use arrow_array::{Float64Array, StringArray};
use root_hist::plot::{Plot, Style, Terminal, Theme};
use root_hist::{Axis, Entries, Error, Histogram, Storage};

use crate::support::Random;

fn peak() -> Histogram {
    let axis = Axis::regular(100, 0.0, 200.0).unwrap().with_name("mass").with_label("m_{μμ}").with_unit("GeV");
    let mut histogram = Histogram::new(vec![axis], Storage::Count).unwrap();
    let mut random = Random::new(5);
    let values: Vec<f64> = (0..20_000).map(|_| 91.0 + 10.0 * random.normal()).collect();
    histogram.fill_slice(&values).unwrap();
    histogram.fill_slice(&[300.0, f64::NAN]).unwrap();
    histogram
}

fn few() -> Histogram {
    let mut histogram =
        Histogram::new(vec![Axis::regular(4, 0.0, 4.0).unwrap().with_label("n")], Storage::Count).unwrap();
    histogram.fill_slice(&[-1, 0, 0, 0, 0, 1, 1, 2]).unwrap();
    histogram
}

fn map() -> Histogram {
    let axes = vec![Axis::regular(8, -1.0, 1.0).unwrap().with_label("η"), Axis::regular(6, -1.0, 1.0).unwrap()];
    let mut histogram = Histogram::new(axes, Storage::Count).unwrap();
    let mut random = Random::new(6);
    let mut column = || Float64Array::from_iter_values((0..1000).map(|_| random.normal() / 2.0));
    histogram.fill(&Entries::new(&[&column(), &column()])).unwrap();
    histogram
}

#[test]
fn a_picture_has_labels_units_and_what_it_does_not_show() {
    let histogram = peak();

    let svg = Plot::new(&histogram).unwrap().with_title("Z < Z'").to_svg().unwrap();

    for expected in
        [">m</tspan>", ">μμ</tspan>", "[GeV]", "Entries / 2 GeV", "Z &lt; Z'", "Overflow", "NaN", "20002", ">150<"]
    {
        assert!(svg.contains(expected), "{expected}");
    }
}

#[test]
fn what_a_terminal_would_obey_does_not_reach_it() {
    let words = ["\u{1b}]0;title\u{7}", "two\nlines", "plain"];
    let axis = || Axis::str_category(words).unwrap().with_label("\u{1b}[31mx").with_unit("\u{9b}2J");
    let one = Histogram::new(vec![axis()], Storage::Count).unwrap();
    let two = Histogram::new(vec![axis(), axis()], Storage::Count).unwrap();
    for histogram in [&peak(), &one, &two] {
        for ascii in [false, true] {
            let plot = Plot::new(histogram).unwrap().with_title("a\u{1b}[2Jb\rc").with_value_label("\u{7}");

            let text = plot.to_text(&Terminal { columns: 80, ascii });

            assert!(!text.contains(|letter: char| letter.is_control() && letter != '\n'), "{text:?}");
            assert!(text.contains(['\u{fffd}', '?']), "{text}");
        }
    }
}

#[test]
fn pngs_have_the_size_that_was_asked_for_and_show_something() {
    let (one, two) = (peak(), map());
    for (histogram, theme, log) in [(&one, Theme::Light, false), (&one, Theme::Dark, true), (&two, Theme::Light, true)]
    {
        let plot = Plot::new(histogram).unwrap().with_size(400, 300).with_theme(theme).with_log(log);

        let png = plot.to_png(1.5).unwrap();

        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!((&png[16..20], &png[20..24]), (&600_u32.to_be_bytes()[..], &450_u32.to_be_bytes()[..]));
        // What is of one colour compresses to less.
        assert!(png.len() > 4000, "{}", png.len());
    }
}

#[test]
fn histograms_without_entries_and_with_the_oddest_values_are_drawn() {
    let axis = || Axis::regular(3, 0.0, 1.0).unwrap();
    let empty = |storage| Histogram::new(vec![axis()], storage).unwrap();
    let mut odd = empty(Storage::Weight);
    let weights = Float64Array::from(vec![-5.0, f64::MAX, f64::INFINITY]);
    odd.fill(&Entries::new(&[&Float64Array::from(vec![0.1, 0.5, 0.9])]).weights(&weights)).unwrap();
    let infinite = Axis::variable(vec![f64::NEG_INFINITY, 0.0, 1.0, f64::INFINITY]).unwrap();
    let infinite = Histogram::new(vec![infinite], Storage::Count).unwrap();
    let empty_map = Histogram::new(vec![axis(), Axis::boolean()], Storage::WeightedMean).unwrap();
    for histogram in [empty(Storage::Count), empty(Storage::Mean), odd, infinite, empty_map] {
        for log in [false, true] {
            let plot = Plot::new(&histogram).unwrap().with_log(log);
            plot.to_png(0.5).unwrap();
            assert!(!plot.to_text(&Terminal::default()).is_empty());
            assert!(!plot.to_svg().unwrap().contains("NaN"), "{}", plot.to_svg().unwrap());
        }
    }
}

#[test]
fn what_cannot_be_drawn_is_refused_in_words() {
    let three = Histogram::new(vec![Axis::boolean(); 3], Storage::Count).unwrap();
    let nothing = Histogram::new(vec![Axis::growing_str_category()], Storage::Count).unwrap();
    let (one, two) = (few(), map());

    assert!(matches!(Plot::new(&three), Err(Error::Plot(problem)) if problem.contains("3 axes")));
    assert!(matches!(Plot::new(&nothing), Err(Error::Plot(problem)) if problem.contains("no bins")));
    assert!(Plot::new(&one).unwrap().with_overlay(&two, "map", Style::Steps).is_err());
    assert!(Plot::new(&one).unwrap().to_png(1e6).is_err());
    assert!(Plot::new(&one).unwrap().to_png(f32::NAN).is_err());
}

#[test]
fn few_bins_are_rows_of_blocks() {
    let text = Plot::new(&few()).unwrap().to_text(&Terminal { columns: 40, ascii: false });

    // 30 letters for 4 entries. The mean is that of the centres of the bins, (4·0.5 + 2·1.5 + 2.5) / 7.
    let expected = "\
n                                Entries
  < 0 │███████▌                       1
0 – 1 │██████████████████████████████ 4
1 – 2 │███████████████                2
2 – 3 │███████▌                       1
3 – 4 │                               0
Entries 8 · Mean 1.071 · Std dev 0.7284 · Underflow 1
";
    assert_eq!(text, expected);
}

#[test]
fn terminals_of_every_width_are_not_exceeded() {
    let mut words = Histogram::new(vec![Axis::growing_str_category()], Storage::Weight).unwrap();
    let column = StringArray::from(vec!["a very long name of a sample that nobody should use", "b"]);
    words.fill(&Entries::new(&[&column]).weight(0.123)).unwrap();
    for histogram in [peak(), few(), map(), words] {
        for columns in [40, 60, 80, 120, 200] {
            for ascii in [false, true] {
                let text = Plot::new(&histogram).unwrap().to_text(&Terminal { columns, ascii });
                // The last line is a note, and may be wrapped.
                for line in text.lines().take(text.lines().count() - 1) {
                    assert!(line.chars().count() <= columns, "{columns}: {line:?}");
                }
                assert!(!ascii || text.is_ascii(), "{text}");
            }
        }
    }
}
