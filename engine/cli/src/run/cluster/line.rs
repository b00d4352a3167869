//! Whether a command line can be carried out in a pod, which has neither the files nor the terminal of this machine.

use std::path::Path;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use root_kubernetes::ClusterSpec;

use crate::args::{Cli, QueryArgs, Verb};
use crate::exit::Failure;

/// Options that say what the pod is told by whoever submits the job.
const OF_THE_POD: [(&str, &str); 6] = [
    ("cluster", "--cluster"),
    ("cluster_token_file", "--cluster-token-file"),
    ("cluster_ca", "--cluster-ca"),
    ("cluster_host", "--cluster-host"),
    ("kube_context", "--context"),
    ("config", "--config"),
];

/// A command line that is to be carried out in a pod.
#[derive(Debug)]
pub struct Line {
    cli: Cli,
    verb: String,
}

/// Reads the words behind `--`.
pub fn parse(words: &[String]) -> Result<Line, Failure> {
    if let Some(word) = words.iter().find(|word| eos_io::redact(word) != **word) {
        let word = eos_io::redact(word);
        return Err(Failure::usage(format!(
            "'{word}' holds a credential, which whoever may see the job in Kubernetes would see; give the cluster one with \
             `root-query cluster upgrade --secret`"
        )));
    }
    let program = std::iter::once("root-query").chain(words.iter().map(String::as_str));
    let parsed = Cli::command().try_get_matches_from(program);
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = parsed.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Failure::usage("behind -- stands a verb that is to be carried out, and no question about root-query")
        }
        _ => Failure::usage(format!("behind --: {}", error.to_string().trim_start_matches("error: ").trim_end())),
    })?;
    let verb = matches.subcommand_name().unwrap_or_default().to_string();
    check_options(&cli, &matches)?;
    Ok(Line { cli, verb })
}

fn check_options(cli: &Cli, matches: &ArgMatches) -> Result<(), Failure> {
    let is_said = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if let Some((_, option)) = OF_THE_POD.iter().find(|(id, _)| is_said(id)) {
        return Err(Failure::usage(format!(
            "{option} has no place behind --: the job runs on the cluster that it is submitted to, with its configuration"
        )));
    }
    if cli.global.options.iter().any(|option| option.key.starts_with("http.headers")) {
        return Err(Failure::usage(
            "--set http.headers often holds credentials, and whoever may see the job in Kubernetes would see them",
        ));
    }
    match &cli.verb {
        None => Err(Failure::usage("behind -- a verb is expected, such as sql, skim or count")),
        Some(Verb::Cluster { .. } | Verb::Completions { .. } | Verb::Config { .. }) => {
            Err(Failure::usage("behind -- a verb about files is expected, such as sql, skim or count"))
        }
        Some(_) => Ok(()),
    }
}

/// What is named on a command line.
#[derive(Debug, Default)]
struct Named<'a> {
    /// What is read.
    inputs: Vec<&'a str>,
    /// Texts that say what to do: they are nowhere but on this machine.
    scripts: Vec<(&'static str, &'a Path)>,
    /// What is written.
    outputs: Vec<(&'static str, &'a Path)>,
}

impl Line {
    /// The verb.
    pub fn verb(&self) -> &str {
        &self.verb
    }

    /// That it can be carried out in a pod of a cluster, and what may be wrong with it there.
    pub fn check(&self, spec: &ClusterSpec) -> Result<Vec<String>, Failure> {
        let named = self.named();
        for (what, path) in &named.scripts {
            if !is_mounted(spec, path, false) {
                let how = match *what {
                    "-f" => "; give what is in it as an argument, as with -c \"$(cat FILE)\"",
                    _ => "",
                };
                return Err(Failure::usage(format!("{what} {}: the pod has no such file{how}", path.display())));
            }
        }
        for (what, path) in &named.outputs {
            let is_remote = path.to_str().is_some_and(is_far);
            if !is_remote && !is_mounted(spec, path, true) {
                return Err(Failure::usage(format!(
                    "{what} {}: what is written in the pod goes with it; name a URL, such as root://HOST//PATH",
                    path.display()
                )));
            }
        }
        if let Some(Verb::Sql(args)) = &self.cli.verb
            && args.query.command.is_none()
            && args.query.script.is_none()
        {
            return Err(Failure::usage("a job has no prompt and no standard input; give it SQL with -c"));
        }
        let is_missing = |input: &&&str| !is_far(input) && !is_mounted(spec, Path::new(input), false);
        let missing = named.inputs.iter().filter(is_missing);
        Ok(missing.map(|input| format!("{input} is no URL, and the pod has no files of this machine")).collect())
    }

