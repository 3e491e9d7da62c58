//! Many change one secret at the same time: none is lost, and none is believed who lost.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn no_acknowledged_change_is_lost() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    for round in 0..6 {
        let id = ann.create("contested").await;
        let (renames, replaces) =
            tokio::join!(
                join_all((0..6).map(|n| {
                    ann.update(
                        json!({ "userSecretId": id, "name": format!("n{n}"), "tags": { "n": n } }),
                    )
                })),
                join_all((0..6).map(|n| {
                    ann.update_data(json!({ "userSecretId": id, "data": { "n": n } }))
                })),
            );
        for answer in renames.iter().chain(&replaces) {
            assert_eq!(answer.code(), "OK", "round {round}: {}", answer.text);
        }
        // Each change had a revision of its own, and each replacement a version.
        let sorted = |answers: &[crate::support::Answer], at: &str| {
            let mut seen: Vec<i64> =
                answers.iter().map(|answer| answer.at(at).as_i64().unwrap()).collect();
            seen.sort_unstable();
            seen
        };
        let versions = sorted(&replaces, "/data/updateUserSecretData/userSecret/version");
        assert_eq!(versions, [2, 3, 4, 5, 6, 7]);
        let mut revisions = sorted(&renames, "/data/updateUserSecret/userSecret/revision");
        revisions.extend(sorted(&replaces, "/data/updateUserSecretData/userSecret/revision"));
        revisions.sort_unstable();
        assert_eq!(revisions, (2..=13).collect::<Vec<_>>());
        let last = app.system().reveal("acme", &id, None).await;
        assert_eq!(last.at("/data/userSecretData/version"), 7);
    }
}

#[tokio::test]
async fn one_of_many_with_the_same_expectation_wins() {
    let app = TestApp::start().await;
    let ann = app.user("ann");
    for _ in 0..6 {
        let id = ann.create("contested").await;
        let rename = |n: i32| {
            ann.update(
                json!({ "userSecretId": id, "name": format!("n{n}"), "expectedRevision": 1 }),
            )
        };
        let replace = |n: i32| {
            ann.update_data(json!({ "userSecretId": id, "data": { "n": n }, "expectedVersion": 1 }))
        };
        let renames = join_all((0..6).map(rename)).await;
        let replaces = join_all((0..6).map(replace)).await;
        for answers in [renames, replaces] {
            let mut codes: Vec<&str> = answers.iter().map(|answer| answer.code()).collect();
            codes.sort_unstable();
            assert_eq!(codes, ["ABORTED", "ABORTED", "ABORTED", "ABORTED", "ABORTED", "OK"]);
        }
    }
}

#[tokio::test]
async fn what_is_deleted_at_the_same_time_is_deleted_once() {
    let app = TestApp::start().await;
    let (ann, admin) = (app.user("ann"), app.caller("acme", "root", "DOMAIN_ADMIN"));
    for _ in 0..4 {
        let ids = join_all((0..8).map(|_| ann.create("doomed"))).await;
        let clear = "mutation { deleteUserSecretsOfUser(input: { userId: \"ann\" }) { count } }";
        let (clears, deletes, updates) = tokio::join!(
            join_all((0..3).map(|_| admin.gql(clear, json!({})))),
            join_all(ids.iter().take(3).map(|id| ann.delete(json!({ "userSecretId": id })))),
            join_all(
                ids.iter().map(|id| ann.update(json!({ "userSecretId": id, "name": "late" })))
            ),
        );
        let cleared: i64 = clears
            .iter()
            .map(|answer| answer.at("/data/deleteUserSecretsOfUser/count").as_i64().unwrap())
            .sum();
        let mut deleted = 0;
        for answer in &deletes {
            assert!(["OK", "NOT_FOUND"].contains(&answer.code()), "{}", answer.text);
            deleted += i64::from(answer.code() == "OK");
        }
        assert_eq!(cleared + deleted, 8);
        for answer in updates {
            assert!(["OK", "NOT_FOUND"].contains(&answer.code()), "{}", answer.text);
        }
    }
    let events = "SELECT count(*) FROM audit_events WHERE outcome = 'ok'
        AND operation IN ('UserSecret.delete', 'UserSecret.delete_of_user')";
    assert_eq!(app.database.value::<i64>(events).await, 32);
}
