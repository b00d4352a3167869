//! Entry points for the fuzz targets of `fuzz/`, only compiled for them: each takes a layer alone, with bytes from
//! outside. They may return errors; they must not panic, hang, or take more memory than the input justifies.

use arrow_array::Array;
use bytes::Bytes;

use crate::basket::read_extents;
use crate::builtin;
use crate::class::{Classes, Node};
use crate::compression::Decompressor;
use crate::cpp_type::{CppType, TextForm};
use crate::decode::{Basket, KnownSpans, Rows, Runs, decode};
use crate::file::RootFile;
use crate::layout::{Decode, Frame, Member, TextAs, data_type};
use crate::number::{Number, Packed};
use crate::object::Graph;
use crate::output::{KnownOffsets, Nothing, Output};
use crate::scan::ScanOptions;
use crate::streamer::Streamers;
use crate::tree::Leaf;

/// A whole file: opened, listed, and every readable column of every tree read.
pub fn file(data: &[u8]) {
    let Ok(file) = RootFile::from_bytes("fuzz.root", Bytes::copy_from_slice(data)) else { return };
    for key in file.trees() {
        let name = format!("{};{}", key.path, key.cycle);
        let Ok(tree) = file.tree_blocking(&name) else { continue };
        // Counts of a corrupt tree can be astronomic while its baskets are not there.
        let entries = tree.entries().min(100_000);
        for column in 0..tree.schema().fields().len() {
            let options = ScanOptions { verify: data.len().is_multiple_of(2), ..ScanOptions::default() };
            if let Ok(scan) = tree.scan(&[column], 0..entries, options) {
                scan.blocking().take_while(Result::is_ok).count();
            }
        }
        let nested = tree.nested().plan(tree.nested().fields());
        if let Ok(scan) = tree.scan(nested.columns(), 0..entries, ScanOptions::default()) {
            scan.blocking().map(|batch| nested.assemble(&batch?)).take_while(Result::is_ok).count();
        }
    }
}

/// The header and the directories alone.
pub fn header(data: &[u8]) {
    if let Ok(file) = RootFile::from_bytes("fuzz.root", Bytes::copy_from_slice(data)) {
        file.trees();
    }
}

/// The record of a tree, as it is when decompressed, described by the built-in class descriptions.
pub fn tree(data: &[u8]) {
    drop(Graph::read("TTree", data, 64, &Streamers::default()));
}

/// The content of the streamer-info record.
pub fn streamers(data: &[u8]) {
    drop(Streamers::parse(data, 64));
}

/// One frame of the codec with these two letters: its content, decompressed to a length that the input chooses.
pub fn frame(letters: [u8; 2], data: &[u8]) {
    let Some((&[a, b, c, wanted], content)) = data.split_first_chunk::<4>() else { return };
    let [c0, c1, c2, _] = (content.len() as u32).to_le_bytes();
    let length = u32::from_le_bytes([a, b, c & 0x1f, 0]) as usize;
    let [u0, u1, u2, _] = (length as u32).to_le_bytes();
    let record = [&letters[..], &[8, c0, c1, c2, u0, u1, u2], content].concat();
    let mut out = Vec::new();
    let wanted = length * usize::from(wanted) / 255;
    drop(Decompressor::default().decompress(&record, length, wanted, &mut out));
}

/// A decoder over the content of one basket: values, and perhaps an offset table behind them.
pub fn decoder(kind: Decoder, data: &[u8]) {
    let Some((variant, content)) = data.split_first() else { return };
    basket(&kind.decode(*variant), content);
}

/// The content of a basket, behind a number of entries, the place of the offset table and the length of the key.
fn basket(how: &Decode, data: &[u8]) {
    let Some((&[entries, border, key], content)) = data.split_first_chunk::<3>() else { return };
    let entries = usize::from(entries) + 1;
    let border = content.len() * usize::from(border) / 255;
    let Ok(extents) = read_extents(content, usize::from(key), how, entries, border) else { return };
    let values = content.get(..border).unwrap_or_default();
    let basket = Basket { values, key_length: usize::from(key), extents: &extents };
    let mut out = Output::new(how, entries, 0);
    let all = Runs::new(vec![0..entries as u64 / 2, entries as u64 / 2..entries as u64]);
    let rows = Rows::new(&all, &all, 0..entries as u64, 0);
    if decode(how, &basket, &rows, &mut out, &mut Nothing::default(), &mut KnownSpans::default()).is_ok()
        && let Ok(array) = out.finish(&type_of(how), None, &mut KnownOffsets::default())
    {
        assert_eq!(array.len(), entries);
    }
}

/// Classes with every kind of member, as [`builtin::parse`] reads them.
const MODEL: &str = "\
Base 3: b/3 w/5
Item 1: Base/0/3 a/3/int v/8/double tag/365/string
Item 2: Base/0/3 v/8/double a/3/int tag/365/string more/4/long
Fixed 1: a/3/int p/62/Point q/62/Point f/18/bool
Point 1: x/5/float y/5/float
Poly 1: TObject/66/1 p/3/int
PolyD 1: Poly/0/1 d/8/double list/300/vector<int>
Holder 4: TNamed/67/1 n/6/int counted/45/n items/300/vector<Item> points/300/vector<Point> map/300/map<string,Item> \
pair/62/pair<int,Point> poly/64/Poly* polys/300/vector<Poly*> fixed/62/Fixed any/64/TObject* array/61/TObjArray \
list/64/TList* clones/61/TClonesArray ref/61/TRef refs/64/TRefArray* text/65/TString bits/15/unsigned numbers/62/TArrayF
TObject 1: fUniqueID/13 fBits/15
TNamed 1: TObject/66/1 fName/65 fTitle/65
";

