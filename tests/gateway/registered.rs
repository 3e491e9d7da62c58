//! Domains that bring their own issuers, and tokens that are revoked.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, response::Redirect, routing::get};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use usersecret::app::Seams;

use crate::{
    support::{Answer, Client, TestApp, eventually, new_key},
    tls::kit::{Ca, Pair},
};

const ISS: &str = "https://idp.acme.test";

/// A domain's own identity provider.
struct Provider(EncodingKey);

impl Provider {
    fn new() -> Self {
        Self(new_key())
    }

    fn jwks(&self) -> Value {
        json!({ "keys": [Jwk::from_encoding_key(&self.0, Algorithm::ES256).unwrap()] })
    }

    fn registration(&self) -> Value {
        json!({ "iss": ISS, "jwks": self.jwks(), "algorithms": ["ES256"], "audiences": ["app"] })
    }

    fn client(&self, app: &TestApp, more: Value) -> Client {
        let exp = jsonwebtoken::get_current_timestamp() + 600;
        let claims = json!({ "iss": ISS, "aud": "app", "exp": exp, "sub": "eve" });
        let token =
            jsonwebtoken::encode(&Header::new(Algorithm::ES256), &with(claims, more), &self.0);
        app.with_token(Some(token.unwrap()))
    }
}

/// `base` with the entries of `more` in it; null takes one out.
fn with(mut base: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
    base.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    base
}

async fn register(client: &Client, input: Value) -> Answer {
    let query = "mutation($i: RegisterIssuerInput!) { registerIssuer(input: $i) { issuer {
        iss jwks jwksUrl algorithms audiences roles claims claimMapping { domain user role } maxLifeSeconds } } }";
    client.gql(query, json!({ "i": input })).await
}

async fn remove(client: &Client, input: Value) -> Answer {
    let query = "mutation($i: RemoveIssuerInput!) { removeIssuer(input: $i) { iss } }";
    client.gql(query, json!({ "i": input })).await
}

async fn revoke(client: &Client, input: Value) -> Answer {
    let query = "mutation($i: RevokeTokenInput!) { revokeToken(input: $i) { tokenId } }";
    client.gql(query, json!({ "i": input })).await
}

async fn viewer(client: &Client) -> Answer {
    client.gql("{ viewer { domainId userId role } }", json!({})).await
}

fn admin(app: &TestApp, domain: &str) -> Client {
    app.caller(domain, "root", "DOMAIN_ADMIN")
}

