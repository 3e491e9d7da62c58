//! `usersecret serve`.

use std::{io::IsTerminal as _, net::SocketAddr, time::Duration};

use axum::Router;
use axum_server::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Failure, print, runtime, with_environment};
use crate::{
    app::{App, Seams, StartError},
    config::{Config, Log, LogFormat},
    hsm::Hsm,
};

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    with_environment(config)?;
    start_log(&config.log)?;
    let hsm = Hsm::start(config.hsm.settings()?).map_err(StartError::from)?;
    runtime()?.block_on(serve(config, hsm))
}

async fn serve(config: &Config, hsm: Hsm) -> Result<(), Failure> {
    let app = App::build(config, hsm, Seams::default()).await?;
    let handle = Handle::new();
    let header_timeout = Duration::from_millis(config.server.header_timeout_ms);
    let mut servers = Vec::new();
    let main = if config.ops.listen.is_empty() {
        app.router()
    } else {
        let ops =
            config.ops.listen.parse().map_err(|_| "ops.listen: must be an address and a port")?;
        servers.push(listen(ops, app.ops(), handle.clone(), header_timeout)?.1);
        app.api()
    };
    let (address, server) = listen(config.server.listen, main, handle.clone(), header_timeout)?;
    servers.push(server);
    tracing::info!(%address, "serving GraphQL at /graphql");
    print(&format!("listening on http://{address}"))?;

    let drain = Duration::from_millis(config.server.drain_timeout_ms);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining");
    let deadline = tokio::time::Instant::now() + drain;
    handle.graceful_shutdown(Some(drain));
    for server in servers {
        server.await??;
    }
    let _ = tokio::time::timeout_at(deadline, app.drain()).await;
    Ok(())
}

type Running = tokio::task::JoinHandle<std::io::Result<()>>;

/// Binds now, so that a taken port stops the start, and serves on a task.
fn listen(
    address: SocketAddr,
    router: Router,
    handle: Handle<SocketAddr>,
    header_timeout: Duration,
) -> Result<(SocketAddr, Running), Failure> {
    let taken = |error| StartError::Io(format!("cannot listen on {address}"), error);
    let listener = std::net::TcpListener::bind(address).map_err(taken)?;
    listener.set_nonblocking(true).map_err(taken)?;
    let bound = listener.local_addr().map_err(taken)?;
    let mut server = axum_server::from_tcp(listener).map_err(taken)?.handle(handle);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let builder = server.http_builder();
    builder.http1().timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(header_timeout);
    builder.http2().timer(hyper_util::rt::TokioTimer::new()).max_concurrent_streams(100);
    Ok((bound, tokio::spawn(server.serve(service))))
}

fn start_log(log: &Log) -> Result<(), Failure> {
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
