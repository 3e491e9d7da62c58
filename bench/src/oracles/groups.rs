//! What is asked, by whom, and what it names.

use serde_json::{Value, json};

use super::{
    class::{Class, Group},
    people::People,
};
use crate::{
    Failure,
    dataset::{GET, REVEAL, UPDATE_DATA, body, data},
    load::post,
};

const UPDATE: &str = "mutation Rename($input: UpdateUserSecretInput!) \
    { updateUserSecret(input: $input) { userSecret { userSecretId revision } } }";
const DELETE: &str = "mutation Delete($input: DeleteUserSecretInput!) \
    { deleteUserSecret(input: $input) { userSecretId } }";

/// Groups of requests that answer NOT_FOUND or PERMISSION_DENIED.
pub(super) fn all(people: &People) -> Result<Vec<Group>, Failure> {
    let mut groups = of_a_user(people)?;
    groups.extend(of_an_administrator(people)?);
    groups.extend(of_a_system(people)?);
    Ok(groups)
}

/// The same request for each of `ids`.
fn class(
    name: &'static str,
    alike: bool,
    token: &str,
    ids: &[String],
    of: impl Fn(&String) -> String,
) -> Class {
    Class { name, alike, requests: ids.iter().map(|id| post(token, &of(id))).collect() }
}

fn deletion(input: &Value) -> String {
    body(DELETE, &json!({ "input": input }))
}

fn reveal(domain: &str, id: &str) -> String {
    body(REVEAL, &json!({ "id": id, "domain": domain }))
}

fn of_a_user(people: &People) -> Result<Vec<Group>, Failure> {
    let token = people.token("acme", Some("ann"), &json!({}))?;
    let operation = |name, of: &dyn Fn(&String) -> String| Group {
        name,
        classes: vec![
            class("an unknown id", true, &token, &people.unknown, of),
            class("another user's", true, &token, &people.bobs, of),
            class("another domain's", true, &token, &people.foreign, of),
            class("no id at all", false, &token, &people.malformed, of),
        ],
    };
    let named = |owner: &'static str| {
        move |id: &String| deletion(&json!({ "userSecretId": id, "userId": owner }))
    };
    let revealed = |domain: &'static str| move |id: &String| reveal(domain, id);
    Ok(vec![
        operation("userSecret by a user", &|id| body(GET, &json!({ "id": id }))),
        operation("updateUserSecret by a user", &|id| {
            body(UPDATE, &json!({ "input": { "userSecretId": id, "name": "renamed" } }))
        }),
        operation("updateUserSecretData by a user", &|id| {
            body(UPDATE_DATA, &json!({ "input": { "userSecretId": id, "data": data() } }))
        }),
        operation("deleteUserSecret by a user", &|id| deletion(&json!({ "userSecretId": id }))),
        Group {
            name: "deleteUserSecret(userId) by a user",
            classes: vec![
                class("an unknown id", true, &token, &people.unknown, named("bob")),
                class("that user's", true, &token, &people.bobs, named("bob")),
                class("nobody's", true, &token, &people.unknown, named("zed")),
            ],
        },
        Group {
            name: "userSecretData by a user",
            classes: vec![
                class("an unknown id", true, &token, &people.unknown, revealed("acme")),
                class("another user's", true, &token, &people.bobs, revealed("acme")),
                class("another domain's", true, &token, &people.foreign, revealed("globex")),
                class("of no domain", true, &token, &people.unknown, revealed("zorgia")),
                class("no id at all", false, &token, &people.malformed, revealed("acme")),
            ],
        },
    ])
}

fn of_an_administrator(people: &People) -> Result<Vec<Group>, Failure> {
    let token = people.token("acme", Some("root"), &json!({ "role": "DOMAIN_ADMIN" }))?;
    let revealed = |domain: &'static str| move |id: &String| reveal(domain, id);
    let deleted = |domain: &'static str, owner: &'static str| {
        move |id: &String| {
            deletion(&json!({ "userSecretId": id, "userId": owner, "domainId": domain }))
        }
    };
    Ok(vec![
        Group {
            name: "userSecretData by an administrator",
            classes: vec![
                class("an unknown id", true, &token, &people.unknown, revealed("acme")),
                class("of the own domain", true, &token, &people.bobs, revealed("acme")),
                class("another domain's", true, &token, &people.foreign, revealed("globex")),
                class("of no domain", true, &token, &people.unknown, revealed("zorgia")),
            ],
        },
        Group {
            name: "deleteUserSecret(userId) by an administrator",
            classes: vec![
                class("an unknown id", true, &token, &people.unknown, deleted("acme", "bob")),
                class("another user's", true, &token, &people.cleos, deleted("acme", "bob")),
                class("another domain's", true, &token, &people.foreign, deleted("acme", "bob")),
                class("nobody's", true, &token, &people.cleos, deleted("acme", "zed")),
            ],
        },
        Group {
            name: "deleteUserSecret(domainId) by an administrator, elsewhere",
            classes: vec![
                class("an unknown id", true, &token, &people.unknown, deleted("globex", "ann")),
                class("that domain's", true, &token, &people.foreign, deleted("globex", "ann")),
                class("of no domain", true, &token, &people.unknown, deleted("zorgia", "ann")),
            ],
        },
    ])
}

fn of_a_system(people: &People) -> Result<Vec<Group>, Failure> {
    let token = people.token("acme", None, &json!({}))?;
    let limited = people.token("acme", None, &json!({ "iss": People::LIMITED }))?;
    let revealed = |domain: &'static str| move |id: &String| reveal(domain, id);
    let deleted = |domain: &'static str| {
        move |id: &String| deletion(&json!({ "userSecretId": id, "domainId": domain }))
    };
    Ok(vec![
        Group {
            name: "userSecretData by a system",
            classes: vec![
                class("an unknown id", true, &token, &people.unknown, revealed("acme")),
                class("another domain's", true, &token, &people.foreign, revealed("acme")),
                class("of no domain", true, &token, &people.unknown, revealed("zorgia")),
                class("no id at all", false, &token, &people.malformed, revealed("acme")),
            ],
        },
        Group {
            name: "userSecretData by a system, beyond its issuer's domains",
            classes: vec![
                class("an unknown id", true, &limited, &people.unknown, revealed("globex")),
                class("that domain's", true, &limited, &people.foreign, revealed("globex")),
                class("of no domain", true, &limited, &people.unknown, revealed("zorgia")),
            ],
        },
        Group {
            name: "deleteUserSecret by a system, beyond its issuer's domains",
            classes: vec![
                class("an unknown id", true, &limited, &people.unknown, deleted("globex")),
                class("that domain's", true, &limited, &people.foreign, deleted("globex")),
                class("of no domain", true, &limited, &people.unknown, deleted("zorgia")),
            ],
        },
    ])
}
