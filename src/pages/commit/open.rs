//! Opening: which of the copies of the commit slots is the file's last commit, and whether it is whole.

use super::CommitMode;
use crate::backend::StorageBackend;
use crate::error::{DatabaseError, StorageError};
use crate::format::superblock::{HEADER_SIZE, HeaderFault, decode_header, encode_header};
use crate::format::{CommitSlot, Geometry, Mirror, PageNumber, TxnId};
use crate::limits::{MAX_PAGE_SIZE, MIN_PAGE_SIZE};
use crate::pages::allocator::FreeMap;
use crate::pages::cache::Cache;
use crate::pages::space::{Commit, Damage, Space};
use crate::pages::writer::next_id;
use crate::pages::{PageWriter, Store, damaged};
use crate::settings::Settings;
use crate::sync::{Arc, AtomicBool, AtomicU32, Bell, Mutex, Ordering};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// How far back from the end of the file a mirror is looked for, in bytes.
const MIRROR_SEARCH: u64 = 256 << 20;
/// Ids that an unclean opening leaves out, so that those of lost commits are never used again.
const ID_GAP: u64 = 1 << 32;

/// In what state opening found the file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenOutcome {
    /// The file was closed properly, and all copies agree.
    Clean,
    /// The file was not closed properly, or a copy of the header or a slot was damaged; nothing committed was lost.
    Recovered,
    /// The newest commit could not be read whole, and the one before was taken. Says why.
    RolledBack(String),
}

/// Hears how much of an unclean file was looked at, from 0.0 to less than 1.0, and may end it. A file for which there
/// is nothing to find out, then or before the first write, is not told of.
pub(crate) type Watch<'w> = dyn FnMut(f64) -> Result<(), DatabaseError> + 'w;

/// A store, and how it was found.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: Arc<Store>,
    pub(crate) outcome: OpenOutcome,
}

/// The copies of header and slots that could be read.
struct Copies {
    geometry: Geometry,
    slots: [Option<CommitSlot>; 2],
    mirror: Option<Mirror>,
    /// The mirror ends the file.
    mirror_is_last: bool,
    /// The header could not be read in its place.
    headless: bool,
    /// Some copy could not be read.
    damaged: bool,
    /// No slot was ever written, as in a stream, whose mirror alone names its commit.
    streamed: bool,
}

impl Store {
    /// Lays out an empty database. The magic is written last, after a sync: a file without it is not finished.
    pub(crate) fn create(
        backend: Arc<dyn StorageBackend>,
        geometry: Geometry,
        settings: Settings,
    ) -> Result<Opened, DatabaseError> {
        let file_pages = geometry.first_page() + 1;
        let slot = CommitSlot {
            flags: CommitSlot::TWO_PHASE,
            id: 1,
            time: 0,
            file_pages,
            verify_above: 1,
            data: None,
            system: None,
            last_id: 1,
            saved: None,
        };
        let slots = [Some(slot), None];
        let mirror = Mirror { geometry, page: file_pages - 1, slots };
        backend.set_len(geometry.offset(file_pages))?;
        backend.write(geometry.slot_offset(0), &slot.encode())?;
        backend.write(geometry.slot_offset(1), &[0; CommitSlot::SIZE])?;
        backend.write(geometry.offset(file_pages - 1), &mirror.encode())?;
        backend.sync_data()?;
        backend.write(0, &encode_header(&geometry))?;
        backend.sync_data()?;
        let store = Self::assemble(backend, geometry, settings, file_pages, Space::new(slots, 0, 1));
        Ok(Opened { store: Arc::new(store), outcome: OpenOutcome::Clean })
    }

    /// Whether the storage holds a database whose creation stopped before its last write.
    pub(crate) fn is_half_created(backend: &dyn StorageBackend) -> Result<bool, crate::io::Error> {
        let length = backend.len()?;
        let most = 3 * MAX_PAGE_SIZE as u64 + MAX_PAGE_SIZE as u64;
        if length < HEADER_SIZE as u64 || length > most {
            return Ok(false);
        }
        let mut header = [0; HEADER_SIZE];
        backend.read(0, &mut header)?;
        Ok(header == [0; HEADER_SIZE] && !holds_commits(backend, length)?)
    }

