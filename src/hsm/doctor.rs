//! Looks at a token as a physician would, and says in words what it lacks.

use std::sync::Arc;

use cryptoki::{
    context::{Function, Pkcs11},
    mechanism::MechanismType,
    session::Session,
    slot::Slot,
};

use super::{
    HsmError, Settings, WrappedKek, check_value,
    generation::{Generation, find_token, load, log_in},
    note,
    receiving::Receiving,
    root::{StoredRoots, stored_roots},
    signing::Signer,
    template,
    worker::Worker,
};
use crate::ids::RootVersion;

/// One thing that was looked at.
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// What was seen.
    pub finding: Finding,
}

/// What was seen, in words.
pub enum Finding {
    /// It is as it must be.
    Sound(String),
    /// It works, and somebody should know of it.
    Doubtful(String),
    /// It is wrong, and what to do about it.
    Wrong(String),
}

impl From<Result<String, String>> for Finding {
    fn from(result: Result<String, String>) -> Self {
        result.map_or_else(Self::Wrong, Self::Sound)
    }
}

/// The mechanisms without which nothing works, and what for.
const MECHANISMS: [(MechanismType, &str); 5] = [
    (MechanismType::AES_KEY_GEN, "makes domain keys"),
    (MechanismType::AES_KEY_WRAP, "wraps domain keys under the root"),
    (MechanismType::AES_GCM, "wraps the keys of documents under a domain's key"),
    (MechanismType::ECC_KEY_PAIR_GEN, "makes the signing key"),
    (MechanismType::ECDSA, "signs what others can verify"),
];

/// Examines the token step by step, up to the first step that fails; `keks` are some that its root should open.
pub fn examine(settings: &Settings, keks: Option<&[WrappedKek]>) -> Vec<Check> {
    let mut checks = Vec::new();
    // The error has been noted as the last check; nothing more can be looked at.
    let _ = walk(settings, keks, &mut checks);
    checks
}

fn walk(
    settings: &Settings,
    keks: Option<&[WrappedKek]>,
    checks: &mut Vec<Check>,
) -> Result<(), ()> {
    let mut note = |what, finding| {
        let failed = matches!(finding, Finding::Wrong(_));
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
    note("mechanisms", mechanisms(&pkcs11, slot).into())?;
    let session = step(
        &mut note,
        "login",
        pkcs11
            .open_ro_session(slot)
            .map_err(HsmError::from)
            .and_then(|session| log_in(&session, &settings.pin()?).map(|()| session)),
        |_| "the PIN is right".to_owned(),
    )?;
    let roots = step(&mut note, "root key", stored_roots(&session), |roots| {
        let said = roots.iter().map(|(version, root)| {
            let value = check_value::of(&session, *root);
            let value = value.map_or_else(String::new, |value| format!(", check value {value}"));
            format!("version {}{value}", version.0)
        });
        let (label, said) = (template::ROOT_LABEL, said.collect::<Vec<_>>().join("; "));
        format!("{label:?}, AES-256, sensitive, not extractable: {said}")
    })?;
    for version in roots.keys() {
        note("recovery copies", copies(&session, *version))?;
    }
    if let Some(finding) = receiving(&session) {
        note("receiving key", finding)?;
    }
    step(&mut note, "signing key", Signer::find(&session), |signer| {
        let (label, id) = (template::SIGNING_LABEL, signer.public().id());
        format!("{label:?}, EC P-256, sensitive, not extractable, id {id}")
    })?;
    let tested = Generation::open(settings)
        .and_then(|generation| Worker::new(Arc::new(generation))?.self_test());
    step(&mut note, "self-test", tested, |()| {
        "wraps, unwraps, signs; refuses a flipped bit and a wrong AAD".to_owned()
    })?;
    keks.map_or(Ok(()), |keks| note("domain keys", domain_keys(&session, &roots, keks)))
}

fn step<T>(
    note: &mut impl FnMut(&'static str, Finding) -> Result<(), ()>,
    what: &'static str,
    result: Result<T, HsmError>,
    describe: impl FnOnce(&T) -> String,
) -> Result<T, ()> {
    match result {
        Ok(value) => note(what, Finding::Sound(describe(&value))).map(|()| value),
        Err(error) => {
            note(what, Finding::Wrong(error.to_string()))?;
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

/// What the token knows of copies of its root.
fn copies(session: &Session, version: RootVersion) -> Finding {
    let of = format!("of version {}", version.0);
    match note::read(session, version) {
        Ok(keys) if keys.is_empty() => Finding::Doubtful(format!(
            "{of} the token knows of none, and none can be made any more: `usersecret hsm rotate-root` \
             makes another root, with copies"
        )),
        Ok(keys) => {
            let (count, keys) = (keys.len(), keys.join(", "));
            Finding::Sound(format!("{of} {count} made at its birth, to RSA keys {keys}"))
        }
        Err(error) => Finding::Wrong(error.to_string()),
    }
}

/// A receiving key beside a root is not needed any more, and is a way out for the root.
fn receiving(session: &Session) -> Option<Finding> {
    match Receiving::find(session) {
        Ok(None) => None,
        Ok(Some(found)) => Some(Finding::Doubtful(format!(
            "{} is still there: whoever has the PIN and a copy for it can read the root; \
             `usersecret hsm receive --destroy` ends that",
            found.key().fingerprint()
        ))),
        Err(error) => Some(Finding::Wrong(error.to_string())),
    }
}

fn domain_keys(session: &Session, roots: &StoredRoots, keks: &[WrappedKek]) -> Finding {
    let opens = |kek: &&WrappedKek| {
        roots.get(&kek.root()).is_some_and(|root| kek.opens_under(session, *root))
    };
    match (keks.iter().filter(opens).count(), keks.len()) {
        (_, 0) => Finding::Sound("the database has none yet".to_owned()),
        (opened, of) if opened == of => {
            Finding::Sound(format!("their roots open {of} that were taken from the database"))
        }
        (opened, of) => Finding::Wrong(format!(
            "their roots open {opened} of {of} that were taken from the database"
        )),
    }
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
