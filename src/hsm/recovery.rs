//! RSA keys that a copy of the root is wrapped to: one that is kept offline, or that of another token.

use std::fs::File;

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::AsDer as _,
    rsa::PublicKeyComponents,
};
use cryptoki::{
    mechanism::{
        Mechanism, MechanismType,
        rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource},
    },
    object::{Attribute, AttributeType, ObjectHandle},
};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, Jwk},
};
use pem::{EncodeConfig, LineEnding, Pem};

use super::{HsmError, module::Session, template};
use crate::ids::hex;

/// The shortest modulus, in bytes.
const SHORTEST: usize = 256;

/// The public half of an RSA key that a root can be wrapped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    /// The `SubjectPublicKeyInfo` in DER.
    spki: Vec<u8>,
}

/// A copy of the root that is to be made, and the new file for it.
pub struct RecoveryCopy {
    /// Whose private half opens it.
    pub key: RecoveryKey,
    /// Where it goes.
    pub out: File,
}

impl RecoveryKey {
    /// Reads an RSA public key of 2048 bits or more from PEM (`openssl rsa -pubout`).
    pub fn from_pem(pem: &[u8]) -> Result<Self, HsmError> {
        let parse = || {
            let key = DecodingKey::from_rsa_pem(pem).ok()?;
            let jwk = Jwk::from_decoding_key(&key, Some(Algorithm::RS256)).ok()?;
            let AlgorithmParameters::RSA(rsa) = jwk.algorithm else { return None };
            let decode = |text: &str| {
                use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
                URL_SAFE_NO_PAD.decode(text).ok()
            };
            Self::new(&decode(&rsa.n)?, &decode(&rsa.e)?)
        };
        let key = parse().ok_or_else(|| {
            HsmError::Setup("the recovery key must be an RSA public key in PEM".to_owned())
        })?;
        if key.copy_len() < SHORTEST {
            return Err(HsmError::Setup("the recovery key must have 2048 bits or more".to_owned()));
        }
        Ok(key)
    }

    /// Reads the public key `object`.
    pub(super) fn read(session: &Session, object: ObjectHandle) -> Result<Self, HsmError> {
        let asked = [AttributeType::Modulus, AttributeType::PublicExponent];
        match &session.get_attributes(object, &asked)?[..] {
            [Attribute::Modulus(modulus), Attribute::PublicExponent(exponent)] => {
                Self::new(modulus, exponent)
            }
            _ => None,
        }
        .ok_or(HsmError::misbehaved("an RSA public key without modulus or exponent"))
    }

    /// `None` when the two are no RSA key.
    fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let [modulus, exponent] = [modulus, exponent].map(|number| {
            // Some modules put zeros in front.
            number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>()
        });
        let spki = PublicKeyComponents { n: &modulus, e: &exponent }.as_der().ok()?;
        let spki = spki.as_ref().to_vec();
        Some(Self { modulus, exponent, spki })
    }

    /// The key in PEM (RFC 7468 §13), with a line end at its end.
    pub fn to_pem(&self) -> String {
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        pem::encode_config(&Pem::new("PUBLIC KEY", self.spki.as_slice()), config)
    }

    /// `SHA256:` and the SHA-256 of the key in DER, in hex.
    pub fn fingerprint(&self) -> String {
        let digest: [u8; 32] = digest(&SHA256, &self.spki).as_ref().try_into().unwrap_or_default();
        format!("SHA256:{}", hex(digest))
    }

    /// Bytes of what is wrapped to it.
    pub(super) const fn copy_len(&self) -> usize {
        self.modulus.len()
    }

    /// `root`, wrapped to this key.
    pub(super) fn wrap(&self, session: &Session, root: ObjectHandle) -> Result<Vec<u8>, HsmError> {
        let (modulus, exponent) = (self.modulus.clone(), self.exponent.clone());
        let public = session.create_object(&template::recovery_key(modulus, exponent))?;
        let wrapped = session.wrap_key(&oaep(), public, root)?;
        session.destroy_object(public)?;
        if wrapped.len() == self.copy_len() {
            Ok(wrapped)
        } else {
            Err(HsmError::misbehaved("C_WrapKey gave a wrong length"))
        }
    }
}

/// RSA-OAEP with SHA-1 and MGF1-SHA-1 (RFC 8017 §7.1): the only digest that SoftHSM's OAEP has.
pub(super) fn oaep() -> Mechanism<'static> {
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(
        MechanismType::SHA1,
        PkcsMgfType::MGF1_SHA1,
        PkcsOaepSource::empty(),
    ))
}
