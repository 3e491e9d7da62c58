//! The birth of the key pair that signs, of which a token has one.

use cryptoki::mechanism::Mechanism;

use super::{
    HsmError, Settings, SigningKey,
    generation::visit,
    module::Session,
    signing::{Signer, read},
    template,
};

/// How often a pair is made where others make one at the same time.
const TRIES: usize = 8;

/// Makes the signing key unless the token has it; says whether it did.
///
/// This blocks, and finalizes the module: it belongs before [`super::Hsm::start`].
pub fn ensure_signing_key(settings: &Settings) -> Result<bool, HsmError> {
    for _ in 0..TRIES {
        let Some(newborn) = visit(settings, make)? else { return Ok(false) };
        if visit(settings, |session| newborn.stays(session))? {
            return Ok(true);
        }
    }
    let text = "others make a signing key at the same time, again and again";
    Err(HsmError::Setup(text.to_owned()))
}

/// A pair that was just put on the token.
struct Newborn(SigningKey);

fn make(session: &Session) -> Result<Option<Newborn>, HsmError> {
    if Signer::seek(session)?.is_some() {
        return Ok(None);
    }
    let (public, private) = session.generate_key_pair(
        &Mechanism::EccKeyPairGen,
        &template::signing_public(),
        &template::signing_private(),
    )?;
    let proof = Signer::of(session, private, public).and_then(|signer| {
        signer.prove(session)?;
        Ok(Newborn(signer.public().clone()))
    });
    // A pair that was not seen to work must not stay.
    if proof.is_err() {
        session.destroy_object(private)?;
        session.destroy_object(public)?;
    }
    proof.map(Some)
}

impl Newborn {
    /// Looks whether it is the only pair. It is destroyed when it is not, as a root is that was made beside another: who does
    /// that comes to use the other one, or makes one anew where that was destroyed as well.
    fn stays(&self, session: &Session) -> Result<bool, HsmError> {
        let private = session.find_objects(&template::find_signing_private())?;
        let public = session.find_objects(&template::find_signing_public())?;
        if private.len() == 1 && public.len() == 1 {
            return Ok(true);
        }
        let mut destroyed = false;
        for half in private {
            if Signer::is_half(session, half, &self.0) {
                session.destroy_object(half)?;
                destroyed = true;
            }
        }
        // A half that does not sign now may be ours all the same, and would be left without the other.
        for half in public.into_iter().filter(|_| destroyed) {
            if read(session, half)? == self.0 {
                session.destroy_object(half)?;
            }
        }
        Ok(false)
    }
}
