//! The kinds of number that ROOT writes, their width in the file, and their bulk conversion into native values.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray};
use arrow_buffer::{BooleanBuffer, ScalarBuffer};
use arrow_schema::DataType;

use crate::class::Leaf;

/// A number as the file stores it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    /// `Float16_t`/`Double32_t` in packed form.
    Packed(Packed),
}

/// `Float16_t` and `Double32_t` (TBufferFile::ReadFloat16, ReadDouble32).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Packed {
    /// Double32_t, given as 64 bits; else Float16_t, given as 32.
    pub is_double: bool,
    pub form: PackedForm,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PackedForm {
    /// A plain 32-bit float (Double32_t without a range).
    Single,
    /// `min + stored / factor` with a 32-bit integer.
    Range { min: f64, factor: f64 },
    /// An exponent byte and a 16-bit mantissa of which `bits` count.
    Mantissa { bits: u32 },
}

impl Packed {
    /// Reads the range from a member's title or comment, `[min,max]` or `[min,max,nbits]`, as TBuffer's GetRange does.
    pub(crate) fn from_title(is_double: bool, title: &str) -> Self {
        let default = if is_double { PackedForm::Single } else { PackedForm::Mantissa { bits: 12 } };
        Self { is_double, form: Self::range_in(title).unwrap_or(default) }
    }

    fn range_in(title: &str) -> Option<PackedForm> {
        let mut rest = title;
        // Array dimensions also stand in brackets; the range is the one with a comma.
        loop {
            let start = rest.find('[')?;
            let inner = rest.get(start + 1..)?;
            let end = inner.find(']')?;
            let inside = inner.get(..end)?;
            if inside.contains(',') {
                return Self::parse_range(inside);
            }
            rest = inner.get(end + 1..)?;
        }
    }

    fn parse_range(text: &str) -> Option<PackedForm> {
        let mut parts = text.split(',').map(str::trim);
        let (min, max) = (limit(parts.next()?)?, limit(parts.next()?)?);
        let bits = match parts.next() {
            Some(text) => match text.parse::<u32>() {
                Ok(bits) if (2..=32).contains(&bits) => bits,
                _ => 32,
            },
            None => 32,
        };
        if min < max {
            let steps = if bits < 32 { f64::from(1u32 << bits) } else { f64::from(u32::MAX) };
            return Some(PackedForm::Range { min, factor: steps / (max - min) });
        }
        (bits < 15).then_some(PackedForm::Mantissa { bits })
    }
}

/// A limit of a range: a number, or pi in one of the spellings that ROOT knows.
fn limit(text: &str) -> Option<f64> {
    use std::f64::consts::PI;
    let plain = text.trim_start_matches('-');
    let value = match plain {
        "2pi" | "2*pi" | "twopi" => 2.0 * PI,
        "pi/2" => PI / 2.0,
        "pi/4" => PI / 4.0,
        "pi" => PI,
        number => number.parse().ok()?,
    };
    Some(if text.starts_with('-') { -value } else { value })
}

impl Number {
    /// The number that a C++ type name stands for.
    pub(crate) fn from_cpp(name: &str) -> Option<Self> {
        Some(match name {
            "bool" | "Bool_t" | "_Bool" => Self::Bool,
            "char" | "Char_t" | "signed char" | "int8_t" => Self::I8,
            "unsigned char" | "UChar_t" | "uint8_t" | "Byte_t" | "byte" => Self::U8,
            "short" | "Short_t" | "int16_t" | "Version_t" | "short int" => Self::I16,
            "unsigned short" | "UShort_t" | "uint16_t" | "unsigned short int" => Self::U16,
            "int" | "Int_t" | "int32_t" | "signed int" => Self::I32,
            "unsigned int" | "unsigned" | "UInt_t" | "uint32_t" => Self::U32,
            "long" | "Long_t" | "long long" | "Long64_t" | "int64_t" | "long int" | "long long int" => Self::I64,
            "unsigned long" | "ULong_t" | "unsigned long long" | "ULong64_t" | "uint64_t" | "size_t"
            | "unsigned long int" => Self::U64,
            "float" | "Float_t" | "Size_t" => Self::F32,
            "double" | "Double_t" => Self::F64,
            "Double32_t" => Self::Packed(Packed::from_title(true, "")),
            "Float16_t" => Self::Packed(Packed::from_title(false, "")),
            _ => return None,
        })
    }

