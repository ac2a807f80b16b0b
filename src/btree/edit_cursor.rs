//! A gap of a tree that is being changed through it.
//!
//! - A way whose pages may be changed is good until the tree is sealed, or somebody holds on to its leaf.
//! - Between two calls no page is empty: a leaf that loses its last row is mended at once, a thin one when it is left.

use super::edit::{Path, Step, Tree, TreeEditor};
use super::gap::{Aim, FIRST_LEAF, Gap, Route, Side};
use super::get::{Row, Slice};
use super::insert::{NewValue, check_row, is_first, is_last};
use super::remove::Target;
use super::sink::ChangeSink;
use crate::error::StorageError;
use crate::format::node::Node;
use crate::pages::Store;
use crate::pages::cache::FrameRef;
use alloc::vec::Vec;
use core::ops::Bound;

/// A gap between two rows, and the way to it. Only it changes the tree while it lives, or it is lost.
#[derive(Debug, Default)]
pub(crate) struct EditCursor(Place);

#[derive(Debug, Default)]
enum Place {
    /// In a tree without pages, or lost to an error.
    #[default]
    Nowhere,
    /// In pages that may be others'.
    Found(Gap),
    /// In pages that may be changed; the leaf's entry is the one after the gap. Made after so many sealings.
    Owned(Path, u64),
}

impl EditCursor {
    /// The gap where a key belongs, and whether the row after it is the one with that key.
    pub(crate) fn find_key(store: &Store, tree: &Tree, key: &[u8]) -> Result<(Self, bool), StorageError> {
        let Some(root) = &tree.root else { return Ok((Self::default(), false)) };
        let (gap, hit) = Gap::find_row(store, root, &Aim::Key { kind: &tree.kind, key, after: false })?;
        Ok((Self(Place::Found(gap)), hit))
    }

    /// The gap before the first key that a lower bound admits.
    pub(crate) fn lower(store: &Store, tree: &Tree, bound: Bound<&[u8]>) -> Result<Self, StorageError> {
        Self::find(store, tree, &Aim::lower(&tree.kind, bound))
    }

    /// The gap after the last key that an upper bound admits.
    pub(crate) fn upper(store: &Store, tree: &Tree, bound: Bound<&[u8]>) -> Result<Self, StorageError> {
        Self::find(store, tree, &Aim::upper(&tree.kind, bound))
    }

    fn find(store: &Store, tree: &Tree, aim: &Aim<'_>) -> Result<Self, StorageError> {
        let Some(root) = &tree.root else { return Ok(Self::default()) };
        Ok(Self(Place::Found(Gap::find(store, root, aim)?)))
    }

    /// Whether the row on that side is in the gap's leaf.
    pub(crate) fn has(&self, side: Side) -> bool {
        self.entry(side).is_some()
    }

    /// Whether there is a row on that side. If it is in another leaf, the gap moves there: it is the same one.
    pub(crate) fn settle<S: ChangeSink>(
        &mut self,
        editor: &mut TreeEditor<'_, S>,
        side: Side,
    ) -> Result<bool, StorageError> {
        if self.has(side) {
            return Ok(true);
        }
        if self.is_at_end(side) {
            return Ok(false);
        }
        self.leave(editor)?;
        match (&mut self.0, &editor.tree.root) {
            (Place::Found(gap), Some(root)) => gap.settle(editor.writer.store(), root, side),
            _ => Ok(false),
        }
    }

    /// The row on that side, if it is in the gap's leaf.
    pub(crate) fn row(&self, store: &Store, side: Side) -> Result<Option<Row>, StorageError> {
        let row = |(leaf, at)| Ok((Slice::of_key(store, leaf, at)?, Slice::of_value(store, leaf, at)?));
        self.entry(side).map(row).transpose()
    }

    /// The value on that side, if it is in the gap's leaf.
    pub(crate) fn value(&self, store: &Store, side: Side) -> Result<Option<Slice>, StorageError> {
        self.entry(side).map(|(leaf, at)| Slice::of_value(store, leaf, at)).transpose()
    }

