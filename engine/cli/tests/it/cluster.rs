//! `cluster`: clusters on a real control plane of Kubernetes, with a node that runs nothing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Secret};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use kubernetes_testbed::{ControlPlane, DONE, FAILING, FakeNode, MISSING, UNMOUNTABLE, everything};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::support::{Run, command, finish, in_dir, sample};

/// Only guards against a test that never ends.
const HANG: Duration = Duration::from_secs(60);

/// What none of the texts may have.
const HIDDEN: &str = "c2VjcmV0-hidden-0123456789";

async fn plane() -> &'static ControlPlane {
    static NODE: OnceCell<FakeNode> = OnceCell::const_new();
    let plane = ControlPlane::of_this_process().await;
    NODE.get_or_init(|| FakeNode::join(plane, "node-1")).await;
    plane
}

/// An administrator of a namespace of their own.
struct Admin {
    client: Client,
    namespace: String,
    home: TempDir,
}

impl Admin {
    async fn new(prefix: &str) -> Self {
        let plane = plane().await;
        Self { client: plane.client().await, namespace: plane.namespace(prefix).await, home: TempDir::new().unwrap() }
    }

    /// `root-query cluster ...` in the namespace.
    async fn command(&self, words: &[&str]) -> Command {
        let mut command = command(self.home.path());
        command.env("KUBECONFIG", plane().await.kubeconfig());
        command.arg("cluster").args(words).args(["-n", &self.namespace]);
        command
    }

    async fn run(&self, words: &[&str]) -> Run {
        let mut command = self.command(words).await;
        // The fake node and the connections of this process live on other threads, or wait.
        let run = finish(&mut command);
        assert!(!run.text().contains(HIDDEN) && !run.stderr.contains(HIDDEN), "{words:?}: {}", run.stderr);
        run
    }

    async fn json(&self, words: &[&str]) -> Value {
        serde_json::from_slice(&self.run(&[words, &["--format", "json"]].concat()).await.ok().stdout).unwrap()
    }

    /// `root-query cluster submit muons ... -- ...` in the namespace.
    async fn submit(&self, options: &[&str], words: &[&str]) -> Run {
        let mut command = command(self.home.path());
        command.env("KUBECONFIG", plane().await.kubeconfig());
        command.args(["cluster", "submit", "muons", "-n", &self.namespace]).args(options).arg("--").args(words);
        let run = finish(&mut command);
        assert!(!run.text().contains(HIDDEN) && !run.stderr.contains(HIDDEN), "{words:?}: {}", run.stderr);
        run
    }

