//! The expected signatures are those of OpenSSL for the same key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// A key made for these tests.
const PRIVATE: &str = "MIICXAIBAAKBgQC0WIWQEJN2zGW6N2W4B3YxabE3d9tgTjTYfmmt+6zENbnWNxYjLccc6+oQ/6E8D7SHVe0L89jpwoK0RK8TuQ0nxKY4\
     gObw0FLGNw1mA1b0/va81qCVkTkqHO+9pQa4KuPYp4edMezSSVwutc6aL0PcZE+dLcm6nMAtlhaMIK5VNQIDAQABAoGANwL1ou9bfBZ3\
     RWlWjt8/z2zVEP1vnp3cgtl0tQybM7LLwCtHhm2VWh4gZRUFAsQrpkiwqT+1wACETCbTXOnKt/4Ak4KvPr63PktbGgn4QyqHKY6nabKx\
     ISYCvNS87eEN9M7f9XicGeD02Kq4LByhUyzZwy6OwXQKb+HeafKDCjUCQQDt744w87OfJt8t7n5WrEQgKBogDL7sEj0VglwB8SKFG+eQ\
     AE7JJAD0jc0whAbSj6+LPPLtLAdb6jGexDW3kNxrAkEAwgmqaVJNsv8YUTzaRBQHhE384YP+Q8rDzjMkj2432HflCzml0G1NLNE6iF3j\
     jekntei5y2SS1OkKSrV+ss/83wJARxjg9TGtB6522+O67q01AiLZg6ArYKEmjYnRcmcaeInZDMd6w1G1012X5Zpd64cx3jpNIJ+aZ1W4\
     lAdvQbXQlwJAUcB4x/8hNXU87Z1R6LT3pcql7O4Lxsw7SzlJAhVR+iYpnl0fe31RsrxEiQflw/ij/oSbIxKwunulFmz5gKUYyQJBAIQE\
     54C9V3ovMFub/lq1gETimf87ORM1/n0KxK3kIWHrtEBtB5mK9qvK6Pve6O6NwZCY7/nZU2QZ0XHVkBKE2Ew=";
const PUBLIC: &str = "MIGJAoGBALRYhZAQk3bMZbo3ZbgHdjFpsTd322BONNh+aa37rMQ1udY3FiMtxxzr6hD/oTwPtIdV7Qvz2OnCgrRErxO5DSfEpjiA5vDQ\
     UsY3DWYDVvT+9rzWoJWROSoc772lBrgq49inh50x7NJJXC61zpovQ9xkT50tybqcwC2WFowgrlU1AgMBAAE=";
const SIGNATURE_OF_EIGHT_LETTERS: &str = "b3f5b1116b705dfbd6dcb5648a1b823955d11de90897178590c2a5144c5832d90851af573c79bb659dc10cef29b8ccc733b26df3\
     37cefe3afdcad56ac92151829cdd1df5007f1c98412eef96ff17e74c185fcaa0ffb11bed57ba8cbf6aeccf91da020e5f3f665e61\
     4a89c923bd1abbac95e475f8d29afa6b8b805d6826011015";
const SIGNATURE_OF_TWO_PIECES: &str = "0b2a7497f50533d3ab28b4a3981e001c88a03630e6ee00c84012751986e5b3f76e0bb12837b2f972b2d39c9f0ea419569d4a5cbe\
     e35f6c9cc15593bda5bf38a316d935ccf7ab0cecdce02ffbbac1898df2d86fe75342b6c41f76b17ce1757f298f09909f95bd53b8\
     e41e5ff486f56b35a22daea59bb03615c9343514490941848e3fc5632ca57973e5981e4cdc3b35314197f5474d4867f5a939ddf1\
     96079c3086347d225784a4169fd5b3006ea05dcf3a7f417fdc7b99f6db737bc2f896ace4b4de8629be833a08df59f413b0233bbe\
     b1be535191ea435fad494ae501190bf43fe0a755af13641382d3df4da48f7246990bd6687b3d52124e7698b16d3975cb";