    /// The number behind one of TStreamerInfo's basic type codes.
    pub(crate) fn from_code(basic: i32, title: &str) -> Option<Self> {
        use crate::streamer::code;
        Some(match basic {
            code::CHAR => Self::I8,
            code::SHORT => Self::I16,
            code::INT | code::COUNTER => Self::I32,
            code::LONG | code::LONG64 => Self::I64,
            code::FLOAT => Self::F32,
            code::DOUBLE => Self::F64,
            code::DOUBLE32 => Self::Packed(Packed::from_title(true, title)),
            code::UCHAR => Self::U8,
            code::USHORT => Self::U16,
            code::UINT => Self::U32,
            code::ULONG | code::ULONG64 => Self::U64,
            code::BOOL => Self::Bool,
            code::FLOAT16 => Self::Packed(Packed::from_title(false, title)),
            _ => return None,
        })
    }

    /// Whether every value of this type has a place in the other, of which the file says that it is the same member.
    pub(crate) fn widens_to(self, to: Self) -> bool {
        let packed = |n: Self| matches!(n, Self::Packed(_));
        let real = |n: Self| matches!(n, Self::F32 | Self::F64);
        let signed = |n: Self| matches!(n, Self::I8 | Self::I16 | Self::I32 | Self::I64);
        let unsigned = |n: Self| matches!(n, Self::U8 | Self::U16 | Self::U32 | Self::U64);
        if packed(self) || packed(to) {
            return false;
        }
        let wider = to.width() > self.width();
        match self {
            from if signed(from) => (signed(to) || to == Self::F64) && wider,
            from if unsigned(from) => (unsigned(to) || signed(to) || to == Self::F64) && wider,
            from if real(from) => real(to) && wider,
            _ => false,
        }
    }

    /// Bytes that one value takes in the file.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
            Self::Packed(packed) => match packed.form {
                PackedForm::Single | PackedForm::Range { .. } => 4,
                PackedForm::Mantissa { .. } => 3,
            },
        }
    }

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::I8 => DataType::Int8,
            Self::U8 => DataType::UInt8,
            Self::I16 => DataType::Int16,
            Self::U16 => DataType::UInt16,
            Self::I32 => DataType::Int32,
            Self::U32 => DataType::UInt32,
            Self::I64 => DataType::Int64,
            Self::U64 => DataType::UInt64,
            Self::F32 => DataType::Float32,
            Self::F64 => DataType::Float64,
            Self::Packed(packed) if packed.is_double => DataType::Float64,
            Self::Packed(_) => DataType::Float32,
        }
    }
}

/// Native values that grow as baskets are decoded.
#[derive(Debug)]
pub(crate) enum Values {
    Bool(Vec<u8>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    PackedSingle(Vec<f32>, PackedForm),
    PackedDouble(Vec<f64>, PackedForm),
}

macro_rules! for_plain_values {
    ($self:expr, $out:ident => $plain:expr, $bytes:ident => $byte:expr, packed $packed:ident, $form:ident => $other:expr) => {
        match $self {
            Values::Bool($bytes) => $byte,
            Values::U8($out) => $plain,
            Values::I8($out) => $plain,
            Values::I16($out) => $plain,
            Values::U16($out) => $plain,
            Values::I32($out) => $plain,
            Values::U32($out) => $plain,
            Values::I64($out) => $plain,
            Values::U64($out) => $plain,
            Values::F32($out) => $plain,
            Values::F64($out) => $plain,
            Values::PackedSingle($packed, $form) => $other,
            Values::PackedDouble($packed, $form) => $other,
        }
    };
}

/// Numbers of short spans that are converted at once.
const TOGETHER: usize = 4;

/// A native number and its big-endian form.
trait Native: Copy + Default {
    /// The number at a place; the default behind the end.
    fn at(bytes: &[u8], place: usize) -> Self;

