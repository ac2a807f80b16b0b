use super::Database;
#[cfg(feature = "std")]
use super::ReadOnlyDatabase;
use crate::error::{StorageError, TransactionError};
use crate::txn::{self, ReadTransaction, TransactionInfo};
use alloc::string::String;
use alloc::vec::Vec;

impl Database {
    /// Begins a read transaction that sees the database as the transaction of this id committed it.
    ///
    /// Every durable commit of a write transaction is recorded while
    /// [`set_history_retention`](crate::Builder::set_history_retention) asks for it.
    ///
    /// ```
    /// use sapwood::{Builder, Database, Error, TableDefinition, backends::InMemoryBackend};
    ///
    /// const LEAVES: TableDefinition<u64, &str> = TableDefinition::new("leaves");
    /// let db = Builder::new().set_history_retention(100).create_with_backend(InMemoryBackend::new())?;
    /// for leaf in ["oak", "elm"] {
    ///     db.update(|txn| txn.open_table(LEAVES)?.insert(1, leaf).map(|_| ()).map_err(Error::from))?;
    /// }
    /// let [first, _] = db.transaction_history()?[..] else { panic!("two commits") };
    /// let past = db.begin_read_at(first.transaction_id)?;
    /// assert_eq!(past.open_table(LEAVES)?.get(1)?.unwrap().value(), "oak");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`HistorySnapshotNotFound`](StorageError::HistorySnapshotNotFound) if the commit was not recorded, or has been let go.
    pub fn begin_read_at(&self, transaction_id: u64) -> Result<ReadTransaction, TransactionError> {
        txn::begin_read_at(&self.core.store, transaction_id)
    }

    /// Begins a read transaction that sees the newest recorded commit that is not later than this, in milliseconds since
    /// 1970.
    ///
    /// # Errors
    ///
    /// [`HistoryTimeNotFound`](StorageError::HistoryTimeNotFound) if the history begins later.
    pub fn begin_read_at_time(&self, timestamp_ms: u64) -> Result<ReadTransaction, TransactionError> {
        txn::begin_read_at_time(&self.core.store, timestamp_ms)
    }

    /// The commits that can be read again, oldest first.
    pub fn transaction_history(&self) -> Result<Vec<TransactionInfo>, StorageError> {
        txn::transaction_history(&self.core.store)
    }

    /// The names under which commits are [pinned](crate::WriteTransaction::pin_history), and their ids, ordered by name.
    pub fn history_pins(&self) -> Result<Vec<(String, u64)>, StorageError> {
        txn::history_pins(&self.core.store)
    }
}

#[cfg(feature = "std")]
impl ReadOnlyDatabase {
    /// Begins a read transaction that sees a past commit, as [`Database::begin_read_at`] does.
    pub fn begin_read_at(&self, transaction_id: u64) -> Result<ReadTransaction, TransactionError> {
        txn::begin_read_at(&self.core.store, transaction_id)
    }

    /// The same by time, as [`Database::begin_read_at_time`] does.
    pub fn begin_read_at_time(&self, timestamp_ms: u64) -> Result<ReadTransaction, TransactionError> {
        txn::begin_read_at_time(&self.core.store, timestamp_ms)
    }

    /// The commits that can be read again, oldest first.
    pub fn transaction_history(&self) -> Result<Vec<TransactionInfo>, StorageError> {
        txn::transaction_history(&self.core.store)
    }

    /// The names under which commits are pinned, and their ids, ordered by name.
    pub fn history_pins(&self) -> Result<Vec<(String, u64)>, StorageError> {
        txn::history_pins(&self.core.store)
    }
}
