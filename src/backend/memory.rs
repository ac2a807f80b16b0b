use super::StorageBackend;
use crate::io;
use crate::sync::Mutex;
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};
use core::ops::Range;

/// A storage in memory, empty at first and gone when dropped.
///
/// A shrunk storage keeps its memory for the next growth.
///
/// ```
/// use sapwood::StorageBackend;
/// use sapwood::backends::InMemoryBackend;
///
/// let backend = InMemoryBackend::new();
/// backend.set_len(16)?;
/// backend.write(3, b"sap")?;
/// let mut out = [0; 4];
/// backend.read(2, &mut out)?;
/// assert_eq!(&out, b"\0sap");
/// # Ok::<(), sapwood::io::Error>(())
/// ```
#[derive(Default)]
pub struct InMemoryBackend {
    bytes: Mutex<Vec<u8>>,
}

impl InMemoryBackend {
    /// An empty storage.
    pub const fn new() -> Self {
        Self { bytes: Mutex::new(Vec::new()) }
    }
}

impl Debug for InMemoryBackend {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("InMemoryBackend").field("len", &self.bytes.lock().len()).finish()
    }
}

/// The `len` bytes at `offset` as a range, which may end past any storage but does not wrap.
fn range(offset: u64, len: usize) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(len)?)
}

impl StorageBackend for InMemoryBackend {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let bytes = self.bytes.lock();
        let source = range(offset, out.len())
            .and_then(|range| bytes.get(range))
            .ok_or_else(|| io::unexpected_end("the read ends past the storage"))?;
        out.copy_from_slice(source);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        let too_large = || io::Error::other("the storage does not fit into memory");
        let len = usize::try_from(len).map_err(|_| too_large())?;
        let mut bytes = self.bytes.lock();
        let growth = len.saturating_sub(bytes.len());
        // The spare room that `try_reserve` wants may be what does not fit.
        bytes.try_reserve(growth).or_else(|_| bytes.try_reserve_exact(growth)).map_err(|_| too_large())?;
        bytes.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut bytes = self.bytes.lock();
        range(offset, data.len())
            .and_then(|range| bytes.get_mut(range))
            .ok_or_else(|| io::invalid_input("the write ends past the storage"))?
            .copy_from_slice(data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn conforms() {
        crate::backend::check_backend(InMemoryBackend::new).unwrap();
    }

    #[test]
    fn writing_past_the_end_is_refused_and_changes_nothing() {
        let backend = InMemoryBackend::new();
        backend.set_len(8).unwrap();
        for (offset, len) in [(8, 1), (5, 4), (0, 9), (u64::MAX, 1), (u64::MAX - 1, 4)] {
            assert!(backend.write(offset, &[1; 9][..len]).is_err(), "{offset} {len}");
        }
        let mut out = [9; 8];
        backend.read(0, &mut out).unwrap();
        assert_eq!(out, [0; 8]);
        assert_eq!(backend.len().unwrap(), 8);
    }

    #[test]
    fn growth_beyond_memory_is_an_error() {
        let backend = InMemoryBackend::new();
        backend.set_len(3).unwrap();
        backend.write(0, b"abc").unwrap();
        assert!(backend.set_len(u64::MAX).is_err());
        assert!(backend.set_len(isize::MAX as u64).is_err());
        assert_eq!(backend.len().unwrap(), 3);
        let mut out = [0; 3];
        backend.read(0, &mut out).unwrap();
        assert_eq!(&out, b"abc");
    }

    #[test]
    fn debug_tells_the_length_and_not_the_bytes() {
        let backend = InMemoryBackend::default();
        backend.set_len(1000).unwrap();
        assert_eq!(format!("{backend:?}"), "InMemoryBackend { len: 1000 }");
    }

    #[test]
    fn locks_are_not_supported() {
        let backend = InMemoryBackend::new();
        let all = core::ops::Bound::Unbounded;
        assert!(matches!(backend.try_lock_range(all, all), Err(crate::BackendError::Unsupported)));
    }
}
