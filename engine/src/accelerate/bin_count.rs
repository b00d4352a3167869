//! Counting by one numeric key. A histogram in SQL is `count(*) … GROUP BY floor(x / width)`: its keys are small whole
//! numbers, for which an array of counts is many times faster than a hash table of groups.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

/// Whole numbers from `-DENSE_BELOW` up to `DENSE_ABOVE` are counted in the array.
const DENSE_BELOW: i32 = 1 << 10;
const DENSE_ABOVE: i32 = (1 << 16) - DENSE_BELOW;
/// Other keys are counted in a table; when it is full it is passed on and begun anew, as the next stage of the
/// aggregation adds up equal keys anyway. This bounds the memory, whatever the keys are.
const MAX_SPARSE: usize = 1 << 17;
/// Rows for which the key is evaluated at once: every step of the expression makes an array, and these stay in the cache.
const KEY_ROWS: usize = 1 << 13;
/// Neighbouring values often fall into one bin; counting them in turn in several counts avoids waiting for the last sum.
const LANES: usize = 4;
/// Places that the array can have; the number itself stands for keys that are not counted there.
const PLACES: usize = (DENSE_BELOW + DENSE_ABOVE) as usize;
/// Places that the array begins with.
const FIRST_PLACES: usize = 1 << 12;
/// Keys whose places are found at once, by vector instructions.
const BLOCK: usize = 512;

/// The first stage of `count(*) … GROUP BY key`.
#[derive(Debug)]
pub(crate) struct BinCountExec {
    /// What this replaces; its schema and properties are this operator's.
    replaced: AggregateExec,
    metrics: ExecutionPlanMetricsSet,
}

impl BinCountExec {
    /// Whether `aggregate` counts all rows by one numeric key.
    pub(crate) fn can_replace(aggregate: &AggregateExec) -> bool {
        let group = aggregate.group_expr();
        let [(key, _)] = group.expr() else { return false };
        let [count] = aggregate.aggr_expr() else { return false };
        let counts_rows = match count.expressions().as_slice() {
            [argument] => argument.downcast_ref::<Literal>().is_some_and(|l| !l.value().is_null()),
            _ => false,
        };
        let plain =
            count.fun().name() == "count" && counts_rows && !count.is_distinct() && count.order_bys().is_empty();
        let unlimited = aggregate.limit_options().is_none() && aggregate.filter_expr().iter().all(Option::is_none);
        let numeric = key.data_type(&aggregate.input().schema()).is_ok_and(|t| t.is_integer() || is_float(&t));
        let unordered = aggregate.input_order_mode() == &datafusion::physical_plan::InputOrderMode::Linear;
        group.is_single() && plain && unlimited && numeric && unordered
    }

