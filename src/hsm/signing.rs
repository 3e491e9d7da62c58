//! The key pair that signs: found on the token, used there.

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, AttributeType, ObjectHandle},
};

use super::{
    HsmError, Pin, Settings, SigningKey,
    module::{Module, Session},
    signature, template,
};

/// The private key's handle, and the public key.
pub(super) struct Signer {
    private: ObjectHandle,
    public: SigningKey,
}

impl Signer {
    /// The signing key: there must be one, and its private half must be unable to leave.
    pub(super) fn find(session: &Session) -> Result<Self, HsmError> {
        Self::seek(session)?.ok_or_else(missing)
    }

    /// The same, if there is one.
    pub(super) fn seek(session: &Session) -> Result<Option<Self>, HsmError> {
        let private = session.find_objects(&template::find_signing_private())?;
        let public = session.find_objects(&template::find_signing_public())?;
        match (&private[..], &public[..]) {
            ([], []) => Ok(None),
            ([private], [public]) => Self::of(session, *private, *public).map(Some),
            (private, public) => Err(not_a_pair(private.len(), public.len())),
        }
    }

    /// These two halves: the private one must be unable to leave.
    pub(super) fn of(
        session: &Session,
        private: ObjectHandle,
        public: ObjectHandle,
    ) -> Result<Self, HsmError> {
        let public = read(session, public)?;
        let asked = [AttributeType::Sensitive, AttributeType::Extractable];
        let answered = session.get_attributes(private, &asked)?;
        let safe = answered.contains(&Attribute::Sensitive(true))
            && answered.contains(&Attribute::Extractable(false));
        if safe {
            Ok(Self { private, public })
        } else {
            Err(HsmError::Setup("the signing key is extractable or not sensitive".to_owned()))
        }
    }

    /// The same key as a session object; the token object where no copy is allowed.
    pub(super) fn at_hand(self, session: &Session) -> Self {
        let copy = session.copy_object(self.private, &template::session_copy());
        Self { private: copy.unwrap_or(self.private), public: self.public }
    }

    pub(super) const fn public(&self) -> &SigningKey {
        &self.public
    }

    /// A signature over `digest`, in DER. One that does not verify never gets out.
    pub(super) fn sign(&self, session: &Session, digest: &[u8; 32]) -> Result<Vec<u8>, HsmError> {
        let raw = session.sign(&Mechanism::Ecdsa, self.private, digest)?;
        let raw = <[u8; signature::RAW]>::try_from(raw)
            .map_err(|_| HsmError::misbehaved("C_Sign gave a wrong length"))?;
        let signature = signature::der(&raw);
        if self.public.verify_digest(digest, &signature) {
            Ok(signature)
        } else {
            Err(HsmError::misbehaved("a signature does not verify"))
        }
    }

    /// Whether `private` is the other half of `public`.
    pub(super) fn is_half(session: &Session, private: ObjectHandle, public: &SigningKey) -> bool {
        Self { private, public: public.clone() }.prove(session).is_ok()
    }

    /// Proves that the two halves are a pair, and that a flipped bit is seen.
    pub(super) fn prove(&self, session: &Session) -> Result<(), HsmError> {
        const MESSAGE: &[u8] = b"self-test";
        let digest = <[u8; 32]>::try_from(digest(&SHA256, MESSAGE).as_ref())
            .map_err(|_| HsmError::Setup("SHA-256 gave a wrong length".to_owned()))?;
        let mut signature = self.sign(session, &digest)?;
        if !self.public.verify(MESSAGE, &signature) {
            return Err(HsmError::misbehaved("a signature does not verify"));
        }
        if let Some(last) = signature.last_mut() {
            *last ^= 1;
        }
        if self.public.verify(MESSAGE, &signature) {
            return Err(HsmError::misbehaved("a signature with a flipped bit verifies"));
        }
        Ok(())
    }
}

/// The public half of the token's signing key. Many tokens show it without a PIN.
///
/// This blocks, and finalizes the module, as [`super::ensure_signing_key`] does.
pub fn read_signing_key(settings: &Settings, pin: Option<&Pin>) -> Result<SigningKey, HsmError> {
    let module = Module::load(settings)?;
    let key = {
        let session = module.open_ro_session(module.find_token(&settings.token_label)?)?;
        pin.map_or(Ok(()), |pin| session.log_in(pin))?;
        match session.find_objects(&template::find_signing_public())?[..] {
            [] => Err(missing()),
            [public] => read(&session, public),
            ref many => Err(HsmError::Setup(format!(
                "the token has {} public keys labelled {:?}",
                many.len(),
                template::SIGNING_LABEL
            ))),
        }
    };
    module.finalize()?;
    key
}

/// The public half that `public` is.
pub(super) fn read(session: &Session, public: ObjectHandle) -> Result<SigningKey, HsmError> {
    match &session.get_attributes(public, &[AttributeType::EcPoint])?[..] {
        [Attribute::EcPoint(point)] => SigningKey::from_ec_point(point),
        _ => None,
    }
    .ok_or_else(|| HsmError::Setup("the signing key is not one of P-256".to_owned()))
}

fn missing() -> HsmError {
    HsmError::Setup("the token has no signing key; `usersecret hsm init` makes it".to_owned())
}

fn not_a_pair(private: usize, public: usize) -> HsmError {
    let label = template::SIGNING_LABEL;
    HsmError::Setup(format!(
        "the token has {private} private and {public} public keys labelled {label:?}; \
         there must be one of each"
    ))
}
