//! How much of a namespace a cluster would use, and how much may be used.

use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Api;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::error::{Error, refused};
use crate::remote::Kubernetes;
use crate::spec::ClusterSpec;

/// A quota that does not leave room for all of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shortage {
    /// The quota.
    pub quota: String,
    /// Of what, as Kubernetes calls it: `requests.cpu`.
    pub resource: String,
    /// How much may be used in all, as Kubernetes writes it.
    pub hard: String,
    /// How much is used.
    pub used: String,
    /// How many executors there is room for beside the scheduler; none if there is no room for that.
    pub executors: Option<u64>,
}

/// What the pods of a cluster use of something: the scheduler, and each executor.
struct Needs {
    scheduler: f64,
    executor: f64,
}

impl Kubernetes {
    /// Quotas of the namespace of a cluster that leave no room for all of it, beside what is used there already. Of a cluster
    /// that is there, its own pods are among what is used: `running` is how many executors run, if its scheduler does.
    ///
    /// # Errors
    /// Where we may not look.
    pub async fn shortages(&self, spec: &ClusterSpec, running: Option<u64>) -> Result<Vec<Shortage>, Error> {
        let api: Api<ResourceQuota> = Api::namespaced(self.client.clone(), &spec.namespace);
        let found = api.list(&ListParams::default()).await;
        let found = found.map_err(|error| refused(&format!("list the quotas of {}", spec.namespace), error))?;
        Ok(found.items.iter().flat_map(|quota| shortages(quota, spec, running)).collect())
    }
}

fn shortages(quota: &ResourceQuota, spec: &ClusterSpec, running: Option<u64>) -> Vec<Shortage> {
    // Such a quota is for pods of a kind that ours may not be of.
    if quota.spec.as_ref().is_some_and(|spec| spec.scopes.is_some() || spec.scope_selector.is_some()) {
        return Vec::new();
    }
    let Some(status) = &quota.status else { return Vec::new() };
    let hard = status.hard.iter().flatten();
    let short = hard.filter_map(|(resource, hard)| {
        let used = status.used.as_ref().and_then(|used| used.get(resource));
        let used = used.cloned().unwrap_or_else(|| Quantity("0".to_string()));
        let needs = needs(spec, resource)?;
        let own = running.map_or(0.0, |executors| needs.scheduler + needs.executor * executors as f64);
        let room = amount(hard)? - (amount(&used)? - own).max(0.0) - needs.scheduler;
        // A little less than nothing is how fractions come out.
        let executors = (room >= -1e-6).then(|| ((room + 1e-6) / needs.executor) as u64);
        let is_enough = executors.is_some_and(|executors| executors >= spec.executors.most());
        (!is_enough).then(|| Shortage {
            quota: quota.name_any(),
            resource: resource.clone(),
            hard: hard.0.clone(),
            used: used.0,
            executors,
        })
    });
    short.collect()
}

fn needs(spec: &ClusterSpec, resource: &str) -> Option<Needs> {
    let (scheduler, executor) = (&spec.scheduler.resources, &spec.executors.resources);
    Some(match resource {
        "pods" | "count/pods" => Needs { scheduler: 1.0, executor: 1.0 },
        "cpu" | "requests.cpu" => Needs { scheduler: scheduler.cores as f64, executor: executor.cores as f64 },
        "memory" | "requests.memory" | "limits.memory" => {
            Needs { scheduler: amount(&scheduler.memory)?, executor: amount(&executor.memory)? }
        }
        "ephemeral-storage" | "requests.ephemeral-storage" | "limits.ephemeral-storage" => {
            Needs { scheduler: 0.0, executor: amount(spec.executors.scratch.as_ref()?)? }
        }
        _ => return None,
    })
}

/// A quantity as a number, such as 0.5 for `500m`
/// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).
fn amount(quantity: &Quantity) -> Option<f64> {
    let text = quantity.0.as_str();
    let end = text.find(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let factor = match unit {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ClusterSpec {
        let text = r#"{"name": "muons", "namespace": "physics", "image": "i:1", "scheduler": {"resources": {"cores": 1,
            "memory": "2Gi"}}, "executors": {"count": "0..4", "resources": {"cores": 2, "memory": "4Gi"}}}"#;
        serde_json::from_str(text).unwrap()
    }

    fn quota(hard: &str, used: &str) -> ResourceQuota {
        let text = format!(r#"{{"metadata": {{"name": "q"}}, "status": {{"hard": {{{hard}}}, "used": {{{used}}}}}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn room(hard: &str, used: &str, running: Option<u64>) -> Vec<(String, Option<u64>)> {
        let found = shortages(&quota(hard, used), &spec(), running);
        found.into_iter().map(|shortage| (shortage.resource, shortage.executors)).collect()
    }

    #[test]
    fn a_quota_with_room_for_everything_is_no_shortage() {
        assert_eq!(room(r#""requests.cpu": "9", "pods": "5", "services": "0""#, r#""requests.cpu": "0""#, None), []);
        assert_eq!(room(r#""memory": "18Gi""#, "", None), []);
    }

    #[test]
    fn how_many_executors_there_is_room_for_is_told() {
        let short = |resource: &str, executors| vec![(resource.to_string(), executors)];
        assert_eq!(room(r#""cpu": "9""#, r#""cpu": "1500m""#, None), short("cpu", Some(3)));
        assert_eq!(room(r#""memory": "3Gi""#, r#""memory": "2Gi""#, None), short("memory", None));
        assert_eq!(room(r#""pods": "3""#, "", None), short("pods", Some(2)));
    }

    #[test]
    fn what_the_cluster_uses_itself_is_not_used_by_others() {
        assert_eq!(room(r#""cpu": "9""#, r#""cpu": "5""#, Some(2)), []);
        assert_eq!(room(r#""pods": "5""#, r#""pods": "4""#, Some(2)), [("pods".to_string(), Some(3))]);
    }

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        let read = |text: &str| amount(&Quantity(text.to_string()));
        assert_eq!(
            ["500m", "2", "1.5", "2k", "1Ki", "1e3"].map(read),
            [0.5, 2.0, 1.5, 2000.0, 1024.0, 1000.0].map(Some)
        );
        assert_eq!(["", "x", "1Q", "Gi"].map(read), [None; 4]);
    }
}
