//! The labels by which objects of a cluster are found, and what else is noted at them
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>).

use std::collections::BTreeMap;

use crate::names::ClusterName;

/// What all objects are part of, and managed by.
pub(crate) const PART_OF: &str = "root-query";
/// The label with the name of the cluster.
pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label with what a pod of a cluster is.
pub(crate) const COMPONENT: &str = "app.kubernetes.io/component";
/// The label with the name of a job, at the job and its pods.
pub(crate) const JOB: &str = "root-query.io/job";
/// Where a job says what was asked for, as a shell reads it.
pub(crate) const LINE: &str = "root-query.io/line";
/// Where a job has the end of its log.
pub(crate) const LOG: &str = "root-query.io/log";
/// Where a job says how its last pod ended.
pub(crate) const END: &str = "root-query.io/end";
/// Where pods say by which configuration they were made.
pub(crate) const CONFIGURATION: &str = "root-query.io/configuration";
/// Where a namespace says that it was made for a cluster.
pub(crate) const MADE_FOR: &str = "root-query.io/made-for";

const NAME: &str = "app.kubernetes.io/name";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const VERSION: &str = "app.kubernetes.io/version";

/// What a pod of a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    Scheduler,
    Executor,
    Job,
}

impl Component {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::Executor => "executor",
            Self::Job => "job",
        }
    }
}

/// The labels of an object.
pub(crate) fn labels(cluster: &ClusterName, component: Option<Component>) -> BTreeMap<String, String> {
    let mut labels = selector(cluster, component);
    labels.insert(MANAGED_BY.to_string(), PART_OF.to_string());
    labels.insert(VERSION.to_string(), env!("CARGO_PKG_VERSION").to_string());
    labels
}

/// The labels by which objects of a cluster are found.
pub(crate) fn selector(cluster: &ClusterName, component: Option<Component>) -> BTreeMap<String, String> {
    let mut labels =
        BTreeMap::from([(NAME.to_string(), PART_OF.to_string()), (INSTANCE.to_string(), cluster.to_string())]);
    if let Some(component) = component {
        labels.insert(COMPONENT.to_string(), component.name().to_string());
    }
    labels
}

/// Labels as Kubernetes writes a selector.
pub(crate) fn as_text(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// The selector of what belongs to clusters. Helm writes its own name over ours when it installs the chart.
pub(crate) fn of_all() -> String {
    format!("{NAME}={PART_OF},{MANAGED_BY} in ({PART_OF},Helm)")
}
