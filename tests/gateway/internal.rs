//! The internal listener: data is revealed there and nowhere else.

use std::time::Duration;

use serde_json::json;
use usersecret::{app::Seams, server::Server};

use crate::{
    audit::QUICK,
    support::{Client, TestApp},
};

const LISTEN: &str = "[server]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"\"\n";

async fn start() -> (TestApp, Server) {
    let internal = "[internal]\nlisten = \"127.0.0.1:0\"\n";
    let app = TestApp::with(Seams::default(), &format!("{LISTEN}{internal}{QUICK}")).await;
    let server = app.listen().await.unwrap();
    (app, server)
}

/// `client` on the internal listener.
fn inside(client: &Client, server: &Server) -> Client {
    Client { url: format!("http://{}", server.internal.unwrap()), token: client.token.clone() }
}

/// `client` on the main one.
fn outside(client: &Client, server: &Server) -> Client {
    Client { url: format!("http://{}", server.main), token: client.token.clone() }
}

#[tokio::test]
async fn data_is_revealed_on_the_internal_listener_alone() {
    let (app, server) = start().await;
    let id = outside(&app.user("ann"), &server).create("one").await;

    let answer = inside(&app.system(), &server).reveal("acme", &id, None).await;
    assert_eq!(answer.at("/data/userSecretData/data/key"), "data of one");

    for client in [app.system(), app.user("ann"), app.caller("acme", "root", "DOMAIN_ADMIN")] {
        let answer = outside(&client, &server).reveal("acme", &id, None).await;
        assert_eq!((answer.code(), answer.message()), ("PERMISSION_DENIED", "Permission denied."));
        assert!(!answer.text.contains("data of one"));
    }
    for client in [app.user("ann"), app.caller("acme", "root", "DOMAIN_ADMIN")] {
        let answer = inside(&client, &server).reveal("acme", &id, None).await;
        assert_eq!(answer.code(), "PERMISSION_DENIED", "{}", answer.text);
    }
    let nobody = inside(&app.with_token(None), &server).reveal("acme", &id, None).await;
    assert_eq!((nobody.status, nobody.code()), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn a_reveal_outside_is_recorded_as_a_refusal() {
    let (app, server) = start().await;
    let id = outside(&app.user("ann"), &server).create("one").await;
    let system = outside(&app.system(), &server);
    assert_eq!(system.reveal("acme", &id, None).await.code(), "PERMISSION_DENIED");
    let refusals = format!(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM audit_events WHERE operation = 'UserSecret.get_data'
        AND outcome = 'PERMISSION_DENIED' AND role = 'SYSTEM' AND domain_id = 'acme' AND target = '{id}'"
    );
    // Refusals are counted in memory first.
    for _ in 0..600 {
        if app.database.value::<i64>(&refusals).await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(app.database.value::<i64>(&refusals).await, 1);
}

#[tokio::test]
async fn everything_else_is_the_same_on_both() {
    let (app, server) = start().await;
    let id = inside(&app.user("ann"), &server).create("one").await;
    for client in [inside(&app.user("ann"), &server), outside(&app.user("ann"), &server)] {
        assert_eq!(client.get(&id).await.at("/data/userSecret/name"), "one");
    }
    let metadata = "{ domain { userSecrets { nodes { name } } } }";
    for client in [inside(&app.system(), &server), outside(&app.system(), &server)] {
        let answer = client.gql(metadata, json!({})).await;
        assert_eq!(answer.at("/data/domain/userSecrets/nodes/0/name"), "one");
    }
}

#[tokio::test]
async fn health_is_not_on_the_internal_listener() {
    let (_app, server) = start().await;
    let status = async |address| {
        reqwest::get(format!("http://{address}/livez")).await.unwrap().status().as_u16()
    };
    assert_eq!(status(server.main).await, 200);
    assert_eq!(status(server.internal.unwrap()).await, 404);
}

#[tokio::test]
async fn without_one_data_is_revealed_on_the_main_listener() {
    let app = TestApp::with(Seams::default(), LISTEN).await;
    let server = app.listen().await.unwrap();
    assert_eq!(server.internal, None);
    let id = app.user("ann").create("one").await;
    let answer = outside(&app.system(), &server).reveal("acme", &id, None).await;
    assert_eq!(answer.at("/data/userSecretData/data/key"), "data of one");
}
