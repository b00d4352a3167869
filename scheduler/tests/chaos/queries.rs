//! What clients ask, and what becomes of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use datafusion::arrow::util::pretty::pretty_format_batches;
use root_cluster::Cluster;
use root_engine::{RootSession, message_of};

use crate::{PATIENCE, Random};

pub(crate) const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");

/// Queries and their answers.
pub(crate) struct Known(Vec<(String, Result<String, &'static str>)>);

impl Known {
    /// Has this process answer the queries, before anything goes wrong. One of them is about a damaged file.
    pub(crate) async fn find(remote: &str, folder: &Path) -> Self {
        let damaged = folder.join("damaged.root");
        let mut bytes = std::fs::read(SAMPLE).unwrap();
        let end = bytes.len() / 2;
        bytes[5_000..end].fill(0x5a);
        std::fs::write(&damaged, bytes).unwrap();
        let (file, remote) = (format!("'{SAMPLE}:Events'"), format!("'{remote}:Events'"));
        let queries = [
            format!("SELECT count(*) FROM {file} WHERE \"MET_pt\" > 20"),
            format!("SELECT \"nMuon\", count(*), max(\"MET_pt\") FROM {file} GROUP BY \"nMuon\" ORDER BY 1"),
            format!("SELECT \"nMuon\", min(\"MET_phi\") FROM {remote} GROUP BY \"nMuon\" ORDER BY 1"),
            format!("SELECT \"MET_pt\" FROM {remote} ORDER BY \"MET_pt\" DESC LIMIT 20"),
            format!("SELECT a.\"nMuon\", count(*) FROM {file} a CROSS JOIN {file} b GROUP BY 1 ORDER BY 1"),
            format!("SELECT count(*) FROM {file} a JOIN {remote} b ON a.\"MET_pt\" = b.\"MET_pt\""),
            format!(
                "SELECT count(*) FROM {file} a CROSS JOIN {file} b CROSS JOIN (SELECT \"MET_pt\" FROM {file} LIMIT 20) c \
                 WHERE a.\"MET_pt\" + b.\"MET_pt\" + c.\"MET_pt\" >= 0"
            ),
        ];
        let session = RootSession::new();
        let mut known = Vec::new();
        for query in queries {
            let answer = answer(&session, &query).await.unwrap();
            known.push((query, Ok(answer)));
        }
        let query = format!("SELECT sum(\"MET_pt\"), max(\"nMuon\") FROM '{}:Events'", damaged.display());
        known.push((query, Err("damaged.root")));
        Self(known)
    }
}

async fn answer(session: &RootSession, query: &str) -> Result<String, String> {
    let frame = session.sql(query).await.map_err(|error| error.to_string())?;
    let batches = frame.collect().await.map_err(|error| message_of(&error))?;
    Ok(pretty_format_batches(&batches).unwrap().to_string())
}

/// What became of queries.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    right: usize,
    errors: BTreeMap<String, usize>,
    wrong: Vec<String>,
    longest: Duration,
}

impl Tally {
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.0.lock().unwrap().wrong.clone()
    }

    /// Counts what became of a query. The answer is the session, if it was right.
    fn count(
        &self,
        query: &str,
        expected: &Result<String, &str>,
        result: Result<(RootSession, String), String>,
        took: Duration,
    ) -> Option<RootSession> {
        let mut counts = self.0.lock().unwrap();
        counts.longest = counts.longest.max(took);
        match (result, expected) {
            (Ok((session, text)), Ok(right)) if text == *right => {
                counts.right += 1;
                return Some(session);
            }
            (Err(error), Err(right)) if error.contains(right) => counts.right += 1,
            (Ok((_, text)), _) => counts.wrong.push(format!("{query}\n{text}")),
            (Err(error), _) if is_unclear(&error) => counts.wrong.push(format!("{query}\n{error}")),
            (Err(error), _) => *counts.errors.entry(shape(&error)).or_default() += 1,
        }
        None
    }

    pub(crate) fn show(&self) {
        let Counts { right, errors, wrong, longest } = &*self.0.lock().unwrap();
        let failed: usize = errors.values().sum();
        println!(
            "{} right answers, {failed} errors, {} wrong; the longest took {} s",
            right,
            wrong.len(),
            longest.as_secs()
        );
        for (text, count) in errors {
            println!("{count:6} {text}");
        }
    }
}

/// Asks until it is over.
pub(crate) async fn ask(url: String, mut random: Random, known: Arc<Known>, tally: Arc<Tally>, over: Arc<AtomicBool>) {
    let mut kept: Option<RootSession> = None;
    while !over.load(Ordering::Relaxed) {
        let (query, expected) = &known.0[random.below(known.0.len() as u64) as usize];
        let begun = Instant::now();
        // Some clients keep their session, others come once.
        let session = kept.take_if(|_| random.below(2) == 0);
        let asked = async {
            let session = match session {
                Some(session) => session,
                None => {
                    let cluster = Cluster::connect(&url).await.map_err(|error| error.to_string())?;
                    let elsewhere = cluster.elsewhere().await.map_err(|error| error.to_string())?;
                    RootSession::builder().elsewhere(elsewhere).build()
                }
            };
            let text = answer(&session, query).await?;
            Ok::<_, String>((session, text))
        };
        let result = tokio::time::timeout(PATIENCE, asked).await;
        let result = match result {
            Ok(result) => result,
            Err(_) => {
                println!("{query}\nhas no answer: {}", jobs(&url).await);
                Err(HANGS.to_string())
            }
        };
        kept = tally.count(query, expected, result, begun.elapsed());
        // Nobody asks as fast as a scheduler that is not there refuses.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the scheduler says of the jobs that run, and their stages.
async fn jobs(url: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let get = async |path: String| match client.get(format!("{url}{path}")).send().await {
        Ok(answer) => answer.text().await.unwrap_or_else(|error| error.to_string()),
        Err(error) => error.to_string(),
    };
    let mut said = get("/v1/cluster".to_string()).await;
    let all: Vec<serde_json::Value> = serde_json::from_str(&get("/v1/jobs".to_string()).await).unwrap_or_default();
    for job in all.iter().filter(|job| job["state"] == "running") {
        let stages = get(format!("/api/job/{}/stages", job["id"].as_str().unwrap_or_default())).await;
        said = format!("{said}\n{job}\n{stages}");
    }
    said
}

/// What is said of a query that took longer than it may.
const HANGS: &str = "there is no answer";

/// Whether an error does not say what happened to somebody who does not know the program.
fn is_unclear(error: &str) -> bool {
    [HANGS, "mistake in this program", "Internal error", "panicked"].iter().any(|part| error.contains(part))
}

/// An error without what is different each time.
fn shape(error: &str) -> String {
    let words = error.split_whitespace().map(|word| {
        let number = word.chars().any(|c| c.is_ascii_digit()) && word.len() > 3;
        if number { "…" } else { word }
    });
    words.collect::<Vec<_>>().join(" ").chars().take(150).collect()
}
