//! Numbers for threads, so that each can count in a place of its own.

#[cfg(feature = "std")]
use super::{AtomicUsize, Ordering};
#[cfg(feature = "std")]
use core::cell::Cell;

/// Stripes with one thread each.
#[cfg(feature = "std")]
pub(crate) const OWNED_STRIPES: usize = 48;
#[cfg(feature = "std")]
pub(crate) const SHARED_STRIPES: usize = 16;
/// Without `std` threads cannot be told apart.
#[cfg(not(feature = "std"))]
pub(crate) const OWNED_STRIPES: usize = 0;
#[cfg(not(feature = "std"))]
pub(crate) const SHARED_STRIPES: usize = 1;

/// This thread's stripe, and whether no other thread has it or will ever have it.
///
/// Stripes are not given back, which would take a destructor: in a process that starts threads all the time the
/// younger ones share.
#[cfg(feature = "std")]
#[inline]
pub(crate) fn own_stripe() -> (usize, bool) {
    const NONE: usize = usize::MAX;
    std::thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(NONE) };
    }
    let stripe = STRIPE.with(|stripe| {
        if stripe.get() == NONE {
            stripe.set(next_stripe());
        }
        stripe.get()
    });
    (stripe, stripe < OWNED_STRIPES)
}

#[cfg(feature = "std")]
#[cold]
fn next_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Goes round among the shared stripes and never back to an owned one.
    let counted =
        |next: usize| Some(if next < OWNED_STRIPES { next + 1 } else { OWNED_STRIPES + (next + 1) % SHARED_STRIPES });
    match NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted) {
        Ok(stripe) | Err(stripe) => stripe,
    }
}

#[cfg(not(feature = "std"))]
pub(crate) fn own_stripe() -> (usize, bool) {
    (OWNED_STRIPES, false)
}
