//! A storage in memory whose bytes the test can copy while a database is open on it.

use sapwood::StorageBackend;
use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Which calls fail, and how they are told apart.
#[derive(Debug, Default)]
struct Faults {
    set_len: Option<ErrorKind>,
    write: Option<ErrorKind>,
    sync: Option<ErrorKind>,
}

/// Clones share their bytes.
#[derive(Clone, Debug, Default)]
pub struct Image {
    bytes: Arc<Mutex<Vec<u8>>>,
    faults: Arc<Mutex<Faults>>,
    closes: Arc<AtomicUsize>,
    /// Number of the one read that fails, counted down; 0 if none does.
    failing_read: Arc<AtomicUsize>,
}

impl Image {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: Arc::new(Mutex::new(bytes)), ..Self::default() }
    }

    /// The bytes as they stand: what a process that dies now leaves behind.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().clone()
    }

    /// From now on growing fails, or works again.
    pub fn fail_set_len(&self, kind: Option<ErrorKind>) {
        self.faults.lock().unwrap().set_len = kind;
    }

    /// From now on writing fails, or works again.
    pub fn fail_write(&self, kind: Option<ErrorKind>) {
        self.faults.lock().unwrap().write = kind;
    }

    /// From now on syncing fails, or works again.
    pub fn fail_sync(&self, kind: Option<ErrorKind>) {
        self.faults.lock().unwrap().sync = kind;
    }

    /// The `nth` read from now on fails, and no other. `false` from [`read_failed`](Self::read_failed) until then.
    pub fn fail_read(&self, nth: usize) {
        self.failing_read.store(nth, Ordering::Relaxed);
    }

    /// Whether the read that was to fail has done so.
    pub fn read_failed(&self) -> bool {
        self.failing_read.load(Ordering::Relaxed) == 0
    }

    /// How often the storage was let go.
    pub fn closes(&self) -> usize {
        self.closes.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap()
    }

    fn fault(&self, of: impl Fn(&Faults) -> Option<ErrorKind>) -> Result<(), Error> {
        match of(&self.faults.lock().unwrap()) {
            Some(kind) => Err(Error::new(kind, "a fault of the test")),
            None => Ok(()),
        }
    }
}

fn outside() -> Error {
    Error::new(ErrorKind::UnexpectedEof, "outside the storage")
}

impl StorageBackend for Image {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let count_down = |left: usize| left.checked_sub(1);
        if self.failing_read.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count_down) == Ok(1) {
            return Err(Error::new(ErrorKind::TimedOut, "a fault of the test"));
        }
        let bytes = self.lock();
        let start = usize::try_from(offset).map_err(|_| outside())?;
        let end = start.checked_add(out.len()).ok_or_else(outside)?;
        out.copy_from_slice(bytes.get(start..end).ok_or_else(outside)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.fault(|faults| faults.set_len)?;
        // A database that is asked to grow without bound must not take the test's memory with it.
        if len > 64 << 20 {
            return Err(Error::new(ErrorKind::StorageFull, "the test's storage is at most 64 MiB"));
        }
        self.lock().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.fault(|faults| faults.sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.fault(|faults| faults.write)?;
        let mut bytes = self.lock();
        let start = usize::try_from(offset).map_err(|_| outside())?;
        let end = start.checked_add(data.len()).ok_or_else(outside)?;
        bytes.get_mut(start..end).ok_or_else(outside)?.copy_from_slice(data);
        Ok(())
    }

    fn close(&self) -> Result<(), Error> {
        self.closes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
