use super::expiry::only_seen;
use super::record::BlobId;
use crate::error::StorageError;
use crate::index::OwnTables;
use alloc::vec;
use alloc::vec::Vec;

/// Items that are looked up at once.
pub(super) const BATCH: usize = 64;

/// What lists of blobs are of.
pub(super) trait Listed {
    /// Where it stands in the list.
    type Place: Copy;

    fn place(&self) -> Self::Place;

    fn blob(&self) -> BlobId;
}

impl Listed for BlobId {
    type Place = Self;

    fn place(&self) -> Self {
        *self
    }

    fn blob(&self) -> BlobId {
        *self
    }
}

/// A list that is looked up some at a time. After an error it gives no more.
#[derive(Debug)]
pub(super) struct Paged<I: Listed> {
    /// What was looked up last.
    last: Option<I::Place>,
    /// What was looked up and is not given yet.
    found: vec::IntoIter<I>,
    ended: bool,
}

impl<I: Listed> Paged<I> {
    /// Begins behind a place.
    pub(super) fn behind(last: Option<I::Place>) -> Self {
        Self { last, found: vec::IntoIter::default(), ended: false }
    }

    /// The next item that is to be seen. `fetch` finds those behind a place: fewer than a batch are the last.
    pub(super) fn next<T: OwnTables>(
        &mut self,
        tables: &T,
        fetch: impl Fn(Option<I::Place>) -> Result<Vec<I>, StorageError>,
    ) -> Result<Option<I>, StorageError> {
        while !self.ended && self.found.as_slice().is_empty() {
            self.ended = true;
            let _held = tables.hold();
            let found = fetch(self.last)?;
            let more = found.len() == BATCH;
            self.last = found.last().map(Listed::place).or(self.last);
            self.found = only_seen::<_, Vec<_>>(tables, found, Listed::blob)?.into_iter();
            self.ended = !more;
        }
        Ok(self.found.next())
    }
}
