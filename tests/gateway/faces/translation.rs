//! Requests of the original as GraphQL writes them.

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use usersecret::clock::Timestamp;

use super::kit::Told;
use crate::support::{Answer, Client};

const LIST: &str = "query($q: QueryInput, $id: ID, $name: String, $schema: String, $provider: String, $n: Int) {
    userSecrets(query: $q, userSecretId: $id, name: $name, schemaId: $schema, provider: $provider, first: $n) {
        totalCount nodes { userSecretId } } }";
const STAT: &str =
    "query($q: StatisticsQueryInput!) { userSecretStat(query: $q) { results totalCount } }";

/// What only the original's wires have: GraphQL selects fields instead.
const WIRES_ALONE: [&str; 6] = ["only", "minimal", "count_only", "unwind", "lookup", "add_fields"];

/// Asks over GraphQL what `request` asks; nothing, where GraphQL has no word for it.
pub async fn over_graphql(
    client: &Client,
    domain: Option<&str>,
    method: &str,
    request: &Value,
) -> Option<Told> {
    let query = &request["query"];
    let has = |name: &&str| query.get(name).is_some();
    match method {
        "list" if !WIRES_ALONE.iter().any(has) => {
            let mut query = translated(query);
            // GraphQL's pages end at a hundred.
            if let Some(limit) = query.pointer_mut("/page/limit") {
                *limit = json!(limit.as_u64().unwrap().min(100));
            }
            let first = if query.get("page").is_some() { Value::Null } else { json!(100) };
            let variables = json!({ "q": query, "id": request["user_secret_id"], "name": request["name"],
                "schema": request["schema_id"], "provider": request["provider"], "n": first });
            let answer = client.gql(LIST, variables).await;
            let list = answer.json["data"]["userSecrets"].clone();
            let ids = list["nodes"].as_array().cloned().unwrap_or_default();
            let results = ids.iter().map(|row| json!({ "user_secret_id": row["userSecretId"] }));
            let results: Vec<_> = results.collect();
            Some(told(&answer, json!({ "results": results, "total_count": list["totalCount"] })))
        }
        "stat" => {
            let answer = client.gql(STAT, json!({ "q": translated(query) })).await;
            let stat = &answer.json["data"]["userSecretStat"];
            let mut json = json!({ "results": stat["results"] });
            if let Some(total) = stat["totalCount"].as_u64() {
                json["total_count"] = total.into();
            }
            Some(told(&answer, json))
        }
        "list" => None,
        _ => Some(one(client, domain, method, request).await),
    }
}

const SECRET: &str = "{ userSecretId name schemaId provider tags domainId userId createdAt }";

/// A method on one secret.
async fn one(client: &Client, domain: Option<&str>, method: &str, request: &Value) -> Told {
    let (field, input) = match method {
        "create" => ("createUserSecret", "CreateUserSecretInput"),
        "update" => ("updateUserSecret", "UpdateUserSecretInput"),
        "update_data" => ("updateUserSecretData", "UpdateUserSecretDataInput"),
        "delete" => ("deleteUserSecret", "DeleteUserSecretInput"),
        "get" => ("userSecret", ""),
        _ => ("userSecretData", ""),
    };
    let document = match method {
        "get" => format!("query($userSecretId: ID!) {{ userSecret(userSecretId: $userSecretId) {SECRET} }}"),
        "get_data" => "query($userSecretId: ID!, $domainId: ID!) {
            userSecretData(userSecretId: $userSecretId, domainId: $domainId) { encryptOptions data } }"
            .to_owned(),
        "delete" => format!("mutation($i: {input}!) {{ {field}(input: $i) {{ userSecretId }} }}"),
        _ => format!("mutation($i: {input}!) {{ {field}(input: $i) {{ userSecret {SECRET} }} }}"),
    };
    // On the wires an empty text is none.
    let given = request.as_object().unwrap().iter().filter(|(_, value)| **value != "");
    let mut arguments: Map<_, _> =
        given.map(|(name, value)| (renamed(name), value.clone())).collect();
    if let (Some(domain), "delete") = (domain, method) {
        arguments.insert("domainId".to_owned(), domain.into());
    }
    let arguments = Value::Object(arguments);
    let variables = if input.is_empty() { arguments } else { json!({ "i": arguments }) };
    let answer = client.gql(&document, variables).await;
    let found = &answer.json["data"][field];
    let json = match method {
        "get" => secret(found),
        "create" | "update" => secret(&found["userSecret"]),
        "get_data" => json!({ "encrypt_options": found["encryptOptions"], "data": found["data"] }),
        _ => json!({}),
    };
    told(&answer, json)
}

/// A secret as the wires write it, where what is null is not there.
fn secret(found: &Value) -> Value {
    let Value::Object(fields) = found else { return Value::Null };
    let fields = fields.iter().filter(|(_, value)| !value.is_null());
    fields
        .map(|(name, value)| match name.as_str() {
            "userSecretId" => ("user_secret_id", value.clone()),
            "schemaId" => ("schema_id", value.clone()),
            "domainId" => ("domain_id", value.clone()),
            "userId" => ("user_id", value.clone()),
            "createdAt" => {
                let moment = OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap();
                ("created_at", Timestamp::from(moment).to_iso_milliseconds().into())
            }
            name => (name, value.clone()),
        })
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// `schema_id` as `schemaId`.
fn renamed(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

fn told(answer: &Answer, json: Value) -> Told {
    let status = match answer.code() {
        "OK" => tonic::Code::Ok,
        "UNAUTHENTICATED" => tonic::Code::Unauthenticated,
        "PERMISSION_DENIED" => tonic::Code::PermissionDenied,
        "INVALID_ARGUMENT" => tonic::Code::InvalidArgument,
        "NOT_FOUND" => tonic::Code::NotFound,
        "ALREADY_EXISTS" => tonic::Code::AlreadyExists,
        "RESOURCE_EXHAUSTED" => tonic::Code::ResourceExhausted,
        _ => tonic::Code::Unknown,
    };
    let code = if status == tonic::Code::Ok { "OK" } else { "" };
    Told { status, code: code.to_owned(), message: answer.message().to_owned(), json }
}

/// `query` with GraphQL's names and operators; values stay as they are.
fn translated(query: &Value) -> Value {
    match query {
        Value::Array(entries) => entries.iter().map(translated).collect(),
        Value::Object(entries) => Value::Object(entries.iter().map(entry).collect::<Map<_, _>>()),
        other => other.clone(),
    }
}

fn entry((name, value): (&String, &Value)) -> (String, Value) {
    let name = match name.as_str() {
        "k" => "key",
        "v" => "value",
        "o" => "operator",
        "n" => "name",
        "filter_or" => "filterOr",
        "date_format" => "dateFormat",
        "exclude_keys" => "excludeKeys",
        name => name,
    };
    let value = match (name, value.as_str()) {
        ("value", _) => value.clone(),
        ("operator", Some(text)) => text.to_uppercase().into(),
        _ => translated(value),
    };
    (name.to_owned(), value)
}