    /// Changes a job, as its user could.
    async fn change(&self, job: &str, change: Value) {
        let name = format!("muons-{job}-job");
        self.api::<Job>().patch(&name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = in_dir(&self.home, name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Whatever stands in the namespace.
    async fn everything(&self) -> Vec<String> {
        everything(&self.client, &self.namespace).await
    }
}

const IMAGE: [&str; 2] = ["--image", "registry.example/root-query:1"];

/// Words as a list, with an image.
fn create<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["create"], words, &IMAGE].concat()
}

#[tokio::test]
async fn a_cluster_is_made_shown_changed_and_deleted_and_nothing_is_left() {
    let admin = Admin::new("life").await;
    let before = admin.everything().await;
    let tokens = admin.file("tokens", &format!("alice:{HIDDEN}\n"));

    let made = admin.run(&create(&["muons", "--executors", "0..2", "--tokens", &tokens])).await.ok();
    assert!(made.stderr.contains("the cluster muons is ready: root-query --cluster k8s:"), "{}", made.stderr);
    assert!(
        made.stderr.lines().any(|line| line.starts_with("muons-scheduler-") && line.contains("on node-1: running"))
    );
    assert_eq!(made.text(), "", "what is told of it is no data");

    let shown = admin.json(&["get", "muons"]).await;
    assert_eq!((&shown["ready"], &shown["spec"]["executors"]["count"]), (&json!(true), &json!("0..2")));
    assert_eq!(shown["pods"][0]["phase"], "running");
    assert_eq!(shown["pods"][0]["image"], IMAGE[1]);
    let listed = admin.json(&["list"]).await;
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(
        (&listed[0]["name"], &listed[0]["ready"], &listed[0]["executors"]),
        (&json!("muons"), &json!(true), &json!("0..2"))
    );

    let again = admin.run(&create(&["muons", "--executors", "0..2", "--tokens", &tokens])).await.ok();
    assert!(again.stderr.contains("is there already, and is as described"), "{}", again.stderr);

    let scaled = admin.run(&["scale", "muons", "1..3"]).await.ok();
    assert!(
        scaled.stderr.contains("1..3 executors in place of 0..2; the scheduler is started anew"),
        "{}",
        scaled.stderr
    );
    admin.run(&["scale", "muons", "many"]).await.fails(2, &["'many' is no number of executors"]);

    let words = ["upgrade", "muons", "--image", "registry.example/root-query:2"];
    let dry = admin.run(&[&words[..], &["--dry-run"]].concat()).await.ok();
    let changes = "setting,before,after\nimage,registry.example/root-query:1,registry.example/root-query:2\n";
    assert_eq!(dry.text(), changes);
    assert_eq!(admin.json(&["get", "muons"]).await["spec"]["image"], IMAGE[1], "a dry run changes nothing");
    assert_eq!(admin.run(&words).await.ok().text(), changes);
    let shown = admin.json(&["get", "muons"]).await;
    assert_eq!(shown["spec"]["image"], "registry.example/root-query:2");
    assert_eq!((&shown["spec"]["executors"]["count"], &shown["spec"]["tokens"]), (&json!("1..3"), &json!(true)));

    // The node has no kubelet that would have a log.
    admin.run(&["logs", "muons"]).await.fails(1, &["Kubernetes refuses to show the log of muons-scheduler-"]);
    admin.run(&["logs", "muons", "nobody"]).await.fails(3, &["the cluster muons has no pod nobody"]);

    let deleted = admin.run(&["delete", "muons"]).await.ok();
    assert!(deleted.stderr.contains("the cluster muons of the namespace"), "{}", deleted.stderr);
    assert_eq!(admin.everything().await, before);
    assert_eq!(admin.json(&["list"]).await, json!([]));
}

/// Runs a command at a terminal of 120 columns, where somebody types a line when they are asked: its code, and the screen.
const AT_TERMINAL: &str = "
import fcntl, os, pty, struct, sys, termios
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
screen, is_asked = b'', False
while True:
    try:
        read = os.read(terminal, 65536)
    except OSError:
        break
    if not read:
        break
    screen += read
    if b'[y/N]' in screen and not is_asked:
        os.write(terminal, sys.argv[1].encode() + b'\\n')
        is_asked = True
sys.stdout.buffer.write(screen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";

#[tokio::test]
async fn at_a_terminal_pods_are_a_table_and_deleting_is_asked_for() {
    let admin = Admin::new("terminal").await;
    let at_terminal = async |answer: &str, words: &[&str]| {
        let command = admin.command(words).await;
        let mut terminal = Command::new("python3");
        terminal.args(["-c", AT_TERMINAL, answer]).arg(command.get_program()).args(command.get_args());
        terminal.env("KUBECONFIG", plane().await.kubeconfig()).env("HOME", admin.home.path()).env("NO_COLOR", "1");
        finish(terminal.env_remove("ROOT_QUERY_CLUSTER").env("TERM", "xterm")).ok()
    };

    let made = at_terminal("", &create(&["muons"])).await;
    for words in ["POD", "RESTARTS", "muons-scheduler-", "running", "the cluster muons is ready"] {
        assert!(made.text().contains(words), "no '{words}' in: {}", made.text());
    }

    let kept = at_terminal("no", &["delete", "muons"]).await;
    assert!(
        kept.text().contains("with 1 pod? [y/N]") && kept.text().contains("nothing was deleted"),
        "{}",
        kept.text()
    );
    assert_eq!(admin.json(&["list"]).await[0]["name"], "muons");
    let deleted = at_terminal("y", &["delete", "muons"]).await;
    assert!(deleted.text().contains("is deleted"), "{}", deleted.text());
    assert_eq!(admin.json(&["list"]).await, json!([]));
}

#[tokio::test]
async fn files_of_the_secret_are_renewed_one_by_one_and_never_shown() {
    let admin = Admin::new("secret").await;
    let [tokens, ticket] = ["tokens", "ticket"].map(|name| admin.file(name, &format!("{name}:{HIDDEN}\n")));
    let words = create(&["muons", "--tokens", &tokens, "--krb5-cache", &ticket, "--no-wait"]);
    admin.run(&words).await.ok();
    let content = async || {
        let secret = admin.api::<Secret>().get("muons-secret").await.unwrap().data.unwrap();
        secret.into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes.0).unwrap())).collect::<Vec<_>>()
    };
    let pair = |name: &str, text: &str| (name.to_string(), text.to_string());
    let old = format!("tokens:{HIDDEN}\n");
    assert_eq!(content().await, [pair("krb5cc", &format!("ticket:{HIDDEN}\n")), pair("tokens", &old)]);
    let newer = admin.file("newer", &format!("newer {HIDDEN}"));

    let renewed = admin.run(&["upgrade", "muons", "--krb5-cache", &newer, "--no-wait"]).await.ok();

    assert_eq!(renewed.text(), "setting,before,after\nsecret.krb5cc,(hidden),(given)\n");
    assert!(!renewed.stderr.contains("started anew"), "{}", renewed.stderr);
    assert_eq!(content().await, [pair("krb5cc", &format!("newer {HIDDEN}")), pair("tokens", &old)]);
    let dry = admin.run(&[&words[..], &["--dry-run"]].concat()).await.ok();
    assert!(dry.text().contains("(hidden)"), "{}", dry.text());
    admin.run(&["get", "muons", "--format", "json"]).await.ok();
    admin.run(&["delete", "muons", "--yes"]).await.ok();
}

