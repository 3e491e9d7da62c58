//! `usersecret hsm-worker`, which the service starts.

use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, serve::start_log};
use crate::{
    config::{Log, LogFormat},
    hsm,
};

pub(super) fn run() -> Result<(), Failure> {
    // A hanging module must not outlive the service, not even one that was killed.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The service says when it ends. Who stops a service often tells all its processes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _heard = runtime.block_on(async {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        kinds.map(signal).into_iter().collect::<Result<Vec<_>, _>>()
    })?;
    hsm::serve(|filter, json| {
        let format = if json { LogFormat::Json } else { LogFormat::Text };
        // A filter that the service took.
        let _ = start_log(&Log { filter: filter.to_owned(), format });
    })?;
    Ok(())
}
