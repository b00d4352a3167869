//! Layer 4: TStreamerInfo, the file's own description of its classes. Everything that is decoded beyond plain leaves
//! follows the description that the writer left in the file, so that old versions of a class are read as they were.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::FormatError;
use crate::tags::{Tag, Tags};
use crate::wire::Cursor;

type Result<T> = std::result::Result<T, FormatError>;

/// One class at one version, as the file describes it.
#[derive(Debug, Clone)]
pub(crate) struct ClassInfo {
    pub name: Arc<str>,
    pub version: i32,
    pub checksum: u32,
    pub elements: Vec<Element>,
}

/// One member (or base class) of a class, in the order in which it is streamed.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub name: Arc<str>,
    pub title: String,
    /// TStreamerInfo's type code; see the constants of [`code`].
    pub code: i32,
    /// Product of the fixed array dimensions, 0 for a scalar.
    pub array_length: usize,
    /// The fixed array dimensions, outermost first.
    pub dims: Vec<usize>,
    /// C++ type as the dictionary spelled it.
    pub type_name: String,
    /// Name of the member that counts a pointer array.
    pub counter: Option<String>,
    /// Version of a base class.
    pub base_version: Option<i32>,
}

/// TStreamerInfo's type codes (`TVirtualStreamerInfo::EReadWrite`).
pub(crate) mod code {
    pub const BASE: i32 = 0;
    pub const CHAR: i32 = 1;
    pub const SHORT: i32 = 2;
    pub const INT: i32 = 3;
    pub const LONG: i32 = 4;
    pub const FLOAT: i32 = 5;
    pub const COUNTER: i32 = 6;
    pub const CHAR_STAR: i32 = 7;
    pub const DOUBLE: i32 = 8;
    pub const DOUBLE32: i32 = 9;
    pub const UCHAR: i32 = 11;
    pub const USHORT: i32 = 12;
    pub const UINT: i32 = 13;
    pub const ULONG: i32 = 14;
    pub const BITS: i32 = 15;
    pub const LONG64: i32 = 16;
    pub const ULONG64: i32 = 17;
    pub const BOOL: i32 = 18;
    pub const FLOAT16: i32 = 19;
    /// Added to a basic code: fixed array.
    pub const ARRAY: i32 = 20;
    /// Added to a basic code: pointer to a counted array.
    pub const POINTER: i32 = 40;
    pub const OBJECT: i32 = 61;
    pub const ANY: i32 = 62;
    pub const OBJECT_NEVER_NULL: i32 = 63;
    pub const OBJECT_POINTER: i32 = 64;
    pub const TSTRING: i32 = 65;
    pub const TOBJECT: i32 = 66;
    pub const TNAMED: i32 = 67;
    pub const ANY_NEVER_NULL: i32 = 68;
    pub const ANY_POINTER: i32 = 69;
    pub const STL_POINTER: i32 = 71;
    pub const STL: i32 = 300;
    pub const STL_STRING: i32 = 365;
    /// A member with a streamer function of its own, which for containers writes as the plain code does.
    pub const STREAMER: i32 = 500;
    /// A pointer to an array of objects.
    pub const STREAM_LOOP: i32 = 501;
}

/// All classes that a file describes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streamers {
    classes: HashMap<Arc<str>, Vec<ClassInfo>>,
}

impl Streamers {
    /// Parses the content of the file's streamer-info record, a `TList` of `TStreamerInfo`. `key_length` is the origin
    /// of the offsets by which classes are referred to.
    pub(crate) fn parse(content: &[u8], key_length: usize) -> Result<Self> {
        let mut cursor = Cursor::new(content);
        let mut tags = Tags::new(key_length);
        let mut all = Self::default();
        cursor.version()?;
        skip_tobject(&mut cursor)?;
        cursor.string()?;
        let count = cursor.count(5, "streamer infos")?;
        for _ in 0..count {
            if let Tag::Object { class, end, .. } = tags.read(&mut cursor)? {
                if &*class == "TStreamerInfo" {
                    let info = parse_info(&mut cursor, &mut tags)?;
                    all.insert(info);
                }
                // Other members of the list (schema evolution rules) are passed over.
                if let Some(end) = end {
                    cursor.seek(end)?;
                }
            }
            let option = cursor.u8()?;
            cursor.skip(usize::from(option))?;
        }
        Ok(all)
    }

    pub(crate) fn insert(&mut self, info: ClassInfo) {
        self.classes.entry(info.name.clone()).or_default().push(info);
    }

