//! What a cluster is to be: of a file, of options, and of what it was before.

use std::path::Path;

use root_kubernetes::{ClusterName, ClusterSpec, SecretFile, TLS, TOKENS};
use serde_json::{Map, Value, json};

use crate::args::{DescriptionArgs, KeyValue};
use crate::exit::Failure;

/// What the file of a Kerberos ticket is called in the cluster, and the variable that names it.
const TICKET: (&str, &str) = ("krb5cc", "KRB5CCNAME");
/// The same of a keytab, and where the tickets are that are had by it.
const KEYTAB: (&str, &str) = ("krb5.keytab", "KRB5_CLIENT_KTNAME");
const TICKETS_OF_KEYTAB: &str = "FILE:/scratch/krb5cc";
/// Where pods have the files of the secret.
const SECRETS: &str = "/etc/root-query/secret";

/// A new cluster, by a file and options.
pub fn new(args: &DescriptionArgs, name: &ClusterName, namespace: &str) -> Result<ClusterSpec, Failure> {
    let mut base = json!({
        "executors": {"count": "0..4", "resources": {"cores": 2, "memory": "4Gi"}},
        "scheduler": {"resources": {"cores": 1, "memory": "2Gi"}},
    });
    if let Some(file) = read_file(args)? {
        merge(&mut base, file);
    }
    apply_options(&mut base, args)?;
    set(&mut base, &["name"], json!(name));
    set(&mut base, &["namespace"], json!(namespace));
    if base.get("image").is_none() {
        return Err(Failure::usage(
            "the cluster has no image; --image names one with root-scheduler and root-executor, as deploy/Dockerfile of the \
             sources makes it",
        ));
    }
    finish(base, args)
}

/// What a cluster becomes that is there.
pub fn changed(before: &ClusterSpec, args: &DescriptionArgs) -> Result<ClusterSpec, Failure> {
    let mut base = serde_json::to_value(before).map_err(|error| Failure::usage(error.to_string()))?;
    if let Some(file) = read_file(args)? {
        merge(&mut base, file);
    }
    apply_options(&mut base, args)?;
    set(&mut base, &["name"], json!(before.name));
    set(&mut base, &["namespace"], json!(before.namespace));
    finish(base, args)
}

/// The namespace that the file of a description names.
pub fn namespace_of_file(args: &DescriptionArgs) -> Result<Option<String>, Failure> {
    // Standard input can be read once.
    if args.file.as_deref() == Some(Path::new("-")) {
        return Ok(None);
    }
    let file = read_file(args)?;
    Ok(file.as_ref().and_then(|file| file.get("namespace")).and_then(Value::as_str).map(str::to_string))
}

/// The files of the secret that the options name.
pub fn secret(args: &DescriptionArgs) -> Result<Vec<SecretFile>, Failure> {
    let fixed = [
        (TOKENS, args.tokens.as_deref()),
        (TLS[0], args.tls_cert.as_deref()),
        (TLS[1], args.tls_key.as_deref()),
        (TICKET.0, args.krb5_cache.as_deref()),
        (KEYTAB.0, args.krb5_keytab.as_deref()),
    ];
    let fixed = fixed.into_iter().filter_map(|(name, path)| Some((name, path?)));
    let named = args.secret.iter().map(|secret| (secret.name.as_str(), secret.file.as_path()));
    let mut files: Vec<SecretFile> = Vec::new();
    for (name, path) in fixed.chain(named) {
        if files.iter().any(|file| file.name == name) {
            return Err(Failure::usage(format!("two files would be called {name} in the secret; say NAME=FILE")));
        }
        let content = std::fs::read(path).map_err(|error| Failure::side_input(path, &error))?;
        files.push(SecretFile { name: name.to_string(), content });
    }
    Ok(files)
}

fn read_file(args: &DescriptionArgs) -> Result<Option<Value>, Failure> {
    let Some(path) = &args.file else { return Ok(None) };
    let text =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = text.map_err(|error| Failure::side_input(path, &error))?;
    // JSON is YAML.
    let value: Value = serde_saphyr::from_str(&text).map_err(|error| in_file(path, &error))?;
    if !value.is_object() {
        return Err(in_file(path, &"it describes no cluster; see `root-query cluster create --help`"));
    }
    Ok(Some(value))
}

fn in_file(path: &Path, what: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {what}", path.display()))
}

