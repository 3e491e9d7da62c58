//! Who may do what to whom: every operation, every caller.

use std::fmt::Write as _;

use async_graphql::parser::{
    parse_schema,
    types::{TypeKind, TypeSystemDefinition},
};
use serde_json::json;

use crate::support::{Answer, Client, TestApp};

/// A root field and a document that exercises it on the secret `$id` of ann in acme.
const OPERATIONS: [(&str, &str); 28] = [
    ("viewer", "{ viewer { role } }"),
    ("userSecret", "{ userSecret(userSecretId: \"$id\") { name } }"),
    ("userSecrets", "{ userSecrets(userSecretId: \"$id\") { nodes { name } } }"),
    (
        "userSecretStat",
        "{ userSecretStat(query: {filter: {key: \"user_secret_id\", operator: EQ, value: \"$id\"}, distinct: \"name\"}) { results } }",
    ),
    ("userSecretData", "{ userSecretData(userSecretId: \"$id\", domainId: \"acme\") { version } }"),
    ("node", "{ node(id: \"$id\") { id } }"),
    ("domain", "{ domain(domainId: \"acme\") { domainId } }"),
    ("domain.domainId", "{ domain { domainId } }"),
    (
        "domain.auditEvents",
        "{ domain(domainId: \"acme\") { auditEvents(first: 1) { nodes { operation } } } }",
    ),
    (
        "domain.userSecret",
        "{ domain(domainId: \"acme\") { userSecret(userSecretId: \"$id\") { name } } }",
    ),
    (
        "domain.userSecretStat",
        "{ domain(domainId: \"acme\") { userSecretStat(query: {distinct: \"name\"}) { results } } }",
    ),
    ("domain.state", "{ domain(domainId: \"acme\") { state } }"),
    ("domain.keys", "{ domain(domainId: \"acme\") { keys { version } } }"),
    ("domain.rewrap", "{ domain(domainId: \"acme\") { rewrap { done } } }"),
    ("domain.shredStatement", "{ domain(domainId: \"acme\") { shredStatement { statement } } }"),
    (
        "rotateDomainKey",
        "mutation { rotateDomainKey(input: {domainId: \"acme\"}) { domain { domainId } } }",
    ),
    (
        "rewrapDomain",
        "mutation { rewrapDomain(input: {domainId: \"acme\"}) { domain { domainId } } }",
    ),
    (
        "shredDomain",
        "mutation { shredDomain(input: {domainId: \"gone\", confirm: \"gone\"}) { domain { domainId } } }",
    ),
    ("domain.issuers", "{ domain(domainId: \"acme\") { issuers { iss } } }"),
    (
        "registerIssuer",
        "mutation { registerIssuer(input: {iss: \"x\", algorithms: [], domainId: \"acme\"}) { issuer { iss } } }",
    ),
    ("removeIssuer", "mutation { removeIssuer(input: {iss: \"x\", domainId: \"acme\"}) { iss } }"),
    (
        "revokeToken",
        "mutation { revokeToken(input: {tokenId: \"x\", domainId: \"acme\"}) { tokenId } }",
    ),
    ("domain.userSecrets", "{ domain(domainId: \"acme\") { userSecrets { nodes { name } } } }"),
    (
        "deleteUserSecretsOfUser",
        "mutation { deleteUserSecretsOfUser(input: {userId: \"nobody\", domainId: \"acme\"}) { count } }",
    ),
    (
        "createUserSecret",
        "mutation { createUserSecret(input: {name: \"x\", data: {a: 1}}) { userSecret { name } } }",
    ),
    (
        "updateUserSecret",
        "mutation { updateUserSecret(input: {userSecretId: \"$id\", name: \"x\"}) { userSecret { name } } }",
    ),
    (
        "updateUserSecretData",
        "mutation { updateUserSecretData(input: {userSecretId: \"$id\", data: {a: 1}}) { userSecret { name } } }",
    ),
    (
        "deleteUserSecret",
        "mutation { deleteUserSecret(input: {userSecretId: \"$id\"}) { userSecretId } }",
    ),
];

pub fn callers(app: &TestApp) -> Vec<(&'static str, Client)> {
    let scoped = |scope: &str| {
        let mut claims = app.claims("acme", "ann", "USER");
        claims["scope"] = json!(scope);
        app.with_token(Some(app.sign(&claims)))
    };
    let mut foreign_system = app.claims("globex", "", "SYSTEM");
    foreign_system["iss"] = json!("https://other.test");
    vec![
        ("nobody", app.with_token(None)),
        ("owner", app.user("ann")),
        ("owner, read", scoped("secret:UserSecret.read")),
        ("owner, write", scoped("secret:UserSecret.write")),
        ("other user", app.user("bob")),
        ("namesake", app.caller("globex", "ann", "USER")),
        ("admin", app.caller("acme", "root", "DOMAIN_ADMIN")),
        ("foreign admin", app.caller("globex", "root", "DOMAIN_ADMIN")),
        ("system", app.system()),
        ("foreign system", app.with_token(Some(app.sign(&foreign_system)))),
    ]
}

