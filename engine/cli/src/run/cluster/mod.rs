//! `cluster`: clusters on Kubernetes. `describe` makes a description of options and files, `make` has it carried out, `view`
//! shows what becomes of it meanwhile, `show` and `check` look, `logs` and `delete` do what they are called. `submit` has a verb
//! run in Kubernetes, if `line` says that it can, and `jobs` tell what becomes of it.

mod check;
mod delete;
mod describe;
mod jobs;
mod line;
mod logs;
mod make;
mod show;
mod submit;
mod view;

use std::time::{SystemTime, UNIX_EPOCH};

use root_kubernetes::{ClusterName, Error, Kubernetes, PodView, SpecError, check_namespace};

use super::Outcome;
use crate::app::App;
use crate::args::{ClusterAction, NamespaceArgs};
use crate::exit::{Exit, Failure};

/// Does what is to be done with clusters.
pub async fn run(app: &App, action: &ClusterAction) -> Outcome {
    match action {
        ClusterAction::Create(args) => make::create(app, args).await,
        ClusterAction::Get(args) => show::get(app, args).await,
        ClusterAction::List(args) => show::list(app, args).await,
        ClusterAction::Scale(args) => make::scale(app, args).await,
        ClusterAction::Upgrade(args) => make::upgrade(app, args).await,
        ClusterAction::Delete(args) => delete::delete(app, args).await,
        ClusterAction::Logs(args) => logs::logs(app, args).await,
        ClusterAction::Submit(args) => submit::submit(app, args).await,
        ClusterAction::Jobs(args) => jobs::list(app, args).await,
        ClusterAction::Status(args) => jobs::status(app, args).await,
        ClusterAction::Wait(args) => jobs::wait(app, args).await,
        ClusterAction::Cancel(args) => jobs::cancel(app, args).await,
        ClusterAction::Check(args) => check::check(app, args).await,
    }
}

/// A Kubernetes, and the namespace in it that is meant.
struct Place {
    kubernetes: Kubernetes,
    namespace: String,
}

impl Place {
    async fn find(app: &App, args: &NamespaceArgs) -> Result<Self, Failure> {
        if let Some(namespace) = &args.namespace {
            check_namespace(namespace)?;
        }
        let (kubernetes, of_context) = Kubernetes::connect(app.settings.kube_context.as_deref()).await?;
        Ok(Self { kubernetes, namespace: args.namespace.clone().unwrap_or(of_context) })
    }
}

/// How other commands name a cluster.
fn words(app: &App, name: &ClusterName, namespace: &str) -> String {
    let context = app.settings.kube_context.as_ref().map(|context| format!(" --context {context}"));
    format!("{name} -n {namespace}{}", context.unwrap_or_default())
}

/// How long ago something was, as people say it: `5m`, `3h`, `2d`.
fn age(since: Option<i64>) -> Option<String> {
    between(since?, now()?)
}

/// How long something took, as people say it.
fn between(from: i64, to: i64) -> Option<String> {
    let (from, to) = (u64::try_from(from).ok()?, u64::try_from(to).ok()?);
    let seconds = to.saturating_sub(from);
    Some(match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    })
}

/// Seconds since 1970.
fn now() -> Option<i64> {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// How far a pod is, and why no further.
fn phase_and_reason(pod: &PodView) -> (String, Option<String>) {
    let phase = pod.phase.to_string();
    match phase.split_once(": ") {
        Some((phase, reason)) => (phase.to_string(), Some(reason.to_string())),
        None => (phase, None),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            denied if denied.is_denied() => Exit::Authentication,
            Error::NotConfigured { .. } | Error::Spec(_) | Error::Foreign { .. } | Error::JobExists { .. } => {
                Exit::Usage
            }
            // An object that it does not understand.
            Error::Refused { code: 400 | 422, what, .. } if !what.starts_with("show the log") => Exit::Usage,
            Error::NoCluster { .. }
            | Error::NoPod { .. }
            | Error::NoJob { .. }
            | Error::NoLog { .. }
            | Error::Description { .. } => Exit::Input,
            _ => Exit::Query,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_does_not_allow_has_the_code_of_credentials_and_a_quota_has_not() {
        let refused = |code, reason: &str| {
            let failure = Error::Refused { what: "make it".to_string(), reason: reason.to_string(), code };
            let Failure::Error { exit, .. } = failure.into() else { panic!("an error") };
            exit
        };
        assert_eq!(refused(403, "pods is forbidden: User \"x\" cannot list"), Exit::Authentication);
        assert_eq!(refused(401, "Unauthorized"), Exit::Authentication);
        assert_eq!(refused(403, "it is too much (exceeded quota: q)"), Exit::Query);
        assert_eq!(refused(422, "spec.x: Invalid value"), Exit::Usage);
        assert_eq!(refused(500, "etcd"), Exit::Query);
    }

    #[test]
    fn ages_are_short() {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        for (seconds, text) in [(119, "m"), (300, "5m"), (10_000, "2h"), (200_000, "2d")] {
            let age = age(Some(now - seconds)).unwrap();
            assert!(age == text || seconds == 119, "{age}");
        }
        assert_eq!((age(None), age(Some(-1))), (None, None));
    }
}
