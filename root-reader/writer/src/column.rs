//! Which branches the columns of a schema become: their names, what they hold, and which of them count the elements of
//! others. Decided once, from the schema alone.

use std::collections::{HashMap, HashSet};

use arrow_schema::{DataType, Fields, Schema};

use crate::error::{Error, Place, Result};
use crate::number::Number;
use crate::tree::Counters;

/// A branch, and where its values come from.
#[derive(Debug, Clone)]
pub(crate) struct BranchPlan {
    pub name: String,
    /// The column with its members, as messages name it.
    pub column: String,
    /// Index of the column, and of the member in each struct on the way.
    pub path: Vec<usize>,
    pub form: Form,
}

/// What each entry of a branch holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// As many numbers in each entry as the dimensions say; one without any.
    Fixed { number: Number, dims: Vec<usize> },
    /// As many as another branch says, each with these dimensions.
    Counted { number: Number, dims: Vec<usize>, counter: Counter },
    /// The length of a list.
    Length,
    /// A column that counts the elements of others.
    Count { number: Number },
    /// A text.
    Text,
    /// A list of texts, as `std::vector<std::string>`.
    Texts,
}

/// What counts the elements of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counter {
    /// Index of the branch.
    pub branch: usize,
    /// Whether it is a column of the batches, whose values have to be compared with the lengths.
    pub is_column: bool,
}

impl Form {
    /// Whether entries differ in size, so that the basket needs a table of where they start.
    pub(crate) fn is_jagged(&self) -> bool {
        matches!(self, Self::Counted { .. } | Self::Text | Self::Texts)
    }
}

/// The branches of a schema, counters in front of what they count.
pub(crate) fn plan(schema: &Schema, counters: Counters, place: &Place) -> Result<Vec<BranchPlan>> {
    let mut planner = Planner {
        place,
        counters,
        columns: schema.fields().iter().enumerate().map(|(i, f)| (f.name().as_str(), (i, f.data_type()))).collect(),
        branches: Vec::new(),
        placed: HashMap::new(),
    };
    for (index, field) in schema.fields().iter().enumerate() {
        let column = Column { name: field.name(), label: field.name().clone(), path: vec![index] };
        planner.column(column, field.data_type())?;
    }
    let mut names = HashSet::new();
    for branch in &planner.branches {
        check_name(branch, place)?;
        if !names.insert(&branch.name) {
            let place = place.at_column(&branch.column);
            return Err(Error::Duplicate { place, what: "branch", name: branch.name.clone() });
        }
    }
    Ok(planner.branches)
}

fn check_name(branch: &BranchPlan, place: &Place) -> Result<()> {
    let why = match branch.name.as_str() {
        "" => "it is empty: give the column a name (AS)",
        name if name.contains(['/', '[', ']', '\0']) => {
            "'/', brackets and NUL have other meanings in names of branches: give the column another name (AS)"
        }
        _ => return Ok(()),
    };
    let place = place.at_column(&branch.column);
    Err(Error::BadName { place, name: branch.name.clone(), why })
}

struct Planner<'a> {
    place: &'a Place,
    counters: Counters,
    columns: HashMap<&'a str, (usize, &'a DataType)>,
    branches: Vec<BranchPlan>,
    /// Columns that became branches out of turn, because they count what stands in front of them.
    placed: HashMap<usize, usize>,
}

/// A column or member on its way to a branch.
struct Column<'a> {
    /// Name of the branch.
    name: &'a str,
    label: String,
    path: Vec<usize>,
}

