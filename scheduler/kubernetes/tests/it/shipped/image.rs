//! The image of `deploy/Dockerfile`, which cannot be built where these tests run: that it is made of what there is, and has what
//! pods need.

use std::path::PathBuf;

use root_kubernetes::{ClusterSpec, executor_pod, objects};
use serde_json::{Value, json};

use super::deploy;

fn top() -> PathBuf {
    deploy("..")
}

fn dockerfile() -> String {
    std::fs::read_to_string(deploy("Dockerfile")).unwrap()
}

/// Its instructions, each in one line.
fn instructions() -> Vec<String> {
    let lines: Vec<String> = dockerfile().lines().filter(|line| !line.starts_with('#')).map(str::to_string).collect();
    lines.join("\n").replace("\\\n", " ").lines().map(|line| line.trim().to_string()).collect()
}

/// What stands behind each of an option.
fn behind(text: &str, option: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1].to_string()).collect()
}

/// The programs that are copied into it.
fn programs() -> Vec<String> {
    let copied = instructions().into_iter().find(|line| line.starts_with("COPY --from=build /programs/")).unwrap();
    let words = copied.split_whitespace().filter_map(|word| word.strip_prefix("/programs/"));
    words.map(str::to_string).collect()
}

fn spec() -> ClusterSpec {
    let text = json!({"name": "muons", "namespace": "physics", "image": "registry.example/root-query:1",
        "executors": {"count": "1", "resources": {"cores": 1, "memory": "1Gi"}}});
    serde_json::from_value(text).unwrap()
}

#[test]
fn its_programs_are_packages_of_the_workspace_that_it_builds() {
    let built = instructions().join("\n");
    let packages = behind(&built, "--package");
    for package in &packages {
        let name = format!("name = \"{package}\"");
        let is_it = |member: &&str| {
            let manifest = std::fs::read_to_string(top().join(member).join("Cargo.toml")).unwrap();
            manifest.lines().any(|line| line == name) && top().join(member).join("src/main.rs").is_file()
        };
        let workspace = std::fs::read_to_string(top().join("Cargo.toml")).unwrap();
        let members: Vec<&str> =
            workspace.lines().filter_map(|line| line.strip_prefix("    \"")?.strip_suffix("\",")).collect();
        assert!(
            members.iter().any(|member| top().join(member).is_dir() && is_it(member)),
            "there is no program {package}"
        );
    }
    assert_eq!(programs(), packages, "what is built is copied");
}

#[test]
fn its_compiler_is_one_that_the_workspace_takes() {
    let workspace = std::fs::read_to_string(top().join("Cargo.toml")).unwrap();
    let least = workspace.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"')).unwrap();
    let image = format!("rust:{least}.");
    assert!(dockerfile().contains(&image), "deploy/Dockerfile does not build with Rust {least}");
}

#[test]
fn what_it_takes_of_the_checkout_is_there() {
    let text = instructions().join("\n");
    let bound = text.split("--mount=type=bind,source=").skip(1).map(|rest| rest.split(',').next().unwrap());
    let bound: Vec<&str> = bound.collect();
    assert!(!bound.is_empty());
    for path in bound {
        assert!(top().join(path).is_file(), "{path}");
    }
}

#[test]
fn pods_find_their_programs_and_their_user_in_it() {
    let spec = spec();
    let deployment =
        objects(&spec, None).unwrap().into_iter().find(|object| object.kind == "Deployment").unwrap().value;
    let executor = serde_json::to_value(executor_pod(&spec, "muons-executor-abcde", 0, None)).unwrap();
    for pod in [&deployment["spec"]["template"]["spec"], &executor["spec"]] {
        let program = pod["containers"][0]["command"][0].as_str().unwrap();
        assert!(programs().iter().any(|copied| copied == program), "{program}");
        let user = &pod["securityContext"]["runAsUser"];
        assert_ne!(*user, Value::Null);
        assert!(instructions().contains(&format!("USER {user}:{user}")), "{user}");
    }
}
