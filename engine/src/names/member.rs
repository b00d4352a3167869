//! Members that a class has from its bases. In a table a base is a struct within the struct, so that one would have to
//! know the classes between; here `m.pt_` is found in whichever base has it, as it is in C++. A member of a list of objects
//! is the list of their members.

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Column, DFSchema, Result, TableReference, plan_err};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_nested::expr_fn::array_transform;
use datafusion::logical_expr::expr::LambdaVariable;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, lambda};
use root_reader::BASE;

/// Plans the access to members of bases and of lists. What a struct has itself is left to DataFusion.
#[derive(Debug)]
pub(crate) struct MemberPlanner;

impl ExprPlanner for MemberPlanner {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let GetFieldAccess::NamedStructField { name } = &access.field_access else {
            return Ok(PlannerResult::Original(access));
        };
        let (Some(name), Ok(data_type)) = (name.try_as_str().flatten(), access.expr.get_type(schema)) else {
            return Ok(PlannerResult::Original(access));
        };
        let is_ours = match &data_type {
            DataType::List(element) => element.data_type().is_nested(),
            other => path_into_bases(other, name)?.is_some(),
        };
        Ok(match is_ours {
            true => PlannerResult::Planned(member(access.expr, &data_type, name)?.0),
            false => PlannerResult::Original(access),
        })
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut value = Expr::Column(Column::from((qualifier, field)));
        let mut data_type = field.data_type().clone();
        for name in names {
            (value, data_type) = member(value, &data_type, name)?;
        }
        Ok(PlannerResult::Planned(value))
    }
}

/// A member of a value, and its type as far as it is known: of a list the list of the members of its elements.
fn member(value: Expr, data_type: &DataType, name: &str) -> Result<(Expr, DataType)> {
    const ELEMENT: &str = "x";
    if let DataType::List(element) = data_type
        && element.data_type().is_nested()
    {
        let each = Expr::LambdaVariable(LambdaVariable::new(ELEMENT.into(), Some(element.clone())));
        let (of_each, of_type) = member(each, element.data_type(), name)?;
        return Ok((array_transform(value, lambda([ELEMENT], of_each)), DataType::new_list(of_type, true)));
    }
    let path = path_into_bases(data_type, name)?.unwrap_or_else(|| vec![name]);
    let mut value = value;
    let mut known = Some(data_type);
    for step in path {
        value = get_field(value, step);
        known = known.and_then(|known| own_member(known, step));
    }
    Ok((value, known.cloned().unwrap_or(DataType::Null)))
}

/// The type of a member that the struct has itself.
fn own_member<'a>(data_type: &'a DataType, name: &str) -> Option<&'a DataType> {
    let DataType::Struct(fields) = data_type else { return None };
    fields.iter().find(|f| f.name() == name).map(|f| f.data_type())
}

/// The names of the bases that lead to a member, and its own, if the struct has it from a base only.
fn path_into_bases<'a>(data_type: &'a DataType, name: &'a str) -> Result<Option<Vec<&'a str>>> {
    let DataType::Struct(fields) = data_type else { return Ok(None) };
    if own_member(data_type, name).is_some() {
        return Ok(None);
    }
    let mut paths = paths_into_bases(fields, name);
    if paths.len() > 1 {
        let paths: Vec<String> = paths.iter().map(|path| format!("['{}']", path.join("']['"))).collect();
        return plan_err!("several bases have a member '{name}': write {}", paths.join(" or "));
    }
    Ok(paths.pop())
}

/// As in C++, a member hides those of the same name in the bases of its class.
fn paths_into_bases<'a>(fields: &'a Fields, name: &'a str) -> Vec<Vec<&'a str>> {
    let bases = fields.iter().filter(|f| f.metadata().get(BASE).is_some_and(|mark| mark == "true"));
    let of_base = |base: &'a Field| -> Vec<Vec<&'a str>> {
        let DataType::Struct(fields) = base.data_type() else { return Vec::new() };
        let inner = match own_member(base.data_type(), name) {
            Some(_) => vec![vec![name]],
            None => paths_into_bases(fields, name),
        };
        inner.into_iter().map(|path| [vec![base.name().as_str()], path].concat()).collect()
    };
    bases.flat_map(|base| of_base(base)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn member(name: &str) -> Field {
        Field::new(name, DataType::Float32, true)
    }

    fn class(name: &str, members: Vec<Field>) -> Field {
        Field::new(name, DataType::Struct(members.into()), true)
    }

    fn base(name: &str, members: Vec<Field>) -> Field {
        class(name, members).with_metadata(HashMap::from([(BASE.to_string(), "true".to_string())]))
    }

    fn path(class: &Field, name: &str) -> Option<String> {
        path_into_bases(class.data_type(), name).unwrap().map(|path| path.join("/"))
    }

    #[test]
    fn a_member_is_found_in_the_bases_of_bases() {
        let leaf = base("LeafCandidate", vec![member("pt"), member("eta")]);
        let muon = class("Muon", vec![base("RecoCandidate", vec![leaf]), member("type")]);
        assert_eq!(path(&muon, "eta").as_deref(), Some("RecoCandidate/LeafCandidate/eta"));
        assert_eq!(path(&muon, "type"), None);
        assert_eq!(path(&muon, "phi"), None);
        assert_eq!(path(&muon, "LeafCandidate").as_deref(), Some("RecoCandidate/LeafCandidate"));
    }

    #[test]
    fn members_hide_those_of_bases_and_only_bases_are_searched() {
        let inner = base("Inner", vec![member("x"), member("y")]);
        let outer = base("Outer", vec![member("x"), inner]);
        let object = class("Object", vec![outer, class("part", vec![member("z")])]);
        assert_eq!(path(&object, "x").as_deref(), Some("Outer/x"));
        assert_eq!(path(&object, "y").as_deref(), Some("Outer/Inner/y"));
        assert_eq!(path(&object, "z"), None);
    }

    #[test]
    fn a_member_of_several_bases_is_ambiguous() {
        let object = class("Object", vec![base("A", vec![member("x")]), base("B", vec![member("x")])]);
        let error = path_into_bases(object.data_type(), "x").unwrap_err().to_string();
        assert!(error.contains("['A']['x'] or ['B']['x']"), "{error}");
    }
}
