//! A job on secrets, beside a running server or without one: the service without its faces, until it is done or told to end.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, Source, runtime, serve::start_log, with_environment};
use crate::{
    app::{Core, Seams, StartError},
    config::Config,
    hsm::Hsm,
};

/// Loads the configuration, and starts the log.
pub(super) fn prepare(source: &Source) -> Result<Config, Failure> {
    let config = source.load()?;
    with_environment(&config)?;
    start_log(&config.log)?;
    Ok(config)
}

/// Does `work` with the service, then has the audit trail sealed. SIGTERM and SIGINT cancel `stop`.
pub(super) fn with<T>(
    config: &Config,
    stop: &CancellationToken,
    work: impl AsyncFnOnce(&Core) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let hsm = Hsm::start(&config.hsm_settings()?).map_err(StartError::from)?;
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        });
        let core = Core::build(config, hsm, Seams::default()).await?;
        let outcome = work(&core).await;
        let patience = Duration::from_millis(config.server.drain_timeout_ms);
        let _ = tokio::time::timeout(patience, core.drain()).await;
        outcome
    })
}
