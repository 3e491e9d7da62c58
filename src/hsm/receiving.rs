//! The key pair by which a token takes in the root of another one.
//!
//! While it is there, whoever has the PIN and a copy can have the token unwrap the copy as a key that may leave. So it
//! is destroyed as soon as the root is in.

use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, ObjectHandle},
};

use super::{
    HsmError, RecoveryKey, Settings, check_value::are_one, generation::visit, module::Session,
    recovery::oaep, template,
};

/// Both halves of the receiving key.
pub(super) struct Receiving {
    private: ObjectHandle,
    public: ObjectHandle,
    key: RecoveryKey,
}

impl Receiving {
    /// The token's receiving key, if it has one.
    pub(super) fn find(session: &Session) -> Result<Option<Self>, HsmError> {
        let private = session.find_objects(&template::find_receiving_private())?;
        let public = session.find_objects(&template::find_receiving_public())?;
        match (&private[..], &public[..]) {
            ([], []) => Ok(None),
            (&[private], &[public]) => {
                Ok(Some(Self { private, public, key: RecoveryKey::read(session, public)? }))
            }
            (private, public) => Err(HsmError::Setup(format!(
                "the token has {} private and {} public keys labelled {:?}; there must be one of each",
                private.len(),
                public.len(),
                template::RECEIVING_LABEL
            ))),
        }
    }

    /// The public half.
    pub(super) const fn key(&self) -> &RecoveryKey {
        &self.key
    }

    /// Unwraps `copy` as a key with the attributes of `template`.
    pub(super) fn unwrap(
        &self,
        session: &Session,
        copy: &[u8],
        template: &[Attribute],
    ) -> Result<ObjectHandle, HsmError> {
        session.unwrap_key(&oaep(), self.private, copy, template)
    }

    /// Destroys both halves. No copy that was made for it opens any more.
    pub(super) fn destroy(self, session: &Session) -> Result<(), HsmError> {
        session.destroy_object(self.private)?;
        session.destroy_object(self.public)
    }

    fn make(session: &Session) -> Result<Self, HsmError> {
        let (public, private) = session.generate_key_pair(
            &Mechanism::RsaPkcsKeyPairGen,
            &template::receiving_public(),
            &template::receiving_private(),
        )?;
        let made = RecoveryKey::read(session, public)
            .map(|key| Self { private, public, key })
            .and_then(|made| made.prove(session).map(|()| made));
        // A pair that was not seen to work must not stay: its copies would be lost.
        if made.is_err() {
            session.destroy_object(private)?;
            session.destroy_object(public)?;
        }
        made
    }

    /// Proves that what is wrapped to the public half comes back by the private one.
    pub(super) fn prove(&self, session: &Session) -> Result<(), HsmError> {
        let sent = session.generate_key(&Mechanism::AesKeyGen, &template::newborn_root())?;
        let copy = self.key.wrap(session, sent)?;
        let came = self.unwrap(session, &copy, &template::trial_root())?;
        let same = are_one(session, sent, came)?;
        session.destroy_object(sent)?;
        session.destroy_object(came)?;
        if same {
            Ok(())
        } else {
            Err(HsmError::misbehaved("a key changed when it was wrapped to an RSA key"))
        }
    }
}

/// The key by which the token takes in a root, made unless it is there already; and whether it was made.
///
/// This blocks, and finalizes the module: it belongs before [`super::Hsm::start`].
pub fn receiving_key(settings: &Settings) -> Result<(RecoveryKey, bool), HsmError> {
    visit(settings, |session| {
        Ok(match Receiving::find(session)? {
            Some(found) => (found.key, false),
            None => (Receiving::make(session)?.key, true),
        })
    })
}

/// Destroys the receiving key; whether there was one.
pub fn destroy_receiving_key(settings: &Settings) -> Result<bool, HsmError> {
    visit(settings, |session| {
        let found = Receiving::find(session)?;
        found.map_or(Ok(false), |found| found.destroy(session).map(|()| true))
    })
}
