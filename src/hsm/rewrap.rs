//! Wrapping many DEKs under another KEK, in jobs as large as the HSM is fast.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    ANOTHER, Answer, Hsm, HsmError, Lane, Rewrapping, SealedBlock, WrappedKek, request::Request,
};

/// The most DEKs of one job: it holds a session for as long as that takes.
const MOST: usize = 16;

/// Jobs of one call that wait at the same time.
const JOBS: usize = 2;

/// What part of its deadline a job is to take, so that one which takes longer than was thought is still in time.
const PART: u32 = 4;

/// What a DEK takes of late, waiting included, in microseconds; 0 where none was rewrapped yet.
#[derive(Default)]
pub(super) struct Pace(AtomicU64);

impl Pace {
    fn saw(&self, count: usize, took: Duration) {
        let count = u128::try_from(count).unwrap_or(1).max(1);
        let each = u64::try_from(took.as_micros() / count).unwrap_or(u64::MAX);
        let before = self.0.load(Ordering::Relaxed);
        let now = if before == 0 { each } else { before - before / 4 + each / 4 };
        self.0.store(now.max(1), Ordering::Relaxed);
    }

    /// How many go in `time`; one, where that is not known.
    fn within(&self, time: Duration) -> usize {
        let each = u128::from(self.0.load(Ordering::Relaxed));
        let count = time.as_micros().checked_div(each).unwrap_or(1);
        usize::try_from(count).unwrap_or(usize::MAX).max(1)
    }
}

impl Hsm {
    /// Wraps DEKs under `to` that are wrapped under `from`: each in its place, and none where one does not open.
    ///
    /// It waits behind what callers ask, all of it in one lane. An HSM that is far away gets few in a job, so that each is done in time.
    pub async fn rewrap(
        &self,
        from: WrappedKek,
        to: WrappedKek,
        deks: Vec<Rewrapping>,
    ) -> Result<Vec<Option<SealedBlock>>, HsmError> {
        let size = self.rewraps.within(self.deadline / PART).min(MOST);
        let jobs: Vec<_> =
            deks.chunks(size).map(|some| self.rewrap_some(&from, &to, some)).collect();
        let jobs: Vec<Vec<_>> = stream::iter(jobs).buffered(JOBS).try_collect().await?;
        Ok(jobs.into_iter().flatten().collect())
    }

    /// How many DEKs can be rewrapped in `time`, by what it took of late: at least one.
    pub fn rewraps_within(&self, time: Duration) -> usize {
        self.rewraps.within(time)
    }

    async fn rewrap_some(
        &self,
        from: &WrappedKek,
        to: &WrappedKek,
        deks: &[Rewrapping],
    ) -> Result<Vec<Option<SealedBlock>>, HsmError> {
        let begun = Instant::now();
        let (from, to) = (from.clone(), to.clone());
        let answer = self.call(Lane::UPKEEP, Request::Rewrap { from, to, deks: deks.to_vec() });
        match answer.await {
            Ok(Answer::Rewrapped(wrapped)) if wrapped.len() == deks.len() => {
                self.rewraps.saw(deks.len(), begun.elapsed());
                Ok(wrapped)
            }
            Ok(_) => Err(ANOTHER),
            Err(error) => {
                if error == HsmError::Deadline {
                    // Longer, and nobody knows how much.
                    self.rewraps.saw(deks.len(), self.deadline * PART);
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_was_seen() {
        let (pace, second) = (Pace::default(), Duration::from_secs(1));
        assert_eq!(pace.within(second), 1);
        pace.saw(1, Duration::from_millis(100));
        assert_eq!(pace.within(second), 10);
        for _ in 0..40 {
            pace.saw(16, Duration::from_millis(16));
        }
        assert!((800..=1000).contains(&pace.within(second)), "{}", pace.within(second));
        // A deadline is missed.
        pace.saw(16, Duration::from_secs(8));
        assert!(pace.within(second) < 10);
        pace.saw(1, Duration::from_secs(60));
        assert_eq!(pace.within(second), 1);
    }
}
