//! Branches that belong together by their names only: NanoAOD's `nMuon` and `Muon_pt`, xAOD's `AnalysisMuonsAuxDyn.pt`.

use std::collections::{HashMap, HashSet};

use arrow_schema::DataType;

use super::{Member, Node};
use crate::layout::Columns;
use crate::tree::{Branch, BranchId, TreeInner};

/// Members of a group, and the place of the first of them.
#[derive(Default)]
struct Group {
    first: usize,
    members: Vec<Member>,
    counter: Option<usize>,
}

/// Puts the groups where their first members stood.
fn with_groups(members: Vec<Option<Member>>, groups: Vec<(usize, Vec<Member>)>) -> Vec<Member> {
    let mut at: HashMap<usize, Vec<Member>> = HashMap::new();
    for (first, group) in groups {
        at.entry(first).or_default().extend(group);
    }
    let all = members.into_iter().enumerate();
    all.flat_map(|(i, member)| at.remove(&i).unwrap_or_default().into_iter().chain(member)).collect()
}

/// Groups the columns of a tree of plain branches. `X_*` that `nX` counts become the list `X`, and `nX`, which is its length,
/// goes; several `X_*` without a counter become the struct `X`. A name that is taken keeps its columns flat.
pub(super) fn nano(tree: &TreeInner, columns: &Columns, members: Vec<Member>) -> Vec<Member> {
    if tree.branches.iter().any(|b| b.children > 0) {
        return members;
    }
    let taken: HashSet<&str> = tree.branches.iter().map(|b| b.name.as_str()).collect();
    let branch_of = |member: &Member| -> Option<(BranchId, &Branch)> {
        let Node::Flat(column) = member.node else { return None };
        let branch = columns.scanned(column)?.branch;
        Some((branch, tree.branches.get(branch)?))
    };
    let is_plain = |branch: &Branch| branch.element.is_none() && branch.leaves.len() == 1;
    let counters: HashMap<&str, (usize, usize, BranchId)> = members
        .iter()
        .enumerate()
        .filter_map(|(at, member)| {
            let Node::Flat(column) = member.node else { return None };
            let (id, branch) = branch_of(member).filter(|(_, b)| is_plain(b))?;
            let name = branch.name.strip_prefix('n').filter(|_| member.field.data_type().is_integer())?;
            Some((name, (at, column, id)))
        })
        .collect();
    let mut groups: HashMap<String, Group> = HashMap::new();
    let mut mixed: HashSet<&str> = HashSet::new();
    let mut places: Vec<(usize, String)> = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let Some((prefix, rest)) = member.name().split_once('_') else { continue };
        if prefix.is_empty() || rest.is_empty() || taken.contains(prefix) {
            continue;
        }
        let Some((_, branch)) = branch_of(member).filter(|(_, b)| is_plain(b)) else {
            mixed.insert(prefix);
            continue;
        };
        let counter = counters.get(prefix);
        let counted_by = branch.leaves.first().and_then(|leaf| leaf.counter.as_ref()).map(|(counter, _)| *counter);
        // Where there is a counter, what it does not count does not belong to the list.
        if counter.is_some_and(|(_, _, id)| Some(*id) != counted_by) {
            continue;
        }
        let group = groups.entry(prefix.to_string()).or_insert_with(|| Group { first: at, ..Group::default() });
        group.members.push(member.clone().renamed(rest));
        group.counter = counter.map(|(_, column, _)| *column);
        places.push((at, prefix.to_string()));
    }
    groups.retain(|prefix, group| {
        !mixed.contains(prefix.as_str()) && (group.members.len() > 1 || group.counter.is_some())
    });
    let mut left: Vec<Option<Member>> = members.iter().cloned().map(Some).collect();
    let mut take = |at: usize| {
        if let Some(slot) = left.get_mut(at) {
            *slot = None;
        }
    };
    places.iter().filter(|(_, prefix)| groups.contains_key(prefix)).for_each(|(at, _)| take(*at));
    let counted = groups.iter().filter(|(_, group)| group.counter.is_some());
    counted.filter_map(|(prefix, _)| counters.get(prefix.as_str())).for_each(|(at, ..)| take(*at));
    let made = groups.into_iter().map(|(prefix, group)| {
        let made = match group.counter {
            Some(_) => {
                let (list, others) = Member::of_list(&prefix, group.members, group.counter);
                list.into_iter().chain(others).collect()
            }
            None => Member::of_struct(&prefix, group.members).into_iter().collect(),
        };
        (group.first, made)
    });
    with_groups(left, made.collect())
}

