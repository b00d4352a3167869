//! The interface of the crate `xz2`, provided by its fork `liblzma`.

pub use liblzma::*;
