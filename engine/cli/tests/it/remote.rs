//! Files at servers: real ones of XRootD, on loopback. What is compared comes from `xrdcp`, `xrdfs` and the local file.

use std::fs;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use eos_testbed::{Fault, FaultProxy, Request, Rule, SssKey, TokenIssuer, Tool, Variables, Volume, Xrootd};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Run, command, finish, run, sample};

/// A server for everybody, with the sample as `/d/1.root` and `/d/2.root`.
static SERVER: LazyLock<Xrootd> = LazyLock::new(|| {
    let server = Xrootd::standalone().start();
    let sample = fs::read(sample()).unwrap();
    server.volume().write("/d/1.root", &sample).write("/d/2.root", &sample);
    server
});

/// Runs with the variables that a server wants.
fn run_with(env: &Variables, args: &[&str]) -> Run {
    let home = TempDir::new().unwrap();
    finish(command(home.path()).args(args).envs(env.iter().cloned()))
}

/// What the server's own tool says of a file.
fn adler32(server: &Xrootd, path: &str) -> String {
    let ran = Tool::new("xrdfs").arg(format!("127.0.0.1:{}", server.port())).args("query checksum").arg(path).check();
    ran.text().trim().strip_prefix("adler32 ").unwrap().to_string()
}

fn fetched(url: &str) -> Vec<u8> {
    Tool::new("xrdcp").args("-f -s").arg(url).arg("-").check().output
}

/// The files in a directory of the server, half-written ones included.
fn names(server: &Xrootd, dir: &str) -> Vec<String> {
    let dir = server.volume().path(dir);
    let mut names: Vec<String> = match fs::read_dir(dir) {
        Ok(entries) => entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect(),
        Err(_) => Vec::new(),
    };
    names.sort();
    names
}

fn json(run: &Run) -> Value {
    serde_json::from_slice(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", run.text(), run.stderr))
}

const QUERY: &str = "SELECT nMuon, count(*) AS n FROM t GROUP BY nMuon ORDER BY nMuon";

#[test]
fn a_query_over_remote_files_gives_what_it_gives_over_local_ones() {
    let local = run(&["sql", "-c", QUERY, &sample()]).ok();
    assert_eq!(run(&["sql", "-c", QUERY, &SERVER.url("/d/1.root:Events")]).ok().text(), local.text());
    for files in [&[SERVER.url("/d/*.root")][..], &[SERVER.url("/d/1.root"), SERVER.url("/d/2.root:Events")]] {
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let remote = run(&[&["sql", "-c", "SELECT count(*) AS n FROM t WHERE nMuon = 2"], &files[..]].concat()).ok();
        // 177 events of the sample have two muons.
        assert_eq!(remote.text(), "n\n354\n");
    }
}

#[test]
fn the_other_verbs_read_remote_files_and_lists_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.txt");
    fs::write(&list, format!("{}\n{}\n", SERVER.url("/d/1.root:Events"), SERVER.url("/d/2.root:Events"))).unwrap();
    assert_eq!(run(&["count", "--files-from", list.to_str().unwrap()]).ok().text(), "2000\n");
    assert_eq!(run(&["ls", &SERVER.url("/d/1.root")]).ok().text(), run(&["ls", &sample()]).ok().text());
    assert!(run(&["check", &SERVER.http_url("/d/1.root")]).ok().stderr.contains("no fault found"));
}

#[test]
fn a_result_at_a_server_is_the_one_that_a_local_file_would_hold() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().join("x.csv");
    run(&["sql", "-c", QUERY, &sample(), "-o", here.to_str().unwrap()]).ok();
    let there = SERVER.url("/out/x.csv");
    run(&["sql", "-c", QUERY, &sample(), "-o", &there]).ok();
    assert!(fetched(&there) == fs::read(&here).unwrap());
    // It is replaced by another one, as a local file is.
    run(&["sql", "-c", "SELECT 1 AS a", "-o", &there]).ok();
    assert_eq!(fetched(&there), b"a\n1\n");
    assert_eq!(names(&SERVER, "/out"), ["x.csv"]);
    // Over HTTP it is PUT, and read back like any other file.
    let put = SERVER.http_url("/put/x.parquet");
    run(&["sql", "-c", "SELECT nMuon FROM t", &sample(), "-o", &put]).ok();
    assert!(fetched(&SERVER.url("/put/x.parquet")).starts_with(b"PAR1"));
}

