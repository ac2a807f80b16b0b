//! TTL tables: against a model, with rows of fixed width and of any; what is seen as time passes; what a purge costs; errors.

#![allow(clippy::duplicate_mod, reason = "the model is there for each kind of rows")]

#[path = "../common/mod.rs"]
mod common;

mod behaviour;
mod bytes;
mod costs;
mod errors;
mod numbers;

use sapwood::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that the test sets.
#[derive(Clone, Debug, Default)]
struct Hand(Arc<AtomicU64>);

impl Clock for Hand {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Hand {
    fn set(&self, time: u64) {
        self.0.store(time, Ordering::Relaxed);
    }
}
