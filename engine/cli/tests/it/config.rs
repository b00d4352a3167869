//! Settings: the command line before variables before the configuration file.

use std::fs;

use tempfile::TempDir;

use crate::support::{command, finish, run};

fn home_with(config: &str) -> TempDir {
    let home = TempDir::new().unwrap();
    let dir = home.path().join(".config/root-query");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("config.toml"), config).unwrap();
    home
}

#[test]
fn the_command_line_beats_variables_and_they_beat_the_file() {
    let home = home_with("format = \"json\"\nthreads = 1\n");
    let query = ["sql", "-c", "SELECT 1 AS a"];
    let file = finish(command(home.path()).args(query)).ok();
    assert_eq!(file.text(), "[{\"a\":1}]\n");
    let variable = finish(command(home.path()).args(query).env("ROOT_QUERY_FORMAT", "ndjson")).ok();
    assert_eq!(variable.text(), "{\"a\":1}\n");
    let flags = ["--format", "tsv"];
    let flag = finish(command(home.path()).args(query).args(flags).env("ROOT_QUERY_FORMAT", "ndjson")).ok();
    assert_eq!(flag.text(), "a\n1\n");
    let before = finish(command(home.path()).args(flags).args(query).env("ROOT_QUERY_FORMAT", "ndjson")).ok();
    assert_eq!(before.text(), "a\n1\n");
}

#[test]
fn config_show_tells_values_and_origins() {
    let home = home_with("format = \"json\"\nmemory = \"2G\"\n");
    let shown =
        finish(command(home.path()).args(["config", "show", "--threads", "3"]).env("ROOT_QUERY_ON_BAD_FILE", "skip"))
            .ok();
    let line = |key: &str| shown.lines().into_iter().find(|l| l.starts_with(&format!("{key} "))).unwrap().to_string();
    assert!(line("format").contains("\"json\"") && line("format").contains("config.toml"), "{}", line("format"));
    assert!(line("memory").contains("2147483648"), "{}", line("memory"));
    assert!(line("threads").ends_with("# command line"), "{}", line("threads"));
    assert!(line("on_bad_file").ends_with("# ROOT_QUERY_ON_BAD_FILE"), "{}", line("on_bad_file"));
    assert!(line("quiet").ends_with("# default"), "{}", line("quiet"));
    assert!(line("layout").contains("\"flat\""), "{}", line("layout"));
    // What is shown can be used as configuration.
    let copy = TempDir::new().unwrap();
    let path = copy.path().join("c.toml");
    fs::write(&path, &shown.stdout).unwrap();
    run(&["--config", path.to_str().unwrap(), "config", "show"]).ok();
}

#[test]
fn the_layout_can_be_set_everywhere() {
    let home = home_with("layout = \"nested\"\n");
    let first_line = |command: &mut std::process::Command| {
        finish(command.args(["schema", &crate::support::sample()])).ok().lines()[0].to_string()
    };
    assert_eq!(first_line(&mut command(home.path())), "root");
    assert!(first_line(command(home.path()).env("ROOT_QUERY_LAYOUT", "flat")).starts_with("Events:"));
    assert_eq!(first_line(command(TempDir::new().unwrap().path()).args(["--set", "layout=nested"])), "root");
}

#[test]
fn the_cache_can_be_set_everywhere_and_turned_off() {
    let home = home_with("cache = { dir = \"/far/cache\", size = \"1G\" }\n");
    let shown = |command: &mut std::process::Command| {
        let shown = finish(command.args(["config", "show"])).ok();
        let of = |key: &str| shown.lines().into_iter().find(|line| line.starts_with(key)).unwrap().to_string();
        (of("cache.dir"), of("cache.size"))
    };
    let (directory, size) = shown(&mut command(home.path()));
    assert!(directory.starts_with("cache.dir = \"/far/cache\"") && directory.ends_with("config.toml"), "{directory}");
    assert!(size.starts_with("cache.size = \"1073741824\"") && size.ends_with("config.toml"), "{size}");
    let (directory, size) = shown(command(home.path()).env("ROOT_QUERY_CACHE", "").env("ROOT_QUERY_CACHE_SIZE", "2M"));
    assert!(directory.starts_with("cache.dir = \"\"") && directory.ends_with("ROOT_QUERY_CACHE"), "{directory}");
    assert!(size.starts_with("cache.size = \"2097152\"") && size.ends_with("ROOT_QUERY_CACHE_SIZE"), "{size}");
    let (directory, _) = shown(command(home.path()).args(["--cache", "/near"]));
    assert!(directory.starts_with("cache.dir = \"/near\"") && directory.ends_with("command line"), "{directory}");
}