#[test]
fn root_files_are_written_to_servers() {
    let all = "SELECT * FROM t";
    let (result, copy, skim) =
        (SERVER.url("/root/a.root"), SERVER.http_url("/root/b.root"), SERVER.url("/root/c.root"));
    run(&["sql", "-c", all, &sample(), "-o", &result]).ok();
    run(&["sql", "-c", &format!("COPY ({all}) TO '{copy}'"), &sample()]).ok();
    run(&["skim", &sample(), "-o", &skim]).ok();
    for file in [&result, &SERVER.url("/root/b.root"), &skim] {
        let run1 = run(&["diff", &sample(), file]).ok();
        assert_eq!(run1.stderr, "no difference; 86 columns and 1,000 entries compared\n");
    }
    assert_eq!(names(&SERVER, "/root"), ["a.root", "b.root", "c.root"]);
}

#[test]
fn parts_of_a_skim_are_written_to_servers() {
    let files = [SERVER.url("/d/1.root"), SERVER.url("/d/2.root")];
    let skim = |to: &str| {
        run(&["--threads", "2", "skim", &files[0], &files[1], "--where", "nMuon = 2", "--partitioned", "-o", to])
    };
    for to in [SERVER.url("/parts/root"), SERVER.http_url("/parts/http")] {
        let run1 = skim(&to).ok();
        assert!(run1.stderr.contains("2,000 entries in, 354 out (17.7 %)"), "{}", run1.stderr);
        assert!(run1.stderr.contains(&format!("2 files in {to}")), "{}", run1.stderr);
        let parts = run(&["count", &format!("{to}/*.root")]).ok();
        assert_eq!(parts.text(), "354\n");
        skim(&to).fails(1, &["not empty"]);
    }
    assert_eq!(names(&SERVER, "/parts/root"), ["part-0000.root", "part-0001.root"]);
    assert_eq!(names(&SERVER, "/parts/http"), ["part-0000.root", "part-0001.root"]);
    // The first part is the first file's events, in their order.
    let local = TempDir::new().unwrap();
    let whole = local.path().join("x.root").display().to_string();
    run(&["skim", &sample(), "--where", "nMuon = 2", "-o", &whole]).ok();
    run(&["diff", &whole, &SERVER.url("/parts/root/part-0000.root")]).ok();
    skim(&SERVER.url("/d/1.root")).fails(1, &["is a file"]);
}

#[test]
fn copy_to_writes_to_servers() {
    for (n, to) in [SERVER.url("/sql/a.parquet"), SERVER.http_url("/sql/b.csv")].iter().enumerate() {
        let sql = format!("COPY (SELECT nMuon FROM t WHERE nMuon = 2) TO '{to}'");
        assert_eq!(run(&["sql", "-c", &sql, &sample()]).ok().text(), "count\n177\n", "{n}");
    }
    assert!(fetched(&SERVER.url("/sql/a.parquet")).starts_with(b"PAR1"));
    assert_eq!(fetched(&SERVER.url("/sql/b.csv")).iter().filter(|byte| **byte == b'\n').count(), 178);
    let denied = run(&["sql", "-c", "COPY (SELECT 1 AS a) TO 'gopher://h/x.csv'"]);
    denied.fails(2, &["gopher"]);
}

#[test]
fn a_run_that_fails_leaves_the_old_result_at_the_server() {
    SERVER.volume().folder("/old");
    let to = SERVER.url("/old/x.csv");
    run(&["sql", "-c", "SELECT 1 AS a", "-o", &to]).ok();
    run(&["sql", "-c", "SELECT 1 / (nMuon - 1) FROM t", "-o", &to, &sample()]).fails(1, &["Divide by zero"]);
    assert_eq!(fetched(&to), b"a\n1\n");
    assert_eq!(names(&SERVER, "/old"), ["x.csv"]);
}