/// Puts what is said in the place of what was; `null` takes it back.
fn merge(base: &mut Value, said: Value) {
    match (base, said) {
        (Value::Object(base), Value::Object(said)) => {
            for (key, value) in said {
                if value.is_null() {
                    base.insert(key, value);
                } else {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (base, said) => *base = said,
    }
}

/// Sets a member, and those on the way to it.
fn set(base: &mut Value, path: &[&str], value: Value) {
    let mut at = base;
    for key in path {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(members) = at else { return };
        at = members.entry(*key).or_insert(Value::Null);
    }
    *at = value;
}

fn apply_options(base: &mut Value, args: &DescriptionArgs) -> Result<(), Failure> {
    let texts: [(&[&str], &Option<String>); 6] = [
        (&["image"], &args.image),
        (&["executors", "count"], &args.executors),
        (&["executors", "resources", "memory"], &args.executor_memory),
        (&["executors", "most_memory"], &args.most_memory),
        (&["executors", "scratch"], &args.scratch),
        (&["scheduler", "resources", "memory"], &args.scheduler_memory),
    ];
    for (path, text) in texts {
        if let Some(text) = text {
            set(base, path, json!(text));
        }
    }
    let cores = [
        (["executors", "resources", "cores"], args.executor_cores),
        (["scheduler", "resources", "cores"], args.scheduler_cores),
    ];
    for (path, count) in cores {
        if let Some(count) = count {
            set(base, &path, json!(count));
        }
    }
    if let Some(idle) = args.idle {
        set(base, &["executors", "idle_seconds"], json!(idle));
    }
    if let Some(policy) = args.pull_policy {
        set(base, &["pull_policy"], json!(root_kubernetes::PullPolicy::from(policy)));
    }
    if !args.pull_secret.is_empty() {
        set(base, &["pull_secrets"], json!(args.pull_secret));
    }
    if !args.storage_port.is_empty() {
        set(base, &["storage_ports"], json!(args.storage_port));
    }
    apply_places(base, args);
    for KeyValue { key, value } in &args.env {
        set(base, &["environment", key], json!(value));
    }
    if args.tokens.is_some() {
        set(base, &["tokens"], json!(true));
    }
    if args.tls_cert.is_some() {
        set(base, &["tls"], json!(true));
    }
    let kerberos = apply_kerberos(base, args);
    add_secret_files(base, kerberos.into_iter().chain(args.secret.iter().map(|secret| secret.name.as_str())));
    if let Some(path) = &args.stores {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::side_input(path, &error))?;
        set(base, &["stores"], json!(text));
    }
    Ok(())
}

/// How pods come by Kerberos tickets; the file that they need.
fn apply_kerberos(base: &mut Value, args: &DescriptionArgs) -> Option<&'static str> {
    let at = |name: &str| json!(format!("FILE:{SECRETS}/{name}"));
    if args.krb5_keytab.is_some() {
        set(base, &["environment", KEYTAB.1], at(KEYTAB.0));
        set(base, &["environment", TICKET.1], json!(TICKETS_OF_KEYTAB));
        return Some(KEYTAB.0);
    }
    args.krb5_cache.as_ref()?;
    set(base, &["environment", TICKET.1], at(TICKET.0));
    // With it, a ticket that ends would be renewed by whoever had the keytab.
    if let Some(environment) = base.get_mut("environment").and_then(Value::as_object_mut) {
        environment.remove(KEYTAB.1);
    }
    Some(TICKET.0)
}

/// Where all pods of the cluster run.
fn apply_places(base: &mut Value, args: &DescriptionArgs) {
    let tolerations = args.toleration.iter().map(|taint| {
        let mut toleration = json!({"key": taint.key, "operator": "Exists"});
        if let Some(value) = &taint.value {
            set(&mut toleration, &["operator"], json!("Equal"));
            set(&mut toleration, &["value"], json!(value));
        }
        if let Some(effect) = &taint.effect {
            set(&mut toleration, &["effect"], json!(effect));
        }
        toleration
    });
    let tolerations: Vec<Value> = tolerations.collect();
    for part in ["scheduler", "executors"] {
        for KeyValue { key, value } in &args.node_selector {
            set(base, &[part, "place", "node_selector", key], json!(value));
        }
        if !tolerations.is_empty() {
            set(base, &[part, "place", "tolerations"], json!(tolerations));
        }
    }
}

fn add_secret_files<'a>(base: &mut Value, names: impl Iterator<Item = &'a str>) {
    let known = base.get("secret_files").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut files = known.clone();
    files.extend(names.map(|name| json!(name)).filter(|name| !known.contains(name)));
    if files != known {
        set(base, &["secret_files"], Value::Array(files));
    }
}

