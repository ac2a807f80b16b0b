//! Opening, closing and checking a database: the only place that knows all the parts.

mod builder;
mod close;
mod verify;

pub use crate::pages::OpenOutcome;
pub use builder::Builder;
pub use verify::VerifyReport;

use crate::error::{DatabaseError, TransactionError};
use crate::pages::{Opened, Store};
use crate::sync::{Arc, Gate};
use crate::txn::{ReadTransaction, WriteTransaction};
use core::fmt::{Debug, Formatter};
#[cfg(feature = "std")]
use std::path::Path;

/// An open database file.
///
/// Dropping it closes the file. A write transaction that is still open then keeps it open until it ends.
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
pub struct Database {
    core: Arc<Core>,
    outcome: OpenOutcome,
}

/// What closes the file when the last of database and write transaction is gone.
struct Core {
    store: Arc<Store>,
    gate: Arc<Gate>,
}

/// How the page cache has done since the database was opened.
#[derive(Clone, Copy, Debug)]
pub struct CacheStats {
    hits: u64,
    misses: u64,
    evictions: u64,
    used_bytes: usize,
}

impl CacheStats {
    /// Pages that had to make room for others.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Reads that found their page in memory. Under many threads some go uncounted.
    pub fn read_hits(&self) -> u64 {
        self.hits
    }

    /// Reads that went to the storage.
    pub fn read_misses(&self) -> u64 {
        self.misses
    }

    /// Memory that the cache takes, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
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
    fn new(opened: Opened) -> Self {
        #[cfg(feature = "logging")]
        match &opened.outcome {
            OpenOutcome::Clean => log::debug!("opened a database that was closed properly"),
            OpenOutcome::Recovered => log::warn!("opened a database that was not closed properly; nothing is lost"),
            OpenOutcome::RolledBack(why) => log::error!("rolled back to the commit before the last: {why}"),
        }
        let core = Core { store: opened.store, gate: Arc::default() };
        Self { core: Arc::new(core), outcome: opened.outcome }
    }

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

    /// Begins the write transaction. Waits while there is another.
    pub fn begin_write(&self) -> Result<WriteTransaction, TransactionError> {
        let pass = self.core.gate.pass();
        Ok(WriteTransaction::begin(&self.core.store, pass, self.core.clone())?)
    }

    /// Checks the whole newest commit: every page's checksum and shape, and that each page of the file is exactly one
    /// of linked, kept for a snapshot, and free. Reads everything and changes no row; like a write transaction, it makes
    /// the file one that is in use, and waits while there is a write transaction.
    pub fn verify(&self) -> Result<VerifyReport, DatabaseError> {
        let _pass = self.core.gate.pass();
        Ok(verify::verify(&self.core.store)?)
    }
}

impl ReadableDatabase for Database {
    fn begin_read(&self) -> Result<ReadTransaction, TransactionError> {
        ReadTransaction::begin(&self.core.store)
    }

    fn cache_stats(&self) -> CacheStats {
        let cache = self.core.store.cache();
        let stats = cache.stats();
        CacheStats {
            hits: stats.hits,
            misses: stats.misses,
            evictions: stats.evictions,
            used_bytes: cache.used_bytes(),
        }
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
