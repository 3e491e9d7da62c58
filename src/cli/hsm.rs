//! `usersecret hsm`.

mod exclusive;
mod root;

use std::{
    fs,
    path::{Path, PathBuf},
};

use self::exclusive::Exclusive;
use super::{
    Failure, HsmCommand, Source, create_private, print, remove_empty, runtime, say,
    with_environment,
};
use crate::{
    config::Config,
    database::Database,
    hsm::{self, Birth, Check, Finding, RecoveryCopy, RecoveryKey, Restore, Root, WrappedKek},
    ids::RootVersion,
    store::{has_keks_of_domains, newest_keks},
};

/// How many keys of domains are tried under a root.
const TRIED: u64 = 16;

pub(super) fn run(command: HsmCommand) -> Result<(), Failure> {
    match command {
        HsmCommand::Init { source, recovery_public_key, recovery_out } => {
            init(&load(&source)?, &recovery_public_key, &recovery_out)
        }
        HsmCommand::Receive { source, destroy } => receive(&load(&source)?, destroy),
        HsmCommand::Restore { source, file, root_version, keep_receiving_key } => {
            restore(&load(&source)?, &file, RootVersion(root_version), keep_receiving_key)
        }
        HsmCommand::RotateRoot { source, recovery_public_key, recovery_out } => {
            root::rotate(&load(&source)?, &recovery_public_key, &recovery_out)
        }
        HsmCommand::DestroyRoot { source, version, confirm } => {
            root::destroy(&load(&source)?, RootVersion(version), confirm)
        }
        HsmCommand::Status(source) | HsmCommand::Doctor(source) => examine(&load(&source)?),
    }
}

fn load(source: &Source) -> Result<Config, Failure> {
    let config = source.load()?;
    with_environment(&config)?;
    Ok(config)
}

fn init(config: &Config, keys: &[PathBuf], outs: &[PathBuf]) -> Result<(), Failure> {
    let settings = config.hsm_settings()?;
    if !hsm::has_root(&settings)? && has_keks(config)? {
        return Err("the database has keys of domains, and the token has no root: another one would not open them. \
            `usersecret hsm restore` brings theirs; for a new beginning take an empty database"
            .into());
    }
    let birth = with_copies(keys, outs, |copies| Ok(hsm::create_keys(&settings, copies)?))?;
    match birth {
        Birth { root: None, .. } => {
            return print("the token had a root key and no signing key: that is made now");
        }
        Birth { signing_key: false, .. } => print("the token had a signing key already")?,
        Birth { signing_key: true, .. } => print("the signing key is made")?,
    }
    let value = birth.root.and_then(|Root { check_value }| check_value);
    print(&format!("the root key is made{}", with_check_value(value)))
}

/// Runs `work` with the files that recovery copies go to.
fn with_copies<T>(
    keys: &[PathBuf],
    outs: &[PathBuf],
    work: impl FnOnce(&[RecoveryCopy]) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if keys.len() != outs.len() {
        let (keys, outs) = (keys.len(), outs.len());
        return Err(format!(
            "each --recovery-public-key needs a --recovery-out: there are {keys} and {outs}"
        )
        .into());
    }
    let mut copies = Vec::new();
    let done = open(keys, outs, &mut copies).and_then(|()| work(&copies));
    // Of those that were made here.
    remove_empty(outs.iter().take(copies.len()));
    done
}

