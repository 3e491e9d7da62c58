//! What the modules answer when something is wrong: what their profiles rest on.

use std::fmt::Display;

use cryptoki::{
    error::Error,
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, ObjectHandle},
    session::UserType,
    types::AuthPin,
};
use hsm_module::{Module, Session};
use usersecret::hsm::Isolation;

use crate::vendor::{LABEL, PIN, Token};

fn told<T>(what: &str, result: Result<T, Error>) {
    let answer = match &result {
        Ok(_) => "OK".to_owned(),
        Err(Error::Pkcs11(code, _)) => format!("{code:?}"),
        Err(error) => format!("{error}"),
    };
    line(what, answer);
}

fn line(what: &str, answer: impl Display) {
    println!("> {what}: {answer}");
}

fn open(module: &Module) -> Session {
    let slots = module.get_slots_with_initialized_token().unwrap();
    let slot =
        slots.into_iter().find(|slot| module.get_token_info(*slot).unwrap().label() == LABEL);
    module.open_ro_session(slot.unwrap()).unwrap()
}

fn sealing(extractable: bool) -> Vec<Attribute> {
    vec![
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(extractable),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
        Attribute::Class(cryptoki::object::ObjectClass::SECRET_KEY),
        Attribute::KeyType(cryptoki::object::KeyType::AES),
    ]
}

fn generate(session: &Session, extractable: bool) -> ObjectHandle {
    let mut template = sealing(extractable);
    template.push(Attribute::ValueLen(32.into()));
    session.generate_key(&Mechanism::AesKeyGen, &template).unwrap()
}

fn gcm<T>(work: impl FnOnce(&Mechanism<'_>) -> T) -> T {
    let mut iv = [7; 12];
    work(&Mechanism::AesGcm(GcmParams::new(&mut iv, b"aad", 128.into()).unwrap()))
}

/// Prints what the module of `token` answers to each.
pub fn provoke(token: &Token) {
    let settings = token.settings(Isolation::Thread);
    let module = Module::load(&settings.module).unwrap();
    module.initialize(&settings.init_args).unwrap();
    let session = open(&module);
    let pin = AuthPin::new(PIN.into());
    told("a wrong PIN", session.login(UserType::User, Some(&AuthPin::new("87654320".into()))));
    told(
        "a key without login",
        session.generate_key(&Mechanism::AesKeyGen, &{
            let mut template = sealing(false);
            template.push(Attribute::ValueLen(32.into()));
            template
        }),
    );
    session.login(UserType::User, Some(&pin)).unwrap();
    told("a second login", session.login(UserType::User, Some(&pin)));

    let (key, other) = (generate(&session, false), generate(&session, true));
    let mut sealed = [0; 48];
    gcm(|gcm| session.encrypt_into(gcm, key, &[1; 32], &mut sealed)).unwrap();
    let decrypt = |sealed: &[u8], key| gcm(|gcm| session.decrypt(gcm, key, sealed));
    let mut flipped = sealed;
    flipped[0] ^= 1;
    told("decrypt: a flipped bit", decrypt(&flipped, key));
    told("decrypt: another key", decrypt(&sealed, other));
    told("decrypt: too short", decrypt(&sealed[..10], key));
    told("the session afterwards", decrypt(&sealed, key));
    told("encrypt: no room", gcm(|gcm| session.encrypt_into(gcm, key, &[1; 32], &mut [0; 47])));
    let session = open(&module);
    let decrypt = |sealed: &[u8], key| gcm(|gcm| session.decrypt(gcm, key, sealed));
    let blob = session.wrap_key(&Mechanism::AesKeyWrap, key, other).unwrap();
    line("wrap: bytes that cryptoki gives", blob.len());
    let unwrap = |blob: &[u8], template: &[Attribute]| {
        session.unwrap_key(&Mechanism::AesKeyWrap, key, blob, template)
    };
    let mut bad = blob[..40].to_vec();
    bad[3] ^= 1;
    told("unwrap: a flipped bit", unwrap(&bad, &sealing(false)));
    told("unwrap: too short", unwrap(&bad[..39], &sealing(false)));
    let mut long = sealing(false);
    long.push(Attribute::ValueLen(32.into()));
    told("unwrap: with its length", unwrap(&blob[..40], &long));
    told(
        "wrap: a key that is not extractable",
        session.wrap_key(&Mechanism::AesKeyWrap, other, key),
    );
    told("wrap: AES-GCM", gcm(|gcm| session.wrap_key(gcm, key, other)));

    let no_right = {
        let mut template = sealing(false);
        template.retain(|a| !matches!(a, Attribute::Decrypt(_)));
        template.extend([Attribute::Decrypt(false), Attribute::ValueLen(32.into())]);
        session.generate_key(&Mechanism::AesKeyGen, &template).unwrap()
    };
    told("decrypt: a key that may not", decrypt(&sealed, no_right));
    let dead = generate(&session, false);
    session.destroy_object(dead).unwrap();
    told("decrypt: a destroyed key", decrypt(&sealed, dead));
    told(
        "unwrap: a destroyed key",
        session.unwrap_key(&Mechanism::AesKeyWrap, dead, &blob[..40], &sealing(false)),
    );
    told("destroy: a destroyed key", session.destroy_object(dead));

    let stored = session.find_objects(&[Attribute::Label("usersecret-root".into())]).unwrap()[0];
    let copied = session.copy_object(stored, &[Attribute::Token(false), Attribute::Private(true)]);
    told("a token object copied", copied.as_ref().map(|_| ()).map_err(|_| Error::InvalidValue));
    session.logout().unwrap();
    told("logged out, decrypt", decrypt(&sealed, key));
    told(
        "logged out, unwrap by the copy",
        session.unwrap_key(&Mechanism::AesKeyWrap, copied.unwrap(), &blob[..40], &sealing(false)),
    );
    told(
        "logged out, unwrap by the token object",
        session.unwrap_key(&Mechanism::AesKeyWrap, stored, &blob[..40], &sealing(false)),
    );
    told("logged out, a new key", session.generate_key(&Mechanism::AesKeyGen, &long));
    told("logged out, random", session.generate_random_vec(8).map(|_| ()));
    told(
        "logged out, a new session",
        module.open_ro_session(module.get_slots_with_initialized_token().unwrap().pop().unwrap()),
    );

    session.login(UserType::User, Some(&pin)).unwrap();
    let key = generate(&session, false);
    let slot = module.get_slots_with_initialized_token().unwrap().pop().unwrap();
    module.clone().finalize().unwrap();
    told("finalized, decrypt", gcm(|gcm| session.decrypt(gcm, key, &sealed)));
    told("finalized, encrypt", gcm(|gcm| session.encrypt_into(gcm, key, &[1; 32], &mut [0; 48])));
    told("finalized, random", session.generate_random_vec(8));
    told("finalized, a new key", session.generate_key(&Mechanism::AesKeyGen, &long));
    told("finalized, wrap", session.wrap_key(&Mechanism::AesKeyWrap, key, key));
    told("finalized, sign", session.sign(&Mechanism::Ecdsa, key, &[0; 32]));
    told("finalized, find", session.find_objects(&[]));
    told("finalized, destroy", session.destroy_object(key));
    told("finalized, a new session", module.open_ro_session(slot));
    told("finalized, slots", module.get_slots_with_initialized_token());
}
