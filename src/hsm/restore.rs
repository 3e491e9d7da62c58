//! The root of a lost token, put on another one out of a copy.

use cryptoki::object::{Attribute, ObjectHandle};

use super::{
    HsmError, Settings, WrappedKek, birth::Newborn, check_value, generation::visit,
    module::Session, note, receiving::Receiving, root::Root, signing::Signer,
    signing_birth::ensure_signing_key, template,
};
use crate::ids::RootVersion;

/// What is restored.
pub struct Restore<'a> {
    /// The root, wrapped to the token's receiving key.
    pub copy: &'a [u8],
    /// The version of the root that it is a copy of.
    pub version: RootVersion,
    /// Keys of domains that the root must open.
    pub keks: &'a [WrappedKek],
    /// Whether another copy is to be received by the same key.
    pub keep_receiving_key: bool,
}

/// What a restoration made.
pub struct Restored {
    /// The root's check value, where the module gives one.
    pub check_value: Option<String>,
    /// The id of the signing key, and whether it was made.
    pub signing_key: (String, bool),
}

/// Puts the root on a token by its receiving key, and the signing key beside it when there is none.
///
/// A copy that is not the root of `keks` never becomes an object of the token. The
/// receiving key is destroyed in the end, unless it is to be kept.
pub fn restore(settings: &Settings, restore: &Restore<'_>) -> Result<Restored, HsmError> {
    let version = restore.version;
    // A session object first: what is wrong is gone with the session, whatever happens.
    visit(settings, |session| {
        let trial = take(session, &ready(session, version)?, restore, &template::trial_root())?;
        session.destroy_object(trial)
    })?;
    let made = ensure_signing_key(settings)?;
    let newborn = visit(settings, |session| {
        let receiving = ready(session, version)?;
        // Nothing that is known of copies is known here.
        note::forget(session, version)?;
        let object = take(session, &receiving, restore, &template::root(version))?;
        Newborn::of(session, Root { version, object })
    })?;
    // Before the copy is worth nothing: at worst two that are brought at the same time are both taken back.
    let check_value = newborn.stay(settings, &[])?.check_value;
    visit(settings, |session| {
        if let Some(receiving) = Receiving::find(session)?.filter(|_| !restore.keep_receiving_key) {
            receiving.destroy(session)?;
        }
        let signing_key = (Signer::find(session)?.public().id(), made);
        Ok(Restored { check_value, signing_key })
    })
}

/// The receiving key of a token that has no root of `version` yet.
fn ready(session: &Session, version: RootVersion) -> Result<Receiving, HsmError> {
    if !session.find_objects(&template::find_root_of(version))?.is_empty() {
        return Err(HsmError::Setup(format!("the token has a root key {} already", version.0)));
    }
    Receiving::find(session)?.ok_or_else(|| {
        let missing = "the token has no receiving key; `usersecret hsm receive` makes it, \
                       and a copy is wrapped to it";
        HsmError::Setup(missing.to_owned())
    })
}

/// Unwraps the copy with the attributes of `template`; what is not the root of the keys is destroyed again.
fn take(
    session: &Session,
    receiving: &Receiving,
    restore: &Restore<'_>,
    template: &[Attribute],
) -> Result<ObjectHandle, HsmError> {
    let (length, key) = (restore.copy.len(), receiving.key());
    if length != key.copy_len() {
        return Err(HsmError::Setup(format!(
            "the copy has {length} bytes; one for this token's receiving key has {}",
            key.copy_len()
        )));
    }
    let root = receiving.unwrap(session, restore.copy, template).map_err(|error| {
        // Codes say little: if the key does its work, it is the copy.
        if receiving.prove(session).is_err() {
            return error;
        }
        HsmError::Setup(format!(
            "the copy does not open by this token's receiving key, {}: it was changed, or is for another key",
            key.fingerprint()
        ))
    })?;
    let proof = prove(session, root, restore.keks);
    if proof.is_err() {
        session.destroy_object(root)?;
    }
    proof.map(|()| root)
}

/// Proves that `root` is the root of `keks`.
fn prove(session: &Session, root: ObjectHandle, keks: &[WrappedKek]) -> Result<(), HsmError> {
    // Modules find out late that something is no AES key.
    check_value::are_one(session, root, root)
        .map_err(|_| HsmError::Setup("the copy holds something else than a root key".to_owned()))?;
    match (opened(session, root, keks), keks.len()) {
        (opened, of) if opened == of => Ok(()),
        (0, of) => Err(HsmError::Setup(format!(
            "the copy is of another root: it opens none of {of} keys of domains from the database"
        ))),
        (opened, of) => Err(HsmError::Setup(format!(
            "the copy opens {opened} of {of} keys of domains from the database; the others were changed, or are of another root"
        ))),
    }
}

/// How many of `keks` open under `root`.
fn opened(session: &Session, root: ObjectHandle, keks: &[WrappedKek]) -> usize {
    keks.iter().filter(|kek| kek.opens_under(session, root)).count()
}
