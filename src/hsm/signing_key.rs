//! The public half of the signing key. It needs no HSM: who verifies has the PEM and nothing else.

use aws_lc_rs::{
    digest::{Digest, SHA256, digest},
    signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey, UnparsedPublicKey},
};
use pem::{EncodeConfig, LineEnding, Pem};

use crate::ids::hex;

/// An uncompressed point of P-256: 04 ‖ x ‖ y (SEC 1 §2.3.3).
const POINT: usize = 65;

/// What stands before the point in a `SubjectPublicKeyInfo` (RFC 5480 §2):
/// id-ecPublicKey, secp256r1, and a BIT STRING of 65 bytes.
const PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The tag and length of an OCTET STRING that holds a point.
const OCTET_STRING: [u8; 2] = [0x04, 0x41];

const LABEL: &str = "PUBLIC KEY";

/// A public key that verifies what the HSM signed: ECDSA over P-256 with SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey([u8; Self::LEN]);

impl SigningKey {
    /// Bytes of the `SubjectPublicKeyInfo`.
    pub const LEN: usize = PREFIX.len() + POINT;

    /// Reads a `CKA_EC_POINT`: a DER OCTET STRING, or the bare point as some modules give it.
    ///
    /// `None` when it is not an uncompressed point of P-256.
    pub fn from_ec_point(value: &[u8]) -> Option<Self> {
        let point = match value.strip_prefix(&OCTET_STRING) {
            // A bare point may begin with the same two bytes.
            Some(inner) if inner.len() == POINT => inner,
            _ => value,
        };
        let point = <[u8; POINT]>::try_from(point).ok()?;
        // Of this length, the parser would also take no other form; it checks the curve's equation.
        if point.first() != Some(&0x04) {
            return None;
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).ok()?;
        let mut spki = [0; Self::LEN];
        for (to, from) in spki.iter_mut().zip(PREFIX.iter().chain(&point)) {
            *to = *from;
        }
        Some(Self(spki))
    }

    /// Reads a `SubjectPublicKeyInfo` in DER. `None` when it is not one of an uncompressed P-256 key.
    pub fn from_spki(der: &[u8]) -> Option<Self> {
        Self::from_ec_point(der.strip_prefix(&PREFIX).filter(|point| point.len() == POINT)?)
    }

    /// Reads what [`Self::to_pem`] wrote. `None` when it is not a P-256 public key.
    pub fn from_pem(text: &str) -> Option<Self> {
        let block = pem::parse(text).ok().filter(|block| block.tag() == LABEL)?;
        Self::from_spki(block.contents())
    }

    /// The key in PEM (RFC 7468 §13), with a line end at its end.
    pub fn to_pem(&self) -> String {
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        pem::encode_config(&Pem::new(LABEL, self.0), config)
    }

    /// The `SubjectPublicKeyInfo` in DER.
    pub const fn spki(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// A short name of the key: the first 8 bytes of SHA-256 over [`Self::spki`], in hex.
    pub fn id(&self) -> String {
        let mut id = [0; 8];
        for (to, from) in id.iter_mut().zip(digest(&SHA256, &self.0).as_ref()) {
            *to = *from;
        }
        hex(id)
    }

    /// Whether `signature`, in DER, is this key's over SHA-256 of `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier().verify(message, signature).is_ok()
    }

    /// Whether `signature`, in DER, is this key's over `digest`.
    pub(super) fn verify_digest(&self, digest: &[u8; 32], signature: &[u8]) -> bool {
        Digest::import_less_safe(digest, &SHA256)
            .and_then(|digest| self.verifier().verify_digest(&digest, signature))
            .is_ok()
    }

