//! Short names of products. Where planning fails for a name that no table has, and a table has a product that people
//! call so, the name is written out in the statement.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{Column, DataFusionError, Result, TableReference, plan_datafusion_err};
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, Query, Select, SelectItem, SetExpr, Subscript, TableFactor, TableWithJoins, Value,
    VisitMut, VisitorMut,
};

use super::product::Product;
use super::statement::{Parameters, change};

/// A table that a statement names.
#[derive(Debug)]
pub(crate) struct NamedTable {
    schema: SchemaRef,
    products: Vec<Product>,
}

impl NamedTable {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        let products = Product::all(&schema);
        Self { schema, products }
    }
}

/// The tables that a statement names.
pub(crate) type NamedTables = HashMap<TableReference, NamedTable>;

/// Writes out the product that is meant where `missing` was taken for a column. Returns whether there was any; it is an
/// error if several could be meant.
pub(crate) fn name_products(statement: &mut Statement, missing: &Column, tables: &NamedTables) -> Result<bool> {
    if tables.values().all(|table| table.products.is_empty()) {
        return Ok(false);
    }
    let mut aliases = Aliases::new(missing, tables);
    match change(statement, &mut aliases) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(aliases.is_changed),
    }
}

/// The same for an expression that stands alone, over one table.
pub(crate) fn name_products_in(expression: &mut Expr, missing: &Column, table: &NamedTable) -> Result<bool> {
    let tables = NamedTables::new();
    let mut aliases = Aliases::new(missing, &tables);
    aliases.scopes.push(vec![InScope { name: String::new(), table }]);
    match expression.visit(&mut aliases) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(aliases.is_changed),
    }
}

/// The names that may be those of products.
fn wanted(missing: &Column) -> Vec<String> {
    // In `muons.isolation.sum` the first name may be a table, a schema, a column, or a product.
    let mut wanted = vec![missing.name.clone()];
    if let Some(relation) = &missing.relation {
        wanted.extend(
            [Some(relation.table()), relation.schema(), relation.catalog()].into_iter().flatten().map(str::to_string),
        );
    }
    wanted
}

struct Aliases<'a> {
    tables: &'a NamedTables,
    /// Names to be looked for.
    wanted: Vec<String>,
    /// The tables that the queries around an expression select from, the innermost query last.
    scopes: Vec<Vec<InScope<'a>>>,
    /// How the items without a name of their own were written, for each SELECT around an expression.
    texts: Vec<Vec<Option<String>>>,
    parameters: Parameters,
    is_changed: bool,
}

/// A table, and the name by which a query calls it.
#[derive(Clone)]
struct InScope<'a> {
    name: String,
    table: &'a NamedTable,
}

impl<'a> Aliases<'a> {
    fn new(missing: &Column, tables: &'a NamedTables) -> Self {
        Self {
            tables,
            wanted: wanted(missing),
            scopes: Vec::new(),
            texts: Vec::new(),
            parameters: Parameters::default(),
            is_changed: false,
        }
    }