#[test]
fn reports_go_to_servers_too_and_count_what_these_were_asked() {
    let to = SERVER.url("/reports/r.json");
    run(&["sql", "-c", QUERY, &SERVER.url("/d/1.root"), "--report", &to]).ok();
    let report: Value = serde_json::from_slice(&fetched(&to)).unwrap();
    let servers = &report["servers"];
    assert!(servers["connections"].as_u64().unwrap() >= 1, "{report}");
    assert!(servers["requests"].as_u64().unwrap() > 3, "{report}");
    assert!(servers["bytes_read"].as_u64().unwrap() > 300, "{report}");
    assert_eq!((&servers["retries"], &servers["waits"]), (&Value::from(0), &Value::from(0)));
    run(&["count", "/no/such.root", "--report", &to]).fails(3, &["/no/such.root"]);
    let report: Value = serde_json::from_slice(&fetched(&to)).unwrap();
    assert_eq!((&report["exit_code"], report.get("servers")), (&Value::from(3), None));
    let (result, here) = (SERVER.url("/reports/x.csv"), tempfile::tempdir().unwrap());
    let local = here.path().join("r.json");
    run(&["sql", "-c", "SELECT 1 AS a", "-o", &result, "--report", local.to_str().unwrap()]).ok();
    let report: Value = serde_json::from_slice(&fs::read(&local).unwrap()).unwrap();
    assert_eq!(report["servers"]["bytes_written"], 4, "{report}");
}

#[test]
fn a_server_that_may_not_be_written_to_says_so_before_anything_is_computed() {
    let server = Xrootd::standalone().read_only().start();
    let refused = run(&["sql", "-c", "SELECT 1 AS a", "-o", &server.url("/x.csv")]);
    assert!([1, 4].contains(&refused.code), "{}", refused.stderr);
    assert!(refused.stderr.contains("write") && refused.stderr.contains("/x.csv"), "{}", refused.stderr);
}

#[test]
fn a_disk_that_is_full_at_the_server_is_an_error_and_leaves_nothing() {
    let volume = match Volume::of_size(4 << 20) {
        Ok(volume) => volume,
        Err(why) => return eprintln!("NOT TESTED, as no small disk can be made here: {why}"),
    };
    let server = Xrootd::standalone().volume(volume.into()).start();
    let dir = tempfile::tempdir().unwrap();
    let large = dir.path().join("large.bin");
    fs::write(&large, vec![7; 20 << 20]).unwrap();
    let full = run(&["cp", large.to_str().unwrap(), &server.url("/large.bin")]);
    assert_eq!(full.code, 1, "{}", full.stderr);
    assert!(full.stderr.to_lowercase().contains("space"), "{}", full.stderr);
    assert!(!server.volume().exists("/large.bin"));
}

#[test]
fn files_are_copied_from_a_server_and_the_checksum_is_that_of_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("1.root");
    let told = run(&["cp", &SERVER.url("/d/1.root"), to.to_str().unwrap(), "--format", "json"]).ok();
    assert!(fs::read(&to).unwrap() == fs::read(sample()).unwrap());
    let told = json(&told);
    assert_eq!(told[0]["checksum"], format!("adler32:{}", adler32(&SERVER, "/d/1.root")));
    assert_eq!(told[0]["compared"], "source and copy");
    let over_http = run(&["cp", &SERVER.http_url("/d/1.root"), "/dev/null", "--force", "--format", "json"]).ok();
    assert_eq!(
        (&json(&over_http)[0]["checksum"], &json(&over_http)[0]["compared"]),
        (&told[0]["checksum"], &"source".into())
    );
    let many = dir.path().join("many");
    run(&["cp", &SERVER.url("/d/*.root"), &format!("{}/", many.display())]).ok();
    assert!(fs::read(many.join("2.root")).unwrap() == fs::read(sample()).unwrap());
    assert!(run(&["cp", &SERVER.http_url("/d/1.root"), "-"]).ok().stdout == fs::read(sample()).unwrap());
}

