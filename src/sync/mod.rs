//! The one place where locks differ between `std`, `no_std` and a model checker.
//!
//! Locks here do not poison: no code of a user runs under one of them, so a panic under a lock is a
//! bug of ours, and the state that it guards is refused afterwards by the store's own failure latch.

pub(crate) use alloc::sync::Arc;
pub(crate) use portable_atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

mod gate;
mod mutex;

pub(crate) use gate::{Gate, GatePass};
pub(crate) use mutex::{Mutex, MutexGuard};

/// A small number that differs between threads that run at the same time, most of the time.
#[cfg(feature = "std")]
pub(crate) fn thread_stripe() -> usize {
    use core::cell::Cell;
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    std::thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(0) };
    }
    STRIPE.with(|stripe| {
        if stripe.get() == 0 {
            stripe.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        stripe.get()
    })
}

#[cfg(not(feature = "std"))]
pub(crate) fn thread_stripe() -> usize {
    0
}

/// Whether this thread is unwinding from a panic.
#[cfg(feature = "std")]
pub(crate) fn panicking() -> bool {
    std::thread::panicking()
}

#[cfg(not(feature = "std"))]
pub(crate) fn panicking() -> bool {
    false
}
