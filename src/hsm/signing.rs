//! The key pair that signs: made on the token, found there, used there.

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, AttributeType, ObjectHandle},
};

use super::{
    HsmError, Pin, Settings, SigningKey,
    generation::visit,
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

    fn seek(session: &Session) -> Result<Option<Self>, HsmError> {
        let private = session.find_objects(&template::find_signing_private())?;
        let public = session.find_objects(&template::find_signing_public())?;
        let (private, public) = match (&private[..], &public[..]) {
            ([], []) => return Ok(None),
            ([private], [public]) => (*private, read(session, *public)?),
            (private, public) => return Err(not_a_pair(private.len(), public.len())),
        };
        let asked = [AttributeType::Sensitive, AttributeType::Extractable];
        let answered = session.get_attributes(private, &asked)?;
        let safe = answered.contains(&Attribute::Sensitive(true))
            && answered.contains(&Attribute::Extractable(false));
        if safe {
            Ok(Some(Self { private, public }))
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

/// Makes the signing key unless the token has it; says whether it did.
///
/// This blocks, and finalizes the module: it belongs before [`super::Hsm::start`].
pub fn ensure_signing_key(settings: &Settings) -> Result<bool, HsmError> {
    visit(settings, ensure)
}

/// As [`ensure_signing_key`], in a session that may write.
pub(super) fn ensure(session: &Session) -> Result<bool, HsmError> {
    if Signer::seek(session)?.is_some() {
        return Ok(false);
    }
    let (public, private) = session.generate_key_pair(
        &Mechanism::EccKeyPairGen,
        &template::signing_public(),
        &template::signing_private(),
    )?;
    // A pair that was not seen to work must not stay.
    let proof = Signer::find(session).and_then(|signer| signer.prove(session));
    if proof.is_err() {
        session.destroy_object(private)?;
        session.destroy_object(public)?;
    }
    proof.map(|()| true)
}

/// The public half of the token's signing key. Many tokens show it without a PIN.
///
/// This blocks, and finalizes the module, as [`ensure_signing_key`] does.
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

fn read(session: &Session, public: ObjectHandle) -> Result<SigningKey, HsmError> {
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
