//! Backups: a copy of one commit, beside readers and writers.

use super::Database;
use crate::backend::StorageBackend;
use crate::error::BackupError;
use crate::format::{CommitSlot, Geometry, Mirror};
use crate::io;
use crate::pages::Store;
use crate::sync::Arc;
use crate::txn::Snapshot;
#[cfg(feature = "std")]
use {
    super::builder::sync_directory,
    crate::backend::{FileBackend, WithoutLocks},
    crate::error::{DatabaseError, StorageError},
    alloc::vec,
    std::{fs::File, io::Write, path::Path},
};

/// Least by which a storage is made longer while a copy is written to it, in bytes.
const GROWTH: u64 = 1 << 20;

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// Id of the transaction whose commit was copied.
    pub transaction_id: u64,
    /// Length of the backup in pages.
    pub pages: u64,
    /// Length of the backup in bytes.
    pub bytes: u64,
}

impl BackupReport {
    fn of(geometry: &Geometry, slot: &CommitSlot) -> Self {
        Self { transaction_id: slot.id, pages: slot.file_pages.into(), bytes: geometry.offset(slot.file_pages) }
    }
}

/// A storage that is written front to back.
struct Sequel<'b> {
    backend: &'b dyn StorageBackend,
    written: u64,
    length: u64,
}

impl Sequel<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), io::Error> {
        let end = self.written + bytes.len() as u64;
        if end > self.length {
            self.length = end + GROWTH.max(end / 8);
            self.backend.set_len(self.length)?;
        }
        self.backend.write(self.written, bytes)?;
        self.written = end;
        Ok(())
    }

    /// Names the commit in mirror and slots, once all of it is there to stay.
    fn finish(&self, geometry: Geometry, slot: &CommitSlot) -> Result<(), io::Error> {
        self.backend.set_len(geometry.offset(slot.file_pages))?;
        self.backend.sync_data()?;
        self.backend.write(self.written, &Mirror::of_closed(geometry, slot).encode())?;
        for index in 0..2 {
            self.backend.write(geometry.slot_offset(index), &slot.encode())?;
        }
        self.backend.sync_data()
    }
}

pub(super) fn to_backend(store: &Arc<Store>, backend: &dyn StorageBackend) -> Result<BackupReport, BackupError> {
    let copied = check_empty(backend).and_then(|()| copy_into(store, backend));
    let closed = backend.close().map_err(BackupError::Target);
    // What went wrong first is what the caller should hear of.
    copied.and_then(|report| closed.map(|()| report))
}

fn check_empty(backend: &dyn StorageBackend) -> Result<(), BackupError> {
    match backend.len() {
        Ok(0) => Ok(()),
        Ok(_) => Err(BackupError::Target(io::invalid_input("the storage for a backup is not empty"))),
        Err(err) => Err(BackupError::Target(err)),
    }
}

fn copy_into(store: &Arc<Store>, backend: &dyn StorageBackend) -> Result<BackupReport, BackupError> {
    let snapshot = Snapshot::begin(store)?;
    let mut sequel = Sequel { backend, written: 0, length: 0 };
    let copied = store.copy_commit(snapshot.commit(), &mut |bytes| sequel.put(bytes)).and_then(|slot| {
        sequel.finish(store.geometry(), &slot).map_err(BackupError::Target)?;
        Ok(BackupReport::of(&store.geometry(), &slot))
    });
    if copied.is_err() {
        // Nobody can open what is there; whether it goes is of no matter.
        let _ = backend.set_len(0);
    }
    copied
}

#[cfg(feature = "std")]
pub(super) fn to_writer(store: &Arc<Store>, mut writer: impl Write) -> Result<BackupReport, BackupError> {
    let snapshot = Snapshot::begin(store)?;
    let slot = store.copy_commit(snapshot.commit(), &mut |bytes| writer.write_all(bytes))?;
    let mut last = vec![0; store.page_size()];
    last.iter_mut().zip(Mirror::of_closed(store.geometry(), &slot).encode()).for_each(|(byte, mirror)| *byte = mirror);
    writer.write_all(&last).and_then(|()| writer.flush()).map_err(BackupError::Target)?;
    Ok(BackupReport::of(&store.geometry(), &slot))
}