    /// The numbers from a place on, as many as are converted at once; defaults behind the end.
    fn some_at(bytes: &[u8], place: usize) -> [Self; TOGETHER];

    fn append(bytes: &[u8], out: &mut Vec<Self>);

    fn append_spans(bytes: &[u8], spans: &[Range<usize>], out: &mut Vec<Self>) {
        let width = size_of::<Self>();
        if let [span] = spans {
            return Self::append(bytes.get(span.clone()).unwrap_or_default(), out);
        }
        let (before, added) = (out.len(), spans.iter().map(|span| span.len() / width).sum::<usize>());
        // Most spans are short, and their lengths differ: some numbers are converted whether or not the span is as long,
        // and what is too much is where the next span goes.
        out.resize(before + added + TOGETHER, Self::default());
        let mut room = out.get_mut(before..).unwrap_or_default();
        for span in spans {
            let count = span.len() / width;
            for at in (0..count).step_by(TOGETHER) {
                if let Some(to) = room.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                    *to = Self::some_at(bytes, span.start + at * width);
                }
            }
            room = room.get_mut(count..).unwrap_or_default();
        }
        out.truncate(before + added);
    }

    fn append_strided(bytes: &[u8], stride: usize, offset: usize, width: usize, out: &mut Vec<Self>) {
        for record in bytes.chunks_exact(stride.max(1)) {
            Self::append(record.get(offset..offset + width).unwrap_or_default(), out);
        }
    }
}

macro_rules! native {
    ($($type:ty: $width:literal),*) => {
        $(impl Native for $type {
            #[inline]
            fn at(bytes: &[u8], place: usize) -> Self {
                let found = bytes.get(place..).and_then(|rest| rest.first_chunk::<$width>());
                found.map_or_else(Self::default, |number| <$type>::from_be_bytes(*number))
            }

            #[inline]
            fn some_at(bytes: &[u8], place: usize) -> [Self; TOGETHER] {
                let found = bytes.get(place..).and_then(|rest| rest.first_chunk::<{ TOGETHER * $width }>());
                match found.map(|bytes| bytes.as_chunks::<$width>().0) {
                    Some([a, b, c, d]) => [a, b, c, d].map(|bytes| <$type>::from_be_bytes(*bytes)),
                    _ => std::array::from_fn(|at| Self::at(bytes, place + at * $width)),
                }
            }

            #[inline]
            fn append(bytes: &[u8], out: &mut Vec<Self>) {
                out.extend(bytes.as_chunks::<$width>().0.iter().map(|b| <$type>::from_be_bytes(*b)));
            }
        })*
    };
}
native!(i8: 1, u8: 1, i16: 2, u16: 2, i32: 4, u32: 4, i64: 8, u64: 8, f32: 4, f64: 8);

impl Values {
    pub(crate) fn new(number: Number, capacity: usize) -> Self {
        match number {
            Number::Bool => Self::Bool(Vec::with_capacity(capacity)),
            Number::I8 => Self::I8(Vec::with_capacity(capacity)),
            Number::U8 => Self::U8(Vec::with_capacity(capacity)),
            Number::I16 => Self::I16(Vec::with_capacity(capacity)),
            Number::U16 => Self::U16(Vec::with_capacity(capacity)),
            Number::I32 => Self::I32(Vec::with_capacity(capacity)),
            Number::U32 => Self::U32(Vec::with_capacity(capacity)),
            Number::I64 => Self::I64(Vec::with_capacity(capacity)),
            Number::U64 => Self::U64(Vec::with_capacity(capacity)),
            Number::F32 => Self::F32(Vec::with_capacity(capacity)),
            Number::F64 => Self::F64(Vec::with_capacity(capacity)),
            Number::Packed(p) if p.is_double => Self::PackedDouble(Vec::with_capacity(capacity), p.form),
            Number::Packed(p) => Self::PackedSingle(Vec::with_capacity(capacity), p.form),
        }
    }

