//! SQL by other programs: Arrow Flight SQL, which drivers of many languages speak. A statement is planned here, by a session of
//! `root-engine`, and runs on the cluster; its rows are computed as they are fetched.
//!
//! `sessions` keeps what belongs to a user, `reading` says which statements are accepted, `rows` is how rows leave, and
//! `metadata` what drivers ask for.

mod metadata;
mod reading;
mod rows;
mod sessions;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementQuery,
    CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, SchemaAsIpc,
    Ticket,
};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use datafusion::logical_expr::LogicalPlan;
use futures::Stream;
use prost::Message;
use root_cluster::PARTITION_TICKET;
use tonic::{Request, Response, Status, Streaming};

use crate::auth::{User, token_of};
use crate::front::user_of;
use reading::{Sort, no_parameters};
use rows::Rows;

use sessions::{Session, Statement};

pub(crate) use rows::Parts;
pub(crate) use sessions::{OwnDoor, Sessions};

/// Flight SQL of a scheduler.
pub(crate) struct FlightSql {
    sessions: Sessions,
    parts: Parts,
    sql_info: SqlInfoData,
    types: XdbcTypeInfoData,
}

impl FlightSql {
    pub(crate) fn new(sessions: Sessions, parts: Parts) -> Result<Self, ArrowError> {
        Ok(Self { sessions, parts, sql_info: metadata::sql_info()?, types: metadata::xdbc_type_info()? })
    }

    async fn session(&self, user: User) -> Result<Arc<Session>, Status> {
        self.sessions.of(&user).await
    }
}

/// Carries a definition out, or says where the rows of a query are.
async fn info(
    session: &Session,
    plan: LogicalPlan,
    sort: Sort,
    descriptor: FlightDescriptor,
) -> Result<Response<FlightInfo>, Status> {
    let schema = Session::schema_of(&plan);
    let statement_handle = match sort {
        Sort::Query => session.keep(Statement::Ready { plan, since: Instant::now() })?.into(),
        Sort::Definition => {
            session.define(plan).await?;
            prost::bytes::Bytes::new()
        }
    };
    told(TicketStatementQuery { statement_handle }, &schema, descriptor)
}

/// Where the answer to a command is: here, for a ticket that repeats it.
fn told<C: ProstMessageExt>(
    command: C,
    schema: &Schema,
    descriptor: FlightDescriptor,
) -> Result<Response<FlightInfo>, Status> {
    let ticket = Ticket { ticket: command.as_any().encode_to_vec().into() };
    let info = FlightInfo::new().try_with_schema(schema).map_err(|error| not_encoded(&error))?;
    let endpoint = FlightEndpoint::new().with_ticket(ticket);
    Ok(Response::new(info.with_descriptor(descriptor).with_endpoint(endpoint)))
}

fn encoded(schema: &Schema) -> Result<prost::bytes::Bytes, Status> {
    let message: IpcMessage =
        SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().map_err(|error| not_encoded(&error))?;
    Ok(message.0)
}

fn not_encoded(error: &ArrowError) -> Status {
    Status::internal(format!("the schema cannot be sent: {error}"))
}

fn name(handle: &[u8]) -> Result<&str, Status> {
    std::str::from_utf8(handle).map_err(|_| Status::invalid_argument("this is no handle of a statement"))
}

