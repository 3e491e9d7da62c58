//! What is done on a token in a process of its own, past the service.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::{
        Mechanism, MechanismType,
        rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use usersecret::hsm::{Hsm, Isolation, Profile, Settings};

use super::kit::{DIR, LABEL, PIN, TASK};
use crate::support::module;

pub const MESSAGE: &[u8] = b"what was signed";

/// Runs in a process of its own, which `Token::visit` starts.
#[test]
#[ignore = "a part of other tests"]
fn visitor() {
    let Some(task) = std::env::var_os(TASK) else { return };
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    match task.to_str().unwrap() {
        "sign" => sign(&dir),
        "look" => look(&session()),
        "look-root" => look_root(&session()),
        "look-receiving" => look_receiving(&session()),
        "take-out" => take_out(&session(), &dir),
        "forget" => forget(&session(), &["usersecret-signing"]),
        "forget-all" => forget(&session(), &["usersecret-signing", "usersecret-root"]),
        "forget-private" => forget_private(&session()),
        other => panic!("{other}"),
    }
}

fn session() -> Session {
    let pkcs11 = Pkcs11::new(module()).unwrap();
    pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
    let session = pkcs11.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
    session
}

/// Has the token unwrap the copy in `dir` as a key that may leave, and writes it down.
fn take_out(session: &Session, dir: &Path) {
    let receiving = [Attribute::Private(true), Attribute::Label("usersecret-receiving".into())];
    let [receiving] = session.find_objects(&receiving).unwrap()[..] else { panic!() };
    let oaep =
        PkcsOaepParams::new(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, PkcsOaepSource::empty());
    let may_leave = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    let copy = fs::read(dir.join("copy")).unwrap();
    let root = session.unwrap_key(&Mechanism::RsaPkcsOaep(oaep), receiving, &copy, &may_leave);
    let value = session.get_attributes(root.unwrap(), &[AttributeType::Value]).unwrap();
    let [Attribute::Value(value)] = &value[..] else { panic!() };
    fs::write(dir.join("root"), value).unwrap();
}

fn forget(session: &Session, labels: &[&str]) {
    for label in labels {
        let found = session.find_objects(&[Attribute::Label((*label).into())]).unwrap();
        assert!(!found.is_empty());
        for object in found {
            session.destroy_object(object).unwrap();
        }
    }
}

fn forget_private(session: &Session) {
    let private = [Attribute::Private(true), Attribute::Label("usersecret-signing".into())];
    let [private] = session.find_objects(&private).unwrap()[..] else { panic!() };
    session.destroy_object(private).unwrap();
}

/// What a stranger's tool sees of the private key that signs.
fn look(session: &Session) {
    let more = [Attribute::Sign(true), Attribute::Unwrap(false), Attribute::Id(vec![0, 0, 0, 1])];
    let private = sees(session, ObjectClass::PRIVATE_KEY, "usersecret-signing", &more);
    hides(session, private, AttributeType::Value);
    made_here(session, private);
}

/// The same of the key that receives a root.
fn look_receiving(session: &Session) {
    let more = [Attribute::Sign(false), Attribute::Unwrap(true)];
    let private = sees(session, ObjectClass::PRIVATE_KEY, "usersecret-receiving", &more);
    hides(session, private, AttributeType::PrivateExponent);
    made_here(session, private);
}

/// The same of a root.
fn look_root(session: &Session) {
    let more = [
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
        Attribute::Encrypt(false),
        Attribute::Sign(false),
        Attribute::Id(vec![0, 0, 0, 1]),
    ];
    let root = sees(session, ObjectClass::SECRET_KEY, "usersecret-root", &more);
    hides(session, root, AttributeType::Value);
}

/// The only object of `class` called `label`: it cannot leave, and has the attributes of `more`.
fn sees(session: &Session, class: ObjectClass, label: &str, more: &[Attribute]) -> ObjectHandle {
    let found = session.find_objects(&[Attribute::Class(class), Attribute::Label(label.into())]);
    let [object] = found.unwrap()[..] else { panic!("{label}") };
    let wanted = [
        &[
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Decrypt(false),
            Attribute::Derive(false),
        ],
        more,
    ]
    .concat();
    has(session, object, &wanted);
    object
}

/// It has never been elsewhere.
fn made_here(session: &Session, object: ObjectHandle) {
    let wanted = [
        Attribute::AlwaysSensitive(true),
        Attribute::NeverExtractable(true),
        Attribute::Local(true),
        Attribute::SignRecover(false),
    ];
    has(session, object, &wanted);
}

fn has(session: &Session, object: ObjectHandle, wanted: &[Attribute]) {
    let asked: Vec<AttributeType> = wanted.iter().map(Attribute::attribute_type).collect();
    let answered = session.get_attributes(object, &asked).unwrap();
    for attribute in wanted {
        assert!(answered.contains(attribute), "{attribute:?} in {answered:?}");
    }
}

fn hides(session: &Session, object: ObjectHandle, what: AttributeType) {
    let value = session.get_attributes(object, &[what]);
    assert!(
        matches!(&value, Ok(none) if none.is_empty())
            || matches!(&value, Err(Error::Pkcs11(RvError::AttributeSensitive, _))),
        "{value:?}"
    );
}

/// Signs through the engine, as the service does.
fn sign(dir: &Path) {
    let hsm = Hsm::start(&Settings {
        module: module(),
        init_args: String::new(),
        token_label: LABEL.to_owned(),
        pin_file: dir.join("pin"),
        profile: Profile::SOFTHSM,
        isolation: Isolation::Thread,
        sessions: 0,
        queue: 4,
        deadline: Duration::from_secs(20),
        kek_handles: 4,
    })
    .unwrap();
    let digest = digest(&SHA256, MESSAGE).as_ref().try_into().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let key = hsm.signing_key().unwrap();
    fs::write(dir.join("signature"), runtime.block_on(hsm.sign(&key, digest)).unwrap()).unwrap();
    fs::write(dir.join("key-id"), key.id()).unwrap();
}
