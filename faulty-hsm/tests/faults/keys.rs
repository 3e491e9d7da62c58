//! Faults of what the module does: other keys, changed bits, sessions that are gone.

use cryptoki::{error::RvError, mechanism::Mechanism};

use crate::support::*;

#[test]
fn another_key_works_in_the_place_of_one() {
    apart(|hsm| {
        let session = hsm.session();
        let keys = [(); 3].map(|()| generate(&session));
        let own = keys.map(|key| encrypt(&session, key).unwrap());
        hsm.fail("function=* swap_key");
        // The one before, if there is one that is alive.
        assert_eq!(encrypt(&session, keys[0]).unwrap(), own[1]);
        assert_eq!(encrypt(&session, keys[2]).unwrap(), own[1]);
        assert_eq!(decrypt(&session, keys[1], &own[0]).unwrap(), PLAIN);
        session.destroy_object(keys[0]).unwrap();
        assert_eq!(encrypt(&session, keys[1]).unwrap(), own[2]);

        // Both keys of a wrapping: here they change places.
        let twice = session.wrap_key(&Mechanism::AesKeyWrap, keys[1], keys[2]).unwrap();
        hsm.fail("");
        let unwrapped =
            session.unwrap_key(&Mechanism::AesKeyWrap, keys[2], &twice, &usable(true)).unwrap();
        assert_eq!(encrypt(&session, unwrapped).unwrap(), own[1]);
        assert_eq!(encrypt(&session, keys[1]).unwrap(), own[1]);
    });
}

#[test]
fn a_key_without_its_like_stays() {
    let alone = ran_apart(
        |hsm| {
            let session = hsm.session();
            let key = generate(&session);
            let own = encrypt(&session, key).unwrap();
            hsm.fail("function=C_EncryptInit swap_key");
            assert_eq!(encrypt(&session, key).unwrap(), own);
        },
        |_| {},
    );
    let Some(output) = alone else { return };
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("swap_key: there is no other key"), "{}", said(&output));
}

#[test]
fn one_bit_of_what_comes_back_is_another() {
    apart(|hsm| {
        let session = hsm.session();
        let (root, key) = (generate(&session), generate(&session));
        let wrap = || session.wrap_key(&Mechanism::AesKeyWrap, root, key).unwrap();
        let (sealed, blob) = (encrypt(&session, key).unwrap(), wrap());
        let bits = |a: &[u8], b: &[u8]| -> u32 {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
        };
        hsm.fail("function=* corrupt");
        assert_eq!(bits(&encrypt(&session, key).unwrap(), &sealed), 1);
        assert_eq!(bits(&decrypt(&session, key, &sealed).unwrap(), PLAIN), 1);
        assert_eq!(bits(&wrap(), &blob), 1);
        // The question for the size does not count.
        hsm.fail("function=C_Encrypt corrupt from=2 count=1");
        let changed = [(); 3].map(|()| bits(&encrypt(&session, key).unwrap(), &sealed));
        assert_eq!(changed, [0, 1, 0]);
        hsm.fail("");
        assert_eq!(decrypt(&session, key, &sealed).unwrap(), PLAIN);
        assert_eq!(wrap(), blob);
    });
}

/// The real module would not survive that without the lock.
#[test]
fn a_module_is_finalized_under_busy_threads() {
    apart(|hsm| {
        let pkcs11 = hsm.start();
        for _ in 0..10 {
            let session = session(&pkcs11);
            let key = generate(&session);
            let ended = while_busy(&pkcs11, key, || {
                hsm.fail("function=C_GenerateRandom finalize");
                assert_eq!(refusal(random(&session)), RvError::CryptokiNotInitialized);
            });
            assert_eq!(ended, [(); 4].map(|()| RvError::CryptokiNotInitialized));
            initialize(&pkcs11).unwrap();
            hsm.fail("");
            random(&self::session(&pkcs11)).unwrap();
        }
    });
}

#[test]
fn sessions_are_closed_under_busy_threads() {
    apart(|hsm| {
        let pkcs11 = hsm.start();
        for _ in 0..10 {
            let lost = session(&pkcs11);
            let key = generate(&lost);
            let ended = while_busy(&pkcs11, key, || {
                hsm.fail("function=C_GenerateRandom close_sessions count=1");
                assert_eq!(refusal(random(&lost)), RvError::SessionHandleInvalid);
            });
            assert_eq!(ended, [(); 4].map(|()| RvError::SessionHandleInvalid));
            random(&session(&pkcs11)).unwrap();
        }
    });
}