    /// The key on that side, if it is in the gap's leaf.
    pub(crate) fn key(&self, store: &Store, side: Side) -> Result<Option<Slice>, StorageError> {
        self.entry(side).map(|(leaf, at)| Slice::of_key(store, leaf, at)).transpose()
    }

    /// Goes past the row on that side, which must be in the gap's leaf.
    pub(crate) fn pass(&mut self, side: Side) {
        match &mut self.0 {
            Place::Nowhere => {}
            Place::Found(gap) => gap.pass(side),
            Place::Owned(path, _) => {
                let Some(leaf) = path.last_mut() else { return };
                leaf.at = match side {
                    Side::Before => leaf.at.saturating_sub(1),
                    Side::After => leaf.at + 1,
                };
            }
        }
    }

    /// Removes the row on that side, which must be in the gap's leaf.
    pub(crate) fn remove<S: ChangeSink>(
        &mut self,
        editor: &mut TreeEditor<'_, S>,
        side: Side,
    ) -> Result<(), StorageError> {
        editor.guarded(|editor| {
            if side == Side::Before {
                self.pass(side);
            }
            let mut path = self.own(editor)?;
            let Some(leaf) = path.last_mut() else { return Ok(()) };
            if leaf.node().count() > 1 {
                editor.drop_row(leaf)?;
                self.0 = Place::Owned(path, editor.tree.sealings);
                return Ok(());
            }
            let key = editor.key_of(leaf)?;
            editor.drop_row(leaf)?;
            self.mend(editor, path, &key, false)
        })
    }

    /// Puts a row into the gap and goes to its other side: the new row is then on `side`. False, and nothing is done,
    /// if its key does not belong between the rows on both sides.
    pub(crate) fn insert<S: ChangeSink>(
        &mut self,
        editor: &mut TreeEditor<'_, S>,
        key: &[u8],
        value: &[u8],
        side: Side,
    ) -> Result<bool, StorageError> {
        if !self.admits(editor, key)? {
            return Ok(false);
        }
        editor.guarded(|editor| {
            let path = if self.is_leaf_of_gap() {
                self.own(editor)?
            } else {
                // The way down tells which of two leaves takes the key.
                self.0 = Place::Nowhere;
                editor.descend(&Target::Key(key))?.0
            };
            let mut block = Vec::new();
            let value = editor.packed(key, NewValue::Bytes(value), editor.tree.kind.codec, &mut block)?;
            self.0 = match editor.set_row(path, false, key, value)?.1 {
                Some(path) => Place::Owned(path, editor.tree.sealings),
                None => Self::find_key(editor.writer.store(), editor.tree, key)?.0.0,
            };
            if side == Side::Before {
                self.pass(Side::After);
            }
            Ok(true)
        })
    }

    /// Sets the value of `key`. The gap is the one that was found for it, before the row if that `exists`.
    pub(crate) fn set<S: ChangeSink>(
        mut self,
        editor: &mut TreeEditor<'_, S>,
        exists: bool,
        key: &[u8],
        value: &[u8],
    ) -> Result<Option<Slice>, StorageError> {
        check_row(key.len(), value.len())?;
        editor.guarded(|editor| {
            let path = self.own(editor)?;
            let mut block = Vec::new();
            let value = editor.packed(key, NewValue::Bytes(value), editor.tree.kind.codec, &mut block)?;
            let (old, placed) = editor.set_row(path, exists, key, value)?;
            if let Some(path) = placed {
                editor.keep_tail(path);
            }
            Ok(old)
        })
    }

    /// Mends the leaf, if rows were removed from it. To be called when the cursor goes elsewhere.
    pub(crate) fn leave<S: ChangeSink>(&mut self, editor: &mut TreeEditor<'_, S>) -> Result<(), StorageError> {
        let Place::Owned(path, _) = &self.0 else { return Ok(()) };
        let alone = path.len() < 2;
        let Some(leaf) = path.last().filter(|leaf| !alone && editor.is_thin(&leaf.node())) else {
            self.disown();
            return Ok(());
        };
        // The gap is found again by the row after it, or before it if it is at the end of its leaf.
        let after = leaf.at >= leaf.node().count();
        let side = if after { Side::Before } else { Side::After };
        let Some(key) = self.key(editor.writer.store(), side)?.map(Slice::detached) else { return Ok(()) };
        editor.guarded(|editor| {
            let path = self.own(editor)?;
            self.mend(editor, path, &key, after)
        })
    }

