//! What breaks, breaks for as long as it is broken.

use std::{fs, sync::Arc, time::Duration};

use crate::{
    load::Load,
    service::{Service, hide},
    support::eventually,
};

/// What a fault leaves to callers meanwhile.
#[derive(Clone, Copy, PartialEq)]
pub enum Meanwhile {
    /// Nothing is noticed, but for what was under way.
    Served,
    /// Some or all are told that the service is not available.
    Away,
}

/// `harm` is done under load for `time`, then undone: only `UNAVAILABLE` reaches callers, only meanwhile, and nothing is lost.
pub async fn outlives<U: FnOnce()>(
    mut service: Service,
    meanwhile: Meanwhile,
    time: Duration,
    harm: impl FnOnce(&Service) -> U,
) {
    let load = Load::start(&service).await;
    load.all_is_well().await;
    let undo = harm(&service);
    tokio::time::sleep(time).await;
    let told = load.told();
    assert!(told.keys().all(|code| ["OK", "UNAVAILABLE"].contains(&code.as_str())), "{told:?}");
    if meanwhile == Meanwhile::Away {
        assert!(told.contains_key("UNAVAILABLE"), "nothing happened: {told:?}");
    } else {
        assert!(told["OK"] > 20, "{told:?}");
    }
    undo();
    load.heals().await;
    let told = load.told();
    assert!(told.keys().all(|code| ["OK", "UNAVAILABLE"].contains(&code.as_str())), "{told:?}");
    load.all_is_well().await;
    service.is_ready(true).await;
    load.end().await;
    // The last one that was sick may be about to be replaced.
    eventually("one process is left", async || service.workers().len() == 1).await;
    service.stop();
}

async fn start() -> Service {
    Service::start(&[("USERSECRET_HSM__DEADLINE_MS", "1000")]).await
}

/// The module does as `line` says until told otherwise.
async fn outlives_the_fault(meanwhile: Meanwhile, line: &str) {
    outlives(start().await, meanwhile, Duration::from_secs(3), |service| {
        let faults = Arc::clone(&service.faults);
        faults.set(line).unwrap();
        move || faults.set("").unwrap()
    })
    .await;
}

macro_rules! faults {
    ($($name:ident: $meanwhile:ident, $line:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            outlives_the_fault(Meanwhile::$meanwhile, $line).await;
        })*
    };
}

