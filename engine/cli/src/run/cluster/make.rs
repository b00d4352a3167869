//! `cluster create`, `upgrade` and `scale`: has a description carried out, and waits until the cluster can be used.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use root_kubernetes::{ClusterSpec, Error, Kubernetes, SecretFile, Secrets, objects, yaml};

use super::view::View;
use super::{Place, describe, words};
use crate::app::App;
use crate::args::{CreateArgs, NamespaceArgs, ScaleArgs, UpgradeArgs, WaitArgs};
use crate::exit::{Exit, Failure};
use crate::run::Outcome;

/// What happens to queries when the description changes.
const RESTART: &str =
    "the scheduler is started anew to read it; queries of root-query that run begin anew by themselves";

/// `cluster create`.
pub async fn create(app: &App, args: &CreateArgs) -> Outcome {
    let (name, description) = (&args.cluster.name, &args.description);
    let secret = describe::secret(description)?;
    let secret = (!secret.is_empty()).then_some(secret.as_slice());
    let named = match &args.cluster.place.namespace {
        Some(namespace) => Some(namespace.clone()),
        None => describe::namespace_of_file(description)?,
    };
    if args.dry_run {
        let namespace = match named {
            Some(namespace) => namespace,
            None => {
                let place = Place::find(app, &args.cluster.place).await;
                place.map_err(|failure| failure.and("or name a namespace with -n"))?.namespace
            }
        };
        let spec = describe::new(description, name, &namespace)?;
        app.emit_text(&yaml(&objects(&spec, secret)?, Secrets::Hidden)?)?;
        return Ok(Exit::Ok);
    }
    let Place { kubernetes, namespace } = Place::find(app, &NamespaceArgs { namespace: named }).await?;
    let spec = describe::new(description, name, &namespace)?;
    let told = match kubernetes.cluster(name, &namespace).await {
        Ok(before) if before == spec => "is there already, and is as described".to_string(),
        Ok(before) => {
            let changed: Vec<String> =
                describe::differences(&before, &spec).into_iter().map(|(setting, ..)| setting).collect();
            format!("is there already, and is changed: {}; {RESTART}", changed.join(", "))
        }
        Err(Error::NoCluster { .. }) => "is being made".to_string(),
        // Whoever made it wrote what this version does not know.
        Err(Error::Description { reason, .. }) => {
            format!("is there already, with a description that is not understood ({reason}), and is described anew")
        }
        Err(error) => return Err(error.into()),
    };
    apply(app, &kubernetes, &spec, secret).await?;
    app.console.note(&format!("the cluster {name} of the namespace {namespace} {told}"));
    wait(app, &kubernetes, &spec, &args.wait).await
}

/// `cluster upgrade`.
pub async fn upgrade(app: &App, args: &UpgradeArgs) -> Outcome {
    let name = &args.cluster.name;
    let Place { kubernetes, namespace } = Place::find(app, &args.cluster.place).await?;
    let before = kubernetes.cluster(name, &namespace).await?;
    let after = describe::changed(&before, &args.description)?;
    let given = describe::secret(&args.description)?;
    let known = if given.is_empty() { Vec::new() } else { kubernetes.secret(name, &namespace).await? };
    let mut changes = describe::differences(&before, &after);
    for file in &given {
        let was = if known.iter().any(|known| known.name == file.name) { "(hidden)" } else { "null" };
        changes.push((format!("secret.{}", file.name), was.to_string(), "(given)".to_string()));
    }
    // What is given takes the place of what is there, and the rest stays.
    let is_kept = |known: &SecretFile| !given.iter().any(|given| given.name == known.name);
    let secret: Vec<SecretFile> = known.into_iter().filter(is_kept).chain(given.iter().cloned()).collect();
    let secret = (!given.is_empty()).then_some(secret.as_slice());
    if let Some(secret) = secret {
        after.check_secret(secret)?;
    }
    app.emit(&batch(&changes)?)?;
    if changes.is_empty() {
        app.console.note(&format!("nothing changes in the cluster {name} of the namespace {namespace}"));
        return Ok(Exit::Ok);
    }
    if before != after {
        app.console.note(RESTART);
    }
    if args.dry_run {
        app.console.note("nothing was changed, as it is a dry run");
        return Ok(Exit::Ok);
    }
    apply(app, &kubernetes, &after, secret).await?;
    wait(app, &kubernetes, &after, &args.wait).await
}

