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
//! 4. A page is in at most one set. It leaves when it becomes free, or when the set is shed to save memory.
//! 5. No set is empty, `by_newest` has the same pairs as `sets`, and `words` is the number of words of all sets.

use super::page_set::PageSet;
use crate::format::{PageNumber, Pointer, TxnId};
use crate::sync::Moment;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

/// The oldest and the newest snapshot that need a page.
pub(crate) type Pair = (TxnId, TxnId);

/// The smallest range of ids that has both.
pub(crate) fn hull(a: Option<Pair>, b: Option<Pair>) -> Option<Pair> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// A committed state that must stay readable.
#[derive(Clone, Debug)]
struct Live {
    holders: usize,
    root: Option<Pointer>,
    since: Moment,
}

/// The ids of live snapshots, each with the number of its holders and its root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshots {
    live: BTreeMap<TxnId, Live>,
}

impl Snapshots {
    /// One more holder of the snapshot, whose root is the same each time.
    pub(crate) fn add(&mut self, id: TxnId, root: Option<Pointer>) {
        self.live.entry(id).or_insert_with(|| Live { holders: 0, root, since: Moment::now() }).holders += 1;
    }

    /// Every snapshot with its root, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TxnId, Option<Pointer>)> {
        self.live.iter().map(|(id, live)| (*id, live.root))
    }

    /// Holders of one snapshot.
    pub(crate) fn holders(&self, id: TxnId) -> usize {
        self.live.get(&id).map_or(0, |live| live.holders)
    }

    /// How long a snapshot is live.
    pub(crate) fn age(&self, id: TxnId) -> Option<Duration> {
        self.live.get(&id)?.since.elapsed()
    }

    /// Holders of the snapshots in this range.
    pub(crate) fn holders_in(&self, (oldest, newest): Pair) -> usize {
        self.iter().filter(|(id, _)| (oldest..=newest).contains(id)).map(|(id, _)| self.holders(id)).sum()
    }

    /// One holder less; whether it was the last one, and the snapshot is not live any more.
    pub(crate) fn drop(&mut self, id: TxnId) -> bool {
        let Some(live) = self.live.get_mut(&id) else { return false };
        live.holders -= 1;
        let last = live.holders == 0;
        if last {
            self.live.remove(&id);
        }
        last
    }

    fn iter_in(&self, ids: Range<TxnId>) -> impl DoubleEndedIterator<Item = TxnId> {
        // The map panics at ranges that end before they start.
        let end = ids.end.max(ids.start);
        self.live.range(ids.start..end).map(|(id, _)| *id)
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
    /// Words of all sets.
    words: usize,
}

/// Memory that a set takes beside its words: its places in the two maps, and nodes that are not full.
const SET_BYTES: usize = 128;

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
            Some(pair) => self.keep(pair, start, pages),
            None => free(start, pages),
        }
    }

    /// Keeps pages for these snapshots and those between them.
    pub(crate) fn keep(&mut self, pair: Pair, start: PageNumber, pages: u32) {
        self.change(pair, |set| {
            set.insert_range(start, pages);
        });
    }

    /// Pages that are linked again are not kept.
    pub(crate) fn remove(&mut self, start: PageNumber, pages: u32) {
        let mut left = pages;
        let pairs: Vec<_> = self.sets.keys().copied().collect();
        for pair in pairs {
            let Some(set) = self.sets.get_mut(&pair).filter(|_| left > 0) else { break };
            self.words -= set.words();
            left -= set.remove_range(start, pages);
            self.words += set.words();
            if set.len() == 0 {
                self.take(pair);
            }
        }
    }

    /// Takes in the other's sets, of other pages.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (pair, pages) in other.sets {
            self.change(pair, |set| set.union_with(pages));
        }
    }

    /// Memory that the sets take, by a formula.
    pub(crate) fn bytes(&self) -> usize {
        self.sets.len() * SET_BYTES + self.words * PageSet::WORD_BYTES
    }

    /// If the sets take more than `budget`, forgets the largest until they take half of it. Gives the oldest and the
    /// newest snapshot that need a page of what was forgotten.
    pub(crate) fn shed(&mut self, budget: usize) -> Option<Pair> {
        if self.bytes() <= budget {
            return None;
        }
        let mut by_size: Vec<_> = self.sets.iter().map(|(pair, set)| (set.words(), *pair)).collect();
        by_size.sort_unstable();
        let mut shed = None;
        while self.bytes() > budget / 2 {
            let Some((_, pair)) = by_size.pop() else { break };
            self.take(pair);
            shed = hull(shed, Some(pair));
        }
        shed
    }

    /// Moves the sets that ended at snapshots which are not live any more; what no one needs goes to `free`.
    ///
    /// All at once, for where there are many snapshots the oldest of them ends many sets.
    pub(crate) fn dropped(
        &mut self,
        snapshots: &Snapshots,
        ids: &BTreeSet<TxnId>,
        free: &mut impl FnMut(PageNumber, u32),
    ) {
        for pair in self.pairs_ending_at(ids) {
            let mut set = self.take(pair);
            if let Some(smaller) = snapshots.pair_in(pair.0..pair.1.saturating_add(1)) {
                self.change(smaller, |other| other.union_with(set));
                continue;
            }
            set.drain_ranges().for_each(|(start, pages)| free(start, pages));
        }
    }

    fn pairs_ending_at(&self, ids: &BTreeSet<TxnId>) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for id in ids {
            pairs.extend(self.sets.range((*id, TxnId::MIN)..=(*id, TxnId::MAX)).map(|(pair, _)| *pair));
            let newest = self.by_newest.range((*id, TxnId::MIN)..(*id, *id)).map(|(newest, oldest)| (*oldest, *newest));
            pairs.extend(newest.filter(|(oldest, _)| !ids.contains(oldest)));
        }
        pairs
    }

    /// Adds to the set of a pair, which must not stay empty.
    fn change(&mut self, pair: Pair, add: impl FnOnce(&mut PageSet)) {
        let set = self.sets.entry(pair).or_insert_with(|| {
            self.by_newest.insert((pair.1, pair.0));
            PageSet::new()
        });
        self.words -= set.words();
        add(set);
        self.words += set.words();
    }

    fn take(&mut self, pair: Pair) -> PageSet {
        self.by_newest.remove(&(pair.1, pair.0));
        let set = self.sets.remove(&pair).unwrap_or_default();
        self.words -= set.words();
        set
    }

    /// The sets, each with who needs it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Pair, &PageSet)> {
        self.sets.iter()
    }

    /// How many pages are kept for this snapshot alone, and for it and others.
    pub(crate) fn pages_for(&self, id: TxnId) -> (u64, u64) {
        let needed = self.sets.iter().filter(|((oldest, newest), _)| (*oldest..=*newest).contains(&id));
        needed.fold((0, 0), |(own, shared), (pair, set)| match *pair == (id, id) {
            true => (own + u64::from(set.len()), shared),
            false => (own, shared + u64::from(set.len())),
        })
    }

    /// All kept pages as `(start, length)` ranges, ascending within each set only.
    pub(crate) fn iter_ranges(&self) -> impl Iterator<Item = (PageNumber, u32)> {
        self.sets.values().flat_map(PageSet::iter_ranges)
    }
}

#[cfg(test)]
mod tests;
