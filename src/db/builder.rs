use super::{Core, Database, RepairSession};
use crate::backend::StorageBackend;
use crate::changes::CdcConfig;
use crate::clock::{Clock, Time};
use crate::compression::Compression;
use crate::error::{DatabaseError, StorageError};
use crate::format::Geometry;
use crate::limits::DEFAULT_PAGE_SIZE;
use crate::merge::MergeOperator;
use crate::pages::{OpenOutcome, Opened, Store};
use crate::settings::{HistoryRetention, Settings};
use crate::sync::Arc;
use alloc::boxed::Box;
use alloc::format;
use core::fmt::{Debug, Formatter};
#[cfg(feature = "std")]
use {
    super::{GroupCommitOptions, ReadOnlyDatabase},
    crate::backend::{FileBackend, WithoutLocks},
    std::{fs::File, path::Path},
};

/// Settings for creating and opening a database.
///
/// ```
/// use sapwood::{Builder, backends::InMemoryBackend};
///
/// let db = Builder::new()
///     .set_page_size(8192)
///     .set_cache_size(64 << 20)
///     .create_with_backend(InMemoryBackend::new())?;
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct Builder {
    settings: Settings,
    geometry: Geometry,
    compression: Compression,
    repair_callback: Box<dyn Fn(&mut RepairSession)>,
    #[cfg(feature = "std")]
    without_locks: WithoutLocks,
    #[cfg(feature = "std")]
    group_commit: GroupCommitOptions,
}

/// What may be done to a storage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// It is written, and laid out if it is empty.
    Create,
    #[cfg(feature = "std")]
    Write,
    #[cfg(feature = "std")]
    Read,
}

impl Access {
    fn writes(self) -> bool {
        match self {
            Self::Create => true,
            #[cfg(feature = "std")]
            Self::Write => true,
            #[cfg(feature = "std")]
            Self::Read => false,
        }
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// The default settings.
    pub fn new() -> Self {
        Self {
            settings: Settings::default(),
            geometry: Geometry::new(DEFAULT_PAGE_SIZE, Geometry::DEFAULT_BLOCK_SIZE),
            compression: Compression::None,
            repair_callback: Box::new(|_| {}),
            #[cfg(feature = "std")]
            without_locks: WithoutLocks::Refused,
            #[cfg(feature = "std")]
            group_commit: GroupCommitOptions::new(),
        }
    }

    /// Memory for cached pages, in bytes; 1 GiB unless said otherwise.
    pub fn set_cache_size(&mut self, bytes: usize) -> &mut Self {
        self.settings.cache_size = bytes;
        self
    }

    /// Page size of a file that is created, in bytes: a power of two from 512 to 65,536; 4,096 unless said otherwise.
    /// An existing file keeps its own.
    pub fn set_page_size(&mut self, bytes: usize) -> &mut Self {
        self.geometry.page_size = bytes;
        self
    }

    /// Bytes that the device writes whole, if a file is created: header and commit slots stand that far apart. A power
    /// of two from 512 to 65,536; 4,096 unless said otherwise.
    pub fn set_block_size(&mut self, bytes: usize) -> &mut Self {
        self.geometry.block_size = bytes;
        self
    }

    /// How tables store their values whose definition says nothing of it, in a file that is created; not compressed
    /// unless said otherwise. An existing file keeps its own.
    ///
    /// ```
    /// # #[cfg(feature = "lz4")] {
    /// use sapwood::{Builder, Compression, TableDefinition, backends::InMemoryBackend};
    ///
    /// const LETTERS: TableDefinition<u64, &str> = TableDefinition::new("letters");
    /// let db = Builder::new().set_compression(Compression::Lz4).create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_table(LETTERS)?.insert(1, "again and ".repeat(1_000).as_str())?;
    /// txn.commit()?;
    /// # }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn set_compression(&mut self, compression: Compression) -> &mut Self {
        self.compression = compression;
        self
    }

    /// Where the time comes from. Once it is set, every durable commit is dated, also where nothing else asks for that.
    pub fn set_clock(&mut self, clock: impl Clock + 'static) -> &mut Self {
        self.settings.time = Time::of(Arc::new(clock));
        self
    }

