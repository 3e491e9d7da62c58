//! The service behind real HTTP, with a database and issuers of its own.

use std::{fmt::Write as _, fs};

use serde_json::{Value, json};
use tempfile::TempDir;
use usersecret::{
    app::{App, Seams},
    config::Config,
    store::migrate,
};

use super::{
    Client, Sqlite, hsm,
    token::{AUDIENCE, TestIssuer},
};

/// The domain of everybody who is not from elsewhere.
pub const HOME: &str = "acme";
/// The other domain.
pub const ELSEWHERE: &str = "globex";

/// A running service.
pub struct TestApp {
    pub origin: String,
    /// Speaks for every domain, in every role.
    pub main: TestIssuer,
    /// Speaks for home and elsewhere, and may not give SYSTEM.
    pub people: TestIssuer,
    /// Gives SYSTEM elsewhere, and only there.
    pub robots: TestIssuer,
    /// Two entries with one `iss`: this one for home alone.
    pub shared_home: TestIssuer,
    /// And this one for all others.
    pub shared_rest: TestIssuer,
    dir: TempDir,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with("", Seams::default()).await
    }

    /// Starts with `settings`, sections of TOML, and `seams`.
    pub async fn start_with(settings: &str, seams: Seams) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let main = TestIssuer::new("https://idp.test", "main");
        let people = TestIssuer::new("https://people.test", "people");
        let robots = TestIssuer::new("https://robots.test", "robots");
        let shared_home = TestIssuer::new("https://shared.test", "home");
        let shared_rest = TestIssuer::new("https://shared.test", "rest");
        let all = r#"["USER", "DOMAIN_ADMIN", "SYSTEM"]"#;
        let people_only = r#"["USER", "DOMAIN_ADMIN"]"#;
        let entries = [
            (&main, r#"["*"]"#, all),
            (&people, r#"["acme", "globex"]"#, people_only),
            (&robots, r#"["globex"]"#, all),
            (&shared_home, r#"["acme"]"#, people_only),
            (&shared_rest, r#"["*"]"#, people_only),
        ];

        let database = dir.path().join("usersecret.db");
        let mut text = format!("[database]\nurl = \"sqlite://{}\"\n{settings}\n", database.display());
        for (issuer, domains, roles) in entries {
            let file = dir.path().join(format!("{}.json", issuer.kid));
            fs::write(&file, issuer.jwks()).unwrap();
            writeln!(
                text,
                "[[auth.issuers]]\niss = {:?}\njwks_file = {:?}\nalgorithms = [\"ES256\"]\n\
                 audiences = [{AUDIENCE:?}]\ndomains = {domains}\nroles = {roles}",
                issuer.iss,
                file.display().to_string(),
            )
            .unwrap();
        }
        let config = Config::from_toml(&text).unwrap();
        migrate(&config.database.settings().unwrap()).await.unwrap();
        let app = App::build(&config, hsm::engine(), seams).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app.router()).await.unwrap() });
        Self { origin, main, people, robots, shared_home, shared_rest, dir }
    }

    /// A caller with `token`.
    pub fn client(&self, token: Option<String>) -> Client {
        Client::new(format!("{}/graphql", self.origin), token)
    }

    /// A caller whom the main issuer vouches for.
    pub fn caller(&self, claims: &Value) -> Client {
        self.client(Some(self.main.sign(claims)))
    }

    /// A user at home.
    pub fn user(&self, name: &str) -> Client {
        self.caller(&self.main.claims(HOME, Some(name), "USER"))
    }

    /// A user at home whose token has this `scope`.
    pub fn user_with_scope(&self, name: &str, scope: &str) -> Client {
        let mut claims = self.main.claims(HOME, Some(name), "USER");
        claims["scope"] = json!(scope);
        self.caller(&claims)
    }

    /// A user of the same name elsewhere.
    pub fn stranger(&self, name: &str) -> Client {
        self.caller(&self.main.claims(ELSEWHERE, Some(name), "USER"))
    }

    /// An administrator of `domain`.
    pub fn admin(&self, domain: &str) -> Client {
        self.caller(&self.main.claims(domain, Some("boss"), "DOMAIN_ADMIN"))
    }

    /// A system at home that reaches every domain.
    pub fn system(&self) -> Client {
        self.caller(&self.main.claims(HOME, None, "SYSTEM"))
    }

    /// A system that reaches the other domain only.
    pub fn far_system(&self) -> Client {
        self.client(Some(self.robots.sign(&self.robots.claims(ELSEWHERE, None, "SYSTEM"))))
    }

    /// Somebody without a token.
    pub fn nobody(&self) -> Client {
        self.client(None)
    }

    /// The database, behind the service's back.
    pub async fn database(&self) -> Sqlite {
        Sqlite::open(&self.dir.path().join("usersecret.db")).await
    }
}
