//! Until when an answer that holds somebody's data may be given.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Of one request: the earliest moment that one of its fields named. A document may ask for more, which takes longer.
#[derive(Clone, Default)]
pub(super) struct Revealing(Arc<Mutex<Option<Instant>>>);

impl Revealing {
    /// Something was revealed, and may be told until then.
    pub(super) fn until(&self, moment: Instant) {
        let mut earliest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *earliest = Some(earliest.map_or(moment, |earliest| earliest.min(moment)));
    }

    /// Whether it is too late.
    pub(super) fn is_over(&self) -> bool {
        let earliest = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        earliest.is_some_and(|earliest| Instant::now() > earliest)
    }
}