    /// Appends all values in `bytes`, which holds whole values.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        for_plain_values!(
            self,
            out => Native::append(bytes, out),
            flags => flags.extend_from_slice(bytes),
            packed out, form => unpack(bytes, *form, |value| out.push(value as _))
        );
    }

    /// Appends all values in parts of `bytes`, each of which holds whole values.
    pub(crate) fn append_spans(&mut self, bytes: &[u8], spans: &[Range<usize>]) {
        let slices = || spans.iter().filter_map(|span| bytes.get(span.clone()));
        for_plain_values!(
            self,
            out => Native::append_spans(bytes, spans, out),
            flags => slices().for_each(|slice| flags.extend_from_slice(slice)),
            packed out, form => slices().for_each(|slice| unpack(slice, *form, |value| out.push(value as _)))
        );
    }

    /// Appends, of the records of `stride` bytes that make up `bytes`, the `width` bytes at `offset` of each.
    pub(crate) fn append_strided(&mut self, bytes: &[u8], stride: usize, offset: usize, width: usize) {
        let fields = || bytes.chunks_exact(stride.max(1)).filter_map(|record| record.get(offset..offset + width));
        for_plain_values!(
            self,
            out => Native::append_strided(bytes, stride, offset, width, out),
            flags => Native::append_strided(bytes, stride, offset, width, flags),
            packed out, form => fields().for_each(|field| unpack(field, *form, |value| out.push(value as _)))
        );
    }

    /// Appends the values of a member in so many blocks: each starts somewhere in `bytes` and has some objects.
    pub(crate) fn append_blocks(&mut self, bytes: &[u8], blocks: &[(u32, u32)], leaf: &Leaf) {
        for_plain_values!(
            self,
            out => native_blocks(bytes, blocks, leaf, out),
            flags => each_block(bytes, blocks, leaf, |slice| flags.extend_from_slice(slice)),
            packed out, form => each_block(bytes, blocks, leaf, |slice| unpack(slice, *form, |value| out.push(value as _)))
        );
    }

    /// Appends numbers that the file stores in a narrower type, as [`Number::widens_to`] allows it.
    pub(crate) fn append_widened(&mut self, bytes: &[u8], from: Number) {
        let mut narrow = Self::new(from, 0);
        narrow.append(bytes);
        let integers = narrow.integers();
        match (self, narrow) {
            (Self::F64(out), Self::F32(values)) => out.extend(values.into_iter().map(f64::from)),
            (Self::F64(out), _) => out.extend(integers.into_iter().map(|v| v as f64)),
            (Self::I16(out), _) => out.extend(integers.into_iter().map(|v| v as i16)),
            (Self::U16(out), _) => out.extend(integers.into_iter().map(|v| v as u16)),
            (Self::I32(out), _) => out.extend(integers.into_iter().map(|v| v as i32)),
            (Self::U32(out), _) => out.extend(integers.into_iter().map(|v| v as u32)),
            (Self::I64(out), _) => out.extend(integers),
            (Self::U64(out), _) => out.extend(integers.into_iter().map(|v| v as u64)),
            _ => {}
        }
    }

    /// Integers of at most 32 bits.
    fn integers(&self) -> Vec<i64> {
        match self {
            Self::I8(v) => v.iter().map(|v| i64::from(*v)).collect(),
            Self::U8(v) => v.iter().map(|v| i64::from(*v)).collect(),
            Self::I16(v) => v.iter().map(|v| i64::from(*v)).collect(),
            Self::U16(v) => v.iter().map(|v| i64::from(*v)).collect(),
            Self::I32(v) => v.iter().map(|v| i64::from(*v)).collect(),
            Self::U32(v) => v.iter().map(|v| i64::from(*v)).collect(),
            _ => Vec::new(),
        }
    }

    /// The last `count` values as counts of other things; `None` if they are none.
    pub(crate) fn last_counts(&self, count: usize) -> Option<Vec<usize>> {
        fn tail<T: Copy + TryInto<usize>>(values: &[T], count: usize) -> Option<Vec<usize>> {
            let last = values.get(values.len().checked_sub(count)?..)?;
            last.iter().map(|v| (*v).try_into().ok()).collect()
        }
        match self {
            Self::I8(v) => tail(v, count),
            Self::U8(v) => tail(v, count),
            Self::I16(v) => tail(v, count),
            Self::U16(v) => tail(v, count),
            Self::I32(v) => tail(v, count),
            Self::U32(v) => tail(v, count),
            Self::I64(v) => tail(v, count),
            Self::U64(v) => tail(v, count),
            Self::Bool(_) | Self::F32(_) | Self::F64(_) | Self::PackedSingle(..) | Self::PackedDouble(..) => None,
        }
    }

    /// Appends default values, for entries that a branch does not have.
    pub(crate) fn append_default(&mut self, count: usize) {
        for_plain_values!(
            self,
            out => out.resize(out.len() + count, Default::default()),
            flags => flags.resize(flags.len() + count, 0),
            packed out, _form => out.resize(out.len() + count, Default::default())
        );
    }

    /// Bytes of one native value.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Bool(_) | Self::I8(_) | Self::U8(_) => 1,
            Self::I16(_) | Self::U16(_) => 2,
            Self::I32(_) | Self::U32(_) | Self::F32(_) | Self::PackedSingle(..) => 4,
            Self::I64(_) | Self::U64(_) | Self::F64(_) | Self::PackedDouble(..) => 8,
        }
    }

    /// Running totals of counts, one more than counts; `None` if they are not counts or exceed 32 bits.
    pub(crate) fn running_totals(&self) -> Option<Arc<Vec<u32>>> {
        fn total<T: Copy + TryInto<u32>>(counts: &[T]) -> Option<Arc<Vec<u32>>> {
            let mut totals = Vec::with_capacity(counts.len() + 1);
            // What does not fit is found once at the end: a branch in every step would be most of the work. As many counts
            // as memory can hold do not overflow 64 bits.
            let mut sum = 0u64;
            totals.push(0);
            totals.extend(counts.iter().map(|count| {
                sum = sum.wrapping_add(u64::from((*count).try_into().unwrap_or(u32::MAX)));
                sum as u32
            }));
            (sum < u64::from(u32::MAX)).then(|| Arc::new(totals))
        }
        match self {
            Self::I8(v) => total(v),
            Self::U8(v) => total(v),
            Self::I16(v) => total(v),
            Self::U16(v) => total(v),
            Self::I32(v) => total(v),
            Self::U32(v) => total(v),
            Self::I64(v) => total(v),
            Self::U64(v) => total(v),
            Self::Bool(_) | Self::F32(_) | Self::F64(_) | Self::PackedSingle(..) | Self::PackedDouble(..) => None,
        }
    }

    pub(crate) fn finish(self) -> ArrayRef {
        fn array<T: ArrowPrimitiveType>(values: Vec<T::Native>) -> ArrayRef {
            Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), None))
        }
        match self {
            // Some writers store other values than 1 for true.
            Self::Bool(v) => Arc::new(BooleanArray::new(
                BooleanBuffer::collect_bool(v.len(), |i| v.get(i).is_some_and(|b| *b != 0)),
                None,
            )),
            Self::I8(v) => array::<Int8Type>(v),
            Self::U8(v) => array::<UInt8Type>(v),
            Self::I16(v) => array::<Int16Type>(v),
            Self::U16(v) => array::<UInt16Type>(v),
            Self::I32(v) => array::<Int32Type>(v),
            Self::U32(v) => array::<UInt32Type>(v),
            Self::I64(v) => array::<Int64Type>(v),
            Self::U64(v) => array::<UInt64Type>(v),
            Self::F32(v) | Self::PackedSingle(v, _) => array::<Float32Type>(v),
            Self::F64(v) | Self::PackedDouble(v, _) => array::<Float64Type>(v),
        }
    }
}

