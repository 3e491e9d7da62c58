//! Faults that answer in the module's place, and those that keep it from answering.

use std::{os::unix::process::ExitStatusExt as _, sync::mpsc, thread, time::Duration};

use cryptoki::{error::RvError, session::Session};

use crate::support::*;

#[test]
fn a_code_is_answered_until_it_is_taken_away() {
    apart(|hsm| {
        let session = hsm.session();
        let key = generate(&session);
        for (code, answer) in [
            ("CKR_DEVICE_REMOVED", RvError::DeviceRemoved),
            ("0x80000021", RvError::VendorDefined(0x8000_0021)),
        ] {
            hsm.fail(&format!("function=C_GenerateRandom,C_EncryptInit return={code}"));
            assert_eq!(refusal(random(&session)), answer);
            assert_eq!(refusal(encrypt(&session, key)), answer);
            generate(&session);
        }
        hsm.fail("");
        random(&session).unwrap();
        encrypt(&session, key).unwrap();
    });
}

#[test]
fn every_call_fails_by_a_star() {
    apart(|hsm| {
        hsm.fail("function=* return=CKR_HOST_MEMORY");
        let pkcs11 = hsm.load();
        assert_eq!(refusal(initialize(&pkcs11)), RvError::HostMemory);
        assert_eq!(refusal(pkcs11.get_library_info()), RvError::HostMemory);
        hsm.fail("");
        initialize(&pkcs11).unwrap();
    });
}

#[test]
fn calls_are_counted_from_the_change_on() {
    apart(|hsm| {
        let session = hsm.session();
        let line = "function=C_GenerateRandom return=CKR_DEVICE_ERROR from=2 count=2";
        for _ in 0..2 {
            random(&session).unwrap();
            hsm.fail(line);
            let failed = [(); 5].map(|()| random(&session).is_err());
            assert_eq!(failed, [false, true, true, false, false]);
        }
    });
}

#[test]
fn a_fault_is_over_after_its_time() {
    apart(|hsm| {
        let session = hsm.session();
        hsm.fail("function=* for_ms=1000 return=CKR_DEVICE_ERROR");
        assert_eq!(refusal(random(&session)), RvError::DeviceError);
        thread::sleep(Duration::from_millis(1010));
        random(&session).unwrap();
    });
}

/// Whether a call that `first` has hang still hangs when `then` is done, and what it answers when `last` is said.
fn hangs(hsm: &Hsm, session: Session, first: &str, then: impl FnOnce(), last: &str) -> bool {
    hsm.fail(first);
    let (answered, answer) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || answered.send(random(&session).is_ok()).unwrap());
        assert!(answer.recv_timeout(Duration::from_millis(200)).is_err());
        then();
        assert!(answer.recv_timeout(Duration::from_millis(200)).is_err());
        hsm.fail(last);
        answer.recv_timeout(Duration::from_secs(10)).unwrap()
    })
}

#[test]
fn a_call_hangs_until_the_file_changes_and_goes_on_as_it_says() {
    apart(|hsm| {
        let pkcs11 = hsm.start();
        let hang = "function=C_GenerateRandom hang";
        assert!(hangs(&hsm, session(&pkcs11), hang, || {}, ""));
        assert!(!hangs(&hsm, session(&pkcs11), hang, || {}, "function=* return=CKR_DEVICE_ERROR"));
        hsm.fail("");
        let still = session(&pkcs11);
        assert!(hangs(&hsm, still, hang, || hsm.fail(&format!("{hang} count=9")), ""));

        let session = session(&pkcs11);
        hsm.fail("function=C_GenerateRandom hang for_ms=100");
        random(&session).unwrap();
    });
}

#[test]
fn a_call_that_hangs_holds_nobody_up() {
    apart(|hsm| {
        let pkcs11 = hsm.start();
        let (hanging, other) = (session(&pkcs11), session(&pkcs11));
        let lines = "function=C_GenerateRandom hang\nfunction=C_GetSessionInfo finalize";
        let others = || {
            generate(&other);
            // It must be alone in the module.
            assert_eq!(refusal(other.get_session_info()), RvError::CryptokiNotInitialized);
        };
        assert!(!hangs(&hsm, hanging, lines, others, ""));
    });
}

#[test]
fn a_process_is_killed_by_the_signal() {
    let killed = ran_apart(
        |hsm| {
            let session = hsm.session();
            hsm.fail("function=C_GenerateRandom kill from=2");
            random(&session).unwrap();
            println!("still here");
            let _ = random(&session);
        },
        |_| {},
    );
    let Some(output) = killed else { panic!("it went on") };
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{}", said(&output));
    assert!(said(&output).contains("still here"));
}