#[cfg(feature = "std")]
pub(super) fn to_path(store: &Arc<Store>, path: &Path) -> Result<BackupReport, BackupError> {
    let file = File::options().read(true).write(true).create_new(true).open(path).map_err(BackupError::Target)?;
    let copied =
        to_file(store, file).and_then(|report| sync_directory(path).map(|()| report).map_err(BackupError::Target));
    if copied.is_err() {
        let _ = std::fs::remove_file(path);
    }
    copied
}

#[cfg(feature = "std")]
fn to_file(store: &Arc<Store>, file: File) -> Result<BackupReport, BackupError> {
    // Nobody else knows of a file that was just made.
    let backend = FileBackend::exclusive(file, WithoutLocks::Opened).map_err(|err| match err {
        DatabaseError::Storage(StorageError::Io(err)) => BackupError::Target(err),
        other => BackupError::Target(io::Error::other(other)),
    })?;
    to_backend(store, &backend)
}

impl Database {
    /// Copies the newest commit into a new file at `path`, beside readers and writers. The copy is a database like any
    /// other, closed, and as short as [`compact`](Self::compact) would make it.
    ///
    /// ```
    /// use sapwood::{Database, ReadableDatabase, TableDefinition};
    ///
    /// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (path, copy) = (dir.path().join("trees.sapwood"), dir.path().join("copy.sapwood"));
    /// let db = Database::create(path)?;
    /// let txn = db.begin_write()?;
    /// txn.open_table(RINGS)?.insert("oak", 120)?;
    /// txn.commit()?;
    ///
    /// let report = db.backup(&copy)?;
    /// assert_eq!(report.bytes, std::fs::metadata(&copy).unwrap().len());
    /// let copy = Database::open(copy)?;
    /// assert_eq!(copy.begin_read()?.open_table(RINGS)?.get("oak")?.unwrap().value(), 120);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// What is copied is what a read transaction that begins now would see, commits without durability included;
    /// writers do not wait. Savepoints, history and change log are not copied. The file is on disk when the call
    /// returns; page size and block size are those of this database. Pages are read through the page cache, and memory
    /// does not grow with the database, but for one bit per page.
    ///
    /// # Errors
    ///
    /// [`Target`](BackupError::Target) if there is something at `path` (of kind `AlreadyExists`), or it cannot be
    /// written, [`Storage`](BackupError::Storage) if this database cannot be read. What was written is removed then.
    #[cfg(feature = "std")]
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<BackupReport, BackupError> {
        to_path(&self.core.store, path.as_ref())
    }

    /// Writes what [`backup`](Self::backup) does to `writer`, front to back, and flushes it: a pipe or a socket will
    /// do.
    ///
    /// ```
    /// use sapwood::{Database, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let mut bytes = Vec::new();
    /// let report = db.backup_to(&mut bytes)?;
    /// assert_eq!(report.bytes, bytes.len() as u64);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// Only the last page names the commit, so that a stream that was cut off does not open. Bytes come in pieces of 64
    /// KiB and more.
    ///
    /// # Errors
    ///
    /// As of [`backup`](Self::backup); what was written by then is not taken back.
    #[cfg(feature = "std")]
    pub fn backup_to(&self, writer: impl Write) -> Result<BackupReport, BackupError> {
        to_writer(&self.core.store, writer)
    }

    /// Copies the newest commit, as [`backup`](Self::backup) does, to a storage, which must be empty, and closes it.
    ///
    /// ```
    /// use sapwood::{Database, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let report = db.backup_with_backend(InMemoryBackend::new())?;
    /// assert_eq!(report.bytes, report.pages * 4096);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`backup`](Self::backup), and [`Target`](BackupError::Target) if the storage is not empty, which is left
    /// as it is. After all others the storage is made empty.
    pub fn backup_with_backend(&self, backend: impl StorageBackend) -> Result<BackupReport, BackupError> {
        to_backend(&self.core.store, &backend)
    }
}
