//! The doors of the scheduler: for users, for executors, and for the scheduler itself. Each request passes here first, and is
//! told who sends it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use root_cluster::UNWANTED_PATH;
use serde_json::json;
use tonic::Status;

use crate::auth::{Denied, Guard, User};
use crate::jobs::Jobs;
use crate::rest::HEALTH_PATH;

/// What executors call, and users may not.
const EXECUTORS_CALLS: [&str; 5] =
    ["PollWork", "RegisterExecutor", "HeartBeatFromExecutor", "UpdateTaskStatus", "ExecutorStopped"];
/// The service that these are calls of.
const SERVICE: &str = "/ballista.protobuf.SchedulerGrpc/";
/// What may be asked where only executors are.
const WITHIN: [&str; 2] = ["/metrics", "/v1/cluster"];

/// Who a door is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Everybody, on a network where all are trusted.
    Everybody,
    /// Users.
    Users,
    /// Executors.
    Executors,
}

/// A request that the scheduler sends to itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FromItself;

/// A door.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub is_for: For,
    pub guard: Arc<Guard>,
    pub jobs: Jobs,
}

/// Lets a request in, or answers it here.
pub(crate) async fn enter(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Everybody may ask this at each door.
    if path == HEALTH_PATH {
        return next.run(request).await;
    }
    let is_executors_call =
        path == UNWANTED_PATH || path.strip_prefix(SERVICE).is_some_and(|call| EXECUTORS_CALLS.contains(&call));
    match door.is_for {
        For::Executors if is_executors_call || WITHIN.contains(&path) => return next.run(request).await,
        For::Executors => return refuse(&request, Refusal::Elsewhere("this port is for executors only")),
        For::Users if is_executors_call => {
            return refuse(&request, Refusal::Elsewhere("executors have a port of their own"));
        }
        For::Everybody if is_executors_call => return next.run(request).await,
        For::Users | For::Everybody => {}
    }
    let user = match door.guard.admit(request.headers()).await {
        Ok(user) => user,
        Err(denied) => return refuse(&request, Refusal::Unknown(denied)),
    };
    if !door.guard.is_open()
        && let Some(refusal) = forbidden(path, &user, &door.jobs)
    {
        return refuse(&request, refusal);
    }
    if let Guard::Own(_) = *door.guard {
        request.extensions_mut().insert(FromItself);
    }
    request.extensions_mut().insert(user);
    next.run(request).await
}

/// Ballista's own pages tell of all jobs; a user may see those of their own.
fn forbidden(path: &str, user: &User, jobs: &Jobs) -> Option<Refusal> {
    if let Some(job) = path.strip_prefix("/api/job/") {
        let job = job.split('/').next().unwrap_or_default();
        return (!jobs.is_of(job, user)).then_some(Refusal::NoSuchJob);
    }
    (path.trim_end_matches('/') == "/api/jobs").then_some(Refusal::Elsewhere("ask /v1/jobs for jobs of your own"))
}

enum Refusal {
    Unknown(Denied),
    Elsewhere(&'static str),
    NoSuchJob,
}

/// Says no in the protocol of the request.
fn refuse(request: &Request, refusal: Refusal) -> Response {
    let (code, status) = match refusal {
        Refusal::Unknown(Denied(why)) => (StatusCode::UNAUTHORIZED, Status::unauthenticated(why)),
        Refusal::Elsewhere(why) => (StatusCode::FORBIDDEN, Status::permission_denied(why)),
        Refusal::NoSuchJob => (StatusCode::NOT_FOUND, Status::not_found("there is no such job")),
    };
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.starts_with(b"application/grpc") {
        return status.into_http::<Body>();
    }
    let mut response = (code, Json(json!({ "error": status.message() }))).into_response();
    if code == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