#[tokio::test]
async fn matrix() {
    let app = TestApp::start().await;
    let mut table = String::new();
    for (operation, document) in OPERATIONS {
        for (name, caller) in callers(&app) {
            let id = app.user("ann").create("target").await;
            let answer = caller.gql(&document.replace("$id", &id), json!({})).await;
            let seen = match answer.code() {
                "OK" if operation == "userSecrets" => {
                    format!(
                        "{} rows",
                        answer.at("/data/userSecrets/nodes").as_array().unwrap().len()
                    )
                }
                "OK" if operation == "userSecretStat" => {
                    answer.at("/data/userSecretStat/results").to_string()
                }
                code => code.to_owned(),
            };
            writeln!(table, "{operation:<24}{name:<15}{seen}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_matrix_is_complete() {
    let schema = parse_schema(include_str!("../../schema.graphql")).unwrap();
    let mut missing = Vec::new();
    for definition in schema.definitions {
        if let TypeSystemDefinition::Type(definition) = definition
            && let TypeKind::Object(object) = definition.node.kind
        {
            let prefix = match definition.node.name.node.as_str() {
                "Query" | "Mutation" => "",
                "Domain" => "domain.",
                _ => continue,
            };
            let names = object.fields.iter().map(|field| field.node.name.node.as_str());
            missing.extend(names.map(|name| format!("{prefix}{name}")));
        }
    }
    assert!(missing.len() > 12);
    missing.retain(|field| !OPERATIONS.iter().any(|(operation, _)| operation == field));
    assert!(missing.is_empty(), "operations without a row: {missing:?}");
}

#[tokio::test]
async fn a_foreign_id_answers_exactly_as_an_unknown_one() {
    let app = TestApp::start().await;
    let foreign = app.user("ann").create("target").await;
    let bob = app.user("bob");
    for (operation, document) in OPERATIONS {
        if !document.contains("$id") {
            continue;
        }
        let seen = bob.gql(&document.replace("$id", &foreign), json!({})).await;
        for unknown in ["user-secret-000000000000", "user-secret-nothing0here"] {
            let other = bob.gql(&document.replace("$id", unknown), json!({})).await;
            assert_eq!((seen.status, &seen.text), (other.status, &other.text), "{operation}");
        }
    }
}

#[tokio::test]
async fn administrators_and_systems_delete_what_they_may() {
    let app = TestApp::start().await;
    let (ann, admin, system) =
        (app.user("ann"), app.caller("acme", "root", "DOMAIN_ADMIN"), app.system());
    let id = ann.create("x").await;
    assert_eq!(
        admin.delete(json!({ "userSecretId": id, "userId": "bob" })).await.code(),
        "NOT_FOUND"
    );
    assert_eq!(
        app.user("bob").delete(json!({ "userSecretId": id, "userId": "ann" })).await.code(),
        "NOT_FOUND"
    );
    assert_eq!(
        ann.delete(json!({ "userSecretId": id, "domainId": "globex" })).await.code(),
        "PERMISSION_DENIED"
    );
    assert_eq!(
        system.delete(json!({ "userSecretId": id, "domainId": "globex" })).await.code(),
        "NOT_FOUND"
    );
    assert_eq!(admin.delete(json!({ "userSecretId": id, "userId": "ann" })).await.code(), "OK");
    let id = ann.create("y").await;
    assert_eq!(system.delete(json!({ "userSecretId": id })).await.code(), "OK");
}

#[tokio::test]
async fn an_administrator_sees_metadata_of_the_domain_and_clears_a_user() {
    let app = TestApp::start().await;
    let (ann, admin) = (app.user("ann"), app.caller("acme", "root", "DOMAIN_ADMIN"));
    let id = ann.create("a").await;
    for name in ["b", "c"] {
        ann.create(name).await;
    }
    app.user("bob").create("d").await;
    let elsewhere = app.caller("globex", "ann", "USER").create("z").await;

    let view =
        "query($u: ID) { domain { userSecrets(userId: $u) { totalCount nodes { name userId } } } }";
    let all = admin.gql(view, json!({})).await;
    assert_eq!(all.at("/data/domain/userSecrets/totalCount"), 4);
    let one = admin.gql(view, json!({ "u": "bob" })).await;
    assert_eq!(
        one.at("/data/domain/userSecrets/nodes"),
        &json!([{ "name": "d", "userId": "bob" }])
    );
    // SYSTEM acts in the domain that the header names.
    let header = app.system().request().header("x-domain-id", "globex");
    let there = header.json(&json!({ "query": "{ domain { domainId } }" })).send().await.unwrap();
    assert_eq!(Answer::of(there).await.at("/data/domain/domainId"), "globex");
    let find = "query($id: ID!) { domain { userSecret(userSecretId: $id) { userId } } }";
    let found = admin.gql(find, json!({ "id": id })).await;
    assert_eq!(found.at("/data/domain/userSecret/userId"), "ann");
    let foreign = admin.gql(find, json!({ "id": elsewhere })).await;
    let unknown = admin.gql(find, json!({ "id": "user-secret-000000000000" })).await;
    assert_eq!((foreign.code(), &foreign.text), ("NOT_FOUND", &unknown.text));

    let clear = "mutation($u: ID!) { deleteUserSecretsOfUser(input: { userId: $u }) { count } }";
    let count = "/data/deleteUserSecretsOfUser/count";
    assert_eq!(ann.gql(clear, json!({ "u": "ann" })).await.code(), "PERMISSION_DENIED");
    assert_eq!(admin.gql(clear, json!({ "u": "\u{0}" })).await.at(count), 0);
    assert_eq!(admin.gql(clear, json!({ "u": "ann" })).await.at(count), 3);
    assert_eq!(admin.gql(clear, json!({ "u": "ann" })).await.at(count), 0);
    assert_eq!(ann.get(&id).await.code(), "NOT_FOUND");
    assert_eq!(app.caller("globex", "ann", "USER").get(&elsewhere).await.code(), "OK");
    let trail = "query($id: ID) { domain { auditEvents(filter: { userSecretId: $id, operation: \"UserSecret.delete_of_user\" }) {
        nodes { userId outcome } } } }";
    let events = admin.gql(trail, json!({ "id": id })).await;
    assert_eq!(
        events.at("/data/domain/auditEvents/nodes"),
        &json!([{ "userId": "root", "outcome": "ok" }])
    );
}
