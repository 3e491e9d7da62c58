//! What a calculation may cost.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

/// The most bytes of values that are held at a time, about.
const MAX_HELD: usize = 32 << 20;

/// The most rows that the stages make of what is read.
const MAX_STEPS: u64 = 5_000_000;

/// How many steps are made between two looks at the time.
const GLANCE: u64 = 1024;

/// Counts what a calculation holds and does, and ends it when that is too much.
#[derive(Debug)]
pub struct Meter {
    begun: Instant,
    most: Duration,
    steps: Cell<u64>,
    held: Cell<usize>,
}

impl Meter {
    /// A meter that ends the calculation after `most`.
    pub fn start(most: Duration) -> Self {
        Self { begun: Instant::now(), most, steps: Cell::new(0), held: Cell::new(0) }
    }

    /// A row has passed.
    pub(super) fn step(&self) -> Result<()> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps > MAX_STEPS {
            let rule = format!("more than {MAX_STEPS} rows: narrow the filter");
            return Err(Error::exhausted("statistics.rows", &rule));
        }
        if steps.is_multiple_of(GLANCE) && self.begun.elapsed() > self.most {
            let rule = "it takes too long: narrow the filter";
            return Err(Error::exhausted("statistics.time", rule));
        }
        Ok(())
    }

    /// `bytes` more are held.
    pub(super) fn hold(&self, bytes: usize) -> Result<()> {
        let held = self.held.get() + bytes;
        self.held.set(held);
        if held > MAX_HELD {
            let rule = format!("more than {} MiB at a time: narrow the filter", MAX_HELD >> 20);
            return Err(Error::exhausted("statistics.memory", &rule));
        }
        Ok(())
    }
}
