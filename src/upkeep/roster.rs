//! Which domains are seen to just now, and which are left alone for a while because it failed there.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use moka::sync::Cache;

use crate::ids::DomainId;

/// The longest that a domain is left alone.
const LONGEST: Duration = Duration::from_secs(300);

/// The most domains that are remembered to have failed.
const MOST: u64 = 100_000;

pub(super) struct Roster {
    busy: Mutex<HashSet<DomainId>>,
    resting: Cache<DomainId, Rest>,
    /// Where somebody has asked for something since it was begun with last: they do not wait for a rest.
    asked: Cache<DomainId, ()>,
    /// For how long a domain is left alone after its first failure; each one that follows doubles it.
    first: Duration,
}

#[derive(Clone, Copy)]
struct Rest {
    failures: u32,
    until: Instant,
}

impl Roster {
    pub(super) fn new(first: Duration) -> Self {
        // Who did not fail for so long begins anew.
        let resting = Cache::builder().max_capacity(MOST).time_to_live(LONGEST * 2).build();
        let asked = Cache::builder().max_capacity(MOST).time_to_live(LONGEST).build();
        Self { busy: Mutex::default(), resting, asked, first }
    }

    /// Whether `domain` may be seen to from `now` on; it is busy then.
    pub(super) fn begins(&self, domain: &DomainId, now: Instant) -> bool {
        let rests = self.resting.get(domain).is_some_and(|rest| now < rest.until);
        let may = !rests || self.is_asked(domain);
        let begins = may && self.busy().insert(domain.clone());
        if begins {
            self.asked.invalidate(domain);
        }
        begins
    }

    /// Somebody asks for something in `domain`.
    pub(super) fn asks(&self, domain: DomainId) {
        self.asked.insert(domain, ());
    }

    /// Whether somebody has asked for something in `domain` since it was begun with.
    pub(super) fn is_asked(&self, domain: &DomainId) -> bool {
        self.asked.contains_key(domain)
    }

    /// `domain` was seen to, or that failed.
    pub(super) fn ends(&self, domain: &DomainId, failed: bool, now: Instant) {
        if failed {
            let failures = self.resting.get(domain).map_or(0, |rest| rest.failures);
            let rest = self.first.saturating_mul(1 << failures.min(20)).min(LONGEST);
            let rest = Rest { failures: failures.saturating_add(1), until: now + rest };
            self.resting.insert(domain.clone(), rest);
        } else {
            self.resting.invalidate(domain);
        }
        self.busy().remove(domain);
    }

    fn busy(&self) -> MutexGuard<'_, HashSet<DomainId>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_that_fails_is_left_alone_twice_as_long_each_time_and_never_too_long() {
        let (roster, mut now) = (Roster::new(Duration::from_secs(5)), Instant::now());
        let [bad, good] = ["bad", "good"].map(|id| DomainId::parse(id).unwrap());
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert!(roster.begins(&bad, now));
            // It is not begun with twice.
            assert!(!roster.begins(&bad, now));
            roster.ends(&bad, true, now);
            now += Duration::from_secs(seconds - 1);
            assert!(!roster.begins(&bad, now), "{seconds}");
            // Others do not wait for it.
            assert!(roster.begins(&good, now));
            roster.ends(&good, false, now);
            now += Duration::from_secs(1);
        }
        assert!(roster.begins(&bad, now));
        roster.ends(&bad, false, now);
        // It is as if nothing had been.
        assert!(roster.begins(&bad, now));
        roster.ends(&bad, true, now);
        assert!(roster.begins(&bad, now + Duration::from_secs(5)));
    }

    #[test]
    fn a_domain_in_which_somebody_asks_for_something_is_tried_once_without_a_rest() {
        let (roster, now) = (Roster::new(Duration::from_secs(5)), Instant::now());
        let domain = DomainId::parse("bad").unwrap();
        assert!(roster.begins(&domain, now));
        roster.ends(&domain, true, now);
        roster.asks(domain.clone());
        assert!(roster.begins(&domain, now));
        // They ask again while it is busy, and it fails.
        roster.asks(domain.clone());
        assert!(!roster.begins(&domain, now));
        roster.ends(&domain, true, now);
        assert!(roster.is_asked(&domain) && roster.begins(&domain, now));
        roster.ends(&domain, true, now);
        assert!(!roster.is_asked(&domain));
        // What failed before counts.
        assert!(!roster.begins(&domain, now + Duration::from_secs(19)));
        assert!(roster.begins(&domain, now + Duration::from_secs(20)));
    }
}
