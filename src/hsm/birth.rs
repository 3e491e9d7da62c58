//! The birth of the keys. The root is extractable for a moment, then never again.
//!
//! A copy for recovery can be made in that moment only, so it is an option of
//! the birth and not of a later command.

use cryptoki::{
    mechanism::{
        Mechanism, MechanismType,
        rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource},
    },
    object::{Attribute, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, Jwk},
};

use super::{HsmError, Settings, generation::visit, kek::wrap_key, signing, template};
use crate::ids::RootVersion;

/// The public half of an RSA key that is kept offline.
pub struct RecoveryKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// What `hsm init` made.
pub struct Birth {
    /// Whether the root was made; otherwise the token had one, and no signing key.
    pub root: bool,
    /// Whether the signing key was made.
    pub signing_key: bool,
    /// The root under the recovery key: RSA-OAEP with SHA-1 and MGF1-SHA-1
    /// (RFC 8017 §7.1; the only digest that SoftHSM's OAEP has).
    pub recovery_copy: Option<Vec<u8>>,
}

/// Makes the root key and the signing key, or the signing key alone on a token
/// that an older version gave a root only. A token that has both is refused.
pub fn create_keys(settings: &Settings, recovery: Option<&RecoveryKey>) -> Result<Birth, HsmError> {
    visit(settings, |session| {
        let has_root = !session.find_objects(&template::find_roots())?.is_empty();
        if has_root && recovery.is_some() {
            return Err(HsmError::Setup(
                "the token has a root key already; a recovery copy of it cannot be added"
                    .to_owned(),
            ));
        }
        // The root comes last: a failure after its birth would lose the recovery copy.
        let signing_key = signing::ensure(session)?;
        match (has_root, signing_key) {
            (false, _) => {
                let recovery_copy = give_birth(session, recovery)?;
                Ok(Birth { root: true, signing_key, recovery_copy })
            }
            (true, true) => Ok(Birth { root: false, signing_key, recovery_copy: None }),
            (true, false) => Err(HsmError::Setup(
                "the token has a root key and a signing key already".to_owned(),
            )),
        }
    })
}

/// Makes the root; what is returned is its recovery copy.
fn give_birth(
    session: &Session,
    recovery: Option<&RecoveryKey>,
) -> Result<Option<Vec<u8>>, HsmError> {
    let newborn = session.generate_key(&Mechanism::AesKeyGen, &template::newborn_root())?;
    let recovery_copy = recovery.map(|key| key.wrap(session, newborn)).transpose()?;

    // The stay-at-home twin is made by unwrapping: a key that was generated
    // extractable must not merely be relabelled.
    let carrier = session.generate_key(&Mechanism::AesKeyGen, &template::newborn_root())?;
    let blob = wrap_key(session, carrier, newborn)?;
    let root = session.unwrap_key(
        &Mechanism::AesKeyWrap,
        carrier,
        &blob,
        &template::root(RootVersion::FIRST),
    )?;

    // Both must be one key before the first is gone: what one wraps, both wrap alike.
    let same = wrap_key(session, root, carrier)? == wrap_key(session, newborn, carrier)?;
    session.destroy_object(carrier)?;
    session.destroy_object(newborn)?;
    if same {
        Ok(recovery_copy)
    } else {
        session.destroy_object(root)?;
        Err(HsmError::misbehaved("the root key changed when it was wrapped"))
    }
}

impl RecoveryKey {
    /// Reads an RSA public key of 2048 bits or more from PEM (`openssl rsa -pubout`).
    pub fn from_pem(pem: &[u8]) -> Result<Self, HsmError> {
        let refuse =
            || HsmError::Setup("the recovery key must be an RSA public key in PEM".to_owned());
        let key = DecodingKey::from_rsa_pem(pem).map_err(|_| refuse())?;
        let jwk = Jwk::from_decoding_key(&key, Some(Algorithm::RS256)).map_err(|_| refuse())?;
        let AlgorithmParameters::RSA(rsa) = jwk.algorithm else { return Err(refuse()) };
        let decode = |text: &str| {
            use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
            URL_SAFE_NO_PAD.decode(text).map_err(|_| refuse())
        };
        let key = Self { modulus: decode(&rsa.n)?, exponent: decode(&rsa.e)? };
        if key.modulus.len() < 256 {
            return Err(HsmError::Setup("the recovery key must have 2048 bits or more".to_owned()));
        }
        Ok(key)
    }

    fn wrap(&self, session: &Session, root: ObjectHandle) -> Result<Vec<u8>, HsmError> {
        let public = session.create_object(&[
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::Encrypt(false),
            Attribute::Verify(false),
            Attribute::Wrap(true),
            Attribute::Modulus(self.modulus.clone()),
            Attribute::PublicExponent(self.exponent.clone()),
        ])?;
        let oaep = PkcsOaepParams::new(
            MechanismType::SHA1,
            PkcsMgfType::MGF1_SHA1,
            PkcsOaepSource::empty(),
        );
        let wrapped = session.wrap_key(&Mechanism::RsaPkcsOaep(oaep), public, root)?;
        session.destroy_object(public)?;
        Ok(wrapped)
    }
}
