//! Looks at a token as a physician would, and says in words what it lacks.

use std::sync::Arc;

use cryptoki::{
    context::{Function, Pkcs11},
    mechanism::MechanismType,
    slot::Slot,
};

use super::{
    HsmError, Settings,
    generation::{Generation, find_token, load, log_in},
    root::stored_roots,
    signing::Signer,
    template,
    worker::Worker,
};

/// One thing that was looked at.
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// What was seen, or what is wrong and what to do about it.
    pub finding: Result<String, String>,
}

/// The mechanisms without which nothing works, and what for.
const MECHANISMS: [(MechanismType, &str); 5] = [
    (MechanismType::AES_KEY_GEN, "makes domain keys"),
    (MechanismType::AES_KEY_WRAP, "wraps domain keys under the root"),
    (MechanismType::AES_GCM, "wraps the keys of documents under a domain's key"),
    (MechanismType::ECC_KEY_PAIR_GEN, "makes the signing key"),
    (MechanismType::ECDSA, "signs what others can verify"),
];

/// Examines the token step by step, up to the first step that fails.
pub fn examine(settings: &Settings) -> Vec<Check> {
    let mut checks = Vec::new();
    // The error has been noted as the last check; nothing more can be looked at.
    let _ = walk(settings, &mut checks);
    checks
}

fn walk(settings: &Settings, checks: &mut Vec<Check>) -> Result<(), ()> {
    let mut note = |what, finding: Result<String, String>| {
        let failed = finding.is_err();
        checks.push(Check { what, finding });
        if failed { Err(()) } else { Ok(()) }
    };

    let pkcs11 = step(&mut note, "PKCS#11 module", load(&settings.module), |pkcs11| {
        pkcs11.get_library_info().map_or_else(
            |_| settings.module.display().to_string(),
            |info| {
                let (library, version) = (info.library_description(), info.library_version());
                format!("{library} {version}, PKCS#11 {}", info.cryptoki_version())
            },
        )
    })?;
    let slot = step(&mut note, "token", find_token(&pkcs11, &settings.token_label), |slot| {
        describe_token(&pkcs11, *slot)
    })?;
    note("mechanisms", mechanisms(&pkcs11, slot))?;
    let session = step(
        &mut note,
        "login",
        pkcs11
            .open_ro_session(slot)
            .map_err(HsmError::from)
            .and_then(|session| log_in(&session, &settings.pin()?).map(|()| session)),
        |_| "the PIN is right".to_owned(),
    )?;
    step(&mut note, "root key", stored_roots(&session), |roots| {
        let versions: Vec<String> = roots.keys().map(|version| version.0.to_string()).collect();
        let (label, versions) = (template::ROOT_LABEL, versions.join(" and "));
        format!("{label:?}, version {versions}, AES-256, sensitive, not extractable")
    })?;
    step(&mut note, "signing key", Signer::find(&session), |signer| {
        let (label, id) = (template::SIGNING_LABEL, signer.public().id());
        format!("{label:?}, EC P-256, sensitive, not extractable, id {id}")
    })?;
    let tested = Generation::open(settings)
        .and_then(|generation| Worker::new(Arc::new(generation))?.self_test());
    step(&mut note, "self-test", tested, |()| {
        "wraps, unwraps, signs; refuses a flipped bit and a wrong AAD".to_owned()
    })
}

fn step<T>(
    note: &mut impl FnMut(&'static str, Result<String, String>) -> Result<(), ()>,
    what: &'static str,
    result: Result<T, HsmError>,
    describe: impl FnOnce(&T) -> String,
) -> Result<T, ()> {
    match result {
        Ok(value) => note(what, Ok(describe(&value))).map(|()| value),
        Err(error) => {
            note(what, Err(error.to_string()))?;
            Err(())
        }
    }
}

fn describe_token(pkcs11: &Pkcs11, slot: Slot) -> String {
    pkcs11.get_token_info(slot).map_or_else(
        |error| error.to_string(),
        |token| {
            format!(
                "{:?}: {} {}, serial {}",
                token.label(),
                token.manufacturer_id(),
                token.model(),
                token.serial_number(),
            )
        },
    )
}

fn mechanisms(pkcs11: &Pkcs11, slot: Slot) -> Result<String, String> {
    let offered = pkcs11
        .get_mechanism_list(slot)
        .map_err(|error| format!("{:?}: {error}", Function::GetMechanismList))?;
    let missing: Vec<String> = MECHANISMS
        .iter()
        .filter(|(mechanism, _)| !offered.contains(mechanism))
        .map(|(mechanism, purpose)| format!("{mechanism} is missing, which {purpose}"))
        .collect();
    if missing.is_empty() {
        Ok(MECHANISMS.map(|(mechanism, _)| mechanism.to_string()).join(", "))
    } else {
        Err(missing.join("; "))
    }
}