#[tokio::test]
async fn a_dry_run_needs_no_kubernetes_and_what_it_prints_can_be_applied() {
    let admin = Admin::new("dry").await;
    let yaml = "image: registry.example/root-query:1\nexecutors: {count: 1..2}\nenvironment: {A: b}\n";
    let path = admin.file("muons.yaml", yaml);
    let mut nowhere = command(admin.home.path());
    nowhere.env("KUBECONFIG", "/no/such/file").args(["cluster", "create", "muons", "-f", &path, "--dry-run"]);

    let printed = finish(nowhere.args(["-n", &admin.namespace])).ok();

    assert_eq!(printed.stderr, "");
    let documents: Vec<Value> = serde_saphyr::from_multiple(printed.text()).unwrap();
    assert!(documents.len() > 8, "{}", printed.text());
    // The control plane of the tests has only an older version of disruption budgets.
    for document in documents.iter().filter(|document| document["kind"] != "PodDisruptionBudget") {
        let (group, version) = match document["apiVersion"].as_str().unwrap().split_once('/') {
            Some(parts) => parts,
            None => ("", document["apiVersion"].as_str().unwrap()),
        };
        let kind = GroupVersionKind::gvk(group, version, document["kind"].as_str().unwrap());
        let resource = match kind.kind.as_str() {
            "NetworkPolicy" => ApiResource::from_gvk_with_plural(&kind, "networkpolicies"),
            _ => ApiResource::from_gvk(&kind),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(admin.client.clone(), &admin.namespace, &resource);
        let name = document["metadata"]["name"].as_str().unwrap();
        api.patch(name, &PatchParams::apply("test"), &Patch::Apply(document)).await.unwrap();
    }
    assert_eq!(admin.json(&["get", "muons"]).await["spec"]["environment"]["A"], "b");
    admin.run(&["delete", "muons"]).await.ok();
}

#[tokio::test]
async fn why_a_cluster_does_not_start_is_told_in_plain_words() {
    let admin = Admin::new("pending").await;
    let image = format!("{MISSING}root-query:9");
    let words = ["create", "muons", "--image", &image, "--timeout", "4"];
    let expected =
        ["is not ready after 4 s", "the image missing.example/root-query:9 cannot be pulled", "it goes on being made"];
    admin.run(&words).await.fails(1, &expected);

    let listed = admin.json(&["list"]).await;
    assert_eq!((&listed[0]["ready"], &listed[0]["image"]), (&json!(false), &json!(image)));
    let shown = admin.run(&["get", "muons", "--format", "csv"]).await.ok();
    assert!(shown.text().contains("waiting") && shown.text().contains("cannot be pulled"), "{}", shown.text());
    let checked = admin.run(&["check", "muons", "--format", "json"]).await;
    assert_eq!(checked.code, 1, "{}", checked.stderr);
    assert!(
        checked.text().contains("it is not ready") && checked.text().contains("cannot be pulled"),
        "{}",
        checked.text()
    );

    // What only events tell is found as well.
    let image = format!("{UNMOUNTABLE}root-query:9");
    let words = ["upgrade", "muons", "--image", &image, "--timeout", "4"];
    let failed = admin.run(&words).await;
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.contains("MountVolume.SetUp failed"), "{}", failed.stderr);

    let mut away = command(admin.home.path());
    away.env("KUBECONFIG", plane().await.kubeconfig());
    let cluster = format!("k8s:{}/muons", admin.namespace);
    let query = ["--cluster", &cluster, "sql", "-c", "SELECT count(*) FROM t", &sample()];
    finish(away.args(query)).fails(3, &["the cluster muons has no scheduler that runs", "is starting"]);
    admin.run(&["delete", "muons"]).await.ok();
}

