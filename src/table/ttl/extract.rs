use super::guard::{TtlAccessGuard, TtlRowGuards, live_row};
use super::row::{Expiring, Now};
use crate::btree::Side;
use crate::error::StorageError;
use crate::table::drain::Drain;
use crate::table::extract::Extraction;
use crate::table::guard::AccessGuard;
use crate::table::sweep::Sweep;
use crate::types::{Key, Value};
use core::fmt::{Debug, Formatter};

/// Removes the rows of a TTL table for which a predicate is true and gives them, from both ends: see
/// [`TtlTable::extract_if`](crate::TtlTable::extract_if).
pub struct TtlExtractIf<
    'a,
    K: Key + 'static,
    V: Value + 'static,
    F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool,
> {
    rows: Extraction<'a, K, Expiring<V>>,
    predicate: F,
    now: Now,
}

impl<'a, K: Key + 'static, V: Value + 'static, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>
    TtlExtractIf<'a, K, V, F>
{
    pub(super) fn new(sweep: Sweep<'a>, predicate: F, now: Now) -> Self {
        Self { rows: Extraction::new(sweep), predicate, now }
    }

    /// Ends the iteration, as dropping it does: see [`ExtractIf::close`](crate::ExtractIf::close).
    pub fn close(self) -> Result<(), StorageError> {
        self.rows.close()
    }

    fn step(&mut self, side: Side) -> Option<Result<TtlRowGuards<'a, K, V>, StorageError>> {
        let (now, predicate) = (self.now, &mut self.predicate);
        loop {
            let row = self
                .rows
                .step(&mut |key, (time, bytes)| now.has_come(time) || predicate(key, V::from_bytes(bytes)), side)?;
            if let Some(row) = live_row(row, now) {
                return Some(row);
            }
        }
    }
}

impl<'a, K: Key + 'static, V: Value + 'static, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool> Iterator
    for TtlExtractIf<'a, K, V, F>
{
    type Item = Result<(AccessGuard<'a, K>, TtlAccessGuard<'a, V>), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Side::After)
    }
}

impl<K: Key + 'static, V: Value + 'static, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>
    DoubleEndedIterator for TtlExtractIf<'_, K, V, F>
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(Side::Before)
    }
}

impl<K: Key + 'static, V: Value + 'static, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool> Debug
    for TtlExtractIf<'_, K, V, F>
{
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TtlExtractIf").finish_non_exhaustive()
    }
}

/// Removes the rows of a range of a TTL table and gives those that have not expired, from both ends: see
/// [`TtlTable::drain`](crate::TtlTable::drain).
///
/// Those that it has not given when it is dropped are removed as well.
pub struct TtlDrain<'a, K: Key + 'static, V: Value + 'static> {
    rows: Drain<'a, K, Expiring<V>>,
    now: Now,
}

impl<'a, K: Key + 'static, V: Value + 'static> TtlDrain<'a, K, V> {
    pub(super) fn new(rows: Drain<'a, K, Expiring<V>>, now: Now) -> Self {
        Self { rows, now }
    }

    /// Removes the rows that are left, as dropping it does: see [`Drain::close`].
    pub fn close(self) -> Result<(), StorageError> {
        self.rows.close()
    }
}

impl<'a, K: Key + 'static, V: Value + 'static> Iterator for TtlDrain<'a, K, V> {
    type Item = Result<(AccessGuard<'a, K>, TtlAccessGuard<'a, V>), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.find_map(|row| live_row(row, self.now))
    }
}

impl<K: Key + 'static, V: Value + 'static> DoubleEndedIterator for TtlDrain<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.rows.by_ref().rev().find_map(|row| live_row(row, self.now))
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for TtlDrain<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TtlDrain").finish_non_exhaustive()
    }
}
