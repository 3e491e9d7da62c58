//! Tokens that are refused, and what their refusal tells.

use serde_json::{Value, json};

use super::{
    class::{Class, Group},
    people::People,
};
use crate::{Failure, dataset::body, load::post, token::forged};

const VIEWER: &str = "query Viewer { viewer { domainId userId } }";
/// Tokens of each class.
const TOKENS: usize = 64;

/// Groups of requests that answer UNAUTHENTICATED.
pub(super) fn all(people: &People) -> Result<Vec<Group>, Failure> {
    let limited = json!({ "iss": People::LIMITED });
    let nobody = json!({ "iss": "https://unknown.dev.localhost" });
    let past = json!({ "iat": 1_600_000_000, "exp": 1_600_003_600 });
    let class = |name, alike, forge, domain, user, other: &Value| {
        let request = |_| {
            let token = people.token(domain, Some(user), other)?;
            Ok(post(&if forge { forged(&token) } else { token }, &body(VIEWER, &json!({}))))
        };
        let requests = (0..TOKENS).map(request).collect::<Result<_, Failure>>()?;
        Ok::<Class, Failure>(Class { name, alike, requests })
    };
    let plain = json!({});
    Ok(vec![
        Group {
            name: "a token that is refused",
            classes: vec![
                class("forged", true, true, "acme", "bob", &plain)?,
                class("forged, of nobody", true, true, "acme", "zed", &plain)?,
                class("forged, of no domain", true, true, "zorgia", "bob", &plain)?,
                class("expired", false, false, "acme", "bob", &past)?,
                class("an unknown issuer's", false, false, "acme", "bob", &nobody)?,
                class(
                    "genuine, of a domain beyond its issuer's",
                    false,
                    false,
                    "globex",
                    "bob",
                    &limited,
                )?,
            ],
        },
        Group {
            name: "a forged token of an issuer for one domain",
            classes: vec![
                class("of that domain", true, true, "acme", "bob", &limited)?,
                class("of another", true, true, "globex", "bob", &limited)?,
                class("of no domain", true, true, "zorgia", "bob", &limited)?,
            ],
        },
    ])
}
