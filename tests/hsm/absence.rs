//! A start without an HSM, a PIN that is refused, and a token that is shut to who is not root.

use std::{fs, time::Duration};

use crate::{
    load::Load,
    service::{Service, hide},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_hsm_waits_and_heals_when_it_comes() {
    let mut service = Service::start(&[]).await;
    let ann = service.caller("acme", Some("ann"));
    let id = ann.create("a").await;
    service.stop();
    let back = hide(service.data().join("softhsm/tokens"));
    service.serve(&[]);
    service.is_ready(false).await;
    // Metadata needs no HSM.
    assert_eq!(ann.get(&id).await.code(), "OK");
    let system = service.caller("acme", None);
    assert_eq!(system.reveal("acme", &id, None).await.code(), "UNAVAILABLE");
    back();
    service.is_ready(true).await;
    assert_eq!(system.reveal("acme", &id, None).await.code(), "OK");
    service.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_that_is_refused_is_tried_once() {
    let mut service = Service::start(&[]).await;
    let system = service.caller("acme", None);
    let id = service.caller("acme", Some("ann")).create("a").await;
    let pin = service.data().join("pin");
    let right = fs::read_to_string(&pin).unwrap();
    fs::write(&pin, "0000").unwrap();
    service.kill_workers();
    service.is_ready(false).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let refused =
        "cannot be used before somebody changes something error=the token refuses the PIN";
    assert_eq!(service.log().matches(refused).count(), 1, "{}", service.log());
    assert_eq!(system.reveal("acme", &id, None).await.code(), "UNAVAILABLE");
    assert!(!service.log().contains("0000") && !service.log().contains(right.trim()));
    service.stop();
    // Who starts it is told so.
    service.serve(&[]);
    assert!(!service.ends().success());
    assert!(service.log().contains("the token refuses the PIN"), "{}", service.log());
}

/// What comes behind the refusal says nothing more about the PIN.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_that_is_refused_is_tried_once_where_the_module_hangs_behind_it() {
    let env = [("USERSECRET_HSM__DEADLINE_MS", "500"), ("USERSECRET_HSM__PROCESSES", "3")];
    let mut service = Service::start(&env).await;
    fs::write(service.data().join("pin"), "0000").unwrap();
    service.faults.set("function=C_CloseSession,C_Finalize hang").unwrap();
    service.kill_workers();
    service.is_ready(false).await;
    // Longer than one that says nothing would be waited for.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let log = service.log();
    assert_eq!(log.matches("error=the token refuses the PIN").count(), 1, "{log}");
    assert!(!log.contains("does not come back at its start"), "{log}");
    service.faults.set("").unwrap();
    service.stop();
}

/// As it is for a moment when it is written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_file_without_a_pin_is_not_tried() {
    let mut service = Service::start(&[]).await;
    let load = Load::start(&service).await;
    load.all_is_well().await;
    let pin = service.data().join("pin");
    let right = fs::read_to_string(&pin).unwrap();
    for none in ["", "\n", "12\u{0}34"] {
        fs::write(&pin, none).unwrap();
        service.kill_workers();
        tokio::time::sleep(Duration::from_millis(700)).await;
        fs::write(&pin, &right).unwrap();
        load.heals().await;
    }
    assert!(service.log().contains("holds no PIN"), "{}", service.log());
    load.all_is_well().await;
    load.end().await;
    service.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_directory_that_cannot_be_read_for_a_while() {
    let mut service = Service::start_as_nobody().await;
    let load = Load::start(&service).await;
    load.all_is_well().await;
    let open = service.shut("softhsm/tokens");
    tokio::time::sleep(Duration::from_secs(1)).await;
    // A process that begins now finds no token.
    service.kill_workers();
    tokio::time::sleep(Duration::from_secs(1)).await;
    open();
    load.heals().await;
    let told = load.told();
    assert!(told.keys().all(|code| ["OK", "UNAVAILABLE"].contains(&code.as_str())), "{told:?}");
    load.all_is_well().await;
    load.end().await;
    service.stop();
}

/// Neither by several processes, nor instead of one that is sick.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_that_is_refused_is_tried_once_by_all() {
    let mut service = Service::start(&[("USERSECRET_HSM__PROCESSES", "3")]).await;
    let system = service.caller("acme", None);
    let id = service.caller("acme", Some("ann")).create("a").await;
    assert_eq!(service.workers().len(), 3);
    fs::write(service.data().join("pin"), "0000").unwrap();
    service.faults.set("function=* return=CKR_DEVICE_REMOVED").unwrap();
    for _ in 0..5 {
        assert_eq!(system.reveal("acme", &id, None).await.code(), "UNAVAILABLE");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The device is there again, but to another process it says no.
    service.faults.set("function=C_DecryptInit return=CKR_DEVICE_REMOVED for_ms=1500").unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(
        service.log().matches("error=the token refuses the PIN").count(),
        1,
        "{}",
        service.log()
    );
    // The old one does what it can.
    assert_eq!(system.reveal("acme", &id, None).await.code(), "OK");
    service.stop();
    service.serve(&[("USERSECRET_HSM__PROCESSES", "3")]);
    assert!(!service.ends().success());
    assert_eq!(
        service.log().matches("error=the token refuses the PIN").count(),
        1,
        "{}",
        service.log()
    );
}