#[test]
fn the_way_to_clusters_can_be_set_everywhere() {
    let home = home_with("kube_context = \"far\"\ncluster_host = \"muons.example\"\n");
    let shown = |command: &mut std::process::Command| {
        let shown = finish(command.args(["config", "show"])).ok();
        let of = |key: &str| shown.lines().into_iter().find(|line| line.starts_with(key)).unwrap().to_string();
        (of("kube_context"), of("cluster_host"))
    };
    let (context, host) = shown(&mut command(home.path()));
    assert!(context.starts_with("kube_context = \"far\"") && context.ends_with("config.toml"), "{context}");
    assert!(host.starts_with("cluster_host = \"muons.example\"") && host.ends_with("config.toml"), "{host}");
    let (context, host) =
        shown(command(home.path()).args(["--context", "near"]).env("ROOT_QUERY_CLUSTER_HOST", "b.example"));
    assert!(context.starts_with("kube_context = \"near\"") && context.ends_with("command line"), "{context}");
    assert!(host.ends_with("# ROOT_QUERY_CLUSTER_HOST"), "{host}");
    let (context, _) = shown(command(home.path()).env("ROOT_QUERY_KUBE_CONTEXT", ""));
    assert!(context.starts_with("kube_context = \"\"") && context.ends_with("# ROOT_QUERY_KUBE_CONTEXT"), "{context}");
}

#[test]
fn a_cache_that_cannot_be_used_is_one_warning_and_local_files_are_never_in_it() {
    let home = TempDir::new().unwrap();
    let (directory, report) = (home.path().join("cache"), home.path().join("r.json"));
    let counted = |cache: &std::path::Path| {
        let mut command = command(home.path());
        command.arg("--cache").arg(cache).arg("--report").arg(&report).args(["count", &crate::support::sample()]);
        finish(&mut command).ok()
    };
    assert_eq!(counted(&directory).stderr, "");
    assert_eq!(fs::read_dir(directory.join("blocks")).unwrap().count(), 0);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["cache"]["hits"], 0, "{report}");
    let stderr = counted(&directory.join("CACHEDIR.TAG")).stderr;
    assert_eq!(stderr.matches("cannot be used").count(), 1, "{stderr}");
}

#[test]
fn another_file_can_be_named() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("other.toml");
    fs::write(&path, "format = \"ndjson\"").unwrap();
    let query = ["sql", "-c", "SELECT 1 AS a"];
    let flag = finish(command(home.path()).args(query).arg("--config").arg(&path)).ok();
    assert_eq!(flag.text(), "{\"a\":1}\n");
    let variable = finish(command(home.path()).args(query).env("ROOT_QUERY_CONFIG", &path)).ok();
    assert_eq!(variable.text(), "{\"a\":1}\n");
    run(&["--config", "/no/such.toml", "version"]).fails(2, &["/no/such.toml"]);
}

#[test]
fn mistakes_in_the_file_are_named() {
    for (text, words) in [
        ("fromat = \"json\"", vec!["config.toml", "'fromat'", "did you mean 'format'?"]),
        ("format = \"jsn\"", vec!["config.toml", "format", "did you mean 'json'?"]),
        ("memory = \"lots\"", vec!["config.toml", "memory", "such as 8G"]),
        ("threads = \"two\"", vec!["config.toml"]),
        ("cache = { dir = \"/tmp/c\", size = \"big\" }", vec!["config.toml", "cache.size", "such as 8G"]),
        ("cache = { directory = \"/tmp/c\" }", vec!["config.toml", "directory"]),
        ("=", vec!["config.toml"]),
    ] {
        let home = home_with(text);
        finish(command(home.path()).arg("version")).fails(2, &words);
    }
}

#[test]
fn a_variable_with_a_wrong_value_is_a_usage_error() {
    let home = TempDir::new().unwrap();
    finish(command(home.path()).arg("version").env("ROOT_QUERY_FORMAT", "xml")).fails(2, &["xml"]);
}

#[test]
fn quiet_can_be_set_by_a_variable() {
    let home = TempDir::new().unwrap();
    let args = ["stats", &crate::support::sample()];
    assert_eq!(finish(command(home.path()).args(args).env("ROOT_QUERY_QUIET", "1")).ok().stderr, "");
    assert_ne!(finish(command(home.path()).args(args).env("ROOT_QUERY_QUIET", "0")).ok().stderr, "");
}
