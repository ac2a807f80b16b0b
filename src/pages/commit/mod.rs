//! A commit, from sealed pages to a slot that names them: prepare, persist, publish.
//!
//! - Every page of the commit is on disk, or on its way in the same sync, before its slot is.
//! - `verify_above` is the newest commit whose sync succeeded: no page that is not yet synced is older.
//! - The slot that is overwritten is never the newest one.
//! - The file is cut only after the sync of the commit that names the shorter length.

mod growth;
mod mend;
mod open;
mod saved;

pub use open::OpenOutcome;
pub(crate) use open::{Opened, Watch};
pub(super) use saved::full_map;

use super::cache::FrameRef;
use super::space::{Commit, LinkChange};
use super::{PageWriter, Store};
use crate::error::StorageError;
use crate::format::{CommitSlot, Mirror, PageNumber, Pointer};
use crate::sync::Ordering;
use alloc::collections::BTreeMap;
use growth::Extent;

/// How a commit reaches the disk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CommitMode {
    pub(crate) durable: bool,
    pub(crate) two_phase: bool,
    /// The last commit before the file is let go.
    pub(crate) closing: bool,
    /// Whether the free map is saved, so that the next opening need not walk the trees for it.
    pub(crate) saves_state: bool,
    /// The first commit after an unclean end.
    pub(crate) recovering: bool,
    /// The file is cut as far as it can be.
    pub(crate) tight: bool,
    /// The commit's system tree refers to its own data root.
    pub(crate) refers_to_itself: bool,
}

impl PageWriter {
    /// Makes `data` and `system`, which are sealed, the roots of the head.
    pub(crate) fn commit(&self, roots: Commit, mode: CommitMode) -> Result<(), StorageError> {
        let commit = Commit { id: self.id(), ..roots };
        let durable = mode.durable || self.store().ids_since_durable() > 1 << 31;
        self.store().check_usable()?;
        if durable { self.commit_durable(commit, mode) } else { self.commit_in_memory(commit) }
    }

    fn commit_in_memory(&self, commit: Commit) -> Result<(), StorageError> {
        let work = self.take_work();
        let changes = work.changes();
        let mut space = self.store().space.lock();
        space.unwritten.extend(work.sealed);
        space.publish(commit, &changes, &self.store().cache);
        drop(space);
        self.store().commits.ring(commit.id);
        Ok(())
    }

    fn commit_durable(&self, commit: Commit, mode: CommitMode) -> Result<(), StorageError> {
        let store = self.store();
        self.unlink_saved_state();
        let state = if mode.saves_state { Some(self.reserve_state()?) } else { None };
        let extent = store.plan_extent(mode.closing || mode.tight)?;
        let saved = state.and_then(|(pointer, run)| self.fill_state(pointer, run, &extent));
        let mut work = self.take_work();
        match store.persist(&commit, core::mem::take(&mut work.sealed), extent, saved, mode) {
            Ok(written) => store.publish_durable(commit, &work.changes(), written, mode),
            Err(err) => {
                self.put_back(work);
                Err(err)
            }
        }
    }
}

/// A slot that is on disk, and what it means for the file.
struct Written {
    index: usize,
    slot: CommitSlot,
    extent: Extent,
}

impl Store {
    /// Writes pages, slot and mirror of `commit`, and syncs.
    fn persist(
        &self,
        commit: &Commit,
        mut frames: BTreeMap<PageNumber, FrameRef>,
        extent: Extent,
        saved: Option<Pointer>,
        mode: CommitMode,
    ) -> Result<Written, StorageError> {
        let (slots, newest, last_id) = {
            let mut space = self.space.lock();
            frames.append(&mut space.unwritten);
            (space.slots, space.newest, space.last_id)
        };
        self.write_frames(&frames)?;
        if mode.two_phase {
            self.sync()?;
        }
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        let slot = CommitSlot {
            flags: flag(mode.two_phase, CommitSlot::TWO_PHASE) | flag(mode.closing, CommitSlot::CLOSED),
            id: commit.id,
            time: commit.time,
            file_pages: extent.file_pages,
            verify_above: slots.get(newest).and_then(Option::as_ref).map_or(0, |slot| slot.id),
            data: commit.data,
            system: commit.system,
            last_id,
            saved,
        };
        let index = 1 - newest;
        self.write_slots(index, slot, slots, &extent, mode)?;
        Ok(Written { index, slot, extent })
    }

    /// Writes `slot` at `index` with the mirror and syncs; a closing commit is then written to the other slot too.
    fn write_slots(
        &self,
        index: usize,
        slot: CommitSlot,
        mut slots: [Option<CommitSlot>; 2],
        extent: &Extent,
        mode: CommitMode,
    ) -> Result<(), StorageError> {
        let rounds: &[usize] = if mode.closing { &[index, 1 - index] } else { &[index] };
        for &index in rounds {
            if let Some(place) = slots.get_mut(index) {
                *place = Some(slot);
            }
            let mirror = Mirror { geometry: self.geometry, page: extent.mirror, slots };
            self.write_at(self.geometry.slot_offset(index), &slot.encode())?;
            if mode.recovering {
                // Were slot and mirror torn together, an older mirror might show a commit that opening did not.
                self.sync()?;
            }
            self.write_at(self.geometry.offset(extent.mirror), &mirror.encode())?;
            self.sync()?;
        }
        Ok(())
    }

    fn publish_durable(
        &self,
        commit: Commit,
        changes: &[LinkChange],
        written: Written,
        mode: CommitMode,
    ) -> Result<(), StorageError> {
        let mut space = self.space.lock();
        space.publish(commit, changes, &self.cache);
        if mode.refers_to_itself {
            // Whoever finds the reference finds it alive; before the commit is the head nothing newer may be a
            // snapshot.
            space.keep_reference(commit.data.as_ref());
        }
        space.slot_written(written.index, written.slot, &self.cache);
        self.settle_extent(&mut space, &written.extent);
        drop(space);
        self.commits.ring(commit.id);
        Ok(())
    }

    fn ids_since_durable(&self) -> u64 {
        let space = self.space.lock();
        space.last_id.saturating_sub(space.newest_slot().map_or(0, |slot| slot.id))
    }

    /// Writes frames to their places in file order, and lets them be evicted.
    ///
    /// Each in a call of its own, though many are neighbours: what one call brings may become one large folio of the
    /// page cache, which every later write into it pays for.
    pub(super) fn write_frames(&self, frames: &BTreeMap<PageNumber, FrameRef>) -> Result<(), StorageError> {
        for (page, frame) in frames {
            self.write_at(self.geometry.offset(*page), frame)?;
            self.cache.mark_clean(frame);
        }
        Ok(())
    }

    /// Writes a new run to its place.
    pub(super) fn write_new(&self, page: PageNumber, bytes: &[u8]) -> Result<(), StorageError> {
        self.write_at(self.geometry.offset(page), bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.latch(|| self.backend.write(offset, bytes))
    }

    fn sync(&self) -> Result<(), StorageError> {
        self.latch(|| self.backend.sync_data())
    }

    fn set_length(&self, pages: u32) -> Result<(), crate::io::Error> {
        self.backend.set_len(self.geometry.offset(pages))?;
        self.file_pages.store(pages, Ordering::Release);
        Ok(())
    }
}
