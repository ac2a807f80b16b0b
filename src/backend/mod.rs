//! The storage that a database lives on.

use crate::error::BackendError;
use crate::io;
use core::fmt::Debug;
use core::ops::Bound;

mod conformance;
#[cfg(feature = "std")]
mod file;
mod memory;

pub use conformance::check_backend;
#[cfg(feature = "std")]
pub use file::FileBackend;
#[cfg(feature = "std")]
pub(crate) use file::WithoutLocks;
pub use memory::InMemoryBackend;

/// Where a database keeps its bytes: a file, memory, flash, anything with these five operations.
///
/// # While the power is on
///
/// A storage is a run of bytes, `0..len`. Only [`set_len`](Self::set_len) changes the length, and
/// bytes it adds are zero, those included that an earlier `set_len` had cut off. A read gives the
/// bytes last written, by any thread, synced or not. Operations come from several threads at once;
/// two writes that overlap, or a read and a write, never do so at the same time. Nobody else
/// changes the storage between opening the database and [`close`](Self::close): a backend whose
/// storage others can reach must lock it, as [`FileBackend`](crate::backends::FileBackend) does.
///
/// An operation that cannot be done whole is an error, never done in part and called a success. An
/// error does not say how much was done: a write or `set_len` that failed may have happened, wholly
/// or in part. After a failed write or sync the database takes no further write and has to be opened
/// anew; a `set_len` that failed to make the storage longer, a full disk, ends only its transaction.
///
/// # When the power fails
///
/// All that was done before a call of [`sync_data`](Self::sync_data) that returned `Ok` is there
/// when the storage is opened again. Of what was done later, or was only being done, anything may
/// be found, for each operation on its own and in no order:
///
/// - a write that was kept, or lost, or torn: some of its sectors new and others old,
/// - a write whose sectors hold neither, but garbage,
/// - a `set_len` that was kept or lost, whatever became of the writes before and after it; where a
///   growth was lost, the writes beyond the old end are lost, or made the storage longer themselves.
///
/// The database survives every one of these. What it relies on is that power loss leaves the bytes
/// alone that no unsynced operation touched. After a `sync_data` that failed, the operations that it
/// should have covered count as unsynced forever, even if a later one succeeds.
///
/// When the process dies and the power stays, nothing is lost; what was not synced remains so.
///
/// [`check_backend`](crate::backends::check_backend) tries whether a backend keeps the first half
/// of this.
///
/// ```
/// use sapwood::StorageBackend;
/// use sapwood::backends::{InMemoryBackend, check_backend};
/// use sapwood::io::Error;
///
/// /// A storage that lies behind a header of 512 bytes which belongs to somebody else.
/// #[derive(Debug)]
/// struct Behind(InMemoryBackend);
///
/// impl StorageBackend for Behind {
///     fn len(&self) -> Result<u64, Error> {
///         Ok(self.0.len()?.saturating_sub(512))
///     }
///     fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
///         self.0.read(offset.checked_add(512).ok_or(Error::other("past the end"))?, out)
///     }
///     fn set_len(&self, len: u64) -> Result<(), Error> {
///         self.0.set_len(len + 512)
///     }
///     fn sync_data(&self) -> Result<(), Error> {
///         self.0.sync_data()
///     }
///     fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
///         self.0.write(offset + 512, data)
///     }
/// }
///
/// check_backend(|| {
///     let inner = InMemoryBackend::new();
///     inner.set_len(512).unwrap();
///     Behind(inner)
/// })
/// .unwrap();
/// ```
#[allow(clippy::len_without_is_empty)]
pub trait StorageBackend: 'static + Debug + Send + Sync {
    /// Length of the storage in bytes.
    fn len(&self) -> Result<u64, io::Error>;
    /// Fills `out` with the bytes from `offset` on; an error if the storage ends before.
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error>;
    /// Makes the storage `len` bytes long; new bytes read as zero.
    fn set_len(&self, len: u64) -> Result<(), io::Error>;
    /// Returns when all that was written before the call, and the length, survives power loss.
    ///
    /// On a drive with a volatile cache that means to have emptied the cache.
    fn sync_data(&self) -> Result<(), io::Error>;
    /// Writes `data` at `offset`, within the storage's length.
    ///
    /// The database never writes past the end, and so need not be stopped; a backend that can tell
    /// should refuse, for it would be a bug.
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error>;
    /// Releases locks and handles. Called once, last, also when opening the database fails.
    fn close(&self) -> Result<(), io::Error> {
        Ok(())
    }
    /// Takes an exclusive lock of a byte range: `false` if somebody else's lock is in the way.
    fn try_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Err(BackendError::Unsupported)
    }
    /// Takes a shared lock of a byte range: `false` if somebody else's exclusive lock is in the way.
    fn try_lock_shared_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Err(BackendError::Unsupported)
    }
    /// Waits for an exclusive lock of a byte range.
    fn lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Err(BackendError::Unsupported)
    }
    /// Waits for a shared lock of a byte range.
    fn lock_shared_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Err(BackendError::Unsupported)
    }
    /// Gives back a lock taken with the same bounds.
    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Err(BackendError::Unsupported)
    }
    /// Whether an exclusive lock of the range by somebody else would be in the way.
    fn query_lock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<bool, BackendError> {
        Err(BackendError::Unsupported)
    }
}
