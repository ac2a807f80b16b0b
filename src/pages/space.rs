//! Which page is free, kept, or linked; one lock guards it all, so that a reader's announcement and a publication
//! are never seen half-way.
//!
//! - `head` is the newest committed state, durable or not.
//! - The snapshots are: the commits that the two slots name, the head, and every open read transaction.
//! - A page is allocated in `free_map` exactly if it is linked by the head, kept, the mirror, or allocated by the live
//!   write transaction.
//! - `unwritten` holds the sealed frames of committed pages that are not on disk.

use super::allocator::FreeMap;
use super::cache::{Cache, FrameRef};
use super::page_set::PageSet;
use super::snapshots::{KeptSets, Snapshots};
use crate::format::{CommitSlot, PageNumber, Pointer, TxnId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A committed state: its id and its two roots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: TxnId,
    pub(crate) data: Option<Pointer>,
    pub(crate) system: Option<Pointer>,
}

impl Commit {
    pub(crate) fn of(slot: &CommitSlot) -> Self {
        Self { id: slot.id, data: slot.data, system: slot.system }
    }

    pub(crate) fn roots(&self) -> impl Iterator<Item = Pointer> {
        [self.data, self.system].into_iter().flatten()
    }
}

/// Which root a page is reached from. A page never changes its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Data,
    System,
}

/// A page or run that the live write transaction no longer links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unlinked {
    pub(crate) class: Class,
    pub(crate) birth: TxnId,
    pub(crate) start: PageNumber,
    pub(crate) pages: u32,
}

/// The snapshots that matter to one class of pages, and the pages that they keep.
#[derive(Debug, Default)]
struct Ledger {
    snapshots: Snapshots,
    kept: KeptSets,
}

impl Ledger {
    fn add(&mut self, id: TxnId) {
        self.snapshots.add(id);
    }

    fn drop_snapshot(&mut self, id: TxnId, freed: &mut Vec<(PageNumber, u32)>) {
        if self.snapshots.drop(id) {
            self.kept.dropped(&self.snapshots, id, &mut |start, pages| freed.push((start, pages)));
        }
    }
}

/// What opening could not read where it belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) header: bool,
    /// The slot of the newest commit.
    pub(super) slot: bool,
    pub(super) other: bool,
}

/// How the file's pages add up.
#[derive(Debug)]
pub(crate) struct Accounting {
    pub(crate) head: Commit,
    pub(crate) kept: PageSet,
    pub(crate) allocated: PageSet,
    pub(crate) mirror: Option<PageNumber>,
    /// Run of the free map that the newest durable commit saved.
    pub(crate) saved: Option<Pointer>,
    pub(crate) file_pages: u32,
}

#[derive(Debug)]
pub(crate) struct Space {
    /// `None` until the first write after an opening that found no saved free map.
    pub(super) free_map: Option<FreeMap>,
    pub(super) head: Commit,
    pub(super) slots: [Option<CommitSlot>; 2],
    pub(super) newest: usize,
    pub(super) mirror: Option<PageNumber>,
    /// Largest id handed out.
    pub(super) last_id: TxnId,
    data: Ledger,
    system: Ledger,
    pub(super) unwritten: BTreeMap<PageNumber, FrameRef>,
    pub(super) damage: Damage,
}

impl Space {
    pub(super) fn new(slots: [Option<CommitSlot>; 2], newest: usize, last_id: TxnId) -> Self {
        let head = slots.get(newest).and_then(Option::as_ref).map(Commit::of).unwrap_or_default();
        let mut space = Self {
            free_map: None,
            head,
            slots,
            newest,
            mirror: None,
            last_id,
            data: Ledger::default(),
            system: Ledger::default(),
            unwritten: BTreeMap::new(),
            damage: Damage::default(),
        };
        space.add_snapshot(head.id);
        for slot in slots.iter().flatten() {
            space.add_snapshot(slot.id);
        }
        space
    }

