//! The birth of the keys: the root with a copy for recovery, and the key that signs.

pub mod kit;
mod visitor;

use std::{fs, path::Path, process::Command};

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use usersecret::hsm::SigningKey;

use self::{
    kit::{PIN, Token, hangs},
    visitor::MESSAGE,
};
use crate::{recovery::offline_key, support::eventually};

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
    let (unborn, out) = (Token::new(), token.path("unborn.wrapped"));
    let faults = unborn.faults();
    faults.set("function=C_UnwrapKey return=CKR_DEVICE_MEMORY").unwrap();
    let copy = ["--recovery-public-key", &key, "--recovery-out", &out];
    assert!(!unborn.begin(["hsm", "init"], &copy, &faults).wait().unwrap().success());
    assert!(!fs::exists(&out).unwrap(), "a copy of a root that was not born");

    let wrapped = fs::read(token.path("root.wrapped")).unwrap();
    let private = OaepPrivateDecryptingKey::new(private).unwrap();
    let mut root = vec![0; private.min_output_size()];
    let root = private.decrypt(&OAEP_SHA1_MGF1SHA1, &wrapped, &mut root, None).unwrap();
    assert_eq!(root.len(), 32);
}

/// The device is gone when the root is on it already: what opens its copy is not thrown away.
#[test]
fn a_copy_of_a_root_that_may_be_there_is_kept() {
    let token = Token::new();
    let [_, public] = offline_key(Path::new(&token.path("")));
    let out = token.path("root.offline");
    let faults = token.faults();
    // Wraps by two calls each: the copy, the carrier's, two that compare, and the proof, behind which it cannot be taken back.
    let lost = "return=CKR_DEVICE_REMOVED from";
    let lines = format!("function=C_WrapKey {lost}=9\nfunction=C_DestroyObject {lost}=4");
    faults.set(&lines).unwrap();
    let copy = ["--recovery-public-key", &public, "--recovery-out", &out];
    let init = token.begin(["hsm", "init"], &copy, &faults).wait_with_output().unwrap();
    assert!(!init.status.success());
    let said = String::from_utf8(init.stderr).unwrap();
    assert!(said.contains("keep its copies"), "{said}");
    assert!(fs::metadata(&out).unwrap().len() > 0);
    assert!(token.bad(["hsm", "init"], &[]).contains("already"), "it is there");
}

#[test]
fn a_birth_beside_a_database_that_cannot_be_read_is_refused() {
    let token = Token::new();
    let file = token.path("usersecret.db");
    fs::write(&file, "not a database").unwrap();
    token.configure(&format!("[database]\nurl = \"sqlite://{file}\"\n"));
    let said = token.bad(["hsm", "init"], &[]);
    assert!(said.contains("cannot be seen") && said.contains("without one"), "{said}");
    fs::remove_file(&file).unwrap();
    token.good(["hsm", "init"], &[]);
    assert!(!fs::exists(&file).unwrap());
}

#[tokio::test]
async fn of_two_births_at_the_same_time_one_takes_itself_back() {
    let token = Token::new();
    let dir = Path::new(&token.path("")).to_owned();
    let [_, public] = offline_key(&dir);
    let (late, early) = (token.path("late.wrapped"), token.path("early.wrapped"));
    let options = |out| ["--recovery-public-key", &public, "--recovery-out", out];
    // One that has looked, made a copy of its root, and now puts it on the token.
    let faults = token.faults();
    faults.set("function=C_UnwrapKey hang").unwrap();
    let slow = token.begin(["hsm", "init"], &options(&late), &faults);
    let is_made = async || fs::metadata(&late).is_ok_and(|file| file.len() > 0);
    eventually("it has made its copy", is_made).await;
    // Another one is done with all of that first.
    let made = token.good(["hsm", "init"], &options(&early));
    let (_, value) = made.split_once("check value ").unwrap();
    faults.set("").unwrap();
    let slow = slow.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&slow.stderr);
    assert!(!slow.status.success() && said.contains("at the same time"), "{said}");
    // What is there is the other's, with its copy, and nothing passes for a copy of what is gone.
    let doctor = token.good(["hsm", "doctor"], &[]);
    assert!(doctor.contains(value.trim()), "{doctor}");
    assert!(!doctor.contains("the token knows of none"), "{doctor}");
    assert!(fs::exists(&early).unwrap() && !fs::exists(&late).unwrap());
}

#[tokio::test]
async fn of_two_signing_keys_that_are_made_at_the_same_time_one_is_left() {
    let token = Token::new();
    token.good(["hsm", "init"], &[]);
    token.visit("forget");
    // One that has looked, and is about to make a pair.
    let faults = token.faults();
    faults.set("function=C_GenerateKeyPair hang").unwrap();
    let slow = token.begin(["hsm", "init"], &[], &faults);
    hangs(&faults, "C_GenerateKeyPair", 1).await;
    token.good(["hsm", "init"], &[]);
    let key = token.good(["audit", "public-key"], &[]);
    faults.set("").unwrap();
    // It comes to use the other's.
    let slow = slow.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&slow.stderr);
    assert!(said.contains("a root key and a signing key already"), "{said}");
    assert_eq!(token.good(["audit", "public-key"], &[]), key);
    token.visit("look");
    token.good(["hsm", "doctor"], &[]);
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
