//! Who needs which page.
//!
//! A page that was written at `birth` and unlinked at `unlinked_at` is kept for the live snapshots `s` with
//! `birth <= s < unlinked_at`, and is free when there is none. Instead of the two ids of each page, the kept pages are
//! held as sets per pair: the oldest and the newest live snapshot that need them. This is enough because:
//!
//! 1. `oldest` and `newest` of every set are live, and the set's pages are needed by the live snapshots in
//!    `oldest..=newest` and by no others.
//! 2. Nothing comes to life inside a pair: a snapshot is added at the head, whose id is at least every `unlinked_at` so
//!    far, or at an id that is live already.
//! 3. So only dropping the last snapshot of an id changes a pair, and only where the id is its oldest (the next larger
//!    live id takes its place) or its newest (the next smaller one does). A set that no live id is left for is free.
//! 4. A page is in at most one set. It leaves when it becomes free.
//! 5. No set is empty, and `by_newest` has the same pairs as `sets`.

use super::page_set::PageSet;
use crate::format::{PageNumber, TxnId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;

/// The oldest and the newest snapshot that need a page.
type Pair = (TxnId, TxnId);

/// The ids of live snapshots, each with the number of its holders.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshots {
    holders: BTreeMap<TxnId, usize>,
}

impl Snapshots {
    /// One more holder of the snapshot.
    pub(crate) fn add(&mut self, id: TxnId) {
        *self.holders.entry(id).or_default() += 1;
    }

    /// One holder less; whether it was the last one, and the snapshot is not live any more.
    pub(crate) fn drop(&mut self, id: TxnId) -> bool {
        let Some(holders) = self.holders.get_mut(&id) else { return false };
        *holders -= 1;
        let last = *holders == 0;
        if last {
            self.holders.remove(&id);
        }
        last
    }

    fn iter_in(&self, ids: Range<TxnId>) -> impl DoubleEndedIterator<Item = TxnId> {
        // The map panics at ranges that end before they start.
        let end = ids.end.max(ids.start);
        self.holders.range(ids.start..end).map(|(id, _)| *id)
    }

    fn pair_in(&self, ids: Range<TxnId>) -> Option<Pair> {
        let mut live = self.iter_in(ids);
        let oldest = live.next()?;
        Some((oldest, live.next_back().unwrap_or(oldest)))
    }
}

/// The pages that no longer belong to the newest state and are kept for snapshots.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptSets {
    sets: BTreeMap<Pair, PageSet>,
    /// The pairs, newest first in each, to be found by it.
    by_newest: BTreeSet<(TxnId, TxnId)>,
}

impl KeptSets {
    /// Keeps pages that were just unlinked for the snapshots that need them, or gives them to `free`.
    pub(crate) fn keep_or_free(
        &mut self,
        snapshots: &Snapshots,
        birth: TxnId,
        unlinked_at: TxnId,
        start: PageNumber,
        pages: u32,
        free: &mut impl FnMut(PageNumber, u32),
    ) {
        match snapshots.pair_in(birth..unlinked_at) {
            _ if pages == 0 => {}
            Some(pair) => {
                self.set_of(pair).insert_range(start, pages);
            }
            None => free(start, pages),
        }
    }

    /// Moves the sets that ended at a snapshot which is not live any more; what no one needs goes to `free`.
    pub(crate) fn dropped(&mut self, snapshots: &Snapshots, id: TxnId, free: &mut impl FnMut(PageNumber, u32)) {
        for pair in self.pairs_ending_at(id) {
            let mut set = self.take(pair);
            // `id` is in the range but not live; the other end of the pair is, unless it is `id` as well.
            if let Some(smaller) = snapshots.pair_in(pair.0..pair.1.saturating_add(1)) {
                self.set_of(smaller).union_with(set);
                continue;
            }
            set.drain_ranges().for_each(|(start, pages)| free(start, pages));
        }
    }

    fn pairs_ending_at(&self, id: TxnId) -> Vec<Pair> {
        let oldest = self.sets.range((id, TxnId::MIN)..=(id, TxnId::MAX)).map(|(pair, _)| *pair);
        let newest = self.by_newest.range((id, TxnId::MIN)..(id, id)).map(|(newest, oldest)| (*oldest, *newest));
        oldest.chain(newest).collect()
    }

    /// The set of a pair, which must not stay empty.
    fn set_of(&mut self, pair: Pair) -> &mut PageSet {
        self.sets.entry(pair).or_insert_with(|| {
            self.by_newest.insert((pair.1, pair.0));
            PageSet::new()
        })
    }

    fn take(&mut self, pair: Pair) -> PageSet {
        self.by_newest.remove(&(pair.1, pair.0));
        self.sets.remove(&pair).unwrap_or_default()
    }

    /// All kept pages as `(start, length)` ranges, ascending within each set only.
    pub(crate) fn iter_ranges(&self) -> impl Iterator<Item = (PageNumber, u32)> {
        self.sets.values().flat_map(PageSet::iter_ranges)
    }
}

#[cfg(test)]
mod tests;
