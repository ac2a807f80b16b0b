//! Compaction: giving back what the file has too much of.

use super::close::commit_again;
use super::{Core, Database};
use crate::error::{CompactionError, StorageError};
use crate::pages::{CommitMode, Mover, Store};
use crate::sync::Arc;
use crate::txn::has_persistent_savepoints;
use core::ops::ControlFlow;

/// Walks over all trees at most; each finds what the one before made room for. Two are enough, unless memory is so
/// short that freed pages are not known as such before the next walk.
const MOST_WALKS: u32 = 32;
/// Commits after which nothing that was moved is kept for an older one.
const SETTLING: u32 = 3;
/// Pages that an exclusive compaction moves in one commit.
const EXCLUSIVE_STEP: u32 = 4_096;

/// How [`Database::compact_online`] goes about it.
///
/// ```
/// use sapwood::CompactOptions;
///
/// let options = CompactOptions::new().set_pages_per_step(64);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CompactOptions {
    pages_per_step: u32,
}

impl CompactOptions {
    /// Steps of 4 pages.
    pub fn new() -> Self {
        Self { pages_per_step: 4 }
    }

    /// Pages that are moved in one commit, at least one and at most 1,000; what names them is copied beside. While it
    /// lasts other writers wait.
    #[must_use]
    pub fn set_pages_per_step(self, pages: u32) -> Self {
        Self { pages_per_step: pages.clamp(1, 1_000) }
    }
}

impl Default for CompactOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// How far a compaction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactProgress {
    /// Pages that were moved, without those that only name them.
    pub moved_pages: u64,
    /// Length of the file in pages when it began.
    pub pages_before: u64,
    /// Length of the file in pages now.
    pub pages_now: u64,
}

/// A compaction at work.
struct Compaction<'c> {
    store: &'c Arc<Store>,
    pages_per_step: u32,
    progress: CompactProgress,
}

impl<'c> Compaction<'c> {
    fn new(store: &'c Arc<Store>, pages_per_step: u32) -> Self {
        let pages = u64::from(store.file_pages());
        // What a step changes must fit the cache, with what names it.
        let fitting = u32::try_from(store.cache().budget() / 4 / store.page_size()).unwrap_or(u32::MAX);
        let progress = CompactProgress { pages_before: pages, pages_now: pages, ..CompactProgress::default() };
        Self { store, pages_per_step: pages_per_step.min(fitting).max(1), progress }
    }

    /// One step of a walk. The caller holds the writer's gate.
    fn step(&mut self, mover: &mut Mover) -> Result<(), StorageError> {
        let before = mover.moved;
        self.store.move_some(mover, self.pages_per_step)?;
        self.progress.moved_pages += mover.moved - before;
        self.progress.pages_now = u64::from(self.store.file_pages());
        Ok(())
    }

    /// A commit that cuts the file's end off, as far as it is free. The caller holds the writer's gate.
    fn settle(&mut self) -> Result<(), StorageError> {
        commit_again(self.store, CommitMode { tight: true, ..CommitMode::default() })?;
        self.progress.pages_now = u64::from(self.store.file_pages());
        Ok(())
    }

    /// Moves and cuts until nothing changes, or `between`, which is called between steps, breaks.
    fn run(
        &mut self,
        mut exclusively: impl FnMut(&mut dyn FnMut() -> Result<(), StorageError>) -> Result<(), StorageError>,
        mut between: impl FnMut(&CompactProgress) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        exclusively(&mut || self.store.prepare_writes())?;
        for _ in 0..MOST_WALKS {
            // What older commits alone need is free after that, and not taken for what has to fit the front of the
            // file.
            for _ in 0..SETTLING {
                exclusively(&mut || self.settle())?;
                if between(&self.progress).is_break() {
                    return Ok(());
                }
            }
            let mut mover = Mover::default();
            exclusively(&mut || {
                mover = self.store.begin_move()?;
                Ok(())
            })?;
            loop {
                exclusively(&mut || self.step(&mut mover))?;
                self.store.cache().let_readers_finish();
                if mover.is_done() {
                    break;
                }
                if between(&self.progress).is_break() {
                    return Ok(());
                }
            }
            if mover.moved == 0 {
                break;
            }
        }
        exclusively(&mut || self.settle())
    }
}

/// Before anything else is refused: what a savepoint holds on to would be taken for a transaction.
fn check_no_savepoints(store: &Store) -> Result<(), CompactionError> {
    if has_persistent_savepoints(store)? {
        return Err(CompactionError::PersistentSavepointExists);
    }
    if store.has_ephemeral_savepoints() { Err(CompactionError::EphemeralSavepointExists) } else { Ok(()) }
}

impl Database {
    /// Moves what lies high in the file to free pages below, and gives the free end of the file back. Says whether the
    /// file is shorter now.
    ///
    /// ```
    /// use sapwood::{Database, TableDefinition, backends::InMemoryBackend};
    ///
    /// const LEAVES: TableDefinition<u64, &[u8]> = TableDefinition::new("leaves");
    /// let mut db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// for leaf in 0..1_000 {
    ///     txn.open_table(LEAVES)?.insert(leaf, &[0; 100][..])?;
    /// }
    /// txn.commit()?;
    /// let txn = db.begin_write()?;
    /// txn.open_table(LEAVES)?.retain(|leaf, _| leaf > 900)?;
    /// txn.commit()?;
    /// assert!(db.compact()?);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// Commits without durability are made durable first.
    ///
    /// # Errors
    ///
    /// As redb, in this order: [`PersistentSavepointExists`](CompactionError::PersistentSavepointExists) in the newest
    /// commit, [`EphemeralSavepointExists`](CompactionError::EphemeralSavepointExists), and
    /// [`TransactionInProgress`](CompactionError::TransactionInProgress) while a transaction lives, or a table or range
    /// of one. [`compact_online`](Self::compact_online) works beside all of these.
    pub fn compact(&mut self) -> Result<bool, CompactionError> {
        check_no_savepoints(&self.core.store)?;
        let core = Arc::get_mut(&mut self.core).ok_or(CompactionError::TransactionInProgress)?;
        Arc::get_mut(&mut core.store).ok_or(CompactionError::TransactionInProgress)?;
        let mut compaction = Compaction::new(&core.store, EXCLUSIVE_STEP);
        compaction.run(|work| work(), |_| ControlFlow::Continue(()))?;
        Ok(compaction.progress.pages_now < compaction.progress.pages_before)
    }

    /// Compacts beside readers and writers, with savepoints or without: in steps, each a durable commit of its own,
    /// between which other writers have their turn. `progress` is called after each step, and may end it.
    ///
    /// What readers and savepoints need that the newest commit does not link stays where it is, and the file ends
    /// behind it. Once they are gone, compact again.
    ///
    /// ```
    /// use core::ops::ControlFlow;
    /// use sapwood::{CompactOptions, Database, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let done = db.compact_online(CompactOptions::new(), |progress| {
    ///     println!("{} of {} pages", progress.pages_now, progress.pages_before);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert!(done.pages_now <= done.pages_before);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the storage. What was moved until then is moved.
    pub fn compact_online(
        &self,
        options: CompactOptions,
        progress: impl FnMut(&CompactProgress) -> ControlFlow<()>,
    ) -> Result<CompactProgress, CompactionError> {
        let Core { store, gate, .. } = &*self.core;
        let mut compaction = Compaction::new(store, options.pages_per_step);
        let exclusively = |work: &mut dyn FnMut() -> Result<(), StorageError>| {
            let _pass = gate.pass();
            work()
        };
        compaction.run(exclusively, progress)?;
        Ok(compaction.progress)
    }
}