/// Groups the columns `XAuxDyn.f` and `XAux.f` of ATLAS's xAOD: a list of structs if all are vectors, which then hold a
/// value per object, else a struct. The branch `X` itself is the interface to them and has no data of its own, and goes; if it is
/// anything else, the name is taken and its columns stay flat.
pub(super) fn xaod(tree: &TreeInner, members: Vec<Member>) -> Vec<Member> {
    let objects: HashSet<String> =
        members.iter().filter_map(|m| auxiliary(m.name())).map(|(object, _)| object.to_string()).collect();
    let is_interface = |name: &str| {
        let branch = tree.branches.iter().find(|b| b.parent.is_none() && b.name == name);
        let class = branch.and_then(|b| b.element.as_ref()).map(|facts| facts.class_name.as_str());
        class.is_some_and(|class| class.starts_with("DataVector<") || class.starts_with("xAOD::"))
    };
    let (mut taken, mut interfaces) = (HashSet::new(), HashSet::new());
    for name in members.iter().map(Member::name).filter(|name| objects.contains(*name)) {
        let known = if is_interface(name) { &mut interfaces } else { &mut taken };
        known.insert(name.to_string());
    }
    let mut order: Vec<String> = Vec::new();
    let mut groups: HashMap<String, Group> = HashMap::new();
    let mut left: Vec<Option<Member>> = Vec::with_capacity(members.len());
    for (at, member) in members.into_iter().enumerate() {
        let found = auxiliary(member.name()).filter(|(object, _)| !taken.contains(*object));
        let parts = found.and_then(|(object, own)| Some((object.to_string(), parts(&member, own)?)));
        let Some((object, parts)) = parts else {
            left.push(Some(member));
            continue;
        };
        left.push(None);
        let group = groups.entry(object.clone()).or_insert_with(|| {
            order.push(object);
            Group { first: at, ..Group::default() }
        });
        group.members.extend(parts);
    }
    for slot in &mut left {
        slot.take_if(|member| interfaces.contains(member.name()) && groups.contains_key(member.name()));
    }
    let made = order.into_iter().filter_map(|object| {
        let group = groups.remove(&object)?;
        let is_list = group.members.iter().all(|member| member.element().is_some());
        let made = match is_list {
            true => Member::of_list(&object, group.members, None).0,
            false => Member::of_struct(&object, group.members),
        };
        Some((group.first, made.into_iter().collect()))
    });
    let made: Vec<(usize, Vec<Member>)> = made.collect();
    with_groups(left, made)
}

/// What a column adds to its object: itself under the name `own`, or, where it is all auxiliary data of a class that were
/// split, its members.
fn parts(member: &Member, own: &str) -> Option<Vec<Member>> {
    match (own.is_empty(), &member.node, member.field.data_type()) {
        (false, ..) => Some(vec![member.clone().renamed(own)]),
        (true, Node::Struct(nodes), DataType::Struct(fields)) => {
            let parts = fields.iter().zip(nodes).map(|(field, node)| {
                let own = field.name().strip_prefix(member.name()).unwrap_or(field.name());
                Member { field: field.clone(), node: node.clone() }.renamed(own)
            });
            Some(parts.collect())
        }
        _ => None,
    }
}

/// The object and the member that a name of xAOD's stands for.
fn auxiliary(name: &str) -> Option<(&str, &str)> {
    let (object, member) = name.split_once("AuxDyn.").or_else(|| name.split_once("Aux."))?;
    (!object.is_empty() && !object.contains('.')).then_some((object, member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_auxiliary_data_fall_into_object_and_member() {
        assert_eq!(auxiliary("AnalysisMuonsAuxDyn.pt"), Some(("AnalysisMuons", "pt")));
        assert_eq!(auxiliary("EventInfoAux."), Some(("EventInfo", "")));
        assert_eq!(auxiliary("recoMuons_muons__RECO.obj"), None);
        assert_eq!(auxiliary("Aux.x"), None);
    }
}
