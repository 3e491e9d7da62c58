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
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::{
    Expiry,
    future::Cache,
    ops::compute::{CompResult, Op},
};
use tokio::sync::{Semaphore, watch};

use super::{
    Issuer, KeyFetcher, Registration, policy::Policy, registration::MAX_ISS, registry::Registry,
};
use crate::{
    clock::Clock,
    database::Database,
    error::{Error, Result},
    ids::DomainId,
};

/// How often replicas ask what has changed.
const INTERVAL: Duration = Duration::from_millis(500);

/// For how long a change is told of; longer than a transaction lasts after it wrote the change down.
const WINDOW: Duration = Duration::from_secs(15);

/// A replica that could not ask for so long believes nothing that it remembers.
const SILENCE: Duration = Duration::from_secs(5);

/// The most that is remembered: a domain without decisions counts one, each revoked token one more.
const MAX_WEIGHT: u64 = 200_000;

/// The most names of issuers that are remembered, and for how long.
const MAX_HOMES: u64 = 10_000;
const HOME_HOLDS: Duration = Duration::from_secs(60);
const NO_HOME_HOLDS: Duration = Duration::from_millis(500);

/// Look-ups of names that strangers may make up; they must leave connections to the others.
const STRANGERS: usize = 2;

/// Whom domains believe; clones share what is remembered.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    registry: Registry,
    fetcher: KeyFetcher,
    /// The issuers of the configuration.
    taken: HashSet<String>,
    known: Cache<DomainId, Known>,
    /// The domain of each registered issuer, and that there is none.
    homes: Cache<Arc<str>, Option<DomainId>>,
    strangers: Semaphore,
    /// What was remembered in an older one is not believed.
    generation: AtomicU64,
}

#[derive(Clone)]
struct Known {
    policy: Arc<Policy>,
    generation: u64,
}

/// The generation of what must be looked up anew.
const STALE: u64 = 0;

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
        let homes = Cache::builder().max_capacity(MAX_HOMES).expire_after(HomeHolds).build();
        Self(Arc::new(Inner {
            registry: Registry::new(database, clock),
            fetcher,
            taken,
            known,
            homes,
            strangers: Semaphore::new(STRANGERS),
            generation: AtomicU64::new(STALE + 1),
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
        if let Some(iss) = iss {
            self.0.homes.invalidate(iss).await;
        }
        if let Some(known) = self.0.known.get(domain).await {
            self.0.known.insert(domain.clone(), Known { generation: STALE, ..known }).await;
        }
    }

    /// Follows what other replicas change, until `stop` says so.
    pub async fn follow(self, mut stop: watch::Receiver<bool>) {
        let mut heard = Instant::now();
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                _ = ticks.tick() => {}
            }
            let changed = self.0.registry.changed(WINDOW).await;
            if heard.elapsed() > SILENCE {
                self.0.generation.fetch_add(1, Ordering::Relaxed);
            }
            match changed {
                Ok(domains) => {
                    heard = Instant::now();
                    for domain in &domains {
                        self.forget(domain, None).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(causes = error.causes(), "cannot ask which domains changed");
                }
            }
        }
    }

    /// The policy of `domain`, which is some domain whose token was verified, or one that has an issuer.
    pub(super) async fn policy(&self, domain: &DomainId) -> Result<Arc<Policy>> {
        let Inner { known, registry, fetcher, generation, .. } = &*self.0;
        let generation = generation.load(Ordering::Relaxed);
        if let Some(known) = known.get(domain).await
            && known.generation == generation
        {
            return Ok(known.policy);
        }
        let outcome = known
            .entry_by_ref(domain)
            .and_try_compute_with(|entry| async move {
                let before = entry.map(moka::Entry::into_value);
                if before.as_ref().is_some_and(|known| known.generation == generation) {
                    return Ok::<_, Error>(Op::Nop);
                }
                let decisions = registry.decisions(domain).await?;
                let policy = match before.map(|known| known.policy) {
                    Some(policy) if policy.follows(&decisions) => policy,
                    before => {
                        let policy = Policy::new(domain, decisions, before.as_deref(), fetcher);
                        Arc::new(policy)
                    }
                };
                Ok(Op::Put(Known { policy, generation }))
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

    /// The registered issuer `iss`, of whichever domain.
    pub(super) async fn issuer(&self, iss: &str) -> Result<Option<Arc<Issuer>>> {
        if iss.chars().count() > MAX_ISS || self.0.taken.contains(iss) {
            return Ok(None);
        }
        // The domain that is remembered may have removed it, and another registered it.
        for _ in 0..2 {
            let Some(home) = self.home(iss).await? else { return Ok(None) };
            if let Some(issuer) = self.policy(&home).await?.issuer(iss) {
                return Ok(Some(issuer));
            }
            self.0.homes.invalidate(iss).await;
        }
        Ok(None)
    }

    async fn home(&self, iss: &str) -> Result<Option<DomainId>> {
        let Inner { homes, strangers, registry, .. } = &*self.0;
        let look = async {
            let _turn = strangers.acquire().await.map_err(Error::unavailable)?;
            registry.home(iss).await
        };
        let away = |error: Arc<Error>| Error::unavailable(error.causes());
        homes.try_get_with(Arc::from(iss), look).await.map_err(away)
    }
}

/// How long the domain of an issuer is remembered.
struct HomeHolds;

impl Expiry<Arc<str>, Option<DomainId>> for HomeHolds {
    fn expire_after_create(
        &self,
        _: &Arc<str>,
        home: &Option<DomainId>,
        _: Instant,
    ) -> Option<Duration> {
        Some(if home.is_some() { HOME_HOLDS } else { NO_HOME_HOLDS })
    }
}
