//! The checksum of a column that the corpus gives for all of its entries, of which the reference may hold only the first.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// The first 32 hexadecimal digits of the SHA-256 of the column's lengths and values, parents before children.
pub fn checksum(array: &dyn Array) -> String {
    let mut bytes = Vec::new();
    feed(array, &mut bytes);
    sha256(&bytes).iter().take(4).map(|word| format!("{word:08x}")).collect()
}

fn feed(array: &dyn Array, out: &mut Vec<u8>) {
    let lengths = |lengths: &mut dyn Iterator<Item = i64>, out: &mut Vec<u8>| {
        lengths.for_each(|length| out.extend(length.to_le_bytes()));
    };
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            lengths(&mut list.offsets().lengths().map(|l| l as i64), out);
            let (first, last) = (list.offsets()[0] as usize, list.offsets()[list.len()] as usize);
            feed(&list.values().slice(first, last - first), out);
        }
        DataType::FixedSizeList(..) => feed(array.as_fixed_size_list().values(), out),
        DataType::Struct(_) => array.as_struct().columns().iter().for_each(|child: &ArrayRef| feed(child, out)),
        DataType::Utf8 => {
            let text = array.as_string::<i32>();
            lengths(&mut text.offsets().lengths().map(|l| l as i64), out);
            text.iter().for_each(|t| out.extend(t.unwrap().as_bytes()));
        }
        DataType::Binary => {
            let text = array.as_binary::<i32>();
            lengths(&mut text.offsets().lengths().map(|l| l as i64), out);
            text.iter().for_each(|t| out.extend(t.unwrap()));
        }
        DataType::Boolean => out.extend(array.as_boolean().values().iter().map(u8::from)),
        // Little-endian on every machine that the corpus is on.
        _ => {
            let data = array.to_data();
            let width = data.data_type().primitive_width().unwrap();
            out.extend(&data.buffers()[0].as_slice()[data.offset() * width..(data.offset() + data.len()) * width]);
        }
    }
}

/// SHA-256 (FIPS 180-4); its constants are the fractional parts of roots of the first primes.
fn sha256(message: &[u8]) -> [u32; 8] {
    let primes: Vec<u64> = (2..312u64).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
    // The first 32 bits behind the point of a root, found as an integer: the largest x with x^n <= prime * 2^(32 n).
    let fraction = |prime: u64, power: u32| {
        let (mut low, mut high) = (0u128, 1u128 << 37);
        while high - low > 1 {
            let middle = (low + high) / 2;
            let fits = middle.pow(power) <= u128::from(prime) << (32 * power);
            (low, high) = if fits { (middle, high) } else { (low, middle) };
        }
        low as u32
    };
    let k: Vec<u32> = primes.iter().take(64).map(|p| fraction(*p, 3)).collect();
    let mut state: [u32; 8] = std::array::from_fn(|i| fraction(primes[i], 2));
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).div_ceil(64) * 64 - 8, 0);
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut w: Vec<u32> = block.as_chunks::<4>().0.iter().map(|b| u32::from_be_bytes(*b)).collect();
        for i in 16..64 {
            let (a, b) = (w[i - 15], w[i - 2]);
            let s0 = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let s1 = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            w.push(w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1));
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for i in 0..64 {
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let t1 = h.wrapping_add(s1).wrapping_add((e & f) ^ (!e & g)).wrapping_add(k[i]).wrapping_add(w[i]);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let t2 = s0.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
        }
        for (word, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *word = word.wrapping_add(more);
        }
    }
    state
}

#[test]
fn the_checksum_of_known_bytes_is_known() {
    let digits = |message: &[u8]| sha256(message).map(|word| format!("{word:08x}")).concat();
    assert_eq!(digits(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(digits(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
