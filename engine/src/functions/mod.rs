//! Functions that the engine adds to DataFusion's, or that it runs faster.

mod element;

pub(crate) use element::{ElementPlanner, list_element};
