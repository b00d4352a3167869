//! Split objects and collections. A branch's name tells the members on the way to it, and the classes tell which base
//! class declares each: the struct of a base class is named after it and holds what it declares.

use std::collections::{HashMap, HashSet};

use arrow_schema::{DataType, FieldRef};

use super::{Member, Node};
use crate::layout::Columns;
use crate::streamer::{Element, code};
use crate::tree::{Branch, BranchId, TreeInner};

/// Members and base classes on the way to a member; real files stay below 20, and a damaged one must come to an end.
const MOST_STEPS: usize = 64;

/// The columns of a tree, its split objects put together.
pub(super) fn columns(tree: &TreeInner, columns: &Columns) -> Vec<Member> {
    let mut children: Vec<Vec<BranchId>> = vec![Vec::new(); tree.branches.len()];
    let mut top = Vec::new();
    for (id, branch) in tree.branches.iter().enumerate() {
        match branch.parent.and_then(|parent| children.get_mut(parent)) {
            Some(siblings) => siblings.push(id),
            None => top.push(id),
        }
    }
    let counts = columns.counts.iter().enumerate().map(|(i, count)| (count.branch, columns.readable.len() + i));
    let mut builder =
        Builder { tree, children, flat: flat(columns).collect(), counts: counts.collect(), strays: Vec::new() };
    let mut all = Vec::new();
    for branch in top {
        all.extend(builder.column(branch));
        all.append(&mut builder.strays);
    }
    with_own_names(all)
}

/// The columns of the friends of a tree. Their branches stand behind its own and tell nothing of its objects.
pub(super) fn of_friends(tree: &TreeInner, columns: &Columns) -> impl Iterator<Item = Member> {
    flat(columns).filter(|(branch, _)| *branch >= tree.branches.len()).map(|(_, member)| member)
}

/// The readable leaf branches. Structs without members, such as empty base classes, say nothing.
fn flat(columns: &Columns) -> impl Iterator<Item = (BranchId, Member)> {
    let is_empty = |field: &FieldRef| matches!(field.data_type(), DataType::Struct(members) if members.is_empty());
    let readable = columns.schema.fields().iter().zip(&columns.readable).enumerate();
    readable.filter(move |(_, (field, _))| !is_empty(field)).filter_map(|(index, (field, all))| {
        let member = Member { field: field.clone(), node: Node::Flat(index) };
        Some((columns.all.get(*all)?.branch, member))
    })
}

/// Two columns, or two members of a struct, cannot share a name.
pub(super) fn with_own_names(members: Vec<Member>) -> Vec<Member> {
    let mut taken = HashSet::new();
    let own = |member: Member| {
        let mut name = member.name().to_string();
        let mut copy = 1;
        while !taken.insert(name.clone()) {
            copy += 1;
            name = format!("{}#{copy}", member.name());
        }
        if name == member.name() { member } else { member.renamed(&name) }
    };
    members.into_iter().map(own).collect()
}

struct Builder<'a> {
    tree: &'a TreeInner,
    children: Vec<Vec<BranchId>>,
    /// The readable leaf branches.
    flat: HashMap<BranchId, Member>,
    /// Scannable numbers of elements by collection.
    counts: HashMap<BranchId, usize>,
    /// Columns below a collection that are no lists.
    strays: Vec<Member>,
}

/// A member, or the struct of a base class, on the way to a member.
#[derive(Clone)]
struct Step {
    name: String,
    is_base: bool,
}

/// Where the members of an object are looked for.
#[derive(Clone)]
struct Context {
    /// The members on the way to them.
    path: Vec<Step>,
    class: Option<String>,
    /// What the names of the branches may begin with, which tells nothing.
    prefixes: Vec<String>,
}

