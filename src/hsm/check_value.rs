//! What tells one root from another without telling the root, the same on every token that has it.

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::{mechanism::Mechanism, object::ObjectHandle};

use super::{HsmError, kek::wrap_key, module::Session, template};
use crate::ids::hex;

/// The check value of `root`: the first 8 bytes of SHA-256 over what it makes (RFC 3394) of a key of zeros, in hex.
///
/// A digest, because the wrapped key itself must not get out: in a database it would pass for a domain's key, and
/// everybody knows what is in it. `None` where the module takes no key in clear; `CKA_CHECK_VALUE` SoftHSM does not have.
pub(super) fn of(session: &Session, root: ObjectHandle) -> Option<String> {
    let known = session.create_object(&template::known_key([0; 32])).ok()?;
    let wrapped = wrap_key(session, root, known);
    session.destroy_object(known).ok()?;
    let digest: [u8; 32] = digest(&SHA256, &wrapped.ok()?).as_ref().try_into().ok()?;
    digest.first_chunk().map(|start: &[u8; 8]| hex(*start))
}

/// Whether two wrapping keys are one: what one wraps, both wrap alike.
pub(super) fn are_one(
    session: &Session,
    one: ObjectHandle,
    other: ObjectHandle,
) -> Result<bool, HsmError> {
    let load = session.generate_key(&Mechanism::AesKeyGen, &template::newborn_root())?;
    let same = wrap_key(session, one, load)? == wrap_key(session, other, load)?;
    session.destroy_object(load)?;
    Ok(same)
}
