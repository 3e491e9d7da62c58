//! Requests of the original as GraphQL writes them.

use serde_json::{Map, Value, json};

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
pub async fn over_graphql(client: &Client, method: &str, request: &Value) -> Option<Told> {
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
        _ => None,
    }
}

fn told(answer: &Answer, json: Value) -> Told {
    let status = match answer.code() {
        "OK" => tonic::Code::Ok,
        "UNAUTHENTICATED" => tonic::Code::Unauthenticated,
        "PERMISSION_DENIED" => tonic::Code::PermissionDenied,
        "INVALID_ARGUMENT" => tonic::Code::InvalidArgument,
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
