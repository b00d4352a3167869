//! Events as rows: for other programs, and for files of those that are wanted. This is a pass of its own.

use std::collections::HashMap;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::file_format::format_as_file_type;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};

use super::graph::{Events, Step};
use super::layers::column;
use crate::copy_to::resolve;
use crate::error::Error;

impl Events {
    /// These columns of the events as rows, without variation, as a pass of its own over the files.
    ///
    /// # Errors
    /// Where there is no such column.
    pub fn rows<S: AsRef<str>>(&self, columns: impl IntoIterator<Item = S>) -> Result<DataFrame, Error> {
        let mut frame = self.graph.table.clone();
        let from_table = frame
            .schema()
            .iter()
            .map(|(qualifier, field)| Expr::Column(Column::from((qualifier, field))).alias(field.name()));
        let from_table = from_table.collect::<Vec<_>>();
        frame = frame.select(from_table)?;
        for node in self.node.chain() {
            frame = match &node.step {
                Step::Filter { condition, .. } => frame.filter(condition.clone())?,
                Step::Define { column, value } => frame.with_column(column, value.clone())?,
                Step::Source | Step::Weight(_) | Step::Vary { .. } => frame,
            };
        }
        let scope = self.scope();
        let chosen = columns.into_iter().map(|name| {
            let name = name.as_ref();
            match self.node.columns.has_column_with_unqualified_name(name) {
                true => Ok(column(name)),
                false => Err(Error::Expression { what: "column", text: name.to_owned(), reason: scope.missing(name) }),
            }
        });
        Ok(frame.select(chosen.collect::<Result<Vec<_>, _>>()?)?)
    }

    /// Writes these columns of the events into a file, in a pass of its own, and says how many events they are. The ending
    /// of the name says which format: `.root`, `.parquet`, `.csv` or `.json`. URLs can be written to as well as paths. On
    /// several threads the events come in no particular order; [`Ordered`](crate::Ordered) keeps that of [`rows`](Self::rows).
    ///
    /// # Errors
    /// Where there is no such column, the format is not known, or the file cannot be written.
    pub async fn skim<S: AsRef<str>>(&self, columns: impl IntoIterator<Item = S>, file: &str) -> Result<u64, Error> {
        let rows = self.rows(columns)?;
        let session = &self.graph.session;
        let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
        let state = session.context().state();
        let Some(format) = state.get_file_format_factory(ending) else {
            return Err(Error::Option {
                name: "file".into(),
                value: file.into(),
                expected: "its name ends in .root, .parquet, .csv or .json, which says the format".into(),
            });
        };
        let plan = rows.into_unoptimized_plan();
        let plan =
            LogicalPlanBuilder::copy_to(plan, file.into(), format_as_file_type(format), HashMap::new(), Vec::new())?;
        let plan = resolve(plan.build()?, session.stores(), &session.context().runtime_env())?;
        let counts = session.context().execute_logical_plan(plan).await?.collect().await?;
        let counts = counts.iter().filter_map(|batch| batch.columns().first()?.as_primitive_opt::<UInt64Type>());
        Ok(counts.flat_map(|counts| counts.iter().flatten()).sum())
    }
}