impl Builder<'_> {
    /// The column of a branch of the tree itself.
    fn column(&mut self, id: BranchId) -> Vec<Member> {
        let tree = self.tree;
        let Some(branch) = tree.branches.get(id) else { return Vec::new() };
        if branch.children == 0 {
            return self.flat.get(&id).cloned().into_iter().collect();
        }
        // Only branches of objects say what their sub-branches are; a vector of pointers has one for every class.
        if branch.element.is_none() && branch.class != "TBranchSTL" {
            return self.leaves(id);
        }
        if is_collection(branch) {
            return self.collection(id, &branch.name, None).into_iter().collect();
        }
        let mut members = Vec::new();
        for child in self.children_of(id) {
            members.extend(self.member(child));
        }
        match members.as_slice() {
            // A class that is nothing but its base class.
            [only] if only.name() == branch.name && matches!(only.node, Node::Flat(_)) => members,
            _ => Member::of_struct(&branch.name, with_own_names(members)).into_iter().collect(),
        }
    }

    /// A sub-branch of an object, under its own name.
    fn member(&mut self, id: BranchId) -> Option<Member> {
        let tree = self.tree;
        let branch = tree.branches.get(id)?;
        if branch.children == 0 {
            return self.flat.get(&id).cloned().map(|flat| flat.renamed(&branch.name));
        }
        let declared = branch.element.as_ref().map(|facts| facts.class_name.as_str());
        if is_collection(branch) {
            return self.collection(id, &branch.name, declared);
        }
        let own = components(&branch.name).pop();
        let found = own.zip(declared).and_then(|(own, class)| self.find(class, &own));
        let class = found.as_ref().map(|(_, element)| class_of(element));
        let is_base = found.is_some_and(|(_, element)| is_base(element));
        let context = Context { path: Vec::new(), class, prefixes: prefixes(&branch.name) };
        let mut draft = Draft::default();
        self.fill(&mut draft, id, &context, 0);
        let made = Member::of_struct(&branch.name, draft.finish())?;
        Some(if is_base { made.of_base() } else { made })
    }

    /// A collection as a list of structs. `declared` is the class of which it is a member.
    fn collection(&mut self, id: BranchId, name: &str, declared: Option<&str>) -> Option<Member> {
        let tree = self.tree;
        let branch = tree.branches.get(id)?;
        let facts = branch.element.as_ref();
        let of_values = facts.map(|f| f.value_class.clone()).filter(|class| !class.is_empty());
        let class = of_values.or_else(|| {
            let own = components(&branch.name).pop()?;
            let (_, element) = self.find(declared?, &own)?;
            value_class(&element.type_name)
        });
        let class = class.or_else(|| value_class(&facts?.class_name));
        let context = Context { path: Vec::new(), class, prefixes: prefixes(&branch.name) };
        let mut draft = Draft::default();
        self.fill(&mut draft, id, &context, 0);
        let (list, strays) = Member::of_list(name, draft.finish(), self.counts.get(&id).copied());
        // They keep the names that they have in the flat schema.
        self.strays.extend(strays.into_iter().filter_map(|stray| match stray.node {
            Node::Flat(column) => self.flat.values().find(|f| matches!(f.node, Node::Flat(c) if c == column)).cloned(),
            _ => Some(stray),
        }));
        list
    }

    /// Adds the branches below `id` to the draft of an object.
    fn fill(&mut self, draft: &mut Draft, id: BranchId, context: &Context, depth: usize) {
        let tree = self.tree;
        for child in self.children_of(id) {
            let Some(branch) = tree.branches.get(child) else { continue };
            let facts = branch.element.as_ref();
            let declared = facts.map(|f| f.class_name.as_str());
            let (path, class) = self.resolve(context, &branch.name, declared);
            if branch.children == 0 {
                if let Some(flat) = self.flat.get(&child) {
                    draft.insert(&path, flat.clone());
                }
            } else if is_collection(branch) {
                if let (Some(list), Some((name, above))) =
                    (self.collection(child, &branch.name, declared), path.split_last())
                {
                    draft.insert(path.get(..=above.len()).unwrap_or_default(), list.renamed(&name.name));
                }
            } else if depth < MOST_STEPS {
                // The names of what a base class declares do not always hold the name of the base class.
                let inherited = context.prefixes.iter().cloned();
                let prefixes = prefixes(&branch.name).into_iter().chain(inherited).collect();
                let within = Context { path, class, prefixes };
                self.fill(draft, child, &within, depth + 1);
            }
        }
    }

    /// The path of members to a branch, base classes included, and the class that its own members are declared in.
    fn resolve(&self, context: &Context, name: &str, declared: Option<&str>) -> (Vec<Step>, Option<String>) {
        let tail = context.prefixes.iter().find_map(|p| name.strip_prefix(p.as_str()).filter(|rest| !rest.is_empty()));
        let mut path = context.path.clone();
        let mut class = context.class.clone();
        let steps = components(tail.unwrap_or(name));
        for (i, step) in steps.iter().enumerate() {
            let is_last = i + 1 == steps.len();
            // The branch knows the class that declares it; for the members on the way the first that has them counts.
            let known = declared.filter(|_| is_last).zip(class.as_deref());
            let bases = known.and_then(|(declared, class)| self.bases_to(class, declared));
            let found = class.as_deref().and_then(|class| self.find(class, step));
            let (bases, element) = match (bases, found) {
                (Some(bases), found) => (bases, found.map(|(_, element)| element)),
                (None, Some((bases, element))) => (bases, Some(element)),
                (None, None) => (Vec::new(), None),
            };
            path.extend(bases.into_iter().map(|name| Step { name, is_base: true }));
            path.push(Step { name: step.clone(), is_base: element.is_some_and(is_base) });
            class = element.map(class_of);
            if path.len() > MOST_STEPS {
                return (vec![Step { name: name.to_string(), is_base: false }], None);
            }
        }
        (path, class)
    }

    /// A member of a class or of its base classes, and the base classes on the way to it.
    fn find(&self, class: &str, member: &str) -> Option<(Vec<String>, &Element)> {
        self.search(class, |element| &*element.name == member)
    }

    /// The base classes on the way from a class to one that it is derived from.
    fn bases_to(&self, class: &str, base: &str) -> Option<Vec<String>> {
        if class == base {
            return Some(Vec::new());
        }
        let (mut bases, element) = self.search(class, |element| is_base(element) && &*element.name == base)?;
        bases.push(element.name.to_string());
        Some(bases)
    }

    /// Looks at the members of a class, then at those of its first base class and what that is derived from, and so on.
    fn search(&self, class: &str, wanted: impl Fn(&Element) -> bool) -> Option<(Vec<String>, &Element)> {
        let mut seen = HashSet::new();
        let mut open = vec![(class.to_string(), Vec::new())];
        while let Some((class, path)) = open.pop() {
            let Some(info) = self.tree.streamers.latest(&class) else { continue };
            if path.len() > MOST_STEPS || !seen.insert(class) {
                continue;
            }
            if let Some(element) = info.elements.iter().find(|element| wanted(element)) {
                return Some((path, element));
            }
            let bases = info.elements.iter().filter(|element| is_base(element)).map(|base| base.name.to_string());
            open.extend(bases.rev().map(|base| {
                let path = path.iter().cloned().chain([base.clone()]).collect();
                (base, path)
            }));
        }
        None
    }

    fn children_of(&self, id: BranchId) -> Vec<BranchId> {
        self.children.get(id).cloned().unwrap_or_default()
    }

    /// All readable leaf branches below a branch.
    fn leaves(&self, id: BranchId) -> Vec<Member> {
        let mut found = Vec::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            found.extend(self.flat.get(&id).cloned());
            open.extend(self.children_of(id).into_iter().rev());
        }
        found
    }
}

