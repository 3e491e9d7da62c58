//! Without faults: all that the service does with keys.

use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, KeyType},
};

use crate::support::*;

/// secp256r1 as OBJECT IDENTIFIER.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

#[test]
fn a_key_lives_and_dies_as_on_the_real_module() {
    apart(|hsm| {
        let pkcs11 = hsm.start();
        assert_eq!(pkcs11.get_library_info().unwrap().manufacturer_id(), "SoftHSM");
        let session = session(&pkcs11);

        let root = generate(&session);
        let newborn = generate(&session);
        let sealed = encrypt(&session, newborn).unwrap();
        let blob = session.wrap_key(&Mechanism::AesKeyWrap, root, newborn).unwrap();
        session.destroy_object(newborn).unwrap();
        let key = session.unwrap_key(&Mechanism::AesKeyWrap, root, &blob, &usable(false)).unwrap();
        assert_eq!(decrypt(&session, key, &sealed).unwrap(), PLAIN);
        let copy = session.copy_object(key, &[Attribute::Token(false)]).unwrap();
        assert_eq!(encrypt(&session, copy).unwrap(), sealed);
        assert_ne!(random(&session).unwrap(), random(&session).unwrap());

        let public = [Attribute::EcParams(P256.to_vec()), Attribute::Verify(true)];
        let private = [Attribute::Token(false), Attribute::Sign(true)];
        let (public, private) =
            session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
        let signature = session.sign(&Mechanism::Ecdsa, private, PLAIN).unwrap();
        session.verify(&Mechanism::Ecdsa, public, PLAIN, &signature).unwrap();
        let keys = session.find_objects(&[Attribute::KeyType(KeyType::AES)]).unwrap();
        assert_eq!(keys.len(), 3);
        drop(session);
        pkcs11.finalize().unwrap();

        // cryptoki asks for the size of what comes first.
        let calls = hsm.faults.calls().unwrap();
        for (name, count) in [
            ("C_Initialize", 1),
            ("C_OpenSession", 1),
            ("C_GenerateKey", 2),
            ("C_GenerateKeyPair", 1),
            ("C_EncryptInit", 2),
            ("C_Encrypt", 4),
            ("C_Decrypt", 2),
            ("C_WrapKey", 2),
            ("C_UnwrapKey", 1),
            ("C_CopyObject", 1),
            ("C_DestroyObject", 1),
            ("C_Verify", 1),
            ("C_GenerateRandom", 2),
            ("C_CloseSession", 1),
            ("C_Finalize", 1),
        ] {
            assert_eq!(calls.get(name), Some(&count), "{name}");
        }
        assert!(!calls.contains_key("C_SetPIN"));
    });
}

#[test]
fn it_can_be_loaded_again_and_goes_on_counting() {
    apart(|hsm| {
        for time in 1..=2 {
            let pkcs11 = hsm.start();
            random(&session(&pkcs11)).unwrap();
            pkcs11.finalize().unwrap();
            assert_eq!(hsm.faults.calls().unwrap()["C_GenerateRandom"], time);
        }
    });
}
