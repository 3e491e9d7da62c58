//! What the modules answer when something is wrong: what their profiles rest on.

use cryptoki::{
    error::Error,
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, KeyType, ObjectClass, ObjectHandle},
    session::UserType,
    slot::Slot,
    types::AuthPin,
};
use hsm_module::{Module, Session};
use usersecret::hsm::Isolation;

use crate::vendor::{LABEL, PIN, Token};

const KW: Mechanism<'_> = Mechanism::AesKeyWrap;
const LENGTH: Attribute = Attribute::ValueLen(cryptoki::types::Ulong::new(32));

/// Prints what the module of `token` answers to each. The token has its keys.
pub fn provoke(token: &Token) {
    let settings = token.settings(Isolation::Thread);
    let module = Module::load(&settings.module).unwrap();
    module.initialize(&settings.init_args).unwrap();
    let slots = module.get_slots_with_initialized_token().unwrap();
    let is_ours = |slot: &Slot| module.get_token_info(*slot).unwrap().label() == LABEL;
    let slot = slots.into_iter().find(is_ours).unwrap();
    let session = module.open_ro_session(slot).unwrap();
    login(&session);
    let (key, other) = (generate(&session, false), generate(&session, true));
    bytes(&session, key, other);
    // The last of these left an operation behind.
    let session = module.open_ro_session(slot).unwrap();
    templates(&session, key, other);
    handles(&session);
    logged_out(&session, key, other);
    log_in(&session, PIN).unwrap();
    finalized(&module, slot, &session);
}

fn told<T>(what: &str, result: Result<T, Error>) {
    let answer = match result {
        Ok(_) => "OK".to_owned(),
        Err(Error::Pkcs11(code, _)) => format!("{code:?}"),
        Err(error) => error.to_string(),
    };
    println!("> {what}: {answer}");
}

fn log_in(session: &Session, pin: &str) -> Result<(), Error> {
    session.login(UserType::User, Some(&AuthPin::new(pin.into())))
}

/// A key that may do all, without its length.
fn template(extractable: bool, decrypts: bool) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(extractable),
        Attribute::Encrypt(true),
        Attribute::Decrypt(decrypts),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
    ]
}

fn make(session: &Session, mut template: Vec<Attribute>) -> Result<ObjectHandle, Error> {
    template.push(LENGTH);
    session.generate_key(&Mechanism::AesKeyGen, &template)
}

fn generate(session: &Session, extractable: bool) -> ObjectHandle {
    make(session, template(extractable, true)).unwrap()
}

fn gcm<T>(work: impl FnOnce(&Mechanism<'_>) -> T) -> T {
    let mut iv = [7; 12];
    work(&Mechanism::AesGcm(GcmParams::new(&mut iv, b"aad", 128.into()).unwrap()))
}

fn encrypt(session: &Session, key: ObjectHandle, into: &mut [u8]) -> Result<usize, Error> {
    gcm(|gcm| session.encrypt_into(gcm, key, &[1; 32], into))
}

fn decrypt(session: &Session, key: ObjectHandle, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    gcm(|gcm| session.decrypt(gcm, key, sealed))
}

fn unwrap(session: &Session, key: ObjectHandle, blob: &[u8]) -> Result<ObjectHandle, Error> {
    session.unwrap_key(&KW, key, blob, &template(false, true))
}

fn login(session: &Session) {
    told("a wrong PIN", log_in(session, "87654320"));
    told("a key without login", make(session, template(false, true)));
    log_in(session, PIN).unwrap();
    told("a second login", log_in(session, PIN));
}

fn bytes(session: &Session, key: ObjectHandle, other: ObjectHandle) {
    let mut sealed = [0; 48];
    encrypt(session, key, &mut sealed).unwrap();
    let mut flipped = sealed;
    flipped[0] ^= 1;
    told("decrypt: a flipped bit", decrypt(session, key, &flipped));
    told("decrypt: another key", decrypt(session, other, &sealed));
    told("decrypt: too short", decrypt(session, key, &sealed[..10]));
    told("decrypt: as it is, afterwards", decrypt(session, key, &sealed));
    let mut blob = session.wrap_key(&KW, key, other).unwrap();
    println!("> wrap: {} bytes from cryptoki", blob.len());
    blob.truncate(40);
    blob[3] ^= 1;
    told("unwrap: a flipped bit", unwrap(session, key, &blob));
    told("unwrap: too short", unwrap(session, key, &blob[..39]));
    told("encrypt: no room for the tag", encrypt(session, key, &mut [0; 47]));
}

fn templates(session: &Session, key: ObjectHandle, other: ObjectHandle) {
    let blob = session.wrap_key(&KW, key, other).unwrap();
    let mut with_length = template(false, true);
    with_length.push(LENGTH);
    told("unwrap: with the length", session.unwrap_key(&KW, key, &blob[..40], &with_length));
    told("wrap: a key that is not extractable", session.wrap_key(&KW, other, key));
    told("wrap: by AES-GCM", gcm(|gcm| session.wrap_key(gcm, key, other)));
    let idle = make(session, template(false, false)).unwrap();
    told("decrypt: a key that may not", decrypt(session, idle, &[0; 48]));
}

fn handles(session: &Session) {
    let dead = generate(session, false);
    session.destroy_object(dead).unwrap();
    told("decrypt: a destroyed key", decrypt(session, dead, &[0; 48]));
    told("unwrap: a destroyed key", unwrap(session, dead, &[0; 40]));
    told("destroy: a destroyed key", session.destroy_object(dead));
}

fn logged_out(session: &Session, key: ObjectHandle, other: ObjectHandle) {
    let root = session.find_objects(&[Attribute::Label("usersecret-root".into())]).unwrap()[0];
    let copy = [Attribute::Token(false), Attribute::Private(true)];
    let copy = session.copy_object(root, &copy).unwrap();
    let blob = session.wrap_key(&KW, copy, other).unwrap();
    session.logout().unwrap();
    told("logged out, encrypt", encrypt(session, key, &mut [0; 48]));
    told("logged out, unwrap by the root's copy", unwrap(session, copy, &blob[..40]));
    told("logged out, unwrap by the root", unwrap(session, root, &blob[..40]));
    told("logged out, a new key", make(session, template(false, true)));
    told("logged out, random", session.generate_random_vec(8));
}

fn finalized(module: &Module, slot: Slot, session: &Session) {
    let key = generate(session, false);
    module.clone().finalize().unwrap();
    told("finalized, encrypt", encrypt(session, key, &mut [0; 48]));
    told("finalized, decrypt", decrypt(session, key, &[0; 48]));
    told("finalized, wrap", session.wrap_key(&KW, key, key));
    told("finalized, unwrap", unwrap(session, key, &[0; 40]));
    told("finalized, sign", session.sign(&Mechanism::Ecdsa, key, &[0; 32]));
    told("finalized, a new key", make(session, template(false, true)));
    told("finalized, random", session.generate_random_vec(8));
    told("finalized, find", session.find_objects(&[]));
    told("finalized, destroy", session.destroy_object(key));
    told("finalized, a new session", module.open_ro_session(slot));
    told("finalized, slots", module.get_slots_with_initialized_token());
}
