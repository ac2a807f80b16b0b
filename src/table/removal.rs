use super::drain::Drain;
use super::read::with_bounds;
use super::write::Table;
use crate::error::StorageError;
use crate::types::{Key, Value};
use core::borrow::Borrow;
use core::ops::RangeBounds;

/// Removing all rows of a range.
impl<K: Key + 'static, V: Value + 'static> Table<'_, K, V> {
    /// Removes the rows of a range of keys, and says how many there were. A range whose start is after its end has
    /// none.
    ///
    /// Pages that lie wholly in the range are let go without a look at their rows: of leaves, those at the two ends are
    /// read, a neighbour of each if what is left of it is little, and those that point to long keys and values.
    ///
    /// # Errors
    ///
    /// An error half-way breaks the transaction: it can only be aborted.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
    ///
    /// const SQUARES: TableDefinition<u64, u64> = TableDefinition::new("squares");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut squares = txn.open_table(SQUARES)?;
    ///     for number in 0..100 {
    ///         squares.insert(number, number * number)?;
    ///     }
    ///     assert_eq!(squares.delete_range(..30)?, 30);
    ///     assert_eq!(squares.delete_range(20..=40)?, 11);
    ///     assert_eq!(squares.len()?, 59);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn delete_range<'a, KR>(&mut self, range: impl RangeBounds<KR> + 'a) -> Result<u64, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        with_bounds::<K, KR, _>(&range, |start, end| self.edit(|editor| editor.delete_range(start, end)))
    }
    /// The rows of a range of keys, in an iterator from both ends that removes them. A range whose start is after its
    /// end has none.
    ///
    /// When it is dropped, the rows that it has not given are removed as well, as by
    /// [`delete_range`](Self::delete_range). If it is leaked, they stay.
    ///
    /// # Errors
    ///
    /// After an error the iterator gives [`PreviousIo`](StorageError::PreviousIo) for good; the rows that it gave are
    /// removed, and the others stay.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
    ///
    /// const SQUARES: TableDefinition<u64, u64> = TableDefinition::new("squares");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut squares = txn.open_table(SQUARES)?;
    ///     for number in 0..100 {
    ///         squares.insert(number, number * number)?;
    ///     }
    ///     let mut drained = squares.drain(..50)?;
    ///     assert_eq!(drained.next().transpose()?.map(|(number, _)| number.value()), Some(0));
    ///     assert_eq!(drained.next_back().transpose()?.map(|(number, _)| number.value()), Some(49));
    ///     drained.close()?;
    ///     assert_eq!(squares.len()?, 50);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn drain<'a, KR>(&mut self, range: impl RangeBounds<KR> + 'a) -> Result<Drain<'_, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        Ok(Drain::new(self.sweep::<KR>(&range)))
    }
}
