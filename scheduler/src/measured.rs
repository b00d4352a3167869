//! What the steps of stages have measured. Ballista (55.0) keeps what each task says of each step, and copies all of it for
//! each task that ends: of a stage of 10,000 tasks it spends seven milliseconds on each. So what tasks of large stages have
//! measured is added up here, and the one that completes the stage brings the sums. What was computed twice, as an executor was
//! lost, counts twice.

use std::collections::{HashMap, HashSet, VecDeque};

use ballista_core::serde::protobuf::operator_metric::Metric;
use ballista_core::serde::protobuf::{OperatorMetric, OperatorMetricsSet};

/// Stages of no more partitions are left as they are, each task with what it has measured.
const SMALL: usize = 256;
/// Stages whose sums are kept: those of jobs that end before their stages are complete stay.
const REMEMBERED: usize = 1000;

/// An attempt at a stage: the job, the stage, and the number of the attempt.
pub(crate) type Attempt = (String, u32, u32);

/// The sums of stages that are not complete.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    stages: HashMap<Attempt, Sums>,
    /// From the oldest to the newest.
    order: VecDeque<Attempt>,
}

#[derive(Debug, Default)]
struct Sums {
    /// The partitions that are done.
    partitions: HashSet<usize>,
    /// For each step of the plan.
    steps: Vec<OperatorMetricsSet>,
}

impl Measured {
    /// What a task that computed some partitions of a stage is to say, where the stage has so many.
    pub(crate) fn said(
        &mut self,
        attempt: Attempt,
        stage_partitions: usize,
        task_partitions: &[usize],
        steps: Vec<OperatorMetricsSet>,
    ) -> Vec<OperatorMetricsSet> {
        if stage_partitions <= SMALL || steps.is_empty() {
            return steps;
        }
        if !self.stages.contains_key(&attempt) {
            if self.order.len() >= REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.stages.remove(&oldest);
            }
            self.order.push_back(attempt.clone());
        }
        let sums = self.stages.entry(attempt.clone()).or_default();
        sums.partitions.extend(task_partitions);
        sums.add(steps);
        if sums.partitions.len() < stage_partitions {
            return Vec::new();
        }
        self.order.retain(|other| *other != attempt);
        self.stages.remove(&attempt).map(|sums| sums.steps).unwrap_or_default()
    }
}

impl Sums {
    fn add(&mut self, steps: Vec<OperatorMetricsSet>) {
        self.steps.resize_with(steps.len().max(self.steps.len()), OperatorMetricsSet::default);
        for (sum, step) in self.steps.iter_mut().zip(steps) {
            for OperatorMetric { metric, .. } in step.metrics {
                let Some(metric) = metric else { continue };
                let same = sum.metrics.iter_mut().filter_map(|sum| sum.metric.as_mut());
                if !same.into_iter().any(|sum| added(sum, &metric)) {
                    // Of the first partition of the task that tells it.
                    sum.metrics.push(OperatorMetric { partition: Some(0), metric: Some(metric) });
                }
            }
        }
    }
}

