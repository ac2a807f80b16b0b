//! One side of a comparison: what comes next in a tree, which is a page as long as nobody has to look into it.

use crate::btree::get::Slice;
use crate::btree::multimap::Held;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{KeyPart, Node, SetForm, ValuePart, ValueSet};
use crate::pages::cache::FrameRef;
use crate::pages::{Store, damaged};
use crate::types::Compare;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// A row: an entry of a leaf, or a member of a set that lies in one.
#[derive(Clone, Debug)]
pub(super) struct Place {
    within: Within,
    at: usize,
}

#[derive(Clone, Debug)]
enum Within {
    Page(FrameRef),
    Set(Slice, SetForm),
}

/// What a side comes to next.
pub(super) enum Next<'s> {
    End,
    Subtree(Pointer),
    Row(&'s Place),
}

/// A tree, or a set, as far as the walk has come.
///
/// - No level is at its end, and the entry of a branch that has another level above it on the path is that level's
///   page.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// The root, while it is not entered.
    root: Option<Pointer>,
    /// What was entered, from the root down.
    path: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    next: Place,
    count: usize,
}

impl Place {
    pub(super) fn key(&self, store: &Store) -> Result<Slice, StorageError> {
        match &self.within {
            Within::Page(leaf) => Slice::of_key(store, leaf, self.at),
            Within::Set(set, form) => Ok(set.part(ValueSet::new(set, *form).place(self.at))),
        }
    }

    pub(super) fn value(&self, store: &Store) -> Result<Slice, StorageError> {
        match &self.within {
            Within::Page(leaf) => Slice::of_value(store, leaf, self.at),
            Within::Set(..) => Ok(Slice::Owned(Vec::new())),
        }
    }

    fn key_part(&self) -> KeyPart<'_> {
        match &self.within {
            Within::Page(leaf) => Node::new(leaf).key(self.at),
            Within::Set(set, form) => KeyPart::Inline(ValueSet::new(set, *form).member(self.at)),
        }
    }

    fn value_part(&self) -> ValuePart<'_> {
        match &self.within {
            Within::Page(leaf) => Node::new(leaf).value(self.at),
            Within::Set(..) => ValuePart::Inline(&[]),
        }
    }

    /// Whether the keys are stored alike, and so are equal.
    pub(super) fn has_key_of(&self, other: &Self) -> bool {
        self.key_part() == other.key_part()
    }

    /// Compares the keys. Runs are read only if they are not one and the same.
    pub(super) fn compare(&self, other: &Self, store: &Store, compare: Compare) -> Result<Ordering, StorageError> {
        match (self.key_part(), other.key_part()) {
            (one, other) if one == other => Ok(Ordering::Equal),
            (KeyPart::Inline(one), KeyPart::Inline(other)) => Ok(compare(one, other)),
            _ => Ok(compare(&self.key(store)?, &other.key(store)?)),
        }
    }

    /// Whether the values are stored alike, and so are equal.
    pub(super) fn has_value_of(&self, other: &Self) -> bool {
        self.value_part() == other.value_part()
    }

    /// The values of a key of a multimap. A set whose order is known must be in order.
    pub(super) fn members(&self, store: &Store, order: Option<Compare>) -> Result<Side, StorageError> {
        let Within::Page(leaf) = &self.within else { return Ok(Side::default()) };
        match Held::of_entry(leaf, self.at, order)? {
            Held::Tree(root) => Ok(Side::of_tree(Some(root))),
            Held::Set(set) => Ok(Side::of_set(Slice::of_value(store, leaf, self.at)?, set.form())),
        }
    }
}

impl Side {
    pub(super) fn of_tree(root: Option<Pointer>) -> Self {
        Self { root, path: Vec::new() }
    }

    fn of_set(set: Slice, form: SetForm) -> Self {
        let count = ValueSet::new(&set, form).count();
        let mut side = Self::default();
        side.push(Within::Set(set, form), count);
        side
    }

    pub(super) fn next(&self) -> Next<'_> {
        if let Some(root) = self.root {
            return Next::Subtree(root);
        }
        let Some(Level { next, .. }) = self.path.last() else { return Next::End };
        match &next.within {
            Within::Page(page) if !Node::new(page).is_leaf() => Next::Subtree(Node::new(page).child(next.at)),
            _ => Next::Row(next),
        }
    }

    /// Leaves what comes next behind.
    pub(super) fn pass(&mut self) {
        if self.root.take().is_some() {
            return;
        }
        while let Some(level) = self.path.last_mut() {
            level.next.at += 1;
            if level.next.at < level.count {
                return;
            }
            self.path.pop();
        }
    }

    /// Leaves the row behind that comes next, and gives it.
    pub(super) fn take(&mut self) -> Option<Place> {
        let Next::Row(place) = self.next() else { return None };
        let place = place.clone();
        self.pass();
        Some(place)
    }

    /// Goes on with what is in the page that comes next. Levels fall by one, so that every way down ends.
    pub(super) fn enter(&mut self, store: &Store, page: &Pointer) -> Result<(), StorageError> {
        let frame = store.load(page)?;
        let node = Node::new(&frame);
        if node.level() != page.level || node.is_leaf() != (page.level == 0) {
            return Err(damaged(page, "is out of level"));
        }
        match node.count() {
            0 => self.pass(),
            count => self.push(Within::Page(frame), count),
        }
        Ok(())
    }

    fn push(&mut self, within: Within, count: usize) {
        self.root = None;
        self.path.push(Level { next: Place { within, at: 0 }, count });
    }
}