#[tokio::test]
async fn ctrl_c_ends_waiting_and_not_the_cluster() {
    let admin = Admin::new("ctrl-c").await;
    let image = format!("{MISSING}root-query:9");
    let mut command = admin.command(&["create", "muons", "--image", &image]).await;
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let since = Instant::now();
    while admin.api::<Pod>().list(&ListParams::default()).await.unwrap().items.is_empty() {
        assert!(since.elapsed() < HANG, "no pod is made");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // It is told that there is a pod a moment after that.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    while child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < HANG, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    for words in ["it goes on being made", "root-query cluster get muons -n", "root-query cluster delete muons -n"] {
        assert!(stderr.contains(words), "no '{words}' in: {stderr}");
    }
    assert_eq!(admin.json(&["list"]).await[0]["name"], "muons");
    admin.run(&["delete", "muons"]).await.ok();
}

#[tokio::test]
async fn whoever_may_not_is_told_what() {
    let admin = Admin::new("forbidden").await;
    let config = plane().await.kubeconfig_of("default", &admin.namespace).await;
    let run = |words: &[&str]| {
        let mut command = command(admin.home.path());
        finish(command.env("KUBECONFIG", &config).arg("cluster").args(words))
    };

    for words in [&["list"][..], &["get", "muons"], &["delete", "muons"], &["scale", "muons", "2"], &create(&["muons"])]
    {
        run(words).fails(4, &["Kubernetes refuses to", "forbidden"]);
    }
    run(&["list", "-A"]).fails(4, &["name one namespace with -n"]);

    let checked = run(&["check", "--format", "json"]);
    assert_eq!(checked.code, 4, "{}", checked.stderr);
    let findings: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let of = |what: &str| findings.as_array().unwrap().iter().find(|finding| finding["check"] == what).unwrap().clone();
    assert_eq!(of("kubernetes")["result"], "ok");
    assert_eq!(of("make clusters")["result"], "not allowed");
    assert!(of("make clusters")["detail"].as_str().unwrap().contains("patch deployments"), "{findings}");
    assert!(of("connect")["detail"].as_str().unwrap().contains("create pods/portforward"), "{findings}");
}

