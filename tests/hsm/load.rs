//! Callers who never stop asking, and remember what they were told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    service::Service,
    support::{Answer, Client, eventually},
};

const DOMAINS: [&str; 3] = ["acme", "globex", "umbrella"];

/// A secret that was acknowledged.
#[derive(Clone)]
struct Known {
    domain: &'static str,
    id: String,
    value: String,
}

pub struct Load {
    systems: Vec<Client>,
    known: Arc<Mutex<Vec<Known>>>,
    told: Arc<Mutex<BTreeMap<String, u64>>>,
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl Load {
    /// Three domains, in each a writer and a reader.
    pub async fn start(service: &Service) -> Self {
        let (known, told): (Arc<Mutex<Vec<Known>>>, _) = Default::default();
        let (stop, mut callers) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        let mut systems = Vec::new();
        for domain in DOMAINS {
            let (user, system) =
                (service.caller(domain, Some("ann")), service.caller(domain, None));
            systems.push(system.clone());
            write(&user, domain, "first", &known).await;
            let (known, told, stop) = (Arc::clone(&known), Arc::clone(&told), Arc::clone(&stop));
            let told: Arc<Mutex<BTreeMap<String, u64>>> = told;
            callers.spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let written = write(&user, domain, &format!("n{number}"), &known).await;
                    let mine = known.lock().unwrap().iter().find(|k| k.domain == domain).cloned();
                    for code in [written, read(&system, &mine.unwrap()).await] {
                        *told.lock().unwrap().entry(code).or_default() += 1;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            });
        }
        Self { systems, known, told, stop, callers }
    }

    /// What was told since this was asked last: how often each code.
    pub fn told(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    /// Nothing but good answers, of every domain.
    pub async fn all_is_well(&self) {
        self.told();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let told = self.told();
        assert!(told.keys().eq(["OK"]), "{told:?}");
    }

    /// Waits until every domain is served again.
    pub async fn heals(&self) {
        eventually("all domains are served", async || {
            let mut well = true;
            for (domain, system) in DOMAINS.iter().zip(&self.systems) {
                let mine =
                    self.known.lock().unwrap().iter().rfind(|k| k.domain == *domain).cloned();
                well &= read(system, &mine.unwrap()).await == "OK";
            }
            well
        })
        .await;
    }

    /// Ends it. Every write that was acknowledged is there, and is what was written.
    pub async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.callers.join_next().await {
            ended.unwrap();
        }
        let known = self.known.lock().unwrap().clone();
        assert!(known.len() > 20, "{} writes", known.len());
        for known in known {
            let at = DOMAINS.iter().position(|domain| *domain == known.domain).unwrap();
            assert_eq!(read(&self.systems[at], &known).await, "OK");
        }
    }
}

async fn write(
    user: &Client,
    domain: &'static str,
    name: &str,
    known: &Mutex<Vec<Known>>,
) -> String {
    let value = format!("{domain}'s {name}");
    let Some(answer) = ask(user, "mutation($i: CreateUserSecretInput!) { createUserSecret(input: $i) { userSecret { userSecretId } } }",
        json!({ "i": { "name": name, "data": { "value": value } } })).await else { return LOST.to_owned() };
    if answer.code() == "OK" {
        let id = answer.at("/data/createUserSecret/userSecret/userSecretId");
        let id = id.as_str().unwrap().to_owned();
        known.lock().unwrap().push(Known { domain, id, value });
    }
    answer.code().to_owned()
}

async fn read(system: &Client, known: &Known) -> String {
    let query =
        "query($d: ID!, $id: ID!) { userSecretData(userSecretId: $id, domainId: $d) { data } }";
    let Some(answer) = ask(system, query, json!({ "d": known.domain, "id": known.id })).await
    else {
        return LOST.to_owned();
    };
    if answer.code() == "OK" {
        assert_eq!(answer.at("/data/userSecretData/data/value"), known.value.as_str());
    }
    answer.code().to_owned()
}

/// The service itself did not answer.
const LOST: &str = "no answer";

async fn ask(client: &Client, query: &str, variables: serde_json::Value) -> Option<Answer> {
    let body = json!({ "query": query, "variables": variables });
    let sent = client.request().json(&body).send().await.ok()?;
    Some(Answer::of(sent).await)
}
