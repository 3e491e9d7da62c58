//! Certificates made at run time, and a service that shows one.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use reqwest::{Certificate, ClientBuilder, Identity, Response};
use serde_json::json;
use usersecret::{app::Seams, server::Server};

use crate::support::TestApp;

pub const VIEWER: &str = "{ viewer { userId } }";

/// Ports that the system chooses, health on the main one.
const LISTEN: &str = "[server]\nlisten = \"127.0.0.1:0\"";

/// An authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    der: Vec<u8>,
}

/// A certificate with its key.
pub struct Pair {
    pub cert: String,
    pub key: String,
    pub der: Vec<u8>,
}

fn pem(label: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(label, der))
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), pem: pem("CERTIFICATE", &der), der }
    }

    /// For a server on loopback.
    pub fn server(&self) -> Pair {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params)
    }

    /// For a client, good until `year`.
    pub fn client(&self, year: i32) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a system");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        self.issue(&params)
    }

    /// A client that believes this authority alone.
    pub fn believed(&self) -> ClientBuilder {
        let ca = Certificate::from_der(&self.der).unwrap();
        reqwest::Client::builder().tls_certs_only([ca]).tls_info(true).no_proxy()
    }

    fn issue(&self, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Pair { cert: pem("CERTIFICATE", &der), key: pem("PRIVATE KEY", &key.serialize_der()), der }
    }
}

impl Pair {
    pub fn identity(&self) -> Identity {
        Identity::from_pem(format!("{}{}", self.key, self.cert).as_bytes()).unwrap()
    }
}

/// Files that TLS is made of, in a folder that is exchanged as a mounted secret is: by a symbolic link.
pub struct Files {
    dir: tempfile::TempDir,
    turns: usize,
}

impl Files {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let mut made = Self { dir: tempfile::tempdir().unwrap(), turns: 0 };
        made.exchange(files);
        made
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("live").join(name)
    }

    /// Puts `files` in place of all that were there, at one stroke.
    pub fn exchange(&mut self, files: &[(&str, &str)]) {
        self.turns += 1;
        let folder = self.dir.path().join(self.turns.to_string());
        fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let link = self.dir.path().join("next");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        fs::rename(link, self.dir.path().join("live")).unwrap();
    }

    /// A section of the configuration that names them.
    pub fn section(&self, name: &str, client_certificates: &str) -> String {
        let file = |name: &str| format!("{:?}", self.path(name).display().to_string());
        let mut text = format!(
            "[{name}]\ncert_file = {}\nkey_file = {}\nclient_certificates = {client_certificates:?}\n",
            file("tls.crt"),
            file("tls.key")
        );
        if client_certificates != "off" {
            text += &format!("client_ca_file = {}\n", file("ca.crt"));
        }
        text
    }
}

/// A service whose main listener speaks TLS.
pub struct Tls {
    pub app: TestApp,
    pub server: Server,
    pub ca: Ca,
    /// What it shows at first.
    pub shown: Pair,
    pub files: Files,
}

impl Tls {
    /// With `server` in place of the section of that name, unless empty.
    pub async fn start(server: &str) -> Self {
        Self::with_clients(server, "off", &Ca::new("nobody's")).await
    }

    /// As to certificates of clients whom `clients` vouches for.
    pub async fn with_clients(server: &str, client_certificates: &str, clients: &Ca) -> Self {
        let ca = Ca::new("the server's");
        let shown = ca.server();
        let files = Files::new(&[
            ("tls.crt", &shown.cert),
            ("tls.key", &shown.key),
            ("ca.crt", &clients.pem),
        ]);
        let server = if server.is_empty() { LISTEN } else { server };
        let section = files.section("server.tls", client_certificates);
        let app = plain(&format!("{server}\n{section}")).await;
        let server = app.listen().await.unwrap();
        Self { app, server, ca, shown, files }
    }

    /// A client that believes the server's authority alone.
    pub fn client(&self) -> ClientBuilder {
        self.ca.believed()
    }

    pub async fn ask(&self, client: &reqwest::Client, query: &str) -> reqwest::Result<Response> {
        let token = self.app.user("ann").token.unwrap();
        let request = client.post(format!("https://{}/graphql", self.server.main));
        request.bearer_auth(token).json(&json!({ "query": query })).send().await
    }

    /// Whether `client` gets an answer on a connection of its own.
    pub async fn accepts(&self, client: ClientBuilder) -> bool {
        let answer = self.ask(&client.build().unwrap(), VIEWER).await;
        answer.is_ok_and(|response| response.status() == 200)
    }

    /// The certificate that `client` is shown.
    pub async fn certificate(&self, client: &reqwest::Client) -> Vec<u8> {
        let response = self.ask(client, VIEWER).await.unwrap();
        let info = response.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
        let der = info.peer_certificate().unwrap().to_vec();
        // Read to its end, or the connection would not be used again.
        response.bytes().await.unwrap();
        der
    }

    /// The same client, for who must hold the connection in hand.
    pub fn rustls(&self) -> rustls::ClientConnection {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.der.clone().into()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        rustls::ClientConnection::new(Arc::new(config), "127.0.0.1".try_into().unwrap()).unwrap()
    }
}

/// A service with these sections, health on the main port.
pub async fn plain(sections: &str) -> TestApp {
    TestApp::with(Seams::default(), &format!("{sections}\n[ops]\nlisten = \"\"\n")).await
}
