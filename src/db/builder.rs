use super::Database;
use crate::backend::StorageBackend;
use crate::error::{DatabaseError, StorageError};
use crate::format::Geometry;
use crate::limits::{DEFAULT_CACHE_SIZE, DEFAULT_PAGE_SIZE};
use crate::pages::Store;
use crate::sync::Arc;
#[cfg(feature = "std")]
use {crate::backend::FileBackend, std::fs::File, std::path::Path};

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
#[derive(Debug)]
pub struct Builder {
    cache_size: usize,
    geometry: Geometry,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// The default settings.
    pub fn new() -> Self {
        let geometry = Geometry { page_size: DEFAULT_PAGE_SIZE, block_size: Geometry::DEFAULT_BLOCK_SIZE };
        Self { cache_size: DEFAULT_CACHE_SIZE, geometry }
    }

    /// Memory for cached pages, in bytes; 1 GiB unless said otherwise.
    pub fn set_cache_size(&mut self, bytes: usize) -> &mut Self {
        self.cache_size = bytes;
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
        self.start(Arc::new(FileBackend::new(file)?), false)
    }

    /// Opens the database in `file`, creating it if the file is empty.
    #[cfg(feature = "std")]
    pub fn create_file(&self, file: File) -> Result<Database, DatabaseError> {
        self.start(Arc::new(FileBackend::new(file)?), true)
    }

    /// Opens the database on a storage, creating it if the storage is empty.
    pub fn create_with_backend(&self, backend: impl StorageBackend) -> Result<Database, DatabaseError> {
        self.start(Arc::new(backend), true)
    }

    fn start(&self, backend: Arc<dyn StorageBackend>, create: bool) -> Result<Database, DatabaseError> {
        let started = self.start_on(backend.clone(), create);
        if started.is_err() {
            // What went wrong first is what the caller should hear of.
            let _ = backend.close();
        }
        started
    }

    fn start_on(&self, backend: Arc<dyn StorageBackend>, create: bool) -> Result<Database, DatabaseError> {
        let unfinished = backend.len()? == 0 || Store::is_half_created(&*backend)?;
        let opened = match (unfinished, create) {
            (true, true) => Store::create(backend, self.checked_geometry()?, self.cache_size)?,
            (true, false) => return Err(crate::io::invalid_data("the file is empty, or its creation stopped").into()),
            (false, _) => Store::open(backend, self.cache_size, true)?,
        };
        Ok(Database::new(opened))
    }

    fn checked_geometry(&self) -> Result<Geometry, DatabaseError> {
        if self.geometry.is_valid() {
            return Ok(self.geometry);
        }
        let what = "page size and block size must be powers of two from 512 to 65,536";
        Err(StorageError::Io(crate::io::invalid_input(what)).into())
    }
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
fn sync_directory(path: &Path) -> Result<(), DatabaseError> {
    if cfg!(unix)
        && let Some(parent) = path.parent()
    {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}
