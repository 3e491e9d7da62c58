//! Attribute templates. Every attribute is stated: modules differ in their defaults.
//!
//! `CKA_VALUE_LEN` is absent where a key is unwrapped: some refuse it there, and others want it.

use cryptoki::{
    mechanism::MechanismType,
    object::{Attribute, KeyType, ObjectClass},
};

use crate::ids::RootVersion;

/// The label of the root key.
pub(super) const ROOT_LABEL: &str = "usersecret-root";

/// The label of both halves of the signing key.
pub(super) const SIGNING_LABEL: &str = "usersecret-signing";

/// The label of both halves of the key by which a root comes in.
pub(super) const RECEIVING_LABEL: &str = "usersecret-receiving";

/// The label of what is noted of a root's copies, before the root's version.
const RECOVERY_LABEL: &str = "usersecret-recovery";

/// Finds the root keys, of every version.
pub(super) fn find_roots() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Label(ROOT_LABEL.into()),
    ]
}

/// Finds the root key of `version`.
pub(super) fn find_root_of(version: RootVersion) -> Vec<Attribute> {
    let mut attributes = find_roots();
    attributes.push(Attribute::Id(version.0.to_be_bytes().to_vec()));
    attributes
}

/// The root of `version` as it stays: a token object that wraps and unwraps, and never leaves.
pub(super) fn root(version: RootVersion) -> Vec<Attribute> {
    let mut attributes = wrapping_key(true, false);
    attributes.extend([
        Attribute::Label(ROOT_LABEL.into()),
        Attribute::Id(version.0.to_be_bytes().to_vec()),
    ]);
    attributes
}

/// What may be the root, until that is proven: a session object.
pub(super) fn trial_root() -> Vec<Attribute> {
    wrapping_key(false, false)
}

/// The root at birth, or a key that carries it: a session object that can be wrapped once.
pub(super) fn newborn_root() -> Vec<Attribute> {
    generated(wrapping_key(false, true))
}

/// The session copy of a token object; the root works many times faster by it.
pub(super) fn session_copy() -> Vec<Attribute> {
    vec![Attribute::Token(false), Attribute::Private(true)]
}

/// A KEK at birth: extractable for the moment in which it is wrapped.
pub(super) fn newborn_kek() -> Vec<Attribute> {
    generated(sealing_key(true))
}

/// A key beside a KEK that is made, which tells whether the module takes one for the other.
pub(super) fn bystander() -> Vec<Attribute> {
    generated(sealing_key(false))
}

/// A KEK on its way from one root to another: unwrapped, and extractable for the moment in which it is wrapped.
pub(super) fn passing_kek() -> Vec<Attribute> {
    sealing_key(true)
}

/// A KEK at work: seals and opens DEKs, and cannot leave.
pub(super) fn kek() -> Vec<Attribute> {
    sealing_key(false)
}

/// Finds the private half of the signing key.
pub(super) fn find_signing_private() -> Vec<Attribute> {
    find_signing(ObjectClass::PRIVATE_KEY)
}

/// Finds the public half of the signing key.
pub(super) fn find_signing_public() -> Vec<Attribute> {
    find_signing(ObjectClass::PUBLIC_KEY)
}

/// The private half of the signing key: it signs, and never leaves.
pub(super) fn signing_private() -> Vec<Attribute> {
    let mut attributes = signing_half(ObjectClass::PRIVATE_KEY);
    attributes.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::SignRecover(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::AllowedMechanisms(vec![MechanismType::ECDSA]),
    ]);
    attributes
}

/// The public half of the signing key: whoever reaches the token may read it.
pub(super) fn signing_public() -> Vec<Attribute> {
    let mut attributes = signing_half(ObjectClass::PUBLIC_KEY);
    attributes.extend([
        Attribute::EcParams(P256.to_vec()),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::VerifyRecover(false),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
    ]);
    attributes
}

/// Finds the private half of the receiving key.
pub(super) fn find_receiving_private() -> Vec<Attribute> {
    find_receiving(ObjectClass::PRIVATE_KEY)
}

/// Finds the public half of the receiving key.
pub(super) fn find_receiving_public() -> Vec<Attribute> {
    find_receiving(ObjectClass::PUBLIC_KEY)
}

/// The private half of the receiving key: it unwraps, and never leaves.
pub(super) fn receiving_private() -> Vec<Attribute> {
    let mut attributes = find_receiving_private();
    attributes.extend([
        Attribute::KeyType(KeyType::RSA),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Unwrap(true),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::SignRecover(false),
        Attribute::Derive(false),
        Attribute::AllowedMechanisms(vec![MechanismType::RSA_PKCS_OAEP]),
    ]);
    attributes
}

/// The public half of the receiving key.
pub(super) fn receiving_public() -> Vec<Attribute> {
    let mut attributes = find_receiving_public();
    attributes.extend([
        Attribute::KeyType(KeyType::RSA),
        Attribute::ModulusBits(3072.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Private(false),
        Attribute::Wrap(true),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::VerifyRecover(false),
        Attribute::Derive(false),
    ]);
    attributes
}

/// An RSA public key of elsewhere: a session object that a newborn root is wrapped to.
pub(super) fn recovery_key(modulus: Vec<u8>, exponent: Vec<u8>) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::RSA),
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Encrypt(false),
        Attribute::Verify(false),
        Attribute::Wrap(true),
        Attribute::Modulus(modulus),
        Attribute::PublicExponent(exponent),
    ]
}

/// A key that everybody knows, to be wrapped: a session object.
pub(super) fn known_key(value: [u8; 32]) -> Vec<Attribute> {
    let mut attributes = secret_key(false, true);
    attributes.extend([
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Value(value.to_vec()),
    ]);
    attributes
}

/// Finds what is noted of the copies of root `version`.
pub(super) fn find_recovery_note(version: RootVersion) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        // A data object has no CKA_ID.
        Attribute::Label(format!("{RECOVERY_LABEL}-{}", version.0).into()),
    ]
}

/// What is noted of the copies of root `version`: it cannot be changed, and takes a login to be read.
pub(super) fn recovery_note(version: RootVersion, text: String) -> Vec<Attribute> {
    let mut attributes = find_recovery_note(version);
    attributes.extend([
        Attribute::Private(true),
        Attribute::Modifiable(false),
        Attribute::Value(text.into()),
    ]);
    attributes
}

/// The version of the signing key that `hsm init` makes.
const SIGNING_VERSION: u32 = 1;

/// secp256r1 as OBJECT IDENTIFIER (RFC 5480 §2.1.1.1).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

fn find_receiving(class: ObjectClass) -> Vec<Attribute> {
    vec![Attribute::Class(class), Attribute::Token(true), Attribute::Label(RECEIVING_LABEL.into())]
}

fn find_signing(class: ObjectClass) -> Vec<Attribute> {
    vec![Attribute::Class(class), Attribute::Token(true), Attribute::Label(SIGNING_LABEL.into())]
}

fn signing_half(class: ObjectClass) -> Vec<Attribute> {
    vec![
        Attribute::Class(class),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(true),
        Attribute::Derive(false),
        Attribute::Label(SIGNING_LABEL.into()),
        Attribute::Id(SIGNING_VERSION.to_be_bytes().to_vec()),
    ]
}

/// The length of every AES key. Where a key is unwrapped, the profile says whether it is stated.
pub(super) fn length() -> Attribute {
    Attribute::ValueLen(32.into())
}

fn generated(mut attributes: Vec<Attribute>) -> Vec<Attribute> {
    attributes.push(length());
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
