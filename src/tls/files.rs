//! The files that TLS is made of, as they were at one moment.

use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256, digest};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

use super::{TlsError, TlsSettings};
use crate::ids::hex;

/// Certificates, the key, and the CAs of clients.
pub(super) struct Files {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    /// Empty when clients are not asked.
    pub(super) client_cas: Vec<CertificateDer<'static>>,
    digest: [u8; 32],
}

impl Files {
    /// Reads and parses them all.
    ///
    /// The words are our own: a parser's may repeat a line of what it reads.
    pub(super) async fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let cert = read(settings, "cert_file", &settings.cert_file).await?;
        let key = read(settings, "key_file", &settings.key_file).await?;
        let ca_file = settings.client_auth.ca_file();
        let ca = match ca_file {
            Some(file) => Some(read(settings, "client_ca_file", file).await?),
            None => None,
        };
        let client_cas = match (ca_file, &ca) {
            (Some(file), Some(pem)) => certificates(settings, "client_ca_file", file, pem)?,
            _ => Vec::new(),
        };
        let chain = certificates(settings, "cert_file", &settings.cert_file, &cert)?;
        let private = PrivateKeyDer::from_pem_slice(&key).map_err(|_| {
            let why = "holds no private key in PEM; an encrypted one cannot be used";
            settings.error("key_file", &settings.key_file, why)
        })?;
        let texts = [Some(&cert), Some(&key), ca.as_ref()];
        Ok(Self { chain, key: private, client_cas, digest: digest_of(&texts) })
    }

    /// Tells whether something has changed.
    pub(super) const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// SHA-256 of the certificate, as other tools show it.
    pub(super) fn fingerprint(&self) -> String {
        let mut bytes = [0; 32];
        if let Some(leaf) = self.chain.first() {
            bytes.copy_from_slice(digest(&SHA256, leaf).as_ref());
        }
        hex(bytes)
    }
}

impl TlsSettings {
    /// That `file`, which `key` names, cannot be used: `why` reads on from its name.
    pub(super) fn error(&self, key: &'static str, file: &Path, why: &str) -> TlsError {
        TlsError { section: self.section, key, file: file.to_owned(), why: why.to_owned() }
    }
}

async fn read(
    settings: &TlsSettings,
    key: &'static str,
    file: &Path,
) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let read = tokio::fs::read(file).await;
    read.map(Zeroizing::new)
        .map_err(|error| settings.error(key, file, &format!("cannot be read: {error}")))
}

fn certificates(
    settings: &TlsSettings,
    key: &'static str,
    file: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| settings.error(key, file, "holds no certificate in PEM, or a broken one"))
}

/// SHA-256 over all, each behind its length; absent is not empty.
fn digest_of(texts: &[Option<&Zeroizing<Vec<u8>>>]) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    for text in texts {
        let length = text.map_or(u64::MAX, |t| u64::try_from(t.len()).unwrap_or(u64::MAX));
        hash.update(&length.to_be_bytes());
        hash.update(text.map_or(&[], |text| text.as_slice()));
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    bytes
}
