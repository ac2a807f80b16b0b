use super::guard::{AccessGuard, Lends};
use super::open::OpenTree;
use super::range::{RowGuards, guards};
use crate::btree::{EditCursor, Side, check_row};
use crate::error::{CursorError, StorageError};
use crate::txn::Loan;
use crate::types::{Key, Value};
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;

/// A gap between two rows of a table, which moves in both directions, takes new rows and removes those beside it: see
/// [`Table::lower_bound_mut`](super::Table::lower_bound_mut).
///
/// Rows that come one after the other need no way down through the tree while they are in one page. After a
/// [`StorageError`] every call gives [`PreviousIo`](StorageError::PreviousIo).
///
/// ```
/// use core::ops::Bound;
/// use sapwood::{CursorError, Database, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
///
/// const SQUARES: TableDefinition<u64, u64> = TableDefinition::new("squares");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let mut squares = txn.open_table(SQUARES)?;
///     let mut cursor = squares.upper_bound_mut(Bound::<u64>::Unbounded)?;
///     for number in 0..100 {
///         cursor.insert_before(number, number * number)?;
///     }
///     assert!(matches!(cursor.insert_before(7, 49), Err(CursorError::UnorderedKey)));
///     assert_eq!(cursor.remove_prev()?.map(|(number, _)| number.value()), Some(99));
///     cursor.close()?;
///     assert_eq!(squares.len()?, 99);
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct CursorMut<'a, K: Key + 'static, V: Value + 'static> {
    open: OpenTree<'a>,
    _loan: Loan,
    cursor: EditCursor,
    lost: bool,
    types: Lends<&'a mut (), (K, V)>,
}

impl<'a, K: Key + 'static, V: Value + 'static> CursorMut<'a, K, V> {
    pub(super) fn new(open: OpenTree<'a>, loan: Loan, cursor: EditCursor) -> Self {
        Self { open, _loan: loan, cursor, lost: false, types: PhantomData }
    }

    /// The row after the gap. `None` at the end of the table.
    #[allow(clippy::type_complexity)]
    pub fn peek_next(&mut self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        self.row(Side::After)
    }

    /// The row before the gap. `None` at the start of the table.
    #[allow(clippy::type_complexity)]
    pub fn peek_prev(&mut self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        self.row(Side::Before)
    }

    /// Moves past the row after the gap, and gives it. `None` at the end of the table, where it stays.
    #[allow(clippy::type_complexity, clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        self.pass(Side::After)
    }

    /// Moves before the row before the gap, and gives it. `None` at the start of the table, where it stays.
    #[allow(clippy::type_complexity)]
    pub fn prev(&mut self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        self.pass(Side::Before)
    }

    /// Inserts a row into the gap, and moves past it: the gap is then after the new row.
    ///
    /// # Errors
    ///
    /// [`UnorderedKey`](CursorError::UnorderedKey) unless the key is greater than the one before the gap and less than
    /// the one after it, and [`ValueTooLarge`](StorageError::ValueTooLarge) if key or value are over the
    /// [limit](crate::limits); nothing is changed by either, and the cursor stays of use.
    pub fn insert_before<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<(), CursorError> {
        self.insert(K::as_bytes(key.borrow()).as_ref(), V::as_bytes(value.borrow()).as_ref(), Side::Before)
    }

    /// Inserts a row into the gap: the gap is then before the new row.
    ///
    /// # Errors
    ///
    /// As of [`insert_before`](Self::insert_before).
    pub fn insert_after<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<(), CursorError> {
        self.insert(K::as_bytes(key.borrow()).as_ref(), V::as_bytes(value.borrow()).as_ref(), Side::After)
    }

    /// Removes the row after the gap, and gives it. `None` at the end of the table.
    #[allow(clippy::type_complexity)]
    pub fn remove_next(&mut self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        self.remove(Side::After)
    }

    /// Removes the row before the gap, and gives it. `None` at the start of the table.
    #[allow(clippy::type_complexity)]
    pub fn remove_prev(&mut self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        self.remove(Side::Before)
    }

    /// Ends the work, as dropping the cursor does.
    ///
    /// # Errors
    ///
    /// What went wrong while the tree was put in order, which also breaks the transaction.
    pub fn close(mut self) -> Result<(), StorageError> {
        self.leave()
    }

    fn row<'g>(&mut self, side: Side) -> Result<Option<RowGuards<'g, K, V>>, StorageError> {
        self.attempt(|cursor, open| {
            open.settle(cursor, side)?;
            cursor.row(open.store(), side)?.map(guards).transpose()
        })
    }

    fn pass<'g>(&mut self, side: Side) -> Result<Option<RowGuards<'g, K, V>>, StorageError> {
        let row = self.row(side)?;
        if row.is_some() {
            self.cursor.pass(side);
        }
        Ok(row)
    }

    fn remove<'g>(&mut self, side: Side) -> Result<Option<RowGuards<'g, K, V>>, StorageError> {
        let Some((key, value)) = self.row(side)? else { return Ok(None) };
        let row = (key.detached(), value.detached());
        self.attempt(|cursor, open| open.edit(|editor| cursor.remove(editor, side)))?;
        Ok(Some(row))
    }

    fn insert(&mut self, key: &[u8], value: &[u8], side: Side) -> Result<(), CursorError> {
        check_row(key.len(), value.len())?;
        if self.attempt(|cursor, open| open.edit(|editor| cursor.insert(editor, key, value, side)))? {
            Ok(())
        } else {
            Err(CursorError::UnorderedKey)
        }
    }

    /// Works on the cursor, unless it is lost; an error loses it.
    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut EditCursor, OpenTree<'a>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        if self.lost {
            return Err(StorageError::PreviousIo);
        }
        let result = work(&mut self.cursor, self.open);
        self.lost = result.is_err();
        result
    }

    fn leave(&mut self) -> Result<(), StorageError> {
        self.open.edit(|editor| self.cursor.leave(editor))
    }
}

impl<K: Key + 'static, V: Value + 'static> Drop for CursorMut<'_, K, V> {
    fn drop(&mut self) {
        // A failure breaks the transaction, so that the commit tells of it.
        let _ = self.leave();
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for CursorMut<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CursorMut").finish_non_exhaustive()
    }
}
