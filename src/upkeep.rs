//! What the service does by itself with keys: it replaces those that are too old, moves what older ones sealed, and
//! drops the handles of those that were destroyed elsewhere.
//!
//! Every replica does. The database says what is due, and gives a domain to one of them at a time.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::sync::{mpsc, watch};

use crate::{
    error::{Code, Error},
    ids::{DomainId, hex},
    service::{Caller, KeyService},
};

/// For how long a domain that was heard to be shredded is not looked at again: others repeat what they say.
const HEARD_FOR: Duration = Duration::from_secs(60);
const MOST_HEARD: u64 = 100_000;

/// How it is done.
#[derive(Debug, Clone, Copy)]
pub struct UpkeepSettings {
    /// How often the database is asked what is due.
    pub interval: Duration,
    /// The most DEKs that are moved in a second.
    pub pace: Option<u32>,
}

/// One replica's part of it.
pub struct Upkeep {
    keys: KeyService,
    settings: UpkeepSettings,
    /// The trace of all that it does, and its name as a holder of work.
    run: Arc<str>,
    heard: Cache<DomainId, ()>,
}

impl Upkeep {
    /// The upkeep of `keys`.
    pub fn new(keys: KeyService, settings: UpkeepSettings) -> Result<Self, Error> {
        let heard = Cache::builder().max_capacity(MOST_HEARD).time_to_live(HEARD_FOR).build();
        Ok(Self { keys, settings, run: new_run()?, heard })
    }

    /// Does what is due until `stop` says so. `changed` names domains in which somebody changed something.
    pub async fn run(self, mut changed: mpsc::Receiver<DomainId>, mut stop: watch::Receiver<bool>) {
        let hear = async {
            while let Some(domain) = changed.recv().await {
                self.hear(domain).await;
            }
            std::future::pending::<()>().await;
        };
        // Whatever is under way may be dropped: it is done in transactions, and begun anew where it was left.
        tokio::select! {
            _ = stop.changed() => {}
            () = self.work() => {}
            () = hear => {}
        }
    }

    async fn work(&self) {
        loop {
            // Whoever asks for something here wakes it.
            let _ = tokio::time::timeout(self.settings.interval, self.keys.woken()).await;
            match self.keys.due().await {
                Ok(domains) => {
                    for domain in domains {
                        self.see_to(domain).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(causes = error.causes(), "cannot ask which keys are due");
                }
            }
        }
    }

    async fn see_to(&self, domain: DomainId) {
        let caller = Caller::operator(domain.clone(), Arc::clone(&self.run));
        let done = async {
            self.keys.rotate_if_old(&caller).await?;
            self.keys.run_rewrap(&caller, &self.run, self.settings.pace, &|_| {}).await
        };
        match done.await {
            Ok(run) => tracing::debug!(%domain, ?run, "looked after its keys"),
            // Between the look and this.
            Err(error) if error.code() == Code::FailedPrecondition => {}
            Err(error) => {
                tracing::warn!(%domain, causes = error.causes(), "its keys must wait");
            }
        }
    }

    async fn hear(&self, domain: DomainId) {
        if self.heard.contains_key(&domain) {
            return;
        }
        match self.keys.hear(&domain).await {
            Ok(true) => self.heard.insert(domain, ()),
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(%domain, causes = error.causes(), "handles could not be dropped");
            }
        }
    }
}

/// A name for one run: the trace id of all that it does.
pub fn new_run() -> Result<Arc<str>, Error> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::internal("no random bytes"))?;
    Ok(Arc::from(hex(bytes)))
}