/// `cluster scale`.
pub async fn scale(app: &App, args: &ScaleArgs) -> Outcome {
    let name = &args.name;
    let Place { kubernetes, namespace } = Place::find(app, &args.place).await?;
    let mut spec = kubernetes.cluster(name, &namespace).await?;
    let before = std::mem::replace(&mut spec.executors.count, args.executors.clone());
    spec.check()?;
    if before == spec.executors.count {
        app.console.note(&format!("the cluster {name} of the namespace {namespace} has {before} executors already"));
        return Ok(Exit::Ok);
    }
    apply(app, &kubernetes, &spec, None).await?;
    let count = &spec.executors.count;
    app.console.note(&format!("the cluster {name} gets {count} executors in place of {before}; {RESTART}"));
    wait(app, &kubernetes, &spec, &args.wait).await
}

async fn apply(
    app: &App,
    kubernetes: &Kubernetes,
    spec: &ClusterSpec,
    secret: Option<&[SecretFile]>,
) -> Result<(), Failure> {
    for left_out in kubernetes.apply(spec, secret).await? {
        app.console.note(&format!("this Kubernetes has no {left_out}, which was left out"));
    }
    Ok(())
}

/// Waits until the cluster can be used, unless that is not wanted, and shows what its pods do meanwhile.
async fn wait(app: &App, kubernetes: &Kubernetes, spec: &ClusterSpec, args: &WaitArgs) -> Outcome {
    let ClusterSpec { name, namespace, .. } = spec;
    let words = words(app, name, namespace);
    let more = format!("`root-query cluster get {words}` tells how far it is");
    if args.no_wait {
        app.console.note(&more);
        return Ok(Exit::Ok);
    }
    let mut view = View::new(app);
    let time = Duration::from_secs(args.timeout);
    let waiting = kubernetes.wait_until_ready(name, namespace, time, |change| view.show(change));
    let ended = app.shutdown.cancellable(waiting).await;
    view.end();
    let more = format!("it goes on being made; {more}, and `root-query cluster delete {words}` removes it");
    match ended {
        Some(Ok(())) => {
            app.console.plain(&format!("the cluster {name} is ready: {}", connecting(app, spec)));
            Ok(Exit::Ok)
        }
        Some(Err(error @ Error::NotReady { .. })) => Err(Failure::from(error).and(&more)),
        Some(Err(error)) => Err(error.into()),
        None => {
            app.console.note(&format!("the cluster {name} is not waited for any more; {more}"));
            Ok(Exit::Interrupted)
        }
    }
}

/// How queries get there.
pub fn connecting(app: &App, spec: &ClusterSpec) -> String {
    let mut words = format!("root-query --cluster k8s:{}/{}", spec.namespace, spec.name);
    if let Some(context) = &app.settings.kube_context {
        words += &format!(" --context {context}");
    }
    if spec.tokens {
        words += " --cluster-token-file FILE";
    }
    words + " sql ..."
}

fn batch(changes: &[(String, String, String)]) -> Result<RecordBatch, Failure> {
    let column = |of: fn(&(String, String, String)) -> &String| {
        Arc::new(changes.iter().map(|change| Some(of(change))).collect::<StringArray>()) as ArrayRef
    };
    let columns = [
        ("setting", column(|(setting, ..)| setting)),
        ("before", column(|(_, before, _)| before)),
        ("after", column(|(.., after)| after)),
    ];
    RecordBatch::try_from_iter(columns).map_err(|error| Failure::new(Exit::Query, error.to_string()))
}
