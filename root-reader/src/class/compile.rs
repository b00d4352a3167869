//! Streamer infos into steps. Each class is compiled once for each place that it is needed in.

use std::collections::HashMap;
use std::sync::Arc;

use super::builder::{Builder, skip_of};
use super::known::{ANYTHING, is_bookkeeping, objects, special};
use super::{CLASS_FIELD, Node, Objects, Pointee, Pointer, Record, RecordField, Skip, Step, Version};
use crate::cpp_type::{CppType, TextForm, normal_name};
use crate::number::Number;
use crate::streamer::{ClassInfo, Element, Streamers, code};

/// Classes nest in classes; real ones stay below 20.
const MAX_DEPTH: usize = 40;
/// Members of all nested classes together; the widest real products have some thousands.
const MAX_NODES: usize = 200_000;
/// Classes that a pointer may lead to and still be given as columns.
const MOST_POINTEES: usize = 64;
/// The same for a pointer that may lead to any object of the file.
const MOST_OBJECTS: usize = 64;
/// Compiles classes, each once.
pub(crate) struct Classes<'a> {
    streamers: &'a Streamers,
    by_normal_name: HashMap<String, &'a str>,
    done: HashMap<(String, i32, bool), Result<Arc<Record>, String>>,
    /// Classes that are being compiled: one that holds itself has no Arrow type.
    open: Vec<String>,
    nodes: usize,
    /// Whether what is compiled is one of all objects that a pointer may lead to. Within these such pointers are not
    /// followed again.
    in_anything: bool,
}

/// The version of a class that is wanted where data tell none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    pub version: Option<i32>,
    pub checksum: u32,
}

type Compiled<T> = Result<T, String>;

impl<'a> Classes<'a> {
    pub(crate) fn new(streamers: &'a Streamers) -> Self {
        let by_normal_name = streamers.names().map(|name| (normal_name(name), name)).collect();
        Self { streamers, by_normal_name, done: HashMap::new(), open: Vec::new(), nodes: 0, in_anything: false }
    }

    /// Whether the file describes the class.
    pub(crate) fn is_described(&self, class: &str) -> bool {
        self.by_normal_name.contains_key(&normal_name(class))
    }

    /// A type as the value of a container, a member, or a branch.
    pub(crate) fn node(&mut self, cpp: &CppType) -> Compiled<Node> {
        Ok(match cpp {
            CppType::Number(number) => Node::Number(*number),
            CppType::Text(form) => Node::Text(*form),
            CppType::List(element) => Node::List(Box::new(self.node(element)?)),
            CppType::Map(key, value) => Node::Map(Box::new(self.node(key)?), Box::new(self.node(value)?)),
            CppType::Bitset => Node::List(Box::new(Node::Number(Number::Bool))),
            CppType::Array(_, 0) => return Err("an array of no elements".into()),
            CppType::Array(element, length) => Node::Array(Box::new(self.node(element)?), *length),
            CppType::Pair(first, second) => self.pair(first, second)?,
            CppType::Pointer(class) => self.pointer(class)?,
            CppType::Class(class) => match (special(class), objects(class)) {
                (Some(special), _) => Node::Special(special),
                (None, Some(kind)) => {
                    let pointer = self.anything()?;
                    if kind == Objects::Clones && pointer.pointees.is_empty() {
                        return Err("the file describes too many classes that a TClonesArray can hold".into());
                    }
                    Node::Objects(kind, pointer)
                }
                (None, None) => match self.described(class) {
                    Some(name) if self.is_container(name) => Node::List(Box::new(self.contained(name))),
                    Some(name) => Node::Record(self.filled(name)?),
                    None => undescribed(class),
                },
            },
        })
    }