impl Planner<'_> {
    fn unsupported(&self, label: &str, data_type: &DataType, advice: &'static str) -> Error {
        Error::UnsupportedType { place: self.place.at_column(label), data_type: data_type.to_string(), advice }
    }

    fn push(&mut self, column: &Column<'_>, form: Form) -> usize {
        self.branches.push(BranchPlan {
            name: column.name.into(),
            column: column.label.clone(),
            path: column.path.clone(),
            form,
        });
        self.branches.len() - 1
    }

    fn column(&mut self, column: Column<'_>, data_type: &DataType) -> Result<()> {
        match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                self.push(&column, Form::Text);
            }
            DataType::Struct(fields) => {
                self.members(&column, fields, |planner, member, data_type| planner.column(member, data_type))?
            }
            DataType::List(item) | DataType::LargeList(item) => match item.data_type() {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                    self.push(&column, Form::Texts);
                }
                other => {
                    let counter = self.counter(&column)?;
                    self.elements(&column, other, counter)?;
                }
            },
            _ => {
                let (number, dims) = self.numbers(&column, data_type)?;
                let is_placed = column.path.len() == 1 && column.path.iter().any(|i| self.placed.contains_key(i));
                if !is_placed {
                    self.push(&column, Form::Fixed { number, dims });
                }
            }
        }
        Ok(())
    }

    fn members(
        &mut self,
        of: &Column<'_>,
        fields: &Fields,
        mut each: impl FnMut(&mut Self, Column<'_>, &DataType) -> Result<()>,
    ) -> Result<()> {
        for (index, field) in fields.iter().enumerate() {
            let name = format!("{}_{}", of.name, field.name());
            let label = format!("{}.{}", of.label, field.name());
            let path = of.path.iter().copied().chain([index]).collect();
            each(self, Column { name: &name, label, path }, field.data_type())?;
        }
        Ok(())
    }

    /// A branch of what each element of a list holds, or of each number in it.
    fn elements(&mut self, column: &Column<'_>, data_type: &DataType, counter: Counter) -> Result<()> {
        if let DataType::Struct(fields) = data_type {
            return self
                .members(column, fields, |planner, member, data_type| planner.elements(&member, data_type, counter));
        }
        let (number, dims) = self.numbers(column, data_type)?;
        self.push(column, Form::Counted { number, dims, counter });
        Ok(())
    }

    /// The branch that counts a list, which is made if no column does it.
    fn counter(&mut self, list: &Column<'_>) -> Result<Counter> {
        if let Some(branch) = self.counting_column(list)? {
            return Ok(Counter { branch, is_column: true });
        }
        let name = format!("n{}", list.name);
        let column = Column { name: &name, label: list.label.clone(), path: list.path.clone() };
        Ok(Counter { branch: self.push(&column, Form::Length), is_column: false })
    }

    /// The column `nX` that counts `X` and `X_*`; of several the one with the longest name.
    fn counting_column(&mut self, list: &Column<'_>) -> Result<Option<usize>> {
        if self.counters == Counters::Own {
            return Ok(None);
        }
        let shorter = list.name.match_indices('_').rev().filter_map(|(end, _)| list.name.get(..end));
        for stem in std::iter::once(list.name).chain(shorter) {
            let name = format!("n{stem}");
            let Some((index, data_type)) = self.columns.get(name.as_str()).copied() else {
                continue;
            };
            let Some(number) = Number::of(data_type).filter(|number| number.is_integer()) else {
                continue;
            };
            if let Some(branch) = self.placed.get(&index) {
                return Ok(Some(*branch));
            }
            // ROOT's readers want counters of at most 32 bits; longer lists do not fit into a basket anyway.
            let number = if number.width() == 8 { Number::I32 } else { number };
            let column = Column { name: &name, label: name.clone(), path: vec![index] };
            let form = Form::Count { number };
            let branch = match self.branches.iter().position(|branch| branch.path == column.path) {
                Some(known) => {
                    if let Some(plan) = self.branches.get_mut(known) {
                        plan.form = form;
                    }
                    known
                }
                None => self.push(&column, form),
            };
            self.placed.insert(index, branch);
            return Ok(Some(branch));
        }
        Ok(None)
    }

    /// The number and the dimensions of a type, if it is an array of numbers of fixed size.
    fn numbers(&self, column: &Column<'_>, data_type: &DataType) -> Result<(Number, Vec<usize>)> {
        let mut dims = Vec::new();
        let mut inner = data_type;
        while let DataType::FixedSizeList(item, length) = inner {
            dims.push(usize::try_from(*length).unwrap_or(0));
            inner = item.data_type();
        }
        let advice = match inner {
            DataType::List(_) | DataType::LargeList(_) => {
                "flatten the inner lists, or write their elements into a column of their own"
            }
            DataType::Struct(_) => "write the members as columns of their own",
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                "texts are written as columns and in lists, but not inside of other types: write them as a column of their own"
            }
            DataType::Timestamp(..)
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_) => "write it as a number of seconds, or as text (CAST)",
            DataType::Null => "it has no type: leave the column out, or give it one (CAST)",
            DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Float16 => {
                "write it as a floating-point number (CAST AS DOUBLE)"
            }
            DataType::Dictionary(..) => "write the values themselves (CAST)",
            _ => "leave the column out, or change its type (CAST)",
        };
        let Some(number) = Number::of(inner) else {
            return Err(self.unsupported(&column.label, data_type, advice));
        };
        if dims.contains(&0) {
            return Err(self.unsupported(
                &column.label,
                data_type,
                "leave the column out: its arrays have no elements",
            ));
        }
        Ok((number, dims))
    }
}
