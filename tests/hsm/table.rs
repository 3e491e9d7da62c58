//! What each code of PKCS#11 leads to: a test for each row.

use crate::{service::Service, support::Client};

/// Codes of a `C_DecryptInit`, and whether another try in another session cures what fails once.
const CURED: [&str; 28] = [
    // What bytes are told that do not open.
    "CKR_DATA_INVALID",
    "CKR_DATA_LEN_RANGE",
    "CKR_ENCRYPTED_DATA_INVALID",
    "CKR_ENCRYPTED_DATA_LEN_RANGE",
    "CKR_WRAPPED_KEY_INVALID",
    "0x35",
    // What is not allowed.
    "CKR_ARGUMENTS_BAD",
    "CKR_FUNCTION_NOT_SUPPORTED",
    "CKR_KEY_FUNCTION_NOT_PERMITTED",
    "CKR_MECHANISM_INVALID",
    "CKR_MECHANISM_PARAM_INVALID",
    "CKR_BUFFER_TOO_SMALL",
    // A handle.
    "CKR_KEY_HANDLE_INVALID",
    "CKR_OBJECT_HANDLE_INVALID",
    "CKR_UNWRAPPING_KEY_HANDLE_INVALID",
    "CKR_WRAPPING_KEY_HANDLE_INVALID",
    "CKR_KEY_TYPE_INCONSISTENT",
    // A session.
    "CKR_OPERATION_ACTIVE",
    "CKR_OPERATION_NOT_INITIALIZED",
    "CKR_SESSION_CLOSED",
    "CKR_SESSION_COUNT",
    "CKR_SESSION_HANDLE_INVALID",
    "0x204",
    // What says nothing.
    "CKR_GENERAL_ERROR",
    "CKR_DEVICE_ERROR",
    "CKR_FUNCTION_FAILED",
    "CKR_FUNCTION_CANCELED",
    "0x80000001",
];

/// Codes after which the process is replaced.
const REPLACED: [&str; 13] = [
    "CKR_USER_NOT_LOGGED_IN",
    "CKR_DEVICE_MEMORY",
    "CKR_DEVICE_REMOVED",
    "CKR_SLOT_ID_INVALID",
    "CKR_TOKEN_NOT_PRESENT",
    "CKR_TOKEN_NOT_RECOGNIZED",
    "CKR_TOKEN_WRITE_PROTECTED",
    "CKR_CANT_LOCK",
    "CKR_CRYPTOKI_NOT_INITIALIZED",
    "CKR_HOST_MEMORY",
    "CKR_MUTEX_BAD",
    "CKR_MUTEX_NOT_LOCKED",
    "CKR_CRYPTOKI_ALREADY_INITIALIZED",
];

async fn start() -> (Service, Client, String) {
    let service = Service::start(&[]).await;
    let id = service.caller("acme", Some("ann")).create("a").await;
    let system = service.caller("acme", None);
    assert_eq!(system.reveal("acme", &id, None).await.code(), "OK");
    (service, system, id)
}

#[tokio::test]
async fn what_fails_once_is_not_noticed() {
    let (mut service, system, id) = start().await;
    let before = service.workers();
    for code in CURED {
        service.faults.set(&format!("function=C_DecryptInit return={code} count=1")).unwrap();
        assert_eq!(system.reveal("acme", &id, None).await.code(), "OK", "{code}");
    }
    assert_eq!(service.workers()[0].0, before[0].0);
    service.stop();
}

/// A domain's first request to a process is no worse off: its KEK is unwrapped and proved on the way.
#[tokio::test]
async fn what_fails_once_is_not_noticed_by_a_cold_domain() {
    let (mut service, system, id) = start().await;
    let other = service.caller("globex", Some("eve")).create("e").await;
    let globex = service.caller("globex", None);
    for call in ["C_UnwrapKey", "C_DecryptInit"] {
        for code in ["CKR_GENERAL_ERROR", "CKR_SESSION_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID"]
        {
            service.kill_workers();
            service.is_ready(true).await;
            crate::support::eventually("a new process serves acme", async || {
                system.reveal("acme", &id, None).await.code() == "OK"
            })
            .await;
            service.faults.set(&format!("function={call} return={code} count=1")).unwrap();
            let told = globex.reveal("globex", &other, None).await;
            assert_eq!(told.code(), "OK", "{call} {code}: {}", told.text);
            service.faults.set("").unwrap();
        }
    }
    service.stop();
}

#[tokio::test]
async fn what_no_other_session_cures_costs_the_process() {
    let (mut service, system, id) = start().await;
    for code in REPLACED {
        let before = service.workers()[0].0;
        // The binding cannot be opened either: what is said is the token's.
        service.faults.set(&format!("function=C_DecryptInit return={code} count=2")).unwrap();
        let told = system.reveal("acme", &id, None).await;
        assert_eq!(told.code(), "UNAVAILABLE", "{code}: {}", told.text);
        service.faults.set("").unwrap();
        crate::support::eventually("another process is there", async || {
            let workers = service.workers();
            workers.len() == 1 && workers[0].0 != before
        })
        .await;
        assert_eq!(system.reveal("acme", &id, None).await.code(), "OK", "{code}");
    }
    service.stop();
}

/// A row that was changed harms its own requests, and costs no process.
#[tokio::test]
async fn a_tampered_row_harms_its_own_requests() {
    let (mut service, system, id) = start().await;
    let ann = service.caller("acme", Some("ann"));
    let spoilt = ann.create("b").await;
    let before = service.workers();
    let database = crate::support::connect(&service.database_url()).await;
    let change = format!(
        "UPDATE user_secret_versions SET dek = zeroblob(60) WHERE user_secret_id = '{spoilt}'"
    );
    sea_orm::ConnectionTrait::execute_unprepared(&database, &change).await.unwrap();
    for _ in 0..20 {
        assert_eq!(system.reveal("acme", &spoilt, None).await.code(), "INTERNAL");
        assert_eq!(system.reveal("acme", &id, None).await.code(), "OK");
    }
    assert_eq!(service.workers()[0].0, before[0].0, "{}", service.log());
    service.stop();
}
