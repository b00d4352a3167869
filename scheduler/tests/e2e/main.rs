//! A cluster on a real Kubernetes, from its first command to its last, as its user sees it: made, used from outside, and used
//! while all that can die does. Every answer has to be right, and nothing may be left at the end. `make e2e-k8s` runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod sandbox;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sandbox::{FILES, IMAGE, Sandbox, checked, eventually};
use serde_json::{Value, json};

const NAMESPACE: &str = "physics";
const CLUSTER: &str = "k8s:physics/muons";
/// Executors that there may be.
const MOST: usize = 3;
/// How long a command takes at most until its query runs.
const BEGIN: Duration = Duration::from_secs(5);
/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(60);
/// How long a query may take, whatever dies.
const PATIENCE: Duration = Duration::from_secs(300);
/// Parts of a long query, and events in each.
const PARTS: u64 = MOST as u64 + 1;
const LIMIT: u64 = 100;
/// Events of the file.
const EVENTS: u64 = 1000;

/// What a cluster in a small sandbox is like: its node has as many processors as the machine, and others need them too.
fn description() -> Value {
    json!({
        "name": "muons", "namespace": NAMESPACE, "image": IMAGE, "pull_policy": "Never",
        "scheduler": {"resources": {"cores": 1, "cpu": "100m", "memory": "1Gi"}},
        "executors": {
            "count": format!("0..{MOST}"), "idle_seconds": 20, "most_memory": "2Gi",
            "resources": {"cores": 1, "cpu": "100m", "memory": "448Mi"},
            // They believe to have more than they have, so that a query can have them run out of it.
            "arguments": ["--memory", "4000000000"]
        },
        "storage_ports": [1094]
    })
}

struct World {
    sandbox: Sandbox,
}

impl World {
    fn root_query(&self, arguments: &[&str]) -> Command {
        self.sandbox.root_query(arguments)
    }

    /// The pods of a part of the cluster that were not told to end: name and phase.
    fn pods(&self, component: &str) -> Vec<(String, String)> {
        let selector = format!("app.kubernetes.io/component={component}");
        let Some(found) = self.sandbox.ask(&["get", "pods", "-n", NAMESPACE, "-l", &selector]) else {
            return Vec::new();
        };
        let living =
            found["items"].as_array().unwrap().iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        living.map(|pod| (text(&pod["metadata"]["name"]), text(&pod["status"]["phase"]))).collect()
    }

    fn running(&self, component: &str) -> Vec<String> {
        self.pods(component).into_iter().filter(|(_, phase)| phase == "Running").map(|(name, _)| name).collect()
    }

    /// Waits for so many executors that run, and says how long it took.
    fn executors(&self, count: usize) -> Duration {
        let since = Instant::now();
        eventually(&format!("{count} executors run"), || match self.running("executor") {
            running if running.len() == count => Ok(()),
            _ => Err(format!("{:?}", self.pods("executor"))),
        });
        since.elapsed()
    }

    fn delete(&self, pods: &[String]) {
        let mut line = vec!["delete", "pod", "-n", NAMESPACE, "--grace-period=0", "--force"];
        line.extend(pods.iter().map(String::as_str));
        self.sandbox.kubectl(&line);
    }

    /// A query of a task for each executor and one more, whose time grows with a number: every event with every other, and that
    /// with some hundreds, so many times.
    fn pairs(&self, times: u64) -> Asked<'_> {
        let file = format!("'{FILES}/events.root:Events'");
        let part = |number: u64| {
            format!(
                "SELECT count(*) AS n FROM {file} a CROSS JOIN {file} b \
                 CROSS JOIN (SELECT \"MET_pt\" FROM {file} LIMIT {LIMIT} OFFSET {}) c \
                 CROSS JOIN (SELECT \"MET_pt\" FROM {file} LIMIT {times}) d \
                 WHERE a.\"MET_pt\" + b.\"MET_pt\" + c.\"MET_pt\" + d.\"MET_pt\" >= 0",
                number * LIMIT
            )
        };
        let parts: Vec<String> = (0..PARTS).map(part).collect();
        let sql = format!("SELECT CAST(sum(n) AS BIGINT) AS n FROM ({})", parts.join(" UNION ALL "));
        Asked::new(self, sql, (PARTS * LIMIT * times * EVENTS * EVENTS).to_string())
    }

    /// A long query that runs on all executors there may be. Those of a query before may be there still, so that it gets time to
    /// connect.
    fn under_way(&self) -> Asked<'_> {
        let query = self.pairs(3);
        std::thread::sleep(BEGIN);
        self.executors(MOST);
        query
    }

    fn events(&self) -> Asked<'_> {
        let sql = format!("SELECT count(*) AS n FROM '{FILES}/events.root:Events' WHERE \"MET_pt\" >= 0");
        Asked::new(self, sql, EVENTS.to_string())
    }
}

/// A query that runs.
struct Asked<'a> {
    world: &'a World,
    sql: String,
    /// The one right answer.
    expected: String,
    child: Child,
}

