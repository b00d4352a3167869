//! What can be said of a value before it is read: whether it is framed, and the fewest bytes that it takes.

use super::{Node, Special, Step};
use crate::cpp_type::TextForm;

/// Whether the value itself says that it is null.
pub(crate) fn is_optional(node: &Node) -> bool {
    matches!(node, Node::Pointer(_) | Node::Nullable(_))
}

/// Whether a byte count and version precede the value where it is a member.
pub(crate) fn is_framed(node: &Node) -> bool {
    match innermost(node) {
        Node::Text(TextForm::Std) | Node::List(_) | Node::Map(..) => true,
        // Several strings of ROOT's own kind are, a single one is not.
        Node::Text(TextForm::Root) => matches!(node, Node::Array(..)),
        _ => false,
    }
}

/// What the elements of a fixed array are.
pub(crate) fn innermost(node: &Node) -> &Node {
    match node {
        Node::Array(element, _) => innermost(element),
        other => other,
    }
}

/// The fewest bytes that a value takes: a bound on counts.
pub(crate) fn least(node: &Node) -> usize {
    match node {
        Node::Number(number) => number.width(),
        Node::Text(TextForm::Std | TextForm::Root) => 1,
        Node::Text(TextForm::Long) | Node::List(_) | Node::Map(..) | Node::Bits => 4,
        Node::Array(element, length) => least(element).saturating_mul(*length),
        // Old writers left out the byte count.
        Node::Record(_) => 2,
        Node::Pointer(_) | Node::Nullable(_) | Node::Enumeration(_) => 4,
        Node::Undescribed(_) | Node::Empty => 1,
        Node::Special(Special::Datime | Special::NumberArray(_)) => 4,
        Node::Special(_) | Node::Objects(..) => 10,
    }
}

/// The fewest bytes of an object that is streamed member by member. A count of objects without a byte of their own must not
/// be believed: they take at least one here.
pub(super) fn least_of_object(steps: &[Step]) -> usize {
    least_of_steps(steps).max(1)
}

fn least_of_steps(steps: &[Step]) -> usize {
    let step = |step: &Step| match step {
        Step::Field { node, .. } | Step::Pass { node, .. } => least(node),
        Step::Run(run) => run.fields.iter().map(|(.., node)| least(node)).sum(),
        Step::Widened { from, .. } => from.width(),
        Step::Base { version, .. } => least_of_steps(&version.steps),
        Step::Counted { .. } => 1,
        // A TObject can be left out.
        Step::Loop { .. } | Step::Triangle { .. } | Step::Absent { .. } | Step::Skip { .. } | Step::Object => 0,
    };
    steps.iter().map(step).sum()
}
