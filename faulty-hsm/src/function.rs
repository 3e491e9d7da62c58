//! What is known of each function of PKCS#11.

use std::sync::atomic::{AtomicU64, Ordering};

/// A function of the list: its name, and how often it was called.
pub struct Function {
    pub name: &'static str,
    /// Whether keys are handed to it that can be swapped.
    pub swaps: bool,
    /// Whether it gives something that can be corrupted.
    pub gives: bool,
    calls: AtomicU64,
}

impl Function {
    pub const fn new(name: &'static str, swaps: bool, gives: bool) -> Self {
        Self { name, swaps, gives, calls: AtomicU64::new(0) }
    }

    pub fn count(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}
