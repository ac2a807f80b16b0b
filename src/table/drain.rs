use super::extract::ExtractIf;
use super::range::RowGuards;
use super::sweep::Sweep;
use crate::error::StorageError;
use crate::types::{Key, Value};
use core::fmt::{Debug, Formatter};

/// Removes the rows of a range and gives them, from both ends: see [`Table::drain`](super::Table::drain).
///
/// Those that it has not given when it is dropped are removed as well.
pub struct Drain<'a, K: Key + 'static, V: Value + 'static> {
    rows: ExtractIf<'a, K, V, TakesAll<K, V>>,
}

type TakesAll<K, V> = for<'f> fn(<K as Value>::SelfType<'f>, <V as Value>::SelfType<'f>) -> bool;

impl<'a, K: Key + 'static, V: Value + 'static> Drain<'a, K, V> {
    pub(super) fn new(sweep: Sweep<'a>) -> Self {
        Self { rows: ExtractIf::new(sweep, |_, _| true) }
    }

    /// Removes the rows that are left, as dropping it does.
    ///
    /// # Errors
    ///
    /// What went wrong meanwhile, which also breaks the transaction; [`PreviousIo`](StorageError::PreviousIo) if the
    /// iterator has met an error before.
    pub fn close(mut self) -> Result<(), StorageError> {
        self.rows.clear()
    }
}

impl<K: Key + 'static, V: Value + 'static> Drop for Drain<'_, K, V> {
    fn drop(&mut self) {
        // A failure breaks the transaction, so that the commit tells of it.
        let _ = self.rows.clear();
    }
}

impl<'a, K: Key + 'static, V: Value + 'static> Iterator for Drain<'a, K, V> {
    type Item = Result<RowGuards<'a, K, V>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

impl<K: Key + 'static, V: Value + 'static> DoubleEndedIterator for Drain<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.rows.next_back()
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for Drain<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}