/// Adds to a sum what is of the same kind and name; says whether it was.
fn added(sum: &mut Metric, metric: &Metric) -> bool {
    let add = |sum: &mut u64, value: &u64| *sum = sum.saturating_add(*value);
    match (sum, metric) {
        (Metric::OutputRows(sum), Metric::OutputRows(value))
        | (Metric::ElapseTime(sum), Metric::ElapseTime(value))
        | (Metric::SpillCount(sum), Metric::SpillCount(value))
        | (Metric::SpilledBytes(sum), Metric::SpilledBytes(value))
        | (Metric::SpilledRows(sum), Metric::SpilledRows(value))
        | (Metric::CurrentMemoryUsage(sum), Metric::CurrentMemoryUsage(value))
        | (Metric::OutputBytes(sum), Metric::OutputBytes(value))
        | (Metric::OutputBatches(sum), Metric::OutputBatches(value)) => add(sum, value),
        (Metric::Count(sum), Metric::Count(value)) if sum.name == value.name => add(&mut sum.value, &value.value),
        (Metric::Gauge(sum), Metric::Gauge(value)) if sum.name == value.name => add(&mut sum.value, &value.value),
        (Metric::Time(sum), Metric::Time(value)) if sum.name == value.name => add(&mut sum.value, &value.value),
        (Metric::StartTimestamp(first), Metric::StartTimestamp(value)) => *first = (*first).min(*value),
        (Metric::EndTimestamp(last), Metric::EndTimestamp(value)) => *last = (*last).max(*value),
        (Metric::PruningMetrics(sum), Metric::PruningMetrics(value)) if sum.name == value.name => {
            add(&mut sum.pruned, &value.pruned);
            add(&mut sum.matched, &value.matched);
        }
        (Metric::Ratio(sum), Metric::Ratio(value)) if sum.name == value.name => {
            add(&mut sum.part, &value.part);
            add(&mut sum.total, &value.total);
        }
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::protobuf::{NamedCount, NamedTime};

    use super::*;

    fn attempt(number: u32) -> Attempt {
        ("job".to_string(), 1, number)
    }

    /// What a task of one step says.
    fn steps(rows: u64, end: i64) -> Vec<OperatorMetricsSet> {
        let baskets = NamedCount { name: "baskets".to_string(), value: 2 };
        let files = NamedCount { name: "files".to_string(), value: 1 };
        let time = NamedTime { name: "decode".to_string(), value: 10 };
        let all = [
            Metric::OutputRows(rows),
            Metric::Count(baskets),
            Metric::Count(files),
            Metric::Time(time),
            Metric::EndTimestamp(end),
        ];
        let metrics = all.map(|metric| OperatorMetric { partition: Some(7), metric: Some(metric) });
        vec![OperatorMetricsSet { metrics: metrics.into() }]
    }

    #[test]
    fn tasks_of_a_large_stage_say_nothing_until_the_last_of_them_says_the_sums() {
        let mut measured = Measured::default();
        for partition in 0..999 {
            let said = measured.said(attempt(0), 1000, &[partition], steps(partition as u64, partition as i64));
            assert!(said.is_empty(), "{partition}");
        }
        let said = measured.said(attempt(0), 1000, &[999], steps(999, 5));
        let [step] = said.as_slice() else { panic!("{said:?}") };
        let values: Vec<_> = step.metrics.iter().filter_map(|metric| metric.metric.clone()).collect();
        assert_eq!(
            values,
            [
                Metric::OutputRows(499_500),
                Metric::Count(NamedCount { name: "baskets".to_string(), value: 2000 }),
                Metric::Count(NamedCount { name: "files".to_string(), value: 1000 }),
                Metric::Time(NamedTime { name: "decode".to_string(), value: 10_000 }),
                Metric::EndTimestamp(998),
            ]
        );
        assert!(measured.stages.is_empty() && measured.order.is_empty());
    }

    #[test]
    fn a_stage_that_is_computed_anew_is_counted_anew_and_small_ones_are_left_alone() {
        let mut measured = Measured::default();
        let half: Vec<usize> = (0..500).collect();
        let rest: Vec<usize> = (500..1000).collect();
        assert!(measured.said(attempt(0), 1000, &half, steps(1, 1)).is_empty());
        assert!(measured.said(attempt(1), 1000, &rest, steps(1, 1)).is_empty());
        assert_eq!(measured.said(attempt(1), 1000, &half, steps(1, 1)).len(), 1);
        assert_eq!(measured.said(attempt(2), 10, &[1], steps(3, 1)), steps(3, 1));
    }

    #[test]
    fn what_is_kept_of_jobs_that_never_complete_is_bounded() {
        let mut measured = Measured::default();
        for number in 0..5000 {
            measured.said((number.to_string(), 1, 0), 1000, &[0], steps(1, 1));
        }
        assert_eq!((measured.stages.len(), measured.order.len()), (REMEMBERED, REMEMBERED));
    }
}
