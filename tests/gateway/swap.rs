//! Rows that were exchanged do not open: the fence in the ciphertext.

use crate::support::{TestApp, sql_bytes};

#[tokio::test]
async fn no_exchanged_column_reveals_anything() {
    let app = TestApp::start().await;
    let (ann, bob, zoe) = (app.user("ann"), app.user("bob"), app.caller("globex", "ann", "USER"));
    let (a, b) = (ann.create("a").await, ann.create("b").await);
    let (c, z) = (bob.create("c").await, zoe.create("z").await);
    for id in [&a, &b] {
        ann.update_data(serde_json::json!({ "userSecretId": id, "data": { "key": "second" } }))
            .await;
    }
    let versions = "user_secret_versions";
    // Exchanges a column of the rows that two conditions name.
    let exchange = |table: &str, column: &str, left: &str, right: &str| {
        format!(
            "CREATE TEMP TABLE l AS SELECT {column} AS x FROM {table} WHERE {left};
             UPDATE {table} SET {column} = (SELECT {column} FROM {table} WHERE {right}) WHERE {left};
             UPDATE {table} SET {column} = (SELECT x FROM l) WHERE {right}"
        )
    };
    let row = |id: &str, version: i32| format!("user_secret_id = '{id}' AND version = {version}");
    let pairs = [(&a, 1, &b, 1), (&a, 1, &a, 2), (&a, 1, &c, 1), (&a, 1, &z, 1), (&c, 1, &z, 1)];
    for (left, left_version, right, right_version) in pairs {
        for column in ["dek", "document"] {
            let swap =
                exchange(versions, column, &row(left, left_version), &row(right, right_version));
            app.sql(std::slice::from_ref(&swap)).await;
            for (id, version) in [(left, left_version), (right, right_version)] {
                let domain = if *id == z { "globex" } else { "acme" };
                let answer = app.system().reveal(domain, id, Some(version)).await;
                assert_eq!(
                    answer.code(),
                    "INTERNAL",
                    "{column} of {left} and {right}: {}",
                    answer.text
                );
                assert!(!answer.text.contains("data of"), "{}", answer.text);
            }
            app.sql(&[swap]).await;
            assert_eq!(app.system().reveal("acme", &a, Some(1)).await.code(), "OK");
        }
    }
    // Identities: a row that claims another owner, id, version, domain or KEK.
    let moves = [
        (
            format!("UPDATE user_secrets SET user_id = 'bob' WHERE user_secret_id = '{a}'"),
            "acme",
            &a,
            1,
        ),
        (
            format!(
                "UPDATE user_secret_versions SET user_secret_id = CASE user_secret_id WHEN '{a}' THEN '{b}' ELSE '{a}' END, version = -version WHERE user_secret_id IN ('{a}', '{b}'); UPDATE user_secret_versions SET version = -version WHERE version < 0"
            ),
            "acme",
            &a,
            1,
        ),
        (
            format!(
                "UPDATE user_secret_versions SET version = version + 10 WHERE user_secret_id = '{b}'"
            ),
            "acme",
            &b,
            11,
        ),
        (
            format!(
                "UPDATE user_secrets SET domain_id = 'globex' WHERE user_secret_id = '{c}'; UPDATE user_secret_versions SET domain_id = 'globex' WHERE user_secret_id = '{c}'"
            ),
            "globex",
            &c,
            1,
        ),
    ];
    for (statements, domain, id, version) in moves {
        app.sql(&[statements]).await;
        let answer = app.system().reveal(domain, id, Some(version)).await;
        assert_eq!(answer.code(), "INTERNAL", "{}", answer.text);
    }
    // A KEK of another domain, and one that was changed.
    let whole = "UPDATE keks SET blob = (SELECT blob FROM keks WHERE domain_id = 'acme'), binding = (SELECT binding FROM keks WHERE domain_id = 'acme') WHERE domain_id = 'globex'";
    app.sql(&[whole.to_owned()]).await;
    assert_eq!(app.system().reveal("globex", &z, None).await.code(), "INTERNAL");
    app.sql(&[format!("UPDATE keks SET blob = {}", sql_bytes(&[0; 40]))]).await;
    assert_eq!(app.system().reveal("globex", &z, None).await.code(), "INTERNAL");
    assert_eq!(
        ann.create_with(serde_json::json!({ "name": "n", "data": { "a": 1 } })).await.code(),
        "INTERNAL"
    );
    // The engine is well: another tenant goes on.
    assert_ne!(app.caller("initech", "ann", "USER").create("n").await, "");
}

#[tokio::test]
async fn no_flipped_bit_opens() {
    let app = TestApp::start().await;
    let id = app.user("ann").create("a").await;
    let columns = [
        ("user_secret_versions", "dek"),
        ("user_secret_versions", "document"),
        ("keks", "blob"),
        ("keks", "binding"),
    ];
    for (table, column) in columns {
        let stored: Vec<u8> = app.database.value(&format!("SELECT {column} FROM {table}")).await;
        let write = async |bytes: &[u8]| {
            app.sql(&[format!("UPDATE {table} SET {column} = {}", sql_bytes(bytes))]).await;
        };
        for at in 0..stored.len() {
            let mut flipped = stored.clone();
            flipped[at] ^= 1 << (at % 8);
            write(&flipped).await;
            let answer = app.system().reveal("acme", &id, None).await;
            assert_eq!(answer.code(), "INTERNAL", "{column}, byte {at}");
        }
        write(&stored).await;
        assert_eq!(app.system().reveal("acme", &id, None).await.code(), "OK");
    }
}
