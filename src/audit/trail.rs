//! The side of the trail that requests see: they stamp events and tell what was committed.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use super::{Entry, Event, Outcome, Stamped, event::Stamp, refusals::Refusals};
use crate::{
    clock::Clock,
    error::{Error, Result},
    ids::hex,
};

/// A handle on this replica's part of the trail; clones share it.
#[derive(Clone)]
pub struct Trail(Arc<Shared>);

struct Shared {
    writer: String,
    clock: Clock,
    enabled: bool,
    backlog: usize,
    pending: Mutex<VecDeque<Entry>>,
    refusals: Mutex<Refusals>,
    doubt: Mutex<Option<Doubt>>,
    full: AtomicBool,
    wake: Notify,
}

/// When it first became unknown whether a commit happened, and when last.
#[derive(Clone, Copy)]
struct Doubt {
    first: i64,
    last: i64,
}

/// Entries that make a block worth sealing before its time.
pub(super) const FULL_BLOCK: usize = 4096;

impl Trail {
    /// A trail of a new writer, which refuses work when `backlog` events wait to be sealed.
    pub fn new(clock: Clock, enabled: bool, backlog: usize) -> Result<Self> {
        let mut name = [0; 8];
        aws_lc_rs::rand::fill(&mut name).map_err(|_| Error::internal("no random bytes"))?;
        Ok(Self(Arc::new(Shared {
            writer: hex(name),
            clock,
            enabled,
            backlog,
            pending: Mutex::default(),
            refusals: Mutex::default(),
            doubt: Mutex::default(),
            full: AtomicBool::new(false),
            wake: Notify::new(),
        })))
    }

    /// The name of this writer.
    pub fn writer(&self) -> &str {
        &self.0.writer
    }

    /// Whether what must be recorded may begin: `UNAVAILABLE` when sealing has fallen too far behind.
    pub fn admit(&self) -> Result<()> {
        if self.0.full.load(Ordering::Relaxed) {
            return Err(Error::unavailable("the audit trail cannot be sealed"));
        }
        Ok(())
    }

    /// Gives `event` its id, its time and its digest; none when nothing is recorded.
    pub fn stamp(&self, event: &Event, outcome: Outcome) -> Option<Stamped> {
        self.0.enabled.then(|| self.stamp_many(event, outcome, 1))
    }

    pub(super) fn stamp_many(&self, event: &Event, outcome: Outcome, count: i64) -> Stamped {
        let at = self.0.clock.now().as_micros();
        let stamp = Stamp { id: event_id(at), at, writer: &self.0.writer };
        Stamped::new(event, stamp, outcome, count)
    }

    /// These events are committed: the next block seals them.
    pub fn committed<'e>(&self, events: impl IntoIterator<Item = &'e Stamped>) {
        let mut pending = self.pending();
        let before = pending.len();
        pending.extend(events.into_iter().filter_map(Stamped::entry));
        if pending.len() > self.0.backlog {
            self.0.full.store(true, Ordering::Relaxed);
        }
        if before < FULL_BLOCK && pending.len() >= FULL_BLOCK {
            self.0.wake.notify_one();
        }
    }

    /// Whether a commit happened is not known: the sealer will look.
    pub fn doubt(&self) {
        self.doubt_since(self.now());
    }

    /// The same, of commits from `since` on.
    pub(super) fn doubt_since(&self, since: i64) {
        let mut doubt = lock(&self.0.doubt);
        let first = doubt.map_or(since, |doubt| doubt.first.min(since));
        *doubt = Some(Doubt { first, last: self.now() });
    }

    /// Something was refused, or failed: it is counted now and written within a second.
    pub fn refuse(&self, event: Event, outcome: Outcome) {
        if self.0.enabled {
            lock(&self.0.refusals).add(event, outcome, 1);
        }
    }

    /// These could not be written: they are counted on.
    pub(super) fn refuse_again(&self, refused: Vec<(Event, Outcome, i64)>) {
        let mut refusals = lock(&self.0.refusals);
        for (event, outcome, count) in refused {
            refusals.add(event, outcome, count);
        }
    }

    pub(super) fn take_refusals(&self) -> Vec<(Event, Outcome, i64)> {
        lock(&self.0.refusals).take()
    }

    /// Since when there is a doubt, if it is older than `moment`; younger ones remain.
    pub(super) fn take_doubt(&self, moment: i64) -> Option<i64> {
        let mut doubt = lock(&self.0.doubt);
        let taken = doubt.filter(|doubt| doubt.first < moment)?;
        *doubt = (taken.last >= moment).then_some(Doubt { first: moment, ..taken });
        Some(taken.first)
    }

    pub(super) fn first_pending(&self) -> Vec<Entry> {
        self.pending().iter().take(FULL_BLOCK).copied().collect()
    }

    /// Takes `entries` over, but for those that wait already. Returns how many wait then.
    pub(super) fn adopt(&self, entries: Vec<Entry>) -> usize {
        let mut pending = self.pending();
        let known: HashSet<[u8; 16]> = pending.iter().map(|entry| entry.id).collect();
        pending.extend(entries.into_iter().filter(|entry| !known.contains(&entry.id)));
        pending.len()
    }

    /// The oldest `count` entries are sealed. True when a whole block's worth waits still.
    pub(super) fn sealed(&self, count: usize) -> bool {
        let mut pending = self.pending();
        let count = count.min(pending.len());
        pending.drain(..count);
        if pending.len() <= self.0.backlog / 2 {
            self.0.full.store(false, Ordering::Relaxed);
        }
        pending.len() >= FULL_BLOCK
    }

    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    pub(super) fn now(&self) -> i64 {
        self.0.clock.now().as_micros()
    }

    fn pending(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        lock(&self.0.pending)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A UUID of version 7 (RFC 9562 §5.7), with the microseconds in the bits behind the milliseconds (§6.2, method 3).
fn event_id(at: i64) -> [u8; 16] {
    let micros = u64::try_from(at).unwrap_or_default();
    let fraction = u16::try_from((micros % 1_000) * 4_096 / 1_000).unwrap_or_default();
    let mut random = [0; 10];
    // A clash would fail on the primary key, and lose nothing.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let [high, low] = fraction.to_be_bytes();
    let [first, second, ..] = &mut random;
    (*first, *second) = (high, low);
    uuid::Builder::from_unix_timestamp_millis(micros / 1_000, &random).into_uuid().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_young_doubt_outlives_the_settling_of_an_old_one() {
        let clock = Clock::from_fn(|| Timestamp::from_micros(50));
        let trail = Trail::new(clock, true, 1).unwrap();
        assert_eq!(trail.take_doubt(i64::MAX), None);
        trail.doubt_since(10);
        trail.doubt();
        trail.doubt_since(20);
        assert_eq!(trail.take_doubt(10), None);
        assert_eq!(trail.take_doubt(30), Some(10));
        assert_eq!(trail.take_doubt(50), Some(30));
        assert_eq!(trail.take_doubt(51), Some(50));
        assert_eq!(trail.take_doubt(i64::MAX), None);
    }
}
