//! The pages of one write transaction: allocated, edited in place, unlinked. Nothing that it does is seen by others
//! before it is published, and abort forgets it.

use super::allocator::Heat;
use super::cache::FrameRef;
use super::edit::PageMut;
use super::page_set::PageSet;
use super::space::{Class, Commit, LinkChange, pages_of};
use super::walk::note_once;
use super::{Store, load::damaged};
use crate::error::{CommitError, StorageError};
use crate::format::{Checksum, MAX_TXN_ID, PageNumber, Pointer, TxnId};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Pages of a transaction from which on its branches are put side by side. Fewer are few writes wherever they lie, and
/// in single free pages they lie where the file has its blocks: a sync that adds blocks takes longer.
const MANY: u32 = 32;
/// Bytes of a run from which on it is written at once. A copy in memory would take longer than the write, and shorter ones
/// may be replaced before the commit.
const AT_ONCE: usize = 1 << 15;
/// Ids after which a page is not replaced soon.
const SOON: TxnId = 8;

/// The id that comes `gap` after `last`.
pub(super) fn next_id(last: TxnId, gap: u64) -> Result<TxnId, StorageError> {
    let id = last.checked_add(gap).filter(|id| *id <= MAX_TXN_ID);
    id.ok_or_else(|| StorageError::corrupted("transaction ids ran out"))
}

#[derive(Debug)]
pub(crate) struct PageWriter {
    store: Arc<Store>,
    /// The id that pages are born under.
    id: TxnId,
    /// The first id since the newest checkpoint. Nobody else needs what is not older.
    first_id: TxnId,
    base: Commit,
    work: Mutex<Work>,
    /// Held from taking sealed frames to having written them: else a frame that one thread took could be written after
    /// its successor, which another thread changed, sealed and wrote.
    writing: Mutex<()>,
    /// An operation stopped half-way: the trees of this transaction may be inconsistent.
    broken: AtomicBool,
    /// Too much memory is dirty, and not in the tree that was changed last.
    pressed: AtomicBool,
    /// Pages are taken as low in the file as there are any.
    packs: bool,
}

#[derive(Debug, Default)]
pub(super) struct Work {
    /// What was done since the newest checkpoint.
    pub(super) top: Layer,
    /// What was done before each checkpoint since the one before.
    below: Vec<Layer>,
    /// Frames whose bytes are final unless they are edited again, and not on disk.
    pub(super) sealed: BTreeMap<PageNumber, FrameRef>,
}

/// What a transaction did between two checkpoints.
#[derive(Debug, Default)]
pub(super) struct Layer {
    first_id: TxnId,
    allocated: PageSet,
    changes: Vec<LinkChange>,
}

impl Work {
    fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.below.iter().chain([&self.top])
    }

    /// What is linked otherwise than in the base.
    pub(super) fn changes(&self) -> Vec<LinkChange> {
        LinkChange::net(self.layers().flat_map(|layer| layer.changes.iter().copied()).collect())
    }
}

/// Breaks its transaction when dropped: an operation stopped half-way, by an error or a panic.
pub(crate) struct Unfinished<'w>(&'w PageWriter);

impl Unfinished<'_> {
    pub(crate) fn finish(self) {
        core::mem::forget(self);
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.mark_broken();
    }
}

impl PageWriter {
    /// The work of a transaction on top of the head. The caller holds the writer's gate.
    pub(crate) fn begin(store: Arc<Store>) -> Result<Self, StorageError> {
        store.check_usable()?;
        let (id, base) = {
            let mut space = store.space.lock();
            let id = next_id(space.last_id, 1)?;
            space.last_id = id;
            (id, space.head)
        };
        Ok(Self {
            store,
            id,
            first_id: id,
            base,
            work: Mutex::new(Work { top: Layer { first_id: id, ..Layer::default() }, ..Work::default() }),
            writing: Mutex::default(),
            broken: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
            packs: false,
        })
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn id(&self) -> TxnId {
        self.id
    }

    pub(crate) fn base(&self) -> &Commit {
        &self.base
    }

    /// Says that the trees of this transaction may be inconsistent, so that it can only be aborted.
    pub(crate) fn mark_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// An error if no more can be done than to abort.
    pub(crate) fn check_committable(&self) -> Result<(), CommitError> {
        if self.is_broken() { Err(CommitError::TransactionPoisoned) } else { Ok(()) }
    }

    /// An error if nothing may be changed: the store failed, or an operation of this transaction stopped half-way.
    pub(crate) fn check_whole(&self) -> Result<(), StorageError> {
        self.store.check_usable()?;
        if self.is_broken() { Err(StorageError::PreviousIo) } else { Ok(()) }
    }

    /// Breaks the transaction unless what begins here is finished.
    pub(crate) fn unfinished(&self) -> Unfinished<'_> {
        Unfinished(self)
    }

