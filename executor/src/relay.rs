//! The way from an executor to its scheduler: a server on loopback that passes on what Ballista says. What tasks have come to is
//! said again until the scheduler has heard it; Ballista (55.0) says it once, and where the network is away at that moment the
//! job waits for ever. And a scheduler that is away for a while is no reason to end; Ballista ends after five signs of life that
//! nobody has heard. One that was started again knows the executor by the next sign. And an executor that was started again by
//! its name waits until the scheduler has given up the one before.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Request, Response};
use ballista_core::serde::protobuf::executor_status::Status as Life;
use ballista_core::serde::protobuf::{HeartBeatParams, HeartBeatResult};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use prost::Message;
use root_cluster::setup::MAX_MESSAGE_BYTES;
use root_cluster::{REPORT_HEADER, innermost};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// The call by which an executor tells what its tasks have come to.
const REPORT: &str = "/UpdateTaskStatus";
/// The call by which it says that it lives.
const SIGN_OF_LIFE: &str = "/HeartBeatFromExecutor";
/// The call by which it makes itself known.
const REGISTRATION: &str = "/RegisterExecutor";
/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// How long the scheduler may take to answer one try.
const TRY: Duration = Duration::from_secs(20);
/// How long it is waited between tries: at first, and at most.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A way to a scheduler, as long as the value lives.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Relay {
    /// The way to the scheduler of a host and port, which may take so long to answer, and may be away for so long.
    pub(crate) async fn to(scheduler: &str, patience: Duration, away: Duration) -> io::Result<Self> {
        let channel = endpoint(scheduler)?.connect_timeout(TRY).connect_lazy();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let silent = Arc::new(Mutex::new(None));
        let way = Way { channel, patience, away, silent, scheduler: scheduler.into() };
        let router = Router::new().fallback(pass).with_state(way);
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("nothing reaches the scheduler any more: {error}");
            }
        });
        Ok(Self { address, serving })
    }

    /// Where it begins.
    pub(crate) fn begin(&self) -> io::Result<Endpoint> {
        endpoint(&self.address.to_string())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn endpoint(address: &str) -> io::Result<Endpoint> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(io::Error::other)?;
    Ok(endpoint.tcp_nodelay(true).http2_keep_alive_interval(TRY).keep_alive_while_idle(true))
}

#[derive(Clone)]
struct Way {
    channel: Channel,
    patience: Duration,
    /// How long the scheduler may be away.
    away: Duration,
    /// Since when no sign of life was heard.
    silent: Arc<Mutex<Option<Instant>>>,
    scheduler: Arc<str>,
}

impl Way {
    async fn say(&self, request: Request<Body>, patience: Duration) -> Result<Response<Body>, Status> {
        let mut channel = self.channel.clone();
        let said = async {
            poll_fn(|context| GrpcService::<Body>::poll_ready(&mut channel, context)).await?;
            GrpcService::call(&mut channel, request).await
        };
        match tokio::time::timeout(patience, said).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Status::unavailable(innermost(&error))),
            Err(_) => Err(Status::unavailable(format!("there is no answer within {} s", patience.as_secs()))),
        }
    }

    /// Says something until it has been heard.
    async fn insist(&self, request: Request<axum::body::Body>) -> Result<Response<Body>, Status> {
        let (mut head, body) = whole(request).await?;
        // It may have been heard although there was no answer.
        let name = uuid::Uuid::new_v4().simple().to_string();
        let name = HeaderValue::from_str(&name).map_err(|error| Status::internal(error.to_string()))?;
        head.headers.insert(REPORT_HEADER, name);
        let mut wait = WAIT.0;
        loop {
            let reason = match self.say(again(&head, &body), TRY).await {
                Ok(answer) => match Status::from_header_map(answer.headers()) {
                    Some(status) if status.code() == Code::Unavailable => status.message().to_string(),
                    _ => return Ok(answer),
                },
                Err(status) => status.message().to_string(),
            };
            tracing::warn!("the scheduler {} has not heard what tasks have come to: {reason}", self.scheduler);
            tokio::time::sleep(wait).await;
            wait = WAIT.1.min(wait * 2);
        }
    }

    /// Says that the executor lives, and that all is well where nobody hears it, unless that has been so for too long.
    async fn live(&self, request: Request<axum::body::Body>) -> Result<Response<Body>, Status> {
        let (head, body) = whole(request).await?;
        if !says_that_it_lives(&body) {
            return self.say(again(&head, &body), self.patience).await;
        }
        let said = self.say(again(&head, &body), TRY).await;
        let reason = match &said {
            Ok(answer) => match Status::from_header_map(answer.headers()) {
                Some(status) if status.code() == Code::Unavailable => status.message().to_string(),
                _ => {
                    if let Some(since) = self.silent.lock().take() {
                        tracing::info!(
                            "the scheduler {} is back after {} s",
                            self.scheduler,
                            since.elapsed().as_secs()
                        );
                    }
                    return said;
                }
            },
            Err(status) => status.message().to_string(),
        };
        let mut silent = self.silent.lock();
        if silent.is_none() {
            tracing::warn!("the scheduler {} does not answer: {reason}; it is waited for", self.scheduler);
        }
        if silent.get_or_insert_with(Instant::now).elapsed() < self.away { Ok(all_is_well()) } else { said }
    }

    /// Makes the executor known, under a name that one may have that has just died.
    async fn register(&self, request: Request<axum::body::Body>) -> Result<Response<Body>, Status> {
        let (head, body) = whole(request).await?;
        let since = Instant::now();
        let mut is_first = true;
        loop {
            let said = self.say(again(&head, &body), self.patience).await?;
            let is_taken =
                Status::from_header_map(said.headers()).is_some_and(|status| status.code() == Code::AlreadyExists);
            if !is_taken || since.elapsed() >= self.away {
                return Ok(said);
            }
            if std::mem::take(&mut is_first) {
                tracing::warn!("the scheduler {} knows an executor of this name, until it gives it up", self.scheduler);
            }
            tokio::time::sleep(WAIT.0 * 5).await;
        }
    }
}

