//! Values, masks and outputs as a plan: filters, layers of columns, one aggregate.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::{Column, DataFusionError, Result};
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit, when};
use root_hist::Histogram;

use super::compile::{Mask, Output, Values};
use super::layers::{column, columns_in, is_costly, is_in_lambda, replace, with_columns};
use crate::histogram::fill_like;

/// Where there are more masks than that under which a value is needed, it is computed under what they have in common.
const MOST_MASKS: usize = 8;

impl Values {
    /// The plan over the table; its only row has a column for each output.
    pub(super) fn plan(&self, table: LogicalPlan) -> Result<LogicalPlan> {
        let mut shared = self.shared_masks();
        let mut demand = Demand::new(self, &shared);
        let filters = self.filters(&shared, &demand)?;
        if filters.len() < shared.len() {
            shared.truncate(filters.len());
            demand = Demand::new(self, &shared);
        }
        let plan = filtered(table, filters, &demand)?;
        let columns = self.columns(&demand)?;

        let passes = |mask: Mask| demand.beyond(mask).map(|mask| self.mask_name(mask, &demand));
        let mut wanted = BTreeSet::new();
        for output in &self.outputs {
            wanted.extend(output.columns().iter().cloned());
            wanted.extend(passes(output.mask()));
        }
        let plan = with_columns(plan, &columns, &wanted)?;
        let aggregates = self.outputs.iter().enumerate().map(|(at, output)| {
            let aggregate = aggregate(output, passes(output.mask()).as_deref())?;
            Ok(aggregate.alias(format!("result {at}")))
        });
        let aggregates = aggregates.collect::<Result<Vec<_>>>()?;
        LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), aggregates)?.build()
    }

    /// The masks that all outputs begin with, the empty one left out.
    fn shared_masks(&self) -> Vec<usize> {
        let mut paths = self.outputs.iter().map(|output| self.path(output.mask()));
        let mut shared = paths.next().unwrap_or_default();
        for path in paths {
            let same = shared.iter().zip(&path).take_while(|(one, other)| one == other).count();
            shared.truncate(same);
        }
        shared
    }

    /// The masks on the way to a mask, and itself.
    fn path(&self, mask: Mask) -> Vec<usize> {
        let mut path: Vec<usize> = std::iter::successors(mask, |mask| self.before(*mask)).collect();
        path.reverse();
        path
    }

    fn before(&self, mask: usize) -> Mask {
        self.masks.get(mask).and_then(|(before, _)| *before)
    }

    fn condition(&self, mask: usize) -> &str {
        self.masks.get(mask).map_or("", |(_, condition)| condition)
    }

    /// The column that says which events pass a mask behind the filters.
    fn mask_name(&self, mask: usize, demand: &Demand) -> String {
        match self.before(mask).and_then(|before| demand.beyond(Some(before))) {
            None => self.condition(mask).to_owned(),
            Some(_) => {
                let mut name = format!("mask#{mask}");
                while self.raw.contains(&name) || self.by_name.contains_key(&name) {
                    name.push('#');
                }
                name
            }
        }
    }

    fn expr_of(&self, name: &str) -> Option<&Expr> {
        self.by_name.get(name).and_then(|&number| self.values.get(number)).map(|value| &value.expr)
    }

    /// The conditions that all outputs share, over columns of the table. They end in front of the first one that takes what
    /// is costly and needed elsewhere too: a filter is moved into the scan, where all of that is computed for it alone.
    fn filters(&self, shared: &[usize], demand: &Demand) -> Result<Vec<Expr>> {
        let mut filters = Vec::new();
        for mask in shared {
            match self.for_one_use(self.condition(*mask), demand)? {
                Some(condition) => filters.push(condition),
                None => break,
            }
        }
        Ok(filters)
    }

    /// A value over columns of the table, if nothing costly in it is needed more than once.
    fn for_one_use(&self, name: &str, demand: &Demand) -> Result<Option<Expr>> {
        let Some(expr) = self.expr_of(name) else { return Ok(Some(column(name))) };
        let mut parts = BTreeMap::new();
        for part in columns_in(expr).into_keys() {
            let Some(expanded) = self.for_one_use(&part, demand)? else { return Ok(None) };
            parts.insert(part, expanded);
        }
        let expr = replace(expr.clone(), &|part| parts.get(part).cloned())?;
        Ok((demand.uses(name) == 1 || !is_costly(&expr)).then_some(expr))
    }

    /// The columns behind the filters: values, and masks.
    fn columns(&self, demand: &Demand) -> Result<BTreeMap<String, Expr>> {
        let mut bodies: BTreeMap<&str, Expr> = BTreeMap::new();
        let mut columns = BTreeMap::new();
        for (number, value) in self.values.iter().enumerate() {
            let Some(masks) = demand.masks_of.get(&number) else { continue };
            let body = replace(value.expr.clone(), &|part| {
                let body = bodies.get(part).filter(|_| demand.uses_behind(part) == 1)?;
                // What a lambda names is computed once for each event, and not once for each element.
                (!is_costly(body) || !is_in_lambda(&value.expr, part)).then(|| body.clone())
            })?;
            let masks = self.widest(masks);
            columns.insert(
                value.name.clone(),
                match is_costly(&body) {
                    true => self.under(&masks, body.clone(), demand)?,
                    false => body.clone(),
                },
            );
            bodies.insert(&value.name, body);
        }
        for &mask in &demand.masks {
            let Some(before) = self.before(mask).and_then(|before| demand.beyond(Some(before))) else { continue };
            let name = self.condition(mask);
            // A condition that was only computed behind the mask before holds nowhere else.
            let number = self.by_name.get(name);
            let is_behind = number.and_then(|number| demand.masks_of.get(number)).map(|masks| self.widest(masks))
                == Some(BTreeSet::from([Some(before)]))
                && bodies.get(name).is_some_and(is_costly);
            let holds = match columns.get(name) {
                Some(only_here) if demand.uses_behind(name) == 1 => only_here.clone(),
                _ => column(name),
            };
            let passes = if is_behind { holds } else { column(&self.mask_name(before, demand)).and(holds) };
            columns.insert(self.mask_name(mask, demand), passes);
        }
        Ok(columns)
    }

    /// The masks of a set that no other one of it includes. If there are too many, what they have in common.
    fn widest(&self, masks: &BTreeSet<Mask>) -> BTreeSet<Mask> {
        if masks.contains(&None) {
            return BTreeSet::from([None]);
        }
        let is_within = |mask: &&Mask| {
            let mut before = mask.and_then(|mask| self.before(mask));
            while let Some(wider) = before {
                if masks.contains(&Some(wider)) {
                    return true;
                }
                before = self.before(wider);
            }
            false
        };
        let widest: BTreeSet<Mask> = masks.iter().filter(|mask| !is_within(mask)).copied().collect();
        if widest.len() <= MOST_MASKS {
            return widest;
        }
        let mut paths = widest.iter().map(|mask| self.path(*mask));
        let mut common = paths.next().unwrap_or_default();
        for path in paths {
            let same = common.iter().zip(&path).take_while(|(one, other)| one == other).count();
            common.truncate(same);
        }
        BTreeSet::from([common.last().copied()])
    }

    /// An expression that is computed for events only that pass one of these masks.
    fn under(&self, masks: &BTreeSet<Mask>, expr: Expr, demand: &Demand) -> Result<Expr> {
        let passes = masks.iter().map(|mask| demand.beyond(*mask).map(|mask| column(&self.mask_name(mask, demand))));
        match passes.collect::<Option<Vec<Expr>>>().and_then(|passes| passes.into_iter().reduce(Expr::or)) {
            Some(passes) => when(passes, expr).end(),
            None => Ok(expr),
        }
    }
}

