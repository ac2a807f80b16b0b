//! Opening, closing and checking a database: the only place that knows all the parts.

mod backup;
mod builder;
mod close;
mod compact;
mod group;
mod history;
mod integrity;
#[cfg(feature = "std")]
mod read_only;
mod repair;
mod verify;
mod watch;

pub use crate::pages::{OpenOutcome, SnapshotInfo, VerifyLevel};
pub use backup::BackupReport;
pub use builder::Builder;
pub use compact::{CompactOptions, CompactProgress};
#[cfg(feature = "std")]
pub use group::GroupCommitOptions;
pub use group::WriteBatch;
pub use history::{KeyHistory, KeyVersion};
pub use integrity::{Finding, IntegrityReport, VerifyProgress};
#[cfg(feature = "std")]
pub use read_only::ReadOnlyDatabase;
pub use repair::RepairSession;
pub use verify::VerifyReport;
pub use watch::{CommitWatch, NextCommit};

use crate::error::{CommitError, DatabaseError, StorageError, TransactionError};
use crate::pages::Store;
use crate::pages::cache::CacheStats as Counts;
use crate::sync::{Arc, Gate, GatePass};
use crate::txn::{ReadTransaction, WriteTransaction};
use alloc::vec::Vec;
use core::fmt::{Debug, Display, Formatter};
#[cfg(feature = "std")]
use std::{path::Path, time::Duration};

/// An open database file. Clones are handles of the same one.
///
/// Dropping the last handle closes the file, and so does [`close`](Self::close), which says how that went. A write
/// transaction that is still open then keeps it open until it ends. What needs the database for itself refuses while
/// there is another handle.
///
/// ```
/// use sapwood::{Database, ReadableDatabase, TableDefinition};
///
/// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("trees.sapwood");
/// let db = Database::create(path)?;
/// let txn = db.begin_write()?;
/// txn.open_table(RINGS)?.insert("oak", 120)?;
/// txn.commit()?;
///
/// let rings = db.begin_read()?.open_table(RINGS)?;
/// assert_eq!(rings.get("oak")?.unwrap().value(), 120);
/// # Ok::<(), sapwood::Error>(())
/// ```
#[derive(Clone)]
pub struct Database {
    core: Arc<Core>,
    outcome: OpenOutcome,
}

/// What closes the file when the last of database and write transaction is gone.
struct Core {
    store: Arc<Store>,
    gate: Arc<Gate>,
    #[cfg(feature = "std")]
    batches: group::Queue,
}

/// How the page cache has done since the database was opened.
#[derive(Clone, Copy, Debug)]
pub struct CacheStats {
    counts: Counts,
    used_bytes: usize,
}

impl CacheStats {
    fn of(store: &Store) -> Self {
        let cache = store.cache();
        Self { counts: cache.stats(), used_bytes: cache.used_bytes() }
    }

    /// Pages that had to make room for others.
    pub fn evictions(&self) -> u64 {
        self.counts.evictions
    }

    /// Reads that found their page in memory. Under many threads some go uncounted.
    pub fn read_hits(&self) -> u64 {
        self.counts.hits
    }

    /// Reads that went to the storage.
    pub fn read_misses(&self) -> u64 {
        self.counts.misses
    }

    /// Reads of pages that a write transaction had made before, to change them again, that found them in memory. Of
    /// several threads some go uncounted.
    pub fn write_hits(&self) -> u64 {
        self.counts.write_hits
    }

    /// Such reads that went to the storage: the transaction is larger than the cache.
    pub fn write_misses(&self) -> u64 {
        self.counts.write_misses
    }

    /// Memory that the cache takes, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }
}

/// Why a database was not closed.
#[derive(Debug)]
#[non_exhaustive]
pub enum CloseError {
    /// There is another handle, or a write transaction. The handle is given back.
    InUse(Database),
    /// The storage failed. The file is whole, as after a crash.
    Storage(StorageError),
}

impl From<StorageError> for CloseError {
    fn from(err: StorageError) -> Self {
        Self::Storage(err)
    }
}

impl Display for CloseError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::InUse(_) => f.write_str("another handle or a write transaction is still in use"),
            Self::Storage(err) => Display::fmt(err, f),
        }
    }
}

