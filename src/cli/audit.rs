//! `usersecret audit`.

use super::{AuditCommand, Failure, Source, print, with_environment};
use crate::hsm;

pub(super) fn run(command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::PublicKey(source) => public_key(&source),
    }
}

fn public_key(source: &Source) -> Result<(), Failure> {
    let config = source.load()?;
    with_environment(&config)?;
    let (module, label) = (&config.hsm.module, &config.hsm.token_label);
    // Without the PIN first: who audits need not have it.
    let key = match hsm::read_signing_key(module, label, None) {
        Ok(key) => key,
        Err(unseen) => {
            let Ok(settings) = config.hsm.settings() else { return Err(unseen.into()) };
            hsm::read_signing_key(module, label, Some(&settings.pin))?
        }
    };
    print(key.to_pem().trim_end())
}