type Answer = Result<Response<Rows>, Status>;
type Handshake = Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl FlightSqlService for FlightSql {
    type FlightService = Self;

    /// Whoever comes so far was let in; what they have shown is what they go on showing.
    async fn do_handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Result<Response<Handshake>, Status> {
        // Programs that know names and passwords are given the token that they have shown as a password.
        let shown = token_of(&request.metadata().clone().into_headers()).map(|token| format!("Bearer {token}").parse());
        let answer = HandshakeResponse { protocol_version: 0, payload: prost::bytes::Bytes::new() };
        let mut response = Response::new(Box::pin(futures::stream::iter([Ok(answer)])) as Handshake);
        if let Some(Ok(shown)) = shown {
            response.metadata_mut().insert("authorization", shown);
        }
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let session = self.session(user_of(&request)?).await?;
        let (plan, sort) = session.plan(&query.query).await?;
        info(&session, plan, sort, request.into_inner()).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let session = self.session(user_of(&request)?).await?;
        let (plan, sort) = session.plan(&session.prepared(name(&query.prepared_statement_handle)?)?).await?;
        info(&session, plan, sort, request.into_inner()).await
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Answer {
        // A definition was carried out already.
        if ticket.statement_handle.is_empty() {
            return Ok(Response::new(rows::none(Arc::new(Schema::empty()))));
        }
        let session = self.session(user_of(&request)?).await?;
        let plan = session.take(name(&ticket.statement_handle)?)?;
        Ok(Response::new(rows::of_query(session, plan).await?))
    }

    /// Parts of results of jobs that a client of ours has submitted.
    async fn do_get_fallback(&self, request: Request<Ticket>, message: Any) -> Answer {
        if message.type_url != PARTITION_TICKET {
            return Err(Status::invalid_argument("this ticket is not of this server"));
        }
        let user: User = user_of(&request)?;
        Ok(Response::new(self.parts.rows(&message.value, &user).await?))
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let session = self.session(user_of(&request)?).await?;
        let (plan, _) = session.plan(&query.query).await?;
        let schema: SchemaRef = Session::schema_of(&plan);
        Ok(ActionCreatePreparedStatementResult {
            dataset_schema: encoded(&schema)?,
            parameter_schema: encoded(&Schema::empty())?,
            prepared_statement_handle: session.keep(Statement::Prepared { sql: query.query })?.into(),
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.session(user_of(&request)?).await?.close(name(&query.prepared_statement_handle)?);
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        _: CommandPreparedStatementQuery,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        Err(no_parameters())
    }

    async fn do_put_statement_update(
        &self,
        update: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let session = self.session(user_of(&request)?).await?;
        define(&session, &update.query).await
    }

    async fn do_put_prepared_statement_update(
        &self,
        update: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let session = self.session(user_of(&request)?).await?;
        let sql = session.prepared(name(&update.prepared_statement_handle)?)?;
        define(&session, &sql).await
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.into_builder().schema();
        told(query, &schema, request.into_inner())
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.clone().into_builder().schema();
        told(query, &schema, request.into_inner())
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.clone().into_builder().schema();
        told(query, &schema, request.into_inner())
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.into_builder().schema();
        told(query, &schema, request.into_inner())
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.clone().into_builder(&self.sql_info).schema();
        told(query, &schema, request.into_inner())
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.into_builder(&self.types).schema();
        told(query, &schema, request.into_inner())
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, request: Request<Ticket>) -> Answer {
        let session = self.session(user_of(&request)?).await?;
        Ok(Response::new(rows::of_batch(metadata::catalogs(session.root.context(), query)?)))
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> Answer {
        let session = self.session(user_of(&request)?).await?;
        Ok(Response::new(rows::of_batch(metadata::schemas(session.root.context(), query)?)))
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Answer {
        let session = self.session(user_of(&request)?).await?;
        Ok(Response::new(rows::of_batch(metadata::tables(session.root.context(), query).await?)))
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _: Request<Ticket>) -> Answer {
        Ok(Response::new(rows::of_batch(metadata::table_types(query)?)))
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _: Request<Ticket>) -> Answer {
        let batch = query.into_builder(&self.sql_info).build();
        Ok(Response::new(rows::of_batch(batch.map_err(|error| Status::internal(error.to_string()))?)))
    }

    async fn do_get_xdbc_type_info(&self, query: CommandGetXdbcTypeInfo, _: Request<Ticket>) -> Answer {
        let batch = query.into_builder(&self.types).build();
        Ok(Response::new(rows::of_batch(batch.map_err(|error| Status::internal(error.to_string()))?)))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

async fn define(session: &Session, sql: &str) -> Result<i64, Status> {
    match session.plan(sql).await? {
        (plan, Sort::Definition) => session.define(plan).await.map(|()| 0),
        (_, Sort::Query) => Err(Status::invalid_argument("a query has rows; ask for them instead of executing it")),
    }
}