    fn mend<S: ChangeSink>(
        &mut self,
        editor: &mut TreeEditor<'_, S>,
        path: Path,
        key: &[u8],
        after: bool,
    ) -> Result<(), StorageError> {
        editor.mend(path)?;
        let aim = Aim::Key { kind: &editor.tree.kind, key, after };
        *self = Self::find(editor.writer.store(), editor.tree, &aim)?;
        Ok(())
    }

    /// Whether `key` lies between the rows on both sides.
    fn admits<S: ChangeSink>(&mut self, editor: &mut TreeEditor<'_, S>, key: &[u8]) -> Result<bool, StorageError> {
        for side in [Side::Before, Side::After] {
            self.settle(editor, side)?;
            if let Some(other) = self.key(editor.writer.store(), side)?
                && (editor.tree.kind.key.compare)(&other, key) != side.order()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The leaf, and its entry on that side.
    fn entry(&self, side: Side) -> Option<(&FrameRef, usize)> {
        let (leaf, at) = match &self.0 {
            Place::Nowhere => return None,
            Place::Found(gap) => (gap.leaf.frame(), gap.at),
            Place::Owned(path, _) => path.last().map(|leaf| (leaf.page.frame(), leaf.at))?,
        };
        side.entry(at, Node::new(leaf).count()).map(|at| (leaf, at))
    }

    /// Whether it is known, without a look at other leaves, that the tree has no row on that side.
    fn is_at_end(&self, side: Side) -> bool {
        let Place::Owned(path, _) = &self.0 else { return false };
        let Some((leaf, branches)) = path.split_last() else { return false };
        match side {
            Side::Before => leaf.at == 0 && branches.iter().all(is_first),
            Side::After => leaf.at >= leaf.node().count() && branches.iter().all(is_last),
        }
    }

    /// Whether every key that belongs into the gap belongs into its leaf.
    fn is_leaf_of_gap(&self) -> bool {
        [Side::Before, Side::After].into_iter().all(|side| self.has(side) || self.is_at_end(side))
    }

    /// The way to the gap, its pages made ready for changes. The cursor is nowhere until it gets it back.
    fn own<S: ChangeSink>(&mut self, editor: &mut TreeEditor<'_, S>) -> Result<Path, StorageError> {
        if let Place::Owned(path, sealings) = &mut self.0
            && *sealings == editor.tree.sealings
            && path.last().is_some_and(|leaf| !leaf.page.is_shared())
        {
            return Ok(core::mem::take(path));
        }
        // Before the pages are asked for, so that the cursor itself does not hold on to them.
        let (route, at) = self.let_go();
        Ok(editor.descend(&Target::At { route: &route, at })?.0)
    }

    /// Makes the pages of the way what others may hold on to.
    fn disown(&mut self) {
        let Place::Owned(path, _) = &self.0 else { return };
        let Some(leaf) = path.last() else { return };
        let gap = Gap::new(route_of(path), leaf.page.frame().clone(), leaf.at);
        self.0 = Place::Found(gap);
    }

    fn let_go(&mut self) -> (Route, usize) {
        match core::mem::take(&mut self.0) {
            Place::Nowhere => (FIRST_LEAF, 0),
            Place::Found(gap) => (gap.route, gap.at),
            Place::Owned(path, _) => (route_of(&path), path.last().map_or(0, |leaf| leaf.at)),
        }
    }
}

fn route_of(path: &[Step]) -> Route {
    let mut route = FIRST_LEAF;
    for step in path {
        if let Some(place) = route.get_mut(usize::from(step.pointer.level)) {
            // A page has fewer entries than bytes.
            *place = step.at as u16;
        }
    }
    route
}