fn native_blocks<T: Native>(bytes: &[u8], blocks: &[(u32, u32)], leaf: &Leaf, out: &mut Vec<T>) {
    let place = leaf.place;
    if leaf.width != size_of::<T>() {
        return each_block(bytes, blocks, leaf, |slice| T::append(slice, out));
    }
    // Most blocks are of one or two objects: what matters is what is done for each.
    out.reserve(blocks.iter().map(|(_, count)| *count as usize).sum());
    for &(start, count) in blocks {
        let count = count as usize;
        let base = start as usize + count * place.before + place.at;
        out.extend((0..count).map(|object| T::at(bytes, base + object * place.stride)));
    }
}

/// Hands over the bytes of a member: of all objects of a block where they lie together, else of each.
#[inline]
fn each_block(bytes: &[u8], blocks: &[(u32, u32)], leaf: &Leaf, mut take: impl FnMut(&[u8])) {
    let (place, width) = (leaf.place, leaf.width);
    for &(start, count) in blocks {
        let count = count as usize;
        let base = start as usize + count * place.before + place.at;
        if place.stride == width {
            take(bytes.get(base..base + count * width).unwrap_or_default());
        } else {
            for object in 0..count {
                let at = base + object * place.stride;
                take(bytes.get(at..at + width).unwrap_or_default());
            }
        }
    }
}