#[tokio::test]
async fn a_namespace_that_has_too_small_a_quota_is_found_out_before() {
    let admin = Admin::new("quota").await;
    admin.run(&["check"]).await.ok();
    let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": {"pods": "1"}}});
    admin.api::<ResourceQuota>().create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    let since = Instant::now();
    let checked = loop {
        let checked = admin.run(&["check"]).await;
        if checked.code != 0 {
            break checked;
        }
        assert!(since.elapsed() < HANG, "{}", checked.text());
    };
    assert_eq!(checked.code, 1, "{}", checked.stderr);
    assert!(checked.text().contains("of pods 0 of 1 are used (small)"), "{}", checked.text());
    assert!(checked.text().contains("for no executor"), "{}", checked.text());
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_helps() {
    let admin = Admin::new("missing").await;
    for words in [&["get", "muons"][..], &["scale", "muons", "2"], &["upgrade", "muons"], &["delete", "muons"]] {
        admin.run(words).await.fails(3, &["there is no cluster muons in the namespace", "root-query cluster list"]);
    }
    for (namespace, code, words) in
        [("nowhere", 3, "in the namespace nowhere"), ("a/../b", 2, "is no name of a namespace")]
    {
        let mut elsewhere = command(admin.home.path());
        elsewhere.env("KUBECONFIG", plane().await.kubeconfig());
        finish(elsewhere.args(["cluster", "get", "muons", "-n", namespace])).fails(code, &[words]);
    }
    admin.run(&["get", "Muons"]).await.fails(2, &["is no name of a cluster"]);
    admin.run(&["create", "muons"]).await.fails(2, &["--image"]);
    admin.run(&["create", "muons", "-f", "/no/such.yaml"]).await.fails(2, &["/no/such.yaml"]);
    admin.run(&create(&["muons", "--tokens", "/no/such/tokens"])).await.fails(2, &["/no/such/tokens"]);
    let mut elsewhere = admin.command(&["list", "--context", "nowhere"]).await;
    finish(&mut elsewhere).fails(2, &["no Kubernetes is configured", "nowhere"]);
    let named = ["--cluster", "k8s:muons", "sql", "-c", "SELECT count(*) FROM t", &sample()];
    let mut query = command(admin.home.path());
    query.env("KUBECONFIG", plane().await.kubeconfig());
    finish(query.args(named)).fails(3, &["there is no cluster muons in the namespace default"]);
    let mut query = command(admin.home.path());
    finish(query.args(["--cluster", "k8s:a/b/c", "sql", "-c", "SELECT 1"])).fails(2, &["NAMESPACE/NAME"]);
    let mut query = command(admin.home.path());
    finish(query.args(["--cluster", "k8s:", "sql", "-c", "SELECT 1"])).fails(2, &["is no name of a cluster"]);
}

#[test]
fn without_kubernetes_it_is_said_what_is_missing() {
    let home = TempDir::new().unwrap();
    let run = |config: &Path| finish(command(home.path()).env("KUBECONFIG", config).args(["cluster", "list"]));
    run(Path::new("/no/such/kubeconfig")).fails(2, &["no Kubernetes is configured", "/no/such/kubeconfig"]);

    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {}}], "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]});
    let path = home.path().join("config");
    std::fs::write(&path, config.to_string()).unwrap();
    run(&path).fails(1, &["Kubernetes does not answer"]);
}

#[tokio::test]
async fn a_cluster_that_asks_for_a_token_is_not_tried_without() {
    let admin = Admin::new("token").await;
    let tokens = admin.file("tokens", &format!("alice:{HIDDEN}\n"));
    admin.run(&create(&["muons", "--tokens", &tokens])).await.ok();
    let cluster = format!("k8s:{}/muons", admin.namespace);
    let query = ["--cluster", &cluster, "sql", "-c", "SELECT count(*) FROM t", &sample()];
    let connect = async |more: &[&str]| {
        let mut command = command(admin.home.path());
        finish(command.env("KUBECONFIG", plane().await.kubeconfig()).args(query).args(more))
    };

    connect(&[]).await.fails(4, &["asks for a token", "--cluster-token-file"]);

    // The node has no kubelet that would lead to the pod.
    let token = admin.file("token", HIDDEN);
    let lost = connect(&["--cluster-token-file", &token])
        .await
        .fails(1, &["warning: ", "muons-scheduler-", "cannot be reached"]);
    assert!(!lost.stderr.contains(HIDDEN) && !lost.stderr.contains("panicked"), "{}", lost.stderr);
    admin.run(&["delete", "muons"]).await.ok();
}

const FILE: &str = "root://eos.example//d/x.root:Events";