    fn tables_of(&self, select: &Select) -> Vec<InScope<'a>> {
        let mut found = Vec::new();
        select.from.iter().for_each(|from| self.add_tables(from, &mut found));
        found
    }

    fn add_tables(&self, from: &TableWithJoins, found: &mut Vec<InScope<'a>>) {
        for factor in std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)) {
            match factor {
                TableFactor::Table { name, alias, .. } => {
                    let Ok(reference) = object_name_to_table_reference(name.clone(), false) else { continue };
                    let Some(table) = self.tables.get(&reference) else { continue };
                    let name = alias.as_ref().map_or_else(|| reference.table(), |alias| &alias.name.value);
                    found.push(InScope { name: name.to_string(), table });
                }
                TableFactor::NestedJoin { table_with_joins, .. } => self.add_tables(table_with_joins, found),
                _ => {}
            }
        }
    }

    /// What a name with dots stands for, if it begins with a product.
    fn product(&self, parts: &[Ident]) -> Result<Option<Expr>> {
        let Some((first, rest)) = parts.split_first() else { return Ok(None) };
        if self.parameters.contain(first) {
            return Ok(None);
        }
        for scope in self.scopes.iter().rev() {
            // The first part may be a table's name, and the second the product.
            if let Some((second, rest)) = rest.split_first() {
                let of_that_name: Vec<_> = scope.iter().filter(|t| t.name == first.value).collect();
                if let Some(found) = self.product_in(&of_that_name, Some(first), second, rest)? {
                    return Ok(Some(found));
                }
            }
            if let Some(found) = self.product_in(&scope.iter().collect::<Vec<_>>(), None, first, rest)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn product_in(
        &self,
        tables: &[&InScope<'_>],
        qualifier: Option<&Ident>,
        name: &Ident,
        members: &[Ident],
    ) -> Result<Option<Expr>> {
        if !self.wanted.contains(&name.value) {
            return Ok(None);
        }
        let fits = tables.iter().flat_map(|in_scope| {
            let fitting = |product| Some((Product::fit(product, &name.value)?, product, *in_scope));
            in_scope.table.products.iter().filter_map(fitting)
        });
        let mut fits: Vec<_> = fits.collect();
        let best = fits.iter().map(|(fit, ..)| *fit).min();
        fits.retain(|(fit, ..)| Some(*fit) == best);
        match fits.as_slice() {
            [] => Ok(None),
            [(_, product, in_scope)] => Ok(product.expression(qualifier, members, &in_scope.table.schema)),
            several => {
                let names = several.iter().map(|(_, product, in_scope)| {
                    let own = unambiguous_name(product, &in_scope.table.products);
                    if tables.len() > 1 { format!("{}.{own}", in_scope.name) } else { own }
                });
                let names = names.collect::<Vec<_>>().join(" or ");
                Err(plan_datafusion_err!("'{}' can mean several products: write {names}", name.value))
            }
        }
    }

    /// How the name of an item reads, which it keeps as the name of the result's column.
    fn text(&self, expr: &Expr) -> String {
        match expr {
            Expr::Identifier(name) => name.value.clone(),
            Expr::CompoundIdentifier(parts) => {
                let is_table = |name: &Ident| self.scopes.iter().flatten().any(|t| t.name == name.value);
                let parts = match parts.split_first() {
                    Some((first, rest)) if is_table(first) => rest,
                    _ => parts.as_slice(),
                };
                parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".")
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                let root = self.text(root);
                access_chain.iter().fold(root, |text, access| match member_name(access) {
                    Some(name) => format!("{text}.{name}"),
                    None => format!("{text}{access}"),
                })
            }
            other => other.to_string(),
        }
    }
}

/// The shortest name of a product that no other one fits as well.
fn unambiguous_name(product: &Product, products: &[Product]) -> String {
    let is_taken = |name: &str, fit| products.iter().any(|p| p != product && p.fit(name).is_some_and(|f| f <= fit));
    let mut names: Vec<_> = product.names().collect();
    names.sort_by_key(|(name, _)| name.len());
    let longest = names.last().map(|(name, _)| name.clone()).unwrap_or_default();
    names.into_iter().find(|(name, fit)| !is_taken(name, *fit)).map_or(longest, |(name, _)| name)
}

fn member_name(access: &AccessExpr) -> Option<&str> {
    let AccessExpr::Subscript(Subscript::Index { index: Expr::Value(value) }) = access else { return None };
    match &value.value {
        Value::SingleQuotedString(name) => Some(name),
        _ => None,
    }
}

impl VisitorMut for Aliases<'_> {
    type Break = DataFusionError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        // What ORDER BY names are the columns of the query's SELECT.
        let scope = match query.body.as_ref() {
            SetExpr::Select(select) => self.tables_of(select),
            _ => Vec::new(),
        };
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<DataFusionError> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        let scope = self.tables_of(select);
        self.scopes.push(scope);
        let texts = select.projection.iter().map(|item| match item {
            SelectItem::UnnamedExpr(expr) => Some(self.text(expr)),
            _ => None,
        });
        let texts = texts.collect();
        self.texts.push(texts);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        for (item, text) in select.projection.iter_mut().zip(self.texts.pop().unwrap_or_default()) {
            if let (SelectItem::UnnamedExpr(expr), Some(text)) = (&*item, text)
                && self.text(expr) != text
            {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', text) };
            }
        }
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        let product = match expr {
            Expr::Lambda(lambda) => {
                self.parameters.enter(lambda);
                Ok(None)
            }
            Expr::Identifier(name) => self.product(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(parts) => self.product(parts),
            _ => Ok(None),
        };
        match product {
            Ok(None) => {}
            Ok(Some(product)) => {
                *expr = product;
                self.is_changed = true;
            }
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        if matches!(expr, Expr::Lambda(_)) {
            self.parameters.leave();
        }
        ControlFlow::Continue(())
    }
}
