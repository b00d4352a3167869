//! Layer 6: classes as the file describes them, compiled once into steps that a decoder follows without looking at a
//! description again.

use std::sync::Arc;

use crate::cpp_type::TextForm;
use crate::number::Number;

mod bounds;
mod builder;
mod compile;
mod fuse;
mod known;

pub(crate) use bounds::{innermost, is_framed, is_optional, least};
pub(crate) use compile::{Classes, Wanted, member_number, no_members};
pub(crate) use fuse::{Frame, Leaf, Run, Shape};
pub(crate) use known::special;

/// Name of the field that tells the class of what a pointer leads to.
pub(crate) const CLASS_FIELD: &str = "_class";

/// A value of which the size is in the data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Number(Number),
    Text(TextForm),
    /// `TObject::fBits`: a word, behind which the number of a process follows where a bit of the word says so.
    Bits,
    List(Box<Node>),
    Map(Box<Node>, Box<Node>),
    /// So many values without a count.
    Array(Box<Node>, usize),
    Record(Arc<Record>),
    Pointer(Arc<Pointer>),
    /// A pointer to what is no class with members.
    Nullable(Box<Node>),
    /// A name that the file does not describe as a class: an enumeration, streamed as an `int`.
    Enumeration(Arc<str>),
    /// A class that the file does not describe, because it has no object of it.
    Undescribed(Arc<str>),
    /// Elements of a container that have no members, only a number.
    Empty,
    /// Objects of ROOT's own classes that write themselves.
    Special(Special),
    /// One of ROOT's containers of objects of any class.
    Objects(Objects, Arc<Pointer>),
}

impl Record {
    /// The steps of all versions, with members of fixed size that stand side by side in one.
    pub(crate) fn fused(mut self) -> Self {
        fuse::fuse(&mut self);
        self
    }
}

impl Step {
    /// The step as it was before it was merged with others.
    pub(crate) fn parts(&self) -> Vec<Self> {
        match self {
            Self::Run(run) => {
                let field = |(at, name, node): &(usize, Arc<str>, Node)| Self::Field {
                    at: *at,
                    name: name.clone(),
                    node: node.clone(),
                };
                run.fields.iter().map(field).collect()
            }
            other => vec![other.clone()],
        }
    }
}

impl Node {
    /// Members that cannot be given, of the objects that the value is or holds.
    pub(crate) fn omitted(&self) -> &[(String, String)] {
        match self {
            Self::Record(record) => &record.omitted,
            Self::List(element) | Self::Array(element, _) => element.omitted(),
            _ => &[],
        }
    }

    /// Whether pointers are among the value: they name classes that pointers behind them refer to.
    pub(crate) fn has_pointers(&self) -> bool {
        fn in_steps(steps: &[Step]) -> bool {
            steps.iter().any(|step| match step {
                Step::Field { node, .. } | Step::Pass { node, .. } => node.has_pointers(),
                Step::Base { version, .. } => in_steps(&version.steps),
                Step::Run(_) => false,
                Step::Loop { record, .. } => record.versions.iter().any(|v| in_steps(&v.steps)),
                Step::Skip { .. } => true,
                _ => false,
            })
        }
        match self {
            Self::List(element) | Self::Array(element, _) => element.has_pointers(),
            Self::Map(key, value) => key.has_pointers() || value.has_pointers(),
            Self::Record(record) => record.versions.iter().any(|v| in_steps(&v.steps)),
            Self::Pointer(_) | Self::Nullable(_) | Self::Objects(..) => true,
            Self::Number(_) | Self::Text(_) | Self::Bits | Self::Special(_) => false,
            Self::Enumeration(_) | Self::Undescribed(_) | Self::Empty => false,
        }
    }
}

/// ROOT's containers of objects of any class, which write themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Objects {
    /// `TObjArray`: pointers.
    Array,
    /// `TList`: pointers, each with a text.
    List,
    /// `TClonesArray`: the class, then the objects or their members.
    Clones,
}

/// ROOT's classes that write themselves in a way that no description tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Special {
    /// `TRef`, given as the unique number of the object that it refers to.
    Ref,
    /// `TRefArray`, given as the unique numbers.
    RefArray,
    /// `TArrayF` and its like: a count and numbers.
    NumberArray(Number),
    /// `TDatime`: a packed date and time.
    Datime,
    /// `TObject` as a branch of its own: unique number and bits.
    Object,
}

/// A class as a record of its members and those of its base classes.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub class: Arc<str>,
    /// Whether objects have a byte count and version.
    pub has_header: bool,
    pub fields: Vec<RecordField>,
    /// How each version that the file describes is streamed; the first is taken where the data name none.
    pub versions: Vec<Version>,
    /// Members that cannot be given, with the reason.
    pub omitted: Vec<(String, String)>,
}

/// A member of a [`Record`].
#[derive(Debug, PartialEq)]
pub(crate) struct RecordField {
    pub name: Arc<str>,
    pub node: Node,
    /// Whether some version of the class lacks the member.
    pub optional: bool,
}

/// One version of a class.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Version {
    pub version: i32,
    pub checksum: u32,
    pub steps: Vec<Step>,
    /// The fewest bytes that an object takes among others that are streamed member by member.
    pub least: usize,
}

impl Version {
    pub(crate) fn new(version: i32, checksum: u32, steps: Vec<Step>) -> Self {
        Self { version, checksum, least: bounds::least_of_object(&steps), steps }
    }
}

/// What stands next in an object's bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The value of field `at`.
    Field { at: usize, name: Arc<str>, node: Node },
    /// The value of field `at` in a narrower type of number.
    Widened { at: usize, from: Number },
    /// An array with a flag before it; field `counter` has the number of its elements.
    Counted { at: usize, number: Number, counter: usize },
    /// An array of objects behind a header; field `counter` has their number.
    Loop { at: usize, name: Arc<str>, record: Arc<Record>, counter: usize },
    /// The upper triangle of a symmetric matrix of which field `rows` has the number of rows.
    Triangle { at: usize, number: Number, rows: usize },
    /// A base class, of which the members are fields of the same record.
    Base { class: Arc<str>, version: Version, is_wanted: bool },
    /// `TObject`: version, unique number and bits.
    Object,
    /// Field `at`, which this version of the class lacks.
    Absent { at: usize },
    /// Members of fixed size that stand side by side.
    Run(Arc<Run>),
    /// A member that nobody wants.
    Pass { name: Arc<str>, node: Node },
    /// A member that cannot be given, and is passed over.
    Skip { name: Arc<str>, how: Skip },
}

/// How a member is passed over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Skip {
    /// So many objects, each with a byte count.
    Object(usize),
    /// One byte count, also where the members of several objects follow one another.
    Container,
    /// So many pointers; the objects have byte counts.
    Pointer(usize),
}

/// What a pointer can lead to.
#[derive(Debug, PartialEq)]
pub(crate) struct Pointer {
    /// Class that the pointer was declared with.
    pub class: Arc<str>,
    /// The fields of all classes; each class has some of them.
    pub fields: Vec<RecordField>,
    /// Objects of other classes are passed over, but for the names of their classes.
    pub pointees: Vec<Pointee>,
    /// Whether the first field is the name of the class.
    pub names_class: bool,
}

/// One of the classes that a pointer can lead to.
#[derive(Debug, PartialEq)]
pub(crate) struct Pointee {
    pub record: Arc<Record>,
    /// For each field of the record the field of the pointer.
    pub places: Vec<usize>,
}