    /// A new page, its bytes unspecified, and the pointer to it, which is unsealed.
    pub(crate) fn allocate_page(&self, level: u8) -> Result<(Pointer, PageMut), StorageError> {
        self.allocate_page_of(level, self.heat_of(level, false))
    }

    fn allocate_page_of(&self, level: u8, heat: Heat) -> Result<(Pointer, PageMut), StorageError> {
        let page = self.allocate(1, heat)?;
        let buffer = self.store.cache.buffer(self.store.page_size());
        let frame = self.store.cache.insert_dirty(page, self.id, level.min(1), buffer);
        Ok((self.unsealed(page, level, 0, 0), PageMut::new(frame)))
    }

    /// A new run of `length` bytes, zero, and the pointer to it, which is unsealed.
    pub(crate) fn allocate_run(&self, length: usize) -> Result<(Pointer, PageMut), StorageError> {
        let (pointer, mut page) = self.new_run(length)?;
        page.bytes_mut().fill(0);
        Ok((pointer, page))
    }

    /// The same, its bytes unspecified.
    fn new_run(&self, length: usize) -> Result<(Pointer, PageMut), StorageError> {
        let pointer = self.place_run(length)?;
        let frame = self.store.cache.insert_dirty(pointer.page, self.id, 0, self.store.cache.buffer(length));
        Ok((pointer, PageMut::new(frame)))
    }

    /// Room for a run, which is nowhere in memory.
    fn place_run(&self, length: usize) -> Result<Pointer, StorageError> {
        let pages = u32::try_from(length.div_ceil(self.store.page_size()).max(1))
            .map_err(|_| StorageError::ValueTooLarge(length))?;
        Ok(self.unsealed(self.allocate(pages, Heat::Cold)?, 0, Pointer::RUN, length as u64))
    }

    /// A run that holds `bytes`, sealed.
    pub(crate) fn write_run(&self, bytes: &[u8]) -> Result<Pointer, StorageError> {
        if bytes.len() >= AT_ONCE {
            return self.write_run_at_once(bytes);
        }
        let (pointer, mut page) = self.new_run(bytes.len())?;
        page.bytes_mut().copy_from_slice(bytes);
        self.work.lock().sealed.insert(pointer.page, page.into_frame());
        Ok(Pointer { checksum: Checksum::of(bytes), ..pointer })
    }

    /// The same, which only the storage has then.
    fn write_run_at_once(&self, bytes: &[u8]) -> Result<Pointer, StorageError> {
        let pointer = self.place_run(bytes.len())?;
        // Another thread may be writing what had these pages before.
        let _writing = self.writing.lock();
        self.store.write_new(pointer.page, bytes)?;
        Ok(Pointer { checksum: Checksum::of(bytes), ..pointer })
    }

    /// Where many rows are changed a branch lives for a commit or two, a leaf for many. Else only what takes the place of
    /// another that did not live long, and is no leaf among others, will live no longer.
    fn heat_of(&self, level: u8, short_lived: bool) -> Heat {
        match level {
            _ if self.packs => Heat::Cold,
            _ if self.work.lock().top.allocated.len() < MANY => {
                if short_lived {
                    Heat::Warm
                } else {
                    Heat::Cold
                }
            }
            0 => Heat::Cold,
            _ => Heat::Hot,
        }
    }

    fn unsealed(&self, page: PageNumber, level: u8, flags: u8, size: u64) -> Pointer {
        Pointer { page, level, flags, birth: self.id, checksum: Checksum::UNSEALED, size }
    }

    /// Pages are noted as allocated here before anybody can take them for lost. Before the file grows for them lost
    /// pages are found again.
    fn allocate(&self, pages: u32, heat: Heat) -> Result<PageNumber, StorageError> {
        let mut work = self.work.lock();
        let free = self.store.space.lock().allocate(pages, heat)?;
        let page = match free {
            Some(page) => page,
            None => {
                drop(work);
                self.store.reclaim(Some(self))?;
                work = self.work.lock();
                self.store.space.lock().allocate_or_grow(pages, heat, &self.store)?
            }
        };
        work.top.allocated.insert_range(page, pages);
        Ok(page)
    }

    /// Calls `look` with the pages that this transaction has allocated, which stay the same meanwhile.
    pub(super) fn with_allocated<T>(&self, look: impl FnOnce(&PageSet) -> T) -> T {
        let work = self.work.lock();
        let mut all = PageSet::new();
        for (start, pages) in work.layers().flat_map(|layer| layer.allocated.iter_ranges()) {
            all.insert_range(start, pages);
        }
        look(&all)
    }