    /// The space of a file of which only one commit is known.
    pub(super) fn of_slot(index: usize, slot: CommitSlot, last_id: TxnId) -> Self {
        let mut slots = [None, None];
        if let Some(place) = slots.get_mut(index) {
            *place = Some(slot);
        }
        Self::new(slots, index, last_id)
    }

    pub(super) fn newest_slot(&self) -> Option<&CommitSlot> {
        self.slots.get(self.newest).and_then(Option::as_ref)
    }

    /// The newest slot's saved free map is not used, so that its pages count as free.
    pub(super) fn forget_saved_state(&mut self) {
        if let Some(slot) = self.slots.get_mut(self.newest).and_then(Option::as_mut) {
            slot.saved = None;
        }
    }

    pub(super) fn acquire_head(&mut self) -> Commit {
        self.add_snapshot(self.head.id);
        self.head
    }

    fn add_snapshot(&mut self, id: TxnId) {
        self.data.add(id);
        self.system.add(id);
    }

    pub(super) fn drop_snapshot(&mut self, id: TxnId, cache: &Cache) {
        let mut freed = Vec::new();
        self.data.drop_snapshot(id, &mut freed);
        self.system.drop_snapshot(id, &mut freed);
        self.release_all(&freed, cache);
    }

    fn ledger(&mut self, class: Class) -> &mut Ledger {
        match class {
            Class::Data => &mut self.data,
            Class::System => &mut self.system,
        }
    }

    /// Makes `commit` the head and decides what becomes of the pages that it unlinked.
    pub(super) fn publish(&mut self, commit: Commit, unlinked: &[Unlinked], cache: &Cache) {
        let before = core::mem::replace(&mut self.head, commit);
        self.add_snapshot(commit.id);
        let mut freed = Vec::new();
        self.data.drop_snapshot(before.id, &mut freed);
        self.system.drop_snapshot(before.id, &mut freed);
        for page in unlinked {
            let ledger = self.ledger(page.class);
            let (snapshots, kept) = (&ledger.snapshots, &mut ledger.kept);
            kept.keep_or_free(snapshots, page.birth, commit.id, page.start, page.pages, &mut |start, pages| {
                freed.push((start, pages));
            });
        }
        self.release_all(&freed, cache);
    }

    /// The commit in `slot` is on disk; the one that was in the other slot's place before is no snapshot any more.
    pub(super) fn slot_written(&mut self, index: usize, slot: CommitSlot, cache: &Cache) {
        self.add_snapshot(slot.id);
        let replaced = self.slots.get_mut(index).and_then(|place| place.replace(slot));
        self.newest = index;
        if let Some(replaced) = replaced {
            self.drop_snapshot(replaced.id, cache);
        }
    }

    fn release_all(&mut self, freed: &[(PageNumber, u32)], cache: &Cache) {
        for &(start, pages) in freed {
            self.release(start, pages, cache);
        }
    }

    /// Makes pages that nobody needs allocatable again.
    pub(super) fn release(&mut self, start: PageNumber, pages: u32, cache: &Cache) {
        for page in start..start.saturating_add(pages) {
            self.unwritten.remove(&page);
            cache.remove(page);
        }
        if let Some(map) = &mut self.free_map {
            let freed = map.free(start, pages);
            if cfg!(feature = "paranoid") {
                assert!(freed.is_ok(), "pages {start}+{pages}: {freed:?}");
            }
        }
    }

    /// Every page that some snapshot keeps.
    pub(super) fn kept_ranges(&self) -> PageSet {
        let mut all = PageSet::new();
        for ledger in [&self.data, &self.system] {
            for (start, pages) in ledger.kept.iter_ranges() {
                all.insert_range(start, pages);
            }
        }
        all
    }

    pub(super) fn accounting(&self) -> Option<Accounting> {
        let map = self.free_map.as_ref()?;
        Some(Accounting {
            head: self.head,
            kept: self.kept_ranges(),
            allocated: map.to_buddy().allocated_set(),
            mirror: self.mirror,
            saved: self.newest_slot().and_then(|slot| slot.saved),
            file_pages: map.len(),
        })
    }
}
