//! The secrets that are asked for, and the requests that ask for them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    Failure,
    load::{Connection, Requests, post},
    service::Service,
    subject::Subject,
};

const DOMAINS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];
/// Users of a domain whose secrets are read and replaced.
const OWNERS: [&str; 4] = ["ann", "bob", "cleo", "dan"];
/// Users of a domain who create, so that the lists of the others stay as long as they are.
const CREATORS: [&str; 2] = ["eve", "finn"];
/// Secrets of an owner: in all a multiple of 32, so that no two connections replace the same one.
const SECRETS: usize = 24;
const SCHEMA: &str = "aws_access_key";

pub(crate) const REVEAL: &str = "query Reveal($id: ID!, $domain: ID!) \
    { userSecretData(userSecretId: $id, domainId: $domain) { data version } }";
pub(crate) const GET: &str = "query Get($id: ID!) { userSecret(userSecretId: $id) \
    { userSecretId name schemaId tags version revision expiresAt createdAt updatedAt } }";
const LIST: &str = "query List { userSecrets(first: 20) \
    { nodes { userSecretId name version updatedAt } pageInfo { hasNextPage endCursor } } }";
pub(crate) const CREATE: &str = "mutation Create($input: CreateUserSecretInput!) \
    { createUserSecret(input: $input) { userSecret { userSecretId name version } } }";
pub(crate) const UPDATE_DATA: &str = "mutation Update($input: UpdateUserSecretDataInput!) \
    { updateUserSecretData(input: $input) { userSecret { userSecretId version revision } } }";

/// Prepared requests of every operation.
pub(crate) struct Dataset([(Subject, Requests); 5]);

impl Dataset {
    /// Mints the tokens, for a service that has [`lines`].
    pub(crate) async fn prepare(service: &Service) -> Result<Self, Failure> {
        let mut connection = Connection::open(service.address).await?;
        let [mut reveals, mut gets, mut lists, mut creates, mut updates] =
            [const { Vec::new() }; 5];
        let mut ids = ids();
        for domain in DOMAINS {
            let system = service.token(domain, None)?;
            for user in OWNERS {
                let token = service.token(domain, Some(user))?;
                for id in ids.by_ref().take(SECRETS) {
                    let reveal = json!({ "id": id, "domain": domain });
                    reveals.push(post(&system, &body(REVEAL, &reveal)));
                    gets.push(post(&token, &body(GET, &json!({ "id": id }))));
                    let update = json!({ "input": { "userSecretId": id, "data": data() } });
                    updates.push(post(&token, &body(UPDATE_DATA, &update)));
                }
                lists.push(post(&token, &body(LIST, &json!({}))));
            }
            for user in CREATORS {
                let token = service.token(domain, Some(user))?;
                creates.extend((0..4).map(|number| post(&token, &create(number))));
            }
        }
        let dataset = Self([
            (Subject::Reveal, shuffled(reveals)),
            (Subject::Get, shuffled(gets)),
            (Subject::List, shuffled(lists)),
            (Subject::Create, shuffled(creates)),
            (Subject::UpdateData, shuffled(updates)),
        ]);
        dataset.try_all(&mut connection).await?;
        Ok(dataset)
    }

    /// The requests of an operation; none for a floor.
    pub(crate) fn requests(&self, subject: Subject) -> Requests {
        let found = self.0.iter().find(|(named, _)| *named == subject);
        found.map(|(_, requests)| Arc::clone(requests)).unwrap_or_default()
    }

    /// Every request once, so that a mistake shows before anything is measured.
    async fn try_all(&self, connection: &mut Connection) -> Result<(), Failure> {
        for (subject, requests) in &self.0 {
            for request in requests.iter() {
                let answer = connection.exchange(request).await?;
                answer.check()?;
                if *subject == Subject::List {
                    let answer: Value = serde_json::from_str(answer.body)?;
                    let nodes = answer.pointer("/data/userSecrets/nodes").and_then(Value::as_array);
                    if nodes.map(Vec::len) != Some(20) {
                        return Err("a list that does not have 20 rows".into());
                    }
                }
            }
        }
        Ok(())
    }
}

/// The ids of all secrets, in the order of their lines.
fn ids() -> impl Iterator<Item = String> {
    (0_u64..).map(|number| format!("user-secret-{number:012x}"))
}

/// The secrets, as `usersecret import` reads them.
pub(crate) fn lines() -> String {
    let mut ids = ids();
    let mut lines = String::new();
    for (domain, user) in DOMAINS.iter().flat_map(|domain| OWNERS.map(|user| (domain, user))) {
        for (number, id) in ids.by_ref().take(SECRETS).enumerate() {
            let line = json!({
                "user_secret_id": id,
                "name": name(number),
                "data": data(),
                "schema_id": SCHEMA,
                "tags": tags(),
                "user_id": user,
                "domain_id": domain,
            });
            lines.push_str(&format!("{line}\n"));
        }
    }
    lines
}

fn name(number: usize) -> String {
    format!("credential {number:02}")
}

fn tags() -> Value {
    json!({ "env": "bench", "team": "storage" })
}

/// The data of every secret: a document of about 170 bytes, 200 when sealed.
pub(crate) fn data() -> Value {
    json!({
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "region": "eu-central-1",
        "endpoint": "https://s3.example.com",
    })
}

/// The id that the answer to a creation tells.
pub(crate) fn created(body: &str) -> Result<String, Failure> {
    let answer: Value = serde_json::from_str(body)?;
    let id = answer.pointer("/data/createUserSecret/userSecret/userSecretId");
    Ok(id.and_then(Value::as_str).ok_or("a creation without an id")?.to_owned())
}

/// The body of a request.
pub(crate) fn body(query: &str, variables: &Value) -> String {
    json!({ "query": query, "variables": variables }).to_string()
}

/// The body of a creation.
pub(crate) fn create(number: usize) -> String {
    let input = json!({
        "name": name(number),
        "data": data(),
        "schemaId": SCHEMA,
        "tags": tags(),
    });
    body(CREATE, &json!({ "input": input }))
}

/// The same requests in an order in which domains and users alternate.
fn shuffled(requests: Vec<Vec<u8>>) -> Requests {
    // A stride that shares no factor with any of the lengths, which are products of 2 and 3.
    const STRIDE: usize = 29;
    let length = requests.len();
    requests.iter().cycle().step_by(STRIDE).take(length).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_loses_nothing() {
        for length in [16, 32, 384] {
            let requests: Vec<Vec<u8>> = (0..length).map(|n: u32| n.to_be_bytes().into()).collect();
            let mut shuffled = shuffled(requests.clone()).to_vec();
            assert_ne!(shuffled, requests);
            shuffled.sort();
            assert_eq!(shuffled, requests);
        }
    }
}
