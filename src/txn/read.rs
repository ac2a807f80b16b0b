use super::catalog::{self, Definition};
use super::definition::{TableDefinition, TableHandle};
use crate::error::{TableError, TransactionError};
use crate::pages::{Commit, Store};
use crate::sync::Arc;
use crate::table::ReadOnlyTable;
use crate::types::{Key, Value};
use alloc::boxed::Box;
use alloc::string::ToString;

/// A committed state that stays readable while this lives.
#[derive(Debug)]
pub(crate) struct Snapshot {
    store: Arc<Store>,
    commit: Commit,
}

impl Snapshot {
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.store.release(&self.commit);
    }
}

/// A view of the whole database as it was when the transaction began, whatever is committed since.
///
/// ```
/// use sapwood::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
///
/// const NAMES: TableDefinition<u64, &str> = TableDefinition::new("names");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_table(NAMES)?.insert(1, "sapwood")?;
/// txn.commit()?;
///
/// let before = db.begin_read()?;
/// let txn = db.begin_write()?;
/// txn.open_table(NAMES)?.remove(1)?;
/// txn.commit()?;
/// assert_eq!(before.open_table(NAMES)?.len()?, 1);
/// assert_eq!(db.begin_read()?.open_table(NAMES)?.len()?, 0);
/// # Ok::<(), sapwood::Error>(())
/// ```
#[derive(Debug)]
pub struct ReadTransaction {
    snapshot: Arc<Snapshot>,
}

impl ReadTransaction {
    pub(crate) fn begin(store: &Arc<Store>) -> Result<Self, TransactionError> {
        store.check_open()?;
        let snapshot = Snapshot { store: store.clone(), commit: store.acquire_head() };
        Ok(Self { snapshot: Arc::new(snapshot) })
    }

    /// Opens a table.
    ///
    /// # Errors
    ///
    /// [`TableDoesNotExist`](TableError::TableDoesNotExist), or
    /// [`TableTypeMismatch`](TableError::TableTypeMismatch) and its kin if the table is of other types.
    pub fn open_table<K: Key + 'static, V: Value + 'static>(
        &self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, TableError> {
        let name = definition.name();
        catalog::check_name(name)?;
        self.snapshot.store.check_open()?;
        let entry = catalog::look_up(&self.snapshot.store, self.snapshot.commit.data, name)?
            .ok_or_else(|| TableError::TableDoesNotExist(name.to_string()))?;
        entry.definition.check(name, &Definition::of::<K, V>())?;
        Ok(ReadOnlyTable::new(name.to_string(), self.snapshot.clone(), entry.root))
    }

    /// Ends the transaction.
    ///
    /// # Errors
    ///
    /// Gives the transaction back in [`ReadTransactionStillInUse`](TransactionError::ReadTransactionStillInUse) while
    /// tables or ranges of it live.
    pub fn close(self) -> Result<(), TransactionError> {
        if Arc::strong_count(&self.snapshot) > 1 {
            return Err(TransactionError::ReadTransactionStillInUse(Box::new(self)));
        }
        Ok(())
    }
}
