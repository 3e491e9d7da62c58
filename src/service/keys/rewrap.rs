//! Moving what is sealed under older KEKs to the active one: online, bit by bit, and again from where it was left.

use std::time::Duration;

use tokio::time::Instant;

use super::{KeyService, Pace};
use crate::{
    auth::{Caller, Scope, Target, Verb},
    crypto::{Aad, Kek, SealedBlock, WrappedDek, missing_root},
    error::{Error, Result},
    ids::{DataVersion, DomainId, UserId, UserSecretId},
    store::{Moved, Passed, Rewrap, StoredDek},
};

/// What a batch may take of the HSM's time: a domain is held until its next batch comes, see [`Store::take_rewrap`](crate::store::Store::take_rewrap).
const TIME: Duration = Duration::from_secs(4);

/// How often it is looked for what is said to be left and is not found, before it is left: rows without a secret, say, which
/// somebody put there.
const VAIN: u32 = 8;

/// What one walk through a domain came to.
#[derive(Default)]
struct Walk {
    moved: bool,
    /// How many DEKs do not open.
    failures: u64,
}

/// Hears how far a rewrap is.
pub type Told<'t> = dyn Fn(&Rewrap) + Sync + 't;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Everything that opens is under the active KEK; those under which nothing is left are destroyed.
    Finished,
    /// There was nothing to do, somebody else is at it, or the time was over.
    Elsewhere,
}

impl KeyService {
    /// Asks that what is sealed under older KEKs of the domain is moved to the active one; some replica does it.
    pub async fn ask_rewrap(&self, caller: &Caller, domain: Option<DomainId>) -> Result<DomainId> {
        let target = Target::Domain { domain, owner: None };
        self.gate
            .run(caller, Verb::Rewrap, target, async |scope| {
                self.store.ask_rewrap(scope).await?;
                self.asked.ask(scope.domain());
                Ok(scope.domain().clone())
            })
            .await
    }

    /// Moves what is to be moved in the caller's domain, as `holder`, at its `pace`, and tells how far it is. Behind `until` it leaves
    /// what is left to others.
    ///
    /// It may be dropped at any moment: each batch is a transaction. Who comes next goes on with what is left.
    pub async fn run_rewrap(
        &self,
        caller: &Caller,
        holder: &str,
        pace: Option<&Pace>,
        until: Option<Instant>,
        told: &Told<'_>,
    ) -> Result<Run> {
        let target = Target::Domain { domain: None, owner: None };
        self.gate
            .run(caller, Verb::Rewrap, target, async |scope| {
                if !self.store.take_rewrap(scope, holder).await? {
                    return Ok(Run::Elsewhere);
                }
                // Once: where it takes long, others may have the domain by then, and are not to begin with it again.
                if self.store.rewrap(scope).await?.is_some_and(|rewrap| rewrap.total.is_none()) {
                    self.store.count_rewrap(scope).await?;
                }
                let run = self.move_all(scope, holder, pace, until, told).await;
                if run.is_err() {
                    // Others may be able to.
                    let _ = self.store.leave_rewrap(scope, holder).await;
                }
                run
            })
            .await
    }

    async fn move_all(
        &self,
        scope: &Scope,
        holder: &str,
        pace: Option<&Pace>,
        until: Option<Instant>,
        told: &Told<'_>,
    ) -> Result<Run> {
        let mut vain = 0;
        loop {
            let Some(walk) = self.walk(scope, holder, pace, until, told).await? else {
                return Ok(Run::Elsewhere);
            };
            vain = if walk.moved { 0 } else { vain + 1 };
            let left = if vain > VAIN { u64::from(u32::MAX) } else { walk.failures };
            if self.store.finish_rewrap(scope, left).await? {
                // Keys may be destroyed. Other replicas hear of it.
                self.forget(scope.domain()).await;
                self.tell(scope, told).await?;
                return Ok(Run::Finished);
            }
        }
    }

    async fn tell(&self, scope: &Scope, told: &Told<'_>) -> Result<()> {
        if let Some(rewrap) = self.store.rewrap(scope).await? {
            told(&rewrap);
        }
        Ok(())
    }

    /// Moves all that there is once; nothing when somebody else has taken over, or is to.
    async fn walk(
        &self,
        scope: &Scope,
        holder: &str,
        pace: Option<&Pace>,
        until: Option<Instant>,
        told: &Told<'_>,
    ) -> Result<Option<Walk>> {
        let (mut passed, mut walk) = (Passed::default(), Walk::default());
        let paced = pace.map_or(u64::MAX, Pace::batch);
        loop {
            let in_time = u64::try_from(self.keyring.rewraps_within(TIME)).unwrap_or(u64::MAX);
            let most = paced.min(in_time);
            let Some(batch) = self.store.next_batch(scope, &passed, most).await? else { break };
            let begun = Instant::now();
            let count = i64::try_from(batch.deks.len()).map_err(Error::internal)?;
            let to = self.active(scope, count).await?;
            if to.version != batch.newest {
                // Another replica has made the domain another key, or this one just now.
                if to.version < batch.newest {
                    self.store.forget_kek(scope.domain(), &to);
                }
                continue;
            }
            let deks = match self.rewrap_batch(scope, &batch.from, &to, &batch.deks).await {
                Err(error) if missing_root(&error).is_some() && batch.from.root != to.root => {
                    self.store.forget_kek(scope.domain(), &to);
                    return Err(error);
                }
                rewrapped => rewrapped?,
            };
            match self.store.store_batch(scope, holder, &batch, &to, &deks).await? {
                Moved::Stored => {}
                Moved::Stale => {
                    self.store.forget_kek(scope.domain(), &to);
                    continue;
                }
                Moved::Lost => return Ok(None),
            }
            walk.moved |= deks.iter().any(Option::is_some);
            walk.failures += u64::try_from(deks.iter().filter(|dek| dek.is_none()).count())
                .map_err(Error::internal)?;
            passed = batch.end();
            self.tell(scope, told).await?;
            if let Some(pace) = pace {
                pace.pay(begun, u32::try_from(count).unwrap_or(u32::MAX)).await;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                self.store.leave_rewrap(scope, holder).await?;
                self.asked.wake();
                return Ok(None);
            }
        }
        Ok(Some(walk))
    }

    /// `deks` under `to`, each in its place; none where one does not open.
    async fn rewrap_batch(
        &self,
        scope: &Scope,
        from: &Kek,
        to: &Kek,
        deks: &[StoredDek],
    ) -> Result<Vec<Option<SealedBlock>>> {
        let parsed: Vec<Option<WrappedDek>> = deks.iter().map(|dek| parse(scope, dek)).collect();
        let sound: Vec<&WrappedDek> = parsed.iter().flatten().collect();
        let mut rewrapped = self.keyring.rewrap(scope, from, to, &sound).await?.into_iter();
        let mut next = |dek: &Option<WrappedDek>| dek.as_ref().and_then(|_| rewrapped.next()?);
        Ok(parsed.iter().map(&mut next).collect())
    }
}

/// A DEK with what it must be bound to; none when its row was changed so that it is none.
fn parse(scope: &Scope, dek: &StoredDek) -> Option<WrappedDek> {
    let id = UserSecretId::parse(&dek.user_secret_id)?;
    let owner = UserId::parse(&dek.user_id)?;
    let aad = Aad::for_record(scope, &owner, &id, DataVersion(dek.version)).ok()?;
    Some(WrappedDek { aad, wrapped: SealedBlock::parse(&dek.dek)? })
}
