use super::open::OpenTree;
use crate::btree::{EditCursor, Row, Side, TreeKind, is_empty};
use crate::error::StorageError;
use crate::txn::Loan;
use alloc::vec::Vec;
use core::ops::Bound;

/// The rows of a range that neither end has come to yet, to be removed or passed.
///
/// Only one end has a cursor, as what one changes another would not find where it was. When the other end is asked for,
/// the key where the first one stood bounds the range from then on.
pub(super) struct Sweep<'t> {
    open: OpenTree<'t>,
    _loan: Loan,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    kind: TreeKind,
    /// The cursor, and on which side of it the range lies.
    live: Option<(Side, EditCursor)>,
    over: bool,
}

impl<'t> Sweep<'t> {
    pub(super) fn new(open: OpenTree<'t>, lower: Bound<Vec<u8>>, upper: Bound<Vec<u8>>) -> Self {
        Self { _loan: open.lend(), kind: open.kind(), open, lower, upper, live: None, over: false }
    }

    pub(super) fn open(&self) -> OpenTree<'t> {
        self.open
    }

    /// The first row, if `side` is [`Side::After`], else the last.
    pub(super) fn peek(&mut self, side: Side) -> Result<Option<Row>, StorageError> {
        if !matches!(&self.live, Some((live, _)) if *live == side) {
            self.place(side)?;
        }
        let Some((_, cursor)) = &mut self.live else { return Ok(None) };
        if !self.open.settle(cursor, side)? {
            return Ok(None);
        }
        let row = cursor.row(self.open.store(), side)?;
        Ok(row.filter(|(key, _)| self.admits(side, key)))
    }

    /// Leaves the row that was seen last.
    pub(super) fn pass(&mut self) {
        if let Some((side, cursor)) = &mut self.live {
            cursor.pass(*side);
        }
    }

    /// Removes the row that was seen last. To be called when nobody holds on to it.
    pub(super) fn remove(&mut self) -> Result<(), StorageError> {
        let Some((side, cursor)) = &mut self.live else { return Ok(()) };
        self.open.edit(|editor| cursor.remove(editor, *side))
    }

    /// Mends what removals left behind.
    pub(super) fn close(&mut self) -> Result<(), StorageError> {
        match self.live.take() {
            Some((_, mut cursor)) => self.open.edit(|editor| cursor.leave(editor)),
            None => Ok(()),
        }
    }

    /// Removes the rows that neither end has come to.
    pub(super) fn clear(&mut self) -> Result<(), StorageError> {
        self.withdraw()?;
        if core::mem::replace(&mut self.over, true) {
            return Ok(());
        }
        let (lower, upper) = (bytes_of(&self.lower), bytes_of(&self.upper));
        self.open.edit(|editor| editor.delete_range(lower, upper)).map(|_| ())
    }

    /// Whether the range ends behind this key, which lies ahead of the cursor.
    fn admits(&self, side: Side, key: &[u8]) -> bool {
        let far = match side {
            Side::Before => &self.lower,
            Side::After => &self.upper,
        };
        let (Bound::Included(bound) | Bound::Excluded(bound)) = far else { return true };
        let order = (self.kind.key.compare)(key, bound);
        order == side.opposite().order() || (order.is_eq() && matches!(far, Bound::Included(_)))
    }

    /// Puts the cursor to the end of the range from which the rows lie on `side`.
    fn place(&mut self, side: Side) -> Result<(), StorageError> {
        self.withdraw()?;
        let (lower, upper) = (bytes_of(&self.lower), bytes_of(&self.upper));
        if self.over || is_empty(&self.kind, lower, upper) {
            return Ok(());
        }
        let (store, tree) = (self.open.store(), self.open.tree()?);
        let cursor = match side {
            Side::After => EditCursor::lower(store, &tree, lower)?,
            Side::Before => EditCursor::upper(store, &tree, upper)?,
        };
        self.live = Some((side, cursor));
        Ok(())
    }

    /// Takes the cursor away. The range then ends with the row that it would have come to next, if there is one.
    fn withdraw(&mut self) -> Result<(), StorageError> {
        let Some((side, mut cursor)) = self.live.take() else { return Ok(()) };
        self.open.settle(&mut cursor, side)?;
        let next = cursor.key(self.open.store(), side)?.map(|key| Bound::Included(key.to_vec()));
        self.open.edit(|editor| cursor.leave(editor))?;
        match (next, side) {
            (None, _) => self.over = true,
            (Some(next), Side::Before) => self.upper = next,
            (Some(next), Side::After) => self.lower = next,
        }
        Ok(())
    }
}

fn bytes_of(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
