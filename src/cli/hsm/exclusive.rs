//! The sole right to change roots, over all parts of a command.

use tokio::runtime::Runtime;

use super::super::{Failure, failure, runtime};
use crate::{config::Config, database::RootLock};

/// The lock, and what its connection lives on: the parts of a command have runtimes of their own.
pub(super) struct Exclusive {
    runtime: Runtime,
    lock: Option<RootLock>,
}

impl Exclusive {
    /// Takes it; the error says that somebody else has it.
    pub(super) fn take(config: &Config) -> Result<Self, Failure> {
        let (settings, runtime) = (config.database.settings()?, runtime()?);
        let lock = runtime.block_on(RootLock::take(&settings)).map_err(failure)?;
        Ok(Self { runtime, lock: Some(lock) })
    }

    /// Fails when it was lost, before more is done that only its holder may do.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let Some(lock) = &self.lock else { return Ok(()) };
        self.runtime.block_on(lock.check()).map_err(failure)
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            self.runtime.block_on(lock.release());
        }
    }
}
