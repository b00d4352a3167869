//! The functions of particle physics on expressions of DataFusion, as its own `expr_fn` has the others. What they take and
//! give is told by SQL: `SHOW FUNCTIONS LIKE 'delta_r'`.
//!
//! ```
//! use root_engine::expr_fn::{col, delta_r};
//!
//! let angle = delta_r(["Jet_eta", "Jet_phi", "MET_eta", "MET_phi"].map(col));
//! assert_eq!(angle.to_string(), "delta_r(Jet_eta, Jet_phi, MET_eta, MET_phi)");
//! ```

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, ScalarUDF};

use crate::functions::Functions;

/// A column by its name as it is, where DataFusion's `col` takes names that are not quoted for lower case.
pub fn col(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

macro_rules! functions {
    ($($(#[$documentation:meta])* $name:ident,)*) => {
        $(
            $(#[$documentation])*
            pub fn $name(arguments: impl IntoIterator<Item = Expr>) -> Expr {
                call(stringify!($name), arguments)
            }
        )*

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

functions! {
    /// The difference of two azimuths, in [−π, π).
    delta_phi,
    /// The difference of two pseudorapidities.
    delta_eta,
    /// The distance of two directions, by pseudorapidity and azimuth each or of two structs.
    delta_r,
    /// The transverse mass of two momenta.
    transverse_mass,
    /// The mass of two particles or more.
    invariant_mass,
    /// The sum of momenta as a struct.
    p4_sum,
    /// The mass of the sum of momenta in Cartesian coordinates.
    cartesian_mass,
    /// A momentum in Cartesian coordinates.
    to_cartesian,
    /// A momentum as transverse momentum, pseudorapidity, azimuth and mass.
    to_pt_eta_phi_mass,
    /// The rapidity.
    rapidity,
    /// The pseudorapidity.
    pseudorapidity,
    /// A momentum seen from a moving frame.
    boost,
    /// A momentum in the frame where another one rests.
    boost_to_rest,
    /// The cosine of the angle between two momenta.
    cos_angle,
    /// Structs of transverse momentum, pseudorapidity, azimuth and mass.
    p4,
    /// A list of structs out of lists, by name and list in turn.
    named_zip,
    /// All tuples of so many elements of a list.
    combinations,
    /// All tuples of one element of each list.
    cartesian,
    /// The index of the nearest of other particles, for each of a list.
    nearest,
    /// Whether any of other particles is within a distance, for each of a list.
    any_near,
    /// The index of the smallest element.
    array_argmin,
    /// The index of the largest element.
    array_argmax,
    /// The sum of the elements.
    array_sum,
    /// The mean of the elements.
    array_mean,
    /// The smallest element.
    array_min,
    /// The largest element.
    array_max,
    /// Whether any element is true.
    array_any,
    /// Whether all elements are true.
    array_all,
    /// How many elements are true.
    array_count_true,
    /// The elements at indices.
    array_take,
    /// The elements in the order of keys.
    array_sort_by,
    /// Whether run and luminosity section are in a mask.
    in_lumi_mask,
}

static FUNCTIONS: LazyLock<HashMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    Functions::new().scalar.into_iter().map(|function| (function.name().to_owned(), function)).collect()
});

#[expect(clippy::panic, reason = "a test calls all of them")]
fn call(name: &str, arguments: impl IntoIterator<Item = Expr>) -> Expr {
    match FUNCTIONS.get(name) {
        Some(function) => function.call(arguments.into_iter().collect()),
        None => panic!("there is no function {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_function_of_each_name() {
        for name in NAMES {
            assert_eq!(call(name, [col("x")]).to_string(), format!("{name}(x)"));
        }
    }
}
