//! The kit: a scenario is three lines long.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use usersecret::{
    app::{App, Seams},
    config::Config,
    hsm::{self, Hsm, Pin, Profile, Settings},
    store,
};

pub const ISS: &str = "https://idp.test";
const PIN: &str = "canary-pin-7391";

/// A running service with a database of its own, on the process's one HSM.
pub struct TestApp {
    pub url: String,
    pub dir: tempfile::TempDir,
    pub key: EncodingKey,
}

/// A caller with a token.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    pub token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub json: Value,
    pub text: String,
}

pub fn module() -> PathBuf {
    std::env::var_os("USERSECRET_HSM__MODULE")
        .map_or_else(|| "/usr/lib/softhsm/libsofthsm2.so".into(), PathBuf::from)
}

fn settings() -> Settings {
    Settings {
        module: module(),
        token_label: "usersecret-test".to_owned(),
        pin: Pin::new(PIN.to_owned()),
        profile: Profile::SOFTHSM,
        queue: 1024,
        deadline: Duration::from_secs(20),
        kek_handles: 16,
    }
}

/// PKCS#11 initializes once in a process, so all tests share one engine.
pub fn engine() -> Hsm {
    static HSM: OnceLock<Mutex<Hsm>> = OnceLock::new();
    let hsm = HSM.get_or_init(|| {
        let conf = PathBuf::from(std::env::var_os("SOFTHSM2_CONF").expect(".cargo/config.toml"));
        let dir = conf.parent().unwrap();
        fs::create_dir_all(dir).unwrap();
        let lock = File::create(dir.join("lock")).unwrap();
        lock.lock().unwrap();
        if !dir.join("ready").exists() {
            let _ = fs::remove_dir_all(dir.join("tokens"));
            let made = settings();
            hsm::create_token(&made.module, dir, &made.token_label, &made.pin).unwrap();
            hsm::create_keys(&made, None).unwrap();
            fs::write(dir.join("ready"), "").unwrap();
        }
        // A token that older tests made has none.
        hsm::ensure_signing_key(&settings()).unwrap();
        Mutex::new(Hsm::start(settings()).unwrap())
    });
    hsm.lock().unwrap().clone()
}

pub fn new_key() -> EncodingKey {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let random = aws_lc_rs::rand::SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pem = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
    EncodingKey::from_ec_pem(pem.as_bytes()).unwrap()
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with_seams(Seams::default()).await
    }

    pub async fn with_seams(seams: Seams) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = new_key();
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("k1".to_owned());
        let jwks = dir.path().join("jwks.json");
        fs::write(&jwks, json!({ "keys": [jwk] }).to_string()).unwrap();
        let entry = |iss: &str, domains: &str, roles: &str| {
            format!(
                "[[auth.issuers]]\niss = \"{iss}\"\njwks_file = {:?}\nalgorithms = [\"ES256\"]\n\
                 audiences = [\"usersecret\"]\ndomains = [{domains}]\nroles = [{roles}]\n",
                jwks.display().to_string()
            )
        };
        let toml = format!(
            "[database]\nurl = \"sqlite://{}\"\n{}{}{}",
            dir.path().join("us.db").display(),
            entry(ISS, "\"*\"", "\"USER\", \"DOMAIN_ADMIN\", \"SYSTEM\""),
            entry("https://sole.test", "\"sole\"", "\"USER\""),
            entry("https://other.test", "\"globex\"", "\"USER\", \"SYSTEM\""),
        );
        let config = Config::from_toml(&toml).unwrap();
        store::migrate(&config.database.settings().unwrap()).await.unwrap();
        let app = App::build(&config, engine(), seams).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = app.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, dir, key }
    }

    pub fn claims(&self, domain: &str, user: &str, role: &str) -> Value {
        let exp = jsonwebtoken::get_current_timestamp() + 600;
        json!({ "iss": ISS, "aud": "usersecret", "exp": exp, "domain_id": domain, "sub": user, "role": role })
    }

    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k1".to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    pub fn with_token(&self, token: Option<String>) -> Client {
        Client { url: self.url.clone(), token }
    }

    pub fn caller(&self, domain: &str, user: &str, role: &str) -> Client {
        self.with_token(Some(self.sign(&self.claims(domain, user, role))))
    }

    pub fn user(&self, user: &str) -> Client {
        self.caller("acme", user, "USER")
    }

    pub fn system(&self) -> Client {
        self.caller("acme", "", "SYSTEM")
    }

    pub fn database_file(&self) -> PathBuf {
        self.dir.path().join("us.db")
    }

    /// A connection of the attacker's, beside the service.
    pub async fn sql(&self, statements: &[String]) {
        use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};
        let mut options =
            ConnectOptions::new(format!("sqlite://{}", self.database_file().display()));
        options.max_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await.unwrap();
        connection.execute_unprepared("PRAGMA foreign_keys = OFF").await.unwrap();
        for statement in statements {
            connection.execute_unprepared(statement).await.unwrap();
        }
        connection.close().await.unwrap();
    }
}

