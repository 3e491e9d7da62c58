//! What the original answers, or should: `tests/golden/original.json`, over both faces.

use std::{collections::HashMap, fs};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tonic::Code;
use usersecret::app::Seams;

use super::{
    kit::{Grpc, Rest, Told},
    translation::over_graphql,
};
use crate::support::{Client, TestApp, rsa_key};

/// A service that holds the original's data set, with callers of the original's kind.
struct Original {
    app: TestApp,
    keys: HashMap<String, EncodingKey>,
    golden: Value,
}

impl Original {
    async fn start() -> Self {
        let golden: Value =
            serde_json::from_str(include_str!("../../golden/original.json")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (mut keys, mut toml) = (HashMap::new(), String::new());
        for domain in ["root", "aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"] {
            let domain = format!("domain-{domain}");
            let key = rsa_key();
            let file = dir.path().join(&domain);
            let jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
            fs::write(&file, json!({ "keys": [jwk] }).to_string()).unwrap();
            let file = file.display().to_string();
            let (domains, roles) = match domain.as_str() {
                // Whom a system acts for is the business of its installation.
                "domain-root" => ("\"*\"".to_owned(), "\"SYSTEM\""),
                _ => (format!("{domain:?}"), "\"USER\", \"DOMAIN_ADMIN\""),
            };
            toml += &format!(
                "[[auth.issuers]]\niss = \"spaceone.identity\"\njwks_file = {file:?}\n\
                 algorithms = [\"RS256\"]\nclaims = \"cloudforet\"\n\
                 domains = [{domains}]\nroles = [{roles}]\n"
            );
            keys.insert(domain, key);
        }
        let original = Self { app: TestApp::with(Seams::default(), &toml).await, keys, golden };
        original.app.import_all(original.golden["secrets"].as_array().unwrap()).await;
        let save =
            TABLES.map(|table| format!("CREATE TABLE saved_{table} AS SELECT * FROM {table}"));
        original.app.sql(&save).await;
        original
    }

    /// Makes everything as it was.
    async fn restore(&self) {
        let drop = TABLES.iter().rev().map(|table| format!("DELETE FROM {table}"));
        let fill = TABLES.iter().map(|t| format!("INSERT INTO {t} SELECT * FROM saved_{t}"));
        self.app.sql(&drop.chain(fill).collect::<Vec<_>>()).await;
    }

    fn caller(&self, name: &str) -> (Client, Option<&str>) {
        let caller = &self.golden["callers"][name];
        let token = match (&caller["raw_token"], caller["none"].as_bool()) {
            (Value::String(token), _) => Some(token.clone()),
            (_, Some(true)) => None,
            _ => Some(self.token(caller)),
        };
        (self.app.with_token(token), caller["metadata"]["x_domain_id"].as_str())
    }

    fn token(&self, caller: &Value) -> String {
        let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap();
        let mut claims = caller["claims"].clone();
        for name in ["iat", "exp", "nbf"] {
            if let Some(text) = claims[name].as_str() {
                let offset = text.strip_prefix("now").unwrap();
                let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().unwrap() };
                claims[name] = json!(now + offset);
            }
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        if caller["header"]["alg"] == "none" {
            let part = |value: &Value| B64.encode(value.to_string());
            return format!("{}.{}.", part(&caller["header"]), part(&claims));
        }
        let algorithm: Algorithm = caller["header"]["alg"].as_str().unwrap().parse().unwrap();
        let key = &self.keys[caller["signed_with_key_of"].as_str().unwrap()];
        jsonwebtoken::encode(&Header::new(algorithm), &claims, key).unwrap()
    }

    async fn over_grpc(&self, step: &Value) -> Told {
        let (client, domain) = self.caller(step["caller"].as_str().unwrap());
        let mut grpc = Grpc::of(&client).await;
        if let Some(domain) = domain {
            grpc = grpc.in_domain(domain);
        }
        grpc.call(step["method"].as_str().unwrap(), &step["request"]).await
    }

    /// The same over GraphQL; an error has no name of the original's there.
    async fn over_graphql(&self, step: &Value) -> Option<Told> {
        let (client, domain) = self.caller(step["caller"].as_str().unwrap());
        let method = step["method"].as_str().unwrap();
        let mut told = over_graphql(&client, domain, method, &step["request"]).await?;
        if told.status != Code::Ok {
            told.code = step["expect"]["error"]["code"].as_str().unwrap_or("none").to_owned();
            told.message = step["expect"]["error"]["message"].as_str().unwrap_or("none").to_owned();
        }
        Some(told)
    }

    async fn over_rest(&self, step: &Value) -> Told {
        let (client, domain) = self.caller(step["caller"].as_str().unwrap());
        let mut rest = Rest::of(&client);
        if let Some(domain) = domain {
            rest = rest.in_domain(domain);
        }
        rest.call(step["method"].as_str().unwrap(), &step["request"]).await
    }
}

/// What a case may change, in the order in which it is filled.
const TABLES: [&str; 3] = ["user_secrets", "user_secret_versions", "user_secret_tags"];

/// Whether `told` is what the `step` expects; what differs is named.
fn compare(step: &Value, told: &Told) -> Result<(), String> {
    let expected = &step["expect"];
    let fail = || Err(format!("expected {expected}, got {told:?}"));
    if let Some(error) = expected.get("error") {
        let status = format!("{:?}", told.status);
        let status: String = status
            .char_indices()
            .map(|(at, c)| if at > 0 && c.is_uppercase() { format!("_{c}") } else { c.to_string() })
            .collect();
        let same = status.to_uppercase() == error["grpc"].as_str().unwrap()
            && told.code == error["code"].as_str().unwrap()
            && error["message"].as_str().is_none_or(|message| message == told.message);
        return if same { Ok(()) } else { fail() };
    }
    if let Some(response) = expected.get("response") {
        let (mut response, mut json) = (response.clone(), told.json.clone());
        if step["unordered"] == true {
            sort_lists(&mut response);
            sort_lists(&mut json);
        }
        let same = alike(&response, &json);
        return if same && told.code == "OK" { Ok(()) } else { fail() };
    }
    let ids: Vec<_> = told.json["results"]
        .as_array()
        .map(|rows| rows.iter().map(|row| row["user_secret_id"].clone()).collect())
        .unwrap_or_default();
    let total = told.json["total_count"].as_u64().unwrap_or(0);
    let same = expected["ids"] == json!(ids) && expected["total_count"] == json!(total);
    if same && told.code == "OK" { Ok(()) } else { fail() }
}

/// Puts every list in some order.
fn sort_lists(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort_lists);
            items.sort_by_key(Value::to_string);
        }
        Value::Object(entries) => entries.values_mut().for_each(sort_lists),
        _ => {}
    }
}

