//! Objects of the file's metadata (TTree, TBranch, TLeaf and what hangs on them), read as the streamer info says into a
//! small dynamic model. Data never pass through here; see `decode` for that.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::FormatError;
use crate::streamer::{ClassInfo, Element, Streamers, code, named, skip_tobject};
use crate::tags::{Tag, Tags};
use crate::wire::{Cursor, KeyHead, VersionHeader};

type Result<T> = std::result::Result<T, FormatError>;

/// Objects nest in objects; real files stay below 20.
const MAX_DEPTH: usize = 200;

/// Index of an object in its [`Graph`].
pub(crate) type ObjectId = usize;

/// One member's value.
#[derive(Debug, Clone, Default)]
pub(crate) enum Value {
    /// A null pointer, or something that is not modelled.
    #[default]
    Nothing,
    Integer(i64),
    Real(f64),
    Text(String),
    Integers(Vec<i64>),
    Reals(Vec<f64>),
    Object(ObjectId),
    /// Elements of a TObjArray or TList.
    Objects(Vec<Option<ObjectId>>),
    /// A basket that was written with its tree instead of to a place of its own.
    Basket(EmbeddedBasket),
}

/// A basket inside the tree's own record.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddedBasket {
    pub entries: u32,
    /// The values, as a range of the record's content.
    pub payload: Range<usize>,
    /// Where each entry starts, counted from the basket's key; empty for fixed-size entries.
    pub offsets: Vec<u32>,
    /// Length of the basket's key, which `offsets` include.
    pub key_length: usize,
}

/// One object: its class and its members, those of base classes included.
#[derive(Debug, Clone, Default)]
pub(crate) struct Object {
    pub class: Arc<str>,
    pub version: i32,
    /// Why the object could not be read to its end; the members before that are there.
    pub fault: Option<FormatError>,
    members: Vec<(Arc<str>, Value)>,
}

impl Object {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(n, _)| &**n == name).map(|(_, v)| v)
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Integer(i) => Some(*i),
            Value::Real(r) => Some(*r as i64),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(t) => Some(t),
            _ => None,
        }
    }

    pub(crate) fn integers(&self, name: &str) -> &[i64] {
        match self.get(name) {
            Some(Value::Integers(list)) => list,
            _ => &[],
        }
    }

    pub(crate) fn object(&self, name: &str) -> Option<ObjectId> {
        match self.get(name)? {
            Value::Object(id) => Some(*id),
            _ => None,
        }
    }
}

/// All objects of one record; pointers are indices, so that cycles are harmless.
#[derive(Debug)]
pub(crate) struct Graph {
    objects: Vec<Object>,
}

impl Graph {
    /// Reads the object of `class` that fills `content`.
    pub(crate) fn read(
        class: &str,
        content: &[u8],
        key_length: usize,
        streamers: &Streamers,
    ) -> Result<(Self, ObjectId)> {
        let mut reader = Reader {
            cursor: Cursor::new(content),
            tags: Tags::new(key_length),
            streamers,
            graph: Self { objects: Vec::new() },
            seen: HashMap::new(),
            depth: 0,
        };
        let root = reader.object(&class.into())?;
        Ok((reader.graph, root))
    }

    pub(crate) fn get(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(id)
    }

    /// The objects of a list-like member, with the gaps left out.
    pub(crate) fn list<'a>(&'a self, object: &'a Object, member: &str) -> impl Iterator<Item = (ObjectId, &'a Object)> {
        self.slots(object, member).iter().flatten().filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// The slots of a list-like member.
    pub(crate) fn slots<'a>(&'a self, object: &'a Object, member: &str) -> &'a [Option<ObjectId>] {
        let list = object.object(member).and_then(|id| self.get(id)).and_then(|list| list.get("elements"));
        match list {
            Some(Value::Objects(ids)) => ids,
            _ => &[],
        }
    }
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    tags: Tags,
    streamers: &'a Streamers,
    graph: Graph,
    seen: HashMap<u32, ObjectId>,
    depth: usize,
}

type Members = Vec<(Arc<str>, Value)>;

impl<'a> Reader<'a> {
    /// A new object of a known class at the cursor.
    fn object(&mut self, class: &Arc<str>) -> Result<ObjectId> {
        let id = self.graph.objects.len();
        self.graph.objects.push(Object { class: class.clone(), ..Object::default() });
        self.fill(id, class)?;
        Ok(id)
    }

