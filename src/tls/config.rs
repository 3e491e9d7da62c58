//! What rustls is told.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use super::{ClientAuth, TlsError, TlsSettings, files::Files};

/// TLS 1.2 and 1.3 with aws-lc alone; HTTP/2 and HTTP/1.1.
///
/// The provider's suites are AEAD with ephemeral keys (RFC 9325 §4.2), and rustls
/// has no others: neither compression nor renegotiation, and 0-RTT is off.
pub(super) fn server_config(
    settings: &TlsSettings,
    files: &Files,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let identity = identity(settings, files, &provider)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| settings.error("cert_file", &settings.cert_file, &error.to_string()))?;
    let builder = match &settings.client_auth {
        ClientAuth::Off => builder.with_no_client_auth(),
        ClientAuth::Optional { .. } | ClientAuth::Required { .. } => {
            builder.with_client_cert_verifier(client_verifier(settings, files, provider)?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if settings.client_auth != ClientAuth::Off {
        // A resumed session is not verified again: it would outlive the client's certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

/// The chain with its key, if they belong together.
fn identity(
    settings: &TlsSettings,
    files: &Files,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let error = |why: &str| settings.error("key_file", &settings.key_file, why);
    let key = provider
        .key_provider
        .load_private_key(files.key.clone_key())
        .map_err(|_| error("holds a private key that is broken or of an unknown kind"))?;
    let identity = CertifiedKey::new(files.chain.clone(), key);
    identity.keys_match().map_err(|_| error("does not belong to the certificate in cert_file"))?;
    Ok(identity)
}

/// Who believes certificates of the CAs in `client_ca_file`, and of nobody else.
fn client_verifier(
    settings: &TlsSettings,
    files: &Files,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let error = |why: &str| {
        let file = settings.client_auth.ca_file().cloned().unwrap_or_default();
        settings.error("client_ca_file", &file, why)
    };
    let mut roots = RootCertStore::empty();
    for ca in &files.client_cas {
        roots.add(ca.clone()).map_err(|_| error("holds a certificate that cannot be a CA's"))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match settings.client_auth {
        ClientAuth::Optional { .. } => builder.allow_unauthenticated(),
        ClientAuth::Off | ClientAuth::Required { .. } => builder,
    };
    builder.build().map_err(|_| error("holds no usable CA"))
}
