use super::StorageBackend;
use crate::error::{BackendError, DatabaseError};
use crate::sync::{AtomicU64, Mutex, Ordering};
use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind};
use std::ops::Bound;

/// A storage in a file, which it locks so that nobody else opens it at the same time.
///
/// Reads and writes of several threads proceed side by side. The operating system's lock is
/// advisory on Unix: it keeps out other sapwood databases, not a program that writes regardless.
///
/// ```
/// use sapwood::{DatabaseError, StorageBackend};
/// use sapwood::backends::FileBackend;
/// use std::fs::File;
///
/// # let directory = tempfile::tempdir()?;
/// let path = directory.path().join("trees.sapwood");
/// let open = || File::options().read(true).write(true).create(true).truncate(false).open(&path);
///
/// let backend = FileBackend::new(open()?)?;
/// assert!(matches!(FileBackend::new(open()?), Err(DatabaseError::DatabaseAlreadyOpen)));
/// backend.close()?;
/// FileBackend::new(open()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileBackend {
    file: positional::Handle,
    /// Length of the file as far as writes may go: a write past the end of a file would extend it.
    end: AtomicU64,
    held: Mutex<Held>,
}

/// The lock that a backend holds of its whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    Shared,
    Exclusive,
}

/// What becomes of a file on a file system that has no locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WithoutLocks {
    Refused,
    Opened,
}

impl FileBackend {
    /// Takes an exclusive lock of `file` and stores the database in it.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::DatabaseAlreadyOpen`] if somebody else holds a lock of the file, and
    /// [`StorageError::Unsupported`](crate::StorageError::Unsupported) inside
    /// [`DatabaseError::Storage`] where the file system has no locks: see
    /// [`Builder::set_allow_unlocked`](crate::Builder::set_allow_unlocked). Anything but a regular
    /// file is refused.
    pub fn new(file: File) -> Result<Self, DatabaseError> {
        Self::exclusive(file, WithoutLocks::Refused)
    }

    /// With an exclusive lock, where there are locks.
    pub(crate) fn exclusive(file: File, without: WithoutLocks) -> Result<Self, DatabaseError> {
        Self::locked(file, Held::Exclusive, without, try_lock)
    }

    /// The same with a shared lock, for somebody who only reads.
    pub(crate) fn shared(file: File, without: WithoutLocks) -> Result<Self, DatabaseError> {
        Self::locked(file, Held::Shared, without, try_lock)
    }

    fn locked(
        file: File,
        wanted: Held,
        without: WithoutLocks,
        lock: impl FnOnce(&File, Held) -> Result<bool, BackendError>,
    ) -> Result<Self, DatabaseError> {
        check_regular(&file)?;
        let held = match lock(&file, wanted) {
            Ok(true) => wanted,
            Ok(false) => return Err(DatabaseError::DatabaseAlreadyOpen),
            Err(BackendError::Unsupported) if without == WithoutLocks::Opened => Held::Nothing,
            Err(err) => return Err(err.into()),
        };
        // Only under the lock is nobody else changing the length.
        let end = AtomicU64::new(file.metadata()?.len());
        Ok(Self { file: positional::Handle::new(file), end, held: Mutex::new(held) })
    }

    fn check_within(&self, offset: u64, len: usize) -> Result<(), Error> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.end.load(Ordering::Acquire) => Ok(()),
            _ => Err(crate::io::invalid_input("the write ends past the file")),
        }
    }

    fn release(&self) -> Result<(), Error> {
        let mut held = self.held.lock();
        if *held != Held::Nothing {
            self.file.file().unlock()?;
            *held = Held::Nothing;
        }
        Ok(())
    }

    /// Takes the lock `wanted` unless one as strong is held; `take` says whether it got it.
    fn acquire(
        &self,
        wanted: Held,
        take: impl FnOnce(&File) -> Result<bool, BackendError>,
    ) -> Result<bool, BackendError> {
        let mut held = self.held.lock();
        match (*held, wanted) {
            (Held::Nothing, _) => {
                let taken = take(self.file.file())?;
                if taken {
                    *held = wanted;
                }
                Ok(taken)
            }
            // An upgrade would have to let go of the lock in between.
            (Held::Shared, Held::Exclusive) => Err(BackendError::Unsupported),
            _ => Ok(true),
        }
    }
}