#[test]
fn files_are_copied_to_a_server_one_by_one_and_whole_directories() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("in/é b")).unwrap();
    fs::write(dir.path().join("in/é b/100%.bin"), "x").unwrap();
    fs::write(dir.path().join("in/large.bin"), (0..30_000_000_u32).map(|n| (n % 241) as u8).collect::<Vec<_>>())
        .unwrap();
    let from = dir.path().join("in");
    let told = run(&["cp", "-r", from.to_str().unwrap(), &SERVER.url("/up"), "--format", "json"]).ok();
    assert_eq!(json(&told).as_array().unwrap().len(), 2);
    assert!(json(&told).as_array().unwrap().iter().all(|line| line["compared"] == "copy"), "{}", told.text());
    assert!(SERVER.volume().read("/up/large.bin") == fs::read(dir.path().join("in/large.bin")).unwrap());
    assert_eq!(SERVER.volume().read("/up/é b/100%.bin"), b"x");
    // And back again.
    let back = dir.path().join("back");
    run(&["cp", "-r", &SERVER.url("/up"), back.to_str().unwrap()]).ok();
    assert!(fs::read(back.join("large.bin")).unwrap() == fs::read(from.join("large.bin")).unwrap());
    assert_eq!(fs::read(back.join("é b/100%.bin")).unwrap(), b"x");
    // A file that is there is not replaced unless that is asked for.
    let one = from.join("é b/100%.bin");
    let args = ["cp", one.to_str().unwrap(), &SERVER.url("/up/large.bin")];
    run(&args).fails(1, &["exists", "--force"]);
    run(&[&args[..], &["--force"]].concat()).ok();
    assert_eq!(SERVER.volume().read("/up/large.bin"), b"x");
}