faults! {
    a_device_that_is_removed: Away, "function=* return=CKR_DEVICE_REMOVED";
    a_call_that_hangs: Away, "function=C_Decrypt hang from=3";
    a_module_that_crashes: Served, "function=C_Decrypt kill from=40";
    a_key_for_another_when_reading: Away, "function=C_DecryptInit swap_key from=5";
    a_key_for_another_when_writing: Away, "function=C_EncryptInit,C_DecryptInit swap_key from=20";
    a_key_for_another_in_the_wrap_alone: Away, "function=C_EncryptInit swap_key from=20";
    bytes_that_change_in_one_wrap: Served, "function=C_Encrypt corrupt from=20 count=1";
    a_key_for_another_in_everything: Away, "function=C_EncryptInit,C_DecryptInit,C_WrapKey,C_UnwrapKey,C_SignInit swap_key from=9";
    a_token_that_says_nothing: Away, "function=* return=CKR_GENERAL_ERROR";
    one_failure_of_one_call: Served, "function=C_Decrypt return=CKR_DEVICE_ERROR from=7 count=1";
    a_login_that_is_lost: Away, "function=C_EncryptInit,C_DecryptInit return=CKR_USER_NOT_LOGGED_IN";
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_directory_that_is_gone_for_a_while() {
    outlives(start().await, Meanwhile::Served, Duration::from_secs(2), |service| {
        hide(service.data().join("softhsm/tokens"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed() {
    outlives(start().await, Meanwhile::Served, Duration::from_secs(2), |service| {
        let [(worker, _)] = service.workers()[..] else { panic!("not one worker") };
        assert_eq!(Service::session(worker), worker, "it leads no session of its own");
        service.kill_workers();
        || ()
    })
    .await;
}

/// SoftHSM cuts the file to nothing before it writes it, and whoever is killed then leaves it so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_was_cut_short() {
    outlives(start().await, Meanwhile::Served, Duration::from_secs(2), |service| {
        fs::write(service.token_file(), "").unwrap();
        service.kill_workers();
        || ()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_was_cut_short_before_there_was_a_copy_is_told() {
    let mut service = Service::start(&[]).await;
    service.stop();
    let file = service.token_file();
    fs::remove_file(file.with_extension("object.copy")).unwrap();
    fs::write(&file, "").unwrap();
    let says = format!("{} is empty: a login was cut short", file.display());
    for verbs in [&["serve"][..], &["hsm", "doctor"]] {
        let said = service.refuses(verbs);
        assert!(said.contains(&says), "{verbs:?}: {said}");
    }
}

/// One is stopped before it has logged in, one behind that; each is left behind, and the others do not wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_stand_still_at_their_start() {
    let env = [("USERSECRET_HSM__DEADLINE_MS", "1000"), ("USERSECRET_HSM__PROCESSES", "2")];
    for function in ["C_Login", "C_EncryptInit"] {
        let mut service = Service::start(&env).await;
        let load = Load::start(&service).await;
        load.all_is_well().await;
        service.faults.set(&format!("function={function} hang")).unwrap();
        let before = service.workers();
        service.kill_workers();
        let begins = || {
            let is_new = |pid| before.iter().all(|(old, _)| *old != pid);
            service.workers().into_iter().find(|(pid, _)| is_new(*pid))
        };
        eventually("one begins", async || begins().is_some()).await;
        let stopped = begins().unwrap().0;
        service.signal(stopped, "STOP");
        service.faults.set("").unwrap();
        load.heals().await;
        load.all_is_well().await;
        eventually("it is gone", async || service.workers().iter().all(|(pid, _)| *pid != stopped))
            .await;
        assert!(service.log().contains("does not come back at its start"), "{}", service.log());
        load.end().await;
        service.stop();
    }
}

/// One process does with the sessions that it gets; where it must be replaced and there is none for another beside it, it goes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_with_room_for_few_sessions() {
    let mut service = Service::start(&[("USERSECRET_HSM__SESSIONS", "8")]).await;
    let load = Load::start(&service).await;
    let full = "function=C_OpenSession return=CKR_SESSION_COUNT";
    // The login's, the self-test's, and three that work, of which one gives way.
    service.faults.set(&format!("{full} from=6")).unwrap();
    service.kill_workers();
    load.heals().await;
    load.all_is_well().await;
    assert!(service.log().contains("wanted=8 sessions=2"), "{}", service.log());

    let sick = "function=C_DecryptInit return=CKR_DEVICE_REMOVED";
    service.faults.set(&format!("{full}\n{sick}")).unwrap();
    eventually("the old process is gone", async || {
        service.log().contains("no room for another process") && service.workers().is_empty()
    })
    .await;
    service.faults.set("").unwrap();
    load.heals().await;
    load.all_is_well().await;
    load.end().await;
    service.stop();
}

/// Whoever stands between closes what says nothing for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_rest_are_used_now_and_then() {
    let mut service = Service::start(&[]).await;
    let before = service.workers();
    // Nobody asks for anything, and what would be asked next kills the process.
    service.faults.set("function=C_WrapKey kill").unwrap();
    eventually("it was used", async || {
        service.workers().iter().all(|(pid, _)| *pid != before[0].0)
    })
    .await;
    service.faults.set("").unwrap();
    service.is_ready(true).await;
    service.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_replaced_all_the_time() {
    let jobs = [("USERSECRET_HSM__PROCESS_JOBS", "50")];
    let mut service = Service::start(&jobs).await;
    let load = Load::start(&service).await;
    let before = service.workers();
    for _ in 0..10 {
        load.all_is_well().await;
    }
    assert_ne!(service.workers()[0].0, before[0].0);
    load.end().await;
    service.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_without_end_make_nothing_grow() {
    let mut service = Service::start(&[("USERSECRET_HSM__DEADLINE_MS", "500")]).await;
    let load = Load::start(&service).await;
    let faults = [
        "function=C_Decrypt kill from=3 count=1",
        "function=C_DecryptInit close_sessions from=3 count=1 for_ms=300",
        "function=C_DecryptInit finalize from=3 count=1 for_ms=300",
        "function=* return=CKR_DEVICE_REMOVED",
        "function=C_Decrypt hang from=3",
    ];
    let round = async || {
        for fault in faults {
            service.faults.set(fault).unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            service.faults.set("").unwrap();
            load.heals().await;
        }
        eventually("one process is left", async || service.workers().len() == 1).await;
        let worker = service.workers()[0];
        (service.holds(service.pid()), service.holds(worker.0), worker.1)
    };
    // The first rounds fill what is kept at hand.
    let (mut first, mut last) = (round().await, round().await);
    first = (first.0.max(last.0), first.1.max(last.1), first.2.max(last.2));
    for _ in 0..4 {
        last = round().await;
    }
    // Connections of callers come and go; a pipe, a thread or a session that stays would come twenty times.
    let ((threads, files), (before_threads, before_files)) = (last.0, first.0);
    assert!(
        threads <= before_threads + 4 && files <= before_files + 10,
        "{first:?}, then {last:?}"
    );
    assert!(last.1.0 <= first.1.0 + 1 && last.1.1 <= first.1.1 + 1, "{first:?}, then {last:?}");
    assert!(last.2 < first.2 + 8 * 1024, "{first:?}, then {last:?}");
    load.end().await;
    service.stop();
}
