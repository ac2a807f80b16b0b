//! The length of the file: it grows when pages run out, and its free tail is given back.

use super::Store;
use crate::error::StorageError;
use crate::format::PageNumber;
use crate::pages::allocator::Heat;
use crate::pages::space::Space;

/// Most that the file grows at once, in bytes, beyond what is asked for.
const GROWTH_CAP: usize = 64 << 20;

/// Where a commit's file ends, and what that frees once the commit is on disk.
#[derive(Debug)]
pub(super) struct Extent {
    pub(super) file_pages: u32,
    /// The last page of the file, which the mirror is in.
    pub(super) mirror: PageNumber,
    pub(super) old_mirror: Option<PageNumber>,
}

impl Space {
    /// A free run of pages, if there is one.
    pub(in crate::pages) fn allocate(&mut self, pages: u32, heat: Heat) -> Result<Option<PageNumber>, StorageError> {
        Ok(self.free_map.as_mut().ok_or(StorageError::PreviousIo)?.alloc(pages, heat))
    }

    /// A free run of pages; the file grows if there is none.
    pub(in crate::pages) fn allocate_or_grow(
        &mut self,
        pages: u32,
        heat: Heat,
        store: &Store,
    ) -> Result<PageNumber, StorageError> {
        if let Some(page) = self.allocate(pages, heat)? {
            return Ok(page);
        }
        let map = self.free_map.as_mut().ok_or(StorageError::PreviousIo)?;
        let length = map.len();
        let step = (length / 8).clamp(4, (GROWTH_CAP / store.page_size()) as u32);
        let block = pages.checked_next_power_of_two().unwrap_or(pages);
        let aligned = length.checked_next_multiple_of(block);
        let grown = aligned.and_then(|length| length.checked_add(block.max(step))).ok_or_else(file_full)?;
        store.set_length(grown)?;
        map.grow(grown);
        map.alloc(pages, heat).ok_or_else(file_full)
    }
}

fn file_full() -> StorageError {
    StorageError::Io(crate::io::invalid_input("the file has reached its largest number of pages"))
}

impl Store {
    /// Chooses the end of the file and reserves its last page for the mirror. Unless the file is to be `tight`, a free
    /// tail stays that will soon be used again.
    pub(super) fn plan_extent(&self, tight: bool) -> Result<Extent, StorageError> {
        let mut space = self.space.lock();
        let old_mirror = space.mirror;
        let map = space.free_map.as_mut().ok_or(StorageError::PreviousIo)?;
        let length = map.len();
        let top = map.last_allocated(old_mirror).unwrap_or(0).max(self.geometry.first_page() - 1);
        let slack = length.saturating_sub(top.saturating_add(2));
        let spare = (length / 4).clamp(16, 2 * (GROWTH_CAP / self.page_size()) as u32);
        let file_pages = if slack > 0 && (tight || slack > spare) { top + 2 } else { length };
        let mirror = file_pages - 1;
        if old_mirror == Some(mirror) || map.allocate_range(mirror, 1) {
            return Ok(Extent { file_pages, mirror, old_mirror });
        }
        let grown = length.checked_add(1).ok_or_else(file_full)?;
        self.set_length(grown)?;
        map.grow(grown);
        map.allocate_range(length, 1);
        Ok(Extent { file_pages: grown, mirror: length, old_mirror })
    }

    /// The commit that names `extent` is on disk: the old mirror is free and the tail can be cut.
    pub(super) fn settle_extent(&self, space: &mut Space, extent: &Extent) {
        if let Some(old) = extent.old_mirror.filter(|old| *old != extent.mirror) {
            space.release(old, 1, &self.cache);
        }
        space.mirror = Some(extent.mirror);
        let Some(map) = &mut space.free_map else { return };
        if extent.file_pages < map.len() && map.shrink(extent.file_pages).is_ok() {
            // The commit holds whether or not the tail goes: the next opening cuts a longer file.
            let _ = self.set_length(extent.file_pages);
            self.file_pages.store(extent.file_pages, crate::sync::Ordering::Release);
        }
    }
}
