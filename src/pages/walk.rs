//! Walks over everything that roots link.

use super::Store;
use super::cache::FrameRef;
use super::load::damaged;
use super::page_set::PageSet;
use super::space::pages_of;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{Node, PointerRole};
use alloc::vec::Vec;

impl Store {
    /// Shows every pointer that `roots` reach and own, with its length in pages, reading no leaf without pointers. What
    /// is shown has been read as far as it will be, so `seen` may let it go; a `seen` that refuses a page met twice
    /// ends any walk.
    pub(crate) fn walk(
        &self,
        roots: impl IntoIterator<Item = Pointer>,
        seen: &mut dyn FnMut(&Pointer, u32) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut waiting: Vec<Pointer> = roots.into_iter().collect();
        while let Some(pointer) = waiting.pop() {
            let pages = self.extent_of(&pointer)?;
            if may_hold_pointers(&pointer) {
                self.visit_owned(&pointer, &mut waiting)?;
            }
            seen(&pointer, pages)?;
        }
        Ok(())
    }

    /// Shows what is reached from `roots` and was not met before, reading no leaf without pointers.
    pub(crate) fn walk_new(
        &self,
        roots: &[Pointer],
        met: &mut PageSet,
        show: &mut dyn FnMut(&Pointer, u32) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut waiting = roots.to_vec();
        while let Some(pointer) = waiting.pop() {
            if let Some(pages) = self.meet(&pointer, met)? {
                show(&pointer, pages)?;
                if may_hold_pointers(&pointer) {
                    self.visit_owned(&pointer, &mut waiting)?;
                }
            }
        }
        Ok(())
    }

    /// Length in pages of what `pointer` names, unless it was met before.
    pub(super) fn meet(&self, pointer: &Pointer, met: &mut PageSet) -> Result<Option<u32>, StorageError> {
        let pages = self.extent_of(pointer)?;
        match met.insert_range(pointer.page, pages) {
            0 => Ok(None),
            new if new < pages => Err(damaged(pointer, "overlaps another")),
            _ => Ok(Some(pages)),
        }
    }

    /// Reads what `pointer` names, verified, and adds what it owns to `owned`.
    fn visit_owned(&self, pointer: &Pointer, owned: &mut Vec<Pointer>) -> Result<(), StorageError> {
        self.visit(pointer, &mut |role, child| {
            if role != PointerRole::Reference {
                owned.push(child);
            }
            Ok(())
        })?;
        Ok(())
    }

    /// The roots that the tree under `root` refers to.
    pub(crate) fn references(&self, root: Option<Pointer>) -> Result<Vec<Pointer>, StorageError> {
        let (mut waiting, mut met, mut found) = (Vec::from_iter(root), PageSet::new(), Vec::new());
        while let Some(pointer) = waiting.pop() {
            if !may_hold_pointers(&pointer) || self.meet(&pointer, &mut met)?.is_none() {
                continue;
            }
            self.visit(&pointer, &mut |role, child| {
                let to = if role == PointerRole::Reference { &mut found } else { &mut waiting };
                to.push(child);
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Length in pages of what `pointer` names, if it lies within the file.
    pub(crate) fn extent_of(&self, pointer: &Pointer) -> Result<u32, StorageError> {
        self.check_bounds(pointer)?;
        Ok(pages_of(pointer, self.page_size()))
    }

    /// Reads what `pointer` names, verified, and shows every pointer in it.
    pub(crate) fn visit(
        &self,
        pointer: &Pointer,
        found: &mut dyn FnMut(PointerRole, Pointer) -> Result<(), StorageError>,
    ) -> Result<FrameRef, StorageError> {
        let frame = self.load(pointer)?;
        if pointer.is_run() {
            return Ok(frame);
        }
        let node = Node::new(&frame);
        for (role, child) in node.pointers() {
            check_place(pointer, role, &child)?;
            found(role, child)?;
        }
        Ok(frame)
    }
}

/// An error if `child` cannot be named by the page that `pointer` names.
pub(super) fn check_place(pointer: &Pointer, role: PointerRole, child: &Pointer) -> Result<(), StorageError> {
    if role == PointerRole::Child && child.level.checked_add(1) != Some(pointer.level) {
        return Err(damaged(child, "is of another level than its place"));
    }
    if child.birth > pointer.birth {
        return Err(damaged(child, "is younger than the page that names it"));
    }
    Ok(())
}

/// Whether there is anything to look for below `pointer`. Of an unsealed page the flag tells nothing yet.
pub(super) fn may_hold_pointers(pointer: &Pointer) -> bool {
    !pointer.is_run() && (pointer.level > 0 || pointer.holds_pointers() || !pointer.is_sealed())
}

/// An error if a walk has met the page or run before.
pub(crate) fn note_once(seen: &mut PageSet, pointer: &Pointer, pages: u32) -> Result<(), StorageError> {
    if seen.insert_range(pointer.page, pages) == pages { Ok(()) } else { Err(damaged(pointer, "is linked twice")) }
}