/// What is needed, and where.
struct Demand {
    /// Columns of the table.
    raw: BTreeSet<String>,
    /// The masks of all outputs are behind these, which are filters.
    shared: BTreeSet<usize>,
    /// Masks behind the filters.
    masks: BTreeSet<usize>,
    /// By value, the masks of the events for which it is needed behind the filters; `None` is all of them.
    masks_of: BTreeMap<usize, BTreeSet<Mask>>,
    /// How often a column or value is named at all.
    uses: BTreeMap<String, usize>,
    /// How often it is named behind the filters.
    uses_behind: BTreeMap<String, usize>,
}

impl Demand {
    fn new(values: &Values, shared: &[usize]) -> Self {
        let mut demand = Self {
            raw: BTreeSet::new(),
            shared: shared.iter().copied().collect(),
            masks: BTreeSet::new(),
            masks_of: BTreeMap::new(),
            uses: BTreeMap::new(),
            uses_behind: BTreeMap::new(),
        };
        for output in &values.outputs {
            let mask = demand.beyond(output.mask());
            demand.masks.extend(values.path(mask).into_iter().filter(|mask| !shared.contains(mask)));
            for name in output.columns() {
                demand.behind(values, name, 1, &BTreeSet::from([mask]));
            }
        }
        for mask in demand.masks.clone() {
            let before = demand.beyond(values.before(mask));
            demand.behind(values, values.condition(mask), 1, &BTreeSet::from([before]));
        }
        // Values are made of those before them.
        for (number, value) in values.values.iter().enumerate().rev() {
            let Some(masks) = demand.masks_of.get(&number).cloned() else { continue };
            for (name, times) in columns_in(&value.expr) {
                demand.behind(values, &name, times, &masks);
            }
        }
        demand.uses = demand.uses_behind.clone();
        let mut seen: BTreeSet<usize> = demand.masks_of.keys().copied().collect();
        let mut open: Vec<(String, usize)> =
            shared.iter().map(|mask| (values.condition(*mask).to_owned(), 1)).collect();
        while let Some((name, times)) = open.pop() {
            *demand.uses.entry(name.clone()).or_default() += times;
            match values.by_name.get(&name) {
                None => drop(demand.raw.insert(name)),
                Some(&number) => {
                    if seen.insert(number) {
                        open.extend(values.values.get(number).into_iter().flat_map(|value| columns_in(&value.expr)));
                    }
                }
            }
        }
        demand
    }