    /// The names of all classes.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.classes.keys().map(|name| &**name)
    }

    /// The descriptions of all versions of a class.
    pub(crate) fn versions(&self, class: &str) -> &[ClassInfo] {
        self.classes.get(class).map(Vec::as_slice).unwrap_or_default()
    }

    /// The classes that are derived from `class`, directly or not, by name.
    pub(crate) fn derived_from(&self, class: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        let mut bases = vec![class];
        while let Some(base) = bases.pop() {
            let is_base = |e: &Element| &*e.name == base && e.type_name == "BASE";
            for (name, infos) in &self.classes {
                if infos.iter().any(|i| i.elements.iter().any(is_base)) && !found.contains(&&**name) {
                    found.push(name);
                    bases.push(name);
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// The description of one version of a class.
    pub(crate) fn version(&self, class: &str, version: i32) -> Option<&ClassInfo> {
        self.classes.get(class)?.iter().find(|info| info.version == version)
    }

    /// The description with that checksum (classes without a version number of their own).
    pub(crate) fn checksum(&self, class: &str, checksum: u32) -> Option<&ClassInfo> {
        self.classes.get(class)?.iter().find(|info| info.checksum == checksum)
    }

    /// The newest description of a class.
    pub(crate) fn latest(&self, class: &str) -> Option<&ClassInfo> {
        self.classes.get(class)?.iter().max_by_key(|info| info.version)
    }
}

fn parse_info(cursor: &mut Cursor<'_>, tags: &mut Tags) -> Result<ClassInfo> {
    cursor.version()?;
    let (name, _) = named(cursor)?;
    let checksum = cursor.u32()?;
    let version = cursor.i32()?;
    let mut elements = Vec::new();
    if let Tag::Object { class, .. } = tags.read(cursor)? {
        if &*class != "TObjArray" {
            return Err(FormatError::invalid(format!("the elements of class {name} are a {class}")));
        }
        cursor.version()?;
        skip_tobject(cursor)?;
        cursor.string()?;
        let count = cursor.count(4, "streamer elements")?;
        cursor.i32()?;
        for _ in 0..count {
            if let Tag::Object { class, end, .. } = tags.read(cursor)? {
                elements.push(parse_element(cursor, &class)?);
                if let Some(end) = end {
                    cursor.seek(end)?;
                }
            }
        }
    }
    Ok(ClassInfo { name: name.into(), version, checksum, elements })
}

fn parse_element(cursor: &mut Cursor<'_>, class: &str) -> Result<Element> {
    let outer = if class == "TStreamerElement" { None } else { Some(cursor.version()?) };
    if class == "TStreamerSTLstring" {
        // Derived from TStreamerSTL, which has a version of its own.
        cursor.version()?;
    }
    let header = cursor.version()?;
    let (name, title) = named(cursor)?;
    let code = cursor.i32()?;
    let _size = cursor.i32()?;
    let array_length = usize::try_from(cursor.i32()?).unwrap_or(0);
    let rank = usize::try_from(cursor.i32()?).unwrap_or(0);
    let slots = if header.version == 1 { cursor.count(4, "array dimensions")? } else { 5 };
    let mut dims = Vec::new();
    for slot in 0..slots {
        let size = cursor.i32()?;
        if slot < rank {
            dims.push(usize::try_from(size).unwrap_or(0));
        }
    }
    let type_name = cursor.string()?;
    if let Some(end) = header.end {
        cursor.seek(end)?;
    }
    let mut element =
        Element { name: name.into(), title, code, array_length, dims, type_name, counter: None, base_version: None };
    match class {
        "TStreamerBase" if outer.is_some_and(|h| h.version > 2) => element.base_version = Some(cursor.i32()?),
        "TStreamerBasicPointer" | "TStreamerLoop" => {
            let _version = cursor.i32()?;
            element.counter = Some(cursor.string()?);
        }
        _ => {}
    }
    Ok(element)
}

/// TObject: version, unique id, bits and, for referenced objects, a process id.
pub(crate) fn skip_tobject(cursor: &mut Cursor<'_>) -> Result<()> {
    object_bits(cursor).map(|_| ())
}

/// The bits of a TObject, which is passed over.
pub(crate) fn object_bits(cursor: &mut Cursor<'_>) -> Result<u32> {
    const IS_REFERENCED: u32 = 1 << 4;
    cursor.version()?;
    cursor.skip(4)?;
    let bits = cursor.u32()?;
    if bits & IS_REFERENCED != 0 {
        cursor.skip(2)?;
    }
    Ok(bits)
}

/// TNamed: name and title.
pub(crate) fn named(cursor: &mut Cursor<'_>) -> Result<(String, String)> {
    let header = cursor.version()?;
    skip_tobject(cursor)?;
    let pair = (cursor.string()?, cursor.string()?);
    if let Some(end) = header.end {
        cursor.seek(end)?;
    }
    Ok(pair)
}
