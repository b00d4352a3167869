//! `array_filter` and `array_count`: lists and a condition on their elements. DataFusion's own slices a bitmap per row;
//! here the rows' counts come from running totals over the bitmap's words.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, UInt64Array};
use datafusion::arrow::buffer::{BooleanBuffer, OffsetBuffer};
use datafusion::arrow::compute::{filter, take_arrays};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::common::utils::{list_values, list_values_row_number};
use datafusion::functions_nested::array_filter::array_filter_higher_order_function;
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaParametersProgress, ValueOrLambda,
};

/// `array_filter` with a fast path for lists; everything else is left to DataFusion's function, which it replaces by
/// name.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ListFilter {
    general: Arc<HigherOrderUDF>,
}

/// `array_count(list, x -> condition)`: how many elements satisfy the condition; null for a null list.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ListCount {
    /// Decides what arguments are possible, and counts in cases that are not worth a path of their own.
    filter: Arc<HigherOrderUDF>,
    aliases: Vec<String>,
}

/// The function, to be registered over DataFusion's.
pub(crate) fn list_filter() -> HigherOrderUDF {
    HigherOrderUDF::new_from_impl(ListFilter { general: array_filter_higher_order_function() })
}

/// The function that counts without making the shorter lists.
pub(crate) fn list_count() -> HigherOrderUDF {
    let aliases = vec!["list_count".to_string()];
    HigherOrderUDF::new_from_impl(ListCount { filter: array_filter_higher_order_function(), aliases })
}

impl HigherOrderUDFImpl for ListFilter {
    fn name(&self) -> &str {
        self.general.name()
    }

    fn aliases(&self) -> &[String] {
        self.general.aliases()
    }

    fn signature(&self) -> &HigherOrderSignature {
        self.general.signature()
    }

    fn lambda_parameters(
        &self,
        step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        self.general.lambda_parameters(step, fields)
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.general.coerce_value_types(types)
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        self.general.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let DataType::List(field) = args.return_type() else { return self.general.invoke_with_args(args) };
        let Some(flagged) = Flagged::evaluate(&args)? else { return self.general.invoke_with_args(args) };
        let ranks = Ranks::new(&flagged.flags);
        let list = &flagged.list;
        let offsets = OffsetBuffer::from_lengths(ranks.between(list.offsets()));
        // Most selections of physics keep few elements, but some keep all.
        let (values, offsets) = match ranks.total() == flagged.values.len() {
            true => (flagged.values, offsets),
            false => (filter(&flagged.values, &BooleanArray::new(flagged.flags, None))?, offsets),
        };
        Ok(ColumnarValue::Array(Arc::new(ListArray::try_new(field.clone(), offsets, values, list.nulls().cloned())?)))
    }
}

