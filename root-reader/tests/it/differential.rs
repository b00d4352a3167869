//! oxyroot, an independent reader, finds the same values. It panics on what it does not know, so each branch that it can
//! read is named here; files of groot, whose class descriptions are of a newer version than it knows, it refuses.

use std::fmt::Debug;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use oxyroot::{ReaderTree, Slice};
use root_reader::{RootFile, ScanOptions, Tree};

use crate::support::{fixtures, read_column};

/// A file opened with both readers.
struct Both {
    name: String,
    theirs: ReaderTree,
    ours: Tree,
}

impl Both {
    fn open(file: &str, tree: &str) -> Self {
        let path = fixtures().join(format!("{file}.root"));
        let theirs = oxyroot::RootFile::open(&path).unwrap().get_tree(tree).unwrap();
        let ours = RootFile::open_local(&path).unwrap().tree_blocking(tree).unwrap();
        Self { name: file.into(), theirs, ours }
    }

    fn column(&self, branch: &str) -> ArrayRef {
        let index = self.ours.schema().index_of(branch).unwrap();
        read_column(&self.ours, index, 0..self.ours.entries(), ScanOptions::default()).unwrap()
    }

    /// Compares what is printed: it tells apart what `==` does not, zeros of both signs, and takes NaN for equal.
    fn check<T: Debug>(
        &self,
        branch: &str,
        theirs: impl Iterator<Item = T>,
        ours: impl Fn(&ArrayRef, usize) -> String,
    ) {
        let column = self.column(branch);
        let mut rows = 0;
        for (row, theirs) in theirs.enumerate() {
            assert_eq!(ours(&column, row), format!("{theirs:?}"), "{} {branch} {row}", self.name);
            rows += 1;
        }
        assert_eq!(rows, column.len(), "{} {branch}: rows", self.name);
        assert!(rows > 0);
    }
}

fn number<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> String {
    format!("{:?}", array.as_primitive::<T>().value(row))
}

fn numbers<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> String {
    format!("{:?}", array.as_list::<i32>().value(row).as_primitive::<T>().values().as_ref() as &[T::Native])
}

macro_rules! branches {
    ($both:ident, $print:ident, |$item:ident: $their:ty| $map:expr, $($branch:literal: $arrow:ty, $native:ty);* $(;)?) => {
        $({
            type Native = $native;
            let branch = $both.theirs.branch($branch).unwrap();
            let theirs = branch.as_iter::<$their>().unwrap().map(|$item| $map);
            $both.check($branch, theirs, $print::<$arrow>);
        })*
    };
}

#[test]
fn oxyroot_reads_the_same_numbers() {
    for file in ["uproot_types_none", "uproot_types_zlib", "uproot_types_lz4", "uproot_types_lzma"] {
        let both = Both::open(file, "events");
        branches!(both, number, |n: Native| n,
            "s_i8": Int8Type, i8; "s_i16": Int16Type, i16; "s_i32": Int32Type, i32; "s_i64": Int64Type, i64;
            "s_u8": UInt8Type, u8; "s_u16": UInt16Type, u16; "s_u32": UInt32Type, u32; "s_u64": UInt64Type, u64;
            "s_f32": Float32Type, f32; "s_f64": Float64Type, f64);
        let flags = both.theirs.branch("s_b").unwrap().as_iter::<bool>().unwrap();
        both.check("s_b", flags, |array, row| format!("{:?}", array.as_boolean().value(row)));
        let texts = both.theirs.branch("str").unwrap().as_iter::<String>().unwrap();
        both.check("str", texts, |array, row| format!("{:?}", array.as_string::<i32>().value(row)));
    }
}

#[test]
fn oxyroot_reads_the_same_arrays() {
    for file in ["uproot_types_none", "uproot_types_zlib", "uproot_types_lz4", "uproot_types_lzma"] {
        let both = Both::open(file, "events");
        branches!(both, numbers, |list: Slice<Native>| list.into_vec(),
            "j_i8": Int8Type, i8; "j_i16": Int16Type, i16; "j_i32": Int32Type, i32; "j_i64": Int64Type, i64;
            "j_u8": UInt8Type, u8; "j_u16": UInt16Type, u16; "j_u32": UInt32Type, u32; "j_u64": UInt64Type, u64;
            "j_f32": Float32Type, f32; "j_f64": Float64Type, f64);
    }
}