fn private() -> PrivateKey {
    PrivateKey::parse(&STANDARD.decode(PRIVATE).expect("base64")).expect("a key")
}

fn public() -> PublicKey {
    PublicKey::parse(&STANDARD.decode(PUBLIC).expect("base64")).expect("a key")
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits"))
        .collect()
}

/// 130 letters, of which 117 fit into the first piece.
fn long_text() -> Vec<u8> {
    let (first, second) = (b"abcdefghij".iter().cycle().take(117), b"klmnopq".iter().cycle().take(13));
    first.chain(second).copied().collect()
}

#[test]
fn a_signature_is_the_one_that_openssl_makes() {
    assert_eq!(private().sign(b"abcdefgh"), Some(bytes(SIGNATURE_OF_EIGHT_LETTERS)));
}

#[test]
fn a_long_text_is_signed_in_pieces() {
    assert_eq!(private().sign(&long_text()), Some(bytes(SIGNATURE_OF_TWO_PIECES)));
}

#[test]
fn the_signed_text_is_recovered() {
    assert_eq!(public().recover(&bytes(SIGNATURE_OF_EIGHT_LETTERS)).as_deref(), Some(&b"abcdefgh"[..]));
    assert_eq!(public().recover(&bytes(SIGNATURE_OF_TWO_PIECES)), Some(long_text()));
}

#[test]
fn a_signature_with_a_changed_bit_gives_nothing_back() {
    for at in [0, 1, 64, 127] {
        let mut signature = bytes(SIGNATURE_OF_EIGHT_LETTERS);
        signature[at] ^= 1;
        assert_eq!(public().recover(&signature), None, "byte {at}");
    }
}

#[test]
fn a_signature_of_the_wrong_length_or_size_is_refused() {
    let signature = bytes(SIGNATURE_OF_EIGHT_LETTERS);
    assert_eq!(public().recover(&[]), None);
    assert_eq!(public().recover(&signature[1..]), None);
    // Not smaller than the modulus.
    assert_eq!(public().recover(&[0xff; 128]), None);
    // The number one is its own signature, and has no padding.
    let mut one = [0; 128];
    one[127] = 1;
    assert_eq!(public().recover(&one), None);
}

#[test]
fn the_two_halves_of_a_key_are_recognised() {
    assert!(private().belongs_to(&public()));
    let mut other = STANDARD.decode(PUBLIC).expect("base64");
    other[20] ^= 1;
    assert!(!private().belongs_to(&PublicKey::parse(&other).expect("a key")));
}

#[test]
fn keys_that_are_not_safe_are_refused() {
    let modulus = [0xff; 128];
    assert!(PublicKey::new(&modulus, &[1, 0, 1]).is_some());
    assert!(PublicKey::new(&modulus, &[3]).is_none(), "an exponent that allows forgery");
    assert!(PublicKey::new(&modulus, &[1, 0, 2]).is_none(), "an even exponent");
    assert!(PublicKey::new(&modulus, &[1; 9]).is_none(), "an exponent that is too large");
    assert!(PublicKey::new(&modulus[1..], &[1, 0, 1]).is_none(), "a short modulus");
    assert!(PublicKey::new(&[0xfe; 128], &[1, 0, 1]).is_none(), "an even modulus");
    assert!(PublicKey::new(&[0xff; 1025], &[1, 0, 1]).is_none(), "a modulus that takes for ever");
}

#[test]
fn malformed_keys_are_refused() {
    let der = STANDARD.decode(PRIVATE).expect("base64");
    for length in [0, 1, 4, 20, der.len() - 1] {
        assert!(PrivateKey::parse(&der[..length]).is_none(), "cut to {length}");
        assert!(PrivateKey::parse_wrapped(&der[..length]).is_none(), "cut to {length}");
    }
}