#[tokio::test]
async fn a_domain_brings_its_own_issuer() {
    let app = TestApp::start().await;
    let (provider, user, id) =
        (Provider::new(), app.user("ann"), app.user("ann").create("aws").await);
    let eve = provider.client(&app, json!({}));
    assert_eq!(viewer(&eve).await.code(), "UNAUTHENTICATED");
    let answer = register(&admin(&app, "acme"), provider.registration()).await;
    assert_eq!(
        answer.at("/data/registerIssuer/issuer"),
        &json!({ "iss": ISS, "jwks": provider.jwks(), "jwksUrl": null, "algorithms": ["ES256"],
            "audiences": ["app"], "roles": ["USER", "DOMAIN_ADMIN"], "claims": "STANDARD",
            "claimMapping": null, "maxLifeSeconds": null })
    );

    // It speaks for its one domain, with or without the claim, and for users only.
    for more in [json!({}), json!({ "domain_id": "acme", "role": "DOMAIN_ADMIN" })] {
        let seen = viewer(&provider.client(&app, more)).await;
        assert_eq!(
            (seen.at("/data/viewer/domainId"), seen.at("/data/viewer/userId")),
            (&json!("acme"), &json!("eve"))
        );
    }
    let forged = Provider::new();
    for stranger in [
        provider.client(&app, json!({ "domain_id": "globex" })),
        provider.client(&app, json!({ "domain_id": null, "role": "SYSTEM" })),
        provider.client(&app, json!({ "domain_id": "acme", "role": "SYSTEM" })),
        provider.client(&app, json!({ "aud": "usersecret" })),
        forged.client(&app, json!({})),
    ] {
        assert_eq!(viewer(&stranger).await.code(), "UNAUTHENTICATED");
    }

    // The installation's wildcard speaks for the domain's users no more, for its systems and for others it does.
    for gone in [&user, &admin(&app, "acme")] {
        assert_eq!(viewer(gone).await.code(), "UNAUTHENTICATED");
    }
    assert_eq!(app.system().reveal("acme", &id, None).await.code(), "OK");
    assert_eq!(viewer(&app.caller("globex", "zoe", "USER")).await.code(), "OK");

    // What was made stays its owner's, whoever vouches for the owner.
    let ann = provider.client(&app, json!({ "sub": "ann" }));
    assert_eq!(ann.get(&id).await.at("/data/userSecret/name"), "aws");

    // A system can always remove it, and then everything is as it was.
    let removed = remove(&app.system(), json!({ "iss": ISS, "domainId": "acme" })).await;
    assert_eq!(removed.at("/data/removeIssuer/iss"), ISS);
    assert_eq!(viewer(&eve).await.code(), "UNAUTHENTICATED");
    assert_eq!(viewer(&user).await.code(), "OK");
    let again = remove(&app.system(), json!({ "iss": ISS, "domainId": "acme" })).await;
    assert_eq!((again.code(), again.message()), ("NOT_FOUND", "The issuer does not exist."));
}

#[tokio::test]
async fn a_domain_sees_and_changes_its_own_issuers_alone() {
    let app = TestApp::start().await;
    let (old, new) = (Provider::new(), Provider::new());
    let own = Provider::new().registration();
    let own = with(
        own,
        json!({ "iss": "https://idp.globex.test", "claimMapping": { "domain": "/org", "user": "/email" } }),
    );
    assert_eq!(register(&admin(&app, "globex"), own).await.code(), "OK");
    assert_eq!(register(&admin(&app, "acme"), old.registration()).await.code(), "OK");
    let boss = json!({ "role": "DOMAIN_ADMIN" });
    let (acme, globex) = (
        old.client(&app, boss.clone()),
        Provider::client(&old, &app, json!({ "iss": "https://idp.globex.test" })),
    );
    assert_eq!(viewer(&globex).await.code(), "UNAUTHENTICATED");
    let list = "{ domain { issuers { iss createdAt claims } } }";
    let seen = acme.gql(list, json!({})).await;
    assert_eq!(seen.at("/data/domain/issuers").as_array().unwrap().len(), 1);
    assert_eq!(seen.at("/data/domain/issuers/0/iss"), ISS);

    // Neither the other's issuer nor its name is to be had.
    let others = json!({ "iss": "https://idp.globex.test" });
    assert_eq!(remove(&acme, others.clone()).await.code(), "NOT_FOUND");
    let named = with(others.clone(), json!({ "domainId": "globex" }));
    assert_eq!(remove(&acme, named).await.code(), "PERMISSION_DENIED");
    assert_eq!(register(&acme, with(old.registration(), others)).await.code(), "ALREADY_EXISTS");

    // Registered again it is changed: at once here, with the old key refused.
    let system = app.system();
    let changed = with(new.registration(), json!({ "domainId": "acme", "roles": ["USER"] }));
    assert_eq!(register(&system, changed).await.code(), "OK");
    assert_eq!(viewer(&acme).await.code(), "UNAUTHENTICATED");
    assert_eq!(viewer(&new.client(&app, json!({}))).await.code(), "OK");
    assert_eq!(viewer(&new.client(&app, boss)).await.code(), "UNAUTHENTICATED");

    // The trail names the issuer and never a key.
    let trail = "{ domain(domainId: \"acme\") { auditEvents(filter: {operation: \"Issuer.register\", outcome: \"ok\"}) { nodes { target userSecretId outcome } } } }";
    let trail = system.gql(trail, json!({})).await;
    assert_eq!(
        trail.at("/data/domain/auditEvents/nodes/0"),
        &json!({ "target": ISS, "userSecretId": null, "outcome": "ok" })
    );
}