/// Equal, where numbers are doubles and what is new is only looked at.
fn alike(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::String(text), Value::String(id)) if text == "<generated id>" => {
            id.starts_with("user-secret-") && id.len() == 24
        }
        (Value::String(text), Value::String(moment)) if text == "<now>" => {
            moment.len() == 24 && OffsetDateTime::parse(moment, &Rfc3339).is_ok()
        }
        (Value::Number(expected), Value::Number(got)) => expected.as_f64() == got.as_f64(),
        (Value::Array(expected), Value::Array(got)) => {
            expected.len() == got.len() && expected.iter().zip(got).all(|(e, g)| alike(e, g))
        }
        (Value::Object(expected), Value::Object(got)) => {
            expected.len() == got.len()
                && expected.iter().all(|(key, e)| got.get(key).is_some_and(|g| alike(e, g)))
        }
        _ => expected == got,
    }
}

#[tokio::test]
async fn the_original_answers_alike() {
    let original = Original::start().await;
    let mut failures = Vec::new();
    let mut passed = 0;
    for case in original.golden["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let mut steps = vec![case];
        steps.extend(case["then"].as_array().into_iter().flatten());
        for face in ["gRPC", "REST", "GraphQL"] {
            for step in &steps {
                let told = match face {
                    "gRPC" => Some(original.over_grpc(step).await),
                    // The data of a secret is not shown there.
                    "REST" if step["method"] == "get_data" => None,
                    "REST" => Some(original.over_rest(step).await),
                    _ => original.over_graphql(step).await,
                };
                match told.map(|told| compare(step, &told)) {
                    None => {}
                    Some(Ok(())) => passed += 1,
                    Some(Err(difference)) => {
                        failures.push(format!("{id}, {face}: {difference}"));
                    }
                }
            }
            if !matches!(case["method"].as_str(), Some("get" | "list" | "get_data" | "stat")) {
                original.restore().await;
            }
        }
    }
    assert!(failures.is_empty(), "{passed} passed\n{}", failures.join("\n"));
}

#[tokio::test]
async fn rest_answers_alike() {
    let original = Original::start().await;
    let mut failures = Vec::new();
    for case in original.golden["rest"].as_array().unwrap() {
        let rest = Rest::of(&original.caller(case["caller"].as_str().unwrap()).0);
        let method = case["method"].as_str().unwrap().parse().unwrap();
        let mut request = rest.request(method, case["path"].as_str().unwrap());
        if let Some(raw) = case["raw_body"].as_str() {
            request = request.body(raw.to_owned());
        } else if let Some(body) = case.get("request") {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        let same = case["status"] == status
            && case.get("body").is_none_or(|expected| alike(expected, &body))
            && case.get("code").is_none_or(|code| *code == body["detail"]["code"]);
        if !same || body.to_string().contains("********") {
            failures.push(format!("{case}: {status} {body}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
