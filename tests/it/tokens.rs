//! Which tokens are believed.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, header};
use serde_json::{Value, json};

use crate::support::{
    Answer, TestApp,
    app::{ELSEWHERE, HOME},
    token::{TestIssuer, now, signing_input},
};

const DOCUMENT: &str = "{ viewer { domainId userId role permissions } }";

/// The claims of ann with a change; a change to `undefined` takes the claim away.
fn changed(issuer: &TestIssuer, changes: Value) -> Value {
    let mut claims = issuer.claims(HOME, Some("ann"), "USER");
    for (name, value) in changes.as_object().unwrap() {
        if value == "undefined" {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn bad_tokens(app: &TestApp) -> Vec<(String, String)> {
    let main = &app.main;
    let good = changed(main, json!({}));
    let mut bad: Vec<(String, String)> = Vec::new();

    for claims in [
        json!({ "exp": now() - 120 }),
        json!({ "exp": "undefined" }),
        json!({ "exp": null }),
        json!({ "exp": "later" }),
        json!({ "nbf": now() + 120 }),
        json!({ "aud": "undefined" }),
        json!({ "aud": null }),
        json!({ "aud": [] }),
        json!({ "aud": "somebody-else" }),
        json!({ "iss": "undefined" }),
        json!({ "iss": "https://evil.test" }),
        json!({ "iss": null }),
        json!({ "iss": ["https://idp.test"] }),
        json!({ "domain_id": "undefined" }),
        json!({ "domain_id": null }),
        json!({ "domain_id": "" }),
        json!({ "domain_id": " acme" }),
        json!({ "domain_id": ["acme"] }),
        json!({ "domain_id": 1 }),
        json!({ "domain_id": "аcme" }),
        json!({ "domain_id": "acme\u{0}" }),
        json!({ "domain_id": "*" }),
        json!({ "domain_id": "-" }),
        json!({ "domain_id": "x".repeat(41) }),
        json!({ "user_id": "undefined" }),
        json!({ "user_id": null }),
        json!({ "user_id": "" }),
        json!({ "user_id": "a\nb" }),
        json!({ "user_id": "x".repeat(256) }),
        json!({ "user_id": 1 }),
        json!({ "role": "ROOT" }),
        json!({ "role": "user" }),
        json!({ "role": null }),
        json!({ "role": "" }),
        json!({ "role": ["USER"] }),
        json!({ "scope": ["secret:UserSecret.read"] }),
    ] {
        bad.push((claims.to_string(), main.sign(&changed(main, claims))));
    }

    for header in [
        json!({ "kid": "another" }),
        json!({ "kid": null }),
        json!({ "kid": 1 }),
        json!({ "crit": ["exp"] }),
        json!({ "crit": [] }),
        json!({ "jku": "https://evil.test/jwks" }),
        json!({ "jwk": main.jwk() }),
        json!({ "jwk": null }),
        json!({ "x5u": "https://evil.test/x" }),
        json!({ "b64": false }),
        json!({ "alg": "ES384" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "none" }),
        json!({ "alg": null }),
    ] {
        let mut whole = main.header();
        for (name, value) in header.as_object().unwrap() {
            whole[name] = value.clone();
        }
        bad.push((header.to_string(), main.sign_text(&whole.to_string(), &good.to_string())));
    }

    for algorithm in ["none", "None", "NONE", ""] {
        let input = signing_input(&json!({ "alg": algorithm }).to_string(), &good.to_string());
        bad.push((format!("unsigned, alg {algorithm:?}"), format!("{input}.")));
    }
    let point = main.public_key().to_vec();
    for secret in [point.clone(), point[1..].to_vec(), main.jwks().into_bytes(), main.jwk().to_string().into_bytes()] {
        let input = signing_input(r#"{"alg":"HS256","kid":"main"}"#, &good.to_string());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
        let text = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
        bad.push(("HS256 under the public key".to_owned(), text));
    }

    let text = good.to_string();
    for (name, value) in [("domain_id", r#""globex""#), ("role", r#""SYSTEM""#), ("exp", "9999999999"), ("iss", r#""x""#), ("user_id", r#""bob""#)] {
        let twice = format!("{},\"{name}\":{value}}}", text.strip_suffix('}').unwrap());
        bad.push((format!("{name} twice"), main.sign_text(&main.header().to_string(), &twice)));
    }
    for claims in ["null", "[]", "\"text\"", "{", ""] {
        let signed = main.sign_text(&main.header().to_string(), claims);
        bad.push((format!("claims {claims:?}"), signed));
    }

    let signed = main.sign(&good);
    let (front, signature) = signed.rsplit_once('.').unwrap();
    bad.push(("no signature".to_owned(), front.to_owned()));
    bad.push(("an empty signature".to_owned(), format!("{front}.")));
    bad.push(("a short signature".to_owned(), format!("{front}.{}", &signature[..40])));
    bad.push(("a signature of zeros".to_owned(), format!("{front}.{}", "A".repeat(86))));
    bad.push(("cut off".to_owned(), signed[..signed.len() - 4].to_owned()));
    bad.push(("four parts".to_owned(), format!("{signed}.e30")));
    bad.push(("two dots".to_owned(), "..".to_owned()));
    bad.push(("words".to_owned(), "letmein".to_owned()));
    bad.push(("nothing".to_owned(), String::new()));
    let padding = json!({ "padding": "x".repeat(9_000) });
    bad.push(("oversize".to_owned(), main.sign(&changed(main, padding))));

    let evil = TestIssuer::new("https://idp.test", "main");
    bad.push(("another key".to_owned(), evil.sign(&good)));
    let people = &app.people;
    bad.push(("SYSTEM from people".to_owned(), people.sign(&changed(people, json!({ "role": "SYSTEM" })))));
    bad.push(("a foreign domain".to_owned(), people.sign(&changed(people, json!({ "domain_id": "initech" })))));
    bad.push(("no domain of two".to_owned(), people.sign(&changed(people, json!({ "domain_id": "undefined" })))));
    bad.push(("a domain out of reach".to_owned(), app.robots.sign(&changed(&app.robots, json!({})))));
    let null_domain = changed(&app.robots, json!({ "domain_id": null }));
    bad.push(("null for the only domain".to_owned(), app.robots.sign(&null_domain)));
    bad.push(("the key of one issuer, the name of another".to_owned(), people.sign(&good)));

    // One name, two entries: the one that names the domain is asked, and no other.
    let rest = &app.shared_rest;
    bad.push(("the wildcard entry for a named domain".to_owned(), rest.sign(&changed(rest, json!({})))));
    let no_domain = changed(rest, json!({ "domain_id": "undefined" }));
    bad.push(("two entries, no domain".to_owned(), rest.sign(&no_domain)));
    let home = &app.shared_home;
    bad.push(("two entries, no domain, the named one".to_owned(), home.sign(&no_domain)));
    let elsewhere = changed(home, json!({ "domain_id": ELSEWHERE }));
    bad.push(("the named entry for another domain".to_owned(), home.sign(&elsewhere)));
    bad
}

#[tokio::test]
async fn whoever_is_not_believed_hears_the_same() {
    let app = TestApp::start().await;
    let expected = app.nobody().gql(DOCUMENT, json!({})).await;
    assert_eq!((expected.status, expected.code()), (401, "UNAUTHENTICATED"), "{}", expected.text);
    assert!(expected.www_authenticate.as_ref().unwrap().starts_with("Bearer"));
    for (what, token) in bad_tokens(&app) {
        let client = app.client(Some(token));
        assert_eq!(client.gql(DOCUMENT, json!({})).await, expected, "{what}");
    }
    let client = app.client(Some("bad".to_owned()));
    assert_eq!(client.gql("{ __typename }", json!({})).await, expected);
    assert_eq!(client.gql("{ broken", json!({})).await, expected);
    assert_eq!(client.post("no JSON").await, expected);

    let token = app.main.sign(&changed(&app.main, json!({})));
    for authorization in [token.clone(), format!("Basic {token}"), format!("Bearer{token}"), "Bearer".to_owned()] {
        let request = app.nobody().request(Method::POST).header(header::AUTHORIZATION, &authorization);
        let body = json!({ "query": DOCUMENT });
        assert_eq!(Answer::of(request.json(&body)).await, expected, "{}", &authorization[..6]);
    }
}

#[tokio::test]
async fn good_tokens_are_believed() {
    let app = TestApp::start().await;
    let (main, robots) = (&app.main, &app.robots);
    let all = json!(["secret:UserSecret.read", "secret:UserSecret.write"]);
    let ann = |permissions: &Value| {
        json!({ "domainId": HOME, "userId": "ann", "role": "USER", "permissions": permissions })
    };
    let cases = [
        (main.sign(&changed(main, json!({}))), ann(&all)),
        (main.sign(&changed(main, json!({ "exp": now() - 30 }))), ann(&all)),
        (main.sign(&changed(main, json!({ "nbf": now() + 30 }))), ann(&all)),
        (main.sign(&changed(main, json!({ "aud": ["x", "usersecret"] }))), ann(&all)),
        (main.sign(&changed(main, json!({ "user_id": "undefined", "sub": "ann" }))), ann(&all)),
        (main.sign(&changed(main, json!({ "sub": "somebody" }))), ann(&all)),
        (main.sign(&changed(main, json!({ "role": "undefined" }))), ann(&all)),
        (main.sign(&changed(main, json!({ "unknown": { "claim": [1] } }))), ann(&all)),
        (main.sign(&changed(main, json!({ "scope": "openid email" }))), ann(&all)),
        (main.sign(&changed(main, json!({ "scope": "openid secret:UserSecret.read" }))), ann(&json!(["secret:UserSecret.read"]))),
        (main.sign(&changed(main, json!({ "scope": "secret:Other.read" }))), ann(&json!([]))),
        (main.sign_text(r#"{"alg":"ES256"}"#, &changed(main, json!({})).to_string()), ann(&all)),
        (app.people.sign(&changed(&app.people, json!({}))), ann(&all)),
        (app.shared_home.sign(&changed(&app.shared_home, json!({}))), ann(&all)),
        (
            app.shared_rest.sign(&changed(&app.shared_rest, json!({ "domain_id": ELSEWHERE }))),
            json!({ "domainId": ELSEWHERE, "userId": "ann", "role": "USER", "permissions": all }),
        ),
        (
            robots.sign(&changed(robots, json!({ "domain_id": "undefined" }))),
            json!({ "domainId": ELSEWHERE, "userId": "ann", "role": "USER", "permissions": all }),
        ),
        (
            main.sign(&main.claims(HOME, Some("ignored"), "SYSTEM")),
            json!({ "domainId": HOME, "userId": null, "role": "SYSTEM", "permissions": all }),
        ),
    ];
    for (token, expected) in cases {
        let answer = app.client(Some(token)).gql(DOCUMENT, json!({})).await;
        assert_eq!(answer.code(), "OK", "{expected}: {}", answer.text);
        assert_eq!(answer.at("/viewer"), expected);
    }
    let token = main.sign(&changed(main, json!({})));
    let request = app.nobody().request(Method::POST).header(header::AUTHORIZATION, format!("bEaReR {token}"));
    assert_eq!(Answer::of(request.json(&json!({ "query": DOCUMENT }))).await.code(), "OK");
}