/// An object, or several, of a class of [`MODEL`]: the input chooses which and how they are framed.
pub fn object(data: &[u8]) {
    let Some((&[class, frame], content)) = data.split_first_chunk::<2>() else { return };
    let streamers = builtin::parse(MODEL);
    let classes =
        ["Holder", "Item", "Fixed", "PolyD", "vector<Holder>", "map<string,Item>", "Poly*", "pair<int,Fixed>"];
    let class = classes.get(usize::from(class) % classes.len()).copied().unwrap_or("Holder");
    if let Ok(node) = Classes::new(&streamers).node(&CppType::parse(class)) {
        objects(node, frame, content);
    }
}

/// Descriptions of classes, and objects of the first of these.
pub fn described(data: &[u8]) {
    let Some((&[high, low, frame], rest)) = data.split_first_chunk::<3>() else { return };
    let Some((descriptions, content)) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) else {
        return;
    };
    let Ok(streamers) = Streamers::parse(descriptions, 64) else { return };
    let mut names: Vec<&str> = streamers.names().collect();
    names.sort_unstable();
    let mut classes = Classes::new(&streamers);
    for name in names.into_iter().take(8) {
        if let Ok(node) = classes.node(&CppType::parse(name)) {
            objects(node, frame, content);
        }
    }
}

fn objects(node: Node, frame: u8, content: &[u8]) {
    let frames = [
        Frame::Member,
        Frame::Members,
        Frame::Base,
        Frame::Named,
        Frame::Bare,
        Frame::Repeated,
        Frame::VersionedRepeated,
    ];
    let frame_kind = frames.get(usize::from(frame) % frames.len()).copied().unwrap_or(Frame::Bare);
    basket(&Decode::Sequential { frame: frame_kind, node }, content);
}

/// The families of decoders.
#[derive(Debug, Clone, Copy)]
pub enum Decoder {
    /// Values of one size.
    Fixed,
    /// Counted arrays and vectors of numbers.
    Counted,
    /// Leaf lists.
    Record,
    /// Strings, containers of containers, maps.
    Sequential,
}

impl Decoder {
    fn decode(self, variant: u8) -> Decode {
        let numbers = [
            Number::Bool,
            Number::I8,
            Number::U16,
            Number::I32,
            Number::U64,
            Number::F32,
            Number::F64,
            Number::Packed(Packed::from_title(true, "[0,10,12]")),
            Number::Packed(Packed::from_title(false, "")),
        ];
        let number = numbers.get(usize::from(variant) % numbers.len()).copied().unwrap_or(Number::U8);
        let high = usize::from(variant >> 4);
        match self {
            Self::Fixed => Decode::Fixed { number, per_entry: high + 1 },
            Self::Counted => {
                let header = [0, 1, 10].get(high % 3).copied().unwrap_or(0);
                Decode::Counted { number, inner: high / 3 + 1, header }
            }
            Self::Record => {
                let width = number.width();
                let members = vec![
                    Member { offset: 0, number, count: 1 },
                    Member { offset: width, number: Number::U8, count: high },
                ];
                Decode::Record { members, stride: width + high }
            }
            Self::Sequential => {
                let list = |node| Node::List(Box::new(node));
                let nodes = [
                    Node::Text(TextForm::Std),
                    Node::Bits,
                    list(Node::Text(TextForm::Std)),
                    list(list(Node::Number(number))),
                    Node::Map(Box::new(Node::Text(TextForm::Std)), Box::new(list(Node::Number(number)))),
                    Node::Map(Box::new(Node::Number(number)), Box::new(Node::Text(TextForm::Std))),
                ];
                let frames = [Frame::Bare, Frame::Member, Frame::Repeated, Frame::VersionedRepeated];
                let node = nodes.get(high % nodes.len()).cloned().unwrap_or(Node::Bits);
                let frame = frames.get(usize::from(variant) % frames.len()).copied().unwrap_or(Frame::Bare);
                Decode::Sequential { frame, node }
            }
        }
    }
}

/// The Arrow type that the layout would give such a column.
fn type_of(decode: &Decode) -> arrow_schema::DataType {
    let dims: Vec<usize> = match decode {
        Decode::Fixed { per_entry: length, .. } | Decode::Counted { inner: length, .. } if *length > 1 => vec![*length],
        _ => Vec::new(),
    };
    let leaf = |name: &str, length| Leaf {
        name: name.to_string(),
        title: name.to_string(),
        class: "TLeafB".to_string(),
        is_unsigned: false,
        length,
        counter: None,
    };
    let leaves = match decode {
        Decode::Record { members, .. } => members.iter().map(|m| leaf(&format!("at{}", m.offset), m.count)).collect(),
        _ => Vec::new(),
    };
    data_type(decode, &leaves, &dims, TextAs::Binary)
}
