//! The form of a signature: PKCS#11 gives r ‖ s, everybody else reads DER (RFC 3279 §2.2.3).
//!
//! ```text
//! Ecdsa-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER }
//! ```

/// Bytes of r and of s for P-256.
const HALF: usize = 32;

/// Bytes of r ‖ s.
pub(super) const RAW: usize = 2 * HALF;

/// `raw` as DER. Each length is below 128, and so one byte.
pub(super) fn der(raw: &[u8; RAW]) -> Vec<u8> {
    let (r, s) = raw.split_at(HALF);
    tagged(0x30, &[integer(r), integer(s)].concat())
}

/// An unsigned big-endian number as INTEGER: the fewest bytes of which the first is not negative.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let (_, digits) = number.split_at(zeros);
    // Zero has no digits, and a first digit of 80 or more would be a sign.
    let padding: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    tagged(0x02, &[padding, digits].concat())
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    // At most 70 bytes: two INTEGERs of 33 behind two bytes each.
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    [&[tag, length], content].concat()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::hsm::SigningKey;

    /// A strict reader, as DER wants it: fewest bytes, not negative, nothing behind.
    fn read(der: &[u8]) -> [u8; RAW] {
        fn take(bytes: &[u8], tag: u8) -> (&[u8], &[u8]) {
            assert_eq!(bytes[0], tag);
            assert!(bytes[1] < 0x80);
            bytes[2..].split_at(usize::from(bytes[1]))
        }
        let (sequence, rest) = take(der, 0x30);
        assert!(rest.is_empty());
        let (r, s) = take(sequence, 0x02);
        let (s, rest) = take(s, 0x02);
        assert!(rest.is_empty());
        let mut raw = [0; RAW];
        for (number, half) in [r, s].into_iter().zip(raw.chunks_mut(HALF)) {
            assert!(number[0] < 0x80, "negative");
            assert!(number.len() == 1 || number[0] != 0 || number[1] >= 0x80, "too long");
            let digits = number.strip_prefix(&[0]).unwrap_or(number);
            half[HALF - digits.len()..].copy_from_slice(digits);
        }
        raw
    }

    fn number() -> impl Strategy<Value = [u8; HALF]> {
        (any::<[u8; HALF]>(), 0..=HALF).prop_map(|(mut number, zeros)| {
            number[..zeros].fill(0);
            number
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn strict_der_comes_back(r in number(), s in number()) {
            let raw: [u8; RAW] = [r, s].concat().try_into().unwrap();
            prop_assert_eq!(read(&der(&raw)), raw);
        }

        #[test]
        fn another_library_verifies_it(message: Vec<u8>) {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let raw = pair.sign(&SystemRandom::new(), &message).unwrap();
            let key = SigningKey::from_ec_point(pair.public_key().as_ref()).unwrap();
            prop_assert!(key.verify(&message, &der(raw.as_ref().try_into().unwrap())));
        }
    }

    #[test]
    fn numbers_at_the_edges() {
        let mut raw = [0; RAW];
        assert_eq!(der(&raw), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        (raw[31], raw[63]) = (0x7f, 0x80);
        assert_eq!(der(&raw), [0x30, 7, 2, 1, 0x7f, 2, 2, 0, 0x80]);
        raw.fill(0xff);
        assert_eq!(der(&raw).len(), 72);
    }
}
