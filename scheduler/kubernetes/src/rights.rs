//! What we may do in a namespace: asked of Kubernetes before anything is tried.

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;

use crate::error::{Error, refused};
use crate::remote::{KINDS, Kind, Kubernetes};

/// Questions that are asked at the same time.
const AT_ONCE: usize = 8;

/// Something that users do with clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deed {
    /// Making and changing one.
    Make,
    /// Looking at it, and waiting for it.
    Look,
    /// Reading its logs.
    Logs,
    /// Connecting to it.
    Connect,
    /// Having jobs run on it.
    Submit,
    /// Deleting it.
    Delete,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Make, Self::Look, Self::Logs, Self::Connect, Self::Submit, Self::Delete];

    /// What it takes: verbs, and of what.
    fn takes(self) -> Vec<(&'static str, Kind, Option<&'static str>)> {
        let of = |kind: &str| KINDS.into_iter().filter(|known| known.kind == kind).collect::<Vec<Kind>>();
        let each = |verbs: &[&'static str], kinds: Vec<Kind>, part: Option<&'static str>| {
            let pairs = kinds.into_iter().flat_map(|kind| verbs.iter().map(move |verb| (*verb, kind, part)));
            pairs.collect::<Vec<_>>()
        };
        match self {
            // Nobody can let a scheduler do what they may not do themselves, and it makes pods.
            Self::Make => {
                let applied = KINDS.into_iter().filter(|kind| !["Pod", "Job"].contains(&kind.kind)).collect();
                let pods = each(&["create", "delete", "get", "list", "watch"], of("Pod"), None);
                let logs = each(&["get"], of("Pod"), Some("log"));
                let jobs = each(&["get", "patch"], of("Job"), None);
                [each(&["get", "create", "patch"], applied, None), pods, logs, jobs].concat()
            }
            Self::Look => {
                let seen = [of("Pod"), of("Deployment")].concat();
                let described = each(&["get", "list"], of("ConfigMap"), None);
                [each(&["list", "watch"], seen, None), described].concat()
            }
            Self::Logs => [each(&["list"], of("Pod"), None), each(&["get"], of("Pod"), Some("log"))].concat(),
            // Which of the two is asked for depends on the version of Kubernetes.
            Self::Connect => {
                let ways = each(&["create", "get"], of("Pod"), Some("portforward"));
                [each(&["get"], of("ConfigMap"), None), each(&["list"], of("Pod"), None), ways].concat()
            }
            Self::Submit => {
                let described = each(&["get"], [of("ConfigMap"), of("Deployment")].concat(), None);
                let jobs = each(&["create", "get", "list", "watch", "delete"], of("Job"), None);
                let tokens = each(&["create", "delete"], of("Secret"), None);
                [described, jobs, each(&["list", "watch"], of("Pod"), None), tokens].concat()
            }
            Self::Delete => each(&["list", "delete"], KINDS.into(), None),
        }
    }
}

impl Kubernetes {
    /// Which version it is, as `v1.34.1`.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn version(&self) -> Result<String, Error> {
        let version = self.client.apiserver_version().await;
        Ok(version.map_err(|error| refused("say its version", error))?.git_version)
    }

    /// What we may not do in a namespace of what something takes: `create pods`. It is empty if nothing is missing.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub async fn missing_rights(&self, deed: Deed, namespace: &str) -> Result<Vec<String>, Error> {
        let questions = deed.takes().into_iter().map(|(verb, kind, part)| async move {
            let resource = match part {
                Some(part) => format!("{}/{part}", kind.plural),
                None => kind.plural.to_string(),
            };
            let attributes = ResourceAttributes {
                namespace: Some(namespace.to_string()),
                verb: Some(verb.to_string()),
                group: Some(kind.group.to_string()),
                resource: Some(kind.plural.to_string()),
                subresource: part.map(str::to_string),
                ..ResourceAttributes::default()
            };
            let is_allowed = self.is_allowed(attributes).await?;
            Ok::<_, Error>((!is_allowed).then(|| format!("{verb} {resource}")))
        });
        let answers = stream::iter(questions).buffered(AT_ONCE).try_collect::<Vec<Option<String>>>().await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Whether there is such a namespace, if that can be known; and whether we may make one.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub async fn namespace_state(&self, name: &str) -> Result<NamespaceState, Error> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        match api.get_metadata_opt(name).await {
            Ok(Some(_)) => return Ok(NamespaceState::There),
            Ok(None) => {}
            Err(kube::Error::Api(status)) if status.code == 403 => return Ok(NamespaceState::Unknown),
            Err(error) => return Err(refused(&format!("look for the namespace {name}"), error)),
        }
        let attributes = ResourceAttributes {
            verb: Some("create".to_string()),
            resource: Some("namespaces".to_string()),
            ..ResourceAttributes::default()
        };
        let may_be_made = self.is_allowed(attributes).await?;
        Ok(NamespaceState::Missing { may_be_made })
    }

    async fn is_allowed(&self, attributes: ResourceAttributes) -> Result<bool, Error> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| refused("say what we may do", error))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// Whether a namespace is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceState {
    /// It is.
    There,
    /// It is not.
    Missing {
        /// Whether we may make it.
        may_be_made: bool,
    },
    /// We may not look, which is no reason not to use it.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_makes_a_cluster_needs_all_that_its_scheduler_may() {
        let takes = Deed::Make.takes();
        for verb in ["create", "delete", "get", "list", "watch"] {
            assert!(takes.iter().any(|(taken, kind, _)| *taken == verb && kind.kind == "Pod"), "{verb}");
        }
        assert!(!takes.iter().any(|(verb, kind, _)| *verb == "patch" && kind.kind == "Pod"));
    }

    #[test]
    fn everything_that_is_made_has_to_be_deleted() {
        let takes = Deed::Delete.takes();
        assert!(KINDS.iter().all(|kind| takes.iter().any(|(verb, of, _)| *verb == "delete" && of.kind == kind.kind)));
    }
}
