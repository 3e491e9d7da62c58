//! The verbs on a domain's keys, and the key that new data is sealed under.

mod asked;
mod pace;
mod rewrap;
mod root;
mod shred;
mod verify;

pub use pace::{AT_ONCE, Pace};
pub use rewrap::Run;
pub use root::{LeftKek, RootRotation};
pub use verify::Verified;

use std::{collections::HashSet, sync::Arc, time::Duration};

use self::asked::Asked;
use super::{Caller, Target};
use crate::{
    auth::{Gate, Role, Scope, Verb},
    clock::{Clock, Timestamp},
    crypto::{Kek, Keyring},
    error::{Error, Result},
    ids::{DomainId, KekVersion},
    store::{
        Due, KekInfo, KekPage, KeyState, PassedDue, Reserved, Rewrap, Shredding, Store, TooOld,
    },
};

/// How long a key lives and how much it does.
#[derive(Debug, Clone, Copy)]
pub struct KeyLimits {
    /// An active KEK is replaced when it is older, in microseconds.
    pub max_age: Option<i64>,
    /// The wraps that a KEK may do, far below 2^32: NIST SP 800-38D §8.3, for random IVs.
    pub max_wraps: i64,
    /// Between two rotations that administrators of the domain ask for, in microseconds.
    pub min_interval: i64,
    /// For how long a reveal that was under way when its domain was shredded may still be answered: none takes longer,
    /// and the shredding is acknowledged behind it.
    pub farewell: Duration,
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
    asked: Arc<Asked>,
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

    /// For how long what was read of a domain may be revealed.
    pub(super) const fn farewell(&self) -> Duration {
        self.limits.farewell
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

    /// The state of the domain's keys.
    pub async fn state(&self, caller: &Caller, domain: DomainId) -> Result<KeyState> {
        let look = async |scope: &Scope| self.store.key_state(scope).await;
        self.gate.run(caller, Verb::ListKeys, of(domain), look).await
    }

    /// Some versions of the domain's key, the newest first. The page is made for those only who may see it.
    pub async fn keks(
        &self,
        caller: &Caller,
        domain: DomainId,
        page: impl FnOnce() -> Result<KekPage>,
    ) -> Result<Vec<KekInfo>> {
        let look = async |scope: &Scope| self.store.keks(scope, page()?).await;
        self.gate.run(caller, Verb::ListKeys, of(domain), look).await
    }

    /// How far the moving of what older keys sealed is, if it was ever asked for.
    pub async fn rewrap(&self, caller: &Caller, domain: DomainId) -> Result<Option<Rewrap>> {
        let look = async |scope: &Scope| self.store.rewrap(scope).await;
        self.gate.run(caller, Verb::ListKeys, of(domain), look).await
    }

    /// That the domain was shredded, if it was.
    pub async fn shredding(&self, caller: &Caller, domain: DomainId) -> Result<Option<Shredding>> {
        let look = async |scope: &Scope| self.store.shredding(scope).await;
        self.gate.run(caller, Verb::ListKeys, of(domain), look).await
    }

    /// Makes the domain another KEK, under which everything new is sealed from then on, and asks that the rest is moved.
    ///
    /// Its administrators wait until that of the last time is moved, and for a while: keys that nobody moves to would pile up, of
    /// which the history keeps each. Systems and commands do not: a key may be known to somebody.
    pub async fn rotate(&self, caller: &Caller, domain: Option<DomainId>) -> Result<DomainId> {
        let target = Target::Domain { domain, owner: None };
        self.gate
            .run(caller, Verb::RotateKey, target, async |scope| {
                // Before the HSM makes a key for nothing.
                self.store.refuse_shredded(scope.domain()).await?;
                for _ in 0..TRIES {
                    // Before the look at the rewrap: who is faster with another version is seen by one or by the other.
                    let newest = self.newest(scope).await?;
                    if caller.role() == Role::DomainAdmin {
                        self.refuse_while_moving(scope).await?;
                        self.refuse_so_soon(newest.as_ref())?;
                    }
                    let next = newest.map_or(KekVersion(1), |kek| kek.version.next());
                    if self.make(scope, next).await? {
                        self.asked.ask(scope.domain());
                        return Ok(scope.domain().clone());
                    }
                }
                Err(Error::unavailable("the domain's key changed again and again"))
            })
            .await
    }

    async fn refuse_while_moving(&self, scope: &Scope) -> Result<()> {
        match self.store.rewrap(scope).await? {
            Some(rewrap) if rewrap.finished_at.is_none() => Err(Error::failed_precondition(
                "The rewrap of the domain must be finished: what older keys sealed is still moved to the newest.",
            )),
            _ => Ok(()),
        }
    }

    /// The first key replaced none; in a domain that was shredded there is another reason to refuse.
    fn refuse_so_soon(&self, newest: Option<&KekInfo>) -> Result<()> {
        let now = self.clock.now();
        let replaced = |kek: &&KekInfo| kek.version > KekVersion(1) && kek.destroyed_at.is_none();
        // One that is yet to be made was made by a clock that was wrong.
        let replaced = newest.filter(replaced).filter(|kek| kek.created_at <= now);
        let Some(kek) = replaced else { return Ok(()) };
        let again = kek.created_at.as_micros().saturating_add(self.limits.min_interval);
        match u64::try_from(again.saturating_sub(now.as_micros())) {
            Err(_) | Ok(0) => Ok(()),
            Ok(left) => {
                let again = Timestamp::from_micros(again).to_iso_milliseconds();
                let rule = format!(
                    "the domain's key was replaced not long ago; it may be again after {again}"
                );
                let refused = Error::exhausted("keys.min_rotation_interval_seconds", &rule);
                Err(refused.after(Duration::from_micros(left)))
            }
        }
    }

    async fn newest(&self, scope: &Scope) -> Result<Option<KekInfo>> {
        Ok(self.store.keks(scope, KekPage::NEWEST).await?.into_iter().next())
    }

    /// Returns when there is something to do in the background, because it was asked for here or is left over.
    pub async fn woken(&self) {
        self.asked.woken().await;
    }

    /// Has whoever waits for something to do in the background look.
    pub fn wake(&self) {
        self.asked.wake();
    }

    /// The domains in which something was asked for here since the last time.
    pub fn asked(&self) -> HashSet<DomainId> {
        self.asked.take()
    }

    /// The next domains behind `passed` in which something is due: a rewrap, or another key for the age of the active one.
    pub async fn due(&self, passed: &PassedDue) -> Result<Due> {
        self.store.domains_due(self.too_old(), passed).await
    }

    /// Makes the domain another KEK when its active one is too old.
    pub async fn rotate_if_old(&self, caller: &Caller) -> Result<()> {
        let target = Target::Domain { domain: None, owner: None };
        self.gate
            .run(caller, Verb::RotateKey, target, async |scope| {
                let before = self.too_old().map_or(0, |old| old.before);
                match self.newest(scope).await? {
                    // The version after the one that is too old: another replica may be about to make it.
                    Some(active)
                        if active.destroyed_at.is_none()
                            && active.created_at.as_micros() < before =>
                    {
                        self.make(scope, active.version.next()).await.map(|_| ())
                    }
                    _ => Ok(()),
                }
            })
            .await
    }

    /// Which active KEKs are too old, if any ever are.
    fn too_old(&self) -> Option<TooOld> {
        let age = self.limits.max_age?;
        Some(TooOld { before: self.clock.now().as_micros().saturating_sub(age), age })
    }
}

fn of(domain: DomainId) -> Target {
    Target::Domain { domain: Some(domain), owner: None }
}
