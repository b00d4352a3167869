//! RSA as `gsi` uses it: signatures over bytes themselves instead of their digest, and keys that give the signed bytes
//! back (RFC 8017, block type 1 of version 1.5). Long texts are cut into pieces.
//!
//! The arithmetic is that of `crypto-bigint`, whose time does not depend on the values. There is no decryption here, and
//! with it none of the attacks on padding.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use x509_cert::der::asn1::{AnyRef, OctetStringRef, UintRef};
use x509_cert::der::{Reader, SliceReader};
use zeroize::Zeroizing;

/// What a signature needs beside its text.
const OVERHEAD: usize = 11;

/// Sizes of a modulus in bytes: 1024 to 8192 bits.
const SIZES: std::ops::RangeInclusive<usize> = 128..=1024;

/// Smaller exponents, with signatures that give back their text, can be forged.
const SMALLEST_EXPONENT: u64 = 65_537;

#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    modulus: BoxedMontyParams,
    /// The length of the modulus in bytes, which is that of a signature.
    length: usize,
    exponent: u64,
}

impl PublicKey {
    /// From the content of a certificate's key (`RSAPublicKey`). `None` for keys that cannot be used safely.
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let (modulus, exponent) = SliceReader::new(der)
            .ok()?
            .sequence(|reader| {
                let modulus: UintRef<'_> = reader.decode()?;
                let exponent: UintRef<'_> = reader.decode()?;
                x509_cert::der::Result::Ok((modulus.as_bytes(), exponent.as_bytes()))
            })
            .ok()?;
        Self::new(modulus, exponent)
    }

    fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let length = modulus.len();
        if !SIZES.contains(&length) || exponent.len() > 8 {
            return None;
        }
        let exponent = exponent.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        if exponent < SMALLEST_EXPONENT || exponent % 2 == 0 {
            return None;
        }
        let modulus = Option::<Odd<BoxedUint>>::from(BoxedUint::from_be_slice_vartime(modulus).into_odd())?;
        Some(PublicKey { modulus: BoxedMontyParams::new(modulus), length, exponent })
    }

    /// The length of the modulus in bits.
    pub(super) fn bits(&self) -> usize {
        self.length * 8
    }

    /// The text that was signed, if all pieces of the signature are right.
    pub(super) fn recover(&self, signature: &[u8]) -> Option<Vec<u8>> {
        if signature.is_empty() || !signature.len().is_multiple_of(self.length) {
            return None;
        }
        let mut text = Vec::new();
        for piece in signature.chunks(self.length) {
            let block = self.apply(piece)?;
            let padded = block.strip_prefix(&[0, 1])?;
            let filler = padded.iter().take_while(|byte| **byte == 0xff).count();
            let (_, rest) = padded.split_at_checked(filler)?;
            if filler < OVERHEAD - 3 {
                return None;
            }
            text.extend_from_slice(rest.strip_prefix(&[0])?);
        }
        Some(text)
    }

    /// The public operation on one piece.
    fn apply(&self, piece: &[u8]) -> Option<Vec<u8>> {
        let exponent = BoxedUint::from(self.exponent);
        self.power(piece, &exponent, u64::BITS).map(|bytes| bytes.to_vec())
    }

    /// A number to a power. The number must be smaller than the modulus.
    fn power(&self, number: &[u8], exponent: &BoxedUint, exponent_bits: u32) -> Option<Zeroizing<Vec<u8>>> {
        let number = BoxedUint::from_be_slice(number, self.modulus.bits_precision()).ok()?;
        if number >= *self.modulus.modulus().as_ref() {
            return None;
        }
        let power = BoxedMontyForm::new(number, &self.modulus).pow_bounded_exp(exponent, exponent_bits).retrieve();
        let bytes = Zeroizing::new(power.to_be_bytes().into_vec());
        // The number is kept in whole words, of which the first may have more zeros than the modulus has.
        bytes.get(bytes.len().checked_sub(self.length)?..).map(|bytes| Zeroizing::new(bytes.to_vec()))
    }
}

/// A key that signs. Has no debug output.
pub(super) struct PrivateKey {
    public: PublicKey,
    exponent: Zeroizing<BoxedUint>,
}

impl PrivateKey {
    /// From `RSAPrivateKey` (PKCS 1).
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let (modulus, public, private) = SliceReader::new(der)
            .ok()?
            .sequence(|reader| {
                let _version: u8 = reader.decode()?;
                let modulus: UintRef<'_> = reader.decode()?;
                let public: UintRef<'_> = reader.decode()?;
                let private: UintRef<'_> = reader.decode()?;
                // Primes and coefficients make the work faster, and faults dangerous.
                while !reader.is_finished() {
                    reader.tlv_bytes()?;
                }
                x509_cert::der::Result::Ok((modulus.as_bytes(), public.as_bytes(), private.as_bytes()))
            })
            .ok()?;
        let public = PublicKey::new(modulus, public)?;
        let exponent = Zeroizing::new(BoxedUint::from_be_slice(private, public.modulus.bits_precision()).ok()?);
        Some(PrivateKey { public, exponent })
    }

    /// From `PrivateKeyInfo` (PKCS 8).
    pub(super) fn parse_wrapped(der: &[u8]) -> Option<Self> {
        let key = SliceReader::new(der)
            .ok()?
            .sequence(|reader| {
                let _version: u8 = reader.decode()?;
                let _algorithm: AnyRef<'_> = reader.decode()?;
                let key: &OctetStringRef = reader.decode()?;
                while !reader.is_finished() {
                    reader.tlv_bytes()?;
                }
                x509_cert::der::Result::Ok(key.as_bytes())
            })
            .ok()?;
        Self::parse(key)
    }

    /// Whether this is the other half of a key.
    pub(super) fn belongs_to(&self, public: &PublicKey) -> bool {
        self.public.modulus.modulus() == public.modulus.modulus() && self.public.exponent == public.exponent
    }

    /// Signs a text, piece by piece. `None` if the key is broken: what it made is checked.
    pub(super) fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let length = self.public.length;
        let mut signature = Vec::new();
        for piece in text.chunks(length - OVERHEAD) {
            let mut block = vec![0xff; length];
            if let Some(start) = block.first_chunk_mut() {
                *start = [0, 1];
            }
            let (_, end) = block.split_at_mut_checked(length - piece.len() - 1)?;
            let (zero, room) = end.split_first_mut()?;
            *zero = 0;
            room.copy_from_slice(piece);
            let bits = self.public.modulus.bits_precision();
            let signed = self.public.power(&block, &self.exponent, bits)?;
            if self.public.apply(&signed)? != block {
                return None;
            }
            signature.extend_from_slice(&signed);
        }
        Some(signature)
    }
}

#[cfg(test)]
mod tests;
