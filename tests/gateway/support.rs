//! The kit: a scenario is three lines long.
//!
//! Every scenario has a database of its own: SQLite, or with
//! `TEST_DATABASE=postgres` one on the PostgreSQL of `scripts/postgres.sh`.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, OnceLock},
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, Statement};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use usersecret::{
    app::{App, Core, Seams, StartError},
    config::Config,
    hsm::{self, Hsm, Isolation, Profile, Settings},
    server::{Certificates, Server},
    transfer::{Import, Tally},
    upkeep,
};

pub const ISS: &str = "https://idp.test";
const PIN: &str = "canary-pin-7391";

/// A running service with a database of its own, on the process's one HSM.
pub struct TestApp {
    pub url: String,
    pub dir: tempfile::TempDir,
    pub key: EncodingKey,
    pub database: TestDatabase,
    pub config: Config,
    app: App,
    stop: tokio::sync::oneshot::Sender<()>,
    server: tokio::task::JoinHandle<()>,
}

/// A database, for whoever needs to look behind the service.
#[derive(Clone)]
pub struct TestDatabase {
    /// What the service is told of it.
    pub toml: String,
    /// Where an attacker who got everywhere reads and writes.
    pub admin_url: String,
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

fn test_pin() -> PathBuf {
    let conf = PathBuf::from(std::env::var_os("SOFTHSM2_CONF").expect(".cargo/config.toml"));
    conf.with_file_name("pin")
}

fn settings() -> Settings {
    Settings {
        module: module(),
        token_label: "usersecret-test".to_owned(),
        init_args: String::new(),
        pin_file: test_pin(),
        profile: Profile::SOFTHSM,
        isolation: Isolation::Thread,
        sessions: 0,
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
        fs::write(test_pin(), PIN).unwrap();
        if !dir.join("ready").exists() {
            let _ = fs::remove_dir_all(dir.join("tokens"));
            let made = settings();
            hsm::create_token(&made, dir).unwrap();
            hsm::create_keys(&made, &[]).unwrap();
            fs::write(dir.join("ready"), "").unwrap();
        }
        // A token that older tests made has none.
        hsm::ensure_signing_key(&settings()).unwrap();
        Mutex::new(Hsm::start(&settings()).unwrap())
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

/// A key as the original's domains have one.
pub fn rsa_key() -> EncodingKey {
    use aws_lc_rs::{
        encoding::{AsDer as _, Pkcs8V1Der},
        rsa::{KeyPair, KeySize},
    };
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()));
    EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
}

/// What an issuer with `key` publishes.
pub fn jwks_of(key: &EncodingKey) -> String {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("k1".to_owned());
    json!({ "keys": [jwk] }).to_string()
}

pub fn claims(domain: &str, user: &str, role: &str) -> Value {
    let exp = jsonwebtoken::get_current_timestamp() + 600;
    json!({ "iss": ISS, "aud": "usersecret", "exp": exp, "domain_id": domain, "sub": user, "role": role })
}

pub fn sign_by(key: &EncodingKey, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("k1".to_owned());
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

impl TestApp {
    pub async fn start() -> Self {
        Self::with_seams(Seams::default()).await
    }

    pub async fn with_seams(seams: Seams) -> Self {
        Self::with(seams, "").await
    }

    /// With lines of configuration in front of the usual ones.
    pub async fn with(seams: Seams, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = TestDatabase::create(dir.path()).await;
        Self::on(dir, database, seams, more).await
    }

    /// Another replica on the same database, with the same configuration.
    pub async fn replica(&self) -> Self {
        let (database, config) = (self.database.clone(), self.config.clone());
        let dir = tempfile::tempdir().unwrap();
        Self::run(dir, database, config, self.key.clone(), Seams::default()).await
    }

    pub async fn on(
        dir: tempfile::TempDir,
        database: TestDatabase,
        seams: Seams,
        more: &str,
    ) -> Self {
        let key = new_key();
        let jwks = dir.path().join("jwks.json");
        fs::write(&jwks, jwks_of(&key)).unwrap();
        let entry = |iss: &str, domains: &str, roles: &str| {
            format!(
                "[[auth.issuers]]\niss = \"{iss}\"\njwks_file = {:?}\nalgorithms = [\"ES256\"]\n\
                 audiences = [\"usersecret\"]\ndomains = [{domains}]\nroles = [{roles}]\n",
                jwks.display().to_string()
            )
        };
        let toml = format!(
            "{more}\n[database]\n{}{}{}{}",
            database.toml,
            entry(ISS, "\"*\"", "\"USER\", \"DOMAIN_ADMIN\", \"SYSTEM\""),
            entry("https://sole.test", "\"sole\"", "\"USER\""),
            entry("https://other.test", "\"globex\"", "\"USER\", \"SYSTEM\""),
        );
        let config = Config::from_toml(&toml).unwrap();
        usersecret::database::migrate(&config.database.settings().unwrap()).await.unwrap();
        Self::run(dir, database, config, key, seams).await
    }

    async fn run(
        dir: tempfile::TempDir,
        database: TestDatabase,
        config: Config,
        key: EncodingKey,
        seams: Seams,
    ) -> Self {
        let app = App::build(&config, engine(), seams).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = app.router().into_make_service_with_connect_info::<SocketAddr>();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let server = tokio::spawn(async move {
            let stopped = async { stopped.await.unwrap_or(()) };
            axum::serve(listener, service).with_graceful_shutdown(stopped).await.unwrap();
        });
        Self { url, dir, key, database, config, app, stop, server }
    }

    /// Opens the listeners that the configuration names, as `serve` does.
    pub async fn listen(&self) -> Result<Server, StartError> {
        Server::start(&self.config, Certificates::load(&self.config).await?, &self.app)
    }

    /// Begins the end: what asks for its health learns of it.
    pub async fn retire(&self) {
        self.app.retire().await;
    }

    /// Brings `lines` in beside the service, as `usersecret import` does.
    pub async fn import(&self, lines: &[Value]) -> Tally {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let core = Core::build(&self.config, engine(), Seams::default()).await.unwrap();
        let import = Import {
            service: core.secrets.clone(),
            run: upkeep::new_run().unwrap(),
            first: 1,
            line_bytes: self.config.limits.body_bytes,
            in_flight: 64,
            stop: CancellationToken::new(),
        };
        let input = std::io::Cursor::new(text.into_bytes());
        let (tally, readable) = import.run(input, |_| {}).await;
        readable.unwrap();
        drop(import);
        core.drain().await;
        tally
    }

    /// Brings `lines` in, all of them.
    pub async fn import_all(&self, lines: &[Value]) {
        let stored = u64::try_from(lines.len()).unwrap();
        assert_eq!(self.import(lines).await, Tally { stored, ..Tally::default() });
    }

    /// Ends the service as SIGTERM does.
    pub async fn drain(self) -> (tempfile::TempDir, TestDatabase, Config) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap();
        self.app.drain().await;
        (self.dir, self.database, self.config)
    }

    pub fn claims(&self, domain: &str, user: &str, role: &str) -> Value {
        claims(domain, user, role)
    }

    pub fn sign(&self, claims: &Value) -> String {
        sign_by(&self.key, claims)
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

    /// Runs statements as an attacker would who got into the database.
    pub async fn sql(&self, statements: &[String]) {
        let connection = self.database.connect().await;
        let unchecked = if on_postgres() {
            "SET session_replication_role = replica"
        } else {
            "PRAGMA foreign_keys = OFF"
        };
        connection.execute_unprepared(unchecked).await.unwrap();
        for statement in statements {
            connection.execute_unprepared(statement).await.unwrap();
        }
        connection.close().await.unwrap();
    }
}

/// Whether this process tests on PostgreSQL.
pub fn on_postgres() -> bool {
    crate::POSTGRES_ONLY || std::env::var_os("TEST_DATABASE").is_some_and(|name| name == "postgres")
}

/// `bytes` as SQL writes them.
pub fn sql_bytes(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if on_postgres() { format!("'\\x{digits}'::bytea") } else { format!("X'{digits}'") }
}

impl TestDatabase {
    pub async fn create(dir: &Path) -> Self {
        if on_postgres() {
            return Self::on_cluster("").await;
        }
        let url = format!("sqlite://{}", dir.join("us.db").display());
        Self { toml: format!("url = {url:?}\n"), admin_url: url }
    }

    /// A database of its own on the PostgreSQL called `name`, with an owner and a service's role.
    pub async fn on_cluster(name: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let admin_url = postgres("start", name);
        let database = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let connection = connect(&admin_url).await;
        // Roles belong to the whole cluster, and other processes test on it too.
        let roles = "DO $$ BEGIN
            PERFORM pg_advisory_xact_lock(1);
            IF to_regrole('test_owner') IS NULL THEN
                CREATE ROLE test_owner LOGIN PASSWORD 'canary-password-1';
                CREATE ROLE test_service LOGIN PASSWORD 'canary-password-2';
            END IF;
        END $$";
        connection.execute_unprepared(roles).await.unwrap();
        let create = format!("CREATE DATABASE {database} OWNER test_owner");
        connection.execute_unprepared(&create).await.unwrap();
        connection.close().await.unwrap();
        let of = |role: &str| {
            admin_url
                .replace("//postgres@", &format!("//{role}@"))
                .replace("localhost/postgres", &format!("localhost/{database}"))
        };
        let toml = format!(
            "url = {:?}\nadmin_url = {:?}\n",
            of("test_service:canary-password-2"),
            of("test_owner:canary-password-1")
        );
        Self { toml, admin_url: of("postgres") }
    }

    pub async fn connect(&self) -> DatabaseConnection {
        connect(&self.admin_url).await
    }

    /// The only value of the only row that `query` gives.
    pub async fn value<T: sea_orm::TryGetable>(&self, query: &str) -> T {
        let connection = self.connect().await;
        let statement = Statement::from_string(connection.get_database_backend(), query);
        let row = connection.query_one_raw(statement).await.unwrap().unwrap();
        let value = row.try_get_by_index(0).unwrap();
        connection.close().await.unwrap();
        value
    }
}

pub async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// What `scripts/postgres.sh` prints when it is told to do `verb` with the PostgreSQL called `name`.
pub fn postgres(verb: &str, name: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres.sh");
    let output = std::process::Command::new(script).arg(verb).env("NAME", name).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Made once, because that takes longer than a request. It keeps no connection: each test has a runtime of its own.
static HTTP: LazyLock<reqwest::Client> =
    LazyLock::new(|| reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap());

impl Client {
    pub fn request(&self) -> reqwest::RequestBuilder {
        let request = HTTP.post(format!("{}/graphql", self.url));
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

/// Waits until it is `done`, for as long as anybody would.
pub async fn eventually(what: &str, done: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}