#[tokio::test]
async fn a_job_is_submitted_followed_and_removed() {
    let admin = Admin::new("submit").await;
    let image = format!("{DONE}root-query:1");
    // The scheduler is one that ends as well, which is no matter of the job.
    admin.run(&["create", "muons", "--image", &image, "--no-wait"]).await.ok();

    let submitted = admin.submit(&["--job-name", "first"], &["count", FILE]).await.ok();
    assert_eq!(submitted.text(), "first\n");
    for words in ["root-query cluster wait muons -n", "--job first -f"] {
        assert!(submitted.stderr.contains(words), "no '{words}' in: {}", submitted.stderr);
    }
    let waited = admin.run(&["wait", "muons", "first"]).await.ok();
    assert!(waited.stderr.contains("first: done") && waited.text().is_empty(), "{}", waited.stderr);
    let shown = admin.json(&["status", "muons", "first"]).await;
    assert_eq!((&shown[0]["state"], &shown[0]["exit"], &shown[0]["failures"]), (&json!("done"), &json!(0), &json!(0)));
    let second = admin.submit(&["--wait"], &["sql", "-c", "SELECT 1 AS a", FILE]).await.ok();
    assert!(second.text().starts_with("sql-") && second.text().trim_end().len() == 9, "{}", second.text());
    let listed = admin.json(&["jobs", "muons"]).await;
    let commands: Vec<&Value> = listed.as_array().unwrap().iter().map(|job| &job["command"]).collect();
    assert_eq!(commands, [&json!(format!("count {FILE}")), &json!(format!("sql -c 'SELECT 1 AS a' {FILE}"))]);

    // The node has no kubelet that would have a log; the scheduler would have kept its end.
    admin.run(&["logs", "muons", "--job", "first"]).await.fails(1, &["refuses to show the log of muons-first-job-"]);
    admin.change("first", json!({"metadata": {"annotations": {"root-query.io/log": "one\ntwo\n"}}})).await;
    let pod = shown[0]["pod"].as_str().unwrap();
    admin.api::<Pod>().delete(pod, &DeleteParams::default().grace_period(0)).await.unwrap();
    let log = admin.run(&["logs", "muons", "--job", "first", "--tail", "1"]).await.ok();
    assert_eq!(log.text(), "two\n");
    assert!(log.stderr.contains("no pod of the job first is left; this is what was kept of its log"), "{}", log.stderr);

    let removed = admin.run(&["cancel", "muons", "first"]).await.ok();
    assert!(
        removed.stderr.contains("the job first of the cluster muons is removed; it was done"),
        "{}",
        removed.stderr
    );
    admin.run(&["status", "muons", "first"]).await.fails(3, &["the cluster muons has no job first"]);
    admin.run(&["delete", "muons"]).await.ok();
}

#[tokio::test]
async fn waiting_for_a_job_ends_as_the_job_did() {
    let admin = Admin::new("codes").await;
    let image = format!("{FAILING}root-query:1");
    admin.run(&["create", "muons", "--image", &image, "--no-wait"]).await.ok();
    admin.submit(&["--job-name", "bad"], &["count", FILE]).await.ok();
    // Kubernetes takes its time to try it again.
    admin.change("bad", json!({"spec": {"backoffLimit": 0}})).await;
    let words = ["the job bad is failed: exit status 3", "root-query cluster logs muons -n", "--job bad"];
    admin.run(&["wait", "muons", "bad"]).await.fails(3, &words);
    let shown = admin.json(&["status", "muons", "bad"]).await;
    assert_eq!((&shown[0]["state"], &shown[0]["exit"]), (&json!("failed"), &json!(3)));
    assert_eq!(shown[0]["reason"], "exit status 3");

    let image = format!("{MISSING}root-query:1");
    admin.run(&["upgrade", "muons", "--image", &image, "--no-wait"]).await.ok();
    admin.submit(&["--job-name", "waits"], &["count", FILE]).await.ok();
    admin
        .run(&["wait", "muons", "waits", "--timeout", "5"])
        .await
        .fails(1, &["is not over after 5 s", "cannot be pulled"]);
    let again = admin.submit(&["--job-name", "waits"], &["count", FILE]).await;
    again.fails(2, &["there is a job waits in the namespace"]);
    let cancelled = admin.run(&["cancel", "muons", "waits"]).await.ok();
    assert!(cancelled.stderr.contains("is cancelled"), "{}", cancelled.stderr);
    let late = admin.submit(&["--timeout", "1", "--wait", "--job-name", "late"], &["count", FILE]).await;
    assert_eq!((late.code, late.text()), (1, "late\n"), "{}", late.stderr);
    for words in ["the cluster muons is not ready", "the job late is failed: it took longer than it may"] {
        assert!(late.stderr.contains(words), "no '{words}' in: {}", late.stderr);
    }
    admin.run(&["delete", "muons"]).await.ok();
}

