use super::guard::{AccessGuard, Lends};
use crate::btree::{RangeCursor, Row};
use crate::error::StorageError;
use crate::pages::Store;
use crate::sync::Arc;
use crate::txn::{Loan, Snapshot};
use crate::types::{Key, Value};
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;

/// What keeps the pages of a range readable.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Snapshot(Arc<Snapshot>),
    Table(Arc<Store>, #[expect(dead_code, reason = "kept for its drop")] Loan),
}

impl Source {
    pub(super) fn store(&self) -> &Store {
        match self {
            Self::Snapshot(snapshot) => snapshot.store(),
            Self::Table(store, _) => store,
        }
    }
}

/// The rows of a range of keys, in key order, from both ends. After an error it gives no more.
pub struct Range<'a, K: Key + 'static, V: Value + 'static> {
    cursor: RangeCursor,
    source: Source,
    types: Lends<&'a (), (K, V)>,
}

/// A row as it is given to a user.
pub(super) type RowGuards<'a, K, V> = (AccessGuard<'a, K>, AccessGuard<'a, V>);

impl<'a, K: Key + 'static, V: Value + 'static> Range<'a, K, V> {
    pub(super) fn new(cursor: RangeCursor, source: Source) -> Self {
        Self { cursor, source, types: PhantomData }
    }

    fn guards(&mut self, row: Result<Option<Row>, StorageError>) -> Option<Result<RowGuards<'a, K, V>, StorageError>> {
        let row = row.and_then(|row| row.map(guards).transpose());
        if row.is_err() {
            self.cursor = RangeCursor::default();
        }
        row.transpose()
    }
}

/// The guards of a row's key and value.
pub(super) fn guards<'a, K: Key + 'static, V: Value + 'static>(
    (key, value): Row,
) -> Result<RowGuards<'a, K, V>, StorageError> {
    Ok((AccessGuard::new(key)?, AccessGuard::new(value)?))
}

impl<'a, K: Key + 'static, V: Value + 'static> Iterator for Range<'a, K, V> {
    type Item = Result<RowGuards<'a, K, V>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.cursor.next(self.source.store());
        self.guards(row)
    }
}

impl<K: Key + 'static, V: Value + 'static> DoubleEndedIterator for Range<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let row = self.cursor.next_back(self.source.store());
        self.guards(row)
    }
}

impl<K: Key + 'static, V: Value + 'static> Clone for Range<'_, K, V> {
    fn clone(&self) -> Self {
        Self { cursor: self.cursor.clone(), source: self.source.clone(), types: PhantomData }
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for Range<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}
