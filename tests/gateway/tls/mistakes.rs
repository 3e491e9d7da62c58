//! Starts that end with a message.

use std::{fs, process::Command};

use usersecret::{config::Config, server::Certificates};

use super::kit::{Ca, Files};

/// Why the service does not start with these files.
async fn refusal(files: &[(&str, &str)]) -> String {
    let files = Files::new(files);
    let toml = files.section("server.tls", "required");
    let config = Config::from_toml(&format!("[server]\nlisten = \"127.0.0.1:0\"\n{toml}")).unwrap();
    match Certificates::load(&config).await {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_and_not_repeated() {
    let ca = Ca::new("ours");
    let (pair, other) = (ca.server(), ca.server());
    let (cert, key, ca) = (pair.cert.as_str(), pair.key.as_str(), ca.pem.as_str());
    let garbled = key.replacen("-----END", "canary-key-material\n-----END", 1);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let headless = key.replacen("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE canary", 1);
    for (cert, key, ca, words) in [
        (cert, key, ca, "accepted"),
        (cert, other.key.as_str(), ca, "server.tls.key_file: /"),
        (cert, other.key.as_str(), ca, "does not belong to the certificate in cert_file"),
        (cert, garbled.as_str(), ca, "server.tls.key_file: /"),
        (cert, headless.as_str(), ca, "server.tls.key_file: /"),
        (cert, encrypted.as_str(), ca, "an encrypted one cannot be used"),
        (cert, cert, ca, "holds no private key in PEM"),
        (key, key, ca, "server.tls.cert_file: /"),
        ("", key, ca, "holds no certificate in PEM"),
        (cert, key, key, "server.tls.client_ca_file: /"),
    ] {
        let said = refusal(&[("tls.crt", cert), ("tls.key", key), ("ca.crt", ca)]).await;
        assert!(said.contains(words), "{words}: {said}");
        let body = key.lines().nth(1).unwrap();
        assert!(!said.contains("canary") && !said.contains(body), "{said}");
    }
    let said = refusal(&[("tls.crt", cert), ("ca.crt", ca)]).await;
    assert!(said.contains("server.tls.key_file: /") && said.contains("cannot be read"), "{said}");
}

#[test]
fn the_environment_sets_nested_keys() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, "").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_usersecret"))
        .args(["serve", "--config"])
        .arg(file)
        .env("USERSECRET_SERVER__TLS__CERT_FILE", "/nowhere/tls.crt")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("server.tls: cert_file needs key_file"), "{said}");
}
