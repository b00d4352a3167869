//! Arithmetic element by element.

use arrow_array::{ArrayRef, Datum};

use crate::align::Aligned;
use crate::elementary::Math;
use crate::error::{Error, Result};
use crate::formula::{Formula, evaluate};

/// What [`arithmetic`] does with two numbers, in double precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// a + b
    Add,
    /// a − b
    Subtract,
    /// a b
    Multiply,
    /// a / b; infinite or NaN where b is 0.
    Divide,
}

macro_rules! operations {
    ($($name:ident($a:ident, $b:ident) $body:expr;)+) => {$(
        struct $name;

        impl Formula<2, 1> for $name {
            #[inline(always)]
            fn evaluate<M: Math>(_: &mut M, [$a, $b]: [f64; 2]) -> [f64; 1] {
                [$body]
            }
        }
    )+};
}

operations! {
    Add(a, b) a + b;
    Subtract(a, b) a - b;
    Multiply(a, b) a * b;
    Divide(a, b) a / b;
}

/// Lists, numbers per row and constants in any mixture. If one is a list, so is the result: a number per row counts for
/// each element of the row's list, and two lists must be of equal lengths. A row is null if one of the two is null.
pub fn arithmetic(operation: Arithmetic, a: &dyn Datum, b: &dyn Datum) -> Result<ArrayRef> {
    let arguments = [a, b];
    let aligned = Aligned::new(&arguments)?;
    let values = aligned.values()?;
    let [a, b] = values.as_slice() else {
        return Err(Error::Arguments { function: "arithmetic", expected: "(a, b)".into(), found: values.len() });
    };
    let length = aligned.length();
    let [result] = match operation {
        Arithmetic::Add => evaluate::<Add, 2, 1>([a, b], length),
        Arithmetic::Subtract => evaluate::<Subtract, 2, 1>([a, b], length),
        Arithmetic::Multiply => evaluate::<Multiply, 2, 1>([a, b], length),
        Arithmetic::Divide => evaluate::<Divide, 2, 1>([a, b], length),
    };
    drop(values);
    aligned.finish(vec![result], &["value"])
}
