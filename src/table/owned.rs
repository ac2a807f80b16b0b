use super::guard::AccessGuard;
use super::range::Range;
use crate::error::StorageError;
use crate::sync::Arc;
use crate::txn::Snapshot;
use crate::types::{Key, Value};
use core::fmt::{Debug, Formatter};

/// A key or value that was read, which keeps its read transaction alive.
///
/// [`ReadOnlyTable::get_owned`](crate::ReadOnlyTable::get_owned) and [`OwnedRange`] give it.
pub struct OwnedAccessGuard<V: Value + 'static> {
    guard: AccessGuard<'static, V>,
    _snapshot: Arc<Snapshot>,
}

impl<V: Value + 'static> OwnedAccessGuard<V> {
    pub(super) fn new(guard: AccessGuard<'static, V>, snapshot: Arc<Snapshot>) -> Self {
        Self { guard, _snapshot: snapshot }
    }

    /// The key or value.
    pub fn value(&self) -> V::SelfType<'_> {
        self.guard.value()
    }
}

impl<V: Value + 'static> Debug for OwnedAccessGuard<V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        self.guard.fmt(f)
    }
}

/// A [`Range`] that keeps its read transaction alive, as do the guards that it gives.
///
/// ```
/// use sapwood::{Database, OwnedRange, ReadableDatabase, TableDefinition, backends::InMemoryBackend};
///
/// const RINGS: TableDefinition<u64, u64> = TableDefinition::new("rings");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_table(RINGS)?.insert(1, 120)?;
/// txn.commit()?;
///
/// let rings: OwnedRange<u64, u64> = db.begin_read()?.open_table(RINGS)?.range_owned(0..10)?;
/// for row in rings {
///     assert_eq!(row?.1.value(), 120);
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct OwnedRange<K: Key + 'static, V: Value + 'static> {
    rows: Range<'static, K, V>,
    snapshot: Arc<Snapshot>,
}

impl<K: Key + 'static, V: Value + 'static> OwnedRange<K, V> {
    pub(super) fn new(rows: Range<'static, K, V>, snapshot: Arc<Snapshot>) -> Self {
        Self { rows, snapshot }
    }

    fn own<T: Value + 'static>(&self, guard: AccessGuard<'static, T>) -> OwnedAccessGuard<T> {
        OwnedAccessGuard::new(guard, self.snapshot.clone())
    }
}

impl<K: Key + 'static, V: Value + 'static> Iterator for OwnedRange<K, V> {
    type Item = Result<(OwnedAccessGuard<K>, OwnedAccessGuard<V>), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(row.map(|(key, value)| (self.own(key), self.own(value))))
    }
}

impl<K: Key + 'static, V: Value + 'static> DoubleEndedIterator for OwnedRange<K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let row = self.rows.next_back()?;
        Some(row.map(|(key, value)| (self.own(key), self.own(value))))
    }
}

impl<K: Key + 'static, V: Value + 'static> Clone for OwnedRange<K, V> {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), snapshot: self.snapshot.clone() }
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for OwnedRange<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OwnedRange").finish_non_exhaustive()
    }
}
