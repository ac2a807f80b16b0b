//! The rows in which a table differs between two read transactions.

use super::guard::AccessGuard;
use crate::btree::{RowDiff, RowDiffs};
use crate::error::StorageError;
use crate::sync::Arc;
use crate::txn::Snapshot;
use crate::types::Value;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;

/// Two states of one database, which stay readable while this lives.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) old: Arc<Snapshot>,
    pub(crate) new: Arc<Snapshot>,
}

/// The rows in which a table differs, as bytes. [`TableDiff::rows`](crate::TableDiff::rows) makes it. After an error it
/// gives no more.
pub struct DiffRows {
    rows: RowDiffs,
    /// What comes behind: a table that was deleted and created anew has two lists.
    then: Option<RowDiffs>,
    pair: Pair,
}

/// A row, as bytes, that one state of a table has and the other has not, or has with another value.
///
/// Of a multimap it is a key and one of its values, which is the old value if it went, and the new one if it came.
pub struct DiffRow(RowDiff);

/// The rows in which a table of known types differs. After an error it gives no more.
///
/// [`ReadTransaction::diff_table`](crate::ReadTransaction::diff_table) and
/// [`diff_multimap_table`](crate::ReadTransaction::diff_multimap_table) make it.
pub struct TypedDiffRows<K: Value + 'static, V: Value + 'static> {
    rows: RowDiffs,
    pair: Pair,
    types: PhantomData<fn() -> (K, V)>,
}

/// A row that one state of a table has and the other has not, or has with another value.
///
/// Of a multimap it is a key and one of its values, which is the old value if it went, and the new one if it came. It
/// keeps its bytes in memory, not its transactions.
pub struct TypedDiffRow<K: Value + 'static, V: Value + 'static> {
    key: AccessGuard<'static, K>,
    old: Option<AccessGuard<'static, V>>,
    new: Option<AccessGuard<'static, V>>,
}

impl DiffRows {
    pub(crate) fn new(rows: RowDiffs, then: Option<RowDiffs>, pair: Pair) -> Self {
        Self { rows, then, pair }
    }
}

impl Iterator for DiffRows {
    type Item = Result<DiffRow, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.rows.next(self.pair.new.store()).transpose();
            match next {
                Some(row) => {
                    self.then.take_if(|_| row.is_err());
                    return Some(row.map(DiffRow));
                }
                None => self.rows = self.then.take()?,
            }
        }
    }
}

impl DiffRow {
    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.0.key
    }

    /// The value in the older state; `None` if the row was not there.
    pub fn old_value(&self) -> Option<&[u8]> {
        self.0.old.as_deref()
    }

    /// The value in the newer state; `None` if the row is not there.
    pub fn new_value(&self) -> Option<&[u8]> {
        self.0.new.as_deref()
    }
}

impl<K: Value + 'static, V: Value + 'static> TypedDiffRows<K, V> {
    pub(crate) fn new(rows: RowDiffs, pair: Pair) -> Self {
        Self { rows, pair, types: PhantomData }
    }
}

impl<K: Value + 'static, V: Value + 'static> Iterator for TypedDiffRows<K, V> {
    type Item = Result<TypedDiffRow<K, V>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next(self.pair.new.store()).transpose()?.and_then(TypedDiffRow::new);
        if row.is_err() {
            self.rows = RowDiffs::default();
        }
        Some(row)
    }
}

impl<K: Value + 'static, V: Value + 'static> TypedDiffRow<K, V> {
    fn new(row: RowDiff) -> Result<Self, StorageError> {
        Ok(Self {
            key: AccessGuard::new(row.key)?,
            old: row.old.map(AccessGuard::new).transpose()?,
            new: row.new.map(AccessGuard::new).transpose()?,
        })
    }

    /// The key.
    pub fn key(&self) -> K::SelfType<'_> {
        self.key.value()
    }

    /// The value in the older state; `None` if the row was not there.
    pub fn old_value(&self) -> Option<V::SelfType<'_>> {
        self.old.as_ref().map(AccessGuard::value)
    }

    /// The value in the newer state; `None` if the row is not there.
    pub fn new_value(&self) -> Option<V::SelfType<'_>> {
        self.new.as_ref().map(AccessGuard::value)
    }
}

impl Debug for DiffRows {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DiffRows").finish_non_exhaustive()
    }
}

impl Debug for DiffRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DiffRow")
            .field("key", &self.key())
            .field("old", &self.old_value())
            .field("new", &self.new_value())
            .finish()
    }
}

impl<K: Value + 'static, V: Value + 'static> Debug for TypedDiffRows<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TypedDiffRows").finish_non_exhaustive()
    }
}

impl<K: Value + 'static, V: Value + 'static> Debug for TypedDiffRow<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        let Self { key, old, new } = self;
        f.debug_struct("TypedDiffRow").field("key", key).field("old", old).field("new", new).finish()
    }
}
