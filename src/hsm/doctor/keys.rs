//! What the token's roots are, whether there are copies of them, and whether they open what the database keeps.

use super::{
    super::{
        WrappedKek, check_value, module::Session, note, receiving::Receiving, root::StoredRoots,
        template,
    },
    Finding,
};
use crate::ids::RootVersion;

/// The versions of the root, in words.
pub(super) fn roots(session: &Session, roots: &StoredRoots) -> String {
    let said = roots.iter().map(|(version, root)| {
        let value = check_value::of(session, *root);
        let value = value.map_or_else(String::new, |value| format!(", check value {value}"));
        format!("version {}{value}", version.0)
    });
    let (label, said) = (template::ROOT_LABEL, said.collect::<Vec<_>>().join("; "));
    format!("{label:?}, AES-256, sensitive, not extractable: {said}")
}

/// What the token knows of copies of its root.
pub(super) fn copies(session: &Session, version: RootVersion) -> Finding {
    let of = format!("of version {}:", version.0);
    match note::read(session, version) {
        Ok(keys) if keys.is_empty() => Finding::Differs(format!(
            "{of} the token knows of none, and none can be made any more: `usersecret hsm rotate-root` \
             makes another root, with copies"
        )),
        Ok(keys) => {
            let (count, keys) = (keys.len(), keys.join(", "));
            Finding::Good(format!("{of} {count} made at its birth, to RSA keys {keys}"))
        }
        Err(error) => error.into(),
    }
}

/// A receiving key beside a root is not needed any more, and is a way out for the root.
pub(super) fn receiving(session: &Session) -> Option<Finding> {
    match Receiving::find(session) {
        Ok(None) => None,
        Ok(Some(found)) => Some(Finding::Differs(format!(
            "{} is still there: whoever has the PIN and a copy for it can read the root; \
             `usersecret hsm receive --destroy` ends that",
            found.key().fingerprint()
        ))),
        Err(error) => Some(error.into()),
    }
}

/// Whether the keys of domains open, each under its own root.
pub(super) fn of_domains(session: &Session, roots: &StoredRoots, keks: &[WrappedKek]) -> Finding {
    let opens = |kek: &&WrappedKek| {
        roots.get(&kek.root()).is_some_and(|root| kek.opens_under(session, *root))
    };
    match (keks.iter().filter(opens).count(), keks.len()) {
        (_, 0) => Finding::Good("the database has none yet".to_owned()),
        (opened, of) if opened == of => {
            Finding::Good(format!("their roots open {of} that were taken from the database"))
        }
        (opened, of) => Finding::Lacks(format!(
            "their roots open {opened} of {of} that were taken from the database"
        )),
    }
}
