//! One listener, in clear or with TLS.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use axum_server::Handle;
use hyper_util::rt::TokioTimer;

use crate::{app::StartError, tls::Tls};

pub(super) type Running = tokio::task::JoinHandle<std::io::Result<()>>;

/// How often the other side of an HTTP/2 connection is asked whether it is there.
const PING: Duration = Duration::from_secs(30);

/// Binds now, so that a taken port stops the start, and serves on a task.
pub(super) fn listen(
    key: &'static str,
    address: SocketAddr,
    router: Router,
    tls: Option<&Tls>,
    handle: Handle<SocketAddr>,
    header_timeout: Duration,
) -> Result<(SocketAddr, Running), StartError> {
    let taken = |error| StartError::Io(format!("{key}: cannot listen on {address}"), error);
    let listener = std::net::TcpListener::bind(address).map_err(taken)?;
    let bound = listener.local_addr().map_err(taken)?;
    let mut server = axum_server::from_tcp(listener)
        .map_err(taken)?
        .handle(handle)
        // Until the first header, hyper has no clock of its own running: it does not know the protocol yet.
        .first_request_timeout(header_timeout)
        .accept_error_handler(move |peer, error| refused(key, peer, error));
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout);
    // A peer that has vanished does not answer a ping.
    let mut builder = builder.http2();
    builder.timer(TokioTimer::new()).max_concurrent_streams(100).keep_alive_interval(PING);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let running = match tls {
        Some(tls) => tokio::spawn(server.acceptor(tls.acceptor(header_timeout)).serve(service)),
        None => tokio::spawn(server.serve(service)),
    };
    Ok((bound, running))
}

/// Anybody can fail a handshake, as often as they like: that is no line in the log unless it is asked for.
fn refused(listener: &'static str, peer: Option<&SocketAddr>, error: &std::io::Error) {
    match peer {
        Some(peer) => tracing::debug!(listener, %peer, %error, "the TLS handshake failed"),
        None => tracing::warn!(listener, %error, "no connection can be accepted"),
    }
}