    /// Replaces the first stage of an aggregation that [`BinCountExec::can_replace`] approved.
    pub(crate) fn new(replaced: AggregateExec) -> Self {
        Self { replaced, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// What this stands for.
    pub(crate) fn replaced(&self) -> &AggregateExec {
        &self.replaced
    }

    fn key(&self) -> Result<Arc<dyn PhysicalExpr>> {
        match self.replaced.group_expr().expr() {
            [(key, _)] => Ok(key.clone()),
            _ => Err(DataFusionError::Internal("BinCountExec has one key".into())),
        }
    }
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

impl DisplayAs for BinCountExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key() {
            Ok(key) => write!(f, "BinCountExec: key={key}"),
            Err(_) => write!(f, "BinCountExec"),
        }
    }
}

impl ExecutionPlan for BinCountExec {
    fn name(&self) -> &str {
        "BinCountExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.replaced.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.replaced.input()]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&self.key()?)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] =
            <[_; 1]>::try_from(children).map_err(|_| DataFusionError::Internal("BinCountExec has one child".into()))?;
        let replaced = AggregateExec::try_new(
            AggregateMode::Partial,
            self.replaced.group_expr().clone(),
            self.replaced.aggr_expr().to_vec(),
            self.replaced.filter_expr().to_vec(),
            input,
            self.replaced.input_schema(),
        )?;
        Ok(Arc::new(Self::new(replaced)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let counting = Counting {
            batch_rows: context.session_config().batch_size().max(1),
            input: self.replaced.input().execute(partition, context)?,
            key: self.key()?,
            counter: counter_for(schema.fields().first().map(|f| f.data_type()))?,
            schema: schema.clone(),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            ready: VecDeque::new(),
            finished: false,
        };
        let batches = futures::stream::try_unfold(counting, |mut counting| async move {
            Ok(counting.next().await?.map(|batch| (batch, counting)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// One partition's counting under way.
struct Counting {
    input: SendableRecordBatchStream,
    key: Arc<dyn PhysicalExpr>,
    counter: Box<dyn Counter>,
    schema: SchemaRef,
    metrics: BaselineMetrics,
    batch_rows: usize,
    ready: VecDeque<RecordBatch>,
    finished: bool,
}

impl Counting {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.metrics.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            if self.finished {
                return Ok(None);
            }
            match self.input.next().await {
                Some(batch) => {
                    let batch = batch?;
                    let timer = self.metrics.elapsed_compute().timer();
                    let mut full = false;
                    for start in (0..batch.num_rows()).step_by(KEY_ROWS) {
                        let part = batch.slice(start, KEY_ROWS.min(batch.num_rows() - start));
                        let keys = self.key.evaluate(&part)?.into_array(part.num_rows())?;
                        full |= self.counter.count(&keys);
                    }
                    timer.done();
                    if full {
                        self.flush()?;
                    }
                }
                None => {
                    self.finished = true;
                    self.flush()?;
                }
            }
        }
    }

    /// Makes batches of what was counted, and starts again from nothing.
    fn flush(&mut self) -> Result<()> {
        let (keys, counts) = self.counter.take();
        let counts: ArrayRef = Arc::new(Int64Array::from(counts));
        let all = RecordBatch::try_new(self.schema.clone(), vec![keys, counts])?;
        let starts = (0..all.num_rows()).step_by(self.batch_rows);
        self.ready.extend(starts.map(|s| all.slice(s, self.batch_rows.min(all.num_rows() - s))));
        Ok(())
    }
}

/// Counts keys of one type.
trait Counter: Send {
    /// Counts each key; `true` if the counts should be taken now.
    fn count(&mut self, keys: &ArrayRef) -> bool;

    /// The keys and counts so far, each key once.
    fn take(&mut self) -> (ArrayRef, Vec<i64>);
}

/// A number that can be a key.
trait Key: ArrowPrimitiveType + Send {
    /// Equal keys have equal bits.
    fn bits(native: Self::Native) -> u64;

    /// The key as a place in the array, [`PLACES`] if it is not one of the whole numbers that are counted there. Without a
    /// branch, so that many keys can be placed at once.
    fn place(native: Self::Native) -> u32;

    /// The key of a place in the array.
    fn at(place: usize) -> Option<Self::Native>;

    fn from_bits(bits: u64) -> Option<Self::Native>;
}

macro_rules! integer_key {
    ($($type:ty),*) => {
        $(impl Key for $type {
            fn bits(native: Self::Native) -> u64 {
                native as u64
            }

            #[inline]
            fn place(native: Self::Native) -> u32 {
                let place = i128::from(native) + i128::from(DENSE_BELOW);
                if (0..PLACES as i128).contains(&place) { place as u32 } else { PLACES as u32 }
            }

            fn at(place: usize) -> Option<Self::Native> {
                (place as i64 - i64::from(DENSE_BELOW)).try_into().ok()
            }

            fn from_bits(bits: u64) -> Option<Self::Native> {
                Some(bits as Self::Native)
            }
        })*
    };
}
integer_key!(Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type);

macro_rules! float_key {
    ($type:ty, $bits:ty, $native:ty) => {
        impl Key for $type {
            fn bits(native: $native) -> u64 {
                u64::from(native.to_bits())
            }

            #[inline]
            fn place(native: $native) -> u32 {
                // Whole numbers in range survive the way there and back; -0.0 and NaN do not.
                let whole = native as i32;
                let same = (whole as $native).to_bits() == native.to_bits();
                let place = whole.wrapping_add(DENSE_BELOW) as u32;
                if same { place.min(PLACES as u32) } else { PLACES as u32 }
            }

            fn at(place: usize) -> Option<$native> {
                Some((place as i32 - DENSE_BELOW) as $native)
            }

            fn from_bits(bits: u64) -> Option<$native> {
                Some(<$native>::from_bits(<$bits>::try_from(bits).ok()?))
            }
        }
    };
}
float_key!(Float32Type, u32, f32);
float_key!(Float64Type, u64, f64);

struct KeyCounter<K: Key> {
    /// Counts of whole numbers near zero, as far as they were seen.
    dense: Vec<[u64; LANES]>,
    sparse: HashMap<u64, u64>,
    nulls: u64,
    key: std::marker::PhantomData<K>,
}

fn counter_for(data_type: Option<&DataType>) -> Result<Box<dyn Counter>> {
    fn new<K: Key>() -> Box<dyn Counter> {
        Box::new(KeyCounter::<K> {
            dense: vec![[0; LANES]; FIRST_PLACES],
            sparse: HashMap::new(),
            nulls: 0,
            key: std::marker::PhantomData,
        })
    }
    Ok(match data_type {
        Some(DataType::Int8) => new::<Int8Type>(),
        Some(DataType::Int16) => new::<Int16Type>(),
        Some(DataType::Int32) => new::<Int32Type>(),
        Some(DataType::Int64) => new::<Int64Type>(),
        Some(DataType::UInt8) => new::<UInt8Type>(),
        Some(DataType::UInt16) => new::<UInt16Type>(),
        Some(DataType::UInt32) => new::<UInt32Type>(),
        Some(DataType::UInt64) => new::<UInt64Type>(),
        Some(DataType::Float32) => new::<Float32Type>(),
        Some(DataType::Float64) => new::<Float64Type>(),
        other => return Err(DataFusionError::Internal(format!("BinCountExec over keys of type {other:?}"))),
    })
}

impl<K: Key> KeyCounter<K> {
    #[inline]
    fn add(&mut self, place: u32, lane: usize) {
        if let Some(count) = self.dense.get_mut(place as usize).and_then(|lanes| lanes.get_mut(lane)) {
            *count += 1;
        }
    }

    /// Counts keys of which none is null.
    fn count_all(&mut self, keys: &[K::Native]) {
        let mut places = [0; BLOCK];
        for keys in keys.chunks(BLOCK) {
            let (mut last, mut others) = (0, 0);
            for (place, key) in places.iter_mut().zip(keys) {
                *place = K::place(*key);
                let is_other = *place == PLACES as u32;
                others += u32::from(is_other);
                last = last.max(if is_other { 0 } else { *place });
            }
            if last as usize >= self.dense.len() {
                self.dense.resize((last as usize + 1).next_power_of_two().min(PLACES), [0; LANES]);
            }
            let (groups, rest) = places.get(..keys.len()).unwrap_or_default().as_chunks::<LANES>();
            for group in groups {
                for (lane, place) in group.iter().enumerate() {
                    self.add(*place, lane);
                }
            }
            rest.iter().for_each(|place| self.add(*place, 0));
            if others > 0 {
                for key in places.iter().zip(keys).filter(|(place, _)| **place == PLACES as u32).map(|(_, key)| *key) {
                    *self.sparse.entry(K::bits(key)).or_default() += 1;
                }
            }
        }
    }
}

impl<K: Key> Counter for KeyCounter<K> {
    fn count(&mut self, keys: &ArrayRef) -> bool {
        let keys = keys.as_primitive::<K>();
        match keys.null_count() {
            0 => self.count_all(keys.values()),
            nulls => {
                self.nulls += nulls as u64;
                let present: Vec<K::Native> = keys.iter().flatten().collect();
                self.count_all(&present);
            }
        }
        self.sparse.len() >= MAX_SPARSE
    }

    fn take(&mut self) -> (ArrayRef, Vec<i64>) {
        let (mut keys, mut counts) = (Vec::new(), Vec::new());
        let mut push = |key: Option<K::Native>, count: u64| {
            keys.push(key);
            counts.push(count as i64);
        };
        for (place, lanes) in self.dense.iter_mut().enumerate() {
            let total: u64 = lanes.iter().sum();
            if total > 0 {
                *lanes = [0; LANES];
                push(K::at(place), total);
            }
        }
        for (bits, count) in self.sparse.drain() {
            push(K::from_bits(bits), count);
        }
        if self.nulls > 0 {
            push(None, std::mem::take(&mut self.nulls));
        }
        (Arc::new(keys.into_iter().collect::<PrimitiveArray<K>>()), counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Float64Array, UInt64Array};

    fn counted(keys: ArrayRef) -> Vec<(String, i64)> {
        let mut counter = counter_for(Some(keys.data_type())).unwrap();
        counter.count(&keys);
        let (keys, counts) = counter.take();
        let shown = |i| datafusion::arrow::util::display::array_value_to_string(&keys, i).unwrap();
        let mut rows: Vec<_> = counts.iter().enumerate().map(|(i, n)| (shown(i), *n)).collect();
        rows.sort();
        assert_eq!(counter.take().1.len(), 0, "taking starts again from nothing");
        rows
    }

    #[test]
    fn whole_fractional_special_and_absent_keys_are_counted_apart() {
        let keys = [3.0, 3.0, -1.0, 0.5, f64::NAN, f64::NAN, f64::INFINITY, 1e300, -0.0, 0.0].map(Some);
        let keys: Float64Array = keys.into_iter().chain([None]).collect();
        let rows = counted(Arc::new(keys));
        let expected = [
            ("", 1),
            ("-0.0", 1),
            ("-1.0", 1),
            ("0.0", 1),
            ("0.5", 1),
            ("1e300", 1),
            ("3.0", 2),
            ("NaN", 2),
            ("inf", 1),
        ];
        assert_eq!(rows, expected.map(|(k, n)| (k.to_string(), n)));
    }

    #[test]
    fn keys_at_the_ends_of_their_type_and_of_the_array() {
        let ends = [0, 1, (DENSE_ABOVE - 1) as u64, DENSE_ABOVE as u64, u64::MAX, u64::MAX];
        let rows = counted(Arc::new(UInt64Array::from_iter_values(ends)));
        assert_eq!(rows.iter().map(|r| r.1).sum::<i64>(), 6);
        assert!(rows.contains(&(u64::MAX.to_string(), 2)));
        assert!(rows.contains(&(DENSE_ABOVE.to_string(), 1)));
    }
}
