//! Ordered walks: of a range from both ends, and of one gap in both directions.

use super::gap::{Aim, Gap, Side};
use super::get::{Row, value_length};
use super::kind::TreeKind;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::Node;
use crate::pages::Store;
use crate::pages::cache::FrameRef;
use core::ops::Bound;

/// The rows of a range that neither end has come to yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeCursor {
    /// `None` while it is the start of the tree and nobody has asked for the first row.
    front: Option<Gap>,
    /// `None` while it is the end of the tree and nobody has asked for the last row.
    back: Option<Gap>,
    /// `None` if no rows are left.
    root: Option<Pointer>,
}

impl RangeCursor {
    pub(crate) fn new(
        store: &Store,
        kind: &TreeKind,
        root: Option<Pointer>,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<Self, StorageError> {
        let Some(root) = root.filter(|_| !is_empty(kind, start, end)) else { return Ok(Self::default()) };
        let front = (start != Bound::Unbounded).then(|| Aim::lower(kind, start));
        let back = (end != Bound::Unbounded).then(|| Aim::upper(kind, end));
        let find = |aim: Option<Aim<'_>>| aim.map(|aim| Gap::find(store, &root, &aim)).transpose();
        Ok(Self { front: find(front)?, back: find(back)?, root: Some(root) })
    }

    /// The next row from the front. After an error there is none.
    #[inline]
    pub(crate) fn next(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let step = self.step_front(store);
        self.settle(step)
    }

    /// The next row from the back. After an error there is none.
    #[inline]
    pub(crate) fn next_back(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let step = self.step_back(store);
        self.settle(step)
    }

    /// The leaf and place of the next row from the front, for trees whose values are not all bytes.
    pub(crate) fn next_place(&mut self, store: &Store) -> Result<Option<(FrameRef, usize)>, StorageError> {
        let place = self.next_front(store).map(|front| {
            front.map(|front| {
                front.at += 1;
                (front.leaf.frame().clone(), front.at - 1)
            })
        });
        self.settle(place)
    }

    /// The leaf and place of the next row from the back.
    pub(crate) fn next_place_back(&mut self, store: &Store) -> Result<Option<(FrameRef, usize)>, StorageError> {
        let place = self.next_back_gap(store).map(|back| back.map(|back| (back.leaf.frame().clone(), back.at)));
        self.settle(place)
    }

    #[inline]
    fn settle<T>(&mut self, step: Result<Option<T>, StorageError>) -> Result<Option<T>, StorageError> {
        if !matches!(step, Ok(Some(_))) {
            *self = Self::default();
        }
        step
    }

    #[inline]
    fn step_front(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let Some(front) = self.next_front(store)? else { return Ok(None) };
        let row = front.row(store, front.at, |at, rows| at + rows)?;
        front.at += 1;
        Ok(Some(row))
    }

    /// The gap before the next row from the front.
    #[inline]
    fn next_front(&mut self, store: &Store) -> Result<Option<&mut Gap>, StorageError> {
        let Some(root) = &self.root else { return Ok(None) };
        let front = match &mut self.front {
            Some(front) => front,
            unplaced => unplaced.insert(Gap::find(store, root, &Aim::First)?),
        };
        if self.back.as_ref() == Some(front) {
            return Ok(None);
        }
        if front.at >= front.count && (!front.advance_leaf(store, root)? || self.back.as_ref() == Some(front)) {
            return Ok(None);
        }
        Ok(Some(front))
    }

    #[inline]
    fn step_back(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let Some(back) = self.next_back_gap(store)? else { return Ok(None) };
        back.row(store, back.at, usize::saturating_sub).map(Some)
    }

    /// The gap before the next row from the back, which it has gone past.
    #[inline]
    fn next_back_gap(&mut self, store: &Store) -> Result<Option<&mut Gap>, StorageError> {
        let Some(root) = &self.root else { return Ok(None) };
        let back = match &mut self.back {
            Some(back) => back,
            unplaced => unplaced.insert(Gap::find(store, root, &Aim::Last)?),
        };
        let front = self.front.as_ref();
        if front == Some(back) || (back.at == 0 && (!back.retreat_leaf(store, root)? || front == Some(back))) {
            return Ok(None);
        }
        back.at -= 1;
        Ok(Some(back))
    }
}

/// One gap of a tree that does not change, with the rows on both sides of it.
#[derive(Clone, Debug)]
pub(crate) struct GapCursor {
    kind: TreeKind,
    root: Option<Pointer>,
    /// `None` if there are no rows, or if an error lost it.
    gap: Option<Gap>,
    lost: bool,
}

impl GapCursor {
    pub(crate) fn new(kind: TreeKind, root: Option<Pointer>) -> Self {
        Self { kind, root, gap: None, lost: false }
    }

    pub(crate) fn kind(&self) -> &TreeKind {
        &self.kind
    }

    /// Moves to another gap. Where that is in the leaf at hand, no way down is taken.
    pub(crate) fn seek(&mut self, store: &Store, aim: &Aim<'_>) -> Result<(), StorageError> {
        let Some(root) = &self.root else { return Ok(()) };
        let mut gap = self.gap.take();
        self.lost = true;
        let near = gap.as_mut().map_or(Ok(false), |gap| gap.seek_within(store, aim))?;
        self.gap = if near { gap } else { Some(Gap::find(store, root, aim)?) };
        self.lost = false;
        Ok(())
    }

    /// The row on that side.
    #[inline]
    pub(crate) fn peek(&mut self, store: &Store, side: Side) -> Result<Option<Row>, StorageError> {
        self.at_row(store, side, |gap, at| match side {
            Side::Before => gap.row(store, at, usize::saturating_sub),
            Side::After => gap.row(store, at, |at, rows| at + rows),
        })
    }

    /// Goes past the row on that side, and gives it.
    #[inline]
    pub(crate) fn pass(&mut self, store: &Store, side: Side) -> Result<Option<Row>, StorageError> {
        let row = self.peek(store, side)?;
        if let (Some(gap), true) = (&mut self.gap, row.is_some()) {
            gap.pass(side);
        }
        Ok(row)
    }

    /// Length in bytes of the value on that side. Does not read a value that is not in its leaf.
    pub(crate) fn value_length(&mut self, store: &Store, side: Side) -> Result<Option<u64>, StorageError> {
        self.at_row(store, side, |gap, at| value_length(&Node::new(gap.leaf.frame()), at))
    }

    /// What `found` makes of the gap and the entry on that side, if there is one.
    #[inline]
    fn at_row<T>(
        &mut self,
        store: &Store,
        side: Side,
        found: impl FnOnce(&mut Gap, usize) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        if self.lost {
            return Err(StorageError::PreviousIo);
        }
        let (Some(gap), Some(root)) = (&mut self.gap, &self.root) else { return Ok(None) };
        let found = match gap.settle(store, root, side) {
            Ok(_) => side.entry(gap.at, gap.count).map(|at| found(gap, at)).transpose(),
            Err(err) => Err(err),
        };
        self.lost = found.is_err();
        found
    }
}

/// Whether no key can lie between the bounds. Bounds in the wrong order hold nothing.
pub(crate) fn is_empty(kind: &TreeKind, start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    let (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) = (start, end)
    else {
        return false;
    };
    match (kind.key.compare)(low, high) {
        core::cmp::Ordering::Less => false,
        core::cmp::Ordering::Equal => !matches!((start, end), (Bound::Included(_), Bound::Included(_))),
        core::cmp::Ordering::Greater => true,
    }
}
