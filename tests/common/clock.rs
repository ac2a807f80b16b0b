//! A clock that the test sets.

use sapwood::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Hand(Arc<AtomicU64>);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Hand {
    pub fn set(&self, time: u64) {
        self.0.store(time, Ordering::Relaxed);
    }

    pub fn advance(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}