    /// Whether `pointer` names something that may be changed in place: what it names below is never younger.
    pub(crate) fn owns(&self, pointer: &Pointer) -> bool {
        pointer.birth == self.id
    }

    /// A page below a root that may be changed, and the unsealed pointer to it: itself if this transaction owns it, else a
    /// copy.
    pub(crate) fn make_mut(&self, pointer: &Pointer, class: Class) -> Result<(Pointer, PageMut), StorageError> {
        self.make_mut_as(pointer, class, pointer.level > 0)
    }

    /// The same for a root, or the last page below a branch, in which a table grows whose keys ascend.
    pub(crate) fn make_last_mut(&self, pointer: &Pointer, class: Class) -> Result<(Pointer, PageMut), StorageError> {
        self.make_mut_as(pointer, class, true)
    }

    fn make_mut_as(
        &self,
        pointer: &Pointer,
        class: Class,
        may_be_short_lived: bool,
    ) -> Result<(Pointer, PageMut), StorageError> {
        if self.owns(pointer) {
            return self.edit(pointer);
        }
        let original = self.store.load(pointer)?;
        if original.len() != self.store.page_size() {
            return Err(damaged(pointer, "is a run"));
        }
        let short_lived = may_be_short_lived && self.id.saturating_sub(pointer.birth) <= SOON;
        let (copy, mut page) = self.allocate_page_of(pointer.level, self.heat_of(pointer.level, short_lived))?;
        page.bytes_mut().copy_from_slice(&original);
        self.unlink(pointer, class);
        Ok((Pointer { size: pointer.size, flags: pointer.flags, ..copy }, page))
    }

    /// A page that this transaction owns, and the unsealed pointer to it.
    pub(super) fn edit(&self, pointer: &Pointer) -> Result<(Pointer, PageMut), StorageError> {
        let frame = self.store.load_own(pointer)?;
        if frame.len() != self.store.page_size() {
            return Err(damaged(pointer, "is a run"));
        }
        let sealed = pointer.is_sealed();
        if sealed {
            self.work.lock().sealed.remove(&pointer.page);
        }
        // A thread that is writing the sealed bytes holds on to the frame until it has marked it clean. Only when it is
        // nobody else's can it be marked dirty for good.
        let page = self.exclusive(pointer, frame);
        if sealed {
            self.store.cache.mark_dirty(page.frame());
        }
        Ok((Pointer { checksum: Checksum::UNSEALED, ..*pointer }, page))
    }

    /// The frame, or a copy in its place if somebody holds on to its bytes.
    fn exclusive(&self, pointer: &Pointer, frame: FrameRef) -> PageMut {
        if frame.is_shared() {
            let mut buffer = self.store.cache.buffer(frame.len());
            buffer.copy_from_slice(&frame);
            return PageMut::new(self.store.cache.insert_dirty(
                pointer.page,
                pointer.birth,
                pointer.level.min(1),
                buffer,
            ));
        }
        PageMut::new(frame)
    }

    /// A run of this transaction whose bytes are to be filled in.
    pub(crate) fn edit_run(&self, pointer: &Pointer) -> Result<PageMut, StorageError> {
        Ok(self.exclusive(pointer, self.store.load(pointer)?))
    }

    /// The trees of this transaction no longer link what `pointer` names.
    pub(crate) fn unlink(&self, pointer: &Pointer, class: Class) {
        let pages = pages_of(pointer, self.store.page_size());
        let mut work = self.work.lock();
        if pointer.birth >= self.first_id {
            work.sealed.remove(&pointer.page);
            work.top.allocated.remove_range(pointer.page, pages);
            self.store.space.lock().release(pointer.page, pages, &self.store.cache);
        } else {
            let Pointer { page: start, birth, .. } = *pointer;
            work.top.changes.push(LinkChange { linked: false, class, birth, start, pages });
        }
    }

    pub(super) fn note(&self, change: LinkChange) {
        self.work.lock().top.changes.push(change);
    }

    /// Goes on under a new id: what the transaction made so far is older, and what it makes from now on is told apart.
    pub(super) fn renew(&mut self) -> Result<(), StorageError> {
        let mut space = self.store.space.lock();
        self.id = next_id(space.last_id, 1)?;
        space.last_id = self.id;
        Ok(())
    }

    /// Remembers the transaction as it is, its trees sealed. Its pages are copied from now on.
    pub(crate) fn checkpoint(&mut self) -> Result<(), StorageError> {
        self.renew()?;
        self.first_id = self.id;
        let mut work = self.work.lock();
        let top = Layer { first_id: self.id, ..Layer::default() };
        let below = core::mem::replace(&mut work.top, top);
        work.below.push(below);
        Ok(())
    }

