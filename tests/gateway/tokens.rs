//! Tokens that must not pass, all refused alike, and some that must.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{TestApp, new_key};

/// Signs any header and any text of claims with the app's key.
fn sign_raw(app: &TestApp, header: &Value, claims: &str) -> String {
    let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &app.key, Algorithm::ES256).unwrap();
    format!("{message}.{signature}")
}

fn with(mut claims: Value, key: &str, value: Value) -> Value {
    claims[key] = value;
    claims
}

fn without(mut claims: Value, key: &str) -> Value {
    claims.as_object_mut().unwrap().remove(key);
    claims
}

#[tokio::test]
async fn bad_tokens_are_refused_alike() {
    let app = TestApp::start().await;
    let good = app.claims("acme", "ann", "USER");
    let now = jsonwebtoken::get_current_timestamp();
    let es256 = json!({ "alg": "ES256", "kid": "k1" });
    let text = good.to_string();
    let mut tokens: Vec<String> = vec![
        String::new(),
        "x".into(),
        "a.b.c".into(),
        app.sign(&good)[..80].into(),
        format!("{}.{}.", B64.encode(r#"{"alg":"none"}"#), B64.encode(&text)),
        sign_raw(&app, &json!({ "alg": "none", "kid": "k1" }), &text),
        sign_raw(&app, &json!({ "alg": "ES256", "kid": "../../etc/passwd" }), &text),
        sign_raw(&app, &json!({ "alg": "ES256", "kid": 7 }), &text),
        sign_raw(&app, &es256, &text.replacen('{', r#"{"domain_id":"globex","#, 1)),
        sign_raw(&app, &es256, &"x".repeat(9000)),
        jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            &good,
            &EncodingKey::from_secret(b"k"),
        )
        .unwrap(),
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &good, &new_key()).unwrap(),
        // A signature of zeros (CVE-2022-21449), none at all, one of another algorithm's length.
        format!("{}.{}.{}", B64.encode(es256.to_string()), B64.encode(&text), B64.encode([0; 64])),
        format!("{}.{}.", B64.encode(es256.to_string()), B64.encode(&text)),
        format!("{}.{}.{}", B64.encode(es256.to_string()), B64.encode(&text), B64.encode([1; 256])),
        // Five parts are an encrypted token (RFC 7516 §7.1); two are half of one.
        format!("{}.a.b.c.d", B64.encode(r#"{"alg":"dir","enc":"A256GCM"}"#)),
        format!("{}.{}", B64.encode(es256.to_string()), B64.encode(&text)),
        sign_raw(&app, &json!({ "alg": "ES256", "kid": "k1' OR '1'='1" }), &text),
        sign_raw(&app, &json!({ "alg": "RS256", "kid": "k1" }), &text),
        sign_raw(&app, &json!({ "alg": "EdDSA", "kid": "k1" }), &text),
        sign_raw(&app, &es256, &text.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1)),
        sign_raw(&app, &es256, &text.replacen('{', r#"{"jti":7,"#, 1)),
        sign_raw(&app, &es256, &text.replacen('{', r#"{"scope":["secret:"],"#, 1)),
        sign_raw(&app, &es256, "[]"),
        sign_raw(&app, &es256, &format!("{}{}", "[".repeat(3000), "]".repeat(3000))),
    ];
    // The public key as the secret of an HMAC.
    let public = std::fs::read(app.dir.path().join("jwks.json")).unwrap();
    let secret = EncodingKey::from_secret(&public);
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let mut header = Header::new(algorithm);
        header.kid = Some("k1".to_owned());
        tokens.push(jsonwebtoken::encode(&header, &good, &secret).unwrap());
    }
    for parameter in ["jku", "x5u", "jwk", "crit", "b64"] {
        tokens.push(sign_raw(
            &app,
            &json!({ "alg": "ES256", "kid": "k1", parameter: null }),
            &text,
        ));
    }
    let claims = [
        with(good.clone(), "exp", json!(now - 120)),
        with(good.clone(), "nbf", json!(now + 120)),
        without(good.clone(), "exp"),
        without(good.clone(), "aud"),
        without(good.clone(), "iss"),
        without(good.clone(), "sub"),
        without(good.clone(), "domain_id"),
        with(good.clone(), "aud", json!("other")),
        with(good.clone(), "iss", json!("https://evil.test")),
        with(good.clone(), "domain_id", json!(null)),
        with(good.clone(), "domain_id", json!("")),
        with(good.clone(), "domain_id", json!(["acme"])),
        with(good.clone(), "domain_id", json!(1)),
        with(good.clone(), "domain_id", json!("аcme")),
        with(good.clone(), "role", json!("ROOT")),
        with(good.clone(), "sub", json!("a\u{0}b")),
        with(with(good.clone(), "iss", json!("https://other.test")), "domain_id", json!("acme")),
        with(
            with(with(good.clone(), "iss", json!("https://sole.test")), "domain_id", json!("sole")),
            "role",
            json!("SYSTEM"),
        ),
    ];
    tokens.extend(claims.iter().map(|claims| app.sign(claims)));
    let nobody = app.with_token(None).gql("{ __typename }", json!({})).await;
    assert_eq!((nobody.status, nobody.code()), (401, "UNAUTHENTICATED"));
    for token in tokens {
        let answer = app.with_token(Some(token.clone())).gql("{ __typename }", json!({})).await;
        assert_eq!((answer.status, &answer.text), (401, &nobody.text), "{token}");
    }
}

#[tokio::test]
async fn good_tokens_pass() {
    let app = TestApp::start().await;
    let good = app.claims("acme", "ann", "USER");
    let now = jsonwebtoken::get_current_timestamp();
    let sole = without(with(good.clone(), "iss", json!("https://sole.test")), "domain_id");
    let cases = [
        (with(good.clone(), "exp", json!(now - 30)), "acme", "ann"),
        (with(good.clone(), "user_id", json!("앤")), "acme", "앤"),
        (with(good.clone(), "aud", json!(["x", "usersecret"])), "acme", "ann"),
        (sole, "sole", "ann"),
    ];
    for (claims, domain, user) in cases {
        let client = app.with_token(Some(app.sign(&claims)));
        let answer = client.gql("{ viewer { domainId userId } }", json!({})).await;
        assert_eq!(answer.at("/data/viewer"), &json!({ "domainId": domain, "userId": user }));
    }
}