    /// The name under which the file describes a class. Links between objects are the same for every class.
    fn described<'n>(&self, class: &'n str) -> Option<&'n str>
    where
        'a: 'n,
    {
        let links = |name: &&&'a str| name.starts_with("ElementLink<") && class.starts_with("ElementLink<");
        if self.is_described(class) { Some(class) } else { self.by_normal_name.values().find(links).copied() }
    }

    /// What such a container holds: `DataVector<X>` the members of `X` that are not stored elsewhere.
    fn contained(&mut self, class: &str) -> Node {
        let argument = class.split_once('<').and_then(|(_, rest)| rest.trim_end().strip_suffix('>'));
        match argument.map(|element| self.filled(element.trim())) {
            Some(Ok(record)) => Node::Record(record),
            _ => Node::Empty,
        }
    }

    /// Whether the file describes the class as a container of objects that are stored elsewhere (`DataVector`).
    pub(crate) fn is_container(&self, class: &str) -> bool {
        let infos = self.infos(class, Wanted::default());
        let is_self = |e: &Element| &*e.name == "This" && normal_name(&e.type_name) == normal_name(class);
        infos.first().is_some_and(|info| info.elements.len() == 1 && info.elements.iter().all(is_self))
    }

    /// A class that has members.
    fn filled(&mut self, class: &str) -> Compiled<Arc<Record>> {
        let record = self.record(class, Wanted::default())?;
        if record.fields.is_empty() { Err(no_members(&record)) } else { Ok(record) }
    }

    fn pair(&mut self, first: &CppType, second: &CppType) -> Compiled<Node> {
        let mut fields = Vec::new();
        for (name, cpp) in [("first", first), ("second", second)] {
            fields.push(RecordField { name: name.into(), node: self.node(cpp)?, optional: false });
        }
        let steps = fields
            .iter()
            .enumerate()
            .map(|(at, f)| Step::Field { at, name: f.name.clone(), node: f.node.clone() })
            .collect();
        let versions = vec![Version::new(0, 0, steps)];
        Ok(Node::Record(Arc::new(Record {
            class: "pair".into(),
            has_header: true,
            fields,
            versions,
            omitted: Vec::new(),
        })))
    }

    /// A class with all versions of it that the file describes.
    pub(crate) fn record(&mut self, class: &str, wanted: Wanted) -> Compiled<Arc<Record>> {
        let key = (normal_name(class), wanted.version.unwrap_or(-1), self.in_anything);
        if let Some(done) = self.done.get(&key) {
            return done.clone();
        }
        if self.open.contains(&key.0) {
            return Err(format!("class {class} holds objects of its own class, to any depth"));
        }
        if self.open.len() > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(format!("class {class} is nested too deeply or has too many members"));
        }
        self.open.push(key.0.clone());
        let built = self.build(class, wanted);
        self.open.pop();
        self.done.insert(key, built.clone());
        built
    }

    fn build(&mut self, class: &str, wanted: Wanted) -> Compiled<Arc<Record>> {
        let infos = self.infos(class, wanted);
        if infos.is_empty() {
            return Err(format!("the file does not describe class {class}"));
        }
        let mut builder = Builder::default();
        let mut versions = Vec::with_capacity(infos.len());
        let mut present = Vec::with_capacity(infos.len());
        for info in infos {
            builder.present = vec![false; builder.fields.len()];
            builder.classes = vec![info.name.clone()];
            let steps = match self.steps(&mut builder, info) {
                Ok(steps) => steps,
                Err(reason) if versions.is_empty() => return Err(reason),
                // Versions that cannot be read only matter to files that hold such objects.
                Err(_) => continue,
            };
            versions.push(Version::new(info.version, info.checksum, steps));
            present.push(std::mem::take(&mut builder.present));
        }
        let Builder { mut fields, mut omitted, .. } = builder;
        for (version, present) in versions.iter_mut().zip(present) {
            for (at, field) in fields.iter_mut().enumerate().filter(|(at, _)| present.get(*at) != Some(&true)) {
                field.optional = true;
                version.steps.push(Step::Absent { at });
            }
        }
        omitted.sort();
        omitted.dedup();
        // Its streamer function calls that of its base class, and adds the elements.
        let has_header = !class.starts_with("TMatrixTSym<");
        Ok(Arc::new(Record { class: class.into(), has_header, fields, versions, omitted }.fused()))
    }

    /// All versions of a class, the wanted one or else the newest first.
    fn infos(&self, class: &str, wanted: Wanted) -> Vec<&'a ClassInfo> {
        let Some(name) = self.by_normal_name.get(&normal_name(class)) else {
            return Vec::new();
        };
        let mut infos: Vec<&ClassInfo> = self.streamers.versions(name).iter().collect();
        let rank = |info: &ClassInfo| {
            let exact = wanted.checksum != 0 && info.checksum == wanted.checksum;
            let named = wanted.version == Some(info.version);
            (!(exact && named), !exact, !named, -info.version)
        };
        infos.sort_by_key(|info| rank(info));
        infos
    }

    fn steps(&mut self, builder: &mut Builder, info: &ClassInfo) -> Compiled<Vec<Step>> {
        let mut steps = Vec::with_capacity(info.elements.len());
        for element in &info.elements {
            self.nodes += 1;
            if self.nodes > MAX_NODES {
                return Err(format!("class {} has too many members", info.name));
            }
            if let Some(step) = self.step(builder, element)? {
                steps.push(step);
            }
        }
        Ok(steps)
    }

    fn step(&mut self, builder: &mut Builder, element: &Element) -> Compiled<Option<Step>> {
        let is_base = element.type_name == "BASE";
        Ok(Some(match element.code {
            code::TOBJECT => Step::Object,
            code::BASE | code::TNAMED if is_base => {
                let wanted = Wanted { version: element.base_version, checksum: 0 };
                let infos = self.infos(&element.name, wanted);
                match (infos.first(), special(&element.name)) {
                    (_, Some(special)) => builder.field(element, Node::Special(special)),
                    (Some(info), None) if builder.classes.contains(&info.name) || builder.classes.len() > MAX_DEPTH => {
                        return Err(format!("class {} is its own base", element.name));
                    }
                    (Some(info), None) => {
                        // A class is described with the version of each base class that it had then.
                        builder.classes.push(info.name.clone());
                        let steps = self.steps(builder, info)?;
                        builder.classes.pop();
                        let version = Version::new(info.version, info.checksum, steps);
                        Step::Base { class: element.name.clone(), version, is_wanted: true }
                    }
                    (None, None) => {
                        builder.skip(element, Skip::Object(1), "the file does not describe this base class")
                    }
                }
            }
            // Members that schema evolution rules made up are not in the data.
            code if code < 0 => return Ok(None),
            code => match self.member(builder, element, code) {
                Ok(step) => step,
                Err(reason) => match skip_of(element) {
                    Some(skip) => builder.skip(element, skip, &reason),
                    None => return Err(format!("member {}: {reason}", element.name)),
                },
            },
        }))
    }

    fn member(&mut self, builder: &mut Builder, element: &Element, code: i32) -> Compiled<Step> {
        if (code::POINTER + 1..code::POINTER + code::ARRAY).contains(&code) {
            let number = Number::from_code(code - code::POINTER, &element.title)
                .ok_or_else(|| format!("an array of type code {code}"))?;
            let counter = element.counter.as_deref().and_then(|name| builder.place(name));
            let counter = counter.ok_or("its counter is not a member before it")?;
            let is_triangle = builder.classes.last().is_some_and(|class| class.starts_with("TMatrixTSym<"));
            let rows = if is_triangle { builder.place("fNrows") } else { None };
            let at = builder.list(element, Node::Number(number));
            return Ok(match rows {
                Some(rows) => Step::Triangle { at, number, rows },
                None => Step::Counted { at, number, counter },
            });
        }
        if code == code::STREAM_LOOP {
            let counter = element.counter.as_deref().and_then(|name| builder.place(name));
            let counter = counter.ok_or("its counter is not a member before it")?;
            let class = element.type_name.trim();
            let class = class.strip_suffix('*').ok_or("an array of objects that is no pointer")?;
            if class.ends_with('*') {
                return Err("arrays of pointers to objects are not decoded".into());
            }
            let record = self.filled(class)?;
            let at = builder.list(element, Node::Record(record.clone()));
            return Ok(Step::Loop { at, name: element.name.clone(), record, counter });
        }
        let node = self.member_node(element, code)?;
        Ok(builder.field(element, node))
    }

    /// The type of a member.
    pub(crate) fn member_node(&mut self, element: &Element, code: i32) -> Compiled<Node> {
        let type_name = element.type_name.as_str();
        let (scalar, is_array) = match code {
            c if (code::ARRAY + 1..code::POINTER).contains(&c) => (c - code::ARRAY, true),
            c if (code::OBJECT + code::ARRAY..100).contains(&c) => (c - code::ARRAY, true),
            c if c == code::STL + code::ARRAY || c == code::STL_STRING + code::ARRAY => (c - code::ARRAY, true),
            c => (c, false),
        };
        let node = match scalar {
            code::BITS => Node::Bits,
            code::CHAR_STAR => Node::Text(TextForm::Long),
            basic if basic < code::ARRAY => member_number(basic, type_name, &element.title)
                .map(Node::Number)
                .ok_or_else(|| format!("members of type code {code} are not decoded"))?,
            code::TSTRING => Node::Text(TextForm::Root),
            code::OBJECT_POINTER | code::ANY_POINTER => match CppType::parse(type_name) {
                CppType::Pointer(class) => self.pointer(&class)?,
                _ => self.pointer(type_name)?,
            },
            code::OBJECT
            | code::ANY
            | code::TOBJECT
            | code::TNAMED
            | code::OBJECT_NEVER_NULL
            | code::ANY_NEVER_NULL
            | code::STL
            | code::STL_STRING
            | code::STL_POINTER
            | code::STREAMER => {
                let name = type_name.trim().trim_end_matches('*');
                match CppType::parse(name) {
                    CppType::Class(class) if special(&class).is_none() && objects(&class).is_none() => {
                        if ANYTHING.contains(&class.as_str()) {
                            return Err(format!("a {class} can hold objects of any class"));
                        }
                        Node::Record(self.filled(&class)?)
                    }
                    cpp => self.node(&cpp)?,
                }
            }
            other => return Err(format!("members of type {type_name} (code {other}) are not decoded")),
        };
        let length = element.array_length;
        Ok(if is_array && length > 0 || length > 1 {
            let product = element.dims.iter().try_fold(1usize, |product, d| product.checked_mul(*d));
            let dims = if product == Some(length) { element.dims.clone() } else { vec![length] };
            dims.iter().rev().fold(node, |inner, dim| Node::Array(Box::new(inner), *dim))
        } else {
            node
        })
    }

    /// A pointer to `class` or a class that is derived from it.
    fn pointer(&mut self, class: &str) -> Compiled<Node> {
        let class = class.trim().trim_end_matches('*').trim();
        match CppType::parse(class) {
            CppType::Class(class) if special(&class).is_none() && objects(&class).is_none() => {}
            CppType::Pair(..) => {}
            cpp => return Ok(Node::Nullable(Box::new(self.node(&cpp)?))),
        }
        if class == "TObject" {
            return Ok(Node::Pointer(self.anything()?));
        }
        let mut names = if self.is_described(class) { vec![class] } else { Vec::new() };
        names.extend(self.streamers.derived_from(class));
        names.retain(|name| !is_bookkeeping(name));
        if names.len() > MOST_POINTEES {
            names.clear();
        }
        let names_class = names.len() != 1;
        self.pointees(class, names, names_class).map(Node::Pointer)
    }

    /// A pointer to any object.
    fn anything(&mut self) -> Compiled<Arc<Pointer>> {
        let mut names = self.streamers.derived_from("TObject");
        names.retain(|name| !is_bookkeeping(name));
        if names.len() > MOST_OBJECTS || self.in_anything {
            names.clear();
        }
        self.in_anything = true;
        let pointer = self.pointees("TObject", names, true);
        self.in_anything = false;
        pointer
    }

    fn pointees(&mut self, class: &str, names: Vec<&str>, names_class: bool) -> Compiled<Arc<Pointer>> {
        let mut fields: Vec<RecordField> = Vec::new();
        if names_class {
            let node = Node::Text(TextForm::Root);
            fields.push(RecordField { name: CLASS_FIELD.into(), node, optional: false });
        }
        let mut pointees = Vec::new();
        for name in names {
            // What leads back to a class that is being compiled is known by its name alone.
            let Ok(record) = self.record(name, Wanted::default()) else { continue };
            let mut places = Vec::with_capacity(record.fields.len());
            for field in &record.fields {
                let same = |f: &RecordField| f.name == field.name && f.node == field.node;
                let at = fields.iter().position(same).unwrap_or_else(|| {
                    let taken = fields.iter().any(|f| f.name == field.name);
                    let own = if taken { format!("{name}::{}", field.name).into() } else { field.name.clone() };
                    let optional = names_class || field.optional;
                    fields.push(RecordField { name: own, node: field.node.clone(), optional });
                    fields.len() - 1
                });
                places.push(at);
            }
            pointees.push(Pointee { record, places });
        }
        if fields.is_empty() {
            let node = Node::Text(TextForm::Root);
            fields.push(RecordField { name: CLASS_FIELD.into(), node, optional: false });
            return Ok(Arc::new(Pointer { class: class.into(), fields, pointees, names_class: true }));
        }
        Ok(Arc::new(Pointer { class: class.into(), fields, pointees, names_class }))
    }
}

/// A name that the file does not describe. An enumeration never is described; a class is not if there is no object of it.
fn undescribed(class: &str) -> Node {
    let is_template = class.contains('<');
    let is_known = class.starts_with('T') && class.chars().nth(1).is_some_and(char::is_uppercase);
    if is_template || is_known { Node::Undescribed(class.into()) } else { Node::Enumeration(class.into()) }
}

pub(crate) fn no_members(record: &Record) -> String {
    match record.omitted.first() {
        None => format!("class {} has no members: there is nothing to read", record.class),
        Some((member, reason)) => {
            format!("class {} has no members that can be read; {member}: {reason}", record.class)
        }
    }
}

/// The number behind the type code of a member. Members that count others have a code of their own, whatever integer they
/// are.
pub(crate) fn member_number(basic: i32, type_name: &str, title: &str) -> Option<Number> {
    let counter = (basic == code::COUNTER).then(|| Number::from_cpp(type_name)).flatten();
    counter.filter(|n| n.width() == 4).or_else(|| Number::from_code(basic, title))
}
