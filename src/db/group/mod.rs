//! Group commit: changes of many threads in one transaction, and one sync for all of them.

#[cfg(feature = "std")]
mod leader;
#[cfg(feature = "std")]
mod queue;

#[cfg(feature = "std")]
pub(super) use queue::Queue;

use super::Database;
use crate::error::GroupCommitError;
use crate::txn::WriteTransaction;
use alloc::boxed::Box;
use core::fmt::{Debug, Formatter};
#[cfg(feature = "std")]
use core::time::Duration;

/// What a batch changes.
type Change = Box<dyn FnOnce(&WriteTransaction) -> Result<(), Box<dyn core::error::Error + Send + Sync>> + Send>;

/// Changes that are made as a whole, in a transaction that others may share: see [`Database::submit_write_batch`].
pub struct WriteBatch {
    change: Change,
}

impl WriteBatch {
    /// The changes that `change` makes.
    ///
    /// It may run on another thread than the one that submits it. Its transaction is not to be committed or ended by
    /// it, nor are checkpoints made or savepoints restored, all of which would be others' concern as well; new
    /// savepoints can only be made by the first batch of a transaction, and that is nobody's choice. What it opens is
    /// closed when it ends.
    pub fn new<E: Into<Box<dyn core::error::Error + Send + Sync>>>(
        change: impl FnOnce(&WriteTransaction) -> Result<(), E> + Send + 'static,
    ) -> Self {
        Self { change: Box::new(|txn| change(txn).map_err(Into::into)) }
    }
}

impl Debug for WriteBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WriteBatch").finish_non_exhaustive()
    }
}

/// How batches are put together: see [`Builder::set_group_commit`](crate::Builder::set_group_commit).
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct GroupCommitOptions {
    max_batches: u32,
    max_delay: Duration,
}

#[cfg(feature = "std")]
impl GroupCommitOptions {
    /// At most 256 batches in a transaction, and no delay.
    pub fn new() -> Self {
        Self { max_batches: 256, max_delay: Duration::ZERO }
    }

    /// Most batches in one transaction; at least one.
    #[must_use]
    pub fn set_max_batches(self, batches: u32) -> Self {
        Self { max_batches: batches.max(1), ..self }
    }

    /// How long a batch waits for others at most, from when it was submitted, unless there are as many as one
    /// transaction takes. What it waits for another transaction to end is part of that. Without a delay those are
    /// together that came while another transaction was committed, or while the batches before them ran; that is enough
    /// where many threads write, and a delay makes each batch slower where few do.
    #[must_use]
    pub fn set_max_delay(self, delay: Duration) -> Self {
        Self { max_delay: delay, ..self }
    }

    /// Batches that a leader takes besides its own.
    fn others(&self) -> usize {
        usize::try_from(self.max_batches.saturating_sub(1)).unwrap_or(usize::MAX)
    }
}

#[cfg(feature = "std")]
impl Default for GroupCommitOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Database {
    /// Makes the changes of a batch, together with those of others that wait, in one transaction of
    /// [`Durability::Immediate`](crate::Durability::Immediate) with one sync. Returns when they are on disk.
    ///
    /// While a transaction is synced batches gather, and the next one takes them. One of the waiting threads runs the
    /// batches, one after the other in the order of coming, each of which sees what those before it did. It has its
    /// turn beside those who [`begin_write`](Self::begin_write). A batch that fails or panics is undone, and all others
    /// are committed.
    ///
    /// ```
    /// use sapwood::{Database, Error, ReadableTableMetadata, TableDefinition, WriteBatch, backends::InMemoryBackend};
    ///
    /// const LEAVES: TableDefinition<u64, u64> = TableDefinition::new("leaves");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// std::thread::scope(|scope| {
    ///     for leaf in 0..8 {
    ///         let batch = WriteBatch::new(move |txn| {
    ///             txn.open_table(LEAVES)?.insert(leaf, 1)?;
    ///             Ok::<(), Error>(())
    ///         });
    ///         scope.spawn(|| db.submit_write_batch(batch).unwrap());
    ///     }
    /// });
    /// assert_eq!(db.view(|txn| Ok::<_, Error>(txn.open_table(LEAVES)?.len()?))?, 8);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// Without `std` each batch has a transaction of its own.
    ///
    /// # Errors
    ///
    /// Those of this batch alone: [`BatchFailed`](GroupCommitError::BatchFailed) with what it gave;
    /// [`TransactionFailed`](GroupCommitError::TransactionFailed) and [`CommitFailed`](GroupCommitError::CommitFailed)
    /// as from `begin_write` and [`commit`](WriteTransaction::commit). [`Nested`](GroupCommitError::Nested) if a batch
    /// submits another to its own database. As from `begin_write`, it does not return while the thread itself has a
    /// write transaction, or a batch waits for a thread that does the like.
    ///
    /// # Panics
    ///
    /// If the batch does: the panic goes on in the thread that submitted it.
    pub fn submit_write_batch(&self, batch: WriteBatch) -> Result<(), GroupCommitError> {
        self.submit(batch.change)
    }

    #[cfg(not(feature = "std"))]
    fn submit(&self, change: Change) -> Result<(), GroupCommitError> {
        let mut txn = self.begin_write().map_err(GroupCommitError::TransactionFailed)?;
        let made = txn.attempt(change).map_err(GroupCommitError::CommitFailed)?;
        made.map_err(GroupCommitError::BatchFailed)?;
        txn.commit().map_err(GroupCommitError::CommitFailed)
    }
}
