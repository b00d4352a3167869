//! `cluster submit`: has a verb run in a pod of a cluster, and goes on without it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use root_kubernetes::{AUTHORITIES, ClusterSpec, JobName, JobRequest, SecretFile, Secrets, TOKEN, job_objects, yaml};
use serde_json::json;

use super::show::is_ready;
use super::{Place, jobs, line, words};
use crate::app::App;
use crate::args::SubmitArgs;
use crate::exit::{Exit, Failure};
use crate::run::Outcome;

/// Characters behind the verb of a job that is not named.
const MARK: usize = 5;

/// Submits a job, and says how to follow it.
pub async fn submit(app: &App, args: &SubmitArgs) -> Outcome {
    let name = &args.cluster.name;
    let line = line::parse(&args.words)?;
    let Place { kubernetes, namespace } = Place::find(app, &args.cluster.place).await?;
    let spec = kubernetes.cluster(name, &namespace).await?;
    for warning in line.check(&spec)? {
        app.console.warning(&warning);
    }
    let request = request(app, args, &spec, line.verb())?;
    if args.dry_run {
        app.emit_text(&yaml(&job_objects(&spec, &request)?, Secrets::Hidden)?)?;
        return Ok(Exit::Ok);
    }
    if !is_ready(&kubernetes.pods(name, &namespace).await?) {
        app.console.warning(&format!("the cluster {name} is not ready; a job fails that cannot reach it"));
    }
    kubernetes.submit(&spec, &request).await?;
    let job = &request.name;
    app.emit_text(&format!("{job}\n"))?;
    let words = words(app, name, &namespace);
    if args.wait {
        return jobs::until_over(app, &kubernetes, name, &namespace, job, None).await;
    }
    app.console.note(&format!("`root-query cluster wait {words} {job}` waits for it"));
    app.console.note(&format!("`root-query cluster logs {words} --job {job} -f` shows what it prints"));
    Ok(Exit::Ok)
}

fn request(app: &App, args: &SubmitArgs, spec: &ClusterSpec, verb: &str) -> Result<JobRequest, Failure> {
    let settings = &app.settings;
    let mut files = Vec::new();
    let needed = [(TOKEN, spec.tokens, &settings.cluster_token_file), (AUTHORITIES, spec.tls, &settings.cluster_ca)];
    for (file, is_needed, path) in needed {
        if let Some(path) = path.as_ref().filter(|_| is_needed) {
            let content = std::fs::read(path).map_err(|error| Failure::side_input(path, &error))?;
            files.push(SecretFile { name: file.to_string(), content });
        }
    }
    if spec.tokens && settings.cluster_token_file.is_none() {
        let how = "give the file that has yours with --cluster-token-file, or by ROOT_QUERY_CLUSTER_TOKEN_FILE";
        return Err(Failure::new(Exit::Authentication, format!("the cluster {} asks for a token; {how}", spec.name)));
    }
    let resources = json!({"cores": args.job_cores, "memory": args.job_memory});
    let name = match &args.job_name {
        Some(name) => name.clone(),
        None => named_after(verb)?,
    };
    Ok(JobRequest {
        name,
        words: args.words.clone(),
        resources: serde_json::from_value(resources).map_err(|error| Failure::usage(error.to_string()))?,
        seconds: args.timeout,
        server_name: settings.cluster_host.clone().filter(|_| spec.tls),
        files,
    })
}

/// A name that no other job has: a verb, and some characters by chance.
fn named_after(verb: &str) -> Result<JobName, Failure> {
    let chance = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
    let mark: String = chance.chars().rev().take(MARK).collect();
    format!("{verb}-{mark}").parse().map_err(|error| Failure::usage(format!("{error}; give it a --job-name")))
}
