//! What the token remembers of the copies that were made of its roots: a data object beside each root.
//!
//! It says that a copy was made, and to which key; whether somebody still has it no token can know.

use cryptoki::object::{Attribute, AttributeType, ObjectHandle};

use super::{HsmError, RecoveryKey, module::Session, template};
use crate::ids::RootVersion;

/// Notes the keys that root `version` was wrapped to, in the place of what was noted before.
pub(super) fn write<'a>(
    session: &Session,
    version: RootVersion,
    keys: impl Iterator<Item = &'a RecoveryKey>,
) -> Result<(), HsmError> {
    forget(session, version)?;
    let lines: Vec<String> = keys.map(RecoveryKey::fingerprint).collect();
    if !lines.is_empty() {
        session.create_object(&template::recovery_note(version, lines.join("\n")))?;
    }
    Ok(())
}

/// Forgets what is noted of root `version`.
pub(super) fn forget(session: &Session, version: RootVersion) -> Result<(), HsmError> {
    for note in find(session, version)? {
        session.destroy_object(note)?;
    }
    Ok(())
}

/// The fingerprints of the keys that root `version` was wrapped to.
pub(super) fn read(session: &Session, version: RootVersion) -> Result<Vec<String>, HsmError> {
    let mut keys = Vec::new();
    for note in find(session, version)? {
        if let [Attribute::Value(text)] =
            &session.get_attributes(note, &[AttributeType::Value])?[..]
        {
            keys.extend(String::from_utf8_lossy(text).lines().map(str::to_owned));
        }
    }
    Ok(keys)
}

fn find(session: &Session, version: RootVersion) -> Result<Vec<ObjectHandle>, HsmError> {
    session.find_objects(&template::find_recovery_note(version))
}
