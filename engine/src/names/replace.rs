//! Other expressions in place of columns: what a systematic variation is.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Ident, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::statement::{Parameters, member_of, subscript};
use crate::dialect::RootDialect;
use crate::error::Error;
use crate::expression;

/// Columns, and what stands in their place, all at once: a replacement may name columns that are replaced, and means those of
/// the table.
///
/// ```
/// # fn main() -> Result<(), root_engine::Error> {
/// let variation = root_engine::Replacements::parse("Jet_pt = Jet_pt * 1.05, MET_pt = MET_pt - 2")?;
/// let (sql, is_other) = variation.apply("array_max(Jet_pt) > MET_pt")?;
/// assert_eq!((sql.as_str(), is_other), ("array_max((Jet_pt * 1.05)) > (MET_pt - 2)", true));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacements {
    columns: Vec<(String, Expr)>,
}

impl Replacements {
    /// Reads `COLUMN = SQL`, with commas between several.
    ///
    /// # Errors
    /// Where the text is something else, or names a column twice.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fault = |reason: String| Error::Replacement {
            text: text.to_string(),
            reason: format!("{reason}; it is COLUMN = SQL, such as Jet_pt = Jet_pt * 1.05"),
        };
        let mut parser = Parser::new(&RootDialect).try_with_sql(text).map_err(|error| fault(error.to_string()))?;
        let mut columns: Vec<(String, Expr)> = Vec::new();
        loop {
            let name = parser.parse_identifier().map_err(|error| fault(error.to_string()))?;
            parser.expect_token(&Token::Eq).map_err(|error| fault(error.to_string()))?;
            let with = parser.parse_expr().map_err(|error| fault(error.to_string()))?;
            if columns.iter().any(|(known, _)| *known == name.value) {
                return Err(fault(format!("'{}' is replaced twice", name.value)));
            }
            columns.push((name.value, Expr::Nested(Box::new(with))));
            match parser.next_token().token {
                Token::EOF => return Ok(Self { columns }),
                Token::Comma => {}
                other => return Err(fault(format!("'{other}' is not expected"))),
            }
        }
    }

    /// Adds those of another variation of the same name.
    ///
    /// # Errors
    /// Where both replace a column.
    pub fn and(mut self, other: Self) -> Result<Self, Error> {
        for (column, with) in other.columns {
            if self.columns.iter().any(|(known, _)| *known == column) {
                let reason = "the column is replaced twice in one variation".to_string();
                return Err(Error::Replacement { text: format!("{column} = {with}"), reason });
            }
            self.columns.push((column, with));
        }
        Ok(self)
    }

    /// An SQL expression with the replacements in it, and whether there are any. Parameters of lambdas that are called like
    /// a column stay what they are.
    ///
    /// # Errors
    /// Where the text is not one expression, or names a replaced column behind a dot, where it is not known what is meant.
    pub fn apply(&self, sql: &str) -> Result<(String, bool), Error> {
        let fault = |reason| Error::Replacement { text: sql.to_string(), reason };
        let mut expression = expression::parse(sql).map_err(fault)?;
        let mut replace = Replace { columns: &self.columns, parameters: Parameters::default(), done: false };
        if let ControlFlow::Break(name) = expression.visit(&mut replace) {
            return Err(fault(format!("'{name}' is replaced; write it without anything in front of it")));
        }
        match replace.done {
            true => Ok((expression.to_string(), true)),
            false => Ok((sql.to_string(), false)),
        }
    }
}

struct Replace<'a> {
    columns: &'a [(String, Expr)],
    parameters: Parameters,
    done: bool,
}

impl Replace<'_> {
    fn of(&self, name: &Ident) -> Option<Expr> {
        let (_, with) = self.columns.iter().find(|(column, _)| *column == name.value)?;
        (!self.parameters.contain(name)).then(|| with.clone())
    }
}

impl VisitorMut for Replace<'_> {
    type Break = String;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        match expr {
            Expr::Lambda(lambda) => self.parameters.enter(lambda),
            // What stands behind a dot is no column.
            Expr::CompoundFieldAccess { access_chain, .. } => {
                for access in access_chain {
                    if let AccessExpr::Dot(Expr::Identifier(name)) = access {
                        *access = subscript(name);
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    // Behind what is below, so that replacements are not looked through again.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        match expr {
            Expr::Lambda(_) => self.parameters.leave(),
            Expr::Identifier(name) => {
                if let Some(with) = self.of(name) {
                    *expr = with;
                    self.done = true;
                }
            }
            Expr::CompoundIdentifier(parts) => {
                let Some((first, members)) = parts.split_first() else { return ControlFlow::Continue(()) };
                match self.of(first) {
                    Some(with) => {
                        *expr = member_of(with, members);
                        self.done = true;
                    }
                    None if self.parameters.contain(first) => {}
                    None => {
                        if let Some(name) = members.iter().find(|name| self.of(name).is_some()) {
                            return ControlFlow::Break(name.value.clone());
                        }
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(replacements: &str, sql: &str) -> String {
        Replacements::parse(replacements).unwrap().apply(sql).unwrap().0
    }

    #[test]
    fn columns_are_replaced_at_once_and_nothing_else() {
        assert_eq!(applied("a = b, b = a", "a + b"), "(b) + (a)");
        assert_eq!(
            applied("pt = pt * 2", "array_any_match(pts, pt -> pt > 20) AND pt > 3"),
            "array_any_match(pts, pt -> pt > 20) AND (pt * 2) > 3"
        );
        assert_eq!(applied("pt = 1", "f('pt', pts, pt)"), "f('pt', pts, (1))");
        assert_eq!(applied("\"obj.pt\" = 1", "\"obj.pt\" + pt"), "(1) + pt");
        assert_eq!(applied("Jet = f(Jet)", "Jet.pt"), "(f(Jet))['pt']");
        assert_eq!(applied("pt = 1", "array_filter(jets, j -> j.pt > pt)"), "array_filter(jets, j -> j.pt > (1))");
    }

    #[test]
    fn what_is_not_named_stays_as_it_was_written() {
        let replacements = Replacements::parse("Jet_pt = Jet_pt * 1.05").unwrap();
        assert_eq!(replacements.apply("MET_pt  >30 -- why").unwrap(), ("MET_pt  >30 -- why".to_string(), false));
    }

    #[test]
    fn what_is_no_replacement_is_an_error() {
        for (text, words) in [
            ("", "COLUMN = SQL"),
            ("Jet_pt", "COLUMN = SQL"),
            ("Jet_pt * 2", "COLUMN = SQL"),
            ("a = 1, a = 2", "'a' is replaced twice"),
            ("a = 1; b = 2", "';' is not expected"),
            ("a = 1,", "COLUMN = SQL"),
        ] {
            let error = Replacements::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        let replacements = Replacements::parse("a = 1").unwrap();
        assert!(replacements.apply("t.a + 1").unwrap_err().to_string().contains("in front"));
        assert!(replacements.clone().and(replacements).unwrap_err().to_string().contains("twice"));
    }
}
