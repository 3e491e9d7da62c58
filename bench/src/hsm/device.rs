//! What is behind the latency: a module in software, with a token of the service's.

use std::{ffi::OsStr, fs, path::PathBuf};

use cryptoki::{session::UserType, types::AuthPin};
use faulty_hsm::kit::{self, Faults};
use hsm_module::Module;
use serde::{Deserialize, Serialize};

use super::{Env, Ground, env};
use crate::{Failure, floor::hsm::Token, service::Service};

/// A module in software.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Device {
    /// NSS softokn, which spends about a microsecond of this machine's processors on a call: as little as what talks to an HSM
    /// in a network.
    Nss,
    /// SoftHSM, which spends ten, and three times as many where its code has left the processor's caches meanwhile.
    Softhsm,
}

/// A service on such a token, through a module that does as it is told.
pub(super) struct Delayed {
    pub(super) service: Service,
    pub(super) faults: Faults,
    /// What the service is told.
    pub(super) told: Env,
    /// The token, for who measures it alone.
    pub(super) token: Token,
}

impl Device {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nss => "NSS",
            Self::Softhsm => "SoftHSM",
        }
    }

    /// The database of the service.
    pub(super) const fn database(self) -> &'static str {
        match self {
            Self::Nss => "latency_nss",
            Self::Softhsm => "latency_softhsm",
        }
    }

    pub(super) async fn start(self, ground: &Ground<'_>) -> Result<Delayed, Failure> {
        let (mut service, faults, mut told) = ground.start_faulty(self.database()).await?;
        let token = match self {
            Self::Softhsm => Token::own(&kit::library()?),
            Self::Nss => {
                service.end();
                let dir = service.path("nss");
                fs::create_dir(&dir)?;
                let pin = fs::read_to_string(service.path("pin"))?;
                let init_args =
                    format!("configdir='sql:{}' dbTokenDescription='usersecret'", dir.display());
                make(&init_args, &pin)?;
                let real = faults.environment(&softokn()?);
                told.extend(real.map(|(key, value)| (key.to_owned(), value.display().to_string())));
                told.extend(env(&[
                    ("HSM__PROFILE", "nss".to_owned()),
                    ("HSM__INIT_ARGS", init_args.clone()),
                ]));
                service.env.clone_from(&told);
                service.order(&["hsm", "init"].map(OsStr::new))?;
                service.restart("").await?;
                Token::of(&kit::library()?, &init_args, pin)
            }
        };
        Ok(Delayed { service, faults, told, token })
    }
}

/// Makes a token without keys.
fn make(init_args: &str, pin: &str) -> Result<(), Failure> {
    let module = Module::load(&softokn()?)?;
    module.initialize(init_args)?;
    // It has one slot for what needs no key, and then that of the database.
    let slot = module.get_all_slots()?.pop().ok_or("NSS has no slot")?;
    let session = module.open_rw_session(slot)?;
    // The database has no officer yet: who sets the first PIN has an empty one.
    session.login(UserType::So, Some(&AuthPin::new("".into())))?;
    session.init_pin(&AuthPin::new(pin.into()))?;
    drop(session);
    Ok(module.finalize()?)
}

fn softokn() -> Result<PathBuf, Failure> {
    let mut folders: Vec<PathBuf> = vec!["/usr/lib64".into(), "/usr/lib".into()];
    for entry in fs::read_dir("/usr/lib")? {
        folders.push(entry?.path());
    }
    let files = folders
        .iter()
        .flat_map(|folder| ["libsoftokn3.so", "nss/libsoftokn3.so"].map(|file| folder.join(file)));
    let found = files.into_iter().find(|file| file.exists());
    found.ok_or_else(|| "there is no libsoftokn3.so: `make install-bench` installs it".into())
}
