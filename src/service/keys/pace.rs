//! How fast DEKs are moved by one process, whatever domains they are of.

use std::{sync::Mutex, time::Duration};

use tokio::time::{Instant, sleep_until};

/// Domains whose keys a process sees to at the same time, which share its pace.
pub const AT_ONCE: usize = 4;

/// For how many seconds' worth of DEKs a batch may be: so few that a domain is held until its next one comes, though others have their turns.
const SECONDS: u64 = 5;

/// The most DEKs in a second, of all domains together.
pub struct Pace {
    per_second: u32,
    /// When those that were moved are paid for.
    free: Mutex<Instant>,
}

impl Pace {
    /// So many a second.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: per_second.max(1), free: Mutex::new(Instant::now()) }
    }

    /// The most DEKs of one batch.
    pub(super) fn batch(&self) -> u64 {
        let share = u64::try_from(AT_ONCE).unwrap_or(1);
        (u64::from(self.per_second) * SECONDS / share).max(1)
    }

    /// Waits until `count` DEKs that were begun with at `begun` are paid for.
    pub(super) async fn pay(&self, begun: Instant, count: u32) {
        let due = Duration::from_secs_f64(f64::from(count) / f64::from(self.per_second));
        let until = {
            let mut free = self.free.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *free = Ord::max(*free, begun) + due;
            *free
        };
        sleep_until(until).await;
    }
}