#[tokio::test]
async fn a_job_has_the_token_of_its_user_and_shows_it_nowhere() {
    let admin = Admin::new("job-token").await;
    let tokens = admin.file("tokens", &format!("alice:{HIDDEN}\n"));
    admin.run(&create(&["muons", "--tokens", &tokens, "--no-wait"])).await.ok();
    admin.submit(&["--job-name", "skim"], &["count", FILE]).await.fails(4, &["asks for a token"]);
    let token = admin.file("token", HIDDEN);
    let with_token = ["--job-name", "skim", "--cluster-token-file", &token];

    let dry = admin.submit(&[&with_token[..], &["--dry-run"]].concat(), &["count", FILE]).await.ok();
    let printed: Vec<Value> = serde_saphyr::from_multiple(dry.text()).unwrap();
    assert_eq!((&printed[0]["kind"], &printed[0]["data"]["token"]), (&json!("Secret"), &json!("(hidden)")));
    assert_eq!((&printed[1]["kind"], &printed[1]["metadata"]["name"]), (&json!("Job"), &json!("muons-skim-job")));
    assert_eq!(admin.json(&["jobs", "muons"]).await, json!([]), "a dry run makes nothing");

    admin.submit(&with_token, &["count", FILE]).await.ok();
    let job = admin.api::<Job>().get("muons-skim-job").await.unwrap();
    assert!(!serde_json::to_string(&job).unwrap().contains(HIDDEN));
    let secret = admin.api::<Secret>().get("muons-skim-job-secret").await.unwrap().data.unwrap();
    assert_eq!(secret["token"].0, HIDDEN.as_bytes());
    admin.run(&["delete", "muons"]).await.ok();
    let left = admin.everything().await;
    assert!(!left.iter().any(|what| what.contains("muons")), "{left:?}");
}

#[tokio::test]
async fn what_cannot_run_in_a_pod_is_refused_before() {
    let admin = Admin::new("unfit").await;
    admin.submit(&[], &["count", FILE]).await.fails(3, &["there is no cluster muons in the namespace"]);
    admin.run(&["jobs", "muons"]).await.fails(3, &["there is no cluster muons in the namespace"]);
    admin.run(&create(&["muons", "--no-wait"])).await.ok();
    for (options, words, told) in [
        (&[][..], &["skim", FILE, "-o", "y.root"][..], "-o y.root: what is written in the pod goes with it"),
        (&[], &["count", FILE, "--cluster", "local:2"], "--cluster has no place behind --"),
        (&[], &["cuont", FILE], "behind --: "),
        (&["--job-memory", "much"], &["count", FILE], "'much' is no quantity"),
        (&["--job-cores", "0"], &["count", FILE], "the job has no cores"),
        (&["--job-name", "A"], &["count", FILE], "is no name of a job"),
        (&["--timeout", "0"], &["count", FILE], "--timeout"),
    ] {
        admin.submit(options, words).await.fails(2, &[told]);
    }
    let warned = admin.submit(&["--dry-run"], &["count", "run1.root"]).await.ok();
    assert!(warned.stderr.contains("run1.root is no URL"), "{}", warned.stderr);
    assert_eq!(admin.json(&["jobs", "muons"]).await, json!([]));
    for words in [&["status", "muons", "none"][..], &["wait", "muons", "none"], &["cancel", "muons", "none"]] {
        admin.run(words).await.fails(3, &["the cluster muons has no job none", "root-query cluster jobs muons"]);
    }
    admin.run(&["delete", "muons"]).await.ok();
}