/// The description, if it can be carried out as far as can be said here.
fn finish(mut value: Value, args: &DescriptionArgs) -> Result<ClusterSpec, Failure> {
    remove_nulls(&mut value);
    let spec: Result<ClusterSpec, _> = serde_json::from_value(value);
    let spec = spec.map_err(|error| match &args.file {
        Some(path) => in_file(path, &error),
        None => Failure::usage(error.to_string()),
    })?;
    spec.check().map_err(|error| Failure::usage(error.to_string()))?;
    check_stores(&spec.stores)?;
    Ok(spec)
}

/// What is `null` has its default, but for the user, of whom it says that Kubernetes chooses one.
fn remove_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|key, member| !member.is_null() || key == "user");
        members.values_mut().for_each(remove_nulls);
    }
}

fn check_stores(stores: &str) -> Result<(), Failure> {
    let bad = |what: &dyn std::fmt::Display| Failure::usage(format!("the stores of the cluster: {what}"));
    let table: toml::Table = stores.parse().map_err(|error: toml::de::Error| bad(&error.message()))?;
    if table.get("http").is_some_and(|http| http.get("headers").is_some()) {
        return Err(bad(
            &"http.headers often holds credentials, and whoever may see the cluster may read it; put a token into a file, give it \
              with --secret, and name it as token_file in the section credentials",
        ));
    }
    eos_io::Settings::from_sections(table).map_err(|error| bad(&error))?;
    Ok(())
}

/// What is different: the setting, and what it was and becomes, as JSON.
pub fn differences(before: &ClusterSpec, after: &ClusterSpec) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let [before, after] = [before, after].map(|spec| serde_json::to_value(spec).unwrap_or_default());
    compare("", &before, &after, &mut found);
    found
}

fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<(String, String, String)>) {
    if let (Value::Object(before), Value::Object(after)) = (before, after) {
        let added = after.keys().filter(|key| !before.contains_key(*key));
        for key in before.keys().chain(added) {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let of = |members: &Map<String, Value>| members.get(key).cloned().unwrap_or_default();
            compare(&path, &of(before), &of(after), found);
        }
    } else if before != after {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
        found.push((path.to_string(), shown(before), shown(after)));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use root_kubernetes::Names;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        description: DescriptionArgs,
    }

    fn args(words: &[&str]) -> DescriptionArgs {
        Line::try_parse_from([&["test"], words].concat()).unwrap().description
    }

    fn made(words: &[&str]) -> Result<ClusterSpec, String> {
        new(&args(words), &"muons".parse().unwrap(), "physics").map_err(|failure| failure.to_string())
    }

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    #[test]
    fn an_image_is_enough_and_has_to_be() {
        let spec = made(&["--image", "i:1"]).unwrap();
        assert_eq!((spec.executors.count.as_str(), spec.executors.resources.cores), ("0..4", 2));
        assert_eq!(Names::of(&spec.name).scheduler(), "muons-scheduler");
        assert!(made(&[]).unwrap_err().contains("--image"));
    }

    #[test]
    fn options_go_before_the_file_and_the_file_before_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "image: i:1\nexecutors:\n  count: 1..2\n  resources: {cores: 8}\ntokens: true\nname: other\n";
        let path = file(&folder, "c.yaml", yaml);
        let spec = made(&["-f", &path, "--executors", "3"]).unwrap();
        assert_eq!((spec.executors.count.as_str(), spec.executors.resources.cores, spec.tokens), ("3", 8, true));
        assert_eq!((spec.executors.resources.memory.0.as_str(), spec.name.as_str()), ("4Gi", "muons"));
        let json = file(&folder, "c.json", &serde_json::to_string(&spec).unwrap());
        assert_eq!(made(&["-f", &json]).unwrap(), spec);
    }

    #[test]
    fn mistakes_are_told_with_the_file_that_has_them() {
        let folder = tempfile::tempdir().unwrap();
        for (text, words) in [
            ("imgae: i:1\nimage: i:1", "unknown field `imgae`"),
            ("image: [", "c.yaml"),
            ("- a", "describes no cluster"),
        ] {
            let error = made(&["-f", &file(&folder, "c.yaml", text)]).unwrap_err();
            assert!(error.contains("c.yaml") && error.contains(words), "{error}");
        }
        assert!(made(&["-f", "/no/such"]).unwrap_err().contains("/no/such"));
        assert!(
            made(&["--image", "i", "--executors", "many"]).unwrap_err().contains("'many' is no number of executors")
        );
        assert!(made(&["--image", "i", "--executor-memory", "lots"]).unwrap_err().contains("'lots' is no quantity"));
    }

    #[test]
    fn places_hold_for_all_pods() {
        let words = ["--image", "i", "--node-selector", "pool=batch", "--toleration", "batch=yes:NoSchedule"];
        let spec = made(&words).unwrap();
        for place in [&spec.scheduler.place, &spec.executors.place] {
            assert_eq!(place.node_selector["pool"], "batch");
            let toleration = &place.tolerations[0];
            assert_eq!((toleration.operator.as_deref(), toleration.value.as_deref()), (Some("Equal"), Some("yes")));
        }
    }

    #[test]
    fn files_of_the_secret_are_where_those_are_who_need_them() {
        let folder = tempfile::tempdir().unwrap();
        let [tokens, ticket, proxy] = ["tokens.txt", "cache", "x509up"].map(|name| file(&folder, name, name));
        let args = args(&["--image", "i", "--tokens", &tokens, "--krb5-cache", &ticket, "--secret", &proxy]);
        let spec = new(&args, &"muons".parse().unwrap(), "physics").unwrap();
        let secret = secret(&args).unwrap();
        assert!(spec.tokens && spec.check_secret(&secret).is_ok());
        assert_eq!(spec.environment["KRB5CCNAME"], "FILE:/etc/root-query/secret/krb5cc");
        assert_eq!(spec.secret_files, ["krb5cc", "x509up"].map(str::to_string).into());
        assert_eq!(secret[0].content, b"tokens.txt");
    }

    #[test]
    fn a_keytab_takes_the_place_of_a_ticket_and_a_ticket_that_of_a_keytab() {
        let folder = tempfile::tempdir().unwrap();
        let [ticket, keytab] = ["cache", "service.keytab"].map(|name| file(&folder, name, name));
        let of_keytab = args(&["--image", "i", "--krb5-keytab", &keytab]);
        let before = new(&of_keytab, &"muons".parse().unwrap(), "physics").unwrap();
        assert_eq!(before.environment["KRB5_CLIENT_KTNAME"], "FILE:/etc/root-query/secret/krb5.keytab");
        assert_eq!(before.environment["KRB5CCNAME"], "FILE:/scratch/krb5cc", "where it can be written");
        assert_eq!(before.secret_files, ["krb5.keytab".to_string()].into());
        assert_eq!(secret(&of_keytab).unwrap()[0].content, b"service.keytab");
        let after = changed(&before, &args(&["--krb5-cache", &ticket])).unwrap();
        assert_eq!(after.environment.keys().collect::<Vec<_>>(), ["KRB5CCNAME"]);
        assert_eq!(after.environment["KRB5CCNAME"], "FILE:/etc/root-query/secret/krb5cc");
    }

    #[test]
    fn what_is_not_said_stays_as_it_is_and_what_changes_is_named() {
        let before = made(&["--image", "i:1", "--env", "A=1", "--scratch", "1Gi"]).unwrap();
        assert_eq!(changed(&before, &args(&[])).unwrap(), before);
        let after = changed(&before, &args(&["--image", "i:2", "--env", "B=2"])).unwrap();
        let difference =
            |path: &str, before: &str, after: &str| (path.to_string(), before.to_string(), after.to_string());
        assert_eq!(
            differences(&before, &after),
            [difference("environment.B", "null", "2"), difference("image", "i:1", "i:2")]
        );
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "c.yaml", "executors: {scratch: null}");
        let without = changed(&before, &args(&["-f", &path])).unwrap();
        assert_eq!(without.executors.scratch, None);
    }

    #[test]
    fn stores_that_hold_credentials_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let stores = |text: &str| made(&["--image", "i", "--stores", &file(&folder, "s.toml", text)]);
        assert!(stores("[xrootd]\nconnections = 4\n").is_ok());
        let error = stores("[http.headers]\nAuthorization = \"hidden\"\n").unwrap_err();
        assert!(error.contains("http.headers") && !error.contains("hidden"), "{error}");
        assert!(stores("[xrotd]\n").is_err());
    }
}