    fn verifier(&self) -> UnparsedPublicKey<&[u8; Self::LEN]> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer as _,
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
    };

    use super::*;

    fn pair() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
    }

    #[test]
    fn a_point_is_read_bare_and_in_an_octet_string() {
        let pair = pair();
        let bare = pair.public_key().as_ref();
        let key = SigningKey::from_ec_point(bare).unwrap();
        assert_eq!(SigningKey::from_ec_point(&[&OCTET_STRING, bare].concat()), Some(key.clone()));
        assert_eq!(key.spki(), pair.public_key().as_der().unwrap().as_ref());
        assert_eq!(SigningKey::from_spki(key.spki()), Some(key));
    }

    #[test]
    fn a_bare_point_may_look_like_an_octet_string() {
        // An x that begins with 41 comes once in 256.
        let pair = std::iter::repeat_with(pair)
            .find(|pair| pair.public_key().as_ref().starts_with(&OCTET_STRING))
            .unwrap();
        let bare = pair.public_key().as_ref();
        let key = SigningKey::from_ec_point(bare).unwrap();
        assert_eq!(&key.spki()[PREFIX.len()..], bare);
        assert_eq!(SigningKey::from_ec_point(&[&OCTET_STRING, bare].concat()), Some(key));
    }

    #[test]
    fn what_is_no_point_of_the_curve_is_refused() {
        let pair = pair();
        let good = pair.public_key().as_ref();
        let mut off = good.to_vec();
        off[64] ^= 1;
        let mut compressed = good[..33].to_vec();
        compressed[0] = 0x02 | (good[64] & 1);
        let mut hybrid = good.to_vec();
        hybrid[0] = 0x06 | (good[64] & 1);
        let zero = [&[0x04][..], &[0; 64]].concat();
        let nested = [&[0x04, 0x43][..], &OCTET_STRING, good].concat();
        let long = [good, &[0]].concat();
        let long_octets = [&OCTET_STRING, good, &[0]].concat();
        let spki = SigningKey::from_ec_point(good).unwrap().0.to_vec();
        for bad in [
            off,
            compressed,
            hybrid,
            zero,
            nested,
            long,
            long_octets,
            spki,
            good[..64].to_vec(),
            vec![0],
            vec![],
        ] {
            assert_eq!(SigningKey::from_ec_point(&bad), None, "{bad:02x?}");
        }
    }

    #[test]
    fn pem_comes_back_and_other_pem_is_refused() {
        let key = SigningKey::from_ec_point(pair().public_key().as_ref()).unwrap();
        let pem = key.to_pem();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");
        assert!(pem.ends_with("\n-----END PUBLIC KEY-----\n"), "{pem}");
        assert_eq!(SigningKey::from_pem(&pem), Some(key.clone()));
        assert_eq!(SigningKey::from_pem(&pem.replace('\n', "\r\n")), Some(key.clone()));
        assert_eq!(SigningKey::from_pem(&pem.replace("PUBLIC", "PRIVATE")), None);
        assert_eq!(SigningKey::from_pem(""), None);
        let long = pem::encode(&Pem::new(LABEL, [&key.0[..], &[0]].concat()));
        assert_eq!(SigningKey::from_pem(&long), None);
        let wrapped = [&PREFIX[..], &OCTET_STRING, &key.0[PREFIX.len()..]].concat();
        assert_eq!(SigningKey::from_pem(&pem::encode(&Pem::new(LABEL, wrapped))), None);
    }

    #[test]
    fn the_id_is_the_start_of_the_digest() {
        let key = SigningKey::from_ec_point(pair().public_key().as_ref()).unwrap();
        let whole: [u8; 32] = digest(&SHA256, key.spki()).as_ref().try_into().unwrap();
        assert_eq!(key.id(), hex(whole)[..16]);
    }

    #[test]
    fn a_signature_holds_for_its_message_and_its_key_only() {
        let pair = pair();
        let key = SigningKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        let other = SigningKey::from_ec_point(self::pair().public_key().as_ref()).unwrap();
        let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
        let signature = signature.as_ref();
        let hashed: [u8; 32] = digest(&SHA256, b"message").as_ref().try_into().unwrap();
        assert!(key.verify(b"message", signature));
        assert!(key.verify_digest(&hashed, signature));
        assert!(!key.verify(b"massage", signature));
        assert!(!key.verify_digest(&[0; 32], signature));
        assert!(!other.verify(b"message", signature));
        assert!(!key.verify(b"message", &[signature, &[0]].concat()));
        assert!(!key.verify(b"message", &[]));
    }
}
