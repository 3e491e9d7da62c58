//! The life of a domain's keys: another one, what moves to it, and the end of all.

mod guards;
mod rotation;
mod shredding;
mod upkeep;

use serde_json::{Value, json};

use crate::support::{Answer, Client, TestApp, eventually};

const LOOK: &str = "query($d: ID) { domain(domainId: $d) { state
    keys { version state rootVersion wraps destroyedAt }
    rewrap { toVersion total done failed finishedAt }
    shredStatement { shreddedAt statement signature } } }";

impl Client {
    async fn look(&self, domain: &str) -> Answer {
        self.gql(LOOK, json!({ "d": domain })).await
    }

    async fn rotate(&self, domain: Option<&str>) -> Answer {
        let rotate = "mutation($i: RotateDomainKeyInput!) { rotateDomainKey(input: $i) { domain { keys { version } } } }";
        self.gql(rotate, json!({ "i": { "domainId": domain } })).await
    }

    async fn rewrap(&self, domain: Option<&str>) -> Answer {
        let rewrap = "mutation($i: RewrapDomainInput!) { rewrapDomain(input: $i) { domain { rewrap { done } } } }";
        self.gql(rewrap, json!({ "i": { "domainId": domain } })).await
    }

    async fn shred(&self, domain: &str, confirm: &str) -> Answer {
        let shred = "mutation($i: ShredDomainInput!) { shredDomain(input: $i) {
            domain { state } statement { shreddedAt statement signature } } }";
        self.gql(shred, json!({ "i": { "domainId": domain, "confirm": confirm } })).await
    }

    /// The versions of the domain's key and what they do, the newest first.
    async fn versions(&self, domain: &str) -> Vec<(i64, String)> {
        let keys = self.look(domain).await;
        let version = |key: &Value| {
            (key["version"].as_i64().unwrap(), key["state"].as_str().unwrap().to_owned())
        };
        keys.at("/data/domain/keys").as_array().unwrap().iter().map(version).collect()
    }

    /// Waits for the rewrap under way, and returns what it says.
    async fn moved(&self, domain: &str) -> Value {
        let rewrap = async || self.look(domain).await.at("/data/domain/rewrap").clone();
        eventually("the rewrap is done", async || !rewrap().await["finishedAt"].is_null()).await;
        rewrap().await
    }
}

fn admin(app: &TestApp) -> Client {
    app.caller("acme", "root", "DOMAIN_ADMIN")
}

/// What each secret says, by the system.
async fn all_open(app: &TestApp, domain: &str, ids: &[String]) {
    for (n, id) in ids.iter().enumerate() {
        let revealed = app.system().reveal(domain, id, None).await;
        assert_eq!(
            revealed.at("/data/userSecretData/data/key"),
            &json!(format!("data of s{n}")),
            "{}",
            revealed.text
        );
    }
}

async fn some_secrets(client: &Client, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(client.create(&format!("s{n}")).await);
    }
    ids
}