    fn fill(&mut self, id: ObjectId, class: &Arc<str>) -> Result<()> {
        if self.depth >= MAX_DEPTH {
            return Err(FormatError::invalid(format!("objects nest deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        let mut members = Members::new();
        let version = self.class(class, None, &mut members);
        self.depth -= 1;
        let Some(object) = self.graph.objects.get_mut(id) else {
            return Ok(());
        };
        object.members = members;
        match version {
            Ok(version) => object.version = version,
            Err(fault) => {
                object.fault = Some(fault.clone());
                return Err(fault);
            }
        }
        Ok(())
    }

    /// A pointer: null, an object read before, or a new one. An object that cannot be understood keeps its fault and is
    /// passed over where its length is known.
    fn pointer(&mut self) -> Result<Option<ObjectId>> {
        match self.tags.read(&mut self.cursor)? {
            Tag::Null => Ok(None),
            Tag::Back(key) => Ok(self.seen.get(&key).copied()),
            Tag::Object { class, end, key } => {
                let id = self.graph.objects.len();
                self.graph.objects.push(Object { class: class.clone(), ..Object::default() });
                self.seen.insert(key, id);
                let depth = self.depth;
                match (self.fill(id, &class), end) {
                    (Ok(()), None) => {}
                    (Ok(()), Some(end)) => self.cursor.seek(end)?,
                    (Err(error), None) => return Err(error),
                    (Err(_), Some(end)) => {
                        self.depth = depth;
                        self.cursor.seek(end)?;
                    }
                }
                Ok(Some(id))
            }
        }
    }

    /// The members of `class` in streaming order, with the version header in front. Returns the class version.
    fn class(&mut self, class: &Arc<str>, base_version: Option<i32>, members: &mut Members) -> Result<i32> {
        match &**class {
            "TObject" => {
                skip_tobject(&mut self.cursor)?;
                return Ok(1);
            }
            "TNamed" => {
                let (name, title) = named(&mut self.cursor)?;
                members.push(("fName".into(), Value::Text(name)));
                members.push(("fTitle".into(), Value::Text(title)));
                return Ok(1);
            }
            "TObjArray" | "TList" | "THashList" => return self.collection(class, members),
            "TBasket" => return self.basket(members),
            "TString" => {
                members.push(("string".into(), Value::Text(self.cursor.string()?)));
                return Ok(1);
            }
            _ => {}
        }
        if let Some(element) = class.strip_prefix("TArray").and_then(array_code) {
            let count = self.cursor.count(1, "array elements")?;
            members.push(("elements".into(), self.numbers(element, count)?));
            return Ok(1);
        }
        let header = self.cursor.version()?;
        let version = i32::from(header.version);
        if &**class == "TBranch" && version < 10 {
            self.old_branch(version, members)?;
        } else if &**class == "TTree" && version < 5 {
            self.old_tree(members)?;
        } else {
            match self.description(class, header, base_version)? {
                Some(info) => {
                    for element in &info.elements {
                        self.element(element, members)?;
                    }
                }
                // What hangs on a tree besides its branches may be passed over; a leaf or branch without its members
                // would be read wrongly.
                None if header.end.is_some() && !is_essential(class) => {}
                None => {
                    return Err(FormatError::Unsupported(format!(
                        "class {class} version {version} is not described by the file"
                    )));
                }
            }
        }
        self.leave(class, header)?;
        Ok(version)
    }

    fn leave(&mut self, class: &str, header: VersionHeader) -> Result<()> {
        let Some(end) = header.end else { return Ok(()) };
        if self.cursor.pos() > end {
            return Err(FormatError::invalid(format!(
                "an object of class {class} is longer than its byte count by {} bytes",
                self.cursor.pos() - end
            )));
        }
        self.cursor.seek(end)
    }

    fn description(
        &mut self,
        class: &str,
        header: VersionHeader,
        base_version: Option<i32>,
    ) -> Result<Option<&'a ClassInfo>> {
        let version = i32::from(header.version);
        let streamers = self.streamers;
        if version == 0 && header.end.is_some_and(|end| end >= self.cursor.pos() + 4) {
            // Classes without a version number carry the checksum of their description instead.
            if let Some(found) = self.cursor.peek_u32().and_then(|sum| streamers.checksum(class, sum)) {
                self.cursor.skip(4)?;
                return Ok(Some(found));
            }
        }
        Ok(streamers
            .version(class, version)
            .or_else(|| streamers.version(class, base_version?))
            .or_else(|| crate::builtin::class(class, version))
            // Leaves differ from version to version in what comes last and does not matter.
            .or_else(|| crate::builtin::latest(class).filter(|_| class.starts_with("TLeaf") && header.end.is_some())))
    }

    fn element(&mut self, element: &Element, members: &mut Members) -> Result<()> {
        let value = match element.code {
            code::BASE | code::TOBJECT | code::TNAMED if element.type_name == "BASE" => {
                self.class(&element.name.clone(), element.base_version, members)?;
                return Ok(());
            }
            code::OBJECT | code::ANY | code::TOBJECT | code::TNAMED | code::OBJECT_NEVER_NULL => {
                Value::Object(self.object(&element.type_name.trim_end_matches('*').into())?)
            }
            code::OBJECT_POINTER => match self.pointer()? {
                Some(id) => Value::Object(id),
                None => Value::Nothing,
            },
            code::TSTRING => Value::Text(self.cursor.string()?),
            basic if (code::CHAR..code::ARRAY).contains(&basic) => match self.numbers(basic, 1)? {
                Value::Integers(list) => Value::Integer(list.first().copied().unwrap_or_default()),
                Value::Reals(list) => Value::Real(list.first().copied().unwrap_or_default()),
                other => other,
            },
            array if (code::ARRAY..code::POINTER).contains(&array) => {
                self.numbers(array - code::ARRAY, element.array_length)?
            }
            pointer if (code::POINTER + 1..code::POINTER + code::ARRAY).contains(&pointer) => {
                let count = element.counter.as_deref().and_then(|name| {
                    members.iter().rev().find(|(n, _)| &**n == name).and_then(|(_, v)| match v {
                        Value::Integer(i) => usize::try_from(*i).ok(),
                        _ => None,
                    })
                });
                let Some(count) = count else {
                    return Err(FormatError::invalid(format!("array {} has no valid counter", element.name)));
                };
                let present = self.cursor.u8()?;
                self.numbers(pointer - code::POINTER, if present == 0 { 0 } else { count })?
            }
            other => {
                return Err(FormatError::Unsupported(format!(
                    "member {} of type {} (code {other})",
                    element.name, element.type_name
                )));
            }
        };
        members.push((element.name.clone(), value));
        Ok(())
    }

    fn numbers(&mut self, basic: i32, count: usize) -> Result<Value> {
        fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()
        }
        let width = match basic {
            code::CHAR | code::UCHAR | code::BOOL => 1,
            code::SHORT | code::USHORT => 2,
            code::INT | code::UINT | code::COUNTER | code::BITS | code::FLOAT | code::DOUBLE32 => 4,
            code::LONG | code::ULONG | code::LONG64 | code::ULONG64 | code::DOUBLE => 8,
            // Limits of leaves, which nobody asks for.
            code::FLOAT16 => {
                self.cursor.skip(count.saturating_mul(3))?;
                return Ok(Value::Nothing);
            }
            code::CHAR_STAR => {
                let length = self.cursor.count(1, "characters")?;
                let text = self.cursor.bytes(length, "text")?;
                return Ok(Value::Text(String::from_utf8_lossy(text).into_owned()));
            }
            other => {
                return Err(FormatError::Unsupported(format!("a number of type code {other}")));
            }
        };
        let bytes = self.cursor.bytes(count.saturating_mul(width), "numbers")?;
        Ok(match basic {
            code::CHAR => Value::Integers(each(bytes, |b| i64::from(i8::from_be_bytes(b)))),
            code::UCHAR | code::BOOL => Value::Integers(each(bytes, |b| i64::from(u8::from_be_bytes(b)))),
            code::SHORT => Value::Integers(each(bytes, |b| i64::from(i16::from_be_bytes(b)))),
            code::USHORT => Value::Integers(each(bytes, |b| i64::from(u16::from_be_bytes(b)))),
            code::INT | code::COUNTER => Value::Integers(each(bytes, |b| i64::from(i32::from_be_bytes(b)))),
            code::UINT | code::BITS => Value::Integers(each(bytes, |b| i64::from(u32::from_be_bytes(b)))),
            code::LONG | code::LONG64 => Value::Integers(each(bytes, i64::from_be_bytes)),
            code::ULONG | code::ULONG64 => Value::Integers(each(bytes, |b| u64::from_be_bytes(b) as i64)),
            code::FLOAT | code::DOUBLE32 => Value::Reals(each(bytes, |b| f64::from(f32::from_be_bytes(b)))),
            _ => Value::Reals(each(bytes, f64::from_be_bytes)),
        })
    }

    /// TObjArray and TList, which write themselves.
    fn collection(&mut self, class: &str, members: &mut Members) -> Result<i32> {
        let header = self.cursor.version()?;
        if header.version > 2 {
            skip_tobject(&mut self.cursor)?;
        }
        if header.version > 1 {
            self.cursor.string()?;
        }
        let count = self.cursor.count(4, "list elements")?;
        let is_array = class == "TObjArray";
        if is_array {
            self.cursor.i32()?;
        }
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(self.pointer()?);
            if !is_array {
                let option = self.cursor.u8()?;
                self.cursor.skip(usize::from(option))?;
            }
        }
        members.push(("elements".into(), Value::Objects(elements)));
        self.leave(class, header)?;
        Ok(i32::from(header.version))
    }

    /// TBasket within a tree: its key, its own members, then offsets and values instead of a place in the file.
    fn basket(&mut self, members: &mut Members) -> Result<i32> {
        let key_length = KeyHead::parse(&mut self.cursor)?.key_length;
        let header = BasketHeader::parse(&mut self.cursor)?;
        let mut offsets = Vec::new();
        let mut flag = header.flag;
        let generated = flag >= 80;
        if generated {
            flag -= 80;
        }
        let ints =
            |list: &[u8]| -> Vec<u32> { list.as_chunks::<4>().0.iter().map(|b| u32::from_be_bytes(*b)).collect() };
        if !generated && flag != 0 && flag % 10 != 2 {
            let count = if header.entries > 0 { self.cursor.count(4, "entry offsets")? } else { 0 };
            offsets = ints(self.cursor.bytes(4 * count, "entry offsets")?);
            if (21..40).contains(&flag) {
                offsets.iter_mut().for_each(|o| *o &= !0xff00_0000);
            }
            if flag > 40 {
                let count = self.cursor.count(4, "displacements")?;
                self.cursor.skip(4 * count)?;
            }
        }
        let mut payload = 0..0;
        if flag == 1 || flag > 10 {
            let length =
                if header.version > 1 { header.last as usize } else { self.cursor.count(1, "basket bytes")? };
            let start = self.cursor.pos();
            self.cursor.skip(length)?;
            payload = (start + key_length).min(start + length)..start + length;
        }
        members.push((
            "basket".into(),
            Value::Basket(EmbeddedBasket { entries: header.entries, payload, offsets, key_length }),
        ));
        Ok(i32::from(header.version))
    }

    /// TBranch before version 10 wrote itself by hand (TBranch::Streamer).
    fn old_branch(&mut self, version: i32, members: &mut Members) -> Result<()> {
        self.class(&"TNamed".into(), None, members)?;
        if version > 7 {
            let header = self.cursor.version()?;
            self.leave("TAttFill", VersionHeader { end: header.end.or(Some(self.cursor.pos() + 4)), ..header })?;
        }
        let mut integer = |reader: &mut Self, name: &str| -> Result<i64> {
            let value = i64::from(reader.cursor.i32()?);
            members.push((name.into(), Value::Integer(value)));
            Ok(value)
        };
        integer(self, "fCompress")?;
        integer(self, "fBasketSize")?;
        integer(self, "fEntryOffsetLen")?;
        if version < 6 {
            return self.very_old_branch(version, members);
        }
        integer(self, "fWriteBasket")?;
        integer(self, "fEntryNumber")?;
        integer(self, "fOffset")?;
        let capacity = integer(self, "fMaxBaskets")?;
        if version > 6 {
            integer(self, "fSplitLevel")?;
        }
        for name in ["fEntries", "fTotBytes", "fZipBytes"] {
            let value = Value::Real(self.cursor.f64()?);
            members.push((name.into(), value));
        }
        for name in ["fBranches", "fLeaves", "fBaskets"] {
            let list = Value::Object(self.object(&"TObjArray".into())?);
            members.push((name.into(), list));
        }
        let capacity = usize::try_from(capacity)
            .map_err(|_| FormatError::invalid(format!("a branch with room for {capacity} baskets")))?;
        for name in ["fBasketBytes", "fBasketEntry", "fBasketSeek"] {
            let kind = self.cursor.u8()?;
            let wide = name == "fBasketSeek" && kind == 2;
            let list = self.numbers(if wide { code::LONG64 } else { code::INT }, capacity)?;
            members.push((name.into(), list));
        }
        let file = Value::Text(self.cursor.string()?);
        members.push(("fFileName".into(), file));
        Ok(())
    }

    /// TBranch up to version 5 (ROOT 1 and 2).
    fn very_old_branch(&mut self, version: i32, members: &mut Members) -> Result<()> {
        let mut capacity = 0;
        for name in ["fMaxBaskets", "fWriteBasket", "fEntryNumber"] {
            let value = self.cursor.i32()?;
            if name == "fMaxBaskets" {
                capacity = value;
            }
            members.push((name.into(), Value::Integer(i64::from(value))));
        }
        for name in ["fEntries", "fTotBytes", "fZipBytes"] {
            let value = Value::Real(self.cursor.f64()?);
            members.push((name.into(), value));
        }
        let offset = self.cursor.i32()?;
        members.push(("fOffset".into(), Value::Integer(i64::from(offset))));
        for name in ["fBranches", "fLeaves", "fBaskets"] {
            let list = Value::Object(self.object(&"TObjArray".into())?);
            members.push((name.into(), list));
        }
        let count = self.cursor.count(4, "baskets")?;
        let starts = self.numbers(code::INT, count)?;
        members.push(("fBasketEntry".into(), starts));
        if version > 4 {
            let count = self.cursor.count(4, "baskets")?;
            let sizes = self.numbers(code::INT, count)?;
            members.push(("fBasketBytes".into(), sizes));
        }
        if version > 1 {
            // The count is there, but as many places as the branch has room for were written.
            self.cursor.i32()?;
            let capacity = usize::try_from(capacity)
                .map_err(|_| FormatError::invalid(format!("a branch with room for {capacity} baskets")))?;
            let places = self.numbers(code::INT, capacity)?;
            members.push(("fBasketSeek".into(), places));
        }
        if version > 2 {
            let file = Value::Text(self.cursor.string()?);
            members.push(("fFileName".into(), file));
        }
        Ok(())
    }

    /// TTree before version 5 wrote itself by hand (TTree::Streamer). What follows the lists, indices and descriptions,
    /// does not concern the values and is passed over by the byte count.
    fn old_tree(&mut self, members: &mut Members) -> Result<()> {
        self.class(&"TNamed".into(), None, members)?;
        // Line, fill and marker attributes.
        for length in [6, 4, 8] {
            let header = self.cursor.version()?;
            let end = header.end.unwrap_or(self.cursor.pos() + length);
            self.cursor.seek(end)?;
        }
        // fScanField, fMaxEntryLoop, fMaxVirtualSize.
        self.cursor.skip(12)?;
        for name in ["fEntries", "fTotBytes", "fZipBytes"] {
            let value = Value::Real(self.cursor.f64()?);
            members.push((name.into(), value));
        }
        // fAutoSave, fEstimate.
        self.cursor.skip(8)?;
        for name in ["fBranches", "fLeaves"] {
            let list = Value::Object(self.object(&"TObjArray".into())?);
            members.push((name.into(), list));
        }
        Ok(())
    }
}

fn is_essential(class: &str) -> bool {
    ["TTree", "TNtuple", "TBranch", "TLeaf"].iter().any(|start| class.starts_with(start))
}

fn array_code(suffix: &str) -> Option<i32> {
    Some(match suffix {
        "C" => code::CHAR,
        "S" => code::SHORT,
        "I" => code::INT,
        "L" => code::LONG,
        "L64" => code::LONG64,
        "F" => code::FLOAT,
        "D" => code::DOUBLE,
        _ => return None,
    })
}

/// What a TBasket adds to its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BasketHeader {
    pub version: u16,
    pub entries: u32,
    /// End of the values, counted from the start of the key.
    pub last: u32,
    pub flag: u8,
}

impl BasketHeader {
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        let version = cursor.u16()?;
        cursor.i32()?;
        // A negative value says that a byte of I/O features follows (TBasket::Streamer).
        if cursor.i32()? < 0 {
            cursor.u8()?;
        }
        let entries = cursor.i32()?;
        let last = cursor.i32()?;
        let flag = cursor.u8()?;
        match (u32::try_from(entries), u32::try_from(last)) {
            (Ok(entries), Ok(last)) => Ok(Self { version, entries, last, flag }),
            _ => Err(FormatError::invalid(format!("a basket of {entries} entries that ends at {last}"))),
        }
    }
}
