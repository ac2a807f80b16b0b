//! The walks that follow an unclean end: is the last commit whole, and which pages does it link.

use super::allocator::Buddy;
use super::load::damaged;
use super::page_set::PageSet;
use super::space::Commit;
use super::{Store, Watch};
use crate::error::{DatabaseError, StorageError};
use crate::format::{PageNumber, Pointer, TxnId};
use alloc::vec::Vec;

/// Pages from one report to the next.
const WATCHED: u32 = 256;

impl Store {
    /// An error unless every page and run of `commit`, and of what it refers to, that was born after `above` is whole.
    /// What is older was synced before, and a parent is never older than its child.
    pub(super) fn verify_above(
        &self,
        commit: &Commit,
        above: TxnId,
        watch: &mut Watch<'_>,
    ) -> Result<(), DatabaseError> {
        let mut met = PageSet::new();
        let mut waiting: Vec<Pointer> = commit.roots().collect();
        while let Some(pointer) = waiting.pop() {
            // A page named twice in each of forty levels has more paths to it than there is time.
            if pointer.birth > above && self.meet(&pointer, &mut met)?.is_some() {
                self.visit(&pointer, &mut |_, child| {
                    waiting.push(child);
                    Ok(())
                })?;
                if met.len().is_multiple_of(WATCHED) {
                    watch(f64::from(met.len()) / f64::from(self.file_pages()))?;
                }
            }
        }
        Ok(())
    }

    /// The free map of a file whose only snapshots are `commit` and what is under `references`, roots of data, and the
    /// page of its mirror, which ends the file at `mirror_ends`. Where power loss has taken that end, there is none,
    /// and the last page may be any. Reads branches and those leaves that hold pointers.
    pub(super) fn rebuild_free_map(
        &self,
        commit: &Commit,
        references: &[Pointer],
        mirror_ends: u32,
    ) -> Result<(Buddy, Option<PageNumber>), StorageError> {
        let file_pages = self.file_pages();
        let mut buddy = Buddy::new(self.geometry().first_page(), file_pages);
        let last = mirror_ends.checked_sub(1).filter(|_| mirror_ends == file_pages);
        let mirror = last.filter(|last| buddy.allocate_range(*last, 1));
        let mut linked = PageSet::new();
        self.walk(commit.roots(), &mut |pointer, pages| {
            linked.insert_range(pointer.page, pages);
            if buddy.allocate_range(pointer.page, pages) { Ok(()) } else { Err(damaged(pointer, "is linked twice")) }
        })?;
        let mut all = linked.clone();
        self.walk_others(commit.data, references, &mut linked, &mut |pointer, pages| match all
            .insert_range(pointer.page, pages)
        {
            0 => Ok(()),
            new if new == pages && buddy.allocate_range(pointer.page, pages) => Ok(()),
            _ => Err(damaged(pointer, "overlaps another")),
        })?;
        Ok((buddy, mirror))
    }
}