impl core::error::Error for CloseError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::InUse(_) => None,
            Self::Storage(err) => Some(err),
        }
    }
}

/// What can be read from.
pub trait ReadableDatabase {
    /// Begins a read transaction: a view of the newest commit.
    fn begin_read(&self) -> Result<ReadTransaction, TransactionError>;

    /// How the page cache has done.
    fn cache_stats(&self) -> CacheStats;
}

impl Database {
    /// Opens the database at `path`, creating it if there is no file or an empty one.
    ///
    /// # Errors
    ///
    /// [`DatabaseAlreadyOpen`](DatabaseError::DatabaseAlreadyOpen) if somebody else has it open,
    /// [`UpgradeRequired`](DatabaseError::UpgradeRequired) for a file of another format version, an I/O error of kind
    /// `InvalidData` for a file of another program.
    #[cfg(feature = "std")]
    pub fn create(path: impl AsRef<Path>) -> Result<Self, DatabaseError> {
        Builder::new().create(path)
    }

    /// Opens the database at `path`, which must exist. Errors as of [`create`](Self::create).
    #[cfg(feature = "std")]
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DatabaseError> {
        Builder::new().open(path)
    }

    /// Settings for creating and opening.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// In what state the file was found: closed properly, recovered, or rolled back by a commit.
    pub fn open_outcome(&self) -> &OpenOutcome {
        &self.outcome
    }

    /// Begins the write transaction. Waits while there is another; those who wait have their turn in the order of
    /// coming.
    pub fn begin_write(&self) -> Result<WriteTransaction, TransactionError> {
        self.begin_with(self.core.gate.pass())
    }

    /// Begins the write transaction, unless there is another, or somebody waits to begin one.
    ///
    /// ```
    /// use sapwood::{Database, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.try_begin_write()?.expect("nobody else writes");
    /// assert!(db.try_begin_write()?.is_none());
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn try_begin_write(&self) -> Result<Option<WriteTransaction>, TransactionError> {
        self.core.gate.try_pass().map(|pass| self.begin_with(pass)).transpose()
    }

    /// Begins the write transaction. Waits while there is another, but not longer than `timeout`: then there is none.
    #[cfg(feature = "std")]
    pub fn begin_write_timeout(&self, timeout: Duration) -> Result<Option<WriteTransaction>, TransactionError> {
        self.core.gate.pass_within(timeout).map(|pass| self.begin_with(pass)).transpose()
    }

    fn begin_with(&self, pass: GatePass) -> Result<WriteTransaction, TransactionError> {
        let core = &self.core;
        Ok(WriteTransaction::begin(&core.store, pass, core.clone())?)
    }