    fn assemble(
        backend: Arc<dyn StorageBackend>,
        geometry: Geometry,
        settings: Settings,
        file_pages: u32,
        space: Space,
    ) -> Self {
        Self {
            backend,
            geometry,
            cache: Cache::new(settings.cache_size, geometry.page_size),
            settings,
            space: Mutex::new(space),
            file_pages: AtomicU32::new(file_pages),
            failed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            commits: Bell::default(),
        }
    }

    /// Opens what [`create`](Self::create) laid out. Nothing is written.
    pub(crate) fn open(
        backend: Arc<dyn StorageBackend>,
        settings: Settings,
        writable: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Opened, DatabaseError> {
        if writable {
            backend.sync_data()?;
        }
        let length = backend.len()?;
        let copies = read_copies(&*backend, length)?;
        let file_pages = u32::try_from(length / copies.geometry.page_size as u64).unwrap_or(u32::MAX);
        let candidates = copies.candidates();
        let largest = candidates.iter().map(|(_, slot)| slot.last_id.max(slot.id)).max().unwrap_or(0);
        let space = Space::new([None, None], 0, 0);
        let mut store = Self::assemble(backend, copies.geometry, settings, file_pages, space);
        let mut rejected: Option<String> = None;
        for (index, slot) in &candidates {
            match store.prove(slot, watch) {
                Ok(()) => {
                    let outcome = copies.outcome(slot, rejected);
                    store.adopt(*index, *slot, largest, &outcome)?;
                    store.space.lock().damage = copies.damage(*index, slot);
                    return Ok(Opened { store: Arc::new(store), outcome });
                }
                Err(DatabaseError::Storage(err @ StorageError::Corrupted(_))) if !slot.is_closed() => {
                    rejected = rejected.or_else(|| Some(format!("commit {}: {err}", slot.id)));
                }
                // A read that failed is no evidence against the commit, which the next attempt may find whole.
                Err(err) => return Err(err),
            }
        }
        let why = rejected.unwrap_or_else(|| String::from("no commit slot is readable"));
        Err(StorageError::Corrupted(why).into())
    }

    /// An error unless every page that `slot`'s commit may have torn is whole.
    fn prove(&self, slot: &CommitSlot, watch: &mut Watch<'_>) -> Result<(), DatabaseError> {
        self.check_slot(slot)?;
        // No file is shorter than the empty one. Opening for writing cuts the file to the slot's length.
        if slot.file_pages.min(self.file_pages()) <= self.geometry.first_page() {
            return Err(StorageError::corrupted("the file ends before its first page").into());
        }
        let commit = Commit::of(slot);
        if !slot.is_closed() && slot.saved.is_none() && commit.roots().next().is_some() {
            watch(0.0)?;
        }
        if slot.is_two_phase() {
            return Ok(());
        }
        self.verify_above(&commit, slot.verify_above, watch)
    }

    /// An error unless `slot` can be a commit of this file. Its checksum says only that somebody wrote it so.
    fn check_slot(&self, slot: &CommitSlot) -> Result<(), StorageError> {
        if slot.file_pages <= self.geometry.first_page() {
            return Err(StorageError::corrupted(format!("commit {} ends before the first page", slot.id)));
        }
        for root in Commit::of(slot).roots() {
            self.check_bounds(&root)?;
            if root.is_run() || root.birth > slot.id {
                return Err(damaged(&root, "cannot be the root of its commit"));
            }
        }
        Ok(())
    }

    fn adopt(
        &mut self,
        index: usize,
        slot: CommitSlot,
        largest: TxnId,
        outcome: &OpenOutcome,
    ) -> Result<(), StorageError> {
        let last_id = next_id(largest, if *outcome == OpenOutcome::Clean { 0 } else { ID_GAP })?;
        self.space = Mutex::new(Space::of_slot(index, slot, last_id));
        Ok(())
    }

    /// Whether the next write must be preceded by [`prepare_writes`](Self::prepare_writes).
    pub(crate) fn is_prepared(&self) -> bool {
        self.space.lock().free_map.is_some()
    }

    /// Rebuilds the free map and writes the opening commit: two-phase, into the slot that is not the candidate's, with
    /// `closed` cleared, so that whatever happens next is seen as unclean. The caller holds the writer's gate.
    pub(crate) fn prepare_writes(self: &Arc<Self>) -> Result<(), StorageError> {
        self.check_usable()?;
        if self.is_prepared() {
            return Ok(());
        }
        let (head, slot) = {
            let space = self.space.lock();
            (space.head, space.newest_slot().copied())
        };
        self.repair()?;
        let length = self.file_pages();
        let file_pages = slot.map_or(length, |slot| slot.file_pages);
        self.file_pages.store(length.min(file_pages), Ordering::Release);
        // A map of a longer file would give out pages that are not there.
        let saved = slot.filter(|_| file_pages <= length).and_then(|slot| self.load_state(&slot));
        let savepoints = self.references(head.system)?;
        let ((buddy, unsure), mirror) = match saved {
            Some(state) => (state, file_pages.checked_sub(1)),
            None => {
                self.space.lock().forget_saved_state();
                let (buddy, mirror) = self.rebuild_free_map(&head, &savepoints, file_pages)?;
                ((buddy, false), mirror)
            }
        };
        // Only now is it known that no page of the commit lies in what is cut.
        if file_pages < length {
            self.latch(|| self.set_length(file_pages))?;
        }
        {
            let mut space = self.space.lock();
            space.free_map = Some(FreeMap::new(buddy));
            space.mirror = mirror;
            space.adopt_savepoints(&savepoints);
            space.lose_data(unsure.then_some((0, head.id)), true);
        }
        let opened = self.commit_opening(head, slot, mirror);
        if opened.is_err() {
            // Without an opening commit nothing may follow it: the next write tries again.
            self.space.lock().free_map = None;
        }
        opened
    }

    fn commit_opening(
        self: &Arc<Self>,
        head: Commit,
        slot: Option<CommitSlot>,
        mirror: Option<PageNumber>,
    ) -> Result<(), StorageError> {
        let unclean = slot.filter(|slot| !slot.is_closed());
        if let (Some(slot), Some(page)) = (unclean, mirror) {
            self.renew_mirror(slot, page)?;
        }
        let writer = PageWriter::begin(self.clone())?;
        let mode =
            CommitMode { durable: true, two_phase: true, recovering: unclean.is_some(), ..CommitMode::default() };
        writer.commit(head, mode)
    }

    /// Makes the mirror name the head alone. A commit of which the crash left nothing but a copy in the mirror would
    /// else come back, newer than the head, when the slot that the opening commit writes is torn; and the file has
    /// been cut to the head's length by then. The first of the opening commit's syncs covers this.
    fn renew_mirror(&self, slot: CommitSlot, page: PageNumber) -> Result<(), StorageError> {
        let mirror = Mirror { geometry: self.geometry, page, slots: [Some(slot); 2] };
        self.write_at(self.geometry.offset(page), &mirror.encode())
    }
}

impl Store {
    /// Puts header and slots right, if they could not be read where they belong: from then on the mirror is not needed,
    /// and may be written. What is whole is not touched.
    fn repair(&self) -> Result<(), StorageError> {
        let (damage, newest, slot) = {
            let space = self.space.lock();
            (space.damage, space.newest, space.newest_slot().copied())
        };
        if damage.header {
            self.write_at(0, &encode_header(&self.geometry))?;
        }
        if let Some(slot) = slot.filter(|_| damage.slot) {
            self.write_at(self.geometry.slot_offset(newest), &slot.encode())?;
        }
        if let Some(slot) = slot.filter(|_| damage.other) {
            self.write_at(self.geometry.slot_offset(1 - newest), &slot.encode())?;
        }
        if damage != Damage::default() {
            self.sync()?;
        }
        self.space.lock().damage = Damage::default();
        Ok(())
    }
}

impl Copies {
    /// What has to be repaired before the mirror may be written, if `slot` is taken, which belongs at `index`.
    fn damage(&self, index: usize, slot: &CommitSlot) -> Damage {
        let in_place = self.slots.get(index).and_then(Option::as_ref) == Some(slot);
        let other = self.slots.get(1 - index).is_none_or(Option::is_none) && slot.id > 1;
        Damage { header: self.headless, slot: !in_place, other, streamed: self.streamed }
    }

