//! One domain's haste is not another one's wait.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    service::Service,
    support::{Client, eventually},
};

/// A reveal's code, and whether it says when to come again.
async fn reveal(system: &Client, domain: &str, id: &str) -> (String, bool) {
    let query =
        "query($d: ID!, $id: ID!) { userSecretData(userSecretId: $id, domainId: $d) { data } }";
    let body = json!({ "query": query, "variables": { "d": domain, "id": id } });
    let sent = system.request().json(&body).send().await.unwrap();
    let pause = sent.headers().get("retry-after").map(|pause| pause.to_str().unwrap().to_owned());
    let answer = crate::support::Answer::of(sent).await;
    let hinted = pause.is_some_and(|pause| pause.parse::<u64>().unwrap() > 0);
    (answer.code().to_owned(), hinted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_little_is_served_however_much_others_ask() {
    let mut service = Service::start(&[("USERSECRET_HSM__QUEUE", "16")]).await;
    let id = service.caller("acme", Some("ann")).create("a").await;
    let other = service.caller("globex", Some("eve")).create("e").await;
    let (acme, globex) = (service.caller("acme", None), service.caller("globex", None));
    // Ten times what the queue holds, each for twenty milliseconds.
    service.faults.set("function=C_Decrypt delay_us=20000").unwrap();
    let mut flood = JoinSet::new();
    for _ in 0..160 {
        let (acme, id) = (acme.clone(), id.clone());
        flood.spawn(async move { reveal(&acme, "acme", &id).await });
    }
    for _ in 0..10 {
        assert_eq!(reveal(&globex, "globex", &other).await.0, "OK");
    }
    let told = flood.join_all().await;
    let refused: Vec<_> = told.iter().filter(|(code, _)| code == "UNAVAILABLE").collect();
    assert!(refused.len() > 60 && refused.len() < 160, "{} were refused", refused.len());
    assert!(refused.iter().all(|(_, hinted)| *hinted), "{refused:?}");
    service.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_does_not_come_keeps_no_other_domain_waiting() {
    let mut service = Service::start(&[("USERSECRET_HSM__SESSIONS", "4")]).await;
    let id = service.caller("acme", Some("ann")).create("a").await;
    let other = service.caller("globex", Some("eve")).create("e").await;
    let (acme, globex) = (service.caller("acme", None), service.caller("globex", None));
    // Now both are cold.
    service.stop();
    service.serve(&[("USERSECRET_HSM__SESSIONS", "4")]);
    service.is_ready(true).await;
    let workers = service.workers();
    service.faults.set("function=C_UnwrapKey hang count=1").unwrap();
    let (client, secret) = (acme.clone(), id.clone());
    let stuck = tokio::spawn(async move { reveal(&client, "acme", &secret).await.0 });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(reveal(&globex, "globex", &other).await.0, "OK");
    assert!(!stuck.is_finished());
    assert_eq!(service.workers()[0].0, workers[0].0, "nothing was replaced");
    assert_eq!(stuck.await.unwrap(), "UNAVAILABLE");
    service.faults.set("").unwrap();
    eventually("it is served again", async || reveal(&acme, "acme", &id).await.0 == "OK").await;
    service.stop();
}
