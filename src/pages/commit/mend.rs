//! Putting right what can be: the copies of header and slots, the file's length, and the free map.

use super::open::read_slot;
use crate::error::StorageError;
use crate::format::superblock::{HEADER_SIZE, encode_header};
use crate::format::{CommitSlot, Mirror};
use crate::pages::Store;
use crate::pages::space::{Commit, Damage, Space};
use crate::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// How often copies are looked at before they are believed to be wrong: somebody may be writing them.
const COPY_LOOKS: u32 = 16;

/// Which copies a file should hold.
#[derive(PartialEq)]
struct Expected {
    newest: usize,
    slot: Option<CommitSlot>,
    prepared: bool,
    streamed: bool,
}

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

    /// What is wrong in the file with header, slots, mirror and length, which commits may be writing meanwhile. A crash
    /// may tear all of them but the header, so that of what it left no more is asked until the next write.
    pub(crate) fn damaged_copies(&self) -> Result<Vec<&'static str>, StorageError> {
        let mut found = Vec::new();
        for _ in 0..COPY_LOOKS {
            let before = self.expected_copies();
            found = self.look_at_copies(&before)?;
            if self.expected_copies() != before {
                found.clear();
            } else if found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    fn expected_copies(&self) -> Expected {
        let space = self.space.lock();
        let (newest, slot) = (space.newest, space.newest_slot().copied());
        let prepared = space.free_map.is_some();
        Expected { newest, slot, prepared, streamed: space.damage.streamed }
    }

    fn look_at_copies(&self, expected: &Expected) -> Result<Vec<&'static str>, StorageError> {
        let mut found = Vec::new();
        let Some(slot) = expected.slot else { return Ok(found) };
        let mut header = [0; HEADER_SIZE];
        self.backend.read(0, &mut header)?;
        if header != encode_header(&self.geometry) {
            found.push("the header is damaged");
        }
        if !expected.prepared && !slot.is_closed() {
            return Ok(found);
        }
        let length = self.backend.len()?;
        let read = |index| read_slot(&*self.backend, &self.geometry, index, length);
        if !expected.streamed && read(expected.newest)? != Some(slot) {
            found.push("the slot of the newest commit is damaged");
        }
        if !expected.streamed && read(1 - expected.newest)?.is_none() {
            found.push("the slot of the commit before is damaged");
        }
        if !expected.prepared && length != self.geometry.offset(slot.file_pages) {
            found.push("the file has another length than its commit says");
        }
        let mirror = self.mirror_of(&slot, length)?.filter(|mirror| mirror.slots.contains(&Some(slot)));
        if mirror.is_none() {
            found.push("the mirror is damaged");
        }
        Ok(found)
    }

    /// The mirror that ends the file of a commit.
    fn mirror_of(&self, slot: &CommitSlot, length: u64) -> Result<Option<Mirror>, StorageError> {
        let offset = self.geometry.offset(slot.file_pages.saturating_sub(1));
        if offset.saturating_add(Mirror::SIZE as u64) > length {
            return Ok(None);
        }
        let mut bytes = [0; Mirror::SIZE];
        self.backend.read(offset, &mut bytes)?;
        Ok(Mirror::decode(&bytes, offset))
    }

    /// Whether a file that was closed does not end with a mirror. After a crash it need not.
    fn closing_mirror_is_lost(&self) -> Result<bool, StorageError> {
        let slot = self.space.lock().newest_slot().copied().filter(CommitSlot::is_closed);
        let Some(slot) = slot else { return Ok(false) };
        Ok(self.mirror_of(&slot, self.backend.len()?)?.is_none())
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
            self.latch(|| self.set_length(self.file_pages()))?;
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