    /// Which past commits stay readable, with [`Database::begin_read_at`]; none unless said otherwise, here or when the
    /// file was last written: a file keeps what was said. In a number's stead, [`HistoryRetention`] has more to say.
    ///
    /// ```
    /// use sapwood::{Builder, ReadableDatabase, TableDefinition, backends::InMemoryBackend};
    ///
    /// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
    /// let db = Builder::new().set_history_retention(10).create_with_backend(InMemoryBackend::new())?;
    /// for rings in 1..=3 {
    ///     let txn = db.begin_write()?;
    ///     txn.open_table(RINGS)?.insert("oak", rings)?;
    ///     txn.commit()?;
    /// }
    /// let first = db.transaction_history()?[0];
    /// let past = db.begin_read_at(first.transaction_id)?;
    /// assert_eq!(past.open_table(RINGS)?.get("oak")?.unwrap().value(), 1);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn set_history_retention(&mut self, retention: impl Into<HistoryRetention>) -> &mut Self {
        self.settings.history = Some(retention.into());
        self
    }

    /// Whether blobs of the same content, which is told by its SHA-256, share it; not unless said otherwise, here or
    /// [of the blob](crate::StoreOptions::with_dedup). What is shared stays so whatever is said later.
    ///
    /// ```
    /// use sapwood::{Builder, ContentType, ReadableBlobs, StoreOptions, backends::InMemoryBackend};
    ///
    /// let db = Builder::new().set_blob_dedup(true).create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// for label in ["acorn", "copy of acorn"] {
    ///     txn.store_blob(&[7; 10_000], ContentType::OctetStream, label, StoreOptions::new())?;
    /// }
    /// assert_eq!(txn.dedup_stats()?.saved_bytes, 10_000);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn set_blob_dedup(&mut self, enabled: bool) -> &mut Self {
        self.settings.blob_dedup.contents = enabled;
        self
    }

    /// Whether contents of blobs are cut into chunks by what their bytes are, of which equal ones are stored once; not
    /// unless said otherwise, here or [of the blob](crate::StoreOptions::with_chunk_dedup).
    ///
    /// ```
    /// use sapwood::{Builder, ContentType, ReadableBlobs, StoreOptions, backends::InMemoryBackend};
    ///
    /// let db = Builder::new().set_blob_chunk_dedup(true).create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let mut rings: Vec<_> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    /// txn.store_blob(&rings, ContentType::OctetStream, "this year", StoreOptions::new())?;
    /// rings.splice(100_000..100_000, [7; 10]);
    /// txn.store_blob(&rings, ContentType::OctetStream, "next year", StoreOptions::new())?;
    /// assert!(txn.dedup_stats()?.saved_bytes > 50_000);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn set_blob_chunk_dedup(&mut self, enabled: bool) -> &mut Self {
        self.settings.blob_dedup.chunks = enabled;
        self
    }

    /// From how many bytes on contents are shared, or cut into chunks that are; 4,096 unless said otherwise. Those of at
    /// most 512 bytes never are: they lie beside what is known of their blobs. A [writer](crate::BlobWriter) does not know
    /// how much will come: it cuts what has 64 KiB, whatever is said here.
    pub fn set_blob_dedup_min_size(&mut self, bytes: u64) -> &mut Self {
        self.settings.blob_dedup.min_size = bytes;
        self
    }

    /// What is written to the change log, and how much of it stays; nothing unless said otherwise, here or when the
    /// file was last written: a file keeps what was said. What single tables say is
    /// [`set_table_cdc`](crate::WriteTransaction::set_table_cdc).
    ///
    /// What a write transaction changed is logged with its commit:
    /// [`read_cdc_since`](crate::ReadTransaction::read_cdc_since) reads it.
    pub fn set_cdc(&mut self, config: CdcConfig) -> &mut Self {
        self.settings.cdc = Some(config);
        self
    }

    /// Makes a merge operator known to the database, under the name by which
    /// [`TableDefinition::with_merge`](crate::TableDefinition::with_merge) has tables refer to it. The file holds the
    /// name alone: see to it that the name always stands for the same operator.
    ///
    /// A name that is known already, be it of an operator that comes with the crate, makes creating and opening fail
    /// with an I/O error of kind `InvalidInput`.
    ///
    /// ```
    /// use sapwood::{Builder, ReadableTable, SetUnion, TableDefinition, Value, backends::InMemoryBackend};
    ///
    /// const TAGS: TableDefinition<u64, Vec<&str>> = TableDefinition::new("tags").with_merge("my_crate.tags");
    /// let mut builder = Builder::new();
    /// builder.register_merge_operator("my_crate.tags", SetUnion::<&str>::new());
    /// let db = builder.create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut tags = txn.open_table(TAGS)?;
    ///     tags.insert(1, vec!["old"])?;
    ///     tags.merge_registered(1, &<Vec<&str>>::as_bytes(&vec!["dry"]))?;
    ///     assert_eq!(tags.get(1)?.unwrap().value(), ["dry", "old"]);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn register_merge_operator(&mut self, name: &str, operator: impl MergeOperator + 'static) -> &mut Self {
        Arc::make_mut(&mut self.settings.operators).register(name, Arc::new(operator));
        self
    }

    /// Has `callback` called while a file that was not closed is opened: before its last commit is checked, and from
    /// time to time until that is done. It may [`abort`](RepairSession::abort) opening.
    ///
    /// The search for free pages that comes before the first write is not told of. Nor is a file without rows, nor one
    /// whose last commit was with [quick repair](crate::WriteTransaction::set_quick_repair).
    ///
    /// ```
    /// use sapwood::{Builder, backends::InMemoryBackend};
    ///
    /// let db = Builder::new()
    ///     .set_repair_callback(|session| println!("{:.0} %", 100.0 * session.progress()))
    ///     .create_with_backend(InMemoryBackend::new())?;
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn set_repair_callback(&mut self, callback: impl Fn(&mut RepairSession) + 'static) -> &mut Self {
        self.repair_callback = Box::new(callback);
        self
    }

    /// Whether files are opened on a file system that has no locks, such as some network file systems; otherwise that
    /// is [`StorageError::Unsupported`], and so it is unless this was called.
    ///
    /// Nothing then keeps anybody out: it is for you to see to it that while a [`Database`] has the file open nobody
    /// else has, in this process or another, on this machine or another. Two that write destroy the file, and a reader
    /// beside a writer sees pages change. Where the file system has locks they are taken as ever, and another's lock is
    /// [`DatabaseAlreadyOpen`](DatabaseError::DatabaseAlreadyOpen).
    ///
    /// ```
    /// use sapwood::{Builder, DatabaseError};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("trees.sapwood");
    /// let mut builder = Builder::new();
    /// builder.set_allow_unlocked(true);
    /// let db = builder.create(&path)?;
    /// // This file system has locks.
    /// assert!(matches!(builder.open(&path), Err(DatabaseError::DatabaseAlreadyOpen)));
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    #[cfg(feature = "std")]
    pub fn set_allow_unlocked(&mut self, allow: bool) -> &mut Self {
        self.without_locks = if allow { WithoutLocks::Opened } else { WithoutLocks::Refused };
        self
    }

    /// How batches are put together that are submitted by [`Database::submit_write_batch`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use sapwood::{Builder, GroupCommitOptions, backends::InMemoryBackend};
    ///
    /// let options = GroupCommitOptions::new().set_max_batches(64).set_max_delay(Duration::from_millis(2));
    /// let db = Builder::new().set_group_commit(options).create_with_backend(InMemoryBackend::new())?;
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    #[cfg(feature = "std")]
    pub fn set_group_commit(&mut self, options: GroupCommitOptions) -> &mut Self {
        self.group_commit = options;
        self
    }

    /// Opens the database at `path`, creating it if there is no file or an empty one.
    #[cfg(feature = "std")]
    pub fn create(&self, path: impl AsRef<Path>) -> Result<Database, DatabaseError> {
        let path = path.as_ref();
        refuse_directory(path)?;
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let database = self.create_file(file)?;
        sync_directory(path)?;
        Ok(database)
    }

    /// Opens the database at `path`, which must exist.
    #[cfg(feature = "std")]
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Database, DatabaseError> {
        refuse_directory(path.as_ref())?;
        let file = File::options().read(true).write(true).open(path)?;
        self.start(Arc::new(FileBackend::exclusive(file, self.without_locks)?), Access::Write)
            .map(|opened| self.database(opened))
    }

    /// Opens the database at `path`, which must exist, for reading, beside others who only read. Nothing is written:
    /// after a crash the file stays as it is, and its last commit is read.
    ///
    /// # Errors
    ///
    /// [`DatabaseAlreadyOpen`](DatabaseError::DatabaseAlreadyOpen) if somebody has it open as a [`Database`].
    #[cfg(feature = "std")]
    pub fn open_read_only(&self, path: impl AsRef<Path>) -> Result<ReadOnlyDatabase, DatabaseError> {
        refuse_directory(path.as_ref())?;
        let file = File::open(path)?;
        self.start(Arc::new(FileBackend::shared(file, self.without_locks)?), Access::Read).map(ReadOnlyDatabase::new)
    }

    /// Opens the database in `file`, creating it if the file is empty.
    #[cfg(feature = "std")]
    pub fn create_file(&self, file: File) -> Result<Database, DatabaseError> {
        self.start(Arc::new(FileBackend::exclusive(file, self.without_locks)?), Access::Create)
            .map(|opened| self.database(opened))
    }

    /// Opens the database on a storage, creating it if the storage is empty.
    pub fn create_with_backend(&self, backend: impl StorageBackend) -> Result<Database, DatabaseError> {
        self.start(Arc::new(backend), Access::Create).map(|opened| self.database(opened))
    }

    fn database(&self, opened: Opened) -> Database {
        let core = Core::new(opened.store);
        #[cfg(feature = "std")]
        let core = core.with_group_commit(self.group_commit);
        Database { core: Arc::new(core), outcome: opened.outcome }
    }

    fn start(&self, backend: Arc<dyn StorageBackend>, access: Access) -> Result<Opened, DatabaseError> {
        let started = self.start_on(backend.clone(), access);
        match &started {
            // What went wrong first is what the caller should hear of.
            Err(_) => _ = backend.close(),
            Ok(opened) => log_outcome(&opened.outcome),
        }
        started
    }

    fn start_on(&self, backend: Arc<dyn StorageBackend>, access: Access) -> Result<Opened, DatabaseError> {
        self.check_operators()?;
        let unfinished = backend.len()? == 0 || Store::is_half_created(&*backend)?;
        match (unfinished, access) {
            (true, Access::Create) => Store::create(backend, self.checked_geometry()?, self.settings.clone()),
            #[cfg(feature = "std")]
            (true, Access::Write | Access::Read) => {
                Err(crate::io::invalid_data("the file is empty, or its creation stopped").into())
            }
            (false, _) => {
                Store::open(backend, self.settings.clone(), access.writes(), &mut |progress| self.report(progress))
            }
        }
    }

    fn report(&self, progress: f64) -> Result<(), DatabaseError> {
        let mut session = RepairSession::new(progress);
        (self.repair_callback)(&mut session);
        if session.is_aborted() { Err(DatabaseError::RepairAborted) } else { Ok(()) }
    }

    fn check_operators(&self) -> Result<(), StorageError> {
        match self.settings.operators.taken() {
            Some(name) => Err(crate::io::invalid_input(&format!("merge operator '{name}' is registered twice")).into()),
            None => Ok(()),
        }
    }

    fn checked_geometry(&self) -> Result<Geometry, DatabaseError> {
        if self.geometry.is_valid() {
            return Ok(Geometry { codec: self.compression.codec()?, ..self.geometry });
        }
        let what = "page size and block size must be powers of two from 512 to 65,536";
        Err(StorageError::Io(crate::io::invalid_input(what)).into())
    }
}

impl Debug for Builder {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        let (settings, geometry) = (&self.settings, &self.geometry);
        f.debug_struct("Builder").field("settings", settings).field("geometry", geometry).finish_non_exhaustive()
    }
}

fn log_outcome(outcome: &OpenOutcome) {
    #[cfg(feature = "logging")]
    match outcome {
        OpenOutcome::Clean => log::debug!("opened a database that was closed properly"),
        OpenOutcome::Recovered => log::warn!("opened a database that was not closed properly; nothing is lost"),
        OpenOutcome::RolledBack(why) => log::error!("rolled back to the commit before the last: {why}"),
    }
    #[cfg(not(feature = "logging"))]
    let _ = outcome;
}

#[cfg(feature = "std")]
fn refuse_directory(path: &Path) -> Result<(), DatabaseError> {
    if path.is_dir() {
        return Err(crate::io::invalid_input("the path is a directory").into());
    }
    Ok(())
}

/// Makes the file's name survive power loss. Only where directories can be opened as files.
#[cfg(feature = "std")]
pub(super) fn sync_directory(path: &Path) -> Result<(), std::io::Error> {
    if cfg!(unix)
        && let Some(parent) = path.parent()
    {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}