/// Whether the branch is a split collection.
fn is_collection(branch: &Branch) -> bool {
    branch.element.as_ref().is_some_and(|facts| matches!(facts.kind, 3 | 4))
}

fn is_base(element: &Element) -> bool {
    element.code == code::BASE || element.type_name == "BASE"
}

/// The class of a member, or of the base class that it stands for.
fn class_of(element: &Element) -> String {
    match is_base(element) {
        true => element.name.to_string(),
        false => plain_class(&element.type_name).to_string(),
    }
}

fn plain_class(type_name: &str) -> &str {
    type_name.trim().trim_start_matches("const ").trim_end_matches(['*', ' '])
}

/// The class of the elements of a container, as its type's name tells it.
fn value_class(type_name: &str) -> Option<String> {
    let (_, arguments) = plain_class(type_name).split_once('<')?;
    let arguments = arguments.trim_end().strip_suffix('>')?;
    let mut depth = 0usize;
    let end = arguments.find(|c| {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    Some(plain_class(arguments.get(..end.unwrap_or(arguments.len()))?).to_string())
}

/// The parts of a branch's name, without dimensions: `calEnergy_.ecal_position.fCoordinates.fX`, `hits.xy[2]`.
fn components(name: &str) -> Vec<String> {
    let name = name.split('[').next().unwrap_or_default();
    name.trim_end_matches('.').split('.').map(str::to_string).collect()
}

/// What the names of the branches below one of this name begin with: its name, or, where it stands for a base class, the
/// name up to that.
fn prefixes(name: &str) -> Vec<String> {
    let up_to = name.trim_end_matches('.').rfind('.').and_then(|dot| name.get(..=dot));
    let own = format!("{}.", name.trim_end_matches('.'));
    std::iter::once(own).chain(up_to.map(str::to_string)).collect()
}

/// An object while its members are collected.
#[derive(Default)]
struct Draft {
    members: Vec<(String, Slot)>,
}

enum Slot {
    Member(Member),
    Object(Draft),
    Base(Draft),
}

impl Draft {
    fn insert(&mut self, path: &[Step], member: Member) {
        let Some((first, rest)) = path.split_first() else { return };
        if rest.is_empty() {
            self.members.push((first.name.clone(), Slot::Member(member)));
            return;
        }
        let is_object = |slot: &Slot| matches!(slot, Slot::Object(_) | Slot::Base(_));
        let existing = self.members.iter().position(|(name, slot)| *name == first.name && is_object(slot));
        if existing.is_none() {
            let new = if first.is_base { Slot::Base(Self::default()) } else { Slot::Object(Self::default()) };
            self.members.push((first.name.clone(), new));
        }
        let at = existing.unwrap_or(self.members.len() - 1);
        if let Some((_, Slot::Object(object) | Slot::Base(object))) = self.members.get_mut(at) {
            object.insert(rest, member);
        }
    }

    fn finish(self) -> Vec<Member> {
        let members = self.members.into_iter().filter_map(|(name, slot)| match slot {
            Slot::Member(member) => Some(member.renamed(&name)),
            Slot::Object(draft) => Member::of_struct(&name, draft.finish()),
            Slot::Base(draft) => Member::of_struct(&name, draft.finish()).map(Member::of_base),
        });
        with_own_names(members.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_the_elements_is_the_first_argument_of_the_container() {
        for (container, class) in [
            ("vector<reco::Muon>", "reco::Muon"),
            ("vector<Poly*>", "Poly"),
            ("vector<edm::Ref<vector<reco::Track>,reco::Track> >", "edm::Ref<vector<reco::Track>,reco::Track>"),
            ("list<pair<int,float>, alloc>", "pair<int,float>"),
        ] {
            assert_eq!(value_class(container).as_deref(), Some(class), "{container}");
        }
        assert_eq!(value_class("TClonesArray"), None);
    }

    #[test]
    fn names_fall_into_members_without_dimensions() {
        assert_eq!(components("hits.xy[2]"), ["hits", "xy"]);
        assert_eq!(components("small."), ["small"]);
        assert_eq!(prefixes("small."), ["small."]);
        assert_eq!(prefixes("p4.fP.TObject"), ["p4.fP.TObject.", "p4.fP."]);
    }
}
