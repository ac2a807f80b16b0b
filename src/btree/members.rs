//! The values of one key of a multimap, in order, from both ends.

use super::cursor::RangeCursor;
use super::get::{Slice, find};
use super::multimap::{Held, MultimapKind};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{SetForm, ValueSet};
use crate::pages::cache::FrameRef;
use crate::pages::{Store, damaged};
use alloc::boxed::Box;
use core::ops::Bound;

/// The values of a key that neither end has come to yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    left: u64,
    /// `None` if there are none.
    place: Option<Place>,
}

#[derive(Clone, Debug)]
enum Place {
    /// In one set; member `front` is the next.
    Set { set: Slice, form: SetForm, front: usize },
    /// The keys of a tree.
    Tree { rows: Box<RangeCursor>, root: Pointer },
}

/// An end to take from.
#[derive(Clone, Copy)]
enum End {
    Front,
    Back,
}

impl Members {
    /// Those of a key of the multimap under `root`.
    pub(crate) fn of_key(
        store: &Store,
        kind: &MultimapKind,
        root: Option<Pointer>,
        key: &[u8],
    ) -> Result<Self, StorageError> {
        let Some(root) = root else { return Ok(Self::default()) };
        // Values may be compared by a user's code, for which no page stays pinned.
        let entry = find(store, &kind.keys, &root, key, |leaf, at| Ok((leaf.hold(), at)))?;
        entry.map_or(Ok(Self::default()), |(leaf, at)| Self::of_entry(store, kind, &leaf, at))
    }

    /// Those of the key of an entry.
    pub(crate) fn of_entry(
        store: &Store,
        kind: &MultimapKind,
        leaf: &FrameRef,
        at: usize,
    ) -> Result<Self, StorageError> {
        match kind.held(leaf, at)? {
            Held::Set(_) => Ok(Self::of_set(kind, Slice::of_value(store, leaf, at)?)),
            Held::Tree(root) => Self::of_tree(store, kind, root),
        }
    }

    pub(super) fn of_set(kind: &MultimapKind, set: Slice) -> Self {
        let form = kind.form();
        let left = ValueSet::new(&set, form).count() as u64;
        Self { left, place: Some(Place::Set { set, form, front: 0 }) }
    }

    pub(super) fn of_tree(store: &Store, kind: &MultimapKind, root: Pointer) -> Result<Self, StorageError> {
        let rows = RangeCursor::new(store, &kind.values, Some(root), Bound::Unbounded, Bound::Unbounded)?;
        Ok(Self { left: root.size, place: Some(Place::Tree { rows: Box::new(rows), root }) })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.left
    }

    /// The next value from the front. After an error there is none.
    pub(crate) fn next(&mut self, store: &Store) -> Result<Option<Slice>, StorageError> {
        self.take(store, End::Front)
    }

    /// The next value from the back. After an error there is none.
    pub(crate) fn next_back(&mut self, store: &Store) -> Result<Option<Slice>, StorageError> {
        self.take(store, End::Back)
    }

    fn take(&mut self, store: &Store, end: End) -> Result<Option<Slice>, StorageError> {
        let (Some(left), Some(place)) = (self.left.checked_sub(1), &mut self.place) else { return Ok(None) };
        let member = place.take(store, end, left);
        self.left = if member.is_ok() { left } else { 0 };
        member.map(Some)
    }
}

impl Place {
    /// The next value; `left` are left behind it.
    fn take(&mut self, store: &Store, end: End, left: u64) -> Result<Slice, StorageError> {
        match self {
            Self::Set { set, form, front } => {
                let at = match end {
                    End::Front => core::mem::replace(front, *front + 1),
                    // A set lies in a page.
                    End::Back => *front + left as usize,
                };
                Ok(set.part(ValueSet::new(set, *form).place(at)))
            }
            Self::Tree { rows, root } => {
                let row = match end {
                    End::Front => rows.next(store)?,
                    End::Back => rows.next_back(store)?,
                };
                row.map(|(member, _)| member).ok_or_else(|| damaged(root, "holds fewer rows than its pointer says"))
            }
        }
    }
}
