//! When memory that readers find without a lock may be freed.
//!
//! A reader pins: it adds one to a counter, looks at the table, and takes the one off again. There are two
//! counters (phases) in each of [`STRIPES`] stripes. The first [`OWNED_STRIPES`] threads of a process have a stripe
//! each, which only they write, so that they need no read-modify-write; the others share [`SHARED_STRIPES`] stripes. An
//! object that was unlinked from the table waits in limbo until each of the counters has been seen at zero once.
//!
//! That is enough. Let an object be unlinked by a write U to the cell that names it, let the owner of the limbo
//! load a counter C after U and see zero, and let P be a pin on C, which adds and then loads cells. U, the load
//! of C, P's addition (a read-modify-write or, on an owned stripe, a store) and P's loads of cells are all
//! `SeqCst`, so they have one order S.
//!
//! * P's addition comes before the zero in the order of C's changes. Every subtraction follows its own addition,
//!   so where C is zero all additions so far have been taken back, P's among them. The subtraction is a
//!   `Release`, and what follows it up to the zero is either read-modify-writes or the same thread's stores, so
//!   the load that saw the zero acquires it: everything that P did happens before the object is freed.
//! * P's addition comes after. The load of C saw an older value than P's, so it precedes P's addition in S; U
//!   precedes the load, since it happens before it, by program order or by the cache's lock; P's loads follow its
//!   addition. Hence U precedes P's loads in S, and they see what U wrote or something later: not the object,
//!   unless it was linked again, and then another retirement, with a reference of its own, covers that.
//!
//! An object behind a retired one (a frame in a retired chunk) is no different: all ways to it were
//! cut before it was retired, so U is the last of those cuts.
//!
//! Phases are not part of this argument; a reader that acts on an outdated phase is merely slow to be waited for.
//! They make a grace period end: readers that come and go could keep a counter above zero for ever. Once the
//! phase that is not in use has been seen at zero, the phase flips, and the one in use until then runs dry.

use super::Padded;
use crate::sync::{AtomicUsize, OWNED_STRIPES, Ordering, SHARED_STRIPES, own_stripe};
use alloc::vec::Vec;
use core::{array, cell::Cell, marker::PhantomData, mem};

const STRIPES: usize = OWNED_STRIPES + SHARED_STRIPES;

#[derive(Default)]
struct Stripe {
    pins: [AtomicUsize; 2],
    hits: AtomicUsize,
}

/// The counters of those who look at the table.
pub(super) struct Epoch {
    /// Read by every pin and written once in a grace period.
    phase: Padded<AtomicUsize>,
    stripes: [Padded<Stripe>; STRIPES],
}

/// What was in the table when this was made stays in memory until it is dropped.
pub(super) struct Pinned<'e> {
    pins: &'e AtomicUsize,
    all_hits: &'e AtomicUsize,
    pub(super) hits: Cell<usize>,
    /// Whether only this thread writes the counter; hence a pin must stay on its thread.
    owned: bool,
    stays: PhantomData<*const ()>,
}

impl Epoch {
    pub(super) fn new() -> Self {
        Self { phase: Padded::default(), stripes: array::from_fn(|_| Padded::default()) }
    }

    #[inline]
    pub(super) fn pin(&self) -> Pinned<'_> {
        let phase = self.phase.0.load(Ordering::Relaxed);
        let (stripe, owned) = own_stripe();
        let [.., last] = &self.stripes;
        let Stripe { pins, hits } = &self.stripes.get(stripe).unwrap_or(last).0;
        let pins = &pins[phase % 2];
        if owned {
            pins.store(pins.load(Ordering::Relaxed).wrapping_add(1), Ordering::SeqCst);
        } else {
            pins.fetch_add(1, Ordering::SeqCst);
        }
        Pinned { pins, all_hits: hits, hits: Cell::new(0), owned, stays: PhantomData }
    }

    /// Finds so far; a few are lost where threads share a stripe.
    pub(super) fn hits(&self) -> usize {
        self.stripes.iter().fold(0, |sum, stripe| sum.wrapping_add(stripe.0.hits.load(Ordering::Relaxed)))
    }

    /// Those of `stripes` (a bit each) that are in use in `phase`.
    fn busy(&self, phase: usize, stripes: u64) -> u64 {
        let mut busy = stripes;
        for (index, stripe) in self.stripes.iter().enumerate() {
            let bit = 1u64 << index;
            if busy & bit != 0 && stripe.0.pins[phase % 2].load(Ordering::SeqCst) == 0 {
                busy &= !bit;
            }
        }
        busy
    }
}

impl Drop for Pinned<'_> {
    #[inline]
    fn drop(&mut self) {
        let hits = self.hits.get();
        if hits != 0 {
            // Not one atomic step: a lost count is cheaper than another locked instruction.
            self.all_hits.store(self.all_hits.load(Ordering::Relaxed).wrapping_add(hits), Ordering::Relaxed);
        }
        if self.owned {
            self.pins.store(self.pins.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Release);
        } else {
            self.pins.fetch_sub(1, Ordering::Release);
        }
    }
}

/// The counters, a bit each, that have not been at zero yet since the grace period began.
#[derive(Default)]
struct Grace([u64; 2]);

impl Grace {
    const fn begin() -> Self {
        Self([u64::MAX >> (u64::BITS as usize - STRIPES); 2])
    }

