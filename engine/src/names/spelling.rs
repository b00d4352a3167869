//! SQL that the planner understands only when it is spelled otherwise. It knows dots only behind the names of tables
//! and columns; elsewhere they are written as the subscripts that it knows: `m.base.pt` in a lambda becomes
//! `m['base']['pt']`, and `muons[1].pt` becomes `muons[1]['pt']`. And it takes the parameters of lambdas for lower
//! case, unless they are quoted. A lambda with several parameters for one list is told to the function by its name. A URL that stands in place of a table would name columns of the result; if it holds
//! secrets, the table is called by the URL without them.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectNamePart,
    OneOrManyWithParens, TableAlias, TableFactor, VisitMut, VisitorMut,
};
use eos_io::redact;

use crate::functions::named_for;

use super::statement::{Parameters, change, identifier, member_of, subscript};

/// Leaves dots only in the names that begin with a table or column, and has parameters keep their case.
pub(crate) fn spell_for_planner(statement: &mut Statement) {
    let _: ControlFlow<()> = change(statement, &mut Spelling::default());
}

/// The same for an expression that stands alone.
pub(crate) fn spell_expression(expression: &mut Expr) {
    let _: ControlFlow<()> = expression.visit(&mut Spelling::default());
}

/// Names a function by the number of parameters that its lambda has for one list, if these are several.
fn name_by_parameters(function: &mut Function) {
    let FunctionArguments::List(arguments) = &function.args else { return };
    let [
        FunctionArg::Unnamed(FunctionArgExpr::Expr(list)),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Lambda(lambda))),
    ] = arguments.args.as_slice()
    else {
        return;
    };
    let OneOrManyWithParens::Many(parameters) = &lambda.params else { return };
    if !matches!(list, Expr::Lambda(_))
        && let [ObjectNamePart::Identifier(name)] = function.name.0.as_mut_slice()
        && let Some(named) = named_for(&name.value, parameters.len())
    {
        *name = Ident::with_quote('"', named);
    }
}

#[derive(Default)]
struct Spelling {
    parameters: Parameters,
}

impl Spelling {
    /// A name with dots: of a parameter only the first part is a name.
    fn name(&self, parts: Vec<Ident>) -> Expr {
        match parts.split_first() {
            Some((first, members)) if self.parameters.contain(first) => {
                member_of(Expr::Identifier(first.clone()), members)
            }
            _ => identifier(parts),
        }
    }

    fn access(&self, root: Expr, chain: Vec<AccessExpr>) -> Expr {
        let mut chain = chain.into_iter().peekable();
        let root = match root {
            Expr::Identifier(first) => {
                let mut parts = vec![first];
                while let Some(AccessExpr::Dot(Expr::Identifier(part))) =
                    chain.next_if(|access| matches!(access, AccessExpr::Dot(Expr::Identifier(_))))
                {
                    parts.push(part);
                }
                self.name(parts)
            }
            root => root,
        };
        let as_subscript = |access| match access {
            AccessExpr::Dot(Expr::Identifier(name)) => subscript(&name),
            access => access,
        };
        let access_chain: Vec<_> = chain.map(as_subscript).collect();
        match access_chain.is_empty() {
            true => root,
            false => Expr::CompoundFieldAccess { root: Box::new(root), access_chain },
        }
    }
}

impl VisitorMut for Spelling {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias: alias @ None, .. } = table
            && let [part] = name.0.as_slice()
            && let Some(url) = part.as_ident().map(|name| name.value.as_str()).filter(|name| name.contains("://"))
        {
            let shown = redact(url);
            if shown != url {
                let name = Ident::with_quote('"', shown);
                *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Lambda(lambda) => {
                let parameters = match &mut lambda.params {
                    OneOrManyWithParens::One(parameter) => std::slice::from_mut(parameter),
                    OneOrManyWithParens::Many(parameters) => parameters.as_mut_slice(),
                };
                for name in parameters.iter_mut().map(|p| &mut p.name) {
                    if name.value.contains(|c: char| c.is_ascii_uppercase()) {
                        name.quote_style = Some('"');
                    }
                }
                self.parameters.enter(lambda);
            }
            Expr::Function(function) => name_by_parameters(function),
            Expr::CompoundIdentifier(parts) => *expr = self.name(std::mem::take(parts)),
            Expr::CompoundFieldAccess { root, access_chain } => {
                *expr = self.access(root.as_ref().clone(), std::mem::take(access_chain));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if matches!(expr, Expr::Lambda(_)) {
            self.parameters.leave();
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::RootDialect;
    use datafusion::sql::parser::DFParserBuilder;

    fn written(sql: &str) -> String {
        let mut parser = DFParserBuilder::new(sql).with_dialect(&RootDialect).build().unwrap();
        let mut statement = parser.parse_statement().unwrap();
        spell_for_planner(&mut statement);
        statement.to_string()
    }

    #[test]
    fn members_of_parameters_are_subscripts() {
        assert_eq!(written("SELECT f(l, m -> m.a.b > t.x)"), "SELECT f(l, m -> m['a']['b'] > t.x)");
        assert_eq!(
            written("SELECT f(l, m -> g(m.k, n -> n.a < m.b[1].c))").replace(", ", ","),
            "SELECT f(l,m -> g(m['k'],n -> n['a'] < m['b'][1]['c']))"
        );
        assert_eq!(written("SELECT f(l, m -> m.a), m.a FROM m"), "SELECT f(l, m -> m['a']), m.a FROM m");
        assert_eq!(written("EXPLAIN SELECT f(l, (m) -> m.\"a b\")"), "EXPLAIN SELECT f(l, (m) -> m['a b'])");
    }

    #[test]
    fn tables_are_not_called_by_secrets() {
        assert_eq!(
            written("SELECT x FROM 'root://h//x.root?authz=s' WHERE y IN (SELECT y FROM 'http://u:p@h/x')"),
            "SELECT x FROM 'root://h//x.root?authz=s' AS \"root://h//x.root?authz=***\" \
             WHERE y IN (SELECT y FROM 'http://u:p@h/x' AS \"http://u:***@h/x\")"
        );
        for sql in
            ["SELECT x FROM 'http://h/x?authz=s' AS t", "SELECT x FROM 'http://h/x'", "SELECT x FROM 'x?authz=s'"]
        {
            assert_eq!(written(sql), sql);
        }
    }

    #[test]
    fn parameters_keep_their_case() {
        assert_eq!(written("SELECT f(l, pT -> pT.a, (m) -> m)"), "SELECT f(l, \"pT\" -> pT['a'], (m) -> m)");
    }

    #[test]
    fn members_behind_subscripts_and_calls_are_subscripts() {
        assert_eq!(written("SELECT t.muons[1].base.pt"), "SELECT t.muons[1]['base']['pt']");
        assert_eq!(written("SELECT f(x).a, (x).a.b, x.a.b"), "SELECT f(x)['a'], (x)['a']['b'], x.a.b");
        assert_eq!(written("COPY (SELECT x[1].a FROM t) TO 'f.csv'"), "COPY (SELECT x[1]['a'] FROM t) TO f.csv");
    }
}
