//! What may be put in, and that a refusal names the argument at fault.

use serde_json::{Value, json};

use crate::support::{TestApp, app::HOME};

#[tokio::test]
async fn names_and_tags_are_trimmed() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let tags = json!({ " env ": " prod ", "deep": { " a ": [" kept "] }, "n": 1 });
    let secret = ann
        .create_from(json!({ "name": "\t aws \n", "data": { " k ": " v " }, "schemaId": " s ", "tags": tags }))
        .await;
    assert_eq!(secret.json["name"], "aws");
    assert_eq!(secret.json["schemaId"], "s");
    assert_eq!(secret.json["tags"], json!({ "env": "prod", "deep": { "a": [" kept "] }, "n": 1 }));
    // The data is nobody's business.
    let data = app.system().reveal(HOME, &secret.id, None).await.at("/userSecretData/data");
    assert_eq!(data, json!({ " k ": " v " }));
}

#[tokio::test]
async fn names_count_code_points() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let longest = "힣".repeat(255);
    let id = ann.create(&longest).await.id;
    assert_eq!(ann.get(&id).await.at("/userSecret/name"), json!(longest));
    let long = ann.update(&id, json!({ "name": format!("{longest}힣") })).await;
    long.assert_names("INVALID_ARGUMENT", "name");
}

#[tokio::test]
async fn bad_input_is_refused_by_name() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    let id = ann.create("aws").await.id;
    let big = "x".repeat(70_000);
    let cases: [(Value, &str); 20] = [
        (json!({ "name": "" }), "name"),
        (json!({ "name": " \n " }), "name"),
        (json!({ "name": "a\u{0}b" }), "name"),
        (json!({ "name": "x".repeat(256) }), "name"),
        (json!({ "data": {} }), "data"),
        (json!({ "data": [] }), "data"),
        (json!({ "data": "text" }), "data"),
        (json!({ "data": 1 }), "data"),
        (json!({ "data": { "a": big } }), "data"),
        (json!({ "schemaId": "x".repeat(41) }), "schemaId"),
        (json!({ "tags": [] }), "tags"),
        (json!({ "tags": "text" }), "tags"),
        (json!({ "tags": { "$a": 1 } }), "tags"),
        (json!({ "tags": { "a": { " $b": 1 } } }), "tags"),
        (json!({ "tags": { "a": "\u{0}" } }), "tags"),
        (json!({ "tags": { "a": "x".repeat(17_000) } }), "tags"),
        (json!({ "expiresAt": "2001-01-01T00:00:00Z" }), "expiresAt"),
        (json!({ "idempotencyKey": "" }), "idempotencyKey"),
        (json!({ "idempotencyKey": "x".repeat(256) }), "idempotencyKey"),
        (json!({ "tags": { "list": [{ "deep": "\u{0}" }] } }), "tags"),
    ];
    for (change, argument) in cases {
        let mut input = json!({ "name": "ok", "data": { "a": 1 } });
        for (key, value) in change.as_object().unwrap() {
            input[key] = value.clone();
        }
        ann.try_create(input).await.assert_names("INVALID_ARGUMENT", argument);
        let update = match argument {
            "idempotencyKey" => continue,
            "data" | "schemaId" => {
                let mut input = json!({ "data": { "a": 1 } });
                input[argument] = change[argument].clone();
                ann.update_data(&id, input).await
            }
            _ => ann.update(&id, change).await,
        };
        update.assert_names("INVALID_ARGUMENT", argument);
    }
    assert_eq!(ann.list("").await.names(), ["aws"], "nothing was created");
    assert_eq!(ann.get(&id).await.at("/userSecret/revision"), 1, "nothing was changed");
}

#[tokio::test]
async fn values_of_a_wrong_type_are_refused() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    for input in [
        json!({}),
        json!({ "name": "x" }),
        json!({ "name": null, "data": { "a": 1 } }),
        json!({ "name": 1, "data": { "a": 1 } }),
        json!({ "name": "x", "data": null }),
        json!({ "name": "x", "data": { "a": 1 }, "expiresAt": "tomorrow" }),
        json!({ "name": "x", "data": { "a": 1 }, "surplus": 1 }),
        json!("text"),
        Value::Null,
    ] {
        let answer = ann.try_create(input.clone()).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT", "{input}: {}", answer.text);
    }
    let huge = ann.gql("{ userSecrets(first: 99999999999) { totalCount } }", json!({})).await;
    assert_eq!(huge.code(), "INVALID_ARGUMENT", "{}", huge.text);
}
