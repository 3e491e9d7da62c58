//! What module and token tell of themselves.

use cryptoki::{
    context::Pkcs11,
    error::Error,
    mechanism::{MechanismInfo, MechanismType},
    slot::{Limit, Slot, TokenInfo},
};

use super::{
    super::{HsmError, Profile, profile::Lockout},
    Finding,
};

/// A mechanism without which nothing works, what for, and the rights that this takes.
struct Needed {
    mechanism: MechanismType,
    purpose: &'static str,
    may: fn(&MechanismInfo) -> bool,
}

const NEEDED: [Needed; 5] = [
    Needed {
        mechanism: MechanismType::AES_KEY_GEN,
        purpose: "makes domain keys",
        may: MechanismInfo::generate,
    },
    Needed {
        mechanism: MechanismType::AES_KEY_WRAP,
        purpose: "wraps domain keys under the root",
        may: |info| info.wrap() && info.unwrap(),
    },
    Needed {
        mechanism: MechanismType::AES_GCM,
        purpose: "wraps the keys of documents under a domain's key",
        may: |info| info.encrypt() && info.decrypt(),
    },
    Needed {
        mechanism: MechanismType::ECC_KEY_PAIR_GEN,
        purpose: "makes the signing key",
        may: MechanismInfo::generate_key_pair,
    },
    Needed {
        mechanism: MechanismType::ECDSA,
        purpose: "signs what others can verify",
        may: MechanismInfo::sign,
    },
];

pub(super) fn library(pkcs11: &Pkcs11) -> Result<String, Error> {
    let info = pkcs11.get_library_info()?;
    let (library, version) = (info.library_description(), info.library_version());
    Ok(format!("{library} {version}, PKCS#11 {}", info.cryptoki_version()))
}

pub(super) fn token(token: &TokenInfo) -> String {
    let (label, maker, model) = (token.label(), token.manufacturer_id(), token.model());
    format!("{label:?}: {maker} {model}, serial {}", token.serial_number())
}

pub(super) fn mechanisms(pkcs11: &Pkcs11, slot: Slot) -> Finding {
    let offered = match pkcs11.get_mechanism_list(slot) {
        Ok(offered) => offered,
        Err(error) => return HsmError::from(error).into(),
    };
    let missing: Vec<String> = NEEDED
        .iter()
        .filter_map(|Needed { mechanism, purpose, may }| {
            if !offered.contains(mechanism) {
                return Some(format!("{mechanism} is missing, which {purpose}"));
            }
            let allowed = pkcs11.get_mechanism_info(slot, *mechanism).is_ok_and(|info| may(&info));
            (!allowed).then(|| format!("{mechanism} is there, but not for what {purpose}"))
        })
        .collect();
    if missing.is_empty() {
        Finding::Good(NEEDED.map(|needed| needed.mechanism.to_string()).join(", "))
    } else {
        Finding::Lacks(missing.join("; "))
    }
}

/// One that holds the login, one that works, and one that takes its place when it fails.
const LEAST_SESSIONS: u64 = 3;

/// `most` is how many the service may have open at a time.
///
/// `together` is what several processes need beside each other: the first takes all that it wants.
pub(super) fn sessions(cap: Limit, most: u64, together: u64) -> Finding {
    let least = LEAST_SESSIONS.max(together);
    match cap {
        Limit::Max(cap) if cap < least => Finding::Lacks(format!(
            "the token allows {cap} at a time, and {least} are needed: lower hsm.processes or hsm.sessions"
        )),
        Limit::Max(cap) if cap < most => Finding::Differs(format!(
            "the token allows {cap} at a time, and the service may want {most}: it does with fewer, and has none for a moment \
             while a process is replaced; lower hsm.processes or hsm.sessions"
        )),
        Limit::Max(cap) => Finding::Good(format!("{cap} at a time, of which {most} may be needed")),
        Limit::Infinite => Finding::Good(format!("as many as wanted; {most} may be needed")),
        Limit::Unavailable => {
            Finding::Differs(format!("the token does not say how many; {most} may be needed"))
        }
    }
}

/// Whether a session that writes can be `opened`.
pub(super) fn writing(opened: Result<(), HsmError>) -> Finding {
    match opened {
        Ok(()) => {
            Finding::Good("the token can be written, as `usersecret hsm init` does".to_owned())
        }
        Err(error) => {
            Finding::Differs(format!("{error}; the service works with those that are there"))
        }
    }
}

/// Whether the profile is the one for this module.
pub(super) fn profile(pkcs11: &Pkcs11, profile: Profile) -> Result<Finding, HsmError> {
    let info = pkcs11.get_library_info()?;
    let (maker, name) = (info.manufacturer_id(), profile.name);
    Ok(match Profile::of_maker(maker) {
        Some(fitting) if fitting.name == name => Finding::Good(format!("{name}, for this module")),
        Some(fitting) => {
            let fitting = fitting.name;
            Finding::Differs(format!(
                "{name}, but hsm.profile = {fitting:?} is for this module, by {maker}"
            ))
        }
        None if profile.maker.is_none() => {
            Finding::Good(format!("{name}, for modules without one of their own"))
        }
        None => Finding::Differs(format!("{name}, which is not for this module, by {maker}")),
    })
}

/// What is known of the PIN before it is tried.
pub(super) fn pin(token: &TokenInfo, lockout: Lockout) -> Finding {
    let locks = match lockout {
        Lockout::Never => "wrong ones do not lock the token, so keep others away from it",
        Lockout::After(_) => "wrong ones lock the token",
        Lockout::Unknown => "whether wrong ones lock the token is for its vendor to say",
    };
    if !token.user_pin_initialized() {
        Finding::Lacks("the token has no user PIN: its security officer sets one".to_owned())
    } else if token.user_pin_locked() {
        Finding::Lacks(
            "it is locked, by too many wrong ones: the token's security officer sets a new one"
                .to_owned(),
        )
    } else if token.user_pin_final_try() {
        Finding::Lacks(
            "one more wrong one locks the token, so it is not tried here: a right one, by the vendor's tool or the \
             service, sets the count back"
                .to_owned(),
        )
    } else if token.user_pin_count_low() {
        Finding::Differs(format!("a wrong one was tried of late; {locks}"))
    } else if let Lockout::After(tries) = lockout {
        Finding::Good(format!("{tries} wrong ones lock the token; the service tries one"))
    } else {
        Finding::Good(locks.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_on_sessions_is_held_against_what_may_be_needed() {
        assert!(matches!(sessions(Limit::Max(2), 8, 0), Finding::Lacks(why) if why.contains("2")));
        assert!(
            matches!(sessions(Limit::Max(7), 8, 0), Finding::Differs(why) if why.contains("7"))
        );
        assert!(matches!(sessions(Limit::Max(7), 12, 8), Finding::Lacks(why) if why.contains("8")));
        assert!(matches!(sessions(Limit::Max(8), 8, 0), Finding::Good(_)));
        assert!(matches!(sessions(Limit::Infinite, 8, 0), Finding::Good(_)));
        assert!(matches!(sessions(Limit::Unavailable, 8, 0), Finding::Differs(_)));
    }
}
