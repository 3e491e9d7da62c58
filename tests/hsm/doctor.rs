//! `usersecret hsm doctor`: what it says of each module, and of tokens that lack something.

use std::fs;

use crate::{
    service::Service,
    vendor::{LABEL, PIN, Vendor},
};

const DOCTOR: &[&str] = &["hsm", "doctor"];

/// What it says of a token that has all, but for what differs from one to the next.
pub fn says(vendor: Vendor) {
    let said = Service::over(vendor).does(DOCTOR);
    insta::assert_snapshot!(format!("doctor_of_{}", vendor.name()), anonymous(&said));
}

/// Without serial numbers and ids of keys.
fn anonymous(said: &str) -> String {
    let of = |line: &str| {
        let (text, last) = line.rsplit_once(' ').unwrap();
        let is_id = last.len() == 16 && last.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id { format!("{text} …") } else { line.to_owned() }
    };
    said.lines().map(of).collect::<Vec<_>>().join("\n")
}

/// The line about `what`.
fn line<'a>(said: &'a str, what: &str) -> &'a str {
    let of = |line: &&str| line.split_once(' ').is_some_and(|(_, rest)| rest.starts_with(what));
    said.lines().find(of).unwrap_or_else(|| panic!("{what} in {said}"))
}

#[test]
fn a_mechanism_that_is_missing_is_named_with_what_it_is_for() {
    let service = Service::over(Vendor::Kryoptic);
    let conf = service.data().join("token/kryoptic.conf");
    let slot = fs::read_to_string(&conf).unwrap();
    fs::write(conf, slot + "mechanisms = [\"DENY\", \"CKM_AES_GCM\"]\n").unwrap();
    let said = service.refuses(DOCTOR);
    assert_eq!(
        line(&said, "mechanisms"),
        "✘ mechanisms      CKM_AES_GCM is missing, which wraps the keys of documents under a domain's key"
    );
    assert!(said.ends_with("the token cannot be used as it is\n"), "{said}");
}

#[tokio::test]
async fn a_write_protected_token_serves_and_takes_no_keys() {
    let mut service = Service::over(Vendor::Nss);
    let dir = service.data().join("token");
    service.set(
        "init_args",
        &format!("configdir='sql:{}' dbTokenDescription='{LABEL}' flags=readOnly", dir.display()),
    );
    assert_eq!(
        line(&service.does(DOCTOR), "writing"),
        "! writing         the token is write-protected: no key can be made on it; the service works with those that are there"
    );
    assert!(service.refuses(&["hsm", "init"]).contains("the token is write-protected"));
    service.serve(&[]);
    service.is_ready(true).await;
    service.caller("acme", Some("ann")).create("a").await;
    service.stop();
}

#[test]
fn a_token_that_wants_another_profile_is_told_which() {
    let service = Service::over(Vendor::SoftHsm);
    service.set("profile", "pkcs11");
    let said = service.refuses(DOCTOR);
    assert!(line(&said, "profile").starts_with("! "), "{said}");
    let unwrapping = line(&said, "unwrapping");
    assert!(unwrapping.contains("C_UnwrapKey answers AttributeReadOnly"), "{said}");
    assert!(
        unwrapping
            .ends_with("refuses the length of the key, which hsm.profile = \"softhsm\" leaves out"),
        "{said}"
    );
    // Others take both.
    for vendor in [Vendor::Kryoptic, Vendor::Nss] {
        let service = Service::over(vendor);
        service.set("profile", "pkcs11");
        let (said, name) = (service.does(DOCTOR), vendor.name());
        assert!(
            line(&said, "profile").contains(&format!("hsm.profile = {name:?} is for this module")),
            "{said}"
        );
    }
}

#[test]
fn a_token_that_locks_says_so_before_and_afterwards() {
    let mut service = Service::over(Vendor::Kryoptic);
    let pin = |service: &Service| line(&service.refuses(DOCTOR), "PIN ").to_owned();
    service.set_pin("00000000");
    for _ in 0..9 {
        let said = service.refuses(DOCTOR);
        assert!(line(&said, "login").contains("refuses the PIN"), "{said}");
    }
    // It does not try the tenth one, however often it is asked.
    for _ in 0..2 {
        assert!(pin(&service).starts_with("✘ PIN             one more wrong one locks the token"));
    }
    service.serve(&[]);
    assert!(!service.ends().success());
    service.set_pin(PIN);
    assert_eq!(
        pin(&service),
        "✘ PIN             it is locked, by too many wrong ones: the token's security officer sets a new one"
    );
}

/// As many as other tests have found to be too many.
#[test]
fn others_do_not_lock() {
    for vendor in [Vendor::SoftHsm, Vendor::Nss] {
        let service = Service::over(vendor);
        service.set_pin("00000000");
        for _ in 0..24 {
            assert!(service.refuses(DOCTOR).contains("refuses the PIN"));
        }
        service.set_pin(PIN);
        service.does(DOCTOR);
    }
}

#[tokio::test]
async fn a_token_whose_keys_cannot_be_copied_is_used_as_it_is() {
    for vendor in [Vendor::SoftHsm, Vendor::Kryoptic, Vendor::Nss] {
        let mut service = Service::over(vendor);
        service.faults.set("function=C_CopyObject return=CKR_FUNCTION_NOT_SUPPORTED").unwrap();
        let said = service.does(DOCTOR);
        assert!(
            line(&said, "root at hand").starts_with("! root at hand    cannot be copied"),
            "{said}"
        );
        service.serve(&[]);
        service.is_ready(true).await;
        service.caller("acme", Some("ann")).create("a").await;
        service.stop();
    }
}

#[test]
fn a_module_that_is_not_told_where_its_token_is_says_so() {
    let service = Service::over(Vendor::Nss);
    for (init_args, named) in [
        ("", "libfaulty_hsm.so does not take \"\""),
        ("no such thing", "hsm.init_args: must contain \"configdir=\""),
    ] {
        service.set("init_args", init_args);
        let said = service.refuses(DOCTOR);
        assert!(line(&said, "PKCS#11 module").contains(named), "{said}");
    }
}
