//! What the service does by itself with keys: it replaces those that are too old, moves what older ones sealed, and
//! drops the handles of those that were destroyed elsewhere.
//!
//! Every replica does. The database says what is due, oldest first, and gives a domain to one of them at a time.

mod roster;

use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use moka::sync::Cache;
use tokio::sync::{mpsc, watch};

use self::roster::Roster;
use crate::{
    error::{Code, Error},
    ids::{DomainId, hex},
    service::{AT_ONCE, Caller, KeyService, Pace, PassedDue},
};

/// For how long a domain is not looked at again whose keys were heard to be destroyed: it is said for a while, and what was
/// under way may have brought a handle back.
const HEARD_FOR: Duration = Duration::from_secs(5);
const MOST_HEARD: u64 = 100_000;

/// After so many intervals a domain that takes long leaves its place to others: half a minute, usually.
const TURN: u32 = 6;

/// How it is done.
#[derive(Debug, Clone, Copy)]
pub struct UpkeepSettings {
    /// How often the database is asked what is due.
    pub interval: Duration,
    /// The most DEKs that are moved in a second, of all domains together.
    pub pace: Option<u32>,
}

/// One replica's part of it.
pub struct Upkeep {
    keys: KeyService,
    interval: Duration,
    pace: Option<Pace>,
    roster: Roster,
    /// The order in which this replica takes what is due at much the same time: others have another one.
    order: RandomState,
    /// The trace of all that it does, and its name as a holder of work.
    run: Arc<str>,
    heard: Cache<DomainId, ()>,
}

impl Upkeep {
    /// The upkeep of `keys`.
    pub fn new(keys: KeyService, settings: UpkeepSettings) -> Result<Self, Error> {
        let heard = Cache::builder().max_capacity(MOST_HEARD).time_to_live(HEARD_FOR).build();
        let UpkeepSettings { interval, pace } = settings;
        Ok(Self {
            keys,
            interval,
            pace: pace.map(Pace::new),
            roster: Roster::new(interval),
            order: RandomState::new(),
            run: new_run()?,
            heard,
        })
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
        let due = stream::unfold(Round::default(), |round| self.next(round));
        due.for_each_concurrent(AT_ONCE, |domain| self.see_to(domain)).await;
    }

    /// The next domain of this round through all that are due, or of the next one: each is looked at once in a round.
    async fn next(&self, mut round: Round) -> Option<(DomainId, Round)> {
        loop {
            while let Some(domain) = round.page.pop_front() {
                if self.roster.begins(&domain, Instant::now()) {
                    return Some((domain, round));
                }
            }
            if round.more.is_none() {
                // Whoever asks for something here wakes it.
                let _ = tokio::time::timeout(self.interval, self.keys.woken()).await;
            }
            for domain in self.keys.asked() {
                self.roster.asks(domain);
            }
            match self.keys.due(&round.more.take().unwrap_or_default()).await {
                Ok(mut due) => {
                    due.domains.sort_by_cached_key(|domain| self.order.hash_one(domain));
                    round = Round { page: due.domains.into(), more: due.more };
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
            // Others wait for their turn where some take long.
            let until = Instant::now() + self.interval * TURN;
            let (pace, until) = (self.pace.as_ref(), Some(until.into()));
            self.keys.run_rewrap(&caller, &self.run, pace, until, &|_| {}).await
        };
        let failed = match done.await {
            Ok(run) => {
                tracing::debug!(%domain, ?run, "looked after its keys");
                false
            }
            // Between the look and this.
            Err(error) if error.code() == Code::FailedPrecondition => false,
            Err(error) => {
                tracing::warn!(%domain, causes = error.causes(), "its keys must wait");
                true
            }
        };
        self.roster.ends(&domain, failed, Instant::now());
        if self.roster.is_asked(&domain) {
            self.keys.wake();
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

/// A round through all domains in which something is due.
#[derive(Default)]
struct Round {
    /// Those that were read and not looked at.
    page: VecDeque<DomainId>,
    /// Where the others begin; without them the next round waits.
    more: Option<PassedDue>,
}

/// A name for one run: the trace id of all that it does.
pub fn new_run() -> Result<Arc<str>, Error> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::internal("no random bytes"))?;
    Ok(Arc::from(hex(bytes)))
}
