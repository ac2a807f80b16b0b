//! The one place where locks differ between `std`, `no_std` and a model checker.
//!
//! Locks here do not poison: no code of a user runs under one of them, so a panic under a lock is a
//! bug of ours, and the state that it guards is refused afterwards by the store's own failure latch.

pub(crate) use alloc::sync::Arc;
#[cfg(feature = "std")]
pub(crate) use portable_atomic::AtomicU64;
pub(crate) use portable_atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};

mod gate;
mod mutex;
mod stripe;

pub(crate) use gate::{Gate, GatePass};
pub(crate) use mutex::Mutex;
pub(crate) use stripe::{OWNED_STRIPES, SHARED_STRIPES, own_stripe};
