//! The storage that a database lives on.

use crate::error::BackendError;
use crate::io;
use core::fmt::Debug;
use core::ops::Bound;

/// Where a database keeps its bytes: a file, memory, flash, anything with these five operations.
#[allow(clippy::len_without_is_empty)]
pub trait StorageBackend: 'static + Debug + Send + Sync {
    /// Length of the storage in bytes.
    fn len(&self) -> Result<u64, io::Error>;
    /// Fills `out` with the bytes from `offset` on; an error if the storage ends before.
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error>;
    /// Makes the storage `len` bytes long; new bytes read as zero.
    fn set_len(&self, len: u64) -> Result<(), io::Error>;
    /// Returns when all that was written before the call survives power loss.
    fn sync_data(&self) -> Result<(), io::Error>;
    /// Writes `data` at `offset`, within the storage's length.
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error>;
    /// Releases locks and handles. Called once, last.
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
