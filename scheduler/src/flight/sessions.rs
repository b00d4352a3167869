//! Sessions of those who query over Flight SQL: one for each user, forgotten when it is not used.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::logical_expr::LogicalPlan;
use eos_io::Stores;
use parking_lot::Mutex;
use root_cluster::{Access, Cluster};
use root_engine::{ErrorKind, RootSession};
use tonic::Status;
use uuid::Uuid;

use super::reading::{Sort, sort};
use crate::auth::User;

/// Users who have sessions at the same time.
const MOST: usize = 256;
/// A session that was not used for so long is forgotten, with its tables and views.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// Statements of a session that are prepared, or whose rows nobody has asked for yet.
const STATEMENTS: usize = 128;
/// Rows that nobody has asked for within that time are not asked for any more.
const UNASKED: Duration = Duration::from_secs(10 * 60);
/// Bytes of a statement.
const LONGEST: usize = 1 << 20;
/// Bytes that sorts and joins of a session may hold in the scheduler, where only what names no files computes.
const MEMORY: usize = 256 << 20;

/// How the scheduler reaches itself.
#[derive(Clone)]
pub(crate) struct OwnDoor {
    pub address: SocketAddr,
    pub secret: Arc<str>,
}

/// All sessions. Clones share them.
#[derive(Clone)]
pub(crate) struct Sessions {
    door: OwnDoor,
    stores: Stores,
    open: Arc<Mutex<HashMap<User, Arc<Session>>>>,
}

/// The session of a user.
pub(crate) struct Session {
    pub(crate) root: RootSession,
    cluster: Cluster,
    statements: Mutex<HashMap<String, Statement>>,
    used: Mutex<Instant>,
}

/// A statement that was planned.
#[derive(Clone)]
pub(crate) enum Statement {
    /// Its rows can be asked for once.
    Ready { plan: LogicalPlan, since: Instant },
    /// It can be run again and again.
    Prepared { sql: String },
}

impl Sessions {
    pub(crate) fn new(door: OwnDoor, stores: Stores) -> Self {
        Self { door, stores, open: Arc::default() }
    }

    /// The session of a user, a new one if there is none.
    pub(crate) async fn of(&self, user: &User) -> Result<Arc<Session>, Status> {
        if let Some(session) = self.open.lock().get(user) {
            session.touch();
            return Ok(Arc::clone(session));
        }
        let access = Access::acting_for(Arc::clone(&self.door.secret), user.name().to_string());
        let address = format!("http://{}", self.door.address);
        let cluster = Cluster::connect_with(&address, access).await.map_err(|error| unavailable(&error))?;
        let elsewhere = cluster.elsewhere().await.map_err(|error| unavailable(&error))?;
        // Separate, so that what one user has opened another cannot use by its name.
        let builder = RootSession::builder().elsewhere(elsewhere).stores(self.stores.separate()).memory_limit(MEMORY);
        let session = Arc::new(Session {
            root: builder.build(),
            cluster,
            statements: Mutex::default(),
            used: Mutex::new(Instant::now()),
        });
        let mut open = self.open.lock();
        if open.len() >= MOST && !open.contains_key(user) {
            return Err(Status::resource_exhausted(format!("{MOST} users have sessions already; try again later")));
        }
        // Another request of the same user may have been faster.
        Ok(Arc::clone(open.entry(user.clone()).or_insert(session)))
    }

    /// Forgets sessions and statements that nobody uses, from time to time.
    pub(crate) async fn tidy(self) {
        let mut clock = tokio::time::interval(Duration::from_secs(60));
        loop {
            clock.tick().await;
            let mut open = self.open.lock();
            // Rows that are on their way hold their session.
            open.retain(|_, session| Arc::strong_count(session) > 1 || session.used.lock().elapsed() < IDLE);
        }
    }
}

impl Session {
    /// Plans a statement for the cluster as it is now, with the executors that may still come.
    pub(crate) async fn plan(&self, sql: &str) -> Result<(LogicalPlan, Sort), Status> {
        if sql.len() > LONGEST {
            return Err(Status::invalid_argument(format!("the statement is longer than {LONGEST} bytes")));
        }
        let now = self.cluster.status().await.map_err(|error| unavailable(&error))?;
        if now.most_cores > 0 {
            let state = self.root.context().state_ref();
            state.write().config_mut().options_mut().execution.target_partitions = now.most_cores;
        }
        let plan = self.root.logical_plan(sql).await.map_err(|error| not_planned(&error))?;
        let sort = sort(&plan)?;
        Ok((plan, sort))
    }

    /// Keeps a statement, under a name that nobody can guess.
    pub(crate) fn keep(&self, statement: Statement) -> Result<String, Status> {
        let mut kept = self.statements.lock();
        kept.retain(|_, statement| !matches!(statement, Statement::Ready { since, .. } if since.elapsed() > UNASKED));
        if kept.len() >= STATEMENTS {
            return Err(Status::resource_exhausted(format!(
                "{STATEMENTS} statements are open in this session; close some, or fetch their rows"
            )));
        }
        let name = Uuid::new_v4().simple().to_string();
        kept.insert(name.clone(), statement);
        Ok(name)
    }

    /// The SQL of a prepared statement.
    pub(crate) fn prepared(&self, name: &str) -> Result<String, Status> {
        match self.statements.lock().get(name) {
            Some(Statement::Prepared { sql }) => Ok(sql.clone()),
            _ => Err(Status::not_found("there is no such prepared statement; prepare it again")),
        }
    }

    /// The plan whose rows are asked for.
    pub(crate) fn take(&self, name: &str) -> Result<LogicalPlan, Status> {
        let mut kept = self.statements.lock();
        match kept.remove(name) {
            Some(Statement::Ready { plan, .. }) => Ok(plan),
            other => {
                kept.extend(other.map(|statement| (name.to_string(), statement)));
                Err(Status::not_found("these rows were fetched already, or not for too long; run it again"))
            }
        }
    }

    /// Remembers that it is in use.
    pub(crate) fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    /// Forgets a prepared statement.
    pub(crate) fn close(&self, name: &str) {
        self.statements.lock().remove(name);
    }
}

/// An error before anything has run, as clients see it.
fn not_planned(error: &root_engine::Error) -> Status {
    status(error.kind(), error.to_string(), tonic::Code::InvalidArgument)
}

/// An error as clients see it; `query` is the code where neither files nor credentials are at fault.
pub(crate) fn status(kind: ErrorKind, message: String, query: tonic::Code) -> Status {
    let code = match kind {
        ErrorKind::Usage => tonic::Code::InvalidArgument,
        ErrorKind::Input => tonic::Code::NotFound,
        // Not "unauthenticated": it is the scheduler or an executor that a store refuses.
        ErrorKind::Authentication => tonic::Code::PermissionDenied,
        _ => query,
    };
    Status::new(code, message)
}

pub(crate) fn unavailable(error: &root_cluster::Error) -> Status {
    Status::unavailable(error.to_string())
}
