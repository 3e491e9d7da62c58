//! The verbs on a domain's keys, and the key that new data is sealed under.

mod rewrap;
mod root;
mod shred;
mod verify;

pub use rewrap::Run;
pub use root::RootRotation;
pub use verify::Verified;

use std::sync::Arc;

use tokio::sync::Notify;

use super::{Caller, Target};
use crate::{
    auth::{Gate, Scope, Verb},
    clock::{Clock, Timestamp},
    crypto::{Kek, Keyring},
    error::{Error, Result},
    ids::{DomainId, KekVersion},
    store::{KekInfo, Reserved, Rewrap, Shredding, Store},
};

/// How long a key lives and how much it does.
#[derive(Debug, Clone, Copy)]
pub struct KeyLimits {
    /// An active KEK is replaced when it is older, in microseconds.
    pub max_age: Option<i64>,
    /// The wraps that a KEK may do, far below 2^32: NIST SP 800-38D §8.3, for random IVs.
    pub max_wraps: i64,
}

/// How often a KEK is made when others are faster.
const TRIES: usize = 8;

/// The verbs on keys; clones share what is remembered.
#[derive(Clone)]
pub struct KeyService {
    gate: Gate,
    store: Store,
    keyring: Keyring,
    clock: Clock,
    limits: KeyLimits,
    /// Something was asked for that is done in the background.
    asked: Arc<Notify>,
}

/// The state of a domain's keys.
pub struct KeyState {
    /// Its KEKs, the newest first.
    pub keks: Vec<KekInfo>,
    /// How far the moving of DEKs to the active one is, if it was ever asked for.
    pub rewrap: Option<Rewrap>,
    /// That they were destroyed, if they were.
    pub shredding: Option<Shredding>,
}

impl KeyService {
    /// A service on these parts.
    pub fn new(
        gate: Gate,
        store: Store,
        keyring: Keyring,
        clock: Clock,
        limits: KeyLimits,
    ) -> Self {
        Self { gate, store, keyring, clock, limits, asked: Arc::default() }
    }

    /// The KEK for `count` wraps in the domain of `scope`, made when there is none yet or when its budget is used up.
    pub(super) async fn active(&self, scope: &Scope, count: i64) -> Result<Kek> {
        if let Some(kek) = self.store.kek_at_hand(scope.domain(), count) {
            return Ok(kek);
        }
        let _turn = self.store.kek_turn(scope.domain()).await;
        for _ in 0..TRIES {
            if let Some(kek) = self.store.kek_at_hand(scope.domain(), count) {
                return Ok(kek);
            }
            if let Reserved::Next(version) =
                self.store.reserve_wraps(scope, self.limits.max_wraps).await?
            {
                self.make(scope, version).await?;
            }
        }
        Err(Error::unavailable("the domain's key changed again and again"))
    }

    /// Makes the KEK of `version` and stores it; false when somebody was faster.
    async fn make(&self, scope: &Scope, version: KekVersion) -> Result<bool> {
        let root = self.store.active_root().await?;
        let kek = self.keyring.generate_kek(scope, version, root).await?;
        self.store.add_kek(scope, kek).await
    }

    /// The domain's keys.
    pub async fn state(&self, caller: &Caller, domain: DomainId) -> Result<KeyState> {
        let target = Target::Domain { domain: Some(domain), owner: None };
        self.gate
            .run(caller, Verb::ListKeys, target, async |scope| {
                Ok(KeyState {
                    keks: self.store.keks(scope).await?,
                    rewrap: self.store.rewrap(scope).await?,
                    shredding: self.store.shredding(scope).await?,
                })
            })
            .await
    }

    /// Makes the domain another KEK, under which everything new is sealed from then on, and asks that the rest is moved.
    pub async fn rotate(&self, caller: &Caller, domain: Option<DomainId>) -> Result<DomainId> {
        let target = Target::Domain { domain, owner: None };
        self.gate
            .run(caller, Verb::RotateKey, target, async |scope| {
                for _ in 0..TRIES {
                    let newest = self.store.newest_kek(scope).await?;
                    if self.make(scope, newest.map_or(KekVersion(1), KekVersion::next)).await? {
                        self.asked.notify_one();
                        return Ok(scope.domain().clone());
                    }
                }
                Err(Error::unavailable("the domain's key changed again and again"))
            })
            .await
    }

    /// Returns when something is asked for here that is done in the background.
    pub async fn woken(&self) {
        self.asked.notified().await;
    }

    /// The domains in which something is due: a rewrap, or another key for the age of the active one.
    pub async fn due(&self) -> Result<Vec<DomainId>> {
        self.store.domains_due(self.oldest()).await
    }

    /// Makes the domain another KEK when its active one is too old.
    pub async fn rotate_if_old(&self, caller: &Caller) -> Result<()> {
        let target = Target::Domain { domain: None, owner: None };
        self.gate
            .run(caller, Verb::RotateKey, target, async |scope| {
                let keks = self.store.keks(scope).await?;
                let oldest = self.oldest();
                match keks.first() {
                    // The version after the one that is too old: another replica may be about to make it.
                    Some(active) if active.destroyed_at.is_none() && active.created_at < oldest => {
                        self.make(scope, active.version.next()).await.map(|_| ())
                    }
                    _ => Ok(()),
                }
            })
            .await
    }

    /// An active KEK that was made before is too old.
    fn oldest(&self) -> Timestamp {
        let age = self.limits.max_age.unwrap_or(i64::MAX);
        Timestamp::from_micros(self.clock.now().as_micros().saturating_sub(age))
    }
}
