//! One suite for the modules of all vendors.

use std::{sync::Arc, time::Duration};

use sea_orm::ConnectionTrait as _;

use crate::{
    recovery::{Meanwhile, outlives},
    service::Service,
    support::{Client, connect},
    table,
    vendor::{PIN, Token, Vendor},
};

/// The engine on threads and in processes.
fn engine(vendor: Vendor) {
    let dir = tempfile::tempdir().unwrap();
    let token = Token::make(vendor, dir.path());
    for task in ["threads", "processes"] {
        token.visit(task);
    }
    // They rest on what the modules answer.
    insta::assert_snapshot!(format!("codes_of_{}", vendor.name()), lines(&token.visit("codes")));
}

#[test]
fn more_orders_than_the_socket_to_a_process_holds() {
    let dir = tempfile::tempdir().unwrap();
    Token::make(Vendor::SoftHsm, dir.path()).visit("outgrows");
}

/// Those that a visitor marks.
fn lines(said: &str) -> String {
    let marked = said.lines().filter_map(|line| line.strip_prefix("> "));
    marked.collect::<Vec<_>>().join("\n")
}

/// What the service promises, and what it refuses, on a token of each vendor.
async fn service(vendor: Vendor) {
    let mut service = Service::over(vendor);
    assert!(service.refuses(&["hsm", "init"]).contains("has a root key and a signing key already"));
    service.serve(&[]);
    service.is_ready(true).await;
    let (ann, eve) = (service.caller("acme", Some("ann")), service.caller("globex", Some("eve")));
    let (id, spoilt) = (ann.create("a").await, ann.create("b").await);
    let other = eve.create("e").await;
    let (acme, globex) = (service.caller("acme", None), service.caller("globex", None));
    reveals(&acme, "acme", &id, "a").await;
    reveals(&globex, "globex", &other, "e").await;

    let workers = service.workers();
    let row = "UPDATE user_secret_versions SET dek = zeroblob(60) WHERE user_secret_id";
    change(&service, &format!("{row} = '{spoilt}'")).await;
    for _ in 0..10 {
        assert_eq!(acme.reveal("acme", &spoilt, None).await.code(), "INTERNAL");
        reveals(&acme, "acme", &id, "a").await;
    }

    // The keys of one domain in the place of another one's.
    change(&service, "CREATE TABLE kept AS SELECT * FROM keks").await;
    let moved = "(SELECT blob, binding FROM kept WHERE domain_id = 'acme')";
    change(
        &service,
        &format!("UPDATE keks SET (blob, binding) = {moved} WHERE domain_id = 'globex'"),
    )
    .await;
    assert_eq!(globex.reveal("globex", &other, None).await.code(), "INTERNAL");
    reveals(&acme, "acme", &id, "a").await;
    let back = "(SELECT blob, binding FROM kept WHERE kept.domain_id = keks.domain_id)";
    change(&service, &format!("UPDATE keks SET (blob, binding) = {back}")).await;
    reveals(&globex, "globex", &other, "e").await;
    assert_eq!(service.workers()[0].0, workers[0].0, "{}", service.log());

    service.stop();
    service.serve(&[("USERSECRET_HSM__ISOLATION", "thread")]);
    service.is_ready(true).await;
    assert!(service.workers().is_empty());
    reveals(&acme, "acme", &id, "a").await;
    reveals(&globex, "globex", &other, "e").await;
    service.stop();
    // The last block was sealed at the end: each create and reveal is there.
    let verified = service.does(&["audit", "verify"]);
    let events = verified.lines().find_map(|line| line.split_once(" events in "));
    assert!(events.unwrap().0.parse::<u32>().unwrap() >= 30, "{verified}");
}

async fn reveals(system: &Client, domain: &str, id: &str, name: &str) {
    let told = system.reveal(domain, id, None).await;
    assert_eq!(told.at("/data/userSecretData/data/key"), format!("data of {name}").as_str());
}

async fn change(service: &Service, statement: &str) {
    let database = connect(&service.database_url()).await;
    database.execute_unprepared(statement).await.unwrap();
    database.close().await.unwrap();
}

/// A PIN that is refused stops the start, and is tried once: Kryoptic counts.
async fn wrong_pin(vendor: Vendor) {
    let mut service = Service::over(vendor);
    service.set_pin("87654320");
    service.serve(&[("USERSECRET_HSM__PROCESSES", "2")]);
    assert!(!service.ends().success());
    let log = service.log();
    assert_eq!(log.matches("error=the token refuses the PIN").count(), 1, "{log}");
    assert!(!log.contains("87654320") && !log.contains(PIN), "{log}");
}

/// What is done behind the service's back is not noticed.
async fn behind_its_back(vendor: Vendor, what: &str) {
    let mut service = Service::over(vendor);
    service.serve(&[("USERSECRET_HSM__DEADLINE_MS", "1000")]);
    service.is_ready(true).await;
    outlives(service, Meanwhile::Served, Duration::from_secs(1), |service| {
        let faults = Arc::clone(&service.faults);
        faults.set(&format!("function=C_DecryptInit {what} from=3 count=1 for_ms=500")).unwrap();
        move || faults.set("").unwrap()
    })
    .await;
}

macro_rules! on_each {
    ($($name:ident: $vendor:ident;)*) => {
        $(mod $name {
            use crate::vendor::Vendor;

            const VENDOR: Vendor = Vendor::$vendor;

            #[test]
            fn engine() {
                super::engine(VENDOR);
            }

            #[test]
            fn doctor() {
                crate::doctor::says(VENDOR);
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn service() {
                super::service(VENDOR).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn wrong_pin() {
                super::wrong_pin(VENDOR).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sessions_closed() {
                super::behind_its_back(VENDOR, "close_sessions").await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn finalized() {
                super::behind_its_back(VENDOR, "finalize").await;
            }

            #[tokio::test]
            async fn codes_that_are_cured() {
                super::table::what_fails_is_cured(VENDOR).await;
            }

            #[tokio::test]
            async fn codes_that_cost_the_process() {
                super::table::what_no_other_session_cures_costs_the_process(VENDOR).await;
            }
        })*
    };
}

on_each! {
    softhsm: SoftHsm;
    kryoptic: Kryoptic;
    nss: Nss;
}
