use super::row::{Expiring, Expiry, Now};
use crate::error::StorageError;
use crate::table::guard::{AccessGuard, AccessGuardMut};
use crate::table::range::{Range, RowGuards};
use crate::types::{Key, Value};
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};

/// A value that was read from a TTL table. It keeps its bytes in memory, not its transaction.
pub struct TtlAccessGuard<'a, V: Value + 'static> {
    row: AccessGuard<'a, Expiring<V>>,
}

impl<'a, V: Value + 'static> TtlAccessGuard<'a, V> {
    pub(super) fn new(row: AccessGuard<'a, Expiring<V>>) -> Self {
        Self { row }
    }

    /// `None` if the row has expired.
    pub(super) fn live(row: AccessGuard<'a, Expiring<V>>, now: Now) -> Option<Self> {
        (!now.has_come(row.value().0)).then_some(Self { row })
    }

    /// The value.
    pub fn value(&self) -> V::SelfType<'_> {
        V::from_bytes(self.row.value().1)
    }

    /// When the row expires, in milliseconds since 1970; `None` if it does not.
    pub fn expires_at_ms(&self) -> Option<u64> {
        Expiry::of(self.time()).as_ms()
    }

    pub(super) fn time(&self) -> u64 {
        self.row.value().0
    }
}

impl<V: Value + 'static> Debug for TtlAccessGuard<'_, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        self.value().fmt(f)
    }
}

/// A value of a TTL table that can be replaced.
pub struct TtlAccessGuardMut<'a, V: Value + 'static> {
    row: AccessGuardMut<'a, Expiring<V>>,
}

impl<'a, V: Value + 'static> TtlAccessGuardMut<'a, V> {
    pub(super) fn new(row: AccessGuardMut<'a, Expiring<V>>) -> Self {
        Self { row }
    }

    /// `None` if the row has expired.
    pub(super) fn live(row: AccessGuardMut<'a, Expiring<V>>, now: Now) -> Option<Self> {
        (!now.has_come(row.value().0)).then_some(Self { row })
    }

    /// The value as it stands.
    pub fn value(&self) -> V::SelfType<'_> {
        V::from_bytes(self.row.value().1)
    }

    /// When the row expires, in milliseconds since 1970; `None` if it does not.
    pub fn expires_at_ms(&self) -> Option<u64> {
        Expiry::of(self.row.value().0).as_ms()
    }

    /// Replaces the value. The row expires when it did before.
    pub fn insert<'v>(&mut self, value: impl Borrow<V::SelfType<'v>>) -> Result<(), StorageError> {
        let time = self.row.value().0;
        self.row.insert((time, V::as_bytes(value.borrow()).as_ref()))
    }

    /// Has the row expire at another time.
    pub(super) fn set_time(&mut self, time: u64) -> Result<(), StorageError> {
        let bytes = self.row.value().1.to_vec();
        self.row.insert((time, bytes.as_slice()))
    }
}

impl<V: Value + 'static> Debug for TtlAccessGuardMut<'_, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        self.value().fmt(f)
    }
}

/// A row as it is given to a user.
pub(super) type TtlRowGuards<'a, K, V> = (AccessGuard<'a, K>, TtlAccessGuard<'a, V>);

/// A row of the tree as it is given to a user, if it has not expired.
pub(super) fn live_row<K: Key + 'static, V: Value + 'static>(
    row: Result<RowGuards<'_, K, Expiring<V>>, StorageError>,
    now: Now,
) -> Option<Result<TtlRowGuards<'_, K, V>, StorageError>> {
    match row {
        Ok((key, row)) => Some(Ok((key, TtlAccessGuard::live(row, now)?))),
        Err(err) => Some(Err(err)),
    }
}

/// The rows of a range of keys of a TTL table, in key order, from both ends, without those that have expired. After an
/// error it gives no more.
pub struct TtlRange<'a, K: Key + 'static, V: Value + 'static> {
    rows: Range<'a, K, Expiring<V>>,
    now: Now,
}

impl<'a, K: Key + 'static, V: Value + 'static> TtlRange<'a, K, V> {
    pub(super) fn new(rows: Range<'a, K, Expiring<V>>, now: Now) -> Self {
        Self { rows, now }
    }
}

impl<'a, K: Key + 'static, V: Value + 'static> Iterator for TtlRange<'a, K, V> {
    type Item = Result<(AccessGuard<'a, K>, TtlAccessGuard<'a, V>), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.find_map(|row| live_row(row, self.now))
    }
}

impl<K: Key + 'static, V: Value + 'static> DoubleEndedIterator for TtlRange<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.rows.by_ref().rev().find_map(|row| live_row(row, self.now))
    }
}

impl<K: Key + 'static, V: Value + 'static> Clone for TtlRange<'_, K, V> {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), now: self.now }
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for TtlRange<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TtlRange").finish_non_exhaustive()
    }
}