fn unpack(bytes: &[u8], form: PackedForm, mut push: impl FnMut(f64)) {
    match form {
        PackedForm::Single => bytes.as_chunks::<4>().0.iter().for_each(|b| push(f64::from(f32::from_be_bytes(*b)))),
        PackedForm::Range { min, factor } => {
            bytes.as_chunks::<4>().0.iter().for_each(|b| push(min + f64::from(u32::from_be_bytes(*b)) / factor));
        }
        PackedForm::Mantissa { bits } => {
            for &[exponent, high, low] in bytes.as_chunks::<3>().0 {
                let mantissa = u32::from(u16::from_be_bytes([high, low]));
                let word = (u32::from(exponent) << 23) | ((mantissa & ((1 << (bits + 1)) - 1)) << (23 - bits));
                let value = f32::from_bits(word);
                push(f64::from(if mantissa & (1 << (bits + 1)) != 0 { -value } else { value }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_in_titles_follow_root() {
        let form = |title| Packed::from_title(true, title).form;
        assert_eq!(form("plain"), PackedForm::Single);
        assert_eq!(form("x[10][0,0,12]"), PackedForm::Mantissa { bits: 12 });
        assert_eq!(form("[0,100,8] comment"), PackedForm::Range { min: 0.0, factor: 2.56 });
        let pi = std::f64::consts::PI;
        assert_eq!(form("[-pi,pi]"), PackedForm::Range { min: -pi, factor: f64::from(u32::MAX) / (2.0 * pi) });
        assert_eq!(Packed::from_title(false, "").form, PackedForm::Mantissa { bits: 12 });
    }

    #[test]
    fn spans_of_any_length_are_converted_up_to_the_last_byte() {
        let numbers: Vec<i16> = (0..20).map(|number| 1000 - 300 * number).collect();
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        // Counted in numbers: none, one, as many as are converted at once, more, and the last one.
        let spans = [0..0, 1..2, 2..6, 7..16, 16..16, 19..20];
        let mut values = Values::I16(vec![5]);

        values.append_spans(&bytes, &spans.clone().map(|span| 2 * span.start..2 * span.end));

        let Values::I16(values) = values else { panic!("other numbers") };
        let expected = spans.into_iter().flatten().map(|place| numbers[place]);
        assert_eq!(values, [5].into_iter().chain(expected).collect::<Vec<_>>());
    }

    #[test]
    fn a_packed_mantissa_keeps_sign_and_exponent() {
        let mut values = Vec::new();
        // 1.5 = exponent 127, mantissa 0.5 of 12 bits; the sign stands above the mantissa.
        let positive = (127u8, 1u16 << 11);
        let negative = (127u8, (1u16 << 11) | (1 << 13));
        for (exponent, mantissa) in [positive, negative] {
            let [high, low] = mantissa.to_be_bytes();
            unpack(&[exponent, high, low], PackedForm::Mantissa { bits: 12 }, |v| values.push(v));
        }
        assert_eq!(values, [1.5, -1.5]);
    }
}
