//! The walks that follow an unclean end: is the last commit whole, and which pages does it link.

use super::allocator::Buddy;
use super::load::damaged;
use super::page_set::PageSet;
use super::space::Commit;
use super::walk::note_once;
use super::{Store, Watch};
use crate::error::{DatabaseError, StorageError};
use crate::format::{PageNumber, Pointer, TxnId};
use alloc::vec::Vec;

/// Pages from one report to the next.
const WATCHED: u32 = 256;

impl Store {
    /// An error unless every page and run of `commit` that was born after `above` is whole. What is older was synced
    /// before, and a parent is never older than its child.
    pub(super) fn verify_above(
        &self,
        commit: &Commit,
        above: TxnId,
        watch: &mut Watch<'_>,
    ) -> Result<(), DatabaseError> {
        let mut seen = PageSet::new();
        let mut waiting: Vec<Pointer> = commit.roots().collect();
        while let Some(pointer) = waiting.pop() {
            let pages = self.extent_of(&pointer)?;
            if pointer.birth > above {
                // A page named twice in each of forty levels has more paths to it than there is time.
                note_once(&mut seen, &pointer, pages)?;
                self.visit(&pointer, &mut |_, child| {
                    waiting.push(child);
                    Ok(())
                })?;
                if seen.len().is_multiple_of(WATCHED) {
                    watch(f64::from(seen.len()) / f64::from(self.file_pages()))?;
                }
            }
        }
        Ok(())
    }

    /// The free map of a file whose only snapshot is `commit`, and the page of its mirror, which ends the file at
    /// `mirror_ends`. Where power loss has taken that end, there is none, and the last page may be any. Reads branches
    /// and those leaves that hold pointers.
    pub(super) fn rebuild_free_map(
        &self,
        commit: &Commit,
        mirror_ends: u32,
    ) -> Result<(Buddy, Option<PageNumber>), StorageError> {
        let file_pages = self.file_pages();
        let mut buddy = Buddy::new(self.geometry().first_page(), file_pages);
        let last = mirror_ends.checked_sub(1).filter(|_| mirror_ends == file_pages);
        let mirror = last.filter(|last| buddy.allocate_range(*last, 1));
        self.walk(commit.roots(), &mut |pointer, pages| {
            if buddy.allocate_range(pointer.page, pages) { Ok(()) } else { Err(damaged(pointer, "is linked twice")) }
        })?;
        Ok((buddy, mirror))
    }
}
