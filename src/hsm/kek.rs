//! A domain's key-encryption key: wrapped outside the HSM, a leased handle inside.

use crossbeam_channel::Sender;
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, ObjectHandle},
};

use super::{HsmError, SealedBlock, module::Session, random::Random, root::Root, template};
use crate::ids::RootVersion;

/// A KEK as it is stored, and what it is bound to.
///
/// It is the whole key of the handle cache: a changed blob never meets the handle of the old one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WrappedKek {
    /// What the binding tag authenticates: the KEK's domain and version.
    aad: Vec<u8>,
    /// The root that wraps it.
    root: RootVersion,
    /// The KEK under that root, `CKM_AES_KEY_WRAP` (RFC 3394): 40 bytes.
    blob: [u8; Self::BLOB],
    /// A constant under the KEK, with `aad`.
    binding: SealedBlock,
}

impl WrappedKek {
    /// Bytes of the wrapped key.
    pub const BLOB: usize = 40;

    /// What every binding tag encrypts.
    const CONSTANT: &[u8; 32] = b"usersecret KEK binding tag, v. 1";

    /// Takes the stored parts; `None` when a length is wrong.
    pub fn parse(aad: Vec<u8>, root: RootVersion, blob: &[u8], binding: &[u8]) -> Option<Self> {
        let (blob, binding) = (blob.try_into().ok()?, SealedBlock::parse(binding)?);
        Some(Self { aad, root, blob, binding })
    }

    /// What it is bound to.
    pub(super) fn aad(&self) -> &[u8] {
        &self.aad
    }

    /// The root that wraps it.
    pub const fn root(&self) -> RootVersion {
        self.root
    }

    /// The wrapped key, to be stored.
    pub const fn blob(&self) -> &[u8; Self::BLOB] {
        &self.blob
    }

    /// The binding tag, to be stored beside it.
    pub const fn binding(&self) -> &SealedBlock {
        &self.binding
    }

    /// Makes a KEK, wraps it under `root`, binds it to `aad`, and destroys it.
    pub(super) fn generate(
        session: &Session,
        root: Root,
        random: &mut Random,
        aad: Vec<u8>,
    ) -> Result<Self, HsmError> {
        let mut objects = Vec::with_capacity(3);
        let generated = Self::make(session, root, random, aad, &mut objects);
        objects.into_iter().try_for_each(|object| session.destroy_object(object))?;
        generated
    }

    /// A module may take another key for it, in this call or in all. So the key that was unwrapped again makes the binding, the newborn
    /// one must open it, and a third, made beside them, must not: were they all one key to the module, it would.
    fn make(
        session: &Session,
        root: Root,
        random: &mut Random,
        aad: Vec<u8>,
        objects: &mut Vec<ObjectHandle>,
    ) -> Result<Self, HsmError> {
        let mut kept = |key: Result<ObjectHandle, HsmError>| key.inspect(|key| objects.push(*key));
        let generate =
            |template: &[Attribute]| session.generate_key(&Mechanism::AesKeyGen, template);
        let other = kept(generate(&template::bystander()))?;
        let newborn = kept(generate(&template::newborn_kek()))?;
        let blob = wrap_key(session, root.object, newborn)?;
        let unwrapped =
            session.unwrap_key(&Mechanism::AesKeyWrap, root.object, &blob, &template::kek());
        let unwrapped = kept(unwrapped)?;
        let iv = random.take(session)?;
        let binding = SealedBlock::seal(session, unwrapped, iv, &aad, Self::CONSTANT)?;
        let kek = Self { aad, root: root.version, blob, binding };
        if kek.is_bound_to(session, newborn) && !kek.is_bound_to(session, other) {
            Ok(kek)
        } else {
            Err(HsmError::misbehaved("a KEK that was just made is another key"))
        }
    }

    /// The same KEK under the root `to`. It is extractable for that moment, as it was at its birth.
    pub(super) fn rewrap(
        &self,
        session: &Session,
        from: ObjectHandle,
        to: Root,
    ) -> Result<Self, HsmError> {
        let passing = template::passing_kek();
        let key = session.unwrap_key(&Mechanism::AesKeyWrap, from, &self.blob, &passing)?;
        let blob = if self.is_bound_to(session, key) {
            wrap_key(session, to.object, key)
        } else {
            Err(HsmError::tampered("the domain's KEK"))
        };
        session.destroy_object(key)?;
        Ok(Self { root: to.version, blob: blob?, ..self.clone() })
    }

    /// Unwraps the KEK as a key that cannot leave the HSM.
    pub(super) fn unwrap(
        &self,
        session: &Session,
        root: ObjectHandle,
    ) -> Result<ObjectHandle, HsmError> {
        session.unwrap_key(&Mechanism::AesKeyWrap, root, &self.blob, &template::kek())
    }

    /// Whether it is a KEK that `root` wrapped.
    pub(super) fn opens_under(&self, session: &Session, root: ObjectHandle) -> bool {
        self.unwrap(session, root).is_ok_and(|object| {
            let bound = self.is_bound_to(session, object);
            session.destroy_object(object).is_ok() && bound
        })
    }

    /// Whether `key` is this KEK and this KEK belongs here.
    pub(super) fn is_bound_to(&self, session: &Session, key: ObjectHandle) -> bool {
        self.binding
            .open(session, key, &self.aad)
            .is_ok_and(|constant| *constant == *Self::CONSTANT)
    }
}

/// Wraps `key` under `root`. Cut to RFC 3394's length: cryptoki leaves what the size query asked for.
pub(super) fn wrap_key(
    session: &Session,
    root: ObjectHandle,
    key: ObjectHandle,
) -> Result<[u8; WrappedKek::BLOB], HsmError> {
    session
        .wrap_key(&Mechanism::AesKeyWrap, root, key)?
        .first_chunk()
        .copied()
        .ok_or(HsmError::misbehaved("C_WrapKey gave a wrong length"))
}

/// A lease on a KEK's session object. The object is destroyed after the last lease has ended.
pub(super) struct KekHandle {
    object: ObjectHandle,
    graveyard: Sender<ObjectHandle>,
}

impl KekHandle {
    pub(super) const fn new(object: ObjectHandle, graveyard: Sender<ObjectHandle>) -> Self {
        Self { object, graveyard }
    }

    pub(super) const fn object(&self) -> ObjectHandle {
        self.object
    }
}

impl Drop for KekHandle {
    fn drop(&mut self) {
        let _ = self.graveyard.send(self.object);
    }
}
