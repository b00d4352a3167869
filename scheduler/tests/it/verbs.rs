//! The command on a cluster: every verb answers as it does in one process.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use eos_testbed::{TokenIssuer, Variables, Xrootd};
use root_cluster::LocalCluster;

use crate::support::{SAMPLE, cluster, programs, session};

/// Runs the command, with settings of nobody else.
fn root_query(home: &Path, env: &Variables, args: &[&str]) -> Output {
    let program = programs().join("root-query");
    assert!(program.exists(), "build the command first: cargo build -p root-query");
    let mut command = Command::new(program);
    command.args(args).envs(env.iter().cloned()).env("HOME", home).env_remove("XDG_CONFIG_HOME").current_dir(home);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

fn url(cluster: &LocalCluster) -> String {
    cluster.cluster().name()
}

/// The files in a directory, hidden ones included.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

const CUTS: &str = "cuts:\n- two muons: nMuon = 2\n- opposite charge: Muon_charge[1] <> Muon_charge[2]\n";

#[tokio::test(flavor = "multi_thread")]
async fn verbs_say_on_a_cluster_what_they_say_in_one_process() {
    let cluster = cluster(2).await;
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("cuts.yaml"), CUTS).unwrap();
    let sql = "SELECT nMuon, count(*), hist_json(hist(MET_pt, 10, 0, 100)) FROM t GROUP BY nMuon ORDER BY nMuon";
    for args in [
        &["sql", "-c", sql, SAMPLE][..],
        &["sql", "-c", "SELECT MET_pt, Muon_pt FROM t WHERE nMuon > 2", SAMPLE],
        &["count", SAMPLE],
        &["head", SAMPLE, "-n", "7"],
        &["hist", SAMPLE, "MET_pt[20,0,200]", "Muon_pt[10,0,100]", "--where", "nMuon = 2", "--format", "json"],
        &["cutflow", "-f", "cuts.yaml", SAMPLE, "--format", "json"],
        &["diff", SAMPLE, SAMPLE],
        &["schema", SAMPLE],
        &["ls", SAMPLE],
        &["stats", SAMPLE],
        &["check", SAMPLE],
    ] {
        let here = root_query(home.path(), &Variables::new(), args);
        let there = root_query(home.path(), &Variables::new(), &[args, &["--cluster", &url(&cluster)]].concat());
        assert_eq!(text(&there), text(&here), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skim_on_a_cluster_writes_the_same_tree() {
    let cluster = cluster(2).await;
    let home = tempfile::tempdir().unwrap();
    let skim = ["skim", SAMPLE, "--where", "nMuon = 2", "--columns", "Muon_pt,MET_pt,nMuon"];
    text(&root_query(home.path(), &Variables::new(), &[&skim[..], &["-o", "here.root"]].concat()));
    let url = url(&cluster);
    let there = [&skim[..], &["-o", "there.root", "--cluster", &url]].concat();
    text(&root_query(home.path(), &Variables::new(), &there));
    text(&root_query(home.path(), &Variables::new(), &["diff", "here.root", "there.root"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_skim_on_a_cluster_is_written_by_its_executors() {
    let cluster = cluster(2).await;
    let server = Xrootd::standalone().start();
    server
        .volume()
        .write("/d/1.root", std::fs::read(SAMPLE).unwrap())
        .write("/d/2.root", std::fs::read(SAMPLE).unwrap());
    let home = tempfile::tempdir().unwrap();
    let (from, to) = (server.url("/d/*.root:Events"), server.url("/skim"));
    let skim = ["skim", &from, "--where", "nMuon = 2", "--columns", "Muon_pt,MET_pt,nMuon"];
    text(&root_query(home.path(), &Variables::new(), &[&skim[..], &["-o", "here.root"]].concat()));
    let url = url(&cluster);
    let cluster = ["--cluster", &url];
    text(&root_query(home.path(), &Variables::new(), &[&skim[..], &["--partitioned", "-o", &to], &cluster].concat()));
    let names = names(&server.volume().path("/skim"));
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("part-")), "{names:?}");
    let parts = server.url("/skim/*.root:Events");
    text(&root_query(home.path(), &Variables::new(), &["diff", "here.root:Events", &parts]));
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_to_a_directory_is_written_by_executors_and_holds_all_rows() {
    let cluster = cluster(2).await;
    let home = tempfile::tempdir().unwrap();
    let cluster = url(&cluster);
    for format in ["root", "parquet"] {
        let directory = format!("file://{}/{format}/", home.path().display());
        let sql = format!("COPY (SELECT nMuon, MET_pt FROM t WHERE nMuon = 2) TO '{directory}' STORED AS {format}");
        let there =
            root_query(home.path(), &Variables::new(), &["sql", "-c", &sql, SAMPLE, SAMPLE, "--cluster", &cluster]);
        let here = "SELECT count(*) AS count FROM t WHERE nMuon = 2";
        let here = root_query(home.path(), &Variables::new(), &["sql", "-c", here, SAMPLE, SAMPLE]);
        assert_eq!(text(&there), text(&here), "{format}");
        assert!(names(&home.path().join(format)).iter().all(|name| name.ends_with(format)));
    }
}

/// A statement that fails leaves nothing that could be taken for its result.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_statement_that_fails_are_removed() {
    let cluster = cluster(1).await;
    let home = tempfile::tempdir().unwrap();
    let mut damaged = std::fs::read(SAMPLE).unwrap();
    let end = damaged.len() / 2;
    damaged[5_000..end].fill(0x5a);
    std::fs::write(home.path().join("damaged.root"), damaged).unwrap();
    let to = format!("file://{}/out", home.path().display());
    let url = url(&cluster);
    let skim = ["skim", SAMPLE, "damaged.root", "--partitioned", "-o", &to, "--cluster", &url];
    let output = root_query(home.path(), &Variables::new(), &skim);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(names(&home.path().join("out")), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_statement_that_is_given_up_are_never_taken_for_its_result() {
    let cluster = cluster(2).await;
    let session = session(&cluster).await;
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    let sql = format!(
        "COPY (SELECT a.\"MET_pt\" FROM '{SAMPLE}:Events' a CROSS JOIN '{SAMPLE}:Events' b CROSS JOIN \
         (SELECT \"MET_phi\" FROM '{SAMPLE}:Events' LIMIT 100) c) TO '{}/' STORED AS root",
        out.display()
    );
    let copy = tokio::spawn(async move { session.sql(&sql).await.unwrap().collect().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!copy.is_finished(), "the statement is too short for this test");
    copy.abort();
    // What executors still write before they hear of it has no name that anybody reads.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let left = if out.exists() { names(&out) } else { Vec::new() };
    assert!(left.iter().all(|name| name.starts_with('.')), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_of_a_cluster_on_this_machine_read_with_the_settings_of_the_command() {
    let issuer = Arc::new(TokenIssuer::new());
    let server = Xrootd::ztn(&issuer).start();
    server.volume().write("/d/1.root", std::fs::read(SAMPLE).unwrap());
    let home = tempfile::tempdir().unwrap();
    let mut env = server.env().clone();
    let token = env.iter().position(|(name, _)| name == "BEARER_TOKEN_FILE").unwrap();
    // The token is named by a setting alone.
    let (_, token_file) = env.remove(token);
    let setting = format!("credentials.token_file={token_file}");
    let sql = "SELECT count(*) AS n FROM t WHERE nMuon = 2";
    let file = server.url("/d/1.root:Events");
    let args = ["sql", "-c", sql, &file, "--cluster", "local:1"];
    let output = root_query(home.path(), &env, &[&args[..], &["--set", &setting]].concat());
    let local = root_query(home.path(), &Variables::new(), &["sql", "-c", sql, SAMPLE]);
    assert_eq!(text(&output), text(&local));
    let refused = root_query(home.path(), &env, &args);
    assert_eq!(refused.status.code(), Some(4), "{}", String::from_utf8_lossy(&refused.stderr));
}
