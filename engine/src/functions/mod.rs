//! Functions that the engine adds to DataFusion's, or that it runs faster.

/// What a function with a fast path has from the function `general` that it replaces: all but its evaluation.
macro_rules! replaces_general {
    () => {
        fn name(&self) -> &str {
            self.general.name()
        }

        fn aliases(&self) -> &[String] {
            self.general.aliases()
        }

        fn signature(&self) -> &datafusion::logical_expr::Signature {
            self.general.signature()
        }

        fn return_type(
            &self,
            arguments: &[datafusion::arrow::datatypes::DataType],
        ) -> datafusion::common::Result<datafusion::arrow::datatypes::DataType> {
            self.general.inner().return_type(arguments)
        }

        fn documentation(&self) -> Option<&datafusion::logical_expr::Documentation> {
            self.general.documentation()
        }
    };
}

mod concat;
mod element;
mod lambda;
mod length;
mod members;
mod operators;
mod physics;
mod power;
mod ranks;
mod reduce;

use std::sync::Arc;

use datafusion::logical_expr::{HigherOrderUDF, ScalarUDF};

pub(crate) use element::ElementPlanner;
pub(crate) use lambda::named_for;
pub(crate) use members::{MEMBERS, members_of};
pub(crate) use operators::ListOperators;
pub(crate) use physics::{
    IN_LUMI_MASK, InLumiMask, MOMENTUM, NEAREST_INDICES, ReadMask, in_lumi_mask, members_needed, nearest_mass_parts,
};

/// All of them, to be registered after DataFusion's: the last function under a name is the one that is used.
pub(crate) struct Functions {
    pub scalar: Vec<Arc<ScalarUDF>>,
    pub higher_order: Vec<Arc<HigherOrderUDF>>,
    /// What `list[i]` calls.
    pub element: Arc<ScalarUDF>,
    /// What operators between lists call.
    pub transform: Arc<HigherOrderUDF>,
}

impl Functions {
    pub(crate) fn new() -> Self {
        let element = Arc::new(element::list_element());
        let count = Arc::new(lambda::list_count());
        let lengths = length::list_lengths(&count).map(Arc::new);
        let made = [power::power_with_squares(), concat::list_concat(), members::members_of()].map(Arc::new);
        let scalar = std::iter::once(element.clone()).chain(made).chain(lengths);
        let transform = Arc::new(lambda::list_transform());
        let reduce = Arc::new(reduce::array_reduce());
        let higher_order = [count, transform.clone(), reduce].into_iter().chain(lambda::list_functions().map(Arc::new));
        Self {
            scalar: scalar.chain(physics::scalar_functions()).collect(),
            higher_order: higher_order.chain(physics::higher_order_functions()).collect(),
            element,
            transform,
        }
    }
}