impl HigherOrderUDFImpl for ListCount {
    fn name(&self) -> &str {
        "array_count"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &HigherOrderSignature {
        self.filter.signature()
    }

    fn lambda_parameters(
        &self,
        step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        self.filter.lambda_parameters(step, fields)
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.filter.coerce_value_types(types)
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        let list = self.filter.return_field_from_args(args)?;
        Ok(Arc::new(Field::new("", DataType::UInt64, list.is_nullable())))
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        if let Some(Flagged { list, flags, .. }) = Flagged::evaluate(&args)? {
            let ranks = Ranks::new(&flags);
            let counts = ranks.between(list.offsets()).map(|n| n as u64).collect();
            let counts = UInt64Array::new(counts, list.nulls().cloned());
            return Ok(ColumnarValue::Array(Arc::new(counts)));
        }
        let Some(ValueOrLambda::Value(list)) = args.arg_fields.first() else {
            return self.filter.invoke_with_args(args);
        };
        let (return_field, rows) = (list.clone(), args.number_rows);
        let kept = self.filter.invoke_with_args(HigherOrderFunctionArgs { return_field, ..args })?.into_array(rows)?;
        super::length::lengths(&kept).map(ColumnarValue::Array)
    }
}

/// Lists and for each of their elements whether it satisfies the condition.
struct Flagged {
    list: ListArray,
    /// The elements of all rows, from the first row's first one on.
    values: ArrayRef,
    flags: BooleanBuffer,
}

impl Flagged {
    /// Evaluates the condition; `None` if the arguments are not a column of lists and a condition that looks at the
    /// elements.
    fn evaluate(args: &HigherOrderFunctionArgs) -> Result<Option<Self>> {
        let [ValueOrLambda::Value(ColumnarValue::Array(list)), ValueOrLambda::Lambda(condition)] = args.args.as_slice()
        else {
            return Ok(None);
        };
        let Some(list) = list.as_list_opt::<i32>() else { return Ok(None) };
        let values = list_values(list)?;
        let elements = || Ok(values.clone());
        let flags = condition
            .evaluate(&[&elements], |captured| Ok(take_arrays(captured, &list_values_row_number(list)?, None)?))?;
        let ColumnarValue::Array(flags) = flags else { return Ok(None) };
        let Some(flags) = flags.as_boolean_opt() else { return Ok(None) };
        let flags = match flags.nulls() {
            Some(nulls) => flags.values() & nulls.inner(),
            None => flags.values().clone(),
        };
        Ok((flags.len() == values.len()).then(|| Self { list: list.clone(), values, flags }))
    }
}

/// The number of set bits before each word of a bitmap, and the words.
struct Ranks {
    words: Vec<(u64, usize)>,
}

impl Ranks {
    fn new(flags: &BooleanBuffer) -> Self {
        let mut before = 0;
        let mut rank = |word: u64| {
            let ranked = (word, before);
            before += word.count_ones() as usize;
            ranked
        };
        let mut words = Vec::with_capacity(flags.len() / 64 + 2);
        words.extend(flags.bit_chunks().iter_padded().map(&mut rank));
        // The end of the last row may be the beginning of a word that is not there.
        words.push(rank(0));
        Self { words }
    }

    /// Set bits before bit `place`.
    #[inline]
    fn before(&self, place: usize) -> usize {
        let (word, before) = self.words.get(place / 64).copied().unwrap_or_default();
        before + (word & !(u64::MAX << (place % 64))).count_ones() as usize
    }

    fn total(&self) -> usize {
        self.words.last().map_or(0, |(_, before)| *before)
    }

    /// Set bits of each list, whose elements the bitmap begins with.
    fn between(&self, offsets: &OffsetBuffer<i32>) -> impl ExactSizeIterator<Item = usize> {
        let first = offsets.first().copied().unwrap_or(0);
        let mut last = 0;
        offsets.iter().skip(1).map(move |end| {
            let until = self.before((end - first) as usize);
            until - std::mem::replace(&mut last, until)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_bits_are_counted_per_list_across_the_words_of_the_bitmap() {
        let flags: BooleanBuffer = (0..200).map(|i| i % 3 == 0).collect();
        let sliced = flags.slice(5, 190);
        let offsets = OffsetBuffer::<i32>::from_lengths([0, 60, 4, 64, 0, 62, 0]);

        let counted: Vec<usize> = Ranks::new(&sliced).between(&offsets).collect();

        let one_by_one = |(from, to): (i32, i32)| (from..to).filter(|i| (i + 5) % 3 == 0).count();
        let ends = offsets.iter().copied().zip(offsets.iter().copied().skip(1));
        assert_eq!(counted, ends.map(one_by_one).collect::<Vec<_>>());
        assert_eq!(Ranks::new(&sliced).total(), counted.iter().sum::<usize>());
    }

    #[test]
    fn no_bits_are_no_set_bits() {
        let none = Ranks::new(&BooleanBuffer::new_unset(0));
        assert_eq!(none.between(&OffsetBuffer::<i32>::from_lengths([0, 0])).collect::<Vec<_>>(), [0, 0]);
        assert_eq!(none.total(), 0);
    }
}
