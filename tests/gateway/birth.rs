//! The birth of the root key, with a copy for recovery.

use std::{fs, process::Command};

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

#[test]
fn a_recovery_key_unwraps_the_root_and_a_second_birth_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::create_dir(path("tokens")).unwrap();
    fs::write(path("softhsm2.conf"), format!("directories.tokendir = {}\n", path("tokens")))
        .unwrap();
    fs::write(path("pin"), "1234\n").unwrap();
    let made = Command::new("softhsm2-util")
        .args([
            "--init-token",
            "--free",
            "--label",
            "usersecret",
            "--pin",
            "1234",
            "--so-pin",
            "5678",
        ])
        .env("SOFTHSM2_CONF", path("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(made.status.success());
    let config = format!(
        "[hsm]\npin_file = {:?}\nenv = {{ SOFTHSM2_CONF = {:?} }}\n",
        path("pin"),
        path("softhsm2.conf")
    );
    fs::write(path("config.toml"), config).unwrap();

    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let public = private.public_key().as_der().unwrap();
    let pem = STANDARD.encode(public.as_ref());
    let lines: Vec<&str> =
        (0..pem.len()).step_by(64).map(|at| &pem[at..pem.len().min(at + 64)]).collect();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    fs::write(path("recovery.pub"), pem).unwrap();

    let hsm = |verb: &str, more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_usersecret"))
            .args(["hsm", verb, "--config", &path("config.toml")])
            .args(more)
            .output()
            .unwrap()
    };
    let doctor = hsm("doctor", &[]);
    assert!(!doctor.status.success());
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("usersecret hsm init"));

    let recovery =
        ["--recovery-public-key", &path("recovery.pub"), "--recovery-out", &path("root.wrapped")];
    let init = hsm("init", &recovery);
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    assert!(hsm("doctor", &[]).status.success());
    assert!(!hsm("init", &[]).status.success());

    let wrapped = fs::read(path("root.wrapped")).unwrap();
    let private = OaepPrivateDecryptingKey::new(private).unwrap();
    let mut root = vec![0; private.min_output_size()];
    let root = private.decrypt(&OAEP_SHA1_MGF1SHA1, &wrapped, &mut root, None).unwrap();
    assert_eq!(root.len(), 32);
}
