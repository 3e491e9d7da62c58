//! Whom each domain believes, remembered and kept up to date.
//!
//! A domain is looked up when its first token comes, so that nothing grows with
//! the number of tenants. What is remembered is forgotten when the domain changes
//! it, on every replica: each asks the database twice a second which domains did.
//! A change is told of again for a while, because its transaction may become
//! visible late; looking a domain up anew finds the same policy, and costs little.

use std::{
    collections::HashSet,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{
    future::Cache,
    ops::compute::{CompResult, Op},
};
use tokio::sync::{Semaphore, mpsc, watch};

use super::{
    Issuer, KeyFetcher, Registration, policy::Policy, registration::is_iss, registry::Registry,
};
use crate::{
    clock::Clock,
    database::Database,
    error::{Error, Result},
    ids::DomainId,
};

/// How often replicas ask what has changed, and how long an answer may take.
const INTERVAL: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(2);

/// For how long a change is told of; longer than a transaction lasts after it wrote the change down.
const WINDOW: Duration = Duration::from_secs(15);

/// A replica that has heard nothing for so long believes nothing that it remembers.
const SILENCE: Duration = Duration::from_secs(5);

/// A policy that was read longer ago is read anew, whatever was heard: a transaction may
/// have taken longer than anybody thought, or the machine have slept.
const MAX_AGE: Duration = Duration::from_secs(30);

/// The most bytes of what is remembered, roughly.
const MAX_WEIGHT: u64 = 64 * 1024 * 1024;

/// The most names of issuers whose domain is remembered, and of those that have none, and for how long these.
const MAX_HOMES: u64 = 100_000;
const MAX_STRANGERS: u64 = 10_000;
const STRANGE_FOR: Duration = Duration::from_millis(500);

/// Look-ups of names that strangers may make up: they must leave connections to the others,
/// and not make them wait.
const LOOK_UPS: usize = 2;
const TURN: Duration = Duration::from_millis(250);

/// Whom domains believe; clones share what is remembered.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    registry: Registry,
    fetcher: KeyFetcher,
    /// The issuers of the configuration.
    taken: HashSet<String>,
    known: Cache<DomainId, Known>,
    /// The domains of registered issuers; whether it is so still, the domain's policy says.
    homes: Cache<Arc<str>, DomainId>,
    /// Names that nobody registered.
    strangers: Cache<Arc<str>, ()>,
    look_ups: Semaphore,
    heard: RwLock<Heard>,
    /// How often something was forgotten: what was being read meanwhile may be old.
    forgotten: AtomicU64,
}

#[derive(Clone)]
struct Known {
    policy: Arc<Policy>,
    read: Instant,
    fresh: bool,
}

/// When the database last said what has changed, and since when it has not been silent for long.
#[derive(Clone, Copy)]
struct Heard {
    last: Instant,
    since: Instant,
}

impl Directory {
    /// The directory in `database`. `taken` are the issuers of the configuration; keys of others come by `fetcher`.
    pub fn new(
        database: Database,
        clock: Clock,
        taken: HashSet<String>,
        fetcher: KeyFetcher,
    ) -> Self {
        let known = Cache::builder()
            .max_capacity(MAX_WEIGHT)
            .weigher(|_, known: &Known| known.policy.weight())
            .build();
        let strangers =
            Cache::builder().max_capacity(MAX_STRANGERS).time_to_live(STRANGE_FOR).build();
        let now = Instant::now();
        Self(Arc::new(Inner {
            registry: Registry::new(database, clock),
            fetcher,
            taken,
            known,
            homes: Cache::new(MAX_HOMES),
            strangers,
            look_ups: Semaphore::new(LOOK_UPS),
            heard: RwLock::new(Heard { last: now, since: now }),
            forgotten: AtomicU64::new(0),
        }))
    }

    /// Checks what `domain` wants to register; the error names the argument and its rule.
    pub fn check(&self, domain: &DomainId, registration: &Registration) -> Result<()> {
        registration.check(domain, &self.0.taken, &self.0.fetcher).map_err(|error| {
            let argument = match error.key {
                "jwks_url" => "jwksUrl",
                "max_life_seconds" => "maxLifeSeconds",
                key => key,
            };
            Error::invalid(argument, error.rule)
        })
    }

    /// Forgets what is remembered of `domain`, and of its issuer `iss`: one of them was just changed here.
    pub async fn forget(&self, domain: &DomainId, iss: Option<&str>) {
        self.0.forgotten.fetch_add(1, Ordering::SeqCst);
        if let Some(iss) = iss {
            self.0.strangers.invalidate(iss).await;
        }
        if let Some(known) = self.0.known.get(domain).await {
            self.0.known.insert(domain.clone(), Known { fresh: false, ..known }).await;
        }
    }

