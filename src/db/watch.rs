//! Waiting for commits.

use super::Database;
use crate::error::StorageError;
use crate::pages::Store;
use crate::sync::{Arc, Heard};
use core::fmt::{Debug, Formatter};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
#[cfg(feature = "std")]
use core::time::Duration;

/// Waits for commits that are newer than the ones it has told of; [`Database::watch`] makes it. It does not keep the
/// database open.
pub struct CommitWatch {
    store: Arc<Store>,
    seen: u64,
    /// By which the store knows it.
    listener: u64,
}

impl CommitWatch {
    /// Waits until there is a newer commit, whoever made it, and gives its transaction's id; of several the newest.
    /// `None` after `timeout`; without one it waits until there is a commit, or the database is closed.
    ///
    /// ```
    /// use sapwood::{Database, TableDefinition, backends::InMemoryBackend};
    /// use std::time::Duration;
    ///
    /// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let mut commits = db.watch();
    /// assert_eq!(commits.wait(Some(Duration::ZERO))?, None);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         db.update(|txn| txn.open_table(RINGS)?.insert("oak", 1).map(|_| ()).map_err(sapwood::Error::from))
    ///     });
    ///     assert!(commits.wait(None).is_ok_and(|id| id.is_some()));
    /// });
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DatabaseClosed`](StorageError::DatabaseClosed) once all commits were told of and there can be no more.
    #[cfg(feature = "std")]
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<u64>, StorageError> {
        let heard = self.store.commits().wait(self.seen, timeout);
        self.take(heard)
    }

    /// The newest commit, if it is a newer one; never waits.
    ///
    /// # Errors
    ///
    /// As of [`wait`](Self::wait).
    pub fn try_next(&mut self) -> Result<Option<u64>, StorageError> {
        self.take(self.store.commits().heard(self.seen))
    }

    /// The next commit, as a future: for asynchronous code, whatever runs it. Nothing is lost if it is dropped early.
    /// The waker that was given last is called, once.
    pub fn next_commit(&mut self) -> NextCommit<'_> {
        NextCommit(self)
    }

    fn take(&mut self, heard: Heard) -> Result<Option<u64>, StorageError> {
        match heard {
            Heard::Newer(id) => {
                self.seen = id;
                Ok(Some(id))
            }
            Heard::Nothing => Ok(None),
            Heard::Over => Err(StorageError::DatabaseClosed),
        }
    }
}

impl Drop for CommitWatch {
    fn drop(&mut self) {
        self.store.commits().leave(self.listener);
    }
}

impl Debug for CommitWatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CommitWatch").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// The id of the next commit's transaction: see [`CommitWatch::next_commit`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct NextCommit<'w>(&'w mut CommitWatch);

impl Future for NextCommit<'_> {
    type Output = Result<u64, StorageError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let watch = &mut *self.0;
        let heard = watch.store.commits().listen(watch.seen, watch.listener, context.waker());
        watch.take(heard).transpose().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Database {
    /// Something to wait with for commits that come after this call.
    pub fn watch(&self) -> CommitWatch {
        let store = self.core.store.clone();
        let head = store.acquire_head();
        store.release(&head);
        let listener = store.commits().join();
        CommitWatch { store, seen: head.id, listener }
    }
}