/// A request whose message is there.
async fn whole(request: Request<axum::body::Body>) -> Result<(Parts, Bytes), Status> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_MESSAGE_BYTES).await.map_err(|error| Status::internal(error.to_string()))?;
    Ok((head, body))
}

/// The same request, once more.
fn again(head: &Parts, body: &Bytes) -> Request<Body> {
    Request::from_parts(head.clone(), Body::new(axum::body::Body::from(body.clone())))
}

/// Whether a sign of life is one, and not the word that the executor ends.
fn says_that_it_lives(message: &[u8]) -> bool {
    let sign = message.get(PREFIX..).and_then(|sign| HeartBeatParams::decode(sign).ok());
    let status = sign.and_then(|sign| sign.status?.status);
    matches!(status, Some(Life::Active(_)))
}

/// What the scheduler would answer to a sign of life.
fn all_is_well() -> Response<Body> {
    let message = HeartBeatResult::default().encode_to_vec();
    // Not compressed, and so long.
    let mut answer = vec![0];
    answer.extend((message.len() as u32).to_be_bytes());
    answer.extend(message);
    let mut end = HeaderMap::new();
    end.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(answer)).with_trailers(std::future::ready(Some(Ok(end))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

async fn pass(State(way): State<Way>, request: Request<axum::body::Body>) -> Response<Body> {
    let answer = match request.uri().path() {
        path if path.ends_with(REPORT) => way.insist(request).await,
        path if path.ends_with(SIGN_OF_LIFE) => way.live(request).await,
        path if path.ends_with(REGISTRATION) => way.register(request).await,
        _ => way.say(request.map(Body::new), way.patience).await,
    };
    answer.unwrap_or_else(|status| status.into_http())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
    use ballista_core::serde::protobuf::{ExecutorStatus, ExecutorStoppedParams, UpdateTaskStatusParams};

    use super::*;

    /// How long a scheduler may be away.
    const AWAY: Duration = Duration::from_secs(1);

    /// Under which names something was heard.
    type Heard = Arc<Mutex<Vec<String>>>;

    async fn hear(State(heard): State<Heard>, request: Request<axum::body::Body>) -> Response<Body> {
        let name = request.headers()[REPORT_HEADER].to_str().unwrap().to_string();
        let is_first = heard.lock().is_empty();
        heard.lock().push(name);
        let code = if is_first { Code::Unavailable } else { Code::PermissionDenied };
        Status::new(code, "said the scheduler").into_http()
    }

    #[tokio::test]
    async fn what_a_task_has_come_to_is_said_until_the_scheduler_has_heard_it_by_the_same_name_each_time() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let relay = Relay::to(&address.to_string(), TRY, AWAY).await.unwrap();
        let channel = relay.begin().unwrap().connect().await.unwrap();
        let said = tokio::spawn(async move {
            SchedulerGrpcClient::new(channel).update_task_status(UpdateTaskStatusParams::default()).await
        });
        // Nobody listens yet.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!said.is_finished());
        let heard = Heard::default();
        let router = Router::new().fallback(hear).with_state(heard.clone());
        let listener = TcpListener::bind(address).await.unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });

        // What the scheduler answers is the end, whatever it is.
        let answer = said.await.unwrap().unwrap_err();
        assert_eq!((answer.code(), answer.message()), (Code::PermissionDenied, "said the scheduler"));
        let heard = heard.lock();
        assert_eq!(heard.len(), 2);
        assert_eq!(heard.iter().collect::<HashSet<_>>().len(), 1);
    }

    fn sign(status: Life) -> HeartBeatParams {
        let status = Some(ExecutorStatus { status: Some(status) });
        HeartBeatParams { status, ..HeartBeatParams::default() }
    }

    #[tokio::test]
    async fn a_scheduler_that_is_away_for_a_while_is_waited_for_and_not_for_ever() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let relay = Relay::to(&address.to_string(), TRY, AWAY).await.unwrap();
        let mut scheduler = SchedulerGrpcClient::new(relay.begin().unwrap().connect().await.unwrap());

        let lives = || sign(Life::Active(String::new()));
        let answer = scheduler.heart_beat_from_executor(lives()).await.unwrap().into_inner();
        assert_eq!(answer, HeartBeatResult::default());

        tokio::time::sleep(AWAY).await;
        let answer = scheduler.heart_beat_from_executor(lives()).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    }

    #[tokio::test]
    async fn everything_else_is_said_once() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let relay = Relay::to(&address.to_string(), TRY, AWAY).await.unwrap();
        let mut scheduler = SchedulerGrpcClient::new(relay.begin().unwrap().connect().await.unwrap());
        let ends = sign(Life::Terminating(String::new()));
        let answer = scheduler.heart_beat_from_executor(ends).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
        let answer = scheduler.executor_stopped(ExecutorStoppedParams::default()).await;
        assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    }
}
