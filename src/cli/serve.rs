//! `usersecret serve`.

use std::{io::IsTerminal as _, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Failure, print, runtime, with_environment};
use crate::{
    app::{App, Seams, StartError},
    config::{Config, Log, LogFormat},
    hsm::Hsm,
    server::{Certificates, Server},
};

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    with_environment(config)?;
    start_log(&config.log)?;
    let hsm = Hsm::start(&config.hsm_settings()?).map_err(StartError::from)?;
    runtime()?.block_on(serve(config, hsm))
}

async fn serve(config: &Config, hsm: Hsm) -> Result<(), Failure> {
    // Before the application, which leaves a trace in the database when it begins.
    let certificates = Certificates::load(config).await?;
    let app = App::build(config, hsm, Seams::default()).await?;
    // Before the port is known to anybody: the default of each of these signals is to end the process at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let server = Server::start(config, certificates, &app)?;
    announce(config, &server)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => drop(server.reload()),
        }
    }
    tracing::info!("draining");
    app.retire().await;
    let drain = Duration::from_millis(config.server.drain_timeout_ms);
    let deadline = tokio::time::Instant::now() + drain;
    // A client that is silent holds its connection to the end of its time. The seal and the HSM need some of their own.
    server.drain(drain - drain / 5).await?;
    let _ = tokio::time::timeout_at(deadline, app.drain()).await;
    Ok(())
}

fn announce(config: &Config, server: &Server) -> Result<(), Failure> {
    let (scheme, address) = (config.server.scheme(), server.main);
    tracing::info!(%address, scheme, "serving GraphQL, REST and gRPC");
    print(&format!("listening on {scheme}://{address}"))?;
    if let Some(address) = server.internal {
        let scheme = config.internal.scheme();
        tracing::info!(%address, scheme, "revealing data here alone");
        print(&format!("revealing on {scheme}://{address}"))?;
    }
    Ok(())
}

pub(super) fn start_log(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|error| format!("log.filter: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
