//! The token is lost: its root comes back out of a copy, on another token, and the database out of a backup.

mod faults;
mod roots;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use jsonwebtoken::EncodingKey;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use usersecret::config::Config;

use crate::{
    birth::kit::Token,
    support::{
        Client, ISS, TestDatabase, claims, eventually, jwks_of, module, new_key, on_postgres,
        sign_by, sql_bytes,
    },
};

const OAEP: [&str; 4] = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha1"];

/// Runs `openssl`, which hands on what it makes of `input`.
fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut running = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    running.stdin.take().unwrap().write_all(input).unwrap();
    let done = running.wait_with_output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// A key pair that is kept offline, in files of `dir`: what it publishes, and what it opens.
pub fn offline_key(dir: &Path) -> [String; 2] {
    let [private, public] =
        ["recovery.pem", "recovery.pub"].map(|name| dir.join(name).display().to_string());
    let kind = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"];
    openssl(&[&kind[..], &["-out", &private]].concat(), &[]);
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &public], &[]);
    [private, public]
}

/// Prepares `token` to receive a root; the file that has its key.
fn receive(token: &Token) -> String {
    let public = token.path("receiving.pub");
    fs::write(&public, token.good(["hsm", "receive"], &[])).unwrap();
    public
}

/// Has `token` make its keys, with a copy of the root for the key in each file; what it says of the root.
fn init(token: &Token, keys: &[(&str, &str)]) -> String {
    let copies: Vec<&str> = keys
        .iter()
        .flat_map(|(key, out)| ["--recovery-public-key", *key, "--recovery-out", *out])
        .collect();
    check_value(&token.good(["hsm", "init"], &copies)).to_owned()
}

fn check_value(said: &str) -> &str {
    &said.split_once("check value ").unwrap_or_else(|| panic!("{said}")).1[..16]
}

/// The service as it is installed: a token, a database, an issuer.
struct Site {
    token: Token,
    database: TestDatabase,
    key: EncodingKey,
}

/// The program, which does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.0.wait();
    }
}

impl Site {
    fn new(token: Token, database: TestDatabase, key: EncodingKey) -> Self {
        let jwks = token.path("jwks.json");
        fs::write(&jwks, jwks_of(&key)).unwrap();
        token.configure(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"\"\n\
             [audit]\nseal_interval_ms = 20\nbeat_interval_ms = 50\nsilence_ms = 300\n\
             [[auth.issuers]]\niss = \"{ISS}\"\njwks_file = {jwks:?}\nalgorithms = [\"ES256\"]\n\
             audiences = [\"usersecret\"]\ndomains = [\"*\"]\nroles = [\"USER\", \"SYSTEM\"]\n\
             [database]\n{}",
            database.toml
        ));
        Self { token, database, key }
    }

    fn serve(&self) -> (Running, String) {
        let mut running = Running(
            Command::new(env!("CARGO_BIN_EXE_usersecret"))
                .args(["serve", "--config", &self.token.path("config.toml")])
                .env("USERSECRET_HSM__MODULE", module())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let mut line = String::new();
        BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (running, line.trim().strip_prefix("listening on ").unwrap().to_owned())
    }

    fn caller(&self, url: &str, domain: &str, role: &str) -> Client {
        let token = sign_by(&self.key, &claims(domain, "ann", role));
        Client { url: url.to_owned(), token: Some(token) }
    }

    /// Whether `audit verify` finds the trail whole, by these public keys.
    fn is_sound(&self, keys: &[&str]) -> bool {
        let keys: Vec<&str> = keys.iter().flat_map(|key| ["--public-key", *key]).collect();
        self.token.run(["audit", "verify"], &keys).status.success()
    }

    /// Writes the token's public key down; the file that has it.
    fn public_key(&self) -> String {
        let file = self.token.path("signing.pub");
        fs::write(&file, self.token.good(["audit", "public-key"], &[])).unwrap();
        file
    }
}

/// Another database that has what `database` has, by the means that operators have.
async fn backup(database: &TestDatabase, dir: &Path) -> TestDatabase {
    if on_postgres() {
        let owner = |database: &TestDatabase| {
            let toml = format!("[database]\n{}", database.toml);
            Config::from_toml(&toml).unwrap().database.admin_url
        };
        let (file, new) = (dir.join("dump"), TestDatabase::on_cluster("").await);
        postgres_tool(
            "pg_dump",
            &["--format=custom", "--enable-row-security", "--dbname", &owner(database)],
            &file,
        );
        postgres_tool("pg_restore", &["--exit-on-error", "--dbname", &owner(&new)], &file);
        return new;
    }
    let file = dir.join("backup.db");
    let connection = database.connect().await;
    let copy = format!("VACUUM INTO '{}'", file.display());
    connection.execute_unprepared(&copy).await.unwrap();
    connection.close().await.unwrap();
    let url = format!("sqlite://{}", file.display());
    TestDatabase { toml: format!("url = {url:?}\n"), admin_url: url }
}

