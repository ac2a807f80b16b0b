//! The one place where locks differ between `std`, `no_std` and a model checker.
//!
//! Locks here do not poison: no code of a user runs under one of them, so a panic under a lock is a
//! bug of ours, and the state that it guards is refused afterwards by the store's own failure latch.
//!
//! With `--cfg shuttle` every lock and atomic is one of the model checker's: each use of it is a point at which another
//! thread may go on. `Arc` stays the ordinary one, as in the checker itself.

pub(crate) use alloc::sync::Arc;

#[cfg(not(shuttle))]
mod atomic {
    #[cfg(feature = "std")]
    pub(crate) use portable_atomic::AtomicU64;
    pub(crate) use portable_atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};
}
#[cfg(shuttle)]
mod atomic {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
}

/// Where `Mutex` and `Condvar` come from, if there are any.
#[cfg(shuttle)]
use shuttle::sync as system;
#[cfg(all(feature = "std", not(shuttle)))]
use std::sync as system;

mod bell;
#[cfg(feature = "std")]
mod condvar;
mod gate;
mod moment;
mod mutex;
mod pause;
mod stripe;
#[cfg(feature = "std")]
mod thread;

pub(crate) use atomic::*;
pub(crate) use bell::{Bell, Heard};
#[cfg(feature = "std")]
pub(crate) use condvar::Condvar;
pub(crate) use gate::{Gate, GatePass};
pub(crate) use moment::Moment;
pub(crate) use mutex::{Mutex, MutexGuard};
pub(crate) use pause::pause;
pub(crate) use stripe::{OWNED_STRIPES, SHARED_STRIPES, own_stripe};
#[cfg(feature = "std")]
pub(crate) use thread::{ThreadId, this_thread};

#[cfg(all(shuttle, not(feature = "std")))]
compile_error!("the model checker needs the feature `std`");