    fn behind(&mut self, values: &Values, name: &str, times: usize, masks: &BTreeSet<Mask>) {
        *self.uses_behind.entry(name.to_owned()).or_default() += times;
        match values.by_name.get(name) {
            None => drop(self.raw.insert(name.to_owned())),
            Some(&number) => self.masks_of.entry(number).or_default().extend(masks),
        }
    }

    /// A mask, if it leaves out events that the filters let pass.
    fn beyond(&self, mask: Mask) -> Mask {
        mask.filter(|mask| !self.shared.contains(mask))
    }

    fn uses(&self, name: &str) -> usize {
        self.uses.get(name).copied().unwrap_or_default()
    }

    fn uses_behind(&self, name: &str) -> usize {
        self.uses_behind.get(name).copied().unwrap_or_default()
    }
}

/// The columns of the table that are needed, of the events for which all conditions hold.
fn filtered(table: LogicalPlan, filters: Vec<Expr>, demand: &Demand) -> Result<LogicalPlan> {
    let mut plan = LogicalPlanBuilder::from(table.clone());
    let from_table = |name: &String| match table.schema().qualified_field_with_unqualified_name(name) {
        Ok((qualifier, field)) => Ok(Expr::Column(Column::from((qualifier, field))).alias(name)),
        Err(error) => Err(error),
    };
    let raw = demand.raw.iter().map(from_table).collect::<Result<Vec<_>>>()?;
    if !raw.is_empty() {
        plan = plan.project(raw)?;
    }
    filters.into_iter().try_fold(plan, LogicalPlanBuilder::filter)?.build()
}

/// The aggregate of an output over the events that pass.
fn aggregate(output: &Output, passes: Option<&str>) -> Result<Expr> {
    let passing = |value: Expr| match passes {
        Some(passes) => when(column(passes), value).end(),
        None => Ok(value),
    };
    Ok(match output {
        Output::Fill { empty, columns, .. } => {
            let empty = Histogram::from_bytes(empty).map_err(|error| DataFusionError::External(Box::new(error)))?;
            fill_like(&empty, columns.iter().map(String::as_str).chain(passes).map(column).collect())
        }
        Output::Count { .. } => count(passing(lit(1_i64))?),
        Output::Sum { value, .. } => sum(passing(column(value))?),
    })
}