    /// Follows what other replicas change, and tells of it, until `stop` says so. Some is told of again and again.
    pub async fn follow(self, tell: mpsc::Sender<DomainId>, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                _ = ticks.tick() => {}
            }
            let changed = tokio::time::timeout(PATIENCE, self.0.registry.changed(WINDOW)).await;
            match changed.unwrap_or_else(|_| Err(Error::unavailable("no answer in time"))) {
                Ok(domains) => {
                    for domain in domains {
                        self.forget(&domain, None).await;
                        let _ = tell.try_send(domain);
                    }
                    self.0.hear();
                }
                Err(error) => {
                    tracing::warn!(causes = error.causes(), "cannot ask which domains changed");
                }
            }
        }
    }

    /// The policy of `domain`, which is some domain whose token was verified, or one that has an issuer.
    pub(super) async fn policy(&self, domain: &DomainId) -> Result<Arc<Policy>> {
        let inner = &*self.0;
        if let Some(known) = inner.known.get(domain).await
            && inner.trusts(&known)
        {
            return Ok(known.policy);
        }
        let outcome = inner
            .known
            .entry_by_ref(domain)
            .and_try_compute_with(|entry| async move {
                let before = entry.map(moka::Entry::into_value);
                if before.as_ref().is_some_and(|known| inner.trusts(known)) {
                    return Ok::<_, Error>(Op::Nop);
                }
                inner.read(domain, before.map(|known| known.policy)).await.map(Op::Put)
            })
            .await?;
        match outcome {
            CompResult::Inserted(entry)
            | CompResult::ReplacedWith(entry)
            | CompResult::Unchanged(entry) => Ok(entry.into_value().policy),
            CompResult::StillNone(_) | CompResult::Removed(_) => {
                Err(Error::internal("a policy was neither found nor made"))
            }
        }
    }

    /// The registered issuer `iss`, of whichever domain, and the policy that names it.
    pub(super) async fn issuer(&self, iss: &str) -> Result<Option<(Arc<Issuer>, Arc<Policy>)>> {
        if !is_iss(iss) || self.0.taken.contains(iss) {
            return Ok(None);
        }
        // The domain that is remembered may have removed it, and another registered it.
        for _ in 0..2 {
            let Some(home) = self.0.home(iss).await? else { return Ok(None) };
            let policy = self.policy(&home).await?;
            if policy.names(iss) {
                return Ok(policy.issuer(iss).map(|issuer| (issuer, policy)));
            }
            self.0.homes.invalidate(iss).await;
        }
        Ok(None)
    }
}

impl Inner {
    fn heard(&self) -> Heard {
        *self.heard.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self) {
        let mut heard = self.heard.write().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // What was read before a long silence may have changed in it, and nobody tells of that any more.
        let since = if heard.last.elapsed() > SILENCE { now } else { heard.since };
        *heard = Heard { last: now, since };
    }

    fn trusts(&self, known: &Known) -> bool {
        let heard = self.heard();
        known.fresh
            && known.read >= heard.since
            && known.read.elapsed() < MAX_AGE
            && heard.last.elapsed() < SILENCE
    }

    /// Reads the policy of `domain`; the same one as `before` when nothing has changed.
    async fn read(&self, domain: &DomainId, before: Option<Arc<Policy>>) -> Result<Known> {
        let (read, forgotten) = (Instant::now(), self.forgotten.load(Ordering::SeqCst));
        let decisions = self.registry.decisions(domain).await?;
        let policy = match before {
            Some(policy) if policy.follows(&decisions) => policy,
            before => Arc::new(Policy::new(domain, decisions, before.as_deref(), &self.fetcher)),
        };
        let fresh = forgotten == self.forgotten.load(Ordering::SeqCst);
        Ok(Known { policy, read, fresh })
    }

    /// The domain that registered the issuer `iss`, as far as it is known.
    async fn home(&self, iss: &str) -> Result<Option<DomainId>> {
        if let Some(home) = self.homes.get(iss).await {
            return Ok(Some(home));
        }
        if self.strangers.contains_key(iss) {
            return Ok(None);
        }
        let busy = |_| Error::unavailable("too many unknown issuers are looked up");
        let turn = tokio::time::timeout(TURN, self.look_ups.acquire()).await;
        let _turn = turn.map_err(busy)?.map_err(Error::unavailable)?;
        let home = self.registry.home(iss).await?;
        match &home {
            Some(home) => self.homes.insert(Arc::from(iss), home.clone()).await,
            None => self.strangers.insert(Arc::from(iss), ()).await,
        }
        Ok(home)
    }
}
