use super::guard::{AccessGuard, Lends};
use super::range::{Source, guards};
use super::read::bound_bytes;
use crate::btree::{Aim, GapCursor, Side};
use crate::error::StorageError;
use crate::types::{Key, Value};
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;
use core::ops::Bound;

/// A gap between two rows of a table, which moves in both directions: see
/// [`ReadableTable::lower_bound`](super::ReadableTable::lower_bound).
///
/// After an error every call but [`seek`](Self::seek) gives [`PreviousIo`](StorageError::PreviousIo).
///
/// ```
/// use core::ops::Bound;
/// use sapwood::{Database, ReadableTable, TableDefinition, backends::InMemoryBackend};
///
/// const AGES: TableDefinition<&str, u64> = TableDefinition::new("ages");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let mut ages = txn.open_table(AGES)?;
///     for (tree, age) in [("beech", 120), ("oak", 300), ("yew", 900)] {
///         ages.insert(tree, age)?;
///     }
///     let mut cursor = ages.lower_bound(Bound::Included("c"))?;
///     assert_eq!(cursor.peek_prev()?.map(|(_, age)| age.value()), Some(120));
///     assert_eq!(cursor.next()?.map(|(_, age)| age.value()), Some(300));
///     cursor.seek(Bound::Excluded("oak"))?;
///     assert_eq!(cursor.value_len()?, Some(8));
///     assert_eq!(cursor.next()?.map(|(tree, _)| tree.value().to_string()), Some("yew".into()));
///     assert!(cursor.next()?.is_none());
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct Cursor<'a, K: Key + 'static, V: Value + 'static> {
    rows: GapCursor,
    source: Source,
    types: Lends<&'a (), (K, V)>,
}

impl<'a, K: Key + 'static, V: Value + 'static> Cursor<'a, K, V> {
    pub(super) fn new(rows: GapCursor, source: Source) -> Self {
        Self { rows, source, types: PhantomData }
    }

    /// The row after the gap. `None` at the end of the table.
    #[allow(clippy::type_complexity)]
    pub fn peek_next(&mut self) -> Result<Option<(AccessGuard<'a, K>, AccessGuard<'a, V>)>, StorageError> {
        self.rows.peek(self.source.store(), Side::After)?.map(guards).transpose()
    }

    /// The row before the gap. `None` at the start of the table.
    #[allow(clippy::type_complexity)]
    pub fn peek_prev(&mut self) -> Result<Option<(AccessGuard<'a, K>, AccessGuard<'a, V>)>, StorageError> {
        self.rows.peek(self.source.store(), Side::Before)?.map(guards).transpose()
    }

    /// Moves past the row after the gap, and gives it. `None` at the end of the table, where it stays.
    #[allow(clippy::type_complexity, clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(AccessGuard<'a, K>, AccessGuard<'a, V>)>, StorageError> {
        self.rows.pass(self.source.store(), Side::After)?.map(guards).transpose()
    }

    /// Moves before the row before the gap, and gives it. `None` at the start of the table, where it stays.
    #[allow(clippy::type_complexity)]
    pub fn prev(&mut self) -> Result<Option<(AccessGuard<'a, K>, AccessGuard<'a, V>)>, StorageError> {
        self.rows.pass(self.source.store(), Side::Before)?.map(guards).transpose()
    }

    /// Moves to the gap before the first row that a lower bound admits, forward or back. Takes no way down through the
    /// tree if that is in the page at hand, as it often is when one skips a few rows.
    pub fn seek<'k>(&mut self, bound: Bound<impl Borrow<K::SelfType<'k>>>) -> Result<(), StorageError> {
        let kind = *self.rows.kind();
        let bound = bound.as_ref();
        let bytes = bound_bytes::<K, _>(bound);
        self.rows.seek(self.source.store(), &Aim::lower(&kind, bytes.as_ref().map(AsRef::as_ref)))
    }

    /// Length in bytes of the value of the row after the gap. A long value is not read for it. `None` at the end of the
    /// table.
    pub fn value_len(&mut self) -> Result<Option<u64>, StorageError> {
        self.rows.value_length(self.source.store(), Side::After)
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for Cursor<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}
