//! Who needs which page.
//!
//! A page that was written at `birth` and unlinked at `unlinked_at` is kept for the live snapshots `s` with
//! `birth <= s < unlinked_at`, and is free when there is none. Instead of the two ids of each page, the kept pages are
//! held as sets per pair: the oldest live snapshot that needed them when they were kept, and the newest that needs them.
//! This is enough because:
//!
//! 1. `newest` of every set is live, and the set's pages are needed by the live snapshots in `oldest..=newest` and by no
//!    others.
//! 2. Nothing comes to life inside a pair: a snapshot is added at the head, whose id is at least every `unlinked_at` so
//!    far, or at an id that is live already.
//! 3. So only dropping the last snapshot of an id changes a pair, and only where the id is its newest: the next smaller
//!    live id of the pair takes its place, and the set is free if there is none. That the oldest goes changes nothing, so
//!    that a window of many snapshots moves on without touching their sets.
//! 4. A page is in at most one set. It leaves when it becomes free, or when the set is shed to save memory.
//! 5. No set is empty, and `words` is the number of words of all sets.

use super::page_set::PageSet;
use crate::format::{PageNumber, Pointer, TxnId};
use crate::sync::Moment;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

/// An oldest and a newest snapshot, between which are all that need a page.
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
    /// By pair, the newest first in each.
    sets: BTreeMap<Reverse, PageSet>,
    /// Words of all sets.
    words: usize,
}

/// A pair the other way round.
type Reverse = (TxnId, TxnId);

/// Memory that a set takes beside its words: its place in the map, and nodes that are not full.
const SET_BYTES: usize = 96;

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
        for ((newest, oldest), pages) in other.sets {
            self.change((oldest, newest), |set| set.union_with(pages));
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
            let Some((_, (newest, oldest))) = by_size.pop() else { break };
            self.take((newest, oldest));
            shed = hull(shed, Some((oldest, newest)));
        }
        shed
    }

    /// Moves the sets that ended at snapshots which are not live any more; what no one needs goes to `free`.
    pub(crate) fn dropped(
        &mut self,
        snapshots: &Snapshots,
        ids: &BTreeSet<TxnId>,
        free: &mut impl FnMut(PageNumber, u32),
    ) {
        for (newest, oldest) in self.ending_at(ids) {
            let mut set = self.take((newest, oldest));
            if let Some(smaller) = snapshots.pair_in(oldest..newest) {
                self.change(smaller, |other| other.union_with(set));
                continue;
            }
            set.drain_ranges().for_each(|(start, pages)| free(start, pages));
        }
    }

    fn ending_at(&self, ids: &BTreeSet<TxnId>) -> Vec<Reverse> {
        let ending = |id: &TxnId| self.sets.range((*id, TxnId::MIN)..=(*id, TxnId::MAX)).map(|(pair, _)| *pair);
        ids.iter().flat_map(ending).collect()
    }

    /// Adds to the set of a pair, which must not stay empty.
    fn change(&mut self, pair: Pair, add: impl FnOnce(&mut PageSet)) {
        let set = self.sets.entry((pair.1, pair.0)).or_default();
        self.words -= set.words();
        add(set);
        self.words += set.words();
    }

    fn take(&mut self, pair: Reverse) -> PageSet {
        let set = self.sets.remove(&pair).unwrap_or_default();
        self.words -= set.words();
        set
    }

    /// The sets, each with who needs it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Pair, &PageSet)> {
        self.sets.iter().map(|((newest, oldest), set)| ((*oldest, *newest), set))
    }

    /// How many pages are kept for this snapshot alone, and for it and others.
    pub(crate) fn pages_for(&self, id: TxnId, snapshots: &Snapshots) -> (u64, u64) {
        let needed = self.iter().filter(|((oldest, newest), _)| (*oldest..=*newest).contains(&id));
        let alone = |oldest, newest| newest == id && snapshots.pair_in(oldest..id).is_none();
        needed.fold((0, 0), |(own, shared), ((oldest, newest), set)| match alone(oldest, newest) {
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
