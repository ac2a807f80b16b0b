//! Which page is free, kept, or linked; one lock guards it all, so that a reader's announcement and a publication
//! are never seen half-way.
//!
//! - `head` is the newest committed state, durable or not.
//! - The snapshots are: the commits that the two slots name, the head, every open read transaction and, for data alone,
//!   every savepoint.
//! - A page is allocated in `free_map` exactly if it is linked by the head, kept, the mirror, the saved free map, or
//!   allocated by the live write transaction; or if it is lost, kept or not, because the set that it was in was shed.
//! - `unwritten` holds the sealed frames of committed pages that are not on disk.

use super::allocator::FreeMap;
use super::cache::{Cache, FrameRef};
use super::page_set::PageSet;
use super::savepoints::Savepoints;
use super::snapshots::{KeptSets, Pair, Snapshots, hull};
use crate::format::{CommitSlot, PageNumber, Pointer, TxnId};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// A committed state: its id, its two roots, and its date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: TxnId,
    pub(crate) data: Option<Pointer>,
    pub(crate) system: Option<Pointer>,
    /// In milliseconds since 1970, and later than that of any commit before that was dated.
    pub(crate) time: u64,
}

impl Commit {
    pub(crate) fn of(slot: &CommitSlot) -> Self {
        Self { id: slot.id, data: slot.data, system: slot.system, time: slot.time }
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

/// A page or run that the live write transaction links and its base does not, though it is older, or the other way
/// round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkChange {
    pub(crate) linked: bool,
    pub(crate) class: Class,
    pub(crate) birth: TxnId,
    pub(crate) start: PageNumber,
    pub(crate) pages: u32,
}

impl LinkChange {
    /// What is left of changes that follow each other: of two of the same page nothing.
    pub(super) fn net(changes: Vec<Self>) -> Vec<Self> {
        if changes.iter().all(|change| !change.linked) {
            return changes;
        }
        let mut left = BTreeMap::new();
        for change in changes {
            if left.remove(&change.start).is_none() {
                left.insert(change.start, change);
            }
        }
        left.into_values().collect()
    }
}

/// The part of the cache's budget that the kept sets of one class may take.
const KEPT_PART: usize = 16;
/// What they may take however small the budget is, in bytes. Where internal assertions are on that is next to
/// nothing, so that pages are lost in every test with a small cache.
const KEPT_FLOOR: usize = if cfg!(feature = "paranoid") { 1 } else { 32 << 10 };

/// Pages that were in kept sets which were shed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// The oldest and the newest snapshot that needed one of them.
    needed_by: Pair,
    /// One of these and those between them is gone, so that some of the pages may be free.
    some_free: bool,
}

impl Lost {
    /// What is lost if `sets` take more memory than their share of the cache's budget.
    pub(super) fn shed(sets: &mut KeptSets, cache: &Cache) -> Option<Self> {
        let share = (cache.budget() / KEPT_PART).max(KEPT_FLOOR);
        sets.shed(share).map(|needed_by| Self { needed_by, some_free: false })
    }

    pub(super) fn join(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let needed_by = hull(a.map(|a| a.needed_by), b.map(|b| b.needed_by))?;
        Some(Self { needed_by, some_free: [a, b].into_iter().flatten().any(|lost| lost.some_free) })
    }
}

/// The snapshots that matter to one class of pages, and the pages that they keep.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) snapshots: Snapshots,
    pub(super) kept: KeptSets,
    pub(super) lost: Option<Lost>,
}

impl Ledger {
    /// One holder less of each of these.
    pub(super) fn drop_snapshots(&mut self, ids: impl IntoIterator<Item = TxnId>, freed: &mut Vec<(PageNumber, u32)>) {
        let dead: BTreeSet<_> = ids.into_iter().filter(|id| self.snapshots.drop(*id)).collect();
        self.kept.dropped(&self.snapshots, &dead, &mut |start, pages| freed.push((start, pages)));
        if let Some(lost) = &mut self.lost {
            lost.some_free |= dead.range(lost.needed_by.0..=lost.needed_by.1).next().is_some();
        }
    }

