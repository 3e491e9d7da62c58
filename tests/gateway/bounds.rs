//! Input that is small and would become much, or that one engine takes and another does not.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    faces::kit::{Grpc, Rest},
    support::{Client, TestApp},
};

/// What comes of a creation with `tags`: OK, or the message.
async fn tagged(client: &Client, tags: Value) -> String {
    let input = json!({ "name": "x", "data": { "a": 1 }, "tags": tags });
    let answer = client.create_with(input).await;
    if answer.code() == "OK" { "OK".to_owned() } else { answer.message().to_owned() }
}

/// `inner` within `levels` arrays of one object: every level has two paths to what is in it.
fn doubled(levels: usize, inner: Value) -> Value {
    (0..levels).fold(inner, |inner, _| json!({ "a": [inner] }))
}

#[tokio::test]
async fn tags_cannot_become_more_than_they_are() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let keys = |count: usize| (0..count).map(|n| (format!("{n}"), json!(1))).collect();
    let wide = |count| json!({ "k".repeat(480): Value::Object(keys(count)) });
    for (tags, begins) in [
        // Counted before anything is done with them.
        (json!({ "list": vec![1; 20_000] }), "tags: limits.tags_bytes: "),
        (doubled(8, json!({ "": vec![0; 20_000] })), "tags: limits.tags_bytes: "),
        // PostgreSQL gives numbers back with all their digits.
        (json!({ "": vec![1e308; 100] }), "tags: limits.tags_bytes: "),
        (json!({ "": vec![1e-300; 100] }), "tags: limits.tags_bytes: "),
        (json!({ "list": vec![1; 500] }), "tags: must lead to at most 1000 values"),
        (wide(400), "tags: must have at most 131072 bytes of paths"),
        (
            doubled(7, json!({ "b": "x".repeat(1200) })),
            "tags: must have at most 131072 bytes of paths",
        ),
        (json!({ "a": 1, "a ": 2 }), "tags: must not have keys that differ in blanks"),
        (wide(200), "OK"),
        (
            doubled(5, json!({ "b": "x".repeat(5000), "c": 1e300, "": vec![0; 900] })),
            "tags: must have",
        ),
        (doubled(2, json!({ "b": "x".repeat(5000), "c": 1e300, "": vec![0; 900] })), "OK"),
        (doubled(1, json!({ "b": 1 })), "OK"),
    ] {
        let told = tagged(&ann, tags).await;
        assert!(told.starts_with(begins), "{begins}: {told}");
    }
    let long =
        "SELECT count(*) FROM user_secret_tags WHERE kind = 'object' AND length(text) > 4096";
    assert_eq!(app.database.value::<i64>(long).await, 0);
    // Objects whose text is not kept have their place in an order all the same.
    let list = "query($after: String) { userSecrets(query: {sort: [{key: \"tags.a\"}]}, first: 1, after: $after) {
        nodes { tags } pageInfo { endCursor } } }";
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = ann.gql(list, json!({ "after": after })).await;
        let nodes = page.at("/data/userSecrets/nodes").as_array().unwrap();
        let Some(node) = nodes.first() else { break };
        seen.push(node["tags"]["a"][0]["b"] == 1);
        after = page.at("/data/userSecrets/pageInfo/endCursor").clone();
    }
    assert_eq!(seen, [false, false, true]);
}

#[tokio::test]
async fn all_faces_nest_alike() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let nested = |depth| (1..depth).fold(json!({ "a": 1 }), |inner, _| json!({ "a": inner }));
    for (tags, data, code) in [
        (nested(30), nested(30), "OK"),
        (nested(31), nested(1), "INVALID_ARGUMENT"),
        (nested(1), nested(31), "INVALID_ARGUMENT"),
    ] {
        let answer = ann.create_with(json!({ "name": "x", "data": data, "tags": tags })).await;
        assert_eq!(answer.code(), code, "{}", answer.text);
    }
    let (grpc, rest) = (Grpc::of(&ann).await, Rest::of(&ann));
    let listed = grpc.call("list", &json!({})).await;
    assert_eq!(rest.call("list", &json!({})).await.json["results"][0]["tags"], nested(30));
    assert_eq!(listed.json["total_count"], 1);
    // What is stored is shown, whatever the rule was when it was.
    let set = format!("UPDATE user_secrets SET tags = '{}'", nested(60));
    app.sql(&[set]).await;
    let results = rest.call("list", &json!({})).await.json["results"].clone();
    assert_eq!(results[0]["tags"], nested(60));
    let id = &results[0]["user_secret_id"];
    let renamed = rest.call("update", &json!({ "user_secret_id": id, "name": "y" })).await;
    assert_eq!((renamed.code.as_str(), &renamed.json["name"]), ("OK", &json!("y")));
}