    fn named(&self) -> Named<'_> {
        let mut named = Named::default();
        let global = &self.cli.global;
        let out = global.output.as_deref().filter(|path| *path != Path::new("-"));
        named.outputs.extend(out.map(|path| ("-o", path)));
        named.outputs.extend(global.report.as_deref().map(|path| ("--report", path)));
        named.scripts.extend(global.files_from.iter().map(|list| ("--files-from", Path::new(list))));
        let texts = [("--dataset", &global.dataset)];
        for (option, paths) in texts {
            named.scripts.extend(paths.iter().filter(|path| !is_far(path)).map(|path| (option, Path::new(path))));
        }
        named.inputs.extend(global.lumi_mask.as_deref());
        let Some(verb) = &self.cli.verb else { return named };
        named.of_verb(verb);
        named
    }
}

impl<'a> Named<'a> {
    fn of_verb(&mut self, verb: &'a Verb) {
        let mut input = |files: &'a [String]| self.inputs.extend(files.iter().map(String::as_str));
        match verb {
            Verb::Sql(args) => {
                input(&args.input.files);
                self.script(&args.query);
            }
            Verb::Explain(args) => {
                input(&args.input.files);
                self.script(&args.query);
            }
            Verb::Ls(args) => input(&args.files),
            Verb::Schema(args) | Verb::Stats(args) | Verb::Check(args) => input(&args.files),
            Verb::Head(args) => input(&args.input.files),
            Verb::Count(args) => input(&args.input.files),
            Verb::Skim(args) => input(&args.input.files),
            Verb::Cutflow(args) => {
                input(&args.input.files);
                self.scripts.extend(args.script.as_deref().map(|path| ("-f", path)));
            }
            Verb::Lumi(args) => {
                input(&args.input.files);
                self.inputs.extend(args.lumi_file.as_deref());
            }
            Verb::Hist(args) => {
                let files = args.words.iter().filter(|word| !word.trim_end().ends_with(']'));
                self.inputs.extend(files.filter(|word| !word.contains('[')).map(String::as_str));
                self.outputs.extend(args.plot.as_deref().map(|path| ("--plot", path)));
            }
            Verb::Diff(args) => self.inputs.extend([args.first.as_str(), args.second.as_str()]),
            Verb::Diagnose(args) => self.inputs.push(&args.url),
            Verb::Cp(args) => {
                if let Some((to, from)) = args.paths.split_last() {
                    input(from);
                    self.outputs.extend((to != "-").then(|| ("cp", Path::new(to))));
                }
            }
            // They name no files, or are no verbs for a pod.
            Verb::Version { .. } | Verb::Cluster { .. } | Verb::Completions { .. } | Verb::Config { .. } => {}
        }
    }

    fn script(&mut self, query: &'a QueryArgs) {
        self.scripts.extend(query.script.as_deref().map(|path| ("-f", path)));
    }
}

/// Whether it is a place that all machines reach.
fn is_far(place: &str) -> bool {
    eos_io::is_url(place) && !place.starts_with("file:")
}

