//! Friends that are joined by columns: a view over the tables, after a look at the keys, which must be unique.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, UInt64Type};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Column, JoinType, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::SessionContext;

use super::{Friend, OnMissingFriend, short_name};
use crate::error::Error;
use crate::opener::{ENTRY_COLUMN, FILE_COLUMN};
use crate::suggest::nearest;
use crate::table::RootTable;

/// How often a key occurs.
const TIMES: &str = "#times";

/// A table and its friends as one: each row of the table once, and beside it the row of each friend that has its keys.
///
/// The friends' tables have the columns that tell where a row comes from.
pub(crate) async fn joined(
    context: &SessionContext,
    main: Arc<RootTable>,
    friends: Vec<(Friend, Arc<RootTable>)>,
    missing: OnMissingFriend,
) -> Result<Arc<dyn TableProvider>, Error> {
    let mut view = context.read_table(main.clone())?;
    for (friend, table) in friends {
        let prefix = friend.alias.clone().unwrap_or_else(|| short_name(table.tree()).to_string());
        for key in &friend.on {
            check_key(key, &friend, &main, &table)?;
        }
        // Without a name of its own its columns would be taken for those of the table where members are pushed down.
        let rows = context.read_table(table.clone())?.alias(&prefix)?;
        check_unique(&rows, &friend).await?;
        let mut columns = Vec::new();
        for field in table.schema().fields() {
            let name = format!("{prefix}.{}", field.name());
            if [FILE_COLUMN, ENTRY_COLUMN].contains(&field.name().as_str()) {
                continue;
            }
            if view.schema().has_column_with_unqualified_name(&name) {
                return Err(Error::FriendColumn { friend: friend.files, column: name });
            }
            columns.push(column(field.name()).alias(name));
        }
        let theirs = rows.select(columns)?;
        let on: Vec<Expr> = friend.on.iter().map(|key| column(key).eq(column(&format!("{prefix}.{key}")))).collect();
        if missing == OnMissingFriend::Fail {
            let main = context.read_table(main.clone())?;
            check_complete(main.join_on(theirs.clone(), JoinType::LeftAnti, on.clone())?, &friend).await?;
        }
        view = view.join_on(theirs, JoinType::Left, on)?;
    }
    Ok(Arc::new(ViewTable::new(view.into_unoptimized_plan(), None)))
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

/// Whether the table and the friend have the column of a key, and their values can be compared without a loss.
fn check_key(key: &str, friend: &Friend, main: &RootTable, theirs: &RootTable) -> Result<(), Error> {
    let fault = |reason: String| Error::FriendKey { friend: friend.files.clone(), key: key.to_string(), reason };
    let type_in = |table: &RootTable, whose: &str| {
        let schema = table.schema();
        let Ok(field) = schema.field_with_name(key) else {
            let near = nearest(key, schema.fields().iter().map(|f| f.name().as_str()));
            let hint = near.first().map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
            return Err(fault(format!("{whose} has no such column{hint}")));
        };
        match field.data_type() {
            key if key.is_integer() || matches!(key, DataType::Utf8 | DataType::Boolean) => Ok(key.clone()),
            other => Err(fault(format!("it is {other} in {whose}, and a key is an integer, a string or a boolean"))),
        }
    };
    let (own, other) = (type_in(main, "the table")?, type_in(theirs, "the friend")?);
    match own == other || own.is_integer() && other.is_integer() {
        true => Ok(()),
        false => Err(fault(format!("it is {own} in the table and {other} in the friend"))),
    }
}

/// Looks for a key that two rows of a friend have. Without it each row of the table has one partner at most.
async fn check_unique(rows: &DataFrame, friend: &Friend) -> Result<(), Error> {
    let keys: Vec<Expr> = friend.on.iter().map(|key| column(key)).collect();
    let is_key = keys.iter().cloned().map(Expr::is_not_null).reduce(Expr::and).unwrap_or_else(|| lit(true));
    let twice = rows.clone().filter(is_key)?.aggregate(keys, vec![count(lit(1)).alias(TIMES)])?;
    let twice = twice.filter(column(TIMES).gt(lit(1)))?.limit(0, Some(1))?.collect().await?;
    let Some(found) = first_row(&twice) else { return Ok(()) };
    let mut is_it = lit(true);
    for key in &friend.on {
        let value = found.column_by_name(key).map(|array| ScalarValue::try_from_array(array, 0));
        if let Some(value) = value.transpose()? {
            is_it = is_it.and(column(key).eq(lit(value)));
        }
    }
    let order = vec![column(FILE_COLUMN).sort(true, false), column(ENTRY_COLUMN).sort(true, false)];
    let places = rows.clone().filter(is_it)?.sort(order)?.limit(0, Some(2))?;
    let places = places.select(vec![column(FILE_COLUMN), column(ENTRY_COLUMN)])?.collect().await?;
    let mut entries = places.iter().flat_map(|batch| {
        let (files, entries) =
            (batch.column(0).as_string_opt::<i32>(), batch.column(1).as_primitive_opt::<UInt64Type>());
        let place = move |row: usize| Some(format!("entry {} of {}", entries?.value(row), files?.value(row)));
        (0..batch.num_rows()).filter_map(place)
    });
    Err(Error::FriendTwice {
        friend: friend.files.clone(),
        key: shown(found, friend),
        first: entries.next().unwrap_or_default(),
        second: entries.next().unwrap_or_default(),
    })
}

/// Refuses rows for which a friend has none.
async fn check_complete(alone: DataFrame, friend: &Friend) -> Result<(), Error> {
    let keys = friend.on.iter().map(|key| column(key)).collect::<Vec<_>>();
    let alone = alone.select(keys)?.limit(0, Some(1))?.collect().await?;
    match first_row(&alone) {
        Some(row) => Err(Error::FriendMissing { friend: friend.files.clone(), key: shown(row, friend) }),
        None => Ok(()),
    }
}

fn first_row(batches: &[RecordBatch]) -> Option<&RecordBatch> {
    batches.iter().find(|batch| batch.num_rows() > 0)
}

/// The keys of the first row: `run = 1, event = 7`.
fn shown(row: &RecordBatch, friend: &Friend) -> String {
    let value = |key: &String| match row.column_by_name(key) {
        Some(array) if array.is_valid(0) => array_value_to_string(array, 0).unwrap_or_default(),
        _ => "NULL".to_string(),
    };
    friend.on.iter().map(|key| format!("{key} = {}", value(key))).collect::<Vec<_>>().join(", ")
}
