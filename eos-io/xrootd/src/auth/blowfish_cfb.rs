//! Blowfish in cipher feedback mode with 64-bit blocks and without padding, from an initial vector of zeros: the one
//! cipher of `sss`.

use blowfish::Blowfish;
use blowfish::cipher::{Block, BlockCipherEncrypt, KeyInit};

const BLOCK: usize = 8;

/// Encrypts in place; `None` if no key has this length (4 to 56 bytes).
pub(super) fn encrypt(key: &[u8], data: &mut [u8]) -> Option<()> {
    encrypt_from([0; BLOCK], key, data)
}

fn encrypt_from(initial: [u8; BLOCK], key: &[u8], data: &mut [u8]) -> Option<()> {
    let cipher: Blowfish = Blowfish::new_from_slice(key).ok()?;
    let mut feedback = Block::<Blowfish>::from(initial);
    for chunk in data.chunks_mut(BLOCK) {
        cipher.encrypt_block(&mut feedback);
        for (byte, feedback) in chunk.iter_mut().zip(feedback.iter_mut()) {
            *byte ^= *feedback;
            *feedback = *byte;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_of_the_mode_comes_out() {
        // From the collection of vectors by Eric Young that accompanies the cipher's definition.
        let key = 0x0123_4567_89AB_CDEF_F0E1_D2C3_B4A5_9687_u128.to_be_bytes();
        let initial = 0xFEDC_BA98_7654_3210_u64.to_be_bytes();
        let mut data = *b"7654321 Now is the time for \0";
        encrypt_from(initial, &key, &mut data).expect("a key of 16 bytes");
        let expected = [
            0xE7, 0x32, 0x14, 0xA2, 0x82, 0x21, 0x39, 0xCA, 0xF2, 0x6E, 0xCF, 0x6D, 0x2E, 0xB9, 0xE7, 0x6E, 0x3D, 0xA3,
            0xDE, 0x04, 0xD1, 0x51, 0x72, 0x00, 0x51, 0x9D, 0x57, 0xA6, 0xC3,
        ];
        assert_eq!(data, expected);
    }

    #[test]
    fn keys_of_impossible_lengths_are_refused() {
        assert_eq!(encrypt(&[1; 3], &mut []), None);
        assert_eq!(encrypt(&[1; 57], &mut []), None);
    }
}
