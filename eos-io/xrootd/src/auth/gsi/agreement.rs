//! How client and server of `gsi` agree on a key (Diffie and Hellman, with numbers that the server chooses and signs), and
//! the cipher that uses it (AES-128 in CBC mode).

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Reader, SliceReader, pem};
use zeroize::Zeroizing;

/// The name of the cipher, and with the length of the vector that precedes each text.
pub(super) const CIPHER: &str = "aes-128-cbc";
pub(super) const CIPHER_WITH_VECTOR: &str = "aes-128-cbc#16";

const BLOCK: usize = 16;

/// The prime has 512 to 8192 bits. Many servers, those of version 5.5 among them, still have 512, which can be broken with
/// effort. That is of no use to anybody here: what the key hides are certificates and a signature, which are no secrets,
/// and what proves who we are is not the key but the signature.
const PRIME_SIZES: std::ops::RangeInclusive<usize> = 64..=1024;

/// Twice what the strongest prime can give.
pub(super) const SECRET_LENGTH: usize = 64;

const BEGIN: &str = "---BPUB---";
const END: &str = "---EPUB---";

/// The result: what to tell the server, and the common key.
pub(super) struct Agreement {
    pub(super) ours: String,
    pub(super) key: SessionKey,
}

/// Why there is no agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disagreement {
    Malformed,
    /// The server's prime has so many bits.
    Weak(usize),
}

impl Agreement {
    /// Answers the server's part, `DH PARAMETERS` in PEM and its public number in hexadecimal digits, with a secret of our
    /// own.
    pub(super) fn answer(theirs: &[u8], secret: &[u8; SECRET_LENGTH]) -> Result<Self, Disagreement> {
        Self::compute(theirs, secret)?.ok_or(Disagreement::Malformed)
    }

    fn compute(theirs: &[u8], secret: &[u8; SECRET_LENGTH]) -> Result<Option<Self>, Disagreement> {
        let Some((parameters, their_number)) = split(theirs) else { return Ok(None) };
        let Ok((_, der)) = pem::decode_vec(parameters.trim_end().as_bytes()) else { return Ok(None) };
        let Some((prime, generator)) = numbers(&der) else { return Ok(None) };
        if !PRIME_SIZES.contains(&prime.len()) {
            return Err(Disagreement::Weak(prime.len() * 8));
        }
        Ok(Self::agree(parameters, prime, generator, their_number, secret))
    }

    fn agree(
        parameters: &str,
        prime: &[u8],
        generator: &[u8],
        their_number: &str,
        secret: &[u8; SECRET_LENGTH],
    ) -> Option<Self> {
        let length = prime.len();
        let prime = Option::<Odd<BoxedUint>>::from(BoxedUint::from_be_slice_vartime(prime).into_odd())?;
        let modulus = BoxedMontyParams::new(prime);
        let bits = modulus.bits_precision();
        // One less than the prime, and all above, would make the secret guessable; so would one and zero.
        let largest = modulus.modulus().as_ref().wrapping_sub(BoxedUint::from(2_u8));
        let number = |bytes: &[u8]| {
            let number = BoxedUint::from_be_slice(bytes, bits).ok()?;
            (number > BoxedUint::one_with_precision(bits) && number <= largest)
                .then(|| BoxedMontyForm::new(number, &modulus))
        };
        let generator = number(generator)?;
        let their_number = number(&from_hex(their_number)?)?;
        let bits_of_secret = u32::try_from(SECRET_LENGTH * 8).ok()?;
        let secret = Zeroizing::new(BoxedUint::from_be_slice(secret, bits_of_secret).ok()?);

        let our_number = generator.pow_bounded_exp(&secret, bits_of_secret).retrieve().to_be_bytes_trimmed_vartime();
        let our_number: String = our_number.iter().map(|byte| format!("{byte:02X}")).collect();
        let common = Zeroizing::new(their_number.pow_bounded_exp(&secret, bits_of_secret).retrieve());
        let common = Zeroizing::new(common.to_be_bytes().into_vec());
        // The key is the beginning of the common number, which has as many bytes as the prime.
        let common = common.get(common.len().checked_sub(length)?..)?;
        let key = SessionKey(Zeroizing::new(*common.first_chunk()?));
        Some(Agreement { ours: format!("{parameters}{BEGIN}{our_number}{END}"), key })
    }
}

/// The parameters, and the public number.
fn split(theirs: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(theirs).ok()?;
    let (parameters, rest) = text.split_once(BEGIN)?;
    let (number, _) = rest.split_once(END)?;
    Some((parameters, number))
}

/// Prime and generator (PKCS 3).
fn numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    SliceReader::new(der)
        .ok()?
        .sequence(|reader| {
            let prime: UintRef<'_> = reader.decode()?;
            let generator: UintRef<'_> = reader.decode()?;
            while !reader.is_finished() {
                reader.tlv_bytes()?;
            }
            x509_cert::der::Result::Ok((prime.as_bytes(), generator.as_bytes()))
        })
        .ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.bytes().map(|digit| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    let skipped = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = digits.get(skipped..)?;
    // An odd number of digits lacks its first zero.
    let (first, pairs) = digits.split_at(digits.len() % 2);
    let pairs = pairs.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit));
    Some(first.iter().copied().chain(pairs).collect())
}

/// The key of a session. Has no debug output.
pub(super) struct SessionKey(Zeroizing<[u8; BLOCK]>);

