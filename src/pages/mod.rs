//! The page store: pages and runs of bytes that are read whole and verified, written once, and given back when no
//! snapshot needs them.

pub(crate) mod allocator;
mod backup;
pub(crate) mod cache;
mod check;
mod commit;
mod compare;
mod edit;
mod holders;
mod load;
pub(crate) mod page_set;
mod recovery;
mod relocate;
mod runs;
mod savepoints;
mod seal;
pub(crate) mod snapshots;
mod space;
mod survey;
#[cfg(test)]
pub(crate) mod test_rng;
mod walk;
mod writer;

pub use check::VerifyLevel;
pub(crate) use check::{CatalogRow, Inspector, Seen};
pub use commit::OpenOutcome;
pub(crate) use commit::{CommitMode, Opened, Watch};
pub(crate) use edit::PageMut;
pub use holders::SnapshotInfo;
pub(crate) use load::{Glance, PageRef, damaged, damaged_page};
pub(crate) use relocate::Mover;
pub(crate) use runs::split_off;
pub(crate) use savepoints::Held;
pub(crate) use space::{Accounting, Class, Commit, pages_of};
pub(crate) use writer::PageWriter;

use crate::backend::StorageBackend;
use crate::error::StorageError;
use crate::format::Geometry;
use crate::settings::Settings;
use crate::sync::{Arc, AtomicBool, AtomicU32, Bell, Mutex, Ordering};
use allocator::FreeMap;
use cache::Cache;
use space::Space;

/// One open file: its storage, its cache, and who needs which page.
#[derive(Debug)]
pub(crate) struct Store {
    backend: Arc<dyn StorageBackend>,
    geometry: Geometry,
    settings: Settings,
    cache: Cache,
    space: Mutex<Space>,
    /// Length of the file in pages; reads outside it are refused before they reach the backend.
    file_pages: AtomicU32,
    /// A write or a sync failed: what reached the disk is unknown, so nothing more is written.
    failed: AtomicBool,
    closed: AtomicBool,
    /// Rung with the id of each commit that is published.
    commits: Bell,
}

impl Store {
    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(crate) fn page_size(&self) -> usize {
        self.geometry.page_size
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn file_pages(&self) -> u32 {
        self.file_pages.load(Ordering::Acquire)
    }

    /// An error if a write or sync has failed or the database was closed.
    pub(crate) fn check_usable(&self) -> Result<(), StorageError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(StorageError::PreviousIo);
        }
        self.check_open()
    }

    pub(crate) fn check_open(&self) -> Result<(), StorageError> {
        if self.closed.load(Ordering::Acquire) { Err(StorageError::DatabaseClosed) } else { Ok(()) }
    }

    /// Makes a write or sync, and remembers for good if it fails or panics.
    fn latch<T>(&self, change: impl FnOnce() -> Result<T, crate::io::Error>) -> Result<T, StorageError> {
        let failing = Failing(&self.failed);
        let done = change()?;
        core::mem::forget(failing);
        Ok(done)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Refuses everything from now on and lets the backend go.
    pub(crate) fn shut(&self) -> Result<(), StorageError> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.commits.end();
        self.backend.close().map_err(StorageError::Io)
    }

    pub(crate) fn commits(&self) -> &Bell {
        &self.commits
    }

    /// Commit that a new reader would see, kept for it until [`release`](Self::release).
    pub(crate) fn acquire_head(&self) -> Commit {
        self.space.lock().acquire_head()
    }

    /// Gives back what [`acquire_head`](Self::acquire_head) kept.
    pub(crate) fn release(&self, commit: &Commit) {
        let mut space = self.space.lock();
        space.readers -= 1;
        space.drop_snapshot(commit.id, &self.cache);
    }

    /// How many pages of the file are free, if that is known.
    pub(crate) fn free_pages(&self) -> Option<u32> {
        self.space.lock().free_map.as_ref().map(FreeMap::free_pages)
    }

    /// How the file's pages add up right now.
    pub(crate) fn accounting(&self) -> Option<Accounting> {
        self.space.lock().accounting()
    }
}

/// Notes a failure when dropped: a write or sync ended with an error or a panic.
struct Failing<'s>(&'s AtomicBool);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
