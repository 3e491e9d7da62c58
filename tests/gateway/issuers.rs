//! Issuers that publish their keys, and issuers that write their claims in other ways.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use axum::{Router, http::StatusCode, response::IntoResponse as _, routing::get};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use usersecret::{
    app::Seams,
    auth::{Issuer, KeyFetcher},
    config::Config,
};

use crate::support::{Answer, TestApp, new_key};

/// A provider that publishes keys, as it is told.
#[derive(Clone)]
struct Provider {
    url: String,
    says: Arc<Mutex<(u16, String, Duration)>>,
    asked: Arc<AtomicUsize>,
}

fn key_set(keys: &[(&str, &EncodingKey, Algorithm)]) -> String {
    let keys: Vec<Jwk> = keys
        .iter()
        .map(|(kid, key, algorithm)| {
            let mut jwk = Jwk::from_encoding_key(key, *algorithm).unwrap();
            jwk.common.key_id = Some((*kid).to_owned());
            jwk
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

impl Provider {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let says = Arc::new(Mutex::new((500, String::new(), Duration::ZERO)));
        let asked = Arc::new(AtomicUsize::new(0));
        let (told, count) = (Arc::clone(&says), Arc::clone(&asked));
        let answer = move || {
            let (status, text, delay) = told.lock().unwrap().clone();
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(delay).await;
                let location = [("location", "/elsewhere")];
                (StatusCode::from_u16(status).unwrap(), location, text).into_response()
            }
        };
        let router = Router::new().route("/jwks", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, says, asked }
    }

    fn say(&self, status: u16, text: String, delay: Duration) {
        *self.says.lock().unwrap() = (status, text, delay);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn entry(iss: &str, keys: &str, more: &str) -> String {
    format!("[[auth.issuers]]\niss = {iss:?}\n{keys}\ndomains = [\"*\"]\n{more}\n")
}

fn sign(key: &EncodingKey, algorithm: Algorithm, kid: &str, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

async fn viewer(app: &TestApp, token: String) -> Answer {
    app.with_token(Some(token))
        .gql("{ viewer { domainId userId role permissions } }", json!({}))
        .await
}

const ES256: &str = "algorithms = [\"ES256\"]\naudiences = [\"usersecret\"]";

#[tokio::test]
async fn published_keys_are_fetched_and_outlive_their_provider() {
    let (provider, slow) = (Provider::start().await, Provider::start().await);
    let toml = format!(
        "[auth]\njwks_fresh_ms = 100\njwks_pause_ms = 300\n{}{}",
        entry("https://a.test", &format!("jwks_url = {:?}", provider.url), ES256),
        entry("https://b.test", &format!("jwks_url = {:?}", slow.url), ES256),
    );
    let app = TestApp::with(Seams::default(), &toml).await;
    let (first, second) = (new_key(), new_key());
    let claims = |iss: &str| {
        let mut claims = app.claims("acme", "ann", "USER");
        claims["iss"] = json!(iss);
        claims["jti"] = json!(rand_id());
        claims
    };
    let token =
        |key: &EncodingKey, kid: &str| sign(key, Algorithm::ES256, kid, &claims("https://a.test"));
    let pause = || tokio::time::sleep(Duration::from_millis(320));

    // Away, redirected, too long, of a wrong kind: nobody gets in.
    let good = key_set(&[("1", &first, Algorithm::ES256)]);
    let padded = format!("{good}{}", " ".repeat(70_000));
    let oct = json!({ "keys": [{ "kty": "oct", "kid": "1", "alg": "HS256", "k": "AAAA" }] });
    for (status, text) in [(500, &good), (302, &good), (200, &padded), (200, &oct.to_string())] {
        provider.say(status, text.clone(), Duration::ZERO);
        assert_eq!(viewer(&app, token(&first, "1")).await.code(), "UNAUTHENTICATED", "{status}");
        pause().await;
    }
    provider.say(200, good, Duration::ZERO);
    let believed = token(&first, "1");
    assert_eq!(viewer(&app, believed.clone()).await.code(), "OK");

    // Rotated: a new kid is fetched, and one that nobody has is looked for once in a pause.
    provider.say(200, key_set(&[("2", &second, Algorithm::ES256)]), Duration::ZERO);
    pause().await;
    assert_eq!(viewer(&app, token(&second, "2")).await.code(), "OK");
    let before = provider.asked();
    for _ in 0..20 {
        assert_eq!(viewer(&app, token(&second, "3")).await.code(), "UNAUTHENTICATED");
    }
    assert!(provider.asked() < before + 20, "{} attempts", provider.asked() - before);
    // A key that is published no longer is believed no longer, nor is what it was believed for.
    assert_eq!(viewer(&app, believed).await.code(), "UNAUTHENTICATED");
    assert_eq!(viewer(&app, token(&first, "1")).await.code(), "UNAUTHENTICATED");

    // Who hangs up does not undo the pause.
    provider.say(200, key_set(&[("2", &second, Algorithm::ES256)]), Duration::from_millis(400));
    pause().await;
    let before = provider.asked();
    for _ in 0..10 {
        let hasty = Duration::from_millis(150);
        let _ = tokio::time::timeout(hasty, viewer(&app, token(&second, "4"))).await;
    }
    assert!(provider.asked() <= before + 5, "{} attempts", provider.asked() - before);
    tokio::time::sleep(Duration::from_millis(700)).await;

    // Away: what is known holds on, also when it is old.
    provider.say(500, String::new(), Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..3 {
        assert_eq!(viewer(&app, token(&second, "2")).await.code(), "OK");
    }

    // A slow issuer holds up its own callers and nobody else.
    slow.say(200, key_set(&[("1", &first, Algorithm::ES256)]), Duration::from_secs(2));
    let waiting = sign(&first, Algorithm::ES256, "1", &claims("https://b.test"));
    let (slow_one, quick_ones) = tokio::join!(viewer(&app, waiting), async {
        let mut codes = Vec::new();
        for _ in 0..5 {
            codes.push(viewer(&app, token(&second, "2")).await.code().to_owned());
        }
        (codes, slow.asked())
    });
    assert_eq!(slow_one.code(), "OK");
    assert_eq!(quick_ones, (vec!["OK".to_owned(); 5], 1));
}

fn rand_id() -> String {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    usersecret::ids::hex(bytes)
}

#[tokio::test]
async fn other_providers_claims_are_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let key = new_key();
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, key_set(&[("1", &key, Algorithm::ES256)])).unwrap();
    let claims_of = "claims = { domain = \"/org/id\", user = \"/email\", role = \"/app~1role\" }";
    let keys = format!("jwks_file = {:?}\n{ES256}\n{claims_of}", file.display().to_string());
    let short = entry("https://short.test", &keys, "max_life_seconds = 100");
    let toml = entry("https://c.test", &keys, "roles = [\"USER\", \"DOMAIN_ADMIN\"]") + &short;
    let app = TestApp::with(Seams::default(), &toml).await;
    let exp = jsonwebtoken::get_current_timestamp() + 60;
    let base = json!({ "iss": "https://c.test", "aud": "usersecret", "exp": exp,
        "org": { "id": "acme" }, "email": "ann@example.com", "domain_id": "globex", "sub": "bob" });
    let with = |path: &str, value: Value| {
        let mut claims = base.clone();
        claims[path] = value;
        claims
    };
    let see = async |claims: &Value| viewer(&app, sign(&key, Algorithm::ES256, "1", claims)).await;
    let seen = see(&with("app/role", json!("DOMAIN_ADMIN"))).await;
    assert_eq!(seen.at("/data/viewer/domainId"), "acme");
    assert_eq!(seen.at("/data/viewer/userId"), "ann@example.com");
    assert_eq!(seen.at("/data/viewer/role"), "DOMAIN_ADMIN");
    let life = |begin: u64| {
        let mut claims = with("iat", json!(begin));
        claims["iss"] = json!("https://short.test");
        claims
    };
    assert_eq!(see(&life(exp - 100)).await.code(), "OK");
    assert_eq!(see(&life(exp - 101)).await.code(), "UNAUTHENTICATED");
    // A life that has not begun, or that ends before it begins, is none.
    for (begin, end) in [(4_102_444_800_u64, 4_102_444_800), (exp + 10, exp)] {
        let mut claims = life(begin);
        claims["exp"] = json!(end);
        assert_eq!(see(&claims).await.code(), "UNAUTHENTICATED", "{begin} to {end}");
    }
    assert_eq!(see(&with("iss", json!("https://short.test"))).await.code(), "UNAUTHENTICATED");
    for bad in [
        with("app/role", json!("SYSTEM")),
        with("app/role", json!(["USER"])),
        with("org", json!({ "id": null })),
        with("org", json!({})),
        with("org", json!("acme")),
        with("email", json!("")),
    ] {
        assert_eq!(see(&bad).await.code(), "UNAUTHENTICATED", "{bad}");
    }
}

#[tokio::test]
async fn the_originals_tokens_are_read_as_it_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()));
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let file = dir.path().join("jwks.json");
    std::fs::write(&file, key_set(&[("1", &key, Algorithm::RS256)])).unwrap();
    let keys = format!(
        "jwks_file = {:?}\nalgorithms = [\"RS256\"]\nclaims = \"cloudforet\"",
        file.display().to_string()
    );
    let toml =
        entry("spaceone.identity", &keys, "roles = [\"USER\", \"DOMAIN_ADMIN\", \"SYSTEM\"]");
    let app = TestApp::with(Seams::default(), &toml).await;
    let exp = jsonwebtoken::get_current_timestamp() + 60;
    let access = |more: Value| {
        let mut claims = json!({ "iss": "spaceone.identity", "typ": "ACCESS_TOKEN", "own": "USER",
            "did": "acme", "aud": "ann", "jti": rand_id(), "ver": "2.0", "exp": exp, "rol": "WORKSPACE_MEMBER" });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let see = async |claims: &Value| {
        viewer(&app, jsonwebtoken::encode(&Header::new(Algorithm::RS256), claims, &key).unwrap())
            .await
    };
    let ann = see(&access(json!({}))).await;
    assert_eq!(
        ann.at("/data/viewer"),
        &json!({ "domainId": "acme", "userId": "ann", "role": "USER",
            "permissions": ["secret:UserSecret.read", "secret:UserSecret.write"] })
    );
    let narrow = json!({ "permissions": ["identity:UserProfile", "secret:UserSecret.write"] });
    let mfa = see(&access(narrow)).await;
    assert_eq!(mfa.at("/data/viewer/permissions"), &json!(["secret:UserSecret.write"]));
    let none = see(&access(json!({ "permissions": ["identity:"] }))).await;
    assert_eq!(none.at("/data/viewer/permissions"), &json!([]));
    let admin =
        see(&access(json!({ "rol": "DOMAIN_ADMIN", "injected_params": { "user_id": "ann" } })))
            .await;
    assert_eq!(admin.at("/data/viewer/role"), "DOMAIN_ADMIN");

    for (more, code) in [
        (json!({ "own": "APP" }), "PERMISSION_DENIED"),
        (json!({ "rol": "SYSTEM_ADMIN" }), "PERMISSION_DENIED"),
        (json!({ "rol": null }), "PERMISSION_DENIED"),
        (json!({ "injected_params": { "user_id": "bob" } }), "PERMISSION_DENIED"),
        (json!({ "injected_params": { "domain_id": "globex" } }), "PERMISSION_DENIED"),
        (json!({ "injected_params": { "provider": 3 } }), "PERMISSION_DENIED"),
        (json!({ "injected_params": { "query": {} } }), "PERMISSION_DENIED"),
        (json!({ "injected_params": ["provider"] }), "UNAUTHENTICATED"),
        (json!({ "typ": "REFRESH_TOKEN" }), "UNAUTHENTICATED"),
        (json!({ "ver": "1.0" }), "UNAUTHENTICATED"),
        (json!({ "did": "" }), "UNAUTHENTICATED"),
        (json!({ "aud": ["ann"] }), "UNAUTHENTICATED"),
        (json!({ "permissions": [1] }), "UNAUTHENTICATED"),
        (json!({ "typ": "SYSTEM_TOKEN" }), "UNAUTHENTICATED"),
    ] {
        assert_eq!(see(&access(more.clone())).await.code(), code, "{more}");
    }
    let mut endless = access(json!({}));
    endless.as_object_mut().unwrap().remove("exp");
    assert_eq!(see(&endless).await.code(), "UNAUTHENTICATED");

    // What the token says counts, whatever the request says.
    let told = |parameters: Value| {
        let claims = access(json!({ "injected_params": parameters }));
        let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key);
        app.with_token(Some(token.unwrap()))
    };
    let named = told(json!({ "name": "told", "schema_id": "s", "workspace_id": "w" }));
    let id = named.create("asked").await;
    let other = app.user("ann").create("other").await;
    let ann = told(json!({ "user_secret_id": id }));
    let list = ann.gql("{ userSecrets { nodes { name schemaId } } }", json!({})).await;
    assert_eq!(list.at("/data/userSecrets/nodes"), &json!([{ "name": "told", "schemaId": "s" }]));
    let get = ann
        .gql("query($id: ID!) { userSecret(userSecretId: $id) { name } }", json!({ "id": other }))
        .await;
    assert_eq!(get.at("/data/userSecret/name"), "told");
    assert_eq!(ann.delete(json!({ "userSecretId": other })).await.code(), "OK");
    assert_eq!(ann.delete(json!({ "userSecretId": other })).await.code(), "NOT_FOUND");

    // A system's token needs no end, no role and no user, and acts where the operation says.
    let id = app.user("ann").create("aws").await;
    let system = json!({ "iss": "spaceone.identity", "typ": "SYSTEM_TOKEN", "did": "domain-root", "own": "SYSTEM" });
    let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &system, &key).unwrap();
    let system = app.with_token(Some(token));
    assert_eq!(system.reveal("acme", &id, None).await.code(), "OK");
    let nowhere = system.delete(json!({ "userSecretId": id })).await;
    assert_eq!(
        (nowhere.code(), nowhere.message().contains("domainId")),
        ("INVALID_ARGUMENT", true)
    );
    assert_eq!(system.delete(json!({ "userSecretId": id, "domainId": "acme" })).await.code(), "OK");
}

