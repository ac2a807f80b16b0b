use super::read::record;
use super::record::{BlobId, Record};
use super::tables::{BLOBS, TimeKey, Times};
use super::write::put;
use crate::error::{BlobError, StorageError};
use crate::index::{OwnTables, open};
use crate::table::ReadableTable;
use crate::txn::WriteTransaction;
use alloc::collections::VecDeque;
use core::fmt::{Debug, Formatter};
use core::ops::{Bound, RangeBounds};

/// Blobs that are looked up at once.
const BATCH: usize = 64;

fn time_key(time: u64, id: BlobId) -> TimeKey {
    let mut key = TimeKey::default();
    let bytes = time.to_be_bytes().into_iter().chain(id.sequence().to_be_bytes());
    key.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    key
}

fn timed(key: TimeKey) -> (u64, BlobId) {
    let number = u128::from_be_bytes(key);
    ((number >> 64) as u64, BlobId::new(number as u64))
}

/// Enters a blob into the index.
pub(super) fn add(txn: &WriteTransaction, id: BlobId, record: &Record) -> Result<(), StorageError> {
    open::<Times>(txn, BLOBS)?.insert(time_key(record.time, id), ()).map(drop)
}

/// Takes a blob out of the index.
pub(super) fn remove(txn: &WriteTransaction, id: BlobId, record: &Record) -> Result<(), StorageError> {
    let removed = open::<Times>(txn, BLOBS)?.remove(time_key(record.time, id))?.is_some();
    let missing = || StorageError::corrupted("the index of times does not have what the record of a blob says");
    removed.then_some(()).ok_or_else(missing)
}

/// Blobs in the order in which they were made, and those of one time by their ids: each with its time, in milliseconds since
/// 1970. Goes from both ends. After an error it gives no more.
///
/// Some are looked up at a time. In a write transaction those that are stored meanwhile may be among them or not.
pub struct BlobsInTime<'t, T: OwnTables> {
    tables: &'t T,
    /// What was not looked up yet; `None` if there is nothing more.
    rest: Option<(Bound<TimeKey>, Bound<TimeKey>)>,
    front: VecDeque<TimeKey>,
    back: VecDeque<TimeKey>,
}

impl<'t, T: OwnTables> BlobsInTime<'t, T> {
    pub(super) fn new(tables: &'t T, times: &impl RangeBounds<u64>) -> Self {
        let (first, last) = (BlobId::new(0), BlobId::new(u64::MAX));
        let start = match times.start_bound() {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(time) => Bound::Included(time_key(*time, first)),
            Bound::Excluded(time) => Bound::Excluded(time_key(*time, last)),
        };
        let end = match times.end_bound() {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(time) => Bound::Included(time_key(*time, last)),
            Bound::Excluded(time) => Bound::Excluded(time_key(*time, first)),
        };
        Self { tables, rest: Some((start, end)), front: VecDeque::new(), back: VecDeque::new() }
    }

    /// The same behind a blob that was given before, by this or another one.
    #[must_use]
    pub fn after(mut self, time_ms: u64, id: BlobId) -> Self {
        self.rest = self.rest.map(|(_, end)| (Bound::Excluded(time_key(time_ms, id)), end));
        self
    }

    /// The same before a blob that was given before, by this or another one.
    #[must_use]
    pub fn before(mut self, time_ms: u64, id: BlobId) -> Self {
        self.rest = self.rest.map(|(start, _)| (start, Bound::Excluded(time_key(time_ms, id))));
        self
    }

    fn fetch(&mut self, backwards: bool) -> Result<VecDeque<TimeKey>, StorageError> {
        let Some((start, end)) = self.rest.take() else { return Ok(VecDeque::new()) };
        let _held = self.tables.hold();
        let Some(times) = self.tables.table::<Times>(BLOBS)? else { return Ok(VecDeque::new()) };
        let mut rows = times.range::<TimeKey>((start, end))?;
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
        Ok(key.map(timed))
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
        let _held = self.hold();
        let before = record(self, id)?.ok_or(BlobError::NotFound(id.sequence()))?;
        remove(self, id, &before)?;
        let after = Record { time: time_ms, ..before };
        add(self, id, &after)?;
        Ok(put(self, id, &after)?)
    }
}
