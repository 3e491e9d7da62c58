//! What is behind the latency: a module in software, with a token of the service's.

use std::{ffi::OsStr, fs};

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

    /// A service on new data, whose keys are on such a token.
    pub(super) async fn start(self, ground: &Ground<'_>) -> Result<Delayed, Failure> {
        let (service, faults, told) = ground.start_faulty(self.database()).await?;
        let token = Token::own(&kit::library()?);
        let started = Delayed { service, faults, told, token };
        match self {
            Self::Softhsm => Ok(started),
            Self::Nss => started.moved_to_nss().await,
        }
    }
}

impl Delayed {
    /// The same on a token of NSS, before anything is sealed.
    async fn moved_to_nss(mut self) -> Result<Self, Failure> {
        self.service.end();
        let (dir, pin_file) = (self.service.path("nss"), self.service.path("pin"));
        fs::create_dir(&dir)?;
        let init_args =
            format!("configdir='sql:{}' dbTokenDescription='usersecret'", dir.display());
        make(&init_args, &fs::read_to_string(&pin_file)?)?;
        for (key, value) in self.faults.environment(&kit::softokn()?) {
            self.told.push((key.to_owned(), value.display().to_string()));
        }
        let settings = [("HSM__PROFILE", "nss".to_owned()), ("HSM__INIT_ARGS", init_args.clone())];
        self.told.extend(env(&settings));
        self.service.env.clone_from(&self.told);
        self.service.order(&["hsm", "init"].map(OsStr::new))?;
        self.service.restart("").await?;
        Ok(Self { token: Token::of(&kit::library()?, &init_args, pin_file), ..self })
    }
}

/// Makes a token without keys.
fn make(init_args: &str, pin: &str) -> Result<(), Failure> {
    let module = Module::load(&kit::softokn()?)?;
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
