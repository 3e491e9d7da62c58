//! The birth of the keys: the root with a copy for recovery, and the key that signs.

pub mod kit;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    encoding::AsDer as _,
    rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
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
use usersecret::hsm::{Hsm, Isolation, Profile, Settings, SigningKey};

use self::kit::{DIR, LABEL, PIN, TASK, Token};
use crate::support::module;

const MESSAGE: &[u8] = b"what was signed";

/// Runs in a process of its own, which [`Token::visit`] starts.
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

#[test]
fn a_recovery_key_unwraps_the_root_and_a_second_birth_is_refused() {
    let token = Token::new();
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let public = private.public_key().as_der().unwrap();
    let pem = STANDARD.encode(public.as_ref());
    let lines: Vec<&str> =
        (0..pem.len()).step_by(64).map(|at| &pem[at..pem.len().min(at + 64)]).collect();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    fs::write(token.path("recovery.pub"), pem).unwrap();
    let key = token.path("recovery.pub");
    let recovery = |out: &str| {
        ["--recovery-public-key", &key, "--recovery-out", &token.path(out)].map(str::to_owned)
    };

    assert!(token.bad(["hsm", "doctor"], &[]).contains("usersecret hsm init"));
    let made = token.good(["hsm", "init"], &recovery("root.wrapped").each_ref().map(|s| &s[..]));
    assert!(made.contains("the root key is made"), "{made}");
    token.good(["hsm", "doctor"], &[]);
    assert!(token.bad(["hsm", "init"], &[]).contains("already"));

    // Neither does a refused birth leave a file that looks like a copy.
    token.bad(["hsm", "init"], &recovery("late.wrapped").each_ref().map(|s| &s[..]));
    token.visit("forget");
    token.bad(["hsm", "init"], &recovery("late.wrapped").each_ref().map(|s| &s[..]));
    assert!(!fs::exists(token.path("late.wrapped")).unwrap());

    let wrapped = fs::read(token.path("root.wrapped")).unwrap();
    let private = OaepPrivateDecryptingKey::new(private).unwrap();
    let mut root = vec![0; private.min_output_size()];
    let root = private.decrypt(&OAEP_SHA1_MGF1SHA1, &wrapped, &mut root, None).unwrap();
    assert_eq!(root.len(), 32);
}

#[test]
fn what_the_token_signs_the_printed_key_verifies() {
    let token = Token::new();
    assert!(token.bad(["audit", "public-key"], &[]).contains("usersecret hsm init"));
    token.good(["hsm", "init"], &[]);
    token.visit("look");

    // The key is public: it does not take the PIN.
    fs::remove_file(token.path("pin")).unwrap();
    let pem = token.good(["audit", "public-key"], &[]);
    fs::write(token.path("pin"), PIN).unwrap();
    token.visit("sign");
    let signature = fs::read(token.path("signature")).unwrap();
    let key = SigningKey::from_pem(&pem).unwrap();
    assert!(key.verify(MESSAGE, &signature));
    assert!(!key.verify(b"what was not signed", &signature));
    assert_eq!(key.id(), fs::read_to_string(token.path("key-id")).unwrap());
}

#[test]
fn a_token_with_a_root_alone_gets_its_signing_key_and_no_second_root() {
    let token = Token::new();
    token.good(["hsm", "init"], &[]);
    let first = token.good(["audit", "public-key"], &[]);
    token.visit("forget");
    assert!(token.bad(["hsm", "doctor"], &[]).contains("the token has no signing key"));
    let serve = Command::new(env!("CARGO_BIN_EXE_usersecret"))
        .args(["serve", "--config", &token.path("config.toml")])
        .output()
        .unwrap();
    assert!(!serve.status.success());
    let said = String::from_utf8(serve.stderr).unwrap();
    assert!(said.contains("no signing key; `usersecret hsm init` makes it"), "{said}");

    let made = token.good(["hsm", "init"], &[]);
    assert!(made.contains("no signing key"), "{made}");
    let doctor = token.good(["hsm", "doctor"], &[]);
    let second = token.good(["audit", "public-key"], &[]);
    assert_ne!(first, second);
    assert!(doctor.contains(&SigningKey::from_pem(&second).unwrap().id()), "{doctor}");
    assert!(token.bad(["hsm", "init"], &[]).contains("already"));
}

#[test]
fn half_a_signing_key_is_named_and_kept() {
    let token = Token::new();
    token.good(["hsm", "init"], &[]);
    token.visit("forget-private");
    for verb in ["doctor", "init"] {
        let said = token.bad(["hsm", verb], &[]);
        assert!(said.contains("0 private and 1 public keys"), "{said}");
    }
}

#[test]
fn both_keys_can_be_made_again_after_both_are_gone() {
    let token = Token::new();
    token.good(["hsm", "init"], &[]);
    token.visit("forget-all");
    let made = token.good(["hsm", "init"], &[]);
    assert!(made.contains("the signing key is made\nthe root key is made"), "{made}");
    token.good(["hsm", "doctor"], &[]);
}

/// The engine's threads must be gone before the process is: a session that closes later crashes in the module.
#[test]
fn a_process_that_gives_up_waits_for_its_hsm() {
    let token = Token::new();
    token.good(["hsm", "init"], &[]);
    let empty = format!("sqlite:{}", token.path("empty.db"));
    for _ in 0..20 {
        let output = Command::new(env!("CARGO_BIN_EXE_usersecret"))
            .args(["export", "--config", &token.path("config.toml"), "--domain", "acme"])
            .env("USERSECRET_DATABASE__URL", &empty)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("migrations are missing"), "{said}");
        assert_eq!(output.status.code(), Some(1), "{said}");
    }
}
