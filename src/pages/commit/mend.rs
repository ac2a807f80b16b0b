//! Putting right what can be: the copies of header and slots, the file's length, and the free map.

use crate::error::StorageError;
use crate::format::superblock::encode_header;
use crate::format::{CommitSlot, Mirror};
use crate::pages::Store;
use crate::pages::space::{Commit, Damage, Space};
use crate::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

impl Store {
    /// Puts right what is known twice, and makes the file ready for writing, without believing a saved free map. Gives
    /// whether there was anything to put right.
    pub(crate) fn mend(self: &Arc<Self>) -> Result<bool, StorageError> {
        if self.is_prepared() {
            return self.mend_copies();
        }
        let damage = self.space.lock().damage;
        let damaged = damage != Damage::default() && !damage.streamed;
        let wrong = self.closing_mirror_is_lost()? || self.saved_state_is_wrong()?;
        self.space.lock().forget_saved_state();
        self.prepare_writes()?;
        Ok(damaged || wrong)
    }

    /// Whether a file that was closed does not end with a mirror. After a crash it need not.
    fn closing_mirror_is_lost(&self) -> Result<bool, StorageError> {
        let slot = self.space.lock().newest_slot().copied().filter(CommitSlot::is_closed);
        let Some(slot) = slot else { return Ok(false) };
        if slot.file_pages > self.file_pages() {
            return Ok(true);
        }
        let offset = self.geometry.offset(slot.file_pages.saturating_sub(1));
        let mut bytes = [0; Mirror::SIZE];
        self.backend.read(offset, &mut bytes)?;
        Ok(Mirror::decode(&bytes, offset).is_none())
    }

    /// Whether the saved free map, if there is one that would be used, is another than a walk finds. Of a file that a
    /// crash left longer it is not asked.
    fn saved_state_is_wrong(&self) -> Result<bool, StorageError> {
        let slot = self.space.lock().newest_slot().copied().filter(|slot| slot.file_pages == self.file_pages());
        let Some(slot) = slot else { return Ok(false) };
        let (Some(run), Some((saved, unsure))) = (slot.saved, self.load_state(&slot)) else { return Ok(false) };
        let savepoints = self.references(slot.system)?;
        let (mut walked, _) = self.rebuild_free_map(&Commit::of(&slot), &savepoints, slot.file_pages)?;
        let apart = walked.allocate_range(run.page, self.extent_of(&run)?);
        let (mut missing, saved) = (walked.allocated_set(), saved.allocated_set());
        saved.iter_ranges().for_each(|(start, pages)| {
            missing.remove_range(start, pages);
        });
        let more = saved.len() > walked.allocated_set().len();
        Ok(!apart || missing.len() > 0 || (more && !unsure))
    }

    /// Writes header, slots and mirror again where the file does not hold them as they should be, and gives it its
    /// length. Gives whether there was anything to do.
    fn mend_copies(&self) -> Result<bool, StorageError> {
        let length = self.geometry.offset(self.file_pages());
        let mut mended = self.backend.len()? != length;
        if mended {
            self.latch(self.set_length(self.file_pages()))?;
        }
        for (offset, bytes) in self.copies() {
            let mut found = vec![0; bytes.len()];
            self.backend.read(offset, &mut found)?;
            if found != bytes {
                self.write_at(offset, &bytes)?;
                // One at a time: were two torn, there might be none left.
                self.sync()?;
                mended = true;
            }
        }
        Ok(mended)
    }

    /// Header, slots and mirror, and where they belong.
    fn copies(&self) -> Vec<(u64, Vec<u8>)> {
        let space = self.space.lock();
        let mut copies = vec![(0, encode_header(&self.geometry).to_vec())];
        for (index, slot) in space.slots.iter().enumerate() {
            copies.extend(slot.map(|slot| (self.geometry.slot_offset(index), slot.encode().to_vec())));
        }
        let mirror = |page| Mirror { geometry: self.geometry, page, slots: space.slots };
        copies.extend(space.mirror.map(|page| (self.geometry.offset(page), mirror(page).encode().to_vec())));
        copies
    }

    /// Forgets which pages are free, kept or used, and finds it out again, as after a crash. The newest commit must be
    /// on disk, and there must be no transaction.
    pub(crate) fn rebuild_books(self: &Arc<Self>) -> Result<(), StorageError> {
        {
            let mut space = self.space.lock();
            let (newest, last_id) = (space.newest, space.last_id);
            let Some(slot) = space.newest_slot().copied() else { return Ok(()) };
            *space = Space::of_slot(newest, slot, last_id);
        }
        self.prepare_writes()
    }
}
