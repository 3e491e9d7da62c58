//! The listeners: who is served where, from the first connection to the last.

mod listener;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum_server::Handle;
use tokio::task::{AbortHandle, JoinHandle};

use crate::{
    app::{App, StartError},
    config::Config,
    tls::Tls,
};
use listener::{Running, listen};

/// How often the files of TLS are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The TLS of every listener that has one.
#[derive(Clone, Default)]
pub struct Certificates {
    main: Option<Arc<Tls>>,
    internal: Option<Arc<Tls>>,
}

impl Certificates {
    /// Reads what the configuration names, so that a mistake ends the start before anything else is begun.
    pub async fn load(config: &Config) -> Result<Self, StartError> {
        let load = async |settings| -> Result<_, StartError> {
            Ok(match settings {
                Some(settings) => Some(Arc::new(Tls::load(settings).await?)),
                None => None,
            })
        };
        Ok(Self {
            main: load(config.server.tls()?).await?,
            internal: load(config.internal.tls()?).await?,
        })
    }

    async fn reload(&self) {
        for tls in self.main.iter().chain(&self.internal) {
            tls.reload().await;
        }
    }
}

/// The running listeners.
pub struct Server {
    /// Where the main listener is.
    pub main: SocketAddr,
    /// Where the internal one is, if there is one.
    pub internal: Option<SocketAddr>,
    certificates: Certificates,
    watch: AbortHandle,
    handle: Handle<SocketAddr>,
    running: Vec<Running>,
}

impl Server {
    /// Opens every listener that the configuration names.
    pub fn start(
        config: &Config,
        certificates: Certificates,
        app: &App,
    ) -> Result<Self, StartError> {
        let handle = Handle::new();
        let header_timeout = Duration::from_millis(config.server.header_timeout_ms);
        let open = |key, address, router, tls: Option<&Arc<Tls>>| {
            listen(key, address, router, tls.map(AsRef::as_ref), handle.clone(), header_timeout)
        };
        let mut running = Vec::new();
        let main = match config.ops.address()? {
            Some(address) => {
                running.push(open("ops.listen", address, app.ops(), None)?.1);
                app.api()
            }
            None => app.router(),
        };
        let mut internal = None;
        if let Some(address) = config.internal.address()? {
            let tls = certificates.internal.as_ref();
            let (bound, task) = open("internal.listen", address, app.internal(), tls)?;
            internal = Some(bound);
            running.push(task);
        }
        let (main, task) =
            open("server.listen", config.server.listen, main, certificates.main.as_ref())?;
        running.push(task);
        let watch = tokio::spawn(watch(certificates.clone())).abort_handle();
        Ok(Self { main, internal, certificates, watch, handle, running })
    }

    /// Looks at the files of TLS now, on a task: a disk that hangs must not keep the service from draining.
    pub fn reload(&self) -> JoinHandle<()> {
        let certificates = self.certificates.clone();
        tokio::spawn(async move { certificates.reload().await })
    }

    /// Takes no new connection, and waits for requests under way, but not for longer than `patience`.
    pub async fn drain(mut self, patience: Duration) -> std::io::Result<()> {
        self.handle.graceful_shutdown(Some(patience));
        for task in std::mem::take(&mut self.running) {
            task.await.map_err(std::io::Error::other)??;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

async fn watch(certificates: Certificates) {
    loop {
        tokio::time::sleep(LOOK).await;
        certificates.reload().await;
    }
}
