//! Attribute templates. Every attribute is stated: modules differ in their defaults.
//!
//! `CKA_VALUE_LEN` is absent where a key is unwrapped: SoftHSM refuses it there.

use cryptoki::{
    mechanism::MechanismType,
    object::{Attribute, KeyType, ObjectClass},
};

/// The label of the root key.
pub(super) const ROOT_LABEL: &str = "usersecret-root";

/// Finds the root key.
pub(super) fn find_root() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Label(ROOT_LABEL.into()),
    ]
}

/// The root as it stays: a token object that wraps and unwraps, and never leaves.
pub(super) fn root() -> Vec<Attribute> {
    let mut attributes = wrapping_key(true, false);
    attributes.extend([
        Attribute::Label(ROOT_LABEL.into()),
        Attribute::Id(ROOT_VERSION.to_be_bytes().to_vec()),
    ]);
    attributes
}

/// The version of the root key that `hsm init` makes.
pub(super) const ROOT_VERSION: u32 = 1;

/// The root at birth, or a key that carries it: a session object that can be wrapped once.
pub(super) fn newborn_root() -> Vec<Attribute> {
    generated(wrapping_key(false, true))
}

/// The session copy of the root, which works many times faster than the token object.
pub(super) fn root_copy() -> Vec<Attribute> {
    vec![Attribute::Token(false), Attribute::Private(true)]
}

/// A KEK at birth: extractable for the moment in which it is wrapped.
pub(super) fn newborn_kek() -> Vec<Attribute> {
    generated(sealing_key(true))
}

/// A KEK at work: seals and opens DEKs, and cannot leave.
pub(super) fn kek() -> Vec<Attribute> {
    sealing_key(false)
}

fn generated(mut attributes: Vec<Attribute>) -> Vec<Attribute> {
    attributes.push(Attribute::ValueLen(32.into()));
    attributes
}

fn wrapping_key(token: bool, extractable: bool) -> Vec<Attribute> {
    let mut attributes = secret_key(token, extractable);
    attributes.extend([
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
    ]);
    if token {
        attributes.push(Attribute::AllowedMechanisms(vec![MechanismType::AES_KEY_WRAP]));
    }
    attributes
}

fn sealing_key(extractable: bool) -> Vec<Attribute> {
    let mut attributes = secret_key(false, extractable);
    attributes.extend([
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
    ]);
    attributes
}

fn secret_key(token: bool, extractable: bool) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(token),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(extractable),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
    ]
}
