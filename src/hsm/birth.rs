//! The birth of the keys. The root is extractable for a moment, then never again.
//!
//! A copy for recovery can be made in that moment only, so it is an option of
//! the birth and not of a later command.

use std::{fs::File, io::Write as _};

use cryptoki::{mechanism::Mechanism, object::ObjectHandle};

use super::{
    HsmError, RecoveryCopy, Settings, check_value, generation::visit, kek::wrap_key,
    module::Session, note, root::stored_roots, signing, template,
};
use crate::ids::RootVersion;

/// What `hsm init` made.
pub struct Birth {
    /// The root, if it was made; otherwise the token had one, and no signing key.
    pub root: Option<Root>,
    /// Whether the signing key was made.
    pub signing_key: bool,
}

/// A root that was made.
pub struct Root {
    /// Its check value, where the module gives one.
    pub check_value: Option<String>,
}

/// Makes the root key and the signing key, or the signing key alone on a token
/// that an older version gave a root only. A token that has both is refused.
///
/// The root's copies are in their files before it is on the token.
pub fn create_keys(settings: &Settings, copies: &[RecoveryCopy]) -> Result<Birth, HsmError> {
    visit(settings, |session| {
        let has_root = !session.find_objects(&template::find_roots())?.is_empty();
        if has_root && !copies.is_empty() {
            return Err(HsmError::Setup(
                "the token has a root key already; a recovery copy of it cannot be added"
                    .to_owned(),
            ));
        }
        // The root comes last: a failure after its birth would lose its copies.
        let signing_key = signing::ensure(session)?;
        match (has_root, signing_key) {
            (false, _) => {
                let root = make_root(session, RootVersion::FIRST, copies)?;
                let root = Some(Root { check_value: check_value::of(session, root) });
                Ok(Birth { root, signing_key })
            }
            (true, true) => Ok(Birth { root: None, signing_key }),
            (true, false) => Err(HsmError::Setup(
                "the token has a root key and a signing key already".to_owned(),
            )),
        }
    })
}

/// Makes the root of `version` beside older ones, and `copies` of it; nothing where the token has one of that version.
pub fn create_root(
    settings: &Settings,
    version: RootVersion,
    copies: &[RecoveryCopy],
) -> Result<Option<Root>, HsmError> {
    visit(settings, |session| {
        if stored_roots(session)?.contains_key(&version) {
            return Ok(None);
        }
        let root = make_root(session, version, copies)?;
        Ok(Some(Root { check_value: check_value::of(session, root) }))
    })
}

/// Destroys the root of `version`, with what is noted of its copies; whether there was one.
///
/// What it wrapped cannot be unwrapped any more, but by a copy of it.
pub fn destroy_root(settings: &Settings, version: RootVersion) -> Result<bool, HsmError> {
    visit(settings, |session| {
        let found = session.find_objects(&template::find_root_of(version))?;
        for root in &found {
            session.destroy_object(*root)?;
        }
        note::forget(session, version)?;
        Ok(!found.is_empty())
    })
}

/// The versions of the root key on the token, rising.
pub fn root_versions(settings: &Settings) -> Result<Vec<RootVersion>, HsmError> {
    visit(settings, |session| Ok(stored_roots(session)?.into_keys().collect()))
}

/// Makes the root of `version`, and `copies` of it. It is the last thing that is made: when anything fails, there is none.
fn make_root(
    session: &Session,
    version: RootVersion,
    copies: &[RecoveryCopy],
) -> Result<ObjectHandle, HsmError> {
    let newborn = session.generate_key(&Mechanism::AesKeyGen, &template::newborn_root())?;
    for copy in copies {
        let wrapped = copy.key.wrap(session, newborn)?;
        keep(&copy.out, &wrapped).map_err(|error| {
            HsmError::Setup(format!("a recovery copy cannot be written: {error}"))
        })?;
    }
    note::write(session, version, copies.iter().map(|copy| &copy.key))?;
    let root = settle(session, newborn, version);
    if root.is_err() {
        note::forget(session, version)?;
    }
    root
}

/// Puts `newborn` on the token as a key that stays, and destroys it.
fn settle(
    session: &Session,
    newborn: ObjectHandle,
    version: RootVersion,
) -> Result<ObjectHandle, HsmError> {
    // The stay-at-home twin is made by unwrapping: a key that was generated
    // extractable must not merely be relabelled.
    let carrier = session.generate_key(&Mechanism::AesKeyGen, &template::newborn_root())?;
    let blob = wrap_key(session, carrier, newborn)?;
    let root =
        session.unwrap_key(&Mechanism::AesKeyWrap, carrier, &blob, &template::root(version))?;

    // Both must be one key before the first is gone.
    let proof = check_value::are_one(session, newborn, root).and_then(|same| {
        session.destroy_object(carrier)?;
        session.destroy_object(newborn)?;
        if same {
            Ok(root)
        } else {
            Err(HsmError::misbehaved("the root key changed when it was wrapped"))
        }
    });
    if proof.is_err() {
        session.destroy_object(root)?;
    }
    proof
}

fn keep(mut file: &File, copy: &[u8]) -> std::io::Result<()> {
    file.write_all(copy)?;
    file.sync_all()
}