fn postgres_tool(tool: &str, arguments: &[&str], file: &Path) {
    let mut command =
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres.sh"));
    command.args(["tool", tool]).args(arguments);
    let file = match tool {
        "pg_dump" => command.arg("--file").arg(file),
        _ => command.arg(file),
    };
    let done = file.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// What a secret is in: its domain, its id, its data.
type Secret = (&'static str, String, Value);

async fn create(site: &Site, url: &str, domain: &'static str, name: &str) -> Secret {
    let id = site.caller(url, domain, "USER").create(name).await;
    (domain, id, json!({ "key": format!("data of {name}") }))
}

async fn assert_reveals(site: &Site, url: &str, secrets: &[Secret]) {
    for (domain, id, data) in secrets {
        let answer = site.caller(url, domain, "SYSTEM").reveal(domain, id, None).await;
        assert_eq!(answer.at("/data/userSecretData/data"), data);
    }
}

/// How the root comes to the new token.
#[derive(PartialEq)]
enum Way {
    /// It stood ready when the root was born.
    Second,
    /// It was bought when the old one was lost.
    Offline,
}

async fn drill(way: Way) {
    let dir = tempfile::tempdir().unwrap();
    let [private, public] = offline_key(dir.path());
    let database = TestDatabase::create(dir.path()).await;
    let lost = Site::new(Token::new(), database, new_key());
    let second = Token::new();
    let file = |name: &str| dir.path().join(name).display().to_string();

    // Birth, with two copies.
    let (offline_copy, second_copy) = (file("root.offline"), file("root.second"));
    let second_key = receive(&second);
    let born = init(&lost.token, &[(&public, &offline_copy), (&second_key, &second_copy)]);
    lost.token.good(["migrate"], &[]);
    let doctor = lost.token.good(["hsm", "doctor"], &[]);
    assert!(doctor.contains("✔ recovery copies of version 1: 2 made at its birth"), "{doctor}");
    let old_key = lost.public_key();
    let old_key_kept = file("old.pub");
    fs::copy(old_key, &old_key_kept).unwrap();

    // A life, and a backup in the midst of it.
    let (running, url) = lost.serve();
    let mut secrets = Vec::new();
    for n in 0..5 {
        secrets.push(create(&lost, &url, "acme", &format!("a{n}")).await);
        secrets.push(create(&lost, &url, "globex", &format!("g{n}")).await);
    }
    let copy = backup(&lost.database, dir.path()).await;
    drop(running);
    let doctor = lost.token.good(["hsm", "doctor"], &[]);
    assert!(doctor.contains("✔ domain keys     their roots open 2 that were taken"), "{doctor}");

    // The token is lost, and the database with it.
    let key = lost.key.clone();
    drop(lost);
    let (token, root) = match way {
        Way::Second => (second, second_copy),
        Way::Offline => {
            let (token, root) = (Token::new(), file("root.new"));
            let (from, to) = (offline_copy, receive(&token));
            let decrypt = ["pkeyutl", "-decrypt", "-inkey", &private, "-in", &from];
            let plain = openssl(&[&decrypt[..], &OAEP].concat(), &[]);
            let encrypt = ["pkeyutl", "-encrypt", "-pubin", "-inkey", &to, "-out", &root];
            openssl(&[&encrypt[..], &OAEP].concat(), &plain);
            (token, root)
        }
    };
    let site = Site::new(token, copy, key);
    site.token.good(["migrate"], &[]);
    site.token.visit("look-receiving");
    let said = site.token.good(["hsm", "restore"], &[&root]);
    assert!(said.contains("the copy opens the 2 keys of domains that were tried"), "{said}");
    assert!(said.contains("a new signing key is made"), "{said}");
    assert!(said.contains("the receiving key is destroyed"), "{said}");
    assert_eq!(check_value(&said), born);
    site.token.visit("look-root");
    let doctor = site.token.good(["hsm", "doctor"], &[]);
    assert!(doctor.contains("✔ domain keys     their roots open 2 that were taken"), "{doctor}");
    assert!(doctor.contains("! recovery copies of version 1: the token knows of none"), "{doctor}");
    assert!(!doctor.contains("receiving key"), "{doctor}");
    assert_eq!(check_value(&doctor), born);

    // Life goes on.
    let (running, url) = site.serve();
    assert_reveals(&site, &url, &secrets).await;
    for domain in ["acme", "globex", "initech"] {
        secrets.push(create(&site, &url, domain, "new").await);
    }
    let new_key = site.public_key();
    eventually("the trail is sealed", async || site.is_sound(&[&old_key_kept, &new_key])).await;
    assert!(!site.is_sound(&[&new_key]));
    assert!(!site.is_sound(&[&old_key_kept]));
    drop(running);
    let (_running, url) = site.serve();
    assert_reveals(&site, &url, &secrets).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_token_takes_the_place_of_the_first() {
    drill(Way::Second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_key_brings_the_root_to_a_new_token() {
    drill(Way::Offline).await;
}