impl SessionKey {
    /// Encrypts a text after the vector, which must be random.
    pub(super) fn encrypt(&self, vector: [u8; BLOCK], text: &[u8]) -> Vec<u8> {
        let cipher = cbc::Encryptor::<Aes128>::new((&*self.0).into(), &vector.into());
        [&vector[..], &cipher.encrypt_padded_vec::<Pkcs7>(text)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: &str = "-----BEGIN DH PARAMETERS-----\n\
                              MEYCQQDPaxGKFOGVlhMJb5h34rCNJKK/Y75fnXUTcQ2B1z2VsDTap0a98Palcyj9\n\
                              TR1W/1l0V4LI0yy9XS7FljvpD///AgEC\n\
                              -----END DH PARAMETERS-----\n";
    const PRIME: &str = "CF6B118A14E1959613096F9877E2B08D24A2BF63BE5F9D7513710D81D73D95B034DAA746BDF0F6A57328FD4D1D56FF59\
                         745782C8D32CBD5D2EC5963BE90FFFFF";
    /// The generator to the power of the number with the bytes 100, 101, … 149.
    const THEIRS: &str = "672047AFCD34709895A96AA58C11690FAE4650D3A7C7F519B0839296EC6DF0A9C8D0AE7B8F726A2477F42B2CB8215DDF\
                          4D0AD3B4C3DB5C12E7EDE3DB107CE8EF";
    /// The generator to the power of our secret.
    const OURS: &str = "B697CEF8CB2302F9232F461BAAAE073EB4A813757EE8C6E89051A9BB3FA8A504E7A97598EF41B05E0E1DEC3804177CAC88\
                        A6215591B92B61AACCD30B9CC7B04A";

    /// The bytes 1, 2, … 64.
    fn secret() -> [u8; SECRET_LENGTH] {
        std::array::from_fn(|at| u8::try_from(at + 1).expect("small"))
    }

    fn answer(number: &str) -> Result<Agreement, Disagreement> {
        Agreement::answer(format!("{PARAMETERS}{BEGIN}{number}{END}").as_bytes(), &secret())
    }

    #[test]
    fn both_sides_come_to_the_same_key() {
        // Computed with the integers of Python, from the side of the server.
        let agreement = answer(THEIRS).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(agreement.ours, format!("{PARAMETERS}{BEGIN}{OURS}{END}"));
        let key = 0x1144_cb15_a166_37df_87a5_e0eb_3f44_a11f_u128.to_be_bytes();
        assert_eq!(*agreement.key.0, key);
    }

    #[test]
    fn zeros_at_the_beginning_of_the_common_number_belong_to_the_key() {
        // The prime 2^521 − 1, which fills no whole number of words, and the generator 3. The number of the server was
        // searched for with the integers of Python: the common number begins with two zeros.
        let parameters = "-----BEGIN DH PARAMETERS-----\n\
                          MEcCQgH/////////////////////////////////////////////////////////\n\
                          /////////////////////////////wIBAw==\n\
                          -----END DH PARAMETERS-----\n";
        let theirs = "E035CEAF20AFBB6020A84413F75F5B3F316518E33FA60706CCB5191F325D91C248AE57BCB14AC7CABF384B757D2B0763\
                      FF30062455E57A6CBA1ED84BDAF67E5B08";
        let ours = "866EFD0AB327A3A99600FED281E223DB3FEEE683EF6D22C501719AAC3B15CC67DB77B76A8D3B2BFB2400C40396608F3121F1\
                    EDD108247B62D6690E30AC941E6A0D";
        let agreement = Agreement::answer(format!("{parameters}{BEGIN}{theirs}{END}").as_bytes(), &secret())
            .unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(agreement.ours, format!("{parameters}{BEGIN}{ours}{END}"));
        assert_eq!(*agreement.key.0, 0x0000_32d8_3151_e185_f3cd_488b_fc96_9625_u128.to_be_bytes());
    }

    #[test]
    fn texts_are_encrypted_as_openssl_does_behind_their_vector() {
        let key = SessionKey(Zeroizing::new(0x1144_cb15_a166_37df_87a5_e0eb_3f44_a11f_u128.to_be_bytes()));
        let vector = std::array::from_fn(|at| u8::try_from(at).expect("small"));
        let encrypted = [
            0x3142_e15b_ba03_0e54_d2b6_c7e2_970d_d686_u128.to_be_bytes(),
            0xe202_9d23_aaab_3150_b7e0_ecac_7932_868e_u128.to_be_bytes(),
        ];
        let expected = [&vector[..], encrypted.as_flattened()].concat();
        assert_eq!(key.encrypt(vector, b"a text of more than one block"), expected);
    }

    #[test]
    fn numbers_that_make_the_key_guessable_are_refused() {
        let largest = format!("{}E", PRIME.strip_suffix('F').expect("an odd prime"));
        for number in ["", "0", "1", "01", "0000", &largest, PRIME, &format!("{PRIME}FF"), "12G4"] {
            assert_eq!(answer(number).err(), Some(Disagreement::Malformed), "{number}");
        }
        assert!(answer("2").is_ok());
    }

    #[test]
    fn a_short_prime_is_refused() {
        // The prime 23 and the generator 5.
        let parameters = "-----BEGIN DH PARAMETERS-----\nMAYCARcCAQU=\n-----END DH PARAMETERS-----\n";
        let theirs = format!("{parameters}{BEGIN}08{END}");
        assert_eq!(Agreement::answer(theirs.as_bytes(), &secret()).err(), Some(Disagreement::Weak(8)));
    }

    #[test]
    fn what_is_not_of_this_form_is_refused() {
        for theirs in ["", PARAMETERS, "---BPUB---02---EPUB---", "---EPUB---02---BPUB---"] {
            assert_eq!(
                Agreement::answer(theirs.as_bytes(), &secret()).err(),
                Some(Disagreement::Malformed),
                "{theirs}"
            );
        }
        assert_eq!(Agreement::answer(&[0xff; 40], &secret()).err(), Some(Disagreement::Malformed));
    }
}
