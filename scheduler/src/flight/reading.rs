//! What statements may do: read, and name what they read. Nothing is written on behalf of others by the scheduler, whose
//! files these are not.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use tonic::Status;

/// What becomes of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// It has rows.
    Query,
    /// It gives something a name in the session.
    Definition,
}

/// Which sort of statement a plan is.
///
/// # Errors
/// Where it does more than read.
pub(crate) fn sort(plan: &LogicalPlan) -> Result<Sort, Status> {
    if let LogicalPlan::Ddl(definition) = plan {
        return match definition {
            DdlStatement::CreateExternalTable(table) if table.file_type.eq_ignore_ascii_case("root") => {
                Ok(Sort::Definition)
            }
            DdlStatement::CreateView(view) => sort(&view.input).and_then(|sort| match sort {
                Sort::Query => Ok(Sort::Definition),
                Sort::Definition => Err(refused("a view of a definition")),
            }),
            DdlStatement::DropTable(_) | DdlStatement::DropView(_) => Ok(Sort::Definition),
            other => Err(refused(other.name())),
        };
    }
    let mut found = None;
    let walked = plan.apply_with_subqueries(|node| {
        found = match node {
            LogicalPlan::Ddl(definition) => Some(definition.name().to_string()),
            LogicalPlan::Dml(_) => Some("INSERT, UPDATE or DELETE".to_string()),
            LogicalPlan::Copy(_) => Some("COPY".to_string()),
            LogicalPlan::Statement(statement) => Some(statement.name().to_string()),
            _ => None,
        };
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_err(|error| Status::invalid_argument(error.strip_backtrace()))?;
    if let Some(found) = found {
        return Err(refused(&found));
    }
    let parameters = plan.get_parameter_names().map_err(|error| Status::invalid_argument(error.strip_backtrace()))?;
    if !parameters.is_empty() {
        return Err(no_parameters());
    }
    Ok(Sort::Query)
}

/// Parameters are not filled in.
pub(crate) fn no_parameters() -> Status {
    Status::unimplemented("parameters of statements are not supported; write the values into the SQL")
}

fn refused(what: &str) -> Status {
    Status::permission_denied(format!(
        "{what} is refused here: only queries, views and CREATE EXTERNAL TABLE … STORED AS ROOT are accepted; \
         root-query sql --cluster writes results where it runs"
    ))
}