/// Reads the keys and makes the files: after the birth it would be too late to find that one cannot be written.
fn open(keys: &[PathBuf], outs: &[PathBuf], copies: &mut Vec<RecoveryCopy>) -> Result<(), Failure> {
    for (key, out) in keys.iter().zip(outs) {
        let key = RecoveryKey::from_pem(&read(key)?)?;
        copies.push(RecoveryCopy { key, out: create_private(out)? });
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn receive(config: &Config, destroy: bool) -> Result<(), Failure> {
    let settings = config.hsm_settings()?;
    if destroy {
        let was = hsm::destroy_receiving_key(&settings)?;
        return say(if was {
            "the receiving key is destroyed: copies for it do not open any more"
        } else {
            "the token has no receiving key"
        });
    }
    let (key, made) = hsm::receiving_key(&settings)?;
    let how = if made { "is made" } else { "was there" };
    say(&format!("the receiving key {how}: {}", key.fingerprint()))?;
    print(key.to_pem().trim_end())
}

fn restore(
    config: &Config,
    file: &Path,
    version: RootVersion,
    keep_receiving_key: bool,
) -> Result<(), Failure> {
    let copy = read(file)?;
    let unproven =
        |error| format!("the database that would prove the copy cannot be used: {error}");
    // Before the look at the keys: what proves the copy must not be of before another command's end.
    let exclusive = config.database.is_named().then(|| Exclusive::take(config)).transpose();
    let exclusive = exclusive.map_err(unproven)?;
    let keks = stored_keks(config, Some(version)).map_err(unproven)?;
    let wanted = Restore {
        copy: &copy,
        version,
        keks: keks.as_deref().unwrap_or_default(),
        keep_receiving_key,
    };
    exclusive.as_ref().map_or(Ok(()), Exclusive::check)?;
    let restored = hsm::restore(&config.hsm_settings()?, &wanted)?;
    print(&match keks.as_deref() {
        None => "nothing proves the copy: the configuration names no database".to_owned(),
        Some([]) => "nothing proves the copy: the database has no keys of domains".to_owned(),
        Some(keks) => format!("the copy opens the {} keys of domains that were tried", keks.len()),
    })?;
    let value = with_check_value(restored.check_value);
    print(&format!("root key {} is restored{value}", version.0))?;
    match restored.signing_key {
        (id, true) => print(&format!(
            "a new signing key is made, {id}: blocks of before verify by the old public key, \
             so `audit verify` needs both, each as --public-key"
        ))?,
        (id, false) => print(&format!("the token had a signing key already, {id}"))?,
    }
    print(if keep_receiving_key {
        "the receiving key is kept: `usersecret hsm receive --destroy` destroys it"
    } else {
        "the receiving key is destroyed"
    })
}

fn with_check_value(value: Option<String>) -> String {
    value.map_or_else(String::new, |value| format!(", check value {value}"))
}

/// Whether the database has keys of domains. Where it cannot be looked at, nobody knows.
fn has_keks(config: &Config) -> Result<bool, Failure> {
    if !config.database.is_named() {
        return Ok(false);
    }
    let settings = config.database.settings()?;
    let found = runtime()?.block_on(async {
        if !Database::may_exist(&settings)? {
            return Ok(false);
        }
        has_keks_of_domains(&Database::owner(&settings).await?).await
    });
    found.map_err(|error: crate::error::Error| {
        format!(
            "whether the database has keys under a root that is not on this token cannot be seen: {}; \
             where there is no database yet, take a configuration without one",
            error.causes()
        )
        .into()
    })
}

/// Some keys of domains; `None` when the configuration names no database.
fn stored_keks(
    config: &Config,
    root: Option<RootVersion>,
) -> Result<Option<Vec<WrappedKek>>, Failure> {
    if !config.database.is_named() {
        return Ok(None);
    }
    let settings = config.database.settings()?;
    let keks = runtime()?.block_on(async {
        let owner = Database::owner(&settings).await?;
        let keks = newest_keks(&owner, root, TRIED).await?;
        keks.iter().map(|(domain, kek)| kek.wrapped_for(domain)).collect::<Result<_, _>>()
    });
    keks.map(Some).map_err(|error: crate::error::Error| error.causes().into())
}

fn examine(config: &Config) -> Result<(), Failure> {
    let (keks, unread) = match stored_keks(config, None) {
        Ok(keks) => (keks, None),
        Err(error) => (None, Some(error)),
    };
    let mut checks = hsm::examine(&config.hsm_settings()?, keks.as_deref());
    checks.extend(unread.map(|error| Check {
        what: "domain keys",
        finding: Finding::Differs(format!("the database cannot be read: {error}")),
    }));
    let mut sound = true;
    for Check { what, finding } in checks {
        let (sign, text) = match finding {
            Finding::Good(text) => ('✔', text),
            Finding::Differs(text) => ('!', text),
            Finding::Lacks(text) => {
                sound = false;
                ('✘', text)
            }
        };
        print(&format!("{sign} {what:<15} {text}"))?;
    }
    if sound { Ok(()) } else { Err("the token cannot be used as it is".into()) }
}
