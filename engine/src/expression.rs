//! What users write in place of an expression is one expression, and nothing that would end the query around it.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::RootDialect;

/// Reads a text that is one SQL expression, or says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Expr, String> {
    let parsed = Parser::new(&RootDialect).try_with_sql(text).and_then(|mut parser| {
        let expression = parser.parse_expr()?;
        Ok((expression, parser.peek_token().token))
    });
    match parsed {
        Ok((expression, Token::EOF)) => Ok(expression),
        Ok((_, behind)) => Err(format!("'{text}' is not one SQL expression: it ends before '{behind}'")),
        Err(error) => Err(format!("'{text}' is not an SQL expression: {error}")),
    }
}

/// Whether a text is one SQL expression, so that it can be put into a statement; the error says what is wrong.
///
/// ```
/// assert!(root_engine::check_expression("nMuon = 2 AND MET_pt > 20").is_ok());
/// assert!(root_engine::check_expression("nMuon = 2 GROUP BY run").is_err());
/// ```
pub fn check(text: &str) -> Result<(), String> {
    parse(text).map(|_| ())
}
