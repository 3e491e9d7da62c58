//! The birth of the keys. The root is extractable for a moment, then never again.
//!
//! A copy for recovery can be made in that moment only, so it is an option of
//! the birth and not of a later command.

use std::{fs::File, io::Write as _};

use cryptoki::{mechanism::Mechanism, object::ObjectHandle};

use super::{
    HsmError, RecoveryCopy, Settings, WrappedKek, check_value,
    generation::visit,
    kek::wrap_key,
    module::Session,
    note,
    random::Random,
    root::{Root as RootKey, stored_roots},
    signing_birth::ensure_signing_key,
    template,
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
    let has_root = has_root(settings)?;
    if has_root && !copies.is_empty() {
        return Err(HsmError::Setup(
            "the token has a root key already; a recovery copy of it cannot be added".to_owned(),
        ));
    }
    // The root comes last: a failure after its birth would lose its copies.
    let signing_key = ensure_signing_key(settings)?;
    if !has_root {
        let root = create_root(settings, RootVersion::FIRST, copies)?;
        return match root {
            Some(_) => Ok(Birth { root, signing_key }),
            None => Err(HsmError::Setup(
                "somebody else has made a root key at the same time: none is made here".to_owned(),
            )),
        };
    }
    if signing_key {
        Ok(Birth { root: None, signing_key })
    } else {
        Err(HsmError::Setup("the token has a root key and a signing key already".to_owned()))
    }
}

/// Whether the token has a root key, of any version.
pub fn has_root(settings: &Settings) -> Result<bool, HsmError> {
    visit(settings, |session| Ok(!session.find_objects(&template::find_roots())?.is_empty()))
}

/// Makes the root of `version` beside older ones, and `copies` of it; nothing where the token has one of that version.
pub fn create_root(
    settings: &Settings,
    version: RootVersion,
    copies: &[RecoveryCopy],
) -> Result<Option<Root>, HsmError> {
    let newborn = visit(settings, |session| {
        if !session.find_objects(&template::find_root_of(version))?.is_empty() {
            return Ok(None);
        }
        make_root(session, version, copies).map(Some).or_else(|error| {
            // Where the device is lost at the end the root is there, and its copies are good.
            if session.find_objects(&template::find_root_of(version)).is_ok_and(|found| found.is_empty()) {
                void(copies)?;
                return Err(error);
            }
            Err(HsmError::Setup(format!(
                "{error}; root key {} may be on the token all the same: keep its copies until `usersecret hsm doctor` says",
                version.0
            )))
        })
    })?;
    newborn.map(|newborn| newborn.stay(settings, copies)).transpose()
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

/// A root that was just put on the token, made here or brought.
pub(super) struct Newborn {
    check_value: Option<String>,
    /// A key of nobody's that it wrapped: what it is known by.
    proof: WrappedKek,
}

impl Newborn {
    /// `root`, which is destroyed where it does not work.
    pub(super) fn of(session: &Session, root: RootKey) -> Result<Self, HsmError> {
        let proof = WrappedKek::generate(session, root, &mut Random::new(), Vec::new());
        if proof.is_err() {
            session.destroy_object(root.object)?;
        }
        Ok(Self { check_value: check_value::of(session, root.object), proof: proof? })
    }

    /// Looks whether it is the only root of its version, and notes its copies. It is destroyed when it is not: somebody else
    /// has put one there at the same time, and nothing is wrapped under this one yet.
    ///
    /// Of two whoever looks later sees both, and at worst both do: none takes away another's. It takes another visit, because
    /// SoftHSM does not see what another process wrote while it was about to write itself.
    pub(super) fn stay(
        self,
        settings: &Settings,
        copies: &[RecoveryCopy],
    ) -> Result<Root, HsmError> {
        let version = self.proof.root();
        visit(settings, |session| {
            let found = session.find_objects(&template::find_root_of(version))?;
            if found.len() != 1 {
                self.withdraw(session, &found, copies)?;
                return Err(HsmError::Setup(format!(
                    "somebody else has put a root key {} on the token at the same time: this one is destroyed",
                    version.0
                )));
            }
            match note::write(session, version, copies.iter().map(|copy| &copy.key)) {
                Ok(()) => Ok(Root { check_value: self.check_value.clone() }),
                Err(error) if version == RootVersion::FIRST => {
                    self.withdraw(session, &found, copies)?;
                    Err(error)
                }
                // Somebody may rotate to one beside older ones as soon as it is there.
                Err(error) => Err(HsmError::Setup(format!(
                    "root key {} is made, and its copies are good, but the token cannot note them: {error}",
                    version.0
                ))),
            }
        })
    }

    /// Destroys it among `found`: one of them, for two that were brought are one key.
    fn withdraw(
        &self,
        session: &Session,
        found: &[ObjectHandle],
        copies: &[RecoveryCopy],
    ) -> Result<(), HsmError> {
        if let Some(root) = found.iter().find(|root| self.proof.opens_under(session, **root)) {
            session.destroy_object(*root)?;
        }
        void(copies)
    }
}

/// Empties files: a copy of a key that is nowhere must not pass for one. Whoever made them removes empty ones.
fn void(copies: &[RecoveryCopy]) -> Result<(), HsmError> {
    let emptied = copies.iter().try_for_each(|copy| copy.out.set_len(0));
    emptied.map_err(|error| HsmError::Setup(format!("a recovery copy cannot be emptied: {error}")))
}

/// Makes the root of `version`, and `copies` of it. It is the last thing that is made: when anything fails here, there is none,
/// unless the device is lost at the very end.
fn make_root(
    session: &Session,
    version: RootVersion,
    copies: &[RecoveryCopy],
) -> Result<Newborn, HsmError> {
    let newborn = session.generate_key(&Mechanism::AesKeyGen, &template::newborn_root())?;
    for copy in copies {
        let wrapped = copy.key.wrap(session, newborn)?;
        keep(&copy.out, &wrapped).map_err(|error| {
            HsmError::Setup(format!("a recovery copy cannot be written: {error}"))
        })?;
    }
    let object = settle(session, newborn, version)?;
    Newborn::of(session, RootKey { version, object })
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
