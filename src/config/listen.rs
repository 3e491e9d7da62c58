//! `[server]`, `[internal]`, `[ops]`: where the service listens, and with which TLS.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::ConfigError;
use crate::tls::{ClientAuth, TlsSettings};

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Server {
    pub listen: SocketAddr,
    pub tls: Tls,
    pub allow_plaintext: bool,
    pub request_timeout_ms: u64,
    pub header_timeout_ms: u64,
    pub drain_timeout_ms: u64,
}

/// `[internal]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Internal {
    pub listen: String,
    pub tls: Tls,
    pub allow_plaintext: bool,
}

/// `[ops]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Ops {
    pub listen: String,
}

/// `[server.tls]` and `[internal.tls]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Tls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    pub client_ca_file: PathBuf,
    pub client_certificates: ClientCertificates,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// They are not asked.
    Off,
    /// They are asked, and may have none.
    Optional,
    /// Without one there is no connection.
    Required,
}

impl Server {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let encrypted = self.tls()?.is_some();
        plaintext(self.listen, encrypted || self.allow_plaintext, "server.listen")
    }

    /// The TLS of the main listener, if it has any.
    pub fn tls(&self) -> Result<Option<TlsSettings>, ConfigError> {
        self.tls.settings("server.tls")
    }

    /// How the address of the main listener begins.
    pub fn scheme(&self) -> &'static str {
        self.tls.scheme()
    }
}

impl Internal {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let encrypted = self.tls()?.is_some();
        match self.address()? {
            Some(address) => {
                plaintext(address, encrypted || self.allow_plaintext, "internal.listen")
            }
            None if encrypted => {
                let rule = "is of no use while internal.listen is empty";
                Err(ConfigError::Rule("internal.tls", rule.to_owned()))
            }
            None => Ok(()),
        }
    }

    /// Where the internal listener is, if there is one.
    pub fn address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        address("internal.listen", &self.listen)
    }

    /// The TLS of the internal listener, if it has any.
    pub fn tls(&self) -> Result<Option<TlsSettings>, ConfigError> {
        self.tls.settings("internal.tls")
    }

    /// How the address of the internal listener begins.
    pub fn scheme(&self) -> &'static str {
        self.tls.scheme()
    }
}

impl Ops {
    /// Where health is served, unless on the main port.
    pub fn address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        address("ops.listen", &self.listen)
    }
}

impl Tls {
    fn scheme(&self) -> &'static str {
        if self.cert_file.as_os_str().is_empty() { "http" } else { "https" }
    }

    fn settings(&self, section: &'static str) -> Result<Option<TlsSettings>, ConfigError> {
        let rule = |rule: &str| Err(ConfigError::Rule(section, rule.to_owned()));
        let set = |file: &PathBuf| !file.as_os_str().is_empty();
        match (set(&self.cert_file), set(&self.key_file)) {
            (true, true) => {}
            (false, false) if set(&self.client_ca_file) => {
                return rule("client_ca_file needs cert_file and key_file");
            }
            (false, false) if self.client_certificates != ClientCertificates::Off => {
                return rule("client_certificates needs cert_file and key_file");
            }
            (false, false) => return Ok(None),
            (true, false) => return rule("cert_file needs key_file"),
            (false, true) => return rule("key_file needs cert_file"),
        }
        let ca_file = self.client_ca_file.clone();
        let client_auth = match (self.client_certificates, set(&self.client_ca_file)) {
            (ClientCertificates::Off, false) => ClientAuth::Off,
            (ClientCertificates::Optional, true) => ClientAuth::Optional { ca_file },
            (ClientCertificates::Required, true) => ClientAuth::Required { ca_file },
            (ClientCertificates::Off, true) => {
                return rule(
                    "client_ca_file is of no use while client_certificates is \"off\"; it may be \"optional\" or \"required\"",
                );
            }
            (_, false) => return rule("client_certificates needs client_ca_file"),
        };
        Ok(Some(TlsSettings {
            section,
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            client_auth,
        }))
    }
}

/// Tokens and secrets do not cross a network in clear unless somebody has said so.
fn plaintext(address: SocketAddr, allowed: bool, key: &'static str) -> Result<(), ConfigError> {
    if allowed || address.ip().is_loopback() {
        return Ok(());
    }
    let section = key.trim_end_matches(".listen");
    Err(ConfigError::Rule(
        key,
        format!(
            "plain HTTP outside loopback needs {section}.allow_plaintext = true; better set {section}.tls"
        ),
    ))
}

fn address(key: &'static str, text: &str) -> Result<Option<SocketAddr>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| ConfigError::Rule(key, "must be an address and a port".to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn refusal(text: &str) -> String {
        Config::from_toml(text).map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
    }

    #[test]
    fn contradictions_name_their_key() {
        let pair = "cert_file = \"c\"\nkey_file = \"k\"\n";
        let cases = [
            ("[server]\nlisten = \"0.0.0.0:1\"".to_owned(), "server.listen: plain HTTP"),
            ("[internal]\nlisten = \"0.0.0.0:1\"".into(), "internal.listen: plain HTTP"),
            (
                "[server]\nallow_plaintext = true\n[internal]\nlisten = \"0.0.0.0:1\"".into(),
                "internal.listen: plain HTTP",
            ),
            ("[internal]\nlisten = \"here\"".into(), "internal.listen: must be an address"),
            ("[ops]\nlisten = \"here\"".into(), "ops.listen: must be an address"),
            ("[server.tls]\ncert_file = \"c\"".into(), "server.tls: cert_file needs key_file"),
            ("[server.tls]\nkey_file = \"k\"".into(), "server.tls: key_file needs cert_file"),
            (
                "[server.tls]\nclient_ca_file = \"a\"".into(),
                "server.tls: client_ca_file needs cert_file",
            ),
            (
                "[server.tls]\nclient_certificates = \"required\"".into(),
                "server.tls: client_certificates needs cert_file",
            ),
            (
                format!("[server.tls]\n{pair}client_certificates = \"optional\""),
                "server.tls: client_certificates needs client_ca_file",
            ),
            (
                format!("[server.tls]\n{pair}client_ca_file = \"a\""),
                "server.tls: client_ca_file is of no use",
            ),
            (format!("[internal.tls]\n{pair}"), "internal.tls: is of no use"),
            ("[server.tls]\nclient_certificates = \"yes\"".into(), "unknown variant"),
            ("[server.tls]\ncertificate = \"c\"".into(), "unknown field"),
        ];
        for (text, words) in cases {
            assert!(refusal(&text).contains(words), "{text}: {}", refusal(&text));
        }
    }

    #[test]
    fn tls_makes_the_permission_for_plain_text_unnecessary() {
        let pair = "cert_file = \"c\"\nkey_file = \"k\"\n";
        for text in [
            format!("[server]\nlisten = \"0.0.0.0:1\"\n[server.tls]\n{pair}"),
            format!("[internal]\nlisten = \"0.0.0.0:1\"\n[internal.tls]\n{pair}"),
            "[internal]\nlisten = \"0.0.0.0:1\"\nallow_plaintext = true".into(),
        ] {
            assert_eq!(refusal(&text), "accepted", "{text}");
        }
    }
}