impl Drop for FileBackend {
    /// A duplicate of the handle, in a child process for instance, would keep the lock.
    fn drop(&mut self) {
        // Nobody is left to tell of a failure, and closing the handle releases its lock as well.
        let _ = self.release();
    }
}

/// Opening a directory for reading succeeds on Unix, and pipes and devices have no length to set.
fn check_regular(file: &File) -> Result<(), Error> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Error::new(ErrorKind::IsADirectory, "a directory cannot hold a database"));
    }
    if !metadata.is_file() {
        return Err(crate::io::invalid_input("only a regular file can hold a database"));
    }
    Ok(())
}

/// Takes a lock of the whole file: `false` if somebody else's is in the way.
fn try_lock(file: &File, wanted: Held) -> Result<bool, BackendError> {
    let outcome = match wanted {
        Held::Nothing => Ok(()),
        Held::Shared => file.try_lock_shared(),
        Held::Exclusive => file.try_lock(),
    };
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(err)) => Err(err.into()),
    }
}

/// The operating system's lock has no ranges: only the whole storage can be locked.
fn check_whole(start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
    match (start, end) {
        (Bound::Unbounded | Bound::Included(0), Bound::Unbounded) => Ok(()),
        _ => Err(BackendError::Unsupported),
    }
}

/// Locks are of the whole storage only; one is held from [`FileBackend::new`] to `close`.
impl StorageBackend for FileBackend {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.file.file().metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        self.file.file().set_len(len)?;
        self.end.store(len, Ordering::Release);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        // A file length that the data needs is synced with it; on Apple's systems the standard
        // library asks the drive to empty its cache too, which `fsync` alone does not there.
        self.file.file().sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.check_within(offset, data.len())?;
        self.file.write(offset, data)
    }

    fn close(&self) -> Result<(), Error> {
        self.release()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        check_whole(start, end)?;
        self.acquire(Held::Exclusive, |file| try_lock(file, Held::Exclusive))
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        check_whole(start, end)?;
        self.acquire(Held::Shared, |file| try_lock(file, Held::Shared))
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        check_whole(start, end)?;
        self.acquire(Held::Exclusive, |file| Ok(file.lock().map(|()| true)?)).map(|_| ())
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        check_whole(start, end)?;
        self.acquire(Held::Shared, |file| Ok(file.lock_shared().map(|()| true)?)).map(|_| ())
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        check_whole(start, end)?;
        Ok(self.release()?)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        check_whole(start, end)?;
        let held = self.held.lock();
        match *held {
            Held::Exclusive => Ok(false),
            // Whether other readers are there cannot be found out without letting go.
            Held::Shared => Err(BackendError::Unsupported),
            Held::Nothing => {
                let free = try_lock(self.file.file(), Held::Exclusive)?;
                if free {
                    self.file.file().unlock()?;
                }
                Ok(!free)
            }
        }
    }
}

#[cfg(unix)]
mod positional {
    use std::fs::File;
    use std::io::Error;
    use std::os::unix::fs::FileExt;

    /// A file read and written at offsets, without a cursor that threads would share.
    #[derive(Debug)]
    pub(super) struct Handle(File);

    impl Handle {
        pub(super) fn new(file: File) -> Self {
            Self(file)
        }

        pub(super) fn file(&self) -> &File {
            &self.0
        }

        pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
            self.0.read_exact_at(out, offset)
        }

        pub(super) fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
            self.0.write_all_at(data, offset)
        }
    }
}

#[cfg(windows)]
mod positional {
    use std::fs::File;
    use std::io::{Error, ErrorKind};
    use std::os::windows::fs::FileExt;

    /// A file read and written at offsets; the cursor moves, and nobody looks at it.
    #[derive(Debug)]
    pub(super) struct Handle(File);

    impl Handle {
        pub(super) fn new(file: File) -> Self {
            Self(file)
        }

        pub(super) fn file(&self) -> &File {
            &self.0
        }

        pub(super) fn read(&self, mut offset: u64, mut out: &mut [u8]) -> Result<(), Error> {
            while !out.is_empty() {
                let count = match self.0.seek_read(out, offset) {
                    Err(err) if err.kind() == ErrorKind::Interrupted => continue,
                    outcome => outcome?,
                };
                out = match out.get_mut(count..) {
                    Some(rest) if count > 0 => rest,
                    _ => return Err(crate::io::unexpected_end("the read ends past the file")),
                };
                offset += count as u64;
            }
            Ok(())
        }

