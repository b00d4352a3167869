//! How far each job is and what its tasks have found out: told by executors with their results, asked for by clients.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::get;
use ballista_core::serde::protobuf::{TaskStatus, operator_metric, task_status};
use parking_lot::Mutex;
use root_cluster::{ClusterStatus, JobProgress, TaskNote};

use crate::serve::Server;

/// Jobs that are remembered.
const REMEMBERED: usize = 10_000;

/// What is known of jobs. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jobs {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<String, Tasks>,
    /// From the oldest to the newest.
    order: VecDeque<String>,
}

/// The finished tasks of a job. A task that ran again, because its results were lost, counts once.
#[derive(Debug, Default)]
struct Tasks {
    notes: Vec<(u32, TaskNote)>,
}

impl Jobs {
    /// Takes the notes out of what an executor says of its tasks; they are not Ballista's business.
    pub(crate) fn take_notes(&self, statuses: &mut [TaskStatus]) {
        for status in statuses {
            if !matches!(status.status, Some(task_status::Status::Successful(_))) {
                continue;
            }
            for set in &mut status.metrics {
                set.metrics.retain(|metric| {
                    let Some(operator_metric::Metric::Count(count)) = &metric.metric else { return true };
                    let Some(note) = TaskNote::from_name(&count.name) else { return true };
                    self.add(&status.job_id, status.stage_id, note);
                    false
                });
            }
        }
    }

    fn add(&self, job: &str, stage: u32, note: TaskNote) {
        let mut known = self.known.lock();
        let Known { by_id, order } = &mut *known;
        let tasks = by_id.entry(job.to_string()).or_insert_with(|| {
            order.push_back(job.to_string());
            Tasks::default()
        });
        tasks.notes.retain(|(of, earlier)| *of != stage || !earlier.overlaps(&note));
        tasks.notes.push((stage, note));
        while order.len() > REMEMBERED {
            if let Some(oldest) = order.pop_front() {
                by_id.remove(&oldest);
            }
        }
    }

    fn progress(&self, job: &str) -> JobProgress {
        let known = self.known.lock();
        let notes = known.by_id.get(job).map(|tasks| tasks.notes.as_slice()).unwrap_or_default();
        JobProgress::of(notes.iter().map(|(_, note)| note))
    }
}

/// What can be asked for by HTTP.
pub(crate) fn routes(server: Arc<Server>, jobs: Jobs) -> Router {
    Router::new()
        .route("/v1/cluster", get(cluster))
        .with_state(server)
        .merge(Router::new().route("/v1/jobs/{job}", get(job)).with_state(jobs))
}

async fn cluster(State(server): State<Arc<Server>>) -> Result<Json<ClusterStatus>, StatusCode> {
    let executors = server.state.executor_manager.get_executors_state().await.map_err(|error| {
        tracing::warn!("the executors are not known: {error}");
        StatusCode::INTERNAL_SERVER_ERROR
    })?;
    Ok(Json(ClusterStatus {
        version: env!("CARGO_PKG_VERSION").to_string(),
        executors: executors.len(),
        cores: executors.iter().map(|(executor, ..)| executor.specification.vcores as usize).sum(),
    }))
}

async fn job(State(jobs): State<Jobs>, Path(job): Path<String>) -> Json<JobProgress> {
    Json(jobs.progress(&job))
}
