//! Looks at a token as a physician would, and says in words what it lacks and how it differs from others.

mod facts;
mod keys;
mod traits;

use std::sync::Arc;

use super::{
    HsmError, Settings, WrappedKek,
    generation::{Generation, Login},
    module::Module,
    root::stored_roots,
    signing::Signer,
    template,
    worker::Worker,
};

/// One thing that was looked at.
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// What was seen.
    pub finding: Finding,
}

/// What was seen, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be.
    Good(String),
    /// The service works with it, and its operator should know.
    Differs(String),
    /// What is wrong, and what to do about it.
    Lacks(String),
}

impl From<HsmError> for Finding {
    fn from(error: HsmError) -> Self {
        Self::Lacks(error.to_string())
    }
}

/// Examines the token step by step, up to the first step that fails; `keks` are some that its roots should open.
pub fn examine(settings: &Settings, keks: Option<&[WrappedKek]>) -> Vec<Check> {
    let mut notes = Notes(Vec::new());
    // The error has been noted as the last check; nothing more can be looked at.
    let _ = walk(settings, keks, &mut notes);
    notes.0
}

/// There is something without which nothing else can be looked at.
struct Stop;

struct Notes(Vec<Check>);

impl Notes {
    fn note(&mut self, what: &'static str, finding: Finding) -> Result<(), Stop> {
        let stop = matches!(finding, Finding::Lacks(_));
        self.0.push(Check { what, finding });
        if stop { Err(Stop) } else { Ok(()) }
    }

    /// Notes what `result` is, in the words of `describe`, or what is wrong with it.
    fn step<T>(
        &mut self,
        what: &'static str,
        result: Result<T, HsmError>,
        describe: impl FnOnce(&T) -> String,
    ) -> Result<T, Stop> {
        match result {
            Ok(value) => {
                self.note(what, Finding::Good(describe(&value)))?;
                Ok(value)
            }
            Err(error) => {
                self.note(what, error.into())?;
                Err(Stop)
            }
        }
    }
}

fn walk(settings: &Settings, keks: Option<&[WrappedKek]>, notes: &mut Notes) -> Result<(), Stop> {
    let module = notes.step("PKCS#11 module", Module::load(settings), |module| {
        facts::library(module.pkcs11()).unwrap_or_else(|_| settings.module.display().to_string())
    })?;
    let profile = facts::profile(module.pkcs11(), settings.profile);
    notes.note("profile", profile.unwrap_or_else(Finding::from))?;
    let slot = module.find_token(&settings.token_label);
    let found = slot.and_then(|slot| Ok((slot, module.pkcs11().get_token_info(slot)?)));
    let (slot, token) = notes.step("token", found, |(_, token)| facts::token(token))?;
    notes.note("mechanisms", facts::mechanisms(module.pkcs11(), slot))?;
    let (most, together) = (settings.most_sessions(), settings.sessions_together());
    notes.note("sessions", facts::sessions(token.max_session_count(), most, together))?;
    notes.note("writing", facts::writing(module.open_rw_session(slot).map(drop)))?;
    notes.note("PIN", facts::pin(&token, settings.profile.lockout))?;
    let opened = module.open_ro_session(slot);
    let session = opened.and_then(|session| session.log_in(&settings.pin()?).map(|()| session));
    let session = notes.step("login", session, |_| "the PIN is right".to_owned())?;
    traits::examine(&session, settings.profile, notes)?;
    let roots =
        notes.step("root key", stored_roots(&session), |roots| keys::roots(&session, roots))?;
    for (version, root) in &roots {
        notes.note("root at hand", traits::copying(&session, *root))?;
        notes.note("recovery copies", keys::copies(&session, *version))?;
    }
    if let Some(finding) = keys::receiving(&session) {
        notes.note("receiving key", finding)?;
    }
    notes.step("signing key", Signer::find(&session), |signer| {
        let (label, id) = (template::SIGNING_LABEL, signer.public().id());
        format!("{label:?}, EC P-256, sensitive, not extractable, id {id}")
    })?;
    let tested = Login::new(settings, || ())
        .and_then(|login| Generation::new(login, settings))
        .and_then(|generation| Worker::new(Arc::new(generation))?.self_test());
    notes.step("self-test", tested, |()| {
        "wraps, unwraps, signs; refuses a flipped bit and a wrong AAD".to_owned()
    })?;
    keks.map_or(Ok(()), |keks| notes.note("domain keys", keys::of_domains(&session, &roots, keks)))
}
