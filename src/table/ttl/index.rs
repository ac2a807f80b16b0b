//! The index of expiries.

use super::row::{NEVER, Now, TIME_WIDTH, split};
use crate::btree::{Change, ChangeSink, NewValue, RangeCursor, Target, TreeEditor, TreeKind, count, get};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::pages::Store;
use crate::sync::Arc;
use crate::table::read::View;
use crate::txn::{Recorder, TableCell};
use crate::types::KeyType;
use alloc::vec::Vec;
use core::ops::Bound;

/// The kind of an index's tree. Its keys are in the order of their bytes, so that the row that expires first comes
/// first.
pub(crate) fn expiries_kind(page_size: usize) -> TreeKind {
    TreeKind::new(KeyType::of::<&[u8]>(), Some(0), page_size)
}

fn index_key(time: u64, key: &[u8]) -> Vec<u8> {
    let mut index_key = Vec::with_capacity(TIME_WIDTH + key.len());
    index_key.extend_from_slice(&time.to_be_bytes());
    index_key.extend_from_slice(key);
    index_key
}

fn out_of_step() -> StorageError {
    StorageError::corrupted("the index of expiries does not have what the rows say")
}

/// Hears of the changes of a table's rows: keeps the index, if there is one, as they are, and tells the change log.
pub(crate) struct RowSink<'t> {
    recorder: Recorder<'t>,
    index: Option<&'t Arc<TableCell>>,
}

impl<'t> RowSink<'t> {
    pub(crate) fn new(recorder: Recorder<'t>, index: Option<&'t Arc<TableCell>>) -> Self {
        Self { recorder, index }
    }

    fn change_index(&self, index: &TableCell, change: &Change<'_>) -> Result<(), StorageError> {
        let time = |value: Option<&[u8]>| value.map(|value| split(value).0).filter(|time| *time != NEVER);
        let (old, new) = (time(change.old), time(change.new));
        if old == new {
            return Ok(());
        }
        let pages = self.recorder.tables.pages();
        index.edit(pages, |tree| {
            let mut sink = ();
            let mut editor = TreeEditor::new(pages, tree, &mut sink);
            if let Some(old) = old {
                let key = index_key(old, change.key);
                editor.remove(&Target::Key(&key))?.ok_or_else(out_of_step)?;
            }
            if let Some(new) = new {
                editor.insert(&index_key(new, change.key), NewValue::Bytes(&[]))?;
            }
            Ok(())
        })
    }

    /// Tells the change log of a row of a TTL table, and, if it had expired, of that: wherever such a row goes, it
    /// passes here.
    fn tell(&mut self, change: Change<'_>) -> Result<(), StorageError> {
        let now = Now::new(self.recorder.tables.now()?);
        let Some(old) = change.old.filter(|old| now.has_come(split(old).0)) else {
            return self.recorder.changed(change);
        };
        self.recorder.expired(change.key, old)?;
        match change.new {
            Some(_) => self.recorder.changed(Change { old: None, ..change }),
            None => Ok(()),
        }
    }
}

impl ChangeSink for RowSink<'_> {
    #[inline]
    fn is_active(&self) -> bool {
        self.index.is_some() || self.recorder.is_active()
    }

    fn changed(&mut self, change: Change<'_>) -> Result<(), StorageError> {
        let Some(index) = self.index else { return self.recorder.changed(change) };
        self.change_index(index, &change)?;
        if self.recorder.is_active() { self.tell(change) } else { Ok(()) }
    }

    fn hears_rows(&self) -> bool {
        self.index.is_some()
    }

    fn range_removed(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>, rows: u64) -> Result<(), StorageError> {
        self.recorder.range_removed(start, end, rows)
    }
}

/// What is asked of an index.
impl View<'_> {
    /// How many rows have expired.
    pub(super) fn count_expired(&self, now: Now) -> Result<u64, StorageError> {
        let end = now.next().to_be_bytes();
        count(self.store, self.kind, self.root, Bound::Unbounded, Bound::Excluded(&end))
    }

    /// The keys of some of the rows that expired first, at most so many.
    pub(super) fn first_expired(&self, now: Now, most: u64) -> Result<Vec<ExpiredKey>, StorageError> {
        let end = now.next().to_be_bytes();
        let mut rows = RangeCursor::new(self.store, self.kind, self.root, Bound::Unbounded, Bound::Excluded(&end))?;
        let (mut keys, mut bytes) = (Vec::new(), 0);
        while (keys.len() as u64) < most && bytes < MOST_KEY_BYTES {
            let Some((key, _)) = rows.next(self.store)? else { break };
            bytes += key.len();
            let (time, key) = key.split_first_chunk().ok_or_else(out_of_step)?;
            keys.push(ExpiredKey { time: u64::from_be_bytes(*time), key: key.to_vec() });
        }
        Ok(keys)
    }
}

/// Bytes of keys that are held at once.
const MOST_KEY_BYTES: usize = 1 << 16;

/// An entry of an index.
pub(super) struct ExpiredKey {
    time: u64,
    pub(super) key: Vec<u8>,
}

impl ExpiredKey {
    /// An error unless the row that was under the key is the one that the entry is about.
    pub(super) fn check(&self, row: Option<&[u8]>) -> Result<(), StorageError> {
        let is_right = row.is_some_and(|row| split(row).0 == self.time);
        if is_right { Ok(()) } else { Err(out_of_step()) }
    }
}

/// An error unless an index has the expiry of each row that expires, and no other.
pub(crate) fn check_expiries(store: &Store, root: Option<Pointer>, index: Option<Pointer>) -> Result<(), StorageError> {
    let kind = expiries_kind(store.page_size());
    // The order of keys matters to bounds alone.
    let mut rows = RangeCursor::new(store, &kind, root, Bound::Unbounded, Bound::Unbounded)?;
    let mut left = index.map_or(0, |index| index.size);
    while let Some((key, value)) = rows.next(store)? {
        let time = split(&value).0;
        if time == NEVER {
            continue;
        }
        let found = index.map_or(Ok(None), |index| get(store, &kind, &index, &index_key(time, &key)))?;
        left = found.and(left.checked_sub(1)).ok_or_else(out_of_step)?;
    }
    if left == 0 { Ok(()) } else { Err(out_of_step()) }
}