    /// Forgets what was done since the checkpoint before which there were `older` others, which stays. Its trees were
    /// whole, whatever has happened since.
    pub(crate) fn roll_back(&mut self, older: usize) -> Result<(), StorageError> {
        self.renew()?;
        self.first_id = self.id;
        self.broken = AtomicBool::new(false);
        let mut work = self.work.lock();
        let above = (older + 1).min(work.below.len());
        let mut gone = work.below.split_off(above);
        gone.push(core::mem::replace(&mut work.top, Layer { first_id: self.id, ..Layer::default() }));
        let mut space = self.store.space.lock();
        for (start, pages) in gone.iter().flat_map(|layer| layer.allocated.iter_ranges()) {
            (start..start.saturating_add(pages)).for_each(|page| {
                work.sealed.remove(&page);
            });
            space.release(start, pages, &self.store.cache);
        }
        Ok(())
    }

    /// Forgets the checkpoint before which there were `older` others, and those after it, but not what was done since.
    pub(crate) fn release_checkpoint(&mut self, older: usize) {
        let mut work = self.work.lock();
        let above = older.min(work.below.len());
        let mut layers = work.below.split_off(above);
        layers.push(core::mem::take(&mut work.top));
        let mut layers = layers.into_iter();
        let Some(mut lowest) = layers.next() else { return };
        for layer in layers {
            lowest.allocated.union_with(layer.allocated);
            lowest.changes.extend(layer.changes);
        }
        let first_id = lowest.first_id;
        let (own, others) = LinkChange::net(lowest.changes).into_iter().partition(|change| change.birth >= first_id);
        lowest.changes = others;
        let own: Vec<LinkChange> = own;
        for change in own {
            work.sealed.remove(&change.start);
            lowest.allocated.remove_range(change.start, change.pages);
            self.store.space.lock().release(change.start, change.pages, &self.store.cache);
        }
        self.first_id = first_id;
        work.top = lowest;
    }

    /// The trees of this transaction no longer link `roots`, nor anything below them. After an error some of it is
    /// gone.
    pub(crate) fn unlink_tree(
        &self,
        roots: impl IntoIterator<Item = Pointer>,
        class: Class,
    ) -> Result<(), StorageError> {
        let mut gone = PageSet::new();
        self.store.walk(roots, &mut |pointer, pages| {
            // In a damaged file two ways may lead to one page, which must not be freed twice.
            note_once(&mut gone, pointer, pages)?;
            self.unlink(pointer, class);
            Ok(())
        })
    }

    /// The bytes that `pointer` names are final: they may be written from now on.
    pub(super) fn sealed(&self, pointer: &Pointer, frame: FrameRef) {
        self.work.lock().sealed.insert(pointer.page, frame);
    }

    /// What this transaction links otherwise than its base.
    pub(super) fn changes(&self) -> Vec<LinkChange> {
        self.work.lock().changes()
    }

    pub(super) fn take_work(&self) -> Work {
        core::mem::take(&mut *self.work.lock())
    }

    /// Takes pages as low in the file as there are any.
    pub(super) fn pack(&mut self) {
        self.packs = true;
    }

    /// Undoes [`take_work`](Self::take_work), so that abort finds what there is to forget.
    pub(super) fn put_back(&self, work: Work) {
        *self.work.lock() = work;
    }

    /// Notes, after one tree was sealed and written, whether others hold so much that it would soon be so again.
    pub(crate) fn note_pressure(&self) {
        self.pressed.store(self.store.cache.dirty_bytes() > self.dirty_limit() / 2, Ordering::Relaxed);
    }

    /// Takes the note that [`note_pressure`](Self::note_pressure) made.
    pub(crate) fn take_pressure(&self) -> bool {
        self.is_pressed() && self.pressed.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Whether so much memory is dirty that pages should be sealed and written before the transaction goes on.
    pub(crate) fn under_pressure(&self) -> bool {
        self.store.cache.dirty_bytes() > self.dirty_limit()
    }

    fn dirty_limit(&self) -> usize {
        (self.store.cache.budget() / 2).max(32 * self.store.page_size())
    }

    /// Writes every sealed frame to its own place, without a sync, so that it can be evicted.
    pub(crate) fn write_sealed(&self) -> Result<(), StorageError> {
        self.store.check_usable()?;
        let _writing = self.writing.lock();
        let sealed = core::mem::take(&mut self.work.lock().sealed);
        let unwritten = core::mem::take(&mut self.store.space.lock().unwritten);
        self.store.write_frames(&sealed)?;
        self.store.write_frames(&unwritten)
    }

    /// Forgets everything that this transaction did.
    pub(crate) fn abort(&self) {
        let work = self.take_work();
        let mut space = self.store.space.lock();
        for (start, pages) in work.layers().flat_map(|layer| layer.allocated.iter_ranges()) {
            space.release(start, pages, &self.store.cache);
        }
    }
}