    /// Pages were lost, beside those that are.
    pub(super) fn lose(&mut self, lost: Option<Lost>) {
        self.lost = Lost::join(self.lost, lost);
    }
}

/// What opening could not read where it belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) header: bool,
    /// The slot of the newest commit.
    pub(super) slot: bool,
    pub(super) other: bool,
    /// The slots are still to be written, which is no damage.
    pub(super) streamed: bool,
}

/// Length in pages of what `pointer` names.
pub(crate) fn pages_of(pointer: &Pointer, page_size: usize) -> u32 {
    u32::try_from(pointer.pages(page_size)).unwrap_or(u32::MAX)
}

/// How the file's pages add up.
#[derive(Debug)]
pub(crate) struct Accounting {
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
    pub(super) savepoints: Savepoints,
    pub(super) unwritten: BTreeMap<PageNumber, FrameRef>,
    pub(super) damage: Damage,
    /// How many read.
    pub(super) readers: usize,
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
            savepoints: Savepoints::default(),
            unwritten: BTreeMap::new(),
            damage: Damage::default(),
            readers: 0,
        };
        space.add_snapshot(&head);
        for slot in slots.iter().flatten() {
            space.add_snapshot(&Commit::of(slot));
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
        let head = self.head;
        self.add_snapshot(&head);
        self.readers += 1;
        head
    }

    pub(super) fn add_snapshot(&mut self, commit: &Commit) {
        self.data.snapshots.add(commit.id, commit.data);
        self.system.snapshots.add(commit.id, commit.system);
    }

    pub(super) fn drop_snapshot(&mut self, id: TxnId, cache: &Cache) {
        let mut freed = Vec::new();
        self.data.drop_snapshots([id], &mut freed);
        self.system.drop_snapshots([id], &mut freed);
        self.release_all(&freed, cache);
        self.keep_budget(cache);
    }

    /// Keeps what is under `root`, a data root of some commit, readable. Its birth is the snapshot's id: no page of
    /// data was unlinked between that and the commit, whose data root would be another.
    pub(super) fn add_data_snapshot(&mut self, root: &Pointer) {
        self.data.snapshots.add(root.birth, Some(*root));
    }

    pub(super) fn drop_data_snapshot(&mut self, root: &Pointer, cache: &Cache) {
        self.drop_data_snapshots(&[*root], cache);
    }

    pub(super) fn drop_data_snapshots(&mut self, roots: &[Pointer], cache: &Cache) {
        let mut freed = Vec::new();
        self.data.drop_snapshots(roots.iter().map(|root| root.birth), &mut freed);
        self.release_all(&freed, cache);
        self.keep_budget(cache);
    }

    pub(super) fn add_system_snapshot(&mut self, commit: &Commit) {
        self.system.snapshots.add(commit.id, commit.system);
    }

    pub(super) fn drop_system_snapshot(&mut self, id: TxnId, cache: &Cache) {
        let mut freed = Vec::new();
        self.system.drop_snapshots([id], &mut freed);
        self.release_all(&freed, cache);
        self.keep_budget(cache);
    }

    /// Sheds sets if they take too much memory, and tells the cache what they take.
    pub(super) fn keep_budget(&mut self, cache: &Cache) {
        let bytes = self.ledgers().map(|ledger| {
            let lost = Lost::shed(&mut ledger.kept, cache);
            ledger.lose(lost);
            ledger.kept.bytes()
        });
        cache.set_aside(bytes.into_iter().sum());
    }

    pub(super) fn ledgers(&mut self) -> [&mut Ledger; 2] {
        [&mut self.data, &mut self.system]
    }

    /// Data pages were lost that snapshots in this range need, or, if `some_free`, nobody.
    pub(super) fn lose_data(&mut self, needed_by: Option<Pair>, some_free: bool) {
        self.data.lose(needed_by.map(|needed_by| Lost { needed_by, some_free }));
    }

    /// Kept pages that only snapshots keep which end with this opening.
    pub(super) fn kept_until_closing(&self) -> PageSet {
        let data = self.data.kept.iter().filter(|(pair, _)| !self.savepoints.need(*pair));
        let mut all = PageSet::new();
        for (_, set) in data.chain(self.system.kept.iter()) {
            set.iter_ranges().for_each(|(start, pages)| {
                all.insert_range(start, pages);
            });
        }
        all
    }

    /// Whether pages may be allocated that the next opener, for whom persistent savepoints are the only snapshots
    /// beside the head, has no use for.
    pub(super) fn may_leave_lost_pages(&self) -> bool {
        let ends = |lost: &Lost| {
            let lives = self.data.snapshots.holders_in(lost.needed_by);
            lost.some_free || lives > self.savepoints.count_in(lost.needed_by)
        };
        self.savepoints.deleting || self.system.lost.is_some() || self.data.lost.as_ref().is_some_and(ends)
    }

    pub(super) fn has_lost_pages(&self) -> bool {
        self.data.lost.is_some() || self.system.lost.is_some()
    }

    /// Whether pages that nobody needs may be among the lost ones.
    pub(super) fn has_lost_free_pages(&self) -> bool {
        [&self.data, &self.system].iter().any(|ledger| ledger.lost.is_some_and(|lost| lost.some_free))
    }

    fn ledger(&mut self, class: Class) -> &mut Ledger {
        match class {
            Class::Data => &mut self.data,
            Class::System => &mut self.system,
        }
    }

    /// Makes `commit` the head and decides what becomes of the pages that it unlinked, or linked again.
    pub(super) fn publish(&mut self, commit: Commit, changes: &[LinkChange], cache: &Cache) {
        let before = core::mem::replace(&mut self.head, commit);
        self.add_snapshot(&commit);
        let mut freed = Vec::new();
        self.data.drop_snapshots([before.id], &mut freed);
        self.system.drop_snapshots([before.id], &mut freed);
        for page in changes {
            if self.readers == 0 && !page.linked {
                // Whoever needs it may read it again; meanwhile its frame serves the next copy.
                (page.start..page.start.saturating_add(page.pages)).for_each(|page| cache.remove_clean(page));
            }
            let ledger = self.ledger(page.class);
            let (snapshots, kept) = (&ledger.snapshots, &mut ledger.kept);
            if page.linked {
                kept.remove(page.start, page.pages);
                continue;
            }
            kept.keep_or_free(snapshots, page.birth, commit.id, page.start, page.pages, &mut |start, pages| {
                freed.push((start, pages));
            });
        }
        self.release_all(&freed, cache);
        self.keep_budget(cache);
    }

    /// The commit in `slot` is on disk; the one that was in the other slot's place before is no snapshot any more, nor
    /// are savepoints that only it named.
    pub(super) fn slot_written(&mut self, index: usize, slot: CommitSlot, cache: &Cache) {
        self.add_snapshot(&Commit::of(&slot));
        let retired = self.savepoints.take_retired();
        self.drop_data_snapshots(&retired, cache);
        let replaced = self.slots.get_mut(index).and_then(|place| place.replace(slot));
        self.newest = index;
        if let Some(replaced) = replaced {
            self.drop_snapshot(replaced.id, cache);
        }
    }

    pub(super) fn release_all(&mut self, freed: &[(PageNumber, u32)], cache: &Cache) {
        freed.iter().for_each(|&(start, pages)| self.release(start, pages, cache));
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

    /// Whether a tree may link these pages: they are in use, and not by the store itself.
    pub(super) fn can_link(&self, start: PageNumber, pages: u32, page_size: usize) -> bool {
        let own = |first: PageNumber, length: u32| {
            start < first.saturating_add(length) && first < start.saturating_add(pages)
        };
        let saved = self.newest_slot().and_then(|slot| slot.saved);
        self.free_map.as_ref().is_some_and(|map| map.are_allocated(start, pages))
            && !self.mirror.is_some_and(|mirror| own(mirror, 1))
            && !saved.is_some_and(|run| own(run.page, pages_of(&run, page_size)))
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
            kept: self.kept_ranges(),
            allocated: map.to_buddy().allocated_set(),
            mirror: self.mirror,
            saved: self.newest_slot().and_then(|slot| slot.saved),
            file_pages: map.len(),
        })
    }
}
