//! What the names in SQL stand for, beyond the columns of tables: members of objects, by dots wherever they are
//! (`spelling`), members that a class has from its bases (`member`), and products of CMS events by the label of the
//! module that made them (`product`, `alias`). And other expressions in place of columns (`replace`).

mod alias;
mod member;
mod product;
mod replace;
mod spelling;
mod statement;

pub(crate) use alias::{NamedTable, NamedTables, name_products, name_products_in};
pub(crate) use member::MemberPlanner;
pub use replace::Replacements;
pub(crate) use spelling::{spell_expression, spell_for_planner};