#[tokio::test]
async fn nul_is_refused_by_name() {
    let app = TestApp::start().await;
    let (ann, admin) = (app.user("ann"), app.caller("acme", "root", "DOMAIN_ADMIN"));
    ann.create("a").await;
    let cursor = ann.gql("{ userSecrets { edges { cursor } } }", json!({})).await;
    let cursor = cursor.at("/data/userSecrets/edges/0/cursor").as_str().unwrap();
    let place: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).unwrap()).unwrap();
    let mut made = vec![];
    for pointer in ["/i", "/v/0"] {
        let mut place = place.clone();
        *place.pointer_mut(pointer).unwrap() = json!("\0");
        made.push(URL_SAFE_NO_PAD.encode(place.to_string()));
    }
    let own = |arguments: &str| {
        format!("query($t: String, $i: ID) {{ userSecrets({arguments}) {{ nodes {{ id }} }} }}")
    };
    let domain = |field: &str| {
        format!("query($t: String, $i: ID) {{ domain {{ {field} {{ nodes {{ __typename }} }} }} }}")
    };
    for (client, document, text, argument) in [
        (&ann, own("userSecretId: $i"), "\0", "userSecretId"),
        (&ann, own("name: $t"), "a\0", "name"),
        (&ann, own("schemaId: $t"), "a\0", "schemaId"),
        (&ann, own("provider: $t"), "a\0", "provider"),
        (&ann, own("query: {keyword: $t}"), "a\0", "query.keyword"),
        (&ann, own("after: $t"), &made[0], "after"),
        (&ann, own("after: $t"), &made[1], "after"),
        (&admin, domain("userSecrets(userId: $i)"), "a\0", "userId"),
        (&admin, domain("auditEvents(filter: {userId: $i})"), "a\0", "filter.userId"),
        (&admin, domain("auditEvents(filter: {operation: $t})"), "a\0", "filter.operation"),
        (&admin, domain("auditEvents(filter: {target: $t})"), "a\0", "filter.target"),
        (&admin, domain("auditEvents(filter: {outcome: $t})"), "a\0", "filter.outcome"),
    ] {
        // The validator wants no variable that is not used.
        let unused = if document.contains("$i)") || document.contains("$i}") {
            "$t: String, "
        } else {
            ", $i: ID"
        };
        let document = document.replacen(unused, "", 1);
        let answer = client.gql(&document, json!({ "t": text, "i": text })).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT", "{document}: {}", answer.text);
        let begins = answer.message().split(':').next().unwrap();
        assert_eq!(begins, argument, "{}", answer.text);
    }
}

#[tokio::test]
async fn who_may_not_list_is_told_so_and_nothing_else() {
    let app = TestApp::start().await;
    let mut writer = app.claims("acme", "ann", "USER");
    writer["scope"] = json!("secret:UserSecret.write");
    let bad = json!([{ "key": "bogus", "operator": "eq", "value": "(" }]);
    for client in [app.system(), app.with_token(Some(app.sign(&writer)))] {
        let document = "{ userSecrets(query: {filter: [{key: \"bogus\", operator: EQ}]}, first: -1) { nodes { id } } }";
        assert_eq!(client.gql(document, json!({})).await.code(), "PERMISSION_DENIED");
        let request = json!({ "query": { "filter": bad } });
        let (grpc, rest) = (Grpc::of(&client).await, Rest::of(&client));
        for told in [grpc.call("list", &request).await, rest.call("list", &request).await] {
            assert_eq!(told.code, "ERROR_PERMISSION_DENIED");
        }
    }
}
