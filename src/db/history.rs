use super::Database;
#[cfg(feature = "std")]
use super::ReadOnlyDatabase;
use crate::error::{Error, StorageError, TableError, TransactionError};
use crate::pages::Store;
use crate::sync::Arc;
use crate::table::AccessGuard;
use crate::txn::{self, Diff, ReadTransaction, TableDefinition, TableHandle, TransactionInfo};
use crate::types::{Key, Value};
use alloc::string::{String, ToString};
use alloc::vec::{self, Vec};
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;

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
    /// [`HistorySnapshotNotFound`](StorageError::HistorySnapshotNotFound) if the commit was not recorded, or has been
    /// let go.
    pub fn begin_read_at(&self, transaction_id: u64) -> Result<ReadTransaction, TransactionError> {
        txn::begin_read_at(&self.core.store, transaction_id)
    }

    /// Begins a read transaction that sees the newest recorded commit that is not later than this, in milliseconds
    /// since 1970.
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

    /// The tables in which two recorded commits differ, by their transactions' ids, as
    /// [`ReadTransaction::diff`] tells them.
    ///
    /// # Errors
    ///
    /// [`HistorySnapshotNotFound`](StorageError::HistorySnapshotNotFound) as of [`begin_read_at`](Self::begin_read_at).
    pub fn diff(&self, older: u64, newer: u64) -> Result<Diff, Error> {
        Ok(self.begin_read_at(older)?.diff(&self.begin_read_at(newer)?)?)
    }

    /// What the recorded commits have under a key, oldest first: one version for each commit at which that changed,
    /// where `None` says that the key, or the table, was not there. Before the first commit that had it there is none.
    ///
    /// Looks the key up in each recorded commit, as the iterator comes to it. Where the table was of other types or of
    /// another kind, it gives the error of [`open_table`](ReadTransaction::open_table), and goes on.
    ///
    /// ```
    /// use sapwood::{Builder, Error, TableDefinition, backends::InMemoryBackend};
    ///
    /// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
    /// let db = Builder::new().set_history_retention(100).create_with_backend(InMemoryBackend::new())?;
    /// for rings in [7, 7, 8] {
    ///     db.update(|txn| txn.open_table(RINGS)?.insert("oak", rings).map(|_| ()).map_err(Error::from))?;
    /// }
    /// let versions: Vec<_> = db.key_history(RINGS, "oak")?.collect::<Result<_, _>>()?;
    /// let rings: Vec<_> = versions.iter().map(|version| version.value.as_ref().map(|rings| rings.value())).collect();
    /// assert_eq!(rings, [Some(7), Some(8)]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn key_history<'k, K: Key + 'static, V: Value + 'static>(
        &self,
        definition: TableDefinition<'_, K, V>,
        key: impl Borrow<K::SelfType<'k>>,
    ) -> Result<KeyHistory<K, V>, StorageError> {
        let commits = self.transaction_history()?.into_iter();
        let key = K::as_bytes(key.borrow()).as_ref().to_vec();
        let table = definition.name().to_string();
        Ok(KeyHistory { store: self.core.store.clone(), commits, table, key, last: None, types: PhantomData })
    }

    /// The names under which commits are [pinned](crate::WriteTransaction::pin_history), and their ids, ordered by
    /// name.
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

/// What became of a key at a recorded commit.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeyVersion<V: Value + 'static> {
    /// The commit.
    pub commit: TransactionInfo,
    /// The value from then on; `None` if the key was gone.
    pub value: Option<AccessGuard<'static, V>>,
}

/// The versions of a key in the recorded commits: see [`Database::key_history`]. Commits that are let go meanwhile are
/// passed over.
pub struct KeyHistory<K: Key + 'static, V: Value + 'static> {
    store: Arc<Store>,
    commits: vec::IntoIter<TransactionInfo>,
    table: String,
    key: Vec<u8>,
    /// The value's bytes in the commit before.
    last: Option<Vec<u8>>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key + 'static, V: Value + 'static> KeyHistory<K, V> {
    /// The version of one commit, if it is another than that of the commit before.
    fn version(&mut self, commit: TransactionInfo) -> Result<Option<KeyVersion<V>>, Error> {
        let txn = match txn::begin_read_at(&self.store, commit.transaction_id) {
            Err(TransactionError::Storage(StorageError::HistorySnapshotNotFound(_))) => return Ok(None),
            begun => begun?,
        };
        let value = match txn.open_table(TableDefinition::<K, V>::new(&self.table)) {
            Ok(table) => table.get(K::from_bytes(&self.key))?,
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(err) => return Err(err.into()),
        };
        let bytes = value.as_ref().map(|value| V::as_bytes(&value.value()).as_ref().to_vec());
        if bytes == self.last {
            return Ok(None);
        }
        self.last = bytes;
        Ok(Some(KeyVersion { commit, value }))
    }
}

impl<K: Key + 'static, V: Value + 'static> Iterator for KeyHistory<K, V> {
    type Item = Result<KeyVersion<V>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let commit = self.commits.next()?;
            if let Some(version) = self.version(commit).transpose() {
                return Some(version);
            }
        }
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for KeyHistory<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyHistory").field("table", &self.table).finish_non_exhaustive()
    }
}
