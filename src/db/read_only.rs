use super::{BackupReport, Builder, CacheStats, Core, IntegrityReport, ReadableDatabase, VerifyLevel, VerifyProgress};
use super::{backup, integrity};
use crate::backend::StorageBackend;
use crate::error::{BackupError, DatabaseError, TransactionError};
use crate::pages::{OpenOutcome, Opened};
use crate::txn::ReadTransaction;
use core::fmt::{Debug, Formatter};
use core::ops::ControlFlow;
use std::io::Write;
use std::path::Path;

/// A database file that is open for reading, maybe by several at once, while nobody has it open as a
/// [`Database`](crate::Database). Dropping it closes the file.
///
/// ```
/// use sapwood::{Database, ReadOnlyDatabase, ReadableDatabase, TableDefinition};
///
/// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("trees.sapwood");
/// let db = Database::create(&path)?;
/// let txn = db.begin_write()?;
/// txn.open_table(RINGS)?.insert("oak", 120)?;
/// txn.commit()?;
/// drop(db);
///
/// let (one, another) = (ReadOnlyDatabase::open(&path)?, ReadOnlyDatabase::open(&path)?);
/// for db in [one, another] {
///     assert_eq!(db.begin_read()?.open_table(RINGS)?.get("oak")?.unwrap().value(), 120);
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct ReadOnlyDatabase {
    core: Core,
    outcome: OpenOutcome,
}

impl ReadOnlyDatabase {
    pub(super) fn new(opened: Opened) -> Self {
        Self { core: Core::new(opened.store, Default::default()), outcome: opened.outcome }
    }

    /// Opens the database at `path`, which must exist, as [`Builder::open_read_only`] does.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DatabaseError> {
        Builder::new().open_read_only(path)
    }

    /// In what state the file was found, and is left: closed properly, or with a crash behind its last commit.
    pub fn open_outcome(&self) -> &OpenOutcome {
        &self.outcome
    }

    /// Whether the last commit is the one that closed the file.
    pub(super) fn was_closed(&self) -> bool {
        self.core.store.closing_slot().is_some()
    }

    /// Checks the newest commit, as [`Database::verify_integrity`](crate::Database::verify_integrity) does.
    pub fn verify_integrity(&self, level: VerifyLevel) -> Result<IntegrityReport, DatabaseError> {
        Ok(integrity::check_quietly(&self.core.store, level)?)
    }

    /// The same, with a word on how far it is, as
    /// [`Database::verify_integrity_with`](crate::Database::verify_integrity_with).
    pub fn verify_integrity_with(
        &self,
        level: VerifyLevel,
        progress: impl FnMut(&VerifyProgress) -> ControlFlow<()>,
    ) -> Result<IntegrityReport, DatabaseError> {
        Ok(integrity::check(&self.core.store, level, progress)?)
    }

    /// Copies the newest commit into a new file, as [`Database::backup`](crate::Database::backup) does.
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<BackupReport, BackupError> {
        backup::to_path(&self.core.store, path.as_ref())
    }

    /// Writes such a copy to `writer`, as [`Database::backup_to`](crate::Database::backup_to) does.
    pub fn backup_to(&self, writer: impl Write) -> Result<BackupReport, BackupError> {
        backup::to_writer(&self.core.store, writer)
    }

    /// Writes such a copy to an empty storage, as
    /// [`Database::backup_with_backend`](crate::Database::backup_with_backend) does.
    pub fn backup_with_backend(&self, backend: impl StorageBackend) -> Result<BackupReport, BackupError> {
        backup::to_backend(&self.core.store, &backend)
    }
}

impl ReadableDatabase for ReadOnlyDatabase {
    fn begin_read(&self) -> Result<ReadTransaction, TransactionError> {
        ReadTransaction::begin(&self.core.store)
    }

    fn cache_stats(&self) -> CacheStats {
        CacheStats::of(&self.core.store)
    }
}

impl Debug for ReadOnlyDatabase {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReadOnlyDatabase").field("page_size", &self.core.store.page_size()).finish_non_exhaustive()
    }
}
