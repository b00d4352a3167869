//! root-query
fn main() {}
