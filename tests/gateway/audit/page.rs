//! The trail of a domain, page by page, for those who may read it.

use std::collections::HashSet;

use serde_json::Value;

use super::*;

const PAGE: &str =
    "query($d: ID, $f: AuditEventFilterInput, $n: Int, $a: String) { domain(domainId: $d) {
    auditEvents(filter: $f, first: $n, after: $a) {
        nodes { eventId at userId operation outcome userSecretId }
        edges { cursor } pageInfo { hasNextPage hasPreviousPage endCursor } } } }";

async fn page(client: &Client, variables: Value) -> Answer {
    client.gql(PAGE, variables).await
}

fn nodes(answer: &Answer) -> Vec<Value> {
    answer.at("/data/domain/auditEvents/nodes").as_array().unwrap().clone()
}

/// Every event that `filter` lets through, newest first; `between` pages something happens.
async fn walk(client: &Client, filter: Value, n: i32, between: impl AsyncFn()) -> Vec<Value> {
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let answer = page(client, json!({ "f": filter, "n": n, "a": after })).await;
        seen.extend(nodes(&answer));
        let info = answer.at("/data/domain/auditEvents/pageInfo");
        assert_eq!(info["hasPreviousPage"], json!(!after.is_null()));
        if info["hasNextPage"] == false {
            return seen;
        }
        assert_eq!(nodes(&answer).len(), usize::try_from(n).unwrap());
        after = info["endCursor"].clone();
        between().await;
    }
}

type Holds<'a> = Box<dyn Fn(&Value) -> bool + 'a>;

fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["eventId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_events_come() {
    let app = TestApp::with(Seams::default(), QUICK).await;
    let (ann, system) = (app.user("ann"), app.system());
    let id = ann.create("aws").await;
    reveal_many(&system, &id, 100).await;
    assert_eq!(system.reveal("acme", "user-secret-000000000000", None).await.code(), "NOT_FOUND");
    reveal_many(&system, &id, 39).await;
    app.caller("globex", "eve", "USER").create("theirs").await;
    let admin = app.caller("acme", "root", "DOMAIN_ADMIN");
    let quiet = async || {};
    let before = walk(&admin, json!({}), 100, quiet).await;
    // With two of the creation.
    assert_eq!(before.len(), 142);
    let seen = walk(&admin, json!({}), 7, async || {
        ann.update(json!({ "userSecretId": id, "name": "x" })).await;
        reveal_many(&system, &id, 3).await;
    })
    .await;
    assert_eq!(ids(&seen), ids(&before), "what came later is newer than the first page");
    let distinct: HashSet<_> = ids(&seen).into_iter().map(str::to_owned).collect();
    assert_eq!(distinct.len(), seen.len());
    assert!(ids(&seen).is_sorted_by(|newer, older| newer > older));

    let all = walk(&admin, json!({}), 100, quiet).await;
    assert!(all.len() > 200, "{}", all.len());
    let middle = all[100]["at"].clone();
    // Times are looked for to the millisecond.
    let millis = |event: &Value| event["at"].as_str().unwrap().get(..23).unwrap().to_owned();
    let edge = millis(&all[100]);
    let filters: [(Value, Holds); 6] = [
        (json!({ "userId": "ann" }), Box::new(|e| e["userId"] == "ann")),
        (
            json!({ "operation": "UserSecret.update" }),
            Box::new(|e| e["operation"] == "UserSecret.update"),
        ),
        (
            json!({ "userSecretId": id, "outcome": "ok" }),
            Box::new(|e| e["userSecretId"] == id.as_str() && e["outcome"] == "ok"),
        ),
        (json!({ "outcome": "not_found" }), Box::new(|e| e["outcome"] == "not_found")),
        (json!({ "since": middle }), Box::new(|e| millis(e) >= edge)),
        (json!({ "until": middle }), Box::new(|e| millis(e) < edge)),
    ];
    for (filter, holds) in filters {
        let expected: Vec<_> = all.iter().filter(|event| holds(event)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < all.len(), "{filter}");
        assert_eq!(ids(&walk(&admin, filter.clone(), 40, quiet).await), ids(&expected), "{filter}");
    }
    assert!(walk(&admin, json!({ "since": middle, "until": middle }), 9, quiet).await.is_empty());
    assert_eq!(nodes(&page(&admin, json!({ "n": 0 })).await), Vec::<Value>::new());
}

#[tokio::test]
async fn only_those_who_may_see_a_domain_s_trail() {
    let app = TestApp::with(Seams::default(), QUICK).await;
    for domain in ["acme", "globex"] {
        app.caller(domain, "ann", "USER").create("aws").await;
    }
    app.with_token(None).get("x").await;
    eventually("the stranger is recorded", async || {
        count(&app.database, "audit_events").await == 5
    })
    .await;
    let admin = app.caller("acme", "root", "DOMAIN_ADMIN");
    for bad in [
        json!({ "n": 101 }),
        json!({ "n": -1 }),
        json!({ "a": "x" }),
        json!({ "a": "" }),
        json!({ "a": "' OR 1 = 1" }),
    ] {
        let answer = page(&admin, bad.clone()).await;
        assert_eq!(answer.code(), "INVALID_ARGUMENT", "{bad}");
    }
    let two = async |client: &Client, domain: Value| {
        let answer = page(client, json!({ "d": domain })).await;
        (
            answer.code().to_owned(),
            answer
                .json
                .pointer("/data/domain/auditEvents/nodes")
                .map(|nodes| nodes.as_array().unwrap().len()),
        )
    };
    let (denied, seen) = (("PERMISSION_DENIED".to_owned(), None), ("OK".to_owned(), Some(2)));
    let system = app.system();
    let mut narrow = app.claims("globex", "", "SYSTEM");
    narrow["iss"] = json!("https://other.test");
    let narrow = app.with_token(Some(app.sign(&narrow)));
    let mut writer = app.claims("acme", "root", "DOMAIN_ADMIN");
    writer["scope"] = json!("secret:UserSecret.write");
    let writer = app.with_token(Some(app.sign(&writer)));
    for (client, domain, expected) in [
        (&admin, Value::Null, &seen),
        (&admin, json!("acme"), &seen),
        (&system, json!("acme"), &seen),
        (&system, json!("globex"), &seen),
        (&narrow, Value::Null, &seen),
        (&narrow, json!("globex"), &seen),
        // From here on refusals are recorded too.
        (&narrow, json!("acme"), &denied),
        (&admin, json!("globex"), &denied),
        (&admin, json!("-"), &denied),
        (&system, json!("-"), &denied),
        (&app.user("ann"), Value::Null, &denied),
        (&app.user("ann"), json!("acme"), &denied),
        (&writer, Value::Null, &denied),
    ] {
        assert_eq!(&two(client, domain.clone()).await, expected, "{domain}");
    }
}
