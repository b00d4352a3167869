//! Formulas over columns: one loop over blocks of numbers that the compiler turns into vector instructions. Every result
//! depends on its own row alone, so that it is the same in whatever batch the row comes.

use crate::elementary::{Exact, Fast, Math};
use crate::values::{BLOCK, Values};

/// A function of `IN` numbers with `OUT` results.
pub(crate) trait Formula<const IN: usize, const OUT: usize> {
    fn evaluate<M: Math>(math: &mut M, arguments: [f64; IN]) -> [f64; OUT];
}

/// Numbers of one block, per argument or result.
pub(crate) type Blocks<const N: usize> = [[f64; BLOCK]; N];

/// Zeros to begin with: no function leaves its range for them.
pub(crate) fn blocks<const N: usize>() -> Box<Blocks<N>> {
    Box::new([[0.0; BLOCK]; N])
}

/// A formula over `length` rows of each argument.
pub(crate) fn evaluate<F: Formula<IN, OUT>, const IN: usize, const OUT: usize>(
    arguments: [&Values<'_>; IN],
    length: usize,
) -> [Vec<f64>; OUT] {
    let mut results: [Vec<f64>; OUT] = std::array::from_fn(|_| Vec::with_capacity(length));
    let (mut inputs, mut outputs) = (blocks::<IN>(), blocks::<OUT>());
    for start in (0..length).step_by(BLOCK) {
        arguments.iter().zip(inputs.iter_mut()).for_each(|(values, block)| values.load(start, block));
        evaluate_block::<F, IN, OUT>(&inputs, &mut outputs);
        for (result, block) in results.iter_mut().zip(outputs.iter()) {
            result.extend(block.iter().take(length - start));
        }
    }
    results
}

/// A formula over one block.
#[expect(clippy::indexing_slicing, reason = "blocks are arrays of a constant length, and rows lie within it")]
pub(crate) fn evaluate_block<F: Formula<IN, OUT>, const IN: usize, const OUT: usize>(
    inputs: &Blocks<IN>,
    outputs: &mut Blocks<OUT>,
) {
    let mut fast = Fast::default();
    for row in 0..BLOCK {
        let result = F::evaluate(&mut fast, std::array::from_fn(|argument| inputs[argument][row]));
        result.into_iter().enumerate().for_each(|(place, value)| outputs[place][row] = value);
    }
    if fast.left_range() {
        repair::<F, IN, OUT>(inputs, outputs);
    }
}

/// Computes those rows again of which the fast functions could not tell the result.
#[cold]
#[inline(never)]
#[expect(clippy::indexing_slicing, reason = "blocks are arrays of a constant length, and rows lie within it")]
fn repair<F: Formula<IN, OUT>, const IN: usize, const OUT: usize>(inputs: &Blocks<IN>, outputs: &mut Blocks<OUT>) {
    for row in 0..BLOCK {
        let arguments = std::array::from_fn(|argument| inputs[argument][row]);
        let mut fast = Fast::default();
        F::evaluate(&mut fast, arguments);
        if fast.left_range() {
            let result = F::evaluate(&mut Exact, arguments);
            result.into_iter().enumerate().for_each(|(place, value)| outputs[place][row] = value);
        }
    }
}