#[test]
fn bytes_that_are_damaged_on_the_way_are_noticed_and_no_copy_is_left() {
    let proxy = FaultProxy::to(SERVER.port()).rule(Rule::on(Request::Read).first().then(Fault::Corrupt)).start();
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("1.root");
    run(&["cp", &proxy.url("/d/1.root"), to.to_str().unwrap()]).fails(3, &["adler32:", "says its server"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    // From server to server as well.
    proxy.set_rules([Rule::on(Request::Read).first().then(Fault::Corrupt)]);
    run(&["cp", &proxy.url("/d/1.root"), &SERVER.url("/bad/1.root")]).fails(3, &["says its server"]);
    assert!(names(&SERVER, "/bad").is_empty());
}

#[test]
fn trouble_that_is_put_right_is_told_once_and_counted() {
    let proxy = FaultProxy::to(SERVER.port()).rule(Rule::on(Request::Open).nth(1..=2).then(Fault::Drop)).start();
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("r.json");
    let args = ["count", &proxy.url("/d/1.root"), "--report", report.to_str().unwrap()];
    let done = run(&args).ok();
    assert_eq!(done.text(), "1000\n");
    let warnings = done.stderr.lines().filter(|line| line.starts_with("warning:")).count();
    assert_eq!(warnings, 1, "{}", done.stderr);
    assert!(done.stderr.contains("requests were made again"), "{}", done.stderr);
    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    assert!(report["servers"]["retries"].as_u64().unwrap() >= 2, "{report}");
    assert_eq!((&report["files"][0]["outcome"], &report["files"][0]["retries"]), (&"retried".into(), &2.into()));
}

#[test]
fn servers_that_make_one_wait_are_named() {
    let rules = Rule::on(Request::Open).nth(1..=3).then(Fault::Wait(2));
    let proxy = FaultProxy::to(SERVER.port()).rule(rules).start();
    let done = run(&["count", &proxy.url("/d/1.root")]).ok();
    let host = format!("127.0.0.1:{}", proxy.port());
    assert!(done.stderr.contains(&format!("warning: {host} asks to wait")), "{}", done.stderr);
    // Once while it lasts, and how long it took at the end.
    assert_eq!(done.stderr.lines().count(), 2, "{}", done.stderr);
    assert!(done.stderr.contains("servers asked to wait for 6 s"), "{}", done.stderr);
}

#[test]
fn files_that_may_not_be_read_are_4_and_missing_ones_3() {
    SERVER.volume().write("/closed.root", "x").permit("/closed.root", 0o000);
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("x");
    for args in
        [&["count", &SERVER.url("/closed.root")][..], &["cp", &SERVER.url("/closed.root"), to.to_str().unwrap()]]
    {
        assert_eq!(run(args).code, 4, "{args:?}: {}", run(args).stderr);
    }
    run(&["count", &SERVER.url("/none.root")]).fails(3, &["/none.root"]);
    assert!(!to.exists());
}

#[test]
fn credentials_that_are_missing_are_4_with_what_helps() {
    let server = Xrootd::sss().start();
    server.volume().write("/d/1.root", fs::read(sample()).unwrap());
    let url = server.url("/d/1.root");
    assert_eq!(run_with(server.env(), &["count", &url]).ok().text(), "1000\n");
    run_with(&Variables::new(), &["count", &url]).fails(4, &["sss", "XrdSecSSSKT"]);
    run_with(&SssKey::new().env(), &["count", &url]).fails(4, &["sss"]);
}

/// Runs, and gives what the report says of each file, by the end of its name.
fn outcomes(env: &Variables, args: &[&str]) -> (i32, Vec<(String, String)>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    let run = run_with(env, &[args, &["--report", path.to_str().unwrap()]].concat());
    let report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let line = |file: &Value| {
        let name = file["file"].as_str().unwrap().rsplit('/').next().unwrap().to_string();
        (name, file["outcome"].as_str().unwrap().to_string())
    };
    let mut told: Vec<_> = report["files"].as_array().unwrap().iter().map(line).collect();
    told.sort();
    (run.code, told)
}

#[test]
fn a_refusal_is_never_skipped_and_stands_in_the_report() {
    SERVER.volume().write("/mixed/bad.root", "no ROOT file").write("/mixed/good.root", fs::read(sample()).unwrap());
    let (nothing, is) = (Variables::new(), |name: &str, outcome: &str| (name.to_string(), outcome.to_string()));
    let skip = "--on-bad-file=skip";
    let count = "SELECT count(*) FROM t WHERE nMuon = 2";
    let both = SERVER.url("/mixed/*.root");
    for verb in [&["count", &both, skip][..], &["sql", "-c", count, &both, skip]] {
        assert_eq!(outcomes(&nothing, verb), (5, vec![is("bad.root", "skipped"), is("good.root", "ok")]), "{verb:?}");
    }
    SERVER.volume().write("/mixed/closed.root", fs::read(sample()).unwrap()).permit("/mixed/closed.root", 0o000);
    let over_http = [SERVER.http_url("/mixed/closed.root"), SERVER.http_url("/mixed/good.root")];
    for files in [&[both][..], &over_http] {
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        for verb in [
            &["count", skip][..],
            &["sql", "-c", count, skip],
            &["check", skip],
            &["cutflow", "--cut", "nMuon = 2", skip],
        ] {
            let args = [verb, &files].concat();
            let (code, told) = outcomes(&nothing, &args);
            assert_eq!(code, 4, "{args:?}");
            assert!(told.contains(&is("closed.root", "auth")), "{args:?}: {told:?}");
        }
    }
}

#[test]
fn missing_and_wrong_credentials_are_never_skipped() {
    let server = Xrootd::sss().start();
    server.volume().write("/d/1.root", fs::read(sample()).unwrap());
    let url = server.url("/d/1.root");
    for env in [Variables::new(), SssKey::new().env()] {
        for verb in [&["count"][..], &["sql", "-c", "SELECT count(*) FROM t"], &["hist", "MET_pt[2,0,100]"]] {
            let args = [verb, &[&url, "--on-bad-file=skip"]].concat();
            assert_eq!(outcomes(&env, &args), (4, vec![("1.root".to_string(), "auth".to_string())]), "{args:?}");
        }
    }
}

#[test]
fn an_expired_token_is_never_skipped() {
    let issuer = Arc::new(TokenIssuer::new());
    let server = Xrootd::ztn(&issuer).start();
    server.volume().write("/d/1.root", fs::read(sample()).unwrap());
    let (url, skip) = (server.url("/d/1.root"), "--on-bad-file=skip");
    let is = |outcome: &str| vec![("1.root".to_string(), outcome.to_string())];
    assert_eq!(outcomes(server.env(), &["count", &url, skip]), (0, is("ok")));
    let mut env = server.env().clone();
    env.retain(|(name, _)| name != "BEARER_TOKEN_FILE");
    let file = issuer.file("old", &issuer.expired_token());
    env.push(("BEARER_TOKEN_FILE".into(), file.display().to_string()));
    for verb in [&["count"][..], &["sql", "-c", "SELECT count(*) FROM t WHERE nMuon = 2"]] {
        assert_eq!(outcomes(&env, &[verb, &[&url, skip]].concat()), (4, is("auth")), "{verb:?}");
    }
}

#[test]
fn a_mask_at_a_server_is_read_and_a_refusal_is_4() {
    let mask = fs::read(crate::support::data("lumi/events.json")).unwrap();
    SERVER.volume().write("/masks/open.json", &mask).write("/masks/closed.json", &mask);
    SERVER.volume().permit("/masks/closed.json", 0o000);
    let files = crate::support::data("runs/*.root");
    let masked = |url: &str| run(&["count", &files, "--lumi-columns", "run,event", "--lumi-mask", url]);
    for url in [SERVER.url("/masks/open.json"), SERVER.http_url("/masks/open.json")] {
        assert_eq!(masked(&url).ok().text(), "20\n");
        let sql = format!("SELECT count(*) AS n FROM t WHERE in_lumi_mask(run, event, '{url}')");
        assert_eq!(run(&["sql", "-c", &sql, &files]).ok().text(), "n\n20\n");
    }
    masked(&SERVER.url("/masks/closed.json")).fails(4, &["/masks/closed.json"]);
    masked(&SERVER.url("/masks/none.json")).fails(3, &["/masks/none.json"]);
}

/// The steps of a diagnosis: name, whether it went well, and what helps.
fn diagnosis(env: &Variables, url: &str) -> (i32, Vec<(String, bool, String)>) {
    let run = run_with(env, &["diagnose", url, "--format", "json"]);
    let step = |step: &Value| {
        let text = |key: &str| step[key].as_str().unwrap_or_default().to_string();
        (text("step"), step["ok"].as_bool().unwrap(), format!("{} {}", text("error"), text("hint")))
    };
    (run.code, json(&run).as_array().unwrap().iter().map(step).collect())
}

#[test]
fn a_diagnosis_of_a_good_file_goes_down_to_its_tree() {
    let (code, steps) = diagnosis(&Variables::new(), &SERVER.url("/d/1.root"));
    let names: Vec<&str> = steps.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["name look-up", "connect", "login", "open", "first read", "ROOT file", "tree"]);
    assert!(code == 0 && steps.iter().all(|(_, ok, _)| *ok), "{steps:?}");
}

#[test]
fn a_diagnosis_ends_at_what_is_wrong_and_says_what_helps() {
    let sss = Xrootd::sss().start();
    let tls = Xrootd::tls().start();
    tls.volume().write("/d/1.root", fs::read(sample()).unwrap());
    let nothing = Variables::new();
    for (url, code, step, words) in [
        ("root://no-such-host.invalid//x.root".to_string(), 3, "name look-up", "DNS"),
        (SERVER.url("/none.root"), 3, "open", "path"),
        (sss.url("/x.root"), 4, "authentication", "XrdSecSSSKT"),
        (tls.url("/d/1.root"), 3, "TLS", "X509_CERT_DIR"),
        (tls.http_url("/d/1.root"), 3, "TLS", "X509_CERT_DIR"),
    ] {
        let (ended, steps) = diagnosis(&nothing, &url);
        let (last, ok, help) = steps.last().unwrap();
        assert_eq!((ended, last.as_str(), *ok), (code, step, false), "{url}: {steps:?}");
        assert!(help.contains(words), "{url}: {help}");
    }
    let (code, steps) = diagnosis(tls.env(), &tls.url("/d/1.root"));
    assert_eq!((code, steps.last().unwrap().0.as_str()), (0, "tree"), "{steps:?}");
}

/// Starts a run, interrupts it when `is_ready`, and gives its exit code.
fn interrupted(args: &[&str], is_ready: impl Fn() -> bool) -> Option<i32> {
    let home = TempDir::new().unwrap();
    let mut child = command(home.path()).args(args).stderr(std::process::Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !is_ready() {
        assert!(started.elapsed() < Duration::from_secs(60), "it did not start to work");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap().code()
}

#[test]
fn ctrl_c_takes_back_what_is_half_written_at_a_server() {
    let to = SERVER.url("/half/x.csv");
    let endless = "SELECT count(*) FROM t a CROSS JOIN t b WHERE (a.v + b.v) % 7 = 3";
    let file = crate::support::fixture("uproot_big_zlib.root");
    let has_begun = || !names(&SERVER, "/half").is_empty();
    let code = interrupted(&["sql", "-c", endless, &file, "-o", &to], has_begun);
    assert_eq!(code, Some(130));
    assert!(names(&SERVER, "/half").is_empty(), "{:?}", names(&SERVER, "/half"));
}

#[test]
fn ctrl_c_ends_the_wait_for_a_server_that_does_not_answer() {
    let server = Xrootd::standalone().start();
    server.pause();
    let started = Instant::now();
    let code = interrupted(&["count", &server.url("/x.root")], || started.elapsed() > Duration::from_secs(1));
    assert_eq!(code, Some(130));
    server.resume();
}