impl<'a> Asked<'a> {
    fn new(world: &'a World, sql: String, expected: String) -> Self {
        let child = ask(world, &sql);
        Self { world, sql, expected, child }
    }

    fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// That the answer is right: the first one, or, where that was an error, the next. Says how often it was asked.
    fn answered(mut self) -> usize {
        for attempt in 1..=3 {
            let since = Instant::now();
            while !self.is_over() {
                assert!(since.elapsed() < PATIENCE, "no answer to {}", self.sql);
                std::thread::sleep(Duration::from_millis(100));
            }
            let next = ask_nothing();
            let output = std::mem::replace(&mut self.child, next).wait_with_output().unwrap();
            if output.status.success() {
                let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
                assert_eq!(answer[0]["n"].to_string(), self.expected, "{}", self.sql);
                return attempt;
            }
            println!("    attempt {attempt}: {}", String::from_utf8_lossy(&output.stderr).trim());
            self.child = ask(self.world, &self.sql);
        }
        panic!("there is no answer to {}", self.sql);
    }
}

fn ask(world: &World, sql: &str) -> Child {
    let mut command = world.root_query(&["--cluster", CLUSTER, "sql", "--format", "json", "-c", sql]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ask_nothing() -> Child {
    Command::new("true").spawn().unwrap()
}

fn step(what: &str) {
    println!("- {what}");
}

fn main() {
    let programs = Path::new(env!("CARGO_BIN_EXE_root-scheduler")).parent().unwrap();
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data/Run2012B_SingleMu_1000.root");
    step("a Kubernetes with a real kubelet");
    let world = World { sandbox: Sandbox::start(programs, &events) };
    let before = everything(&world);
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("cluster.json");
    std::fs::write(&file, description().to_string()).unwrap();

    step("create, and the first query from outside");
    let since = Instant::now();
    checked(&mut world.root_query(&["cluster", "create", "muons", "-f", &file.display().to_string()]));
    let created = since.elapsed();
    assert_eq!(world.pods("executor"), []);
    let asked = world.events().answered();
    println!(
        "    ready after {:.1} s, the first answer after {:.1} s",
        created.as_secs_f64(),
        since.elapsed().as_secs_f64()
    );
    assert_eq!(asked, 1);
    confined(&world);
    checked(&mut world.root_query(&["cluster", "create", "muons", "-f", &file.display().to_string()]));

    step("jobs that nobody waits for");
    submissions(&world);

    step("up under load, and an executor that is killed");
    world.executors(0);
    let since = Instant::now();
    let query = world.pairs(4);
    world.executors(MOST);
    println!("    0 to {MOST} executors in {:.1} s", since.elapsed().as_secs_f64());
    world.delete(&world.running("executor")[..1]);
    std::thread::sleep(Duration::from_secs(1));
    println!("    {MOST} again after {:.1} s", world.executors(MOST).as_secs_f64() + 1.0);
    println!("    asked {} times", query.answered());

    step("executors that run out of memory");
    out_of_memory(&world);

    step("all executors deleted at once");
    let query = world.under_way();
    world.delete(&world.running("executor"));
    println!("    asked {} times", query.answered());

    step("the scheduler deleted");
    let query = world.under_way();
    let executors = world.running("executor");
    world.delete(&world.running("scheduler"));
    println!("    asked {} times", query.answered());
    let kept = world.running("executor").iter().filter(|name| executors.contains(name)).count();
    println!("    of {MOST} executors {kept} went on with the next scheduler");

    step("the API server away for a minute");
    let query = world.under_way();
    world.sandbox.daemon("stop", "api-server");
    std::thread::sleep(OUTAGE);
    world.sandbox.daemon("start", "api-server");
    println!("    asked {} times", query.answered());
    assert_eq!(world.running("scheduler").len(), 1);

    step("down to nothing");
    println!("    after {:.1} s", world.executors(0).as_secs_f64());

    step("delete");
    checked(&mut world.root_query(&["cluster", "delete", "muons", "-n", NAMESPACE, "--yes"]));
    assert_eq!(everything(&world), before, "something is left");
    println!("- all is well");
}

/// A query that needs more memory than executors have is right once they have more, and so is another one that runs beside it.
fn out_of_memory(world: &World) {
    let file = format!("'{FILES}/events.root:Events'");
    let text = |column: &str| format!("CAST({column} AS VARCHAR)");
    let (a, b) = (text("a.\"MET_pt\""), text("b.\"MET_phi\""));
    // A million texts of more than 1000 bytes, of which nearly all differ, in three tasks: more than executors have, and less
    // than what they may be given.
    let sql = format!(
        "SELECT CAST(sum(n) AS BIGINT) AS n FROM (SELECT count(*) AS n FROM (\
         SELECT repeat('x', 1000) || {a} || {b} AS x FROM {file} a CROSS JOIN {file} b) GROUP BY x)"
    );
    let (greedy, other) = (Asked::new(world, sql, (EVENTS * EVENTS).to_string()), world.events());
    println!("    the other query: asked {} times", other.answered());
    println!("    the greedy one: asked {} times", greedy.answered());
    let log = world.sandbox.kubectl(&["logs", "-n", NAMESPACE, "deployment/muons-scheduler"]);
    let ends = log.lines().filter(|line| line.contains("the executor ran out of memory")).count();
    let more = log.lines().filter(|line| line.contains("\"memory_step\":1")).count();
    println!("    {ends} executors ran out of memory, {more} were given more");
    assert!(ends > 0, "nobody ran out of memory");
    assert!(ends < 2 || more > 0, "nobody was given more");
    assert_eq!(world.events().answered(), 1);
}

/// Jobs run in the cluster by themselves, and what they said is there when their pods are gone.
fn submissions(world: &World) {
    let of = |verb: &str, more: &[&str]| {
        let mut command = world.root_query(&["cluster", verb, "muons", "-n", NAMESPACE]);
        command.args(more);
        command
    };
    let sql = format!("SELECT count(*) AS events FROM '{FILES}/events.root:Events' WHERE \"MET_pt\" >= 0");
    let submit = |name: &str, more: &[&str], words: &[&str]| {
        let options = [&["--job-name", name, "--job-memory", "512Mi"], more, &["--"], words].concat();
        of("submit", &options)
    };
    let since = Instant::now();
    checked(&mut submit("counts", &["--wait"], &["sql", "--format", "json", "-c", &sql]));
    println!("    the answer of a job after {:.1} s", since.elapsed().as_secs_f64());
    confined(world);
    let log = |job: &str| checked(&mut of("logs", &["--job", job]));
    let answer = format!("\"events\":{EVENTS}");
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).replace([' ', '\n'], "");
    assert!(said(&log("counts")).contains(&answer), "{}", said(&log("counts")));

    eventually("the log is kept", || {
        let job = world.sandbox.ask(&["get", "job", "-n", NAMESPACE, "muons-counts-job"]).unwrap_or_default();
        match job["metadata"]["annotations"]["root-query.io/log"].is_string() {
            true => Ok(()),
            false => Err(job["metadata"].to_string()),
        }
    });
    world.delete(&world.pods("job").into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    let kept = log("counts");
    assert!(said(&kept).contains(&answer), "{}", said(&kept));
    let note = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert!(note.contains("no pod of the job counts is left"), "{note}");

    checked(&mut submit("fails", &[], &["count", &format!("{FILES}/missing.root:Events")]));
    let once = r#"{"spec": {"backoffLimit": 0}}"#;
    world.sandbox.kubectl(&["patch", "job", "-n", NAMESPACE, "muons-fails-job", "--type=merge", "-p", once]);
    let failed = of("wait", &["fails"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(3), "{}", String::from_utf8_lossy(&failed.stderr));

    let file = format!("'{FILES}/events.root:Events'");
    let pairs = format!(
        "SELECT count(*) FROM {file} a CROSS JOIN {file} b CROSS JOIN {file} c \
                         WHERE a.\"MET_pt\" + b.\"MET_pt\" + c.\"MET_pt\" >= 0"
    );
    checked(&mut submit("runs", &[], &["sql", "-c", &pairs]));
    eventually("the job runs", || match world.running("job").as_slice() {
        [_] => Ok(()),
        other => Err(format!("{other:?}")),
    });
    checked(&mut of("cancel", &["runs"]));
    assert_eq!(world.running("job"), Vec::<String>::new());
    let listed = checked(&mut of("jobs", &["--format", "json"]));
    let jobs: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let names: Vec<&str> = jobs.as_array().unwrap().iter().map(|job| job["job"].as_str().unwrap()).collect();
    assert_eq!(names, ["counts", "fails"]);
}

/// That pods may no more than they have to.
fn confined(world: &World) {
    let found = world.sandbox.ask(&["get", "pods", "-n", NAMESPACE]).unwrap();
    let pods = found["items"].as_array().unwrap();
    assert!(pods.len() >= 2, "{pods:?}");
    for pod in pods {
        let (of_pod, of_container) =
            (&pod["spec"]["securityContext"], &pod["spec"]["containers"][0]["securityContext"]);
        assert_eq!(of_pod["runAsNonRoot"], true);
        assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(of_container["readOnlyRootFilesystem"], true);
        assert_eq!(of_container["allowPrivilegeEscalation"], false);
        assert_eq!(of_container["capabilities"]["drop"], json!(["ALL"]));
    }
}

/// Everything that there is, but for what Kubernetes makes and forgets by itself.
fn everything(world: &World) -> Vec<String> {
    let kinds = "namespaces,deployments,replicasets,pods,services,configmaps,secrets,serviceaccounts,roles,rolebindings,\
                 clusterroles,clusterrolebindings,networkpolicies,poddisruptionbudgets,jobs,persistentvolumeclaims";
    let listed = world.sandbox.kubectl(&["get", kinds, "-A", "-o", "name"]);
    let mut all: Vec<String> = listed.lines().map(str::to_string).collect();
    all.sort();
    all
}