#[tokio::test]
async fn what_breaks_a_rule_is_not_registered() {
    let app = TestApp::with(Seams::default(), "[limits]\nissuers = 2\nrevoked_tokens = 2\n").await;
    let (provider, boss) = (Provider::new(), app.system());
    let private = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": "a", "y": "b", "d": "canary-private-key" }] });
    let url = |url: &str| json!({ "jwks": null, "jwksUrl": url });
    for (more, argument) in [
        (json!({ "iss": "" }), "iss"),
        (json!({ "iss": "a\u{0}b" }), "iss"),
        (json!({ "iss": "x".repeat(256) }), "iss"),
        (json!({ "iss": "https://idp.test" }), "iss"),
        (json!({ "jwks": { "keys": [] } }), "jwks"),
        (json!({ "jwks": "text" }), "jwks"),
        (json!({ "jwks": private }), "jwks"),
        (json!({ "jwks": null }), "jwks"),
        (json!({ "jwks": { "keys": [], "x": "y".repeat(70_000) } }), "jwks"),
        (json!({ "jwksUrl": "https://idp.example.com/jwks" }), "jwks"),
        (url("http://idp.example.com/jwks"), "jwksUrl"),
        (url("http://127.0.0.1/jwks"), "jwksUrl"),
        (url("https://127.0.0.1/jwks"), "jwksUrl"),
        (url("https://0x7f.1/jwks"), "jwksUrl"),
        (url("https://[::ffff:10.0.0.1]/jwks"), "jwksUrl"),
        (url("https://169.254.169.254/latest"), "jwksUrl"),
        (url("https://user:word@idp.example.com/jwks"), "jwksUrl"),
        (url("file:///etc/passwd"), "jwksUrl"),
        (json!({ "algorithms": ["HS256"] }), "algorithms"),
        (json!({ "algorithms": [] }), "jwks"),
        (json!({ "algorithms": ["RS256"] }), "jwks"),
        (json!({ "audiences": [] }), "audiences"),
        (json!({ "audiences": vec!["a"; 21] }), "audiences"),
        (json!({ "claims": "CLOUDFORET" }), "audiences"),
        (json!({ "claims": "STANDARD", "claimMapping": { "domain": "/d" } }), "claimMapping"),
        (json!({ "claimMapping": { "domain": "d" } }), "claims"),
        (json!({ "roles": [] }), "roles"),
        (json!({ "maxLifeSeconds": 0 }), "maxLifeSeconds"),
        (json!({ "maxLifeSeconds": -1 }), "maxLifeSeconds"),
    ] {
        let answer = register(&boss, with(provider.registration(), more.clone())).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT", "{more}: {}", answer.text);
        let begins = answer.message().split(':').next().unwrap();
        assert_eq!(begins, argument, "{more}: {}", answer.text);
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
    let unknown = with(provider.registration(), json!({ "roles": ["SYSTEM"] }));
    assert_eq!(register(&boss, unknown).await.code(), "INVALID_ARGUMENT");
    let stored: i64 = app.database.value("SELECT count(*) FROM issuers").await;
    assert_eq!(stored, 0);

    for (n, code) in ["OK", "OK", "RESOURCE_EXHAUSTED"].into_iter().enumerate() {
        let more = json!({ "iss": format!("https://{n}.test") });
        let answer = register(&boss, with(provider.registration(), more)).await;
        assert_eq!(answer.code(), code, "{}", answer.text);
        assert_eq!(revoke(&boss, json!({ "tokenId": format!("t{n}") })).await.code(), code);
    }
    // What its administrators revoked, or whoever stole a token of theirs, keeps no system from revoking.
    let root = admin(&app, "globex");
    for (n, code) in ["OK", "OK", "RESOURCE_EXHAUSTED"].into_iter().enumerate() {
        assert_eq!(revoke(&root, json!({ "tokenId": n.to_string() })).await.code(), code);
    }
    assert_eq!(revoke(&boss, json!({ "tokenId": "x", "domainId": "globex" })).await.code(), "OK");
    let nul =
        boss.gql("mutation { removeIssuer(input: {iss: \"\\u0000\"}) { iss } }", json!({})).await;
    assert_eq!(nul.code(), "NOT_FOUND");
    let stranger = app.with_token(Some(
        app.sign(&with(app.claims("acme", "ann", "USER"), json!({ "iss": "a\u{0}" }))),
    ));
    assert_eq!(viewer(&stranger).await.code(), "UNAUTHENTICATED");
    for (input, argument) in [
        (json!({ "tokenId": "" }), "tokenId"),
        (json!({ "tokenId": "x".repeat(256) }), "tokenId"),
        (json!({ "tokenId": "x", "expiresAt": "2020-01-01T00:00:00Z" }), "expiresAt"),
    ] {
        let answer = revoke(&boss, input.clone()).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT", "{input}");
        assert!(answer.message().starts_with(argument), "{input}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_address_within_the_installation_is_never_asked() {
    let app = TestApp::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let provider = Provider::new();
    // A name gets past the check of the input, and resolves to this machine.
    let port = listener.local_addr().unwrap().port();
    let more = json!({ "jwks": null, "jwksUrl": format!("https://localhost:{port}/jwks") });
    let answer = register(&admin(&app, "acme"), with(provider.registration(), more)).await;
    assert_eq!(answer.code(), "OK", "{}", answer.text);
    assert_eq!(viewer(&provider.client(&app, json!({}))).await.code(), "UNAUTHENTICATED");
    let nobody = tokio::time::timeout(Duration::from_millis(200), listener.accept());
    assert!(nobody.await.is_err(), "somebody connected");
}

/// A provider that publishes `keys` over TLS, slowly, at the address that is returned.
async fn published(pair: &Pair, keys: Value, delay: Duration) -> String {
    let der = |text: &str| pem::parse(text).unwrap().into_contents();
    let chain = vec![der(&pair.cert).into()];
    let key = PrivateKeyDer::try_from(der(&pair.key)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let tls = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(config));
    let router = Router::new().route("/moved", get(async || Redirect::temporary("/jwks"))).route(
        "/jwks",
        get(move || async move {
            tokio::time::sleep(delay).await;
            Json(keys)
        }),
    );
    let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));
    url
}

#[tokio::test]
async fn keys_are_fetched_where_the_operator_allows_it() {
    let (ca, files) = (Ca::new("inside"), tempfile::tempdir().unwrap());
    let file = files.path().join("ca.pem");
    std::fs::write(&file, &ca.pem).unwrap();
    let open = "[auth]\njwks_networks = [\"127.0.0.0/8\"]\njwks_pause_ms = 1\n";
    let trusting = format!("{open}ca_file = {:?}\n", file.display().to_string());
    let provider = Provider::new();
    let url = published(&ca.server(), provider.jwks(), Duration::ZERO).await;
    for (toml, path, code) in [
        (open, "/jwks", "UNAUTHENTICATED"),
        (&trusting, "/moved", "UNAUTHENTICATED"),
        (&trusting, "/jwks", "OK"),
    ] {
        let app = TestApp::with(Seams::default(), toml).await;
        let more = json!({ "jwks": null, "jwksUrl": format!("{url}{path}") });
        let answer = register(&admin(&app, "acme"), with(provider.registration(), more)).await;
        assert_eq!(answer.code(), "OK", "{}", answer.text);
        assert_eq!(viewer(&provider.client(&app, json!({}))).await.code(), code, "{toml} {path}");
    }
}

#[tokio::test]
async fn every_replica_follows() {
    let here = TestApp::start().await;
    let there = here.replica().await;
    let provider = Provider::new();
    let eve = provider.client(&there, json!({ "jti": "eve-1" }));
    let ann = there.with_token(Some(here.sign(&here.claims("acme", "ann", "USER"))));
    let is = async |client: &Client, code: &str| {
        let what = format!("that the other replica says {code}");
        eventually(&what, async || viewer(client).await.code() == code).await;
    };
    assert_eq!(viewer(&ann).await.code(), "OK");
    assert_eq!(viewer(&eve).await.code(), "UNAUTHENTICATED");
    let root = admin(&here, "acme");
    assert_eq!(register(&root, provider.registration()).await.code(), "OK");
    is(&eve, "OK").await;
    is(&ann, "UNAUTHENTICATED").await;
    let system = here.system();
    let token = json!({ "tokenId": "eve-1", "domainId": "acme" });
    assert_eq!(revoke(&system, token).await.code(), "OK");
    is(&eve, "UNAUTHENTICATED").await;
    assert_eq!(viewer(&provider.client(&there, json!({ "jti": "eve-2" }))).await.code(), "OK");
    let acme = json!({ "iss": ISS, "domainId": "acme" });
    assert_eq!(remove(&system, acme).await.code(), "OK");
    is(&ann, "OK").await;

    // The name is free for another domain, and whoever remembers the first one looks again.
    let zoe = provider.client(&there, json!({}));
    let globex = with(provider.registration(), json!({ "domainId": "globex" }));
    assert_eq!(register(&system, globex).await.code(), "OK");
    is(&zoe, "OK").await;
    assert_eq!(viewer(&zoe).await.at("/data/viewer/domainId"), "globex");
    assert_eq!(viewer(&eve).await.code(), "OK", "revoked in the other domain");
}

#[tokio::test]
async fn a_revoked_token_is_refused_alone() {
    let app = TestApp::start().await;
    let holder = |domain: &str, user: &str, role: &str, jti: &str| {
        app.with_token(Some(app.sign(&with(app.claims(domain, user, role), json!({ "jti": jti })))))
    };
    let root = admin(&app, "acme");
    let (ann, other, namesake) = (
        holder("acme", "ann", "USER", "a"),
        holder("acme", "ann", "USER", "b"),
        holder("globex", "ann", "USER", "a"),
    );
    let system = holder("acme", "", "SYSTEM", "s");
    for client in [&ann, &other, &namesake, &system] {
        assert_eq!(viewer(client).await.code(), "OK");
    }
    let revoked = revoke(&root, json!({ "tokenId": "a" })).await;
    assert_eq!(revoked.at("/data/revokeToken/tokenId"), "a");
    let refused = viewer(&ann).await;
    let stranger = viewer(&app.with_token(Some("x".to_owned()))).await;
    assert_eq!((refused.status, &refused.text), (stranger.status, &stranger.text));
    assert_eq!(viewer(&other).await.code(), "OK");
    assert_eq!(viewer(&namesake).await.code(), "OK");

    // An administrator's word does not bind a system; a system's does, and stays.
    assert_eq!(revoke(&root, json!({ "tokenId": "s" })).await.code(), "OK");
    assert_eq!(viewer(&system).await.code(), "OK");
    assert_eq!(revoke(&app.system(), json!({ "tokenId": "s" })).await.code(), "OK");
    let until = json!({ "tokenId": "s", "expiresAt": "2100-01-01T00:00:00Z" });
    assert_eq!(revoke(&root, until).await.code(), "OK");
    assert_eq!(viewer(&system).await.code(), "UNAUTHENTICATED");
    let kept = "SELECT count(*) FROM revoked_tokens WHERE token_id = 's' AND expires_at IS NULL";
    assert_eq!(app.database.value::<i64>(kept).await, 1);

    // What has expired makes room.
    let old = "UPDATE revoked_tokens SET expires_at = 1 WHERE token_id = 'a'".to_owned();
    app.sql(&[old]).await;
    assert_eq!(revoke(&root, json!({ "tokenId": "c" })).await.code(), "OK");
    assert_eq!(app.database.value::<i64>("SELECT count(*) FROM revoked_tokens").await, 2);
}

#[tokio::test]
async fn who_was_removed_while_the_keys_were_fetched_is_refused() {
    let (ca, files) = (Ca::new("inside"), tempfile::tempdir().unwrap());
    let file = files.path().join("ca.pem");
    std::fs::write(&file, &ca.pem).unwrap();
    let open = format!(
        "[auth]\njwks_networks = [\"127.0.0.0/8\"]\nca_file = {:?}\n",
        file.display().to_string()
    );
    let app = TestApp::with(Seams::default(), &open).await;
    let provider = Provider::new();
    let url = published(&ca.server(), provider.jwks(), Duration::from_millis(1500)).await;
    let more = json!({ "jwks": null, "jwksUrl": format!("{url}/jwks") });
    let root = admin(&app, "acme");
    assert_eq!(register(&root, with(provider.registration(), more)).await.code(), "OK");
    let (eve, system) = (provider.client(&app, json!({})), app.system());
    let (seen, removed) = tokio::join!(viewer(&eve), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        remove(&system, json!({ "iss": ISS, "domainId": "acme" })).await
    });
    assert_eq!((seen.code(), removed.code()), ("UNAUTHENTICATED", "OK"));
    assert_eq!(viewer(&eve).await.code(), "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_row_that_somebody_wrote_makes_no_system() {
    let app = TestApp::start().await;
    let id = app.user("ann").create("aws").await;
    let provider = Provider::new();
    assert_eq!(
        register(&app.system(), with(provider.registration(), json!({ "domainId": "acme" })))
            .await
            .code(),
        "OK"
    );
    let system = provider.client(&app, json!({ "role": "SYSTEM" }));
    let forged =
        "UPDATE issuers SET settings = replace(settings, '\"USER\"', '\"SYSTEM\"')".to_owned();
    app.sql(&[forged]).await;
    let there = app.replica().await;
    for app in [&app, &there] {
        let system = app.with_token(system.token.clone());
        assert_eq!(system.reveal("acme", &id, None).await.code(), "UNAUTHENTICATED");
    }
    // Nor does what cannot be read let the wildcard speak again.
    assert_eq!(viewer(&there.user("ann")).await.code(), "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_set_of_many_keys_of_one_name_costs_no_more_than_a_few() {
    let app = TestApp::start().await;
    let provider = Provider::new();
    let named = |key: &EncodingKey| {
        let mut jwk = Jwk::from_encoding_key(key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("k".to_owned());
        jwk
    };
    let others: Vec<EncodingKey> = (0..4).map(|_| new_key()).collect();
    let set = |keys: &[&EncodingKey]| json!({ "keys": keys.iter().map(|key| named(key)).collect::<Vec<_>>() });
    let token = {
        let claims = json!({ "iss": ISS, "aud": "app", "sub": "eve", "exp": jsonwebtoken::get_current_timestamp() + 600 });
        let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, &claims, &provider.0).unwrap()
    };
    let eve = app.with_token(Some(token));
    let mut keys: Vec<&EncodingKey> = others.iter().collect();
    keys.insert(3, &provider.0);
    for (at, code) in [(3, "OK"), (4, "UNAUTHENTICATED")] {
        let own = keys.iter().position(|key| std::ptr::eq(*key, &provider.0)).unwrap();
        keys.swap(own, at);
        let input =
            with(provider.registration(), json!({ "jwks": set(&keys), "domainId": "acme" }));
        assert_eq!(register(&app.system(), input).await.code(), "OK");
        assert_eq!(viewer(&eve).await.code(), code, "the key at {at}");
    }
}
