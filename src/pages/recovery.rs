//! The walks that follow an unclean end: is the last commit whole, and which pages does it link.

use super::Store;
use super::allocator::Buddy;
use super::load::damaged;
use super::page_set::PageSet;
use super::space::{Commit, pages_of};
use crate::error::StorageError;
use crate::format::node::{Node, PointerRole};
use crate::format::{PageNumber, Pointer, TxnId};
use alloc::vec::Vec;

impl Store {
    /// An error unless every page and run of `commit` that was born after `above` is whole. What is older was synced
    /// before, and a parent is never older than its child.
    pub(super) fn verify_above(&self, commit: &Commit, above: TxnId) -> Result<(), StorageError> {
        let mut seen = PageSet::new();
        let mut waiting: Vec<Pointer> = commit.roots().collect();
        while let Some(pointer) = waiting.pop() {
            let pages = self.extent_of(&pointer)?;
            if pointer.birth > above {
                // A page named twice in each of forty levels has more paths to it than there is time.
                if seen.insert_range(pointer.page, pages) != pages {
                    return Err(damaged(&pointer, "is linked twice"));
                }
                self.visit(&pointer, &mut |child| waiting.push(child))?;
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
        self.walk_linked(commit, &mut |pointer, pages| {
            if buddy.allocate_range(pointer.page, pages) { Ok(()) } else { Err(damaged(pointer, "is linked twice")) }
        })?;
        Ok((buddy, mirror))
    }

    /// Shows every pointer that `commit` reaches, with its length in pages, reading no leaf without pointers. A `seen`
    /// that refuses a page met twice ends any walk.
    pub(crate) fn walk_linked(
        &self,
        commit: &Commit,
        seen: &mut dyn FnMut(&Pointer, u32) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut waiting: Vec<Pointer> = commit.roots().collect();
        while let Some(pointer) = waiting.pop() {
            let pages = self.extent_of(&pointer)?;
            seen(&pointer, pages)?;
            if pointer.leads_on() {
                self.visit(&pointer, &mut |child| waiting.push(child))?;
            }
        }
        Ok(())
    }

    /// Length in pages of what `pointer` names, if it lies within the file.
    pub(super) fn extent_of(&self, pointer: &Pointer) -> Result<u32, StorageError> {
        self.check_bounds(pointer)?;
        Ok(pages_of(pointer, self.page_size()))
    }

    /// Reads what `pointer` names, verified, and shows every pointer in it.
    pub(super) fn visit(&self, pointer: &Pointer, found: &mut dyn FnMut(Pointer)) -> Result<(), StorageError> {
        let frame = self.load(pointer)?;
        if pointer.is_run() {
            return Ok(());
        }
        let node = Node::new(&frame);
        for (role, child) in node.pointers() {
            if role == PointerRole::Child && child.level.checked_add(1) != Some(pointer.level) {
                return Err(damaged(&child, "is of another level than its place"));
            }
            if child.birth > pointer.birth {
                return Err(damaged(&child, "is younger than the page that names it"));
            }
            found(child);
        }
        Ok(())
    }
}
