//! `cluster delete`.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use root_kubernetes::NamespaceFate;

use super::{Place, words};
use crate::app::App;
use crate::args::DeleteArgs;
use crate::exit::{Exit, Failure};
use crate::run::Outcome;
use crate::run::types::counted;

/// Deletes a cluster, after asking where somebody can be asked.
pub async fn delete(app: &App, args: &DeleteArgs) -> Outcome {
    let name = &args.cluster.name;
    let Place { kubernetes, namespace } = Place::find(app, &args.cluster.place).await?;
    if std::io::stdin().is_terminal() && !args.yes {
        if !std::io::stderr().is_terminal() {
            return Err(Failure::usage(
                "whether to delete it cannot be asked, as standard error is no terminal; say --yes",
            ));
        }
        let pods = kubernetes.pods(name, &namespace).await?.len() as u64;
        let question =
            format!("delete the cluster {name} of the namespace {namespace}, with {}? [y/N] ", counted(pods, "pod"));
        let answer = tokio::task::spawn_blocking(move || ask(&question)).await;
        if !answer.is_ok_and(|is_yes| is_yes) {
            app.console.note("nothing was deleted");
            return Ok(Exit::Ok);
        }
    }
    let deleting = kubernetes.delete(name, &namespace, Duration::from_secs(args.timeout));
    let Some(deleted) = app.shutdown.cancellable(deleting).await else {
        let again = format!("`root-query cluster delete {}` goes on with it", words(app, name, &namespace));
        app.console.note(&format!("the cluster {name} may be half deleted; {again}"));
        return Ok(Exit::Interrupted);
    };
    let of_namespace = match deleted.map_err(Failure::from)? {
        NamespaceFate::Kept => String::new(),
        NamespaceFate::Gone => format!(", and so is the namespace {namespace}, which was made for it"),
        NamespaceFate::InUse(others) => {
            format!(
                "; the namespace {namespace}, which was made for it, stays, as others use it: {}",
                others.join(", ")
            )
        }
    };
    app.console.note(&format!("the cluster {name} of the namespace {namespace} is deleted{of_namespace}"));
    Ok(Exit::Ok)
}

/// Whether somebody at the terminal says yes.
fn ask(question: &str) -> bool {
    let mut stderr = std::io::stderr().lock();
    let mut answer = String::new();
    // A terminal that is gone says nothing.
    let asked = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    drop(stderr);
    asked.is_ok()
        && std::io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
