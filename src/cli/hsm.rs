//! `usersecret hsm`.

use std::{fs, io::Write as _};

use super::{Failure, HsmCommand, Source, print, with_environment};
use crate::hsm::{self, Birth, Finding, RecoveryKey, Settings};

pub(super) fn run(command: HsmCommand) -> Result<(), Failure> {
    match command {
        HsmCommand::Init { source, recovery_public_key, recovery_out } => {
            let settings = settings(&source)?;
            let recovery = recovery_public_key
                .map(|file| Ok::<_, Failure>(RecoveryKey::from_pem(&fs::read(file)?)?))
                .transpose()?;
            // Opened first: after the birth it would be too late to find that it cannot be written.
            let out = recovery_out.as_ref().map(fs::File::create_new).transpose()?;
            let birth = hsm::create_keys(&settings, recovery.as_ref()).inspect_err(|_| {
                // An empty file must not pass for a copy.
                let _ = recovery_out.map(fs::remove_file);
            })?;
            if let (Some(mut file), Some(copy)) = (out, birth.recovery_copy) {
                file.write_all(&copy)?;
                file.sync_all()?;
            }
            match birth {
                Birth { root: false, .. } => {
                    return print("the token had a root key and no signing key: that is made now");
                }
                Birth { signing_key: false, .. } => print("the token had a signing key already")?,
                Birth { signing_key: true, .. } => print("the signing key is made")?,
            }
            print("the root key is made")
        }
        HsmCommand::Status(source) | HsmCommand::Doctor(source) => examine(&source),
    }
}

fn settings(source: &Source) -> Result<Settings, Failure> {
    let config = source.load()?;
    with_environment(&config)?;
    Ok(config.hsm_settings()?)
}

fn examine(source: &Source) -> Result<(), Failure> {
    let mut sound = true;
    for check in hsm::examine(&settings(source)?) {
        let (sign, text) = match &check.finding {
            Finding::Good(text) => ('✔', text),
            Finding::Differs(text) => ('!', text),
            Finding::Lacks(text) => {
                sound = false;
                ('✘', text)
            }
        };
        print(&format!("{sign} {:<15} {text}", check.what))?;
    }
    if sound { Ok(()) } else { Err("the token cannot be used as it is".into()) }
}
