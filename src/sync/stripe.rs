//! Numbers for threads, so that each can count in a place of its own.

/// Stripes with one thread each.
#[cfg(all(feature = "std", not(shuttle)))]
pub(crate) const OWNED_STRIPES: usize = 48;
#[cfg(all(feature = "std", not(shuttle)))]
pub(crate) const SHARED_STRIPES: usize = 16;
/// Of both kinds few enough that a model checker comes round them.
#[cfg(shuttle)]
pub(crate) const OWNED_STRIPES: usize = 2;
#[cfg(shuttle)]
pub(crate) const SHARED_STRIPES: usize = 1;
/// Without `std` threads cannot be told apart.
#[cfg(not(feature = "std"))]
pub(crate) const OWNED_STRIPES: usize = 0;
#[cfg(not(feature = "std"))]
pub(crate) const SHARED_STRIPES: usize = 1;

pub(crate) use imp::own_stripe;

#[cfg(all(feature = "std", not(shuttle)))]
mod imp {
    use super::{OWNED_STRIPES, SHARED_STRIPES};
    use crate::sync::{AtomicUsize, Ordering};
    use core::cell::Cell;

    /// This thread's stripe, and whether no other thread has it or will ever have it.
    ///
    /// Stripes are not given back, which would take a destructor: in a process that starts threads all the time the
    /// younger ones share.
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

    #[cold]
    fn next_stripe() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Goes round among the shared stripes and never back to an owned one.
        let counted = |next: usize| {
            Some(if next < OWNED_STRIPES { next + 1 } else { OWNED_STRIPES + (next + 1) % SHARED_STRIPES })
        };
        match NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted) {
            Ok(stripe) | Err(stripe) => stripe,
        }
    }
}

#[cfg(shuttle)]
mod imp {
    use super::OWNED_STRIPES;

    /// The checker counts the threads of one execution from 0, which is the same in each run of a schedule.
    pub(crate) fn own_stripe() -> (usize, bool) {
        let stripe = usize::from(shuttle::current::me()).min(OWNED_STRIPES);
        (stripe, stripe < OWNED_STRIPES)
    }
}

#[cfg(not(feature = "std"))]
mod imp {
    pub(crate) fn own_stripe() -> (usize, bool) {
        (super::OWNED_STRIPES, false)
    }
}
