use super::expiry::only_seen;
use super::paged::BATCH;
use super::record::{BlobId, Record, Step};
use super::tables::{BLOBS, PairKey, Times, pair_key, pair_of, replace_key};
use super::write::change;
use crate::error::{BlobError, StorageError};
use crate::index::OwnTables;
use crate::table::ReadableTable;
use crate::txn::WriteTransaction;
use alloc::collections::VecDeque;
use core::fmt::{Debug, Formatter};
use core::ops::{Bound, RangeBounds};

/// Makes the index follow a record.
pub(super) fn follow(txn: &WriteTransaction, step: &Step<'_>) -> Result<(), StorageError> {
    let key = |record: &Record| Some(pair_key(record.time, step.id));
    replace_key::<Times>(txn, step.map(key))
}

/// Blobs in the order in which they were made, and those of one time by their ids: each with its time, in milliseconds since
/// 1970. Goes from both ends. After an error it gives no more.
///
/// Some are looked up at a time. In a write transaction those that are stored meanwhile may be among them or not.
pub struct BlobsInTime<'t, T: OwnTables> {
    tables: &'t T,
    /// What was not looked up yet; `None` if there is nothing more.
    rest: Option<(Bound<PairKey>, Bound<PairKey>)>,
    front: VecDeque<PairKey>,
    back: VecDeque<PairKey>,
}

impl<'t, T: OwnTables> BlobsInTime<'t, T> {
    pub(super) fn new(tables: &'t T, times: &impl RangeBounds<u64>) -> Self {
        let (first, last) = (BlobId::new(0), BlobId::new(u64::MAX));
        let start = match times.start_bound() {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(time) => Bound::Included(pair_key(*time, first)),
            Bound::Excluded(time) => Bound::Excluded(pair_key(*time, last)),
        };
        let end = match times.end_bound() {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(time) => Bound::Included(pair_key(*time, last)),
            Bound::Excluded(time) => Bound::Excluded(pair_key(*time, first)),
        };
        Self { tables, rest: Some((start, end)), front: VecDeque::new(), back: VecDeque::new() }
    }

    /// The same behind a blob that was given before, by this or another one.
    #[must_use]
    pub fn after(mut self, time_ms: u64, id: BlobId) -> Self {
        self.rest = self.rest.map(|(_, end)| (Bound::Excluded(pair_key(time_ms, id)), end));
        self
    }

    /// The same before a blob that was given before, by this or another one.
    #[must_use]
    pub fn before(mut self, time_ms: u64, id: BlobId) -> Self {
        self.rest = self.rest.map(|(start, _)| (start, Bound::Excluded(pair_key(time_ms, id))));
        self
    }

    /// The next ones that are to be seen; none at the end.
    fn fetch(&mut self, backwards: bool) -> Result<VecDeque<PairKey>, StorageError> {
        let _held = self.tables.hold();
        while self.rest.is_some() {
            let stored = self.fetch_stored(backwards)?;
            let keys: VecDeque<_> = only_seen(self.tables, stored, |key| pair_of(*key).1)?;
            if !keys.is_empty() {
                return Ok(keys);
            }
        }
        Ok(VecDeque::new())
    }

    fn fetch_stored(&mut self, backwards: bool) -> Result<VecDeque<PairKey>, StorageError> {
        let Some((start, end)) = self.rest.take() else { return Ok(VecDeque::new()) };
        let Some(times) = self.tables.table::<Times>(BLOBS)? else { return Ok(VecDeque::new()) };
        let mut rows = times.range::<PairKey>((start, end))?;
        let next = || if backwards { rows.next_back() } else { rows.next() };
        let keys = core::iter::from_fn(next).take(BATCH).map(|row| row.map(|(key, _)| key.value()));
        let keys = keys.collect::<Result<VecDeque<_>, _>>()?;
        self.rest = keys.back().filter(|_| keys.len() == BATCH).map(|last| match backwards {
            true => (start, Bound::Excluded(*last)),
            false => (Bound::Excluded(*last), end),
        });
        Ok(keys)
    }

    fn step(&mut self, backwards: bool) -> Result<Option<(u64, BlobId)>, StorageError> {
        let own = if backwards { &self.back } else { &self.front };
        if own.is_empty() {
            let fetched = match self.fetch(backwards) {
                Ok(fetched) => fetched,
                Err(err) => {
                    (self.front, self.back) = Default::default();
                    return Err(err);
                }
            };
            *(if backwards { &mut self.back } else { &mut self.front }) = fetched;
        }
        // What one end has not given is the other's last.
        let key = match backwards {
            true => self.back.pop_front().or_else(|| self.front.pop_back()),
            false => self.front.pop_front().or_else(|| self.back.pop_back()),
        };
        Ok(key.map(pair_of))
    }
}

impl<T: OwnTables> Iterator for BlobsInTime<'_, T> {
    type Item = Result<(u64, BlobId), BlobError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false).map_err(BlobError::from).transpose()
    }
}

impl<T: OwnTables> DoubleEndedIterator for BlobsInTime<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true).map_err(BlobError::from).transpose()
    }
}

impl<T: OwnTables> Debug for BlobsInTime<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlobsInTime").finish_non_exhaustive()
    }
}

impl WriteTransaction {
    /// Says when a blob was made, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob.
    pub fn retime_blob(&self, id: BlobId, time_ms: u64) -> Result<(), BlobError> {
        change(self, id, |record| Ok(Record { time: time_ms, ..record }))
    }
}
