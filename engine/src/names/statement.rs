//! Ways through a parsed statement.

use std::ops::ControlFlow;

use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, LambdaFunction, Subscript, Value, VisitMut, VisitorMut,
};

/// Has a visitor change the statement, inside of `EXPLAIN` and `COPY` too.
pub(super) fn change<V: VisitorMut<Break = B>, B>(statement: &mut Statement, visitor: &mut V) -> ControlFlow<B> {
    match statement {
        Statement::Statement(statement) => statement.visit(visitor),
        Statement::Explain(explain) => change(&mut explain.statement, visitor),
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => query.visit(visitor),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Statement::CreateExternalTable(_) | Statement::Reset(_) => ControlFlow::Continue(()),
    }
}

/// The parameters of the lambdas around an expression.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<Vec<String>>);

impl Parameters {
    pub(super) fn enter(&mut self, lambda: &LambdaFunction) {
        self.0.push(lambda.params.iter().map(|p| p.name.value.clone()).collect());
    }

    pub(super) fn leave(&mut self) {
        self.0.pop();
    }

    pub(super) fn contain(&self, name: &Ident) -> bool {
        self.0.iter().flatten().any(|parameter| *parameter == name.value)
    }
}

/// `['name']`
pub(super) fn subscript(name: &Ident) -> AccessExpr {
    let name = Value::SingleQuotedString(name.value.clone());
    AccessExpr::Subscript(Subscript::Index { index: Expr::Value(name.into()) })
}

/// `root['name']…`, or the root alone if there are no names.
pub(super) fn member_of(root: Expr, names: &[Ident]) -> Expr {
    if names.is_empty() {
        return root;
    }
    Expr::CompoundFieldAccess { root: Box::new(root), access_chain: names.iter().map(subscript).collect() }
}

/// `a`, or `a.b.c`.
pub(super) fn identifier(mut parts: Vec<Ident>) -> Expr {
    match parts.len() {
        1 => Expr::Identifier(parts.remove(0)),
        _ => Expr::CompoundIdentifier(parts),
    }
}
