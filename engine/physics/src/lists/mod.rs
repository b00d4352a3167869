//! What is done with the lists of each row: reduced, chosen from, ordered, matched, computed with.

mod arithmetic;
mod nearest;
mod number;
mod reduce;
mod select;
mod sort;

pub use arithmetic::{Arithmetic, arithmetic};
pub use nearest::{Nearest, any_near, nearest};
pub use reduce::{Extreme, Reduction, all, any, arg_extreme, count_if, reduce};
pub use select::{concat, concat_sources, filter, first, flatten, spread, take, take_list, without};
pub use sort::{Order, argsort, sort_by};
