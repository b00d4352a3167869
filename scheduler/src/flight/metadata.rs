//! What drivers ask about the server and its tables.

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables, Nullable, Searchable, SqlInfo,
    SqlSupportedCaseSensitivity, SqlSupportedTransaction, XdbcDataType,
};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;
use tonic::Status;

const TABLE: &str = "TABLE";
const VIEW: &str = "VIEW";
const TEMPORARY: &str = "LOCAL TEMPORARY";

/// What the server can do.
pub(crate) fn sql_info() -> Result<SqlInfoData, ArrowError> {
    let mut builder = SqlInfoDataBuilder::new();
    builder.append(SqlInfo::FlightSqlServerName, "root-query");
    builder.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    builder.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    builder.append(SqlInfo::FlightSqlServerReadOnly, true);
    builder.append(SqlInfo::FlightSqlServerSql, true);
    builder.append(SqlInfo::FlightSqlServerSubstrait, false);
    builder.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    builder.append(SqlInfo::FlightSqlServerCancel, false);
    builder.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    builder.append(SqlInfo::SqlDdlCatalog, false);
    builder.append(SqlInfo::SqlDdlSchema, false);
    builder.append(SqlInfo::SqlDdlTable, true);
    // Names keep their case and differ by it, for which there is no word.
    let case = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    builder.append(SqlInfo::SqlIdentifierCase, case);
    builder.append(SqlInfo::SqlQuotedIdentifierCase, case);
    builder.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    builder.append(SqlInfo::SqlAllTablesAreSelectable, true);
    builder.build().map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

/// The types of columns, as drivers for databases call them.
pub(crate) fn xdbc_type_info() -> Result<XdbcTypeInfoData, ArrowError> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for (name, data_type, column_size) in [
        ("BOOLEAN", XdbcDataType::XdbcBit, Some(1)),
        ("TINYINT", XdbcDataType::XdbcTinyint, Some(3)),
        ("SMALLINT", XdbcDataType::XdbcSmallint, Some(5)),
        ("INTEGER", XdbcDataType::XdbcInteger, Some(10)),
        ("BIGINT", XdbcDataType::XdbcBigint, Some(19)),
        ("FLOAT", XdbcDataType::XdbcFloat, Some(7)),
        ("DOUBLE", XdbcDataType::XdbcDouble, Some(15)),
        ("VARCHAR", XdbcDataType::XdbcVarchar, None),
        ("VARBINARY", XdbcDataType::XdbcVarbinary, None),
    ] {
        builder.append(XdbcTypeInfo {
            type_name: name.into(),
            data_type,
            column_size,
            literal_prefix: None,
            literal_suffix: None,
            create_params: None,
            nullable: Nullable::NullabilityNullable,
            case_sensitive: true,
            searchable: Searchable::Full,
            unsigned_attribute: None,
            fixed_prec_scale: false,
            auto_increment: None,
            local_type_name: Some(name.into()),
            minimum_scale: None,
            maximum_scale: None,
            sql_data_type: data_type,
            datetime_subcode: None,
            num_prec_radix: None,
            interval_precision: None,
        });
    }
    builder.build().map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

pub(crate) fn catalogs(context: &SessionContext, query: CommandGetCatalogs) -> Result<RecordBatch, Status> {
    let mut builder = query.into_builder();
    for catalog in context.catalog_names() {
        builder.append(catalog);
    }
    builder.build().map_err(|error| not_told(&error))
}

pub(crate) fn schemas(context: &SessionContext, query: CommandGetDbSchemas) -> Result<RecordBatch, Status> {
    let mut builder = query.into_builder();
    for name in context.catalog_names() {
        let schemas = context.catalog(&name).map(|catalog| catalog.schema_names()).unwrap_or_default();
        schemas.iter().for_each(|schema| builder.append(&name, schema));
    }
    builder.build().map_err(|error| not_told(&error))
}

pub(crate) async fn tables(context: &SessionContext, query: CommandGetTables) -> Result<RecordBatch, Status> {
    let mut builder = query.into_builder();
    for catalog_name in context.catalog_names() {
        let Some(catalog) = context.catalog(&catalog_name) else { continue };
        for schema_name in catalog.schema_names() {
            let Some(schema) = catalog.schema(&schema_name) else { continue };
            for name in schema.table_names() {
                // Somebody may have dropped it since.
                let Ok(Some(table)) = schema.table(&name).await else { continue };
                let sort = match table.table_type() {
                    TableType::Base => TABLE,
                    TableType::View => VIEW,
                    TableType::Temporary => TEMPORARY,
                };
                let added = builder.append(&catalog_name, &schema_name, &name, sort, table.schema().as_ref());
                added.map_err(|error| not_told(&error))?;
            }
        }
    }
    builder.build().map_err(|error| not_told(&error))
}

pub(crate) fn table_types(query: CommandGetTableTypes) -> Result<RecordBatch, Status> {
    let mut builder = query.into_builder();
    for sort in [TABLE, VIEW, TEMPORARY] {
        builder.append(sort);
    }
    builder.build().map_err(|error| not_told(&error))
}

fn not_told(error: &FlightError) -> Status {
    Status::internal(format!("the answer cannot be put together: {error}"))
}
