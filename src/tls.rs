//! TLS of a listener, as its files say now.
//!
//! Certificates are renewed while the service runs. Files are compared by
//! content: a mounted secret is replaced by turning a symbolic link, and times
//! of modification say little there. What cannot be used is logged once, and
//! what was there before goes on. Connections keep what they began with.

mod config;
mod files;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::sync::Mutex;

use files::Files;

/// What TLS is made of.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The section of the configuration, for messages.
    pub section: &'static str,
    /// The certificate chain, leaf first, in PEM.
    pub cert_file: PathBuf,
    /// The private key, in PEM.
    pub key_file: PathBuf,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
}

/// Whether clients show a certificate, and of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    Off,
    /// They are asked, and may have none.
    Optional {
        /// The CAs that are believed, in PEM.
        ca_file: PathBuf,
    },
    /// Without one there is no connection.
    Required {
        /// The CAs that are believed, in PEM.
        ca_file: PathBuf,
    },
}

impl ClientAuth {
    const fn ca_file(&self) -> Option<&PathBuf> {
        match self {
            Self::Off => None,
            Self::Optional { ca_file } | Self::Required { ca_file } => Some(ca_file),
        }
    }
}

/// Which file cannot be used, and why. It repeats nothing that a file holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{section}.{key}: {} {why}", file.display())]
pub struct TlsError {
    section: &'static str,
    key: &'static str,
    file: PathBuf,
    why: String,
}

/// The TLS of one listener.
pub struct Tls {
    settings: TlsSettings,
    live: RustlsConfig,
    /// The files that were looked at last, whether they could be used or not.
    seen: Mutex<Seen>,
}

type Seen = Result<[u8; 32], TlsError>;

impl Tls {
    /// Reads the files; what cannot be used is an error.
    pub async fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let files = Files::read(&settings).await?;
        let live = RustlsConfig::from_config(Arc::new(config::server_config(&settings, &files)?));
        tracing::info!(
            section = settings.section,
            certificate = files.fingerprint(),
            "serving with TLS"
        );
        Ok(Self { settings, live, seen: Mutex::new(Ok(files.digest())) })
    }

    /// Reads the files again. New connections get what is new and can be used.
    pub async fn reload(&self) {
        // Held throughout, so that what is older does not come last.
        let mut seen = self.seen.lock().await;
        let files = Files::read(&self.settings).await;
        let now = files.as_ref().map(Files::digest).map_err(Clone::clone);
        if *seen == now {
            return;
        }
        *seen = now;
        let made = files.and_then(|files| {
            Ok((files.fingerprint(), config::server_config(&self.settings, &files)?))
        });
        let section = self.settings.section;
        match made {
            Ok((certificate, config)) => {
                self.live.reload_from_config(Arc::new(config));
                tracing::info!(section, certificate, "the files of TLS have changed and are used");
            }
            Err(error) => {
                let cause = error.to_string();
                tracing::warn!(
                    section,
                    cause,
                    "the files of TLS have changed and cannot be used; what was there before is"
                );
            }
        }
    }

    /// What makes a TLS connection of one that was accepted, within `handshake_timeout`.
    pub fn acceptor(&self, handshake_timeout: Duration) -> RustlsAcceptor {
        RustlsAcceptor::new(self.live.clone()).handshake_timeout(handshake_timeout)
    }
}
