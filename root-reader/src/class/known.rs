//! ROOT's own classes that no description tells how to read.

use super::{Objects, Special};
use crate::number::Number;

/// ROOT's containers of anything that are not read.
pub(super) const ANYTHING: &[&str] =
    &["TMap", "TOrdCollection", "TSortedList", "TRefTable", "TCollection", "TSeqCollection"];

/// ROOT's containers of anything that are.
pub(super) fn objects(class: &str) -> Option<Objects> {
    Some(match class.trim() {
        "TObjArray" => Objects::Array,
        "TList" | "THashList" => Objects::List,
        "TClonesArray" => Objects::Clones,
        _ => return None,
    })
}

/// ROOT's own classes that write themselves.
pub(crate) fn special(class: &str) -> Option<Special> {
    Some(match class.trim() {
        "TRef" => Special::Ref,
        "TRefArray" => Special::RefArray,
        "TDatime" => Special::Datime,
        "TArrayC" => Special::NumberArray(Number::I8),
        "TArrayS" => Special::NumberArray(Number::I16),
        "TArrayI" => Special::NumberArray(Number::I32),
        "TArrayL" | "TArrayL64" => Special::NumberArray(Number::I64),
        "TArrayF" => Special::NumberArray(Number::F32),
        "TArrayD" => Special::NumberArray(Number::F64),
        _ => return None,
    })
}

/// Classes of trees and files, which every file describes and no pointer among data leads to.
pub(super) fn is_bookkeeping(class: &str) -> bool {
    ["TTree", "TBranch", "TLeaf", "TBasket", "TKey", "TDirectory", "TFile"].iter().any(|start| class.starts_with(start))
        || ANYTHING.contains(&class)
        || objects(class).is_some()
}
