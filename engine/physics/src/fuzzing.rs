//! Entry points for the fuzz targets of `fuzz/`, only compiled for them: the parsers of luminosity, with bytes from outside.
//! They may return errors; they must not panic, hang, or take more memory than the input justifies.

use arrow_array::UInt32Array;

use crate::lumi::{LumiMask, LumiSections, LumiTable};

/// A mask: its ranges are in order and apart, and hold what they say.
pub fn mask(json: &[u8]) {
    let Ok(mask) = LumiMask::parse(json) else { return };
    let mut bounds = Vec::new();
    for (run, ranges) in mask.runs() {
        assert!(ranges.iter().all(|(first, last)| first <= last));
        assert!(
            ranges.windows(2).all(|pair| matches!(pair, [(_, last), (first, _)] if last.checked_add(1) < Some(*first)))
        );
        for (first, last) in ranges {
            assert!(mask.contains(run, *first) && mask.contains(run, *last));
            assert!(!last.checked_add(1).is_some_and(|next| mask.contains(run, next)));
            bounds.extend([(run, *first), (run, *last), (run, last.wrapping_add(1))]);
        }
    }
    let runs = UInt32Array::from_iter_values(bounds.iter().map(|(run, _)| *run));
    let sections = UInt32Array::from_iter_values(bounds.iter().map(|(_, section)| *section));
    if let Ok(found) = mask.contains_all(&runs, &sections) {
        for ((run, section), inside) in bounds.into_iter().zip(found.values()) {
            assert_eq!(mask.contains(run, section), inside);
        }
    }
    let mut present = LumiSections::default();
    assert!(present.extend(&runs, &sections).is_ok());
    assert!(present.absent(&mask).iter().all(|(run, first, last)| first <= last && mask.contains(*run, *first)));
}

/// A table of luminosity, and sections as bytes.
pub fn luminosity(csv: &[u8]) {
    if let Ok(table) = LumiTable::parse(csv) {
        assert_eq!(table.iter().count(), table.len());
        assert!(table.iter().all(|(run, section, luminosity)| table.get(run, section) == Some(luminosity)));
        let runs = UInt32Array::from_iter_values(table.iter().map(|(run, ..)| run));
        let numbers = UInt32Array::from_iter_values(table.iter().map(|(_, section, _)| section));
        let mut sections = LumiSections::default();
        assert!(sections.extend(&runs, &numbers).is_ok());
        let integral = sections.integrate(&table);
        assert_eq!((integral.found, integral.missing), (table.len(), 0));
    }
    if let Ok(sections) = LumiSections::from_bytes(csv) {
        assert!(LumiSections::from_bytes(&sections.to_bytes()).is_ok_and(|again| again == sections));
    }
}