impl Client {
    pub fn request(&self) -> reqwest::RequestBuilder {
        let request = reqwest::Client::new().post(format!("{}/graphql", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, body: &Value) -> Answer {
        Answer::of(self.request().json(body).send().await.unwrap()).await
    }

    pub async fn gql(&self, query: &str, variables: Value) -> Answer {
        self.send(&json!({ "query": query, "variables": variables })).await
    }

    pub async fn create(&self, name: &str) -> String {
        self.create_with(json!({ "name": name, "data": { "key": format!("data of {name}") } }))
            .await
            .at("/data/createUserSecret/userSecret/userSecretId")
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub async fn create_with(&self, input: Value) -> Answer {
        let query = "mutation($i: CreateUserSecretInput!) { createUserSecret(input: $i) { userSecret {
            userSecretId name tags schemaId provider version revision expiresAt userId domainId } } }";
        self.gql(query, json!({ "i": input })).await
    }

    pub async fn update(&self, input: Value) -> Answer {
        let query =
            "mutation($i: UpdateUserSecretInput!) { updateUserSecret(input: $i) { userSecret {
            name tags version revision expiresAt } } }";
        self.gql(query, json!({ "i": input })).await
    }

    pub async fn update_data(&self, input: Value) -> Answer {
        let query = "mutation($i: UpdateUserSecretDataInput!) { updateUserSecretData(input: $i) { userSecret {
            version revision schemaId } } }";
        self.gql(query, json!({ "i": input })).await
    }

    pub async fn delete(&self, input: Value) -> Answer {
        let query =
            "mutation($i: DeleteUserSecretInput!) { deleteUserSecret(input: $i) { userSecretId } }";
        self.gql(query, json!({ "i": input })).await
    }

    pub async fn get(&self, id: &str) -> Answer {
        self.gql("query($id: ID!) { userSecret(userSecretId: $id) { name } }", json!({ "id": id }))
            .await
    }

    pub async fn reveal(&self, domain: &str, id: &str, version: Option<i32>) -> Answer {
        let query = "query($d: ID!, $id: ID!, $v: Int) {
            userSecretData(userSecretId: $id, domainId: $d, version: $v) { data version encrypted encryptOptions } }";
        self.gql(query, json!({ "d": domain, "id": id, "v": version })).await
    }
}

impl Answer {
    pub async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        Self { status, json: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    pub fn code(&self) -> &str {
        self.json.pointer("/errors/0/extensions/code").and_then(Value::as_str).unwrap_or("OK")
    }

    pub fn message(&self) -> &str {
        self.json.pointer("/errors/0/message").and_then(Value::as_str).unwrap_or("")
    }

    pub fn at(&self, pointer: &str) -> &Value {
        self.json.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {}", self.text))
    }
}

/// Whether `needle` stands anywhere below `dir`.
pub fn found_in(dir: &Path, needle: &str) -> Vec<PathBuf> {
    let mut hits = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            hits.extend(found_in(&path, needle));
        } else if let Ok(bytes) = fs::read(&path)
            && bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
        {
            hits.push(path);
        }
    }
    hits
}
