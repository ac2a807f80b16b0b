//! The saved free map: what an opener would otherwise find out by walking the trees.
//!
//! It is a run that the slot names, and is right for that slot's commit alone: everything that the commit needs is
//! allocated first, then the map is filled in as the next opener will see it, whose only snapshots are this commit and
//! the savepoints that it names.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | id of the commit |
//! | 8 | 4 | file length in pages |
//! | 12 | 4 | 1 if pages may be allocated that nobody needs, else 0 |
//! | 16 | | a bit per page, lowest bit first, set for allocated pages; the rest zero |

use super::growth::Extent;
use crate::error::StorageError;
use crate::format::{Checksum, CommitSlot, Geometry, Pointer, TxnId};
use crate::pages::allocator::Buddy;
use crate::pages::page_set::PageSet;
use crate::pages::{Class, Commit, PageMut, PageWriter, Store};
use alloc::vec;
use alloc::vec::Vec;

const HEADER: usize = 16;
const UNSURE: u32 = 1;
/// Pages by which the file may grow, beside an eighth, between the reservation of the map and the plan of the file's
/// end.
const GROWTH: usize = 1 << 10;

impl PageWriter {
    /// The map that the newest slot names is not right for this commit.
    pub(super) fn unlink_saved_state(&self) {
        let saved = self.store().space.lock().newest_slot().and_then(|slot| slot.saved);
        if let Some(saved) = saved {
            self.unlink(&saved, Class::System);
        }
    }

    /// Room for the map of a file that may still grow a little.
    pub(super) fn reserve_state(&self) -> Result<(Pointer, PageMut), StorageError> {
        let pages = self.store().file_pages() as usize;
        self.allocate_run(HEADER + (pages + pages / 8 + GROWTH).div_ceil(8))
    }

    /// Fills the map in and seals it. `None` if it has no room: then the next opener walks.
    pub(super) fn fill_state(&self, pointer: Pointer, run: PageMut, extent: &Extent) -> Option<Pointer> {
        let filled = self.fill_run(pointer, run, extent);
        if filled.is_none() {
            self.unlink(&pointer, Class::System);
        }
        filled
    }

    fn fill_run(&self, pointer: Pointer, mut run: PageMut, extent: &Extent) -> Option<Pointer> {
        let (map, unsure) = self.map_for_next_opener(extent)?;
        write_map(run.bytes_mut(), self.id(), extent.file_pages, unsure, &map)?;
        let pointer = Pointer { checksum: Checksum::of(run.bytes()), ..pointer };
        self.sealed(&pointer, run.into_frame());
        Some(pointer)
    }

    /// The map, and whether it may have pages as allocated that nobody will need.
    fn map_for_next_opener(&self, extent: &Extent) -> Option<(Buddy, bool)> {
        let changes = self.changes();
        let space = self.store().space.lock();
        let mut map = space.free_map.as_ref()?.to_buddy();
        let mut free = space.kept_until_closing();
        for change in changes {
            let needed = change.class == Class::Data && space.savepoints.need((change.birth, self.id()));
            if change.linked {
                free.remove_range(change.start, change.pages);
            } else if !needed {
                free.insert_range(change.start, change.pages);
            }
        }
        let old_mirror = extent.old_mirror.filter(|old| *old != extent.mirror).map(|page| (page, 1));
        for (start, pages) in free.iter_ranges().chain(old_mirror) {
            map.free(start, pages).ok()?;
        }
        map.shrink(extent.file_pages).ok()?;
        Some((map, space.may_leave_lost_pages()))
    }
}

/// Fills in a run of zeros. `None` if it has no room.
fn write_map(bytes: &mut [u8], id: TxnId, file_pages: u32, unsure: bool, map: &Buddy) -> Option<()> {
    let bits = map.to_bitmap();
    bytes.get_mut(..8)?.copy_from_slice(&id.to_le_bytes());
    bytes.get_mut(8..12)?.copy_from_slice(&file_pages.to_le_bytes());
    bytes.get_mut(12..HEADER)?.copy_from_slice(&if unsure { UNSURE } else { 0 }.to_le_bytes());
    bytes.get_mut(HEADER..HEADER + bits.len())?.copy_from_slice(&bits);
    Some(())
}

/// The map of a file without a free page, in which only it and the mirror come behind the first `pages` pages, and the
/// length of that file in pages. `None` if there are more than a file can have.
pub(in crate::pages) fn full_map(geometry: &Geometry, id: TxnId, pages: u32) -> Option<(Vec<u8>, u32)> {
    let (mut length, mut file_pages) = (0, pages);
    loop {
        let own = u32::try_from(usize::div_ceil(length, geometry.page_size)).ok()?;
        let needed = HEADER + usize::try_from(file_pages.div_ceil(8)).ok()?;
        let grown = pages.checked_add(own)?.checked_add(1)?;
        if (needed, grown) == (length, file_pages) {
            break;
        }
        (length, file_pages) = (needed, grown);
    }
    let mut bytes = vec![0; length];
    write_map(&mut bytes, id, file_pages, false, &Buddy::full(geometry.first_page(), file_pages))?;
    Some((bytes, file_pages))
}

impl Store {
    /// The run of the free map that was saved with `commit`.
    pub(in crate::pages) fn saved_state_of(&self, commit: &Commit) -> Option<Pointer> {
        self.space.lock().newest_slot().filter(|slot| slot.id == commit.id)?.saved
    }

    /// The slot of the commit that closed the file, if nothing was written since.
    pub(crate) fn closing_slot(&self) -> Option<CommitSlot> {
        self.space.lock().newest_slot().copied().filter(CommitSlot::is_closed)
    }

    /// Which pages the free map that `slot` names has as allocated, the run of it, and whether nobody may need some of
    /// these pages. `None` if it is not right.
    pub(crate) fn saved_map(&self, slot: &CommitSlot) -> Option<(PageSet, Pointer, bool)> {
        let (map, unsure) = self.load_state(slot)?;
        Some((map.allocated_set(), slot.saved?, unsure))
    }

    /// The free map that `slot` names, if it is there and right, and whether it may have pages as allocated that nobody
    /// needs.
    pub(super) fn load_state(&self, slot: &CommitSlot) -> Option<(Buddy, bool)> {
        let run = slot.saved.filter(Pointer::is_run)?;
        let bytes = self.load(&run).ok()?;
        let (id, rest) = bytes.split_first_chunk::<8>()?;
        let (pages, rest) = rest.split_first_chunk::<4>()?;
        if u64::from_le_bytes(*id) != slot.id || u32::from_le_bytes(*pages) != slot.file_pages {
            return None;
        }
        let (flags, rest) = rest.split_first_chunk::<4>()?;
        let unsure = u32::from_le_bytes(*flags) == UNSURE;
        let bits = rest.get(..(slot.file_pages as usize).div_ceil(8))?;
        let map = Buddy::from_bitmap(self.geometry().first_page(), slot.file_pages, bits)?;
        map.is_allocated(slot.file_pages.checked_sub(1)?).then_some((map, unsure))
    }
}
