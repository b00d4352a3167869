//! Products of CMS events. A branch is named `type_module_instance_process.`; people know the product by the label of
//! its module.

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::sql::sqlparser::ast::{Expr, Ident};

use super::statement::{identifier, member_of};

/// A product of the events of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Product {
    /// Type, module, instance and process.
    parts: [String; 4],
    place: Place,
}

/// Where the product lies in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// In a struct, in this field of it.
    Field { column: String, field: String },
    /// In a column for each member, the names of which begin so.
    Columns { prefix: String },
}

/// How well a name fits a product: the better, the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// Only the type and the process may be left out.
    Exact,
    /// The name leaves out an instance that the product has.
    AnyInstance,
}

impl Product {
    /// The products of a table.
    pub(super) fn all(schema: &Schema) -> Vec<Self> {
        let mut products: Vec<Self> = Vec::new();
        for column in schema.fields() {
            let name = column.name();
            let Some((branch, member)) = name.split_once('.') else { continue };
            let Ok(parts) = <[&str; 4]>::try_from(branch.split('_').collect::<Vec<_>>()) else { continue };
            if [parts[0], parts[1], parts[3]].contains(&"") {
                continue;
            }
            let place = match column.data_type() {
                DataType::Struct(fields) if member.is_empty() => {
                    let is_object = |name: &str| name == "obj" || name.strip_prefix(branch) == Some(".obj");
                    let Some(object) = fields.iter().find(|f| is_object(f.name())) else { continue };
                    Place::Field { column: name.clone(), field: object.name().clone() }
                }
                _ if member == "obj" || member.starts_with("obj.") => {
                    Place::Columns { prefix: format!("{branch}.obj") }
                }
                _ => continue,
            };
            let product = Self { parts: parts.map(str::to_string), place };
            if !products.contains(&product) {
                products.push(product);
            }
        }
        products
    }

    /// Whether a name means this product, and how well it fits: the label of the module, with the type, the instance
    /// and the process before and behind it as far as they are needed.
    pub(super) fn fit(&self, name: &str) -> Option<Fit> {
        self.names().find(|(own, _)| own == name).map(|(_, fit)| fit)
    }

    /// The names of the product, short ones first.
    pub(super) fn names(&self) -> impl Iterator<Item = (String, Fit)> {
        let [class, module, instance, process] = self.parts.each_ref().map(String::as_str);
        let types = [None, Some(class)];
        let instances: &[_] = if instance.is_empty() { &[None] } else { &[Some(instance), None] };
        let fit = |i: Option<&str>| if i.is_some() || instance.is_empty() { Fit::Exact } else { Fit::AnyInstance };
        let mut names: Vec<(String, Fit)> = Vec::new();
        for process in [None, Some(process)] {
            for class in types {
                for of_instance in instances {
                    let parts = [class, Some(module), *of_instance, process];
                    names.push((parts.into_iter().flatten().collect::<Vec<_>>().join("_"), fit(*of_instance)));
                }
            }
        }
        // The branch as it is called in the file, with nothing between the two underscores.
        names.push((self.parts.join("_"), Fit::Exact));
        names.into_iter()
    }

    /// The product, or the member of it that the names lead to; `None` if it has no such column.
    pub(super) fn expression(&self, qualifier: Option<&Ident>, members: &[Ident], schema: &Schema) -> Option<Expr> {
        let column = |name: &str| identifier(qualifier.cloned().into_iter().chain([quoted(name)]).collect());
        match &self.place {
            Place::Field { column: name, field } => {
                let path: Vec<Ident> = [quoted(field)].into_iter().chain(members.iter().cloned()).collect();
                Some(member_of(column(name), &path))
            }
            Place::Columns { prefix } => (0..=members.len()).rev().find_map(|taken| {
                let (in_name, rest) = members.split_at_checked(taken)?;
                let name = in_name.iter().fold(prefix.clone(), |name, member| name + "." + &member.value);
                schema.field_with_name(&name).ok()?;
                Some(member_of(column(&name), rest))
            }),
        }
    }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::Field;

    fn flat(columns: &[&str]) -> Schema {
        Schema::new(columns.iter().map(|c| Field::new(*c, DataType::Int32, true)).collect::<Vec<_>>())
    }

    fn fits(product: &Product, names: &[&str]) -> Vec<Option<Fit>> {
        names.iter().map(|name| product.fit(name)).collect()
    }

    #[test]
    fn a_product_without_instance_is_named_by_its_module_and_as_much_more_as_one_likes() {
        let products = Product::all(&flat(&["recoMuons_muons__RECO.obj.pt_", "recoMuons_muons__RECO.obj.eta_"]));
        let [muons] = products.as_slice() else { panic!("{products:?}") };
        let names = ["muons", "muons_RECO", "recoMuons_muons", "recoMuons_muons_RECO", "recoMuons_muons__RECO"];
        assert_eq!(fits(muons, &names), [Some(Fit::Exact); 5]);
        assert_eq!(fits(muons, &["recoMuons", "muons_", "RECO", "Muons", "muons_HLT"]), [None; 5]);
    }

    #[test]
    fn an_instance_may_be_left_out() {
        let products = Product::all(&flat(&["double_kt6PFJets_rho_RECO.obj"]));
        let names = ["kt6PFJets_rho", "double_kt6PFJets_rho_RECO", "kt6PFJets", "kt6PFJets_RECO", "double_kt6PFJets"];
        let (exact, any) = (Some(Fit::Exact), Some(Fit::AnyInstance));
        assert_eq!(fits(&products[0], &names), [exact, exact, any, any, any]);
    }

    #[test]
    fn other_columns_are_no_products() {
        let columns =
            ["HLT_Iso_Mu_24", "a_b.obj", "a_b_c_d.present", "a__c_d.obj", "a_b_c_d_e.obj", "EventAuxiliary.id_"];
        assert_eq!(Product::all(&flat(&columns)), []);
    }

    #[test]
    fn members_are_found_in_the_names_of_flat_columns() {
        let schema = flat(&["T_m__P.obj.a", "T_m__P.obj.b.c", "T_n__P.obj"]);
        let products = Product::all(&schema);
        let found = |product: usize, members: &[&str]| {
            let members: Vec<Ident> = members.iter().copied().map(Ident::new).collect();
            products[product].expression(Some(&Ident::new("t")), &members, &schema).map(|e| e.to_string())
        };
        assert_eq!(found(0, &["b", "c"]).unwrap(), r#"t."T_m__P.obj.b.c""#);
        assert_eq!(found(0, &["a", "x"]).unwrap(), r#"t."T_m__P.obj.a"['x']"#);
        assert_eq!(found(0, &[]), None);
        assert_eq!(found(0, &["x"]), None);
        assert_eq!(found(1, &["x"]).unwrap(), r#"t."T_n__P.obj"['x']"#);
    }
}
