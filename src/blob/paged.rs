use crate::error::StorageError;
use alloc::vec;
use alloc::vec::Vec;

/// Items that are looked up at once.
pub(super) const BATCH: usize = 64;

/// What was looked up and is not given yet. After an error it gives no more.
#[derive(Debug)]
pub(super) struct Paged<I> {
    found: vec::IntoIter<I>,
    ended: bool,
}

impl<I> Default for Paged<I> {
    fn default() -> Self {
        Self { found: vec::IntoIter::default(), ended: false }
    }
}

impl<I> Paged<I> {
    /// The next item, of those that `fetch` finds if none waits: fewer than a batch are the last.
    pub(super) fn next(
        &mut self,
        fetch: impl FnOnce() -> Result<Vec<I>, StorageError>,
    ) -> Result<Option<I>, StorageError> {
        if self.found.as_slice().is_empty() && !self.ended {
            self.ended = true;
            let found = fetch()?;
            self.ended = found.len() < BATCH;
            self.found = found.into_iter();
        }
        Ok(self.found.next())
    }
}