#[test]
fn contradictions_stop_the_start() {
    let refused = |more: &str| {
        let toml = format!("[[auth.issuers]]\niss = \"x\"\ndomains = [\"*\"]\n{more}");
        let config = Config::from_toml(&toml).unwrap();
        let fetcher = KeyFetcher::trusted(config.auth.rhythm(), None).unwrap();
        let error = Issuer::new(&config.auth.issuers[0], None, &fetcher);
        error.err().expect(more).to_string()
    };
    let url = "jwks_url = \"https://x.test\"";
    for (more, word) in [
        (ES256.to_owned(), "jwks"),
        (format!("{ES256}\njwks_url = \"http://x.test\""), "jwks_url"),
        (format!("{ES256}\njwks_url = \"ftp://127.0.0.1\""), "jwks_url"),
        (format!("{url}\nalgorithms = [\"ES256\"]"), "audiences"),
        (format!("{url}\nalgorithms = [\"HS256\"]\naudiences = [\"a\"]"), "algorithms"),
        (format!("{url}\nalgorithms = [\"ES256\"]\nclaims = \"cloudforet\""), "algorithms"),
        (format!("{url}\n{ES256}\nclaims = {{ domain = \"org\" }}"), "claims"),
    ] {
        assert!(refused(&more).contains(word), "{more}: {}", refused(&more));
    }
}
