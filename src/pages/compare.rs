//! What two trees do not share: what is looked at to make one of the other.

use super::Store;
use super::load::damaged;
use super::page_set::PageSet;
use super::walk::{may_hold_pointers, note_once};
use crate::error::StorageError;
use crate::format::node::PointerRole;
use crate::format::{PageNumber, Pointer, TxnId};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// Pages of a tree that are still to be looked at, greatest first.
#[derive(Default)]
struct Frontier {
    waiting: BTreeMap<Place, Pointer>,
    met: PageSet,
}

/// The order in which pages of two trees are looked at: one that has another below it, in either tree, comes first. It
/// is younger, or in a tree that has the other's root, or of a higher level. The last two are how many roots above it,
/// and the page.
type Place = (TxnId, Reverse<u32>, u8, PageNumber);

impl Frontier {
    fn add(&mut self, pointer: Pointer, nesting: u32) -> Result<(), StorageError> {
        let place = (pointer.birth, Reverse(nesting), pointer.level, pointer.page);
        match self.waiting.insert(place, pointer) {
            Some(_) => Err(damaged(&pointer, "is linked twice")),
            None => Ok(()),
        }
    }

    fn greatest(&self) -> Option<Place> {
        self.waiting.last_key_value().map(|(place, _)| *place)
    }

    /// Notes that the tree links what `pointer` names, and gives its length in pages.
    fn meet(&mut self, store: &Store, pointer: &Pointer) -> Result<u32, StorageError> {
        let pages = store.extent_of(pointer)?;
        note_once(&mut self.met, pointer, pages)?;
        Ok(pages)
    }

    /// Looks below `pointer`.
    fn expand(&mut self, store: &Store, place: Place, pointer: &Pointer) -> Result<(), StorageError> {
        let (_, Reverse(nesting), ..) = place;
        if may_hold_pointers(pointer) {
            store
                .visit(pointer, &mut |role, child| self.add(child, nesting + u32::from(role != PointerRole::Child)))?;
        }
        Ok(())
    }
}

impl Store {
    /// Shows what only one of two trees of data, both sealed, links, with its length in pages, and whether it is the
    /// second. Reads nothing below what they share, nor leaves without pointers. What is shown has been read as far as
    /// it will be.
    pub(crate) fn compare_trees(
        &self,
        first: Option<Pointer>,
        second: Option<Pointer>,
        show: &mut dyn FnMut(&Pointer, u32, bool) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut sides = [Frontier::default(), Frontier::default()];
        for (side, root) in sides.iter_mut().zip([first, second]) {
            root.map_or(Ok(()), |root| side.add(root, 0))?;
        }
        while let Some(place) = sides.iter().filter_map(Frontier::greatest).max() {
            let found = sides.each_mut().map(|side| side.waiting.remove(&place));
            let is_shared = match found {
                [Some(first), Some(second)] if first != second => return Err(damaged(&first, "has two checksums")),
                found => found.iter().all(Option::is_some),
            };
            for ((side, pointer), is_second) in sides.iter_mut().zip(found).zip([false, true]) {
                let Some(pointer) = pointer else { continue };
                let pages = side.meet(self, &pointer)?;
                if !is_shared {
                    side.expand(self, place, &pointer)?;
                    show(&pointer, pages, is_second)?;
                }
            }
        }
        Ok(())
    }

    /// Shows what is linked by one of the trees of `roots`, of which `linked` has what `tree` links, and not by the one
    /// before it; that of the first is `tree`. An error if one of them links a page twice.
    pub(crate) fn walk_others(
        &self,
        tree: Option<Pointer>,
        roots: &[Pointer],
        linked: &mut PageSet,
        show: &mut dyn FnMut(&Pointer, u32) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut before = tree;
        for root in roots {
            let (mut gone, mut new) = (Vec::new(), Vec::new());
            self.compare_trees(before, Some(*root), &mut |pointer, pages, is_new| {
                let to = if is_new { &mut new } else { &mut gone };
                to.push((*pointer, pages));
                Ok(())
            })?;
            for (pointer, pages) in gone {
                linked.remove_range(pointer.page, pages);
            }
            for (pointer, pages) in new {
                note_once(linked, &pointer, pages)?;
                show(&pointer, pages)?;
            }
            before = Some(*root);
        }
        Ok(())
    }
}
