//! Files of luminosity that a statement names: they are read once it is planned and before it is optimized, through the
//! session's stores, and the functions that name them hold what they say from then on. `sections` has the aggregates.

mod sections;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as PlanResult, plan_datafusion_err};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDFImpl};
use eos_io::Stores;
use root_physics::lumi::{LumiMask, LumiTable};

use crate::error::Error;
use crate::functions::{InLumiMask, ReadMask, in_lumi_mask};

use sections::is_unread;
pub(crate) use sections::{aggregates, sum_over, table_of};

/// No mask is nearly as large: those of whole years of data are a megabyte.
const MASK_BYTES: u64 = 256 << 20;
/// A table of ten years of data has less than a tenth of it.
const TABLE_BYTES: u64 = 1 << 30;

/// Reads a mask of certified luminosity sections, a file or URL.
///
/// # Errors
/// Where it cannot be read, or is none.
pub async fn read_mask(file: &str, stores: &Stores) -> Result<LumiMask, Error> {
    let json = read(file, MASK_BYTES, stores).await?;
    LumiMask::parse(&json).map_err(|source| Error::Lumi { file: eos_io::redact(file), source })
}

/// Reads a table of the luminosity of each section, a file or URL.
///
/// # Errors
/// Where it cannot be read, or is none.
pub async fn read_table(file: &str, stores: &Stores) -> Result<LumiTable, Error> {
    let csv = read(file, TABLE_BYTES, stores).await?;
    LumiTable::parse(&csv).map_err(|source| Error::Lumi { file: eos_io::redact(file), source })
}

async fn read(file: &str, limit: u64, stores: &Stores) -> Result<Bytes, Error> {
    let unreadable = |source| Error::LumiFile { file: eos_io::redact(file), source: Box::new(source) };
    stores.resolve(file).map_err(unreadable)?.read_whole(limit).await.map_err(unreadable)
}

/// A plan whose functions hold the files that they name.
pub(crate) async fn read_files(plan: LogicalPlan, stores: &Stores) -> Result<LogicalPlan, Error> {
    let (mut masks, mut tables) = (BTreeMap::new(), BTreeMap::new());
    for named in files_of(&plan)? {
        match named {
            Named::Mask(file) => {
                let mask = read_mask(&file, stores).await?;
                masks.insert(file.clone(), Arc::new(ReadMask { file, mask, counts: None }));
            }
            Named::Table(file) => {
                let table = read_table(&file, stores).await?;
                tables.insert(file, Arc::new(table));
            }
        }
    }
    if masks.is_empty() && tables.is_empty() {
        return Ok(plan);
    }
    let hold = |expression: Expr| {
        expression.transform_up(|node| {
            let Some(named) = named_by(&node)? else { return Ok(Transformed::no(node)) };
            Ok(match (node, named) {
                (Expr::ScalarFunction(call), Named::Mask(file)) => {
                    let func = Arc::new(in_lumi_mask(masks.get(&file).cloned()));
                    Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: call.args }))
                }
                (Expr::AggregateFunction(call), Named::Table(file)) => match tables.get(&file) {
                    Some(table) => Transformed::yes(Expr::AggregateFunction(AggregateFunction {
                        func: Arc::new(sum_over(table.clone())),
                        params: call.params,
                    })),
                    None => Transformed::no(Expr::AggregateFunction(call)),
                },
                (other, _) => Transformed::no(other),
            })
        })
    };
    Ok(plan.transform_down_with_subqueries(|node| node.map_expressions(hold))?.data)
}

/// A file that a function names.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Mask(String),
    Table(String),
}

/// The files that functions of a plan name and do not hold yet.
fn files_of(plan: &LogicalPlan) -> PlanResult<Vec<Named>> {
    let mut files = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|node| {
                files.extend(named_by(node)?.filter(|named| !files.contains(named)));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(files)
}

/// The file that a call names and does not hold yet.
fn named_by(expression: &Expr) -> PlanResult<Option<Named>> {
    let (argument, named): (_, fn(String) -> Named) = match expression {
        Expr::ScalarFunction(call) => {
            let function: &dyn ScalarUDFImpl = call.func.inner().as_ref();
            match (function as &dyn Any).downcast_ref::<InLumiMask>() {
                Some(mask) if mask.mask().is_none() => (call.args.get(2), Named::Mask),
                _ => return Ok(None),
            }
        }
        Expr::AggregateFunction(call) if is_unread(&call.func) => (call.params.args.get(2), Named::Table),
        _ => return Ok(None),
    };
    // Of an argument that is not there the planner complains.
    let Some(argument) = argument else { return Ok(None) };
    let file = argument.as_literal().and_then(|literal| literal.try_as_str().flatten());
    let file = file.ok_or_else(|| {
        plan_datafusion_err!("the name of a luminosity file must be written out, in place of {argument}")
    })?;
    Ok(Some(named(file.to_string())))
}