    /// What `look` makes of the newest commit.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
    ///
    /// const LEAVES: TableDefinition<u64, &str> = TableDefinition::new("leaves");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// db.update(|txn| txn.open_table(LEAVES)?.insert(1, "oak").map(|_| ()).map_err(sapwood::Error::from))?;
    /// let count = db.view(|txn| Ok::<_, sapwood::Error>(txn.open_table(LEAVES)?.len()?))?;
    /// assert_eq!(count, 1);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn view<T, E: From<TransactionError>>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, E>,
    ) -> Result<T, E> {
        look(&self.begin_read()?)
    }

    /// Makes changes in a write transaction of their own: commits them if `change` succeeds, and undoes them if it
    /// fails or panics. Waits as [`begin_write`](Self::begin_write) does.
    pub fn update<T, E: From<TransactionError> + From<CommitError>>(
        &self,
        change: impl FnOnce(&mut WriteTransaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut txn = self.begin_write()?;
        let made = change(&mut txn)?;
        txn.commit()?;
        Ok(made)
    }

    /// Closes the database, as dropping the last handle does, and says whether that went well. After an error the file
    /// is one that was not closed, and whole.
    ///
    /// Readers that are still there get [`DatabaseClosed`](StorageError::DatabaseClosed) where they read on.
    ///
    /// ```
    /// use sapwood::{CloseError, Database, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let Err(CloseError::InUse(db)) = db.close() else { panic!("somebody still writes") };
    /// drop(txn);
    /// assert!(db.close().is_ok());
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InUse`](CloseError::InUse), with this handle, while there is another one or a write transaction.
    pub fn close(self) -> Result<(), CloseError> {
        let Self { core, outcome } = self;
        match Arc::try_unwrap(core) {
            Ok(core) => Ok(close::close(&core.store)?),
            Err(core) => Err(CloseError::InUse(Self { core, outcome })),
        }
    }

    /// Who holds on to space: the states that read transactions and savepoints keep readable, oldest first.
    ///
    /// What the newest commit links as well is not counted: it costs nothing. Nor are pages that were forgotten to save
    /// memory, or that savepoints have needed since before the file was opened, until somebody looks for them.
    ///
    /// ```
    /// use sapwood::{Database, ReadableDatabase, TableDefinition, backends::InMemoryBackend};
    ///
    /// const RINGS: TableDefinition<u64, u64> = TableDefinition::new("rings");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// for year in 0..3 {
    ///     let txn = db.begin_write()?;
    ///     txn.open_table(RINGS)?.insert(year, 1)?;
    ///     txn.commit()?;
    /// }
    /// let reader = db.begin_read()?;
    /// let txn = db.begin_write()?;
    /// txn.open_table(RINGS)?.insert(3, 1)?;
    /// txn.commit()?;
    ///
    /// let snapshots = db.snapshots();
    /// assert_eq!((snapshots.len(), snapshots[0].readers), (1, 1));
    /// drop(reader);
    /// assert!(db.snapshots().is_empty());
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn snapshots(&self) -> Vec<SnapshotInfo> {
        self.core.store.held_states()
    }

    /// Checks the whole newest commit, as [`verify_integrity`](Self::verify_integrity) does at the level
    /// [`Rows`](VerifyLevel::Rows), and that each page of the file is exactly one of linked, kept for a snapshot, and
    /// free. What is found first is an error. Reads everything and changes no row; like a write transaction, it makes
    /// the file one that is in use, and waits while there is a write transaction.
    pub fn verify(&self) -> Result<VerifyReport, DatabaseError> {
        let _pass = self.core.gate.pass();
        Ok(verify::verify(&self.core.store)?)
    }

    /// Checks the file as it is on disk, and puts right what can be without a loss of rows: `true` if all was well,
    /// `false` if something was not and is now.
    ///
    /// What can be put right are copies of the header and of commit slots, the file's length, and the record of its
    /// free pages. Nothing need be done so after a crash, which opening and the first write deal with. Commits without
    /// durability are made durable first. Reads everything anew, whatever the page cache holds.
    ///
    /// ```
    /// use sapwood::{Database, backends::InMemoryBackend};
    ///
    /// let mut db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// assert!(db.check_integrity()?);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TransactionInProgress`](DatabaseError::TransactionInProgress) while a transaction lives, or a table or range
    /// of one. [`Corrupted`](crate::StorageError::Corrupted) if a page of a table is damaged: no older commit is gone
    /// back to.
    pub fn check_integrity(&mut self) -> Result<bool, DatabaseError> {
        let core = Arc::get_mut(&mut self.core).ok_or(DatabaseError::TransactionInProgress)?;
        Arc::get_mut(&mut core.store).ok_or(DatabaseError::TransactionInProgress)?;
        Ok(verify::check_integrity(&core.store)?)
    }
}

impl ReadableDatabase for Database {
    fn begin_read(&self) -> Result<ReadTransaction, TransactionError> {
        ReadTransaction::begin(&self.core.store)
    }

    fn cache_stats(&self) -> CacheStats {
        CacheStats::of(&self.core.store)
    }
}

impl Core {
    fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            gate: Arc::default(),
            #[cfg(feature = "std")]
            batches: group::Queue::default(),
        }
    }

    #[cfg(feature = "std")]
    fn with_group_commit(mut self, options: GroupCommitOptions) -> Self {
        self.batches = group::Queue::new(options);
        self
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Nobody is left to be told of an error: the next opening finds the file unclean, and whole.
        let _ = close::close(&self.store);
    }
}

impl Debug for Database {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Database").field("page_size", &self.core.store.page_size()).finish_non_exhaustive()
    }
}
