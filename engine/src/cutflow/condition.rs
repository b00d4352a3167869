//! What users write in place of an expression is one expression, and nothing that would end the query around it.

use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::dialect::RootDialect;

/// Says what is wrong with a text that is not one SQL expression.
pub(super) fn check(text: &str) -> Result<(), String> {
    let parsed = Parser::new(&RootDialect).try_with_sql(text).and_then(|mut parser| {
        parser.parse_expr()?;
        Ok(parser.peek_token().token)
    });
    match parsed {
        Ok(Token::EOF) => Ok(()),
        Ok(behind) => Err(format!("'{text}' is not one SQL expression: it ends before '{behind}'")),
        Err(error) => Err(format!("'{text}' is not an SQL expression: {error}")),
    }
}
