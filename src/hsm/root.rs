//! The root keys of a token, each with its version as its `CKA_ID`: 32 bits, big-endian.

use std::{collections::BTreeMap, sync::Mutex};

use cryptoki::object::{Attribute, AttributeType, ObjectHandle};

use super::{HsmError, module::Session, template};
use crate::ids::RootVersion;

/// A root key that can be worked with.
#[derive(Clone, Copy)]
pub(super) struct Root {
    pub(super) version: RootVersion,
    pub(super) object: ObjectHandle,
}

/// The token objects, by their versions.
pub(super) type StoredRoots = BTreeMap<RootVersion, ObjectHandle>;

/// The root keys that are at hand. One that was made later is found when it is asked for.
pub(super) struct Roots {
    newest: Root,
    at_hand: Mutex<BTreeMap<RootVersion, ObjectHandle>>,
}

impl Roots {
    /// Finds the token's root keys; there must be one.
    pub(super) fn find(session: &Session) -> Result<Self, HsmError> {
        let stored = stored_roots(session)?;
        let (&version, &object) = stored.last_key_value().ok_or_else(none)?;
        let newest = Root { version, object: at_hand(session, object) };
        Ok(Self { newest, at_hand: Mutex::new(BTreeMap::from([(version, newest.object)])) })
    }

    /// The newest when they were found.
    pub(super) const fn newest(&self) -> Root {
        self.newest
    }

    /// The root of `version`, looked for by `session` when it is not at hand.
    pub(super) fn get(
        &self,
        version: RootVersion,
        session: impl FnOnce() -> Result<Root, HsmError>,
    ) -> Result<Root, HsmError> {
        let mut at_hand = self.at_hand.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(&object) = at_hand.get(&version) {
            return Ok(Root { version, object });
        }
        let found = session()?;
        at_hand.insert(version, found.object);
        Ok(found)
    }
}

/// The root of `version`, as it can be worked with fastest.
pub(super) fn find_root(session: &Session, version: RootVersion) -> Result<Root, HsmError> {
    let missing = || HsmError::NoRoot(version.0);
    let object = *stored_roots(session)?.get(&version).ok_or_else(missing)?;
    Ok(Root { version, object: at_hand(session, object) })
}

/// A session copy: many times faster, where the token allows it.
fn at_hand(session: &Session, stored: ObjectHandle) -> ObjectHandle {
    session.copy_object(stored, &template::session_copy()).unwrap_or(stored)
}

fn none() -> HsmError {
    HsmError::Setup("the token has no root key; `usersecret hsm init` makes one".to_owned())
}

/// The root keys on the token: there must be one, and each must be unable to leave.
pub(super) fn stored_roots(session: &Session) -> Result<StoredRoots, HsmError> {
    let mut roots = BTreeMap::new();
    for object in session.find_objects(&template::find_roots())? {
        let asked = [AttributeType::Id, AttributeType::Sensitive, AttributeType::Extractable];
        let answered = session.get_attributes(object, &asked)?;
        let version = answered.iter().find_map(|attribute| match attribute {
            Attribute::Id(id) => id.as_slice().try_into().ok().map(i32::from_be_bytes),
            _ => None,
        });
        let label = template::ROOT_LABEL;
        let version = version.filter(|version| *version > 0).map(RootVersion).ok_or_else(|| {
            HsmError::Setup(format!("a key labelled {label:?} has no version as its CKA_ID"))
        })?;
        if !answered.contains(&Attribute::Sensitive(true))
            || !answered.contains(&Attribute::Extractable(false))
        {
            let text = "the root key is extractable or not sensitive";
            return Err(HsmError::Setup(text.to_owned()));
        }
        if roots.insert(version, object).is_some() {
            let text =
                format!("the token has two keys labelled {label:?} of version {}", version.0);
            return Err(HsmError::Setup(text));
        }
    }
    if roots.is_empty() { Err(none()) } else { Ok(roots) }
}
