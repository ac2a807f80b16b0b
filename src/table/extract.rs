use super::guard::Lends;
use super::range::{RowGuards, guards};
use super::sweep::Sweep;
use crate::btree::Side;
use crate::error::StorageError;
use crate::types::{Key, Value};
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;

/// Removes the rows for which a predicate is true and gives them, from both ends: see
/// [`Table::extract_if`](super::Table::extract_if).
pub struct ExtractIf<
    'a,
    K: Key + 'static,
    V: Value + 'static,
    F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool,
> {
    rows: Extraction<'a, K, V>,
    predicate: F,
}

/// The same, with the predicate told at each step.
pub(super) struct Extraction<'a, K: Key + 'static, V: Value + 'static> {
    sweep: Sweep<'a>,
    state: State,
    types: Lends<&'a mut (), (K, V)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// There are no more rows.
    Over,
    /// An error was met, or the predicate panicked.
    Failed,
}

impl<'a, K: Key + 'static, V: Value + 'static, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>
    ExtractIf<'a, K, V, F>
{
    pub(super) fn new(sweep: Sweep<'a>, predicate: F) -> Self {
        Self { rows: Extraction::new(sweep), predicate }
    }

    /// Ends the iteration, as dropping it does. Rows that it has not come to stay, and are not tested.
    ///
    /// # Errors
    ///
    /// What went wrong while the tree was put in order, which also breaks the transaction;
    /// [`PreviousIo`](StorageError::PreviousIo) if the iterator has met an error before.
    pub fn close(self) -> Result<(), StorageError> {
        self.rows.close()
    }

    /// Removes the rows that it has not come to, untested.
    pub(super) fn clear(&mut self) -> Result<(), StorageError> {
        self.rows.clear()
    }
}

impl<'a, K: Key + 'static, V: Value + 'static> Extraction<'a, K, V> {
    pub(super) fn new(sweep: Sweep<'a>) -> Self {
        Self { sweep, state: State::Running, types: PhantomData }
    }

    pub(super) fn close(mut self) -> Result<(), StorageError> {
        let failed = self.state == State::Failed;
        self.sweep.close()?;
        if failed { Err(StorageError::PreviousIo) } else { Ok(()) }
    }

    pub(super) fn clear(&mut self) -> Result<(), StorageError> {
        match core::mem::replace(&mut self.state, State::Over) {
            State::Running => self.sweep.clear(),
            State::Over => Ok(()),
            State::Failed => Err(StorageError::PreviousIo),
        }
    }

    /// Removes and gives the next row for which `predicate` is true.
    pub(super) fn step(
        &mut self,
        predicate: &mut impl for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool,
        side: Side,
    ) -> Option<Result<RowGuards<'a, K, V>, StorageError>> {
        if self.state != State::Running {
            return (self.state == State::Failed).then_some(Err(StorageError::PreviousIo));
        }
        // Stays so if the predicate panics.
        self.state = State::Failed;
        let row = self.take(predicate, side);
        self.state = match &row {
            Ok(Some(_)) => State::Running,
            Ok(None) => State::Over,
            Err(_) => State::Failed,
        };
        row.transpose()
    }

    fn take(
        &mut self,
        predicate: &mut impl for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool,
        side: Side,
    ) -> Result<Option<RowGuards<'a, K, V>>, StorageError> {
        let Some((key, value)) = find(&mut self.sweep, predicate, side)? else { return Ok(None) };
        let row = (key.detached(), value.detached());
        self.sweep.remove()?;
        Ok(Some(row))
    }
}

/// The next row for which `predicate` is true. The sweep stands before it.
fn find<'a, K: Key + 'static, V: Value + 'static>(
    sweep: &mut Sweep<'_>,
    predicate: &mut impl for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool,
    side: Side,
) -> Result<Option<RowGuards<'a, K, V>>, StorageError> {
    while let Some(row) = sweep.peek(side)? {
        let row: RowGuards<'_, K, V> = guards(row)?;
        if sweep.open().trusting(|| predicate(row.0.value(), row.1.value())) {
            return Ok(Some(row));
        }
        sweep.pass();
    }
    sweep.close()?;
    Ok(None)
}

/// Removes the rows for which `predicate` is false.
pub(super) fn retain<K: Key + 'static, V: Value + 'static>(
    mut sweep: Sweep<'_>,
    mut predicate: impl for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool,
) -> Result<(), StorageError> {
    while let Some(row) = find::<K, V>(&mut sweep, &mut |key, value| !predicate(key, value), Side::After)? {
        drop(row);
        sweep.remove()?;
    }
    Ok(())
}

impl<K: Key + 'static, V: Value + 'static> Drop for Extraction<'_, K, V> {
    fn drop(&mut self) {
        // A failure breaks the transaction, so that the commit tells of it.
        let _ = self.sweep.close();
    }
}

impl<'a, K: Key + 'static, V: Value + 'static, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool> Iterator
    for ExtractIf<'a, K, V, F>
{
    type Item = Result<RowGuards<'a, K, V>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.step(&mut self.predicate, Side::After)
    }
}

impl<K: Key + 'static, V: Value + 'static, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>
    DoubleEndedIterator for ExtractIf<'_, K, V, F>
{
    fn next_back(&mut self) -> Option<Self::Item> {
        self.rows.step(&mut self.predicate, Side::Before)
    }
}

impl<K: Key + 'static, V: Value + 'static, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool> Debug
    for ExtractIf<'_, K, V, F>
{
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ExtractIf").field("state", &self.rows.state).finish_non_exhaustive()
    }
}