        pub(super) fn write(&self, mut offset: u64, mut data: &[u8]) -> Result<(), Error> {
            while !data.is_empty() {
                let count = match self.0.seek_write(data, offset) {
                    Err(err) if err.kind() == ErrorKind::Interrupted => continue,
                    outcome => outcome?,
                };
                data = match data.get(count..) {
                    Some(rest) if count > 0 => rest,
                    _ => return Err(ErrorKind::WriteZero.into()),
                };
                offset += count as u64;
            }
            Ok(())
        }
    }
}

#[cfg(not(any(unix, windows)))]
mod positional {
    use crate::sync::Mutex;
    use std::fs::File;
    use std::io::{Error, Read, Seek, SeekFrom, Write};

    /// A file whose one cursor is used by one thread at a time.
    #[derive(Debug)]
    pub(super) struct Handle {
        file: File,
        cursor: Mutex<()>,
    }

    impl Handle {
        pub(super) fn new(file: File) -> Self {
            Self { file, cursor: Mutex::new(()) }
        }

        pub(super) fn file(&self) -> &File {
            &self.file
        }

        pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
            let _cursor = self.cursor.lock();
            (&self.file).seek(SeekFrom::Start(offset))?;
            (&self.file).read_exact(out)
        }

        pub(super) fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
            let _cursor = self.cursor.lock();
            (&self.file).seek(SeekFrom::Start(offset))?;
            (&self.file).write_all(data)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StorageError;
    use std::path::Path;

    const ALL: Bound<u64> = Bound::Unbounded;

    fn open(path: &Path) -> File {
        File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    }

    fn in_directory(test: impl FnOnce(&Path)) {
        let directory = tempfile::tempdir().unwrap();
        test(&directory.path().join("file"));
    }

    fn assert_taken(outcome: Result<FileBackend, DatabaseError>) {
        assert!(matches!(outcome, Err(DatabaseError::DatabaseAlreadyOpen)), "{outcome:?}");
    }

    #[test]
    fn conforms() {
        crate::backend::check_backend(|| FileBackend::new(tempfile::tempfile().unwrap()).unwrap()).unwrap();
    }

    #[test]
    fn a_second_opener_is_refused_until_close_or_drop() {
        in_directory(|path| {
            let first = FileBackend::new(open(path)).unwrap();
            assert_taken(FileBackend::new(open(path)));
            first.close().unwrap();
            let second = FileBackend::new(open(path)).unwrap();
            assert_taken(FileBackend::new(open(path)));
            // The first gives nothing back twice: the lock is the second's now.
            drop(first);
            assert_taken(FileBackend::new(open(path)));
            drop(second);
            FileBackend::new(open(path)).unwrap();
        });
    }

    #[test]
    fn dropping_releases_the_lock_from_duplicates_of_the_handle() {
        in_directory(|path| {
            let file = open(path);
            let duplicate = file.try_clone().unwrap();
            drop(FileBackend::new(file).unwrap());
            FileBackend::new(open(path)).unwrap();
            drop(duplicate);
        });
    }

    #[test]
    fn writing_past_the_end_is_refused_and_does_not_extend() {
        in_directory(|path| {
            std::fs::write(path, b"rings").unwrap();
            let backend = FileBackend::new(open(path)).unwrap();
            for (offset, len) in [(5, 1), (3, 3), (0, 6), (100, 1), (u64::MAX, 1)] {
                let err = backend.write(offset, &[1; 6][..len]).unwrap_err();
                assert_eq!(err.kind(), ErrorKind::InvalidInput);
            }
            assert_eq!(backend.len().unwrap(), 5);
            backend.set_len(6).unwrap();
            backend.write(3, b"ers").unwrap();
            backend.close().unwrap();
            assert_eq!(std::fs::read(path).unwrap(), b"riners");
        });
    }

    #[test]
    fn a_read_past_the_end_is_an_unexpected_end() {
        in_directory(|path| {
            std::fs::write(path, b"rings").unwrap();
            let backend = FileBackend::new(open(path)).unwrap();
            let err = backend.read(3, &mut [0; 3]).unwrap_err();
            assert_eq!(err.kind(), ErrorKind::UnexpectedEof);
        });
    }