/// Whether a path is in a volume that the pod has.
fn is_mounted(spec: &ClusterSpec, path: &Path, to_write: bool) -> bool {
    let path = path.to_str().and_then(|path| path.strip_prefix("file://")).map_or(path, Path::new);
    let mut mounts = spec.executors.place.volume_mounts.iter();
    mounts.any(|mount| path.starts_with(&mount.mount_path) && !(to_write && mount.read_only == Some(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ClusterSpec {
        let text = r#"{"name": "muons", "namespace": "physics", "image": "i:1", "executors": {"count": "0..8",
            "resources": {"cores": 2, "memory": "4Gi"}, "place": {
                "volumes": [{"name": "cvmfs", "hostPath": {"path": "/cvmfs"}}, {"name": "eos", "hostPath": {"path": "/eos"}}],
                "volume_mounts": [{"name": "cvmfs", "mountPath": "/cvmfs", "readOnly": true}, {"name": "eos", "mountPath": "/eos"}]}}}"#;
        serde_json::from_str(text).unwrap()
    }

    fn checked(words: &[&str]) -> Result<Vec<String>, String> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        parse(&words).and_then(|line| line.check(&spec())).map_err(|failure| failure.to_string())
    }

    #[track_caller]
    fn refused(words: &[&str], why: &str) {
        let error = checked(words).unwrap_err();
        assert!(error.contains(why), "{words:?}: {error}");
    }

    const FILE: &str = "root://eos.example//d/x.root:Events";

    #[test]
    fn what_a_pod_reaches_can_be_submitted() {
        for words in [
            &["count", FILE][..],
            &["--format", "json", "sql", "-c", "SELECT 1 FROM t", FILE, "/cvmfs/x.root"],
            &["skim", FILE, "--where", "nMuon = 2", "-o", "root://eos.example//me/y.root"],
            &["skim", FILE, "-o", "/eos/me/y.root"],
            &["hist", FILE, "MET_pt[50,0,500]", "--plot", "https://web.example/a.png"],
            &["cp", FILE, "s3://bucket/x.root"],
            &["cp", FILE, "-"],
        ] {
            assert_eq!(checked(words), Ok(Vec::new()), "{words:?}");
        }
    }

    #[test]
    fn what_is_written_in_a_pod_is_not_lost() {
        refused(&["skim", FILE, "-o", "y.root"], "-o y.root: what is written in the pod goes with it; name a URL");
        refused(&["skim", FILE, "-o", "/cvmfs/y.root"], "-o /cvmfs/y.root");
        refused(&["skim", FILE, "-o", "file:///tmp/y.root"], "-o file:///tmp/y.root");
        refused(&["count", FILE, "--report", "report.json"], "--report report.json");
        refused(&["hist", FILE, "MET_pt[50,0,500]", "--plot", "a.png"], "--plot a.png");
        refused(&["cp", FILE, "."], "cp .");
    }

    #[test]
    fn what_only_this_machine_has_is_refused_or_warned_of() {
        refused(&["sql", "-f", "skim.sql", FILE], "-f skim.sql: the pod has no such file; give what is in it");
        refused(&["count", "--files-from", "-"], "--files-from -: the pod has no such file");
        refused(&["sql", FILE], "a job has no prompt");
        let warnings = checked(&["hist", "run1.root", FILE, "MET_pt[50,0,500]"]).unwrap();
        assert_eq!(warnings, ["run1.root is no URL, and the pod has no files of this machine"]);
    }

    #[test]
    fn what_the_job_decides_itself_and_what_is_secret_is_refused() {
        refused(&["count", FILE, "--cluster", "local:2"], "--cluster has no place behind --");
        refused(&["--config", "a.toml", "count", FILE], "--config has no place behind --");
        refused(&["cluster", "list"], "a verb about files is expected");
        refused(&["--help"], "no question about root-query");
        refused(&["cuont", FILE], "behind --: ");
        refused(&["count", FILE, "--set", "http.headers.A=b"], "often holds credentials");
        let secret = checked(&["count", "root://eos.example//x.root?authz=eyJhbGciOi"]).unwrap_err();
        assert!(secret.contains("authz=*** ") || secret.contains("authz=***'"), "{secret}");
        assert!(!secret.contains("eyJ"), "{secret}");
    }
}