    /// The distinct readable commits, newest first, and the slot that each stands in.
    fn candidates(&self) -> Vec<(usize, CommitSlot)> {
        let mirrored = self.mirror.iter().flat_map(|mirror| mirror.slots);
        let all = self.slots.into_iter().enumerate().chain(mirrored.enumerate());
        let mut found: Vec<(usize, CommitSlot)> = all.filter_map(|(index, slot)| Some((index, slot?))).collect();
        found.sort_by_key(|(index, slot)| (core::cmp::Reverse(slot.id), *index));
        found.dedup_by_key(|(_, slot)| slot.id);
        found
    }

    fn outcome(&self, taken: &CommitSlot, rejected: Option<String>) -> OpenOutcome {
        if let Some(why) = rejected {
            return OpenOutcome::RolledBack(why);
        }
        if self.damaged && self.lost_a_slot() {
            return OpenOutcome::RolledBack(String::from("a commit slot is unreadable and has no copy"));
        }
        if self.damaged || !taken.is_closed() { OpenOutcome::Recovered } else { OpenOutcome::Clean }
    }

    /// Whether a slot that cannot be read may have named a newer commit than any that can.
    ///
    /// Slot and mirror are written in one sync, so that a commit which was acknowledged is in the mirror: one that
    /// knows the newest readable commit has seen all there were. Only the one that ends the file can know: an older
    /// one, from before the file grew, has not seen what came after.
    fn lost_a_slot(&self) -> bool {
        let newest = self.candidates().first().map_or(0, |(_, slot)| slot.id);
        let closed = self.candidates().first().is_some_and(|(_, slot)| slot.is_closed());
        let last = self.mirror.iter().filter(|_| self.mirror_is_last);
        let mirrored = last.flat_map(|mirror| mirror.slots.into_iter().flatten());
        let seen = mirrored.map(|slot| slot.id).max();
        !closed && self.slots.contains(&None) && seen.is_none_or(|seen| seen < newest)
    }
}

/// Whether a file without a header has a slot or a mirror that creation did not write: the header was lost later, and
/// the file must not be created anew.
fn holds_commits(backend: &dyn StorageBackend, length: u64) -> Result<bool, crate::io::Error> {
    let is_later = |slot: CommitSlot| slot.id > 1;
    let mut block_size = Geometry::MIN_BLOCK_SIZE;
    while block_size <= MAX_PAGE_SIZE {
        let geometry = Geometry::new(MIN_PAGE_SIZE, block_size);
        for index in 0..2 {
            if read_slot(backend, &geometry, index, length)?.is_some_and(is_later) {
                return Ok(true);
            }
        }
        block_size *= 2;
    }
    let mirror = find_mirror(backend, length, MIN_PAGE_SIZE, MIRROR_SEARCH)?;
    Ok(mirror.is_some_and(|mirror| mirror.slots.into_iter().flatten().any(is_later)))
}

fn read_copies(backend: &dyn StorageBackend, length: u64) -> Result<Copies, DatabaseError> {
    let mut header = [0; HEADER_SIZE];
    if length < HEADER_SIZE as u64 {
        return Err(crate::io::invalid_data("the file is too short to be a sapwood database").into());
    }
    backend.read(0, &mut header)?;
    let (geometry, mirror) = match decode_header(&header) {
        Ok(geometry) => (geometry, None),
        Err(HeaderFault::OtherVersion(version)) => {
            return Err(DatabaseError::UpgradeRequired(u8::try_from(version).unwrap_or(u8::MAX)));
        }
        Err(fault) => {
            let span = if fault == HeaderFault::Damaged || resembles(&header) { MIRROR_SEARCH } else { 0 };
            let mirror = find_mirror(backend, length, MIN_PAGE_SIZE, span)?;
            let mirror = mirror.ok_or_else(|| crate::io::invalid_data("not a sapwood database"))?;
            (mirror.geometry, Some(mirror))
        }
    };
    let headless = mirror.is_some();
    let slots = [read_slot(backend, &geometry, 0, length)?, read_slot(backend, &geometry, 1, length)?];
    let fresh = matches!(slots[0], Some(slot) if slot.id == 1);
    let damaged = headless || slots[0].is_none() || (slots[1].is_none() && !fresh);
    let mirror = match mirror {
        None if damaged => find_mirror(backend, length, geometry.page_size, MIRROR_SEARCH)?,
        found => found,
    };
    // One commit writes one slot, so that no crash takes both. Without them only the last mirror is known to name the
    // last commits; one from before the file grew may be of any age, and the pages of its commits used again.
    let is_last = |mirror: &Mirror| (u64::from(mirror.page) + 1) * geometry.page_size as u64 == length;
    let mirror_is_last = mirror.as_ref().is_some_and(is_last);
    let mirror = mirror.filter(|_| slots != [None, None] || mirror_is_last);
    let closes = |mirror: &Mirror| mirror.slots.iter().all(|slot| slot.is_some_and(|slot| slot.is_closed()));
    let streamed = !headless && mirror.as_ref().is_some_and(closes) && are_slots_blank(backend, &geometry, length)?;
    Ok(Copies { geometry, slots, mirror, mirror_is_last, headless, damaged: damaged && !streamed, streamed })
}

fn are_slots_blank(backend: &dyn StorageBackend, geometry: &Geometry, length: u64) -> Result<bool, crate::io::Error> {
    for index in 0..2 {
        if read_slot_bytes(backend, geometry, index, length)? != Some([0; CommitSlot::SIZE]) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a header with the wrong magic may still be a damaged or wiped one of ours.
fn resembles(header: &[u8; HEADER_SIZE]) -> bool {
    if *header == [0; HEADER_SIZE] {
        return true;
    }
    let intact = encode_header(&Geometry::new(MIN_PAGE_SIZE, MIN_PAGE_SIZE));
    header.iter().zip(&intact).take(8).filter(|(a, b)| a == b).count() >= 5
}

pub(super) fn read_slot(
    backend: &dyn StorageBackend,
    geometry: &Geometry,
    index: usize,
    length: u64,
) -> Result<Option<CommitSlot>, crate::io::Error> {
    let bytes = read_slot_bytes(backend, geometry, index, length)?;
    Ok(bytes.and_then(|bytes| CommitSlot::decode(&bytes)))
}

fn read_slot_bytes(
    backend: &dyn StorageBackend,
    geometry: &Geometry,
    index: usize,
    length: u64,
) -> Result<Option<[u8; CommitSlot::SIZE]>, crate::io::Error> {
    let offset = geometry.slot_offset(index);
    if offset + CommitSlot::SIZE as u64 > length {
        return Ok(None);
    }
    let mut bytes = [0; CommitSlot::SIZE];
    backend.read(offset, &mut bytes)?;
    Ok(Some(bytes))
}

/// The last mirror that stands where it says it does, looked for backwards at multiples of `step`, at most `span`
/// bytes before the last place where one can be.
fn find_mirror(
    backend: &dyn StorageBackend,
    length: u64,
    step: usize,
    span: u64,
) -> Result<Option<Mirror>, crate::io::Error> {
    let step = step as u64;
    let span = span.max(MAX_PAGE_SIZE as u64);
    let mut offset = (length / step * step).saturating_sub(step);
    let lowest = offset.saturating_sub(span);
    let mut bytes = [0; Mirror::SIZE];
    while offset > lowest {
        backend.read(offset, &mut bytes)?;
        if let Some(mirror) = Mirror::decode(&bytes, offset) {
            return Ok(Some(mirror));
        }
        offset = offset.saturating_sub(step);
    }
    Ok(None)
}
