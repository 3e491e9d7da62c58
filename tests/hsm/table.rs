//! What each code of PKCS#11 leads to: a test for each row.

use crate::{
    service::Service,
    support::{Client, eventually},
    vendor::Vendor,
};

/// Codes of a `C_DecryptInit` after which another try, or one in another session, may cure what failed.
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

/// Codes of [`CURED`] by which a vendor means that it is hopeless.
fn exceptions(vendor: Vendor) -> &'static [&'static str] {
    match vendor {
        Vendor::SoftHsm => &[],
        // The login is gone.
        Vendor::Kryoptic => &["CKR_GENERAL_ERROR"],
        // The module was finalized.
        Vendor::Nss => &["CKR_ARGUMENTS_BAD"],
    }
}

async fn start(vendor: Vendor) -> (Service, Client, String) {
    let mut service = Service::over(vendor);
    service.serve(&[]);
    service.is_ready(true).await;
    let id = service.caller("acme", Some("ann")).create("a").await;
    let system = service.caller("acme", None);
    assert_eq!(system.reveal("acme", &id, None).await.code(), "OK");
    (service, system, id)
}

pub async fn what_fails_is_cured(vendor: Vendor) {
    let (mut service, system, id) = start(vendor).await;
    let before = service.workers();
    // Once, and with the KEK's binding behind it.
    for (code, count) in CURED.into_iter().flat_map(|code| [(code, 1), (code, 2)]) {
        if count == 2 && exceptions(vendor).contains(&code) {
            continue;
        }
        let fault = format!("function=C_DecryptInit return={code} count={count}");
        service.faults.set(&fault).unwrap();
        assert_eq!(system.reveal("acme", &id, None).await.code(), "OK", "{code} {count}");
    }
    assert_eq!(service.workers()[0].0, before[0].0);
    service.stop();
}

/// A domain's first request to a process is no worse off: its KEK is unwrapped and proved on the way.
#[tokio::test]
async fn what_fails_once_is_not_noticed_by_a_cold_domain() {
    let (mut service, system, id) = start(Vendor::SoftHsm).await;
    let other = service.caller("globex", Some("eve")).create("e").await;
    let globex = service.caller("globex", None);
    for call in ["C_UnwrapKey", "C_DecryptInit"] {
        for code in ["CKR_GENERAL_ERROR", "CKR_SESSION_HANDLE_INVALID", "CKR_OBJECT_HANDLE_INVALID"]
        {
            service.kill_workers();
            service.is_ready(true).await;
            eventually("a new process serves acme", async || {
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

pub async fn what_no_other_session_cures_costs_the_process(vendor: Vendor) {
    let (mut service, system, id) = start(vendor).await;
    for code in REPLACED.iter().chain(exceptions(vendor)) {
        let before = service.workers()[0].0;
        // The binding cannot be opened either: what is said is the token's.
        service.faults.set(&format!("function=C_DecryptInit return={code} count=2")).unwrap();
        let told = system.reveal("acme", &id, None).await;
        assert_eq!(told.code(), "UNAVAILABLE", "{code}: {}", told.text);
        service.faults.set("").unwrap();
        eventually("another process is there", async || {
            let workers = service.workers();
            workers.len() == 1 && workers[0].0 != before
        })
        .await;
        assert_eq!(system.reveal("acme", &id, None).await.code(), "OK", "{code}");
    }
    service.stop();
}