    /// Looks again, and says whether the grace period is over.
    fn poll(&mut self, epoch: &Epoch) -> bool {
        let Self([even, odd]) = self;
        (*even, *odd) = (epoch.busy(0, *even), epoch.busy(1, *odd));
        let phase = epoch.phase.0.load(Ordering::Relaxed) % 2;
        let (in_use, idle) = if phase == 0 { (*even, *odd) } else { (*odd, *even) };
        if in_use != 0 && idle == 0 {
            epoch.phase.0.store(1 - phase, Ordering::Relaxed);
        }
        in_use | idle == 0
    }
}

/// What was unlinked and may still be looked at. Changed under the cache's lock.
pub(super) struct Limbo<T> {
    waiting: Vec<T>,
    waiting_bytes: usize,
    /// Those whose grace period has begun.
    leaving: Vec<T>,
    leaving_bytes: usize,
    grace: Grace,
}

impl<T> Limbo<T> {
    pub(super) const fn new() -> Self {
        Self { waiting: Vec::new(), waiting_bytes: 0, leaving: Vec::new(), leaving_bytes: 0, grace: Grace([0; 2]) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.waiting_bytes + self.leaving_bytes
    }

    /// Takes in something that nobody who pins from now on can find.
    pub(super) fn retire(&mut self, object: T, bytes: usize) {
        self.waiting.push(object);
        self.waiting_bytes += bytes;
    }

    /// Gives out what nobody can see any more; never waits. A grace period begins once more than `patience` bytes
    /// wait for one, since looking at the counters takes their cache lines from the readers.
    pub(super) fn advance(&mut self, epoch: &Epoch, patience: usize) -> Vec<T> {
        let mut free = self.finish(epoch);
        if self.leaving.is_empty() && self.waiting_bytes > patience {
            mem::swap(&mut self.waiting, &mut self.leaving);
            self.leaving_bytes = mem::take(&mut self.waiting_bytes);
            self.grace = Grace::begin();
            free.append(&mut self.finish(epoch));
        }
        free
    }

    fn finish(&mut self, epoch: &Epoch) -> Vec<T> {
        if self.leaving.is_empty() || !self.grace.poll(epoch) {
            return Vec::new();
        }
        self.leaving_bytes = 0;
        mem::take(&mut self.leaving)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pin_may_see_outlives_it() {
        let (epoch, mut limbo) = (Epoch::new(), Limbo::new());
        limbo.retire('a', 1);
        assert_eq!(limbo.advance(&epoch, 0), ['a'], "nobody is looking");

        let early = epoch.pin();
        limbo.retire('b', 1);
        assert!(limbo.advance(&epoch, 0).is_empty());
        limbo.retire('c', 1);
        let late = epoch.pin();
        assert!(limbo.advance(&epoch, 0).is_empty());
        assert_eq!(limbo.bytes(), 2);
        drop(early);
        assert_eq!(limbo.advance(&epoch, 0), ['b'], "`late` came after b was retired");
        assert!(limbo.advance(&epoch, 0).is_empty());
        drop(late);
        assert_eq!(limbo.advance(&epoch, 0), ['c']);
        assert_eq!(limbo.bytes(), 0);
    }

    #[test]
    fn overlapping_pins_cannot_hold_a_grace_period_up() {
        let (epoch, mut limbo) = (Epoch::new(), Limbo::new());
        let mut pin = epoch.pin();
        for round in 0..1000 {
            limbo.retire(round, 1);
            let mut free = limbo.advance(&epoch, 0);
            for _ in 0..2 {
                let next = epoch.pin();
                drop(mem::replace(&mut pin, next));
                free.append(&mut limbo.advance(&epoch, 0));
            }
            assert_eq!(free, [round]);
        }
    }

    #[test]
    fn a_pin_on_an_outdated_phase_is_waited_for() {
        let (epoch, mut limbo) = (Epoch::new(), Limbo::new());
        let first = epoch.pin();
        limbo.retire('a', 1);
        assert!(limbo.advance(&epoch, 0).is_empty());
        assert_eq!(epoch.phase.0.load(Ordering::Relaxed), 1, "the idle phase was at zero");
        let second = epoch.pin();
        drop(first);
        assert_eq!(limbo.advance(&epoch, 0), ['a']);
        limbo.retire('b', 1);
        assert!(limbo.advance(&epoch, 0).is_empty());
        assert_eq!(epoch.phase.0.load(Ordering::Relaxed), 0);
        // What a thread does that read the phase before the flip and was interrupted.
        epoch.stripes[STRIPES - 1].0.pins[1].fetch_add(1, Ordering::SeqCst);
        drop(second);
        assert!(
            limbo.advance(&epoch, 0).is_empty() || epoch.stripes[STRIPES - 1].0.pins[1].load(Ordering::SeqCst) == 1
        );
        epoch.stripes[STRIPES - 1].0.pins[1].fetch_sub(1, Ordering::Release);
        limbo.retire('c', 1);
        assert!(limbo.advance(&epoch, 0).ends_with(&['c']));
    }

    #[test]
    fn patience_gathers_a_batch() {
        let (epoch, mut limbo) = (Epoch::new(), Limbo::new());
        for object in 0..10 {
            limbo.retire(object, 10);
            assert!(limbo.advance(&epoch, 100).is_empty());
        }
        limbo.retire(10, 10);
        assert_eq!(limbo.advance(&epoch, 100).len(), 11);
    }
}