    #[cfg(unix)]
    #[test]
    fn directories_and_devices_are_refused() {
        let kind = |path: &Path| match FileBackend::new(File::open(path).unwrap()) {
            Err(DatabaseError::Storage(StorageError::Io(err))) => err.kind(),
            other => panic!("{other:?}"),
        };
        assert_eq!(kind(tempfile::tempdir().unwrap().path()), ErrorKind::IsADirectory);
        assert_eq!(kind(Path::new("/dev/null")), ErrorKind::InvalidInput);
    }

    /// A file whose lock the system says this of.
    fn told(path: &Path, without: WithoutLocks, kind: ErrorKind) -> Result<FileBackend, DatabaseError> {
        FileBackend::locked(open(path), Held::Exclusive, without, |_, _| Err(Error::from(kind).into()))
    }

    #[test]
    fn a_file_system_without_locks_is_a_typed_error() {
        in_directory(|path| {
            let refused = told(path, WithoutLocks::Refused, ErrorKind::Unsupported);
            assert!(matches!(refused, Err(DatabaseError::Storage(StorageError::Unsupported))));
        });
    }

    #[test]
    fn a_file_system_without_locks_is_taken_by_those_who_allow_it() {
        in_directory(|path| {
            let first = told(path, WithoutLocks::Opened, ErrorKind::Unsupported).unwrap();
            // There is nothing to give back, and nothing that keeps others out.
            let second = told(path, WithoutLocks::Opened, ErrorKind::Unsupported).unwrap();
            first.close().unwrap();
            second.set_len(3).unwrap();
            assert_eq!(first.len().unwrap(), 3);
            // It does not take itself for locked.
            assert!(first.try_lock_range(ALL, ALL).unwrap());
            assert_taken(FileBackend::new(open(path)));
            let failed = told(path, WithoutLocks::Opened, ErrorKind::PermissionDenied);
            assert!(matches!(failed, Err(DatabaseError::Storage(StorageError::Io(_)))));
        });
    }

    #[test]
    fn those_who_allow_it_lock_where_there_are_locks() {
        in_directory(|path| {
            let first = FileBackend::exclusive(open(path), WithoutLocks::Opened).unwrap();
            assert_taken(FileBackend::exclusive(open(path), WithoutLocks::Opened));
            assert_taken(FileBackend::shared(open(path), WithoutLocks::Opened));
            assert_taken(FileBackend::new(open(path)));
            first.close().unwrap();
            let _reader = FileBackend::shared(open(path), WithoutLocks::Opened).unwrap();
            FileBackend::shared(open(path), WithoutLocks::Refused).unwrap();
            assert_taken(FileBackend::exclusive(open(path), WithoutLocks::Opened));
        });
    }

    #[test]
    fn range_locks_are_of_the_whole_storage_only() {
        in_directory(|path| {
            let backend = FileBackend::new(open(path)).unwrap();
            let part = Bound::Included(9);
            assert!(matches!(backend.try_lock_range(part, ALL), Err(BackendError::Unsupported)));
            assert!(matches!(backend.try_lock_shared_range(ALL, part), Err(BackendError::Unsupported)));
            assert!(matches!(backend.unlock_range(part, part), Err(BackendError::Unsupported)));
            assert!(backend.try_lock_range(Bound::Included(0), ALL).unwrap());
            assert!(!backend.query_lock_range(ALL, ALL).unwrap());
            backend.unlock_range(ALL, ALL).unwrap();
            let other = FileBackend::new(open(path)).unwrap();
            assert!(!backend.try_lock_range(ALL, ALL).unwrap());
            assert!(!backend.try_lock_shared_range(ALL, ALL).unwrap());
            assert!(backend.query_lock_range(ALL, ALL).unwrap());
            other.close().unwrap();
            assert!(!backend.query_lock_range(ALL, ALL).unwrap());
            backend.lock_shared_range(ALL, ALL).unwrap();
            assert!(matches!(backend.lock_range(ALL, ALL), Err(BackendError::Unsupported)));
            assert_taken(FileBackend::new(open(path)));
        });
    }
}
