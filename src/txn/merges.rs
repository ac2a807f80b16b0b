//! Values that were merged into and are not in their tree yet.
//!
//! - What waits is newer than the tree: whoever looks at the tree or changes it settles first.
//! - A key waits at most once, whatever bytes its type takes for equal.
//! - `room.used` is the sum of `cost` of all that waits in the tables of the transaction.

use crate::btree::{NewValue, Target, Tree, TreeEditor, get};
use crate::error::StorageError;
use crate::pages::PageWriter;
use crate::sync::{Arc, AtomicUsize, Ordering};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Memory for a row that waits, beyond its bytes.
const ROW_COST: usize = 128;
/// The part of the cache's budget that merges may take beside it, and the least that they may.
const ROOM_PART: usize = 16;
const LEAST_ROOM: usize = 64 << 10;

/// The memory that merges take which wait in the tables of one transaction.
#[derive(Debug)]
pub(super) struct MergeRoom {
    used: AtomicUsize,
    most: usize,
}

impl MergeRoom {
    pub(super) fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most: (budget / ROOM_PART).max(LEAST_ROOM) })
    }

    /// Whether more waits than may.
    pub(super) fn is_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.most
    }
}

/// The value of a key while it is merged into.
#[derive(Debug)]
pub(crate) struct Merged {
    key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    /// It was merged into before, and the tree has not heard of it.
    pub(crate) waits: bool,
}

impl Merged {
    fn cost(&self) -> usize {
        cost(&self.key, self.value.as_ref())
    }
}

fn cost(key: &Vec<u8>, value: Option<&Vec<u8>>) -> usize {
    ROW_COST.saturating_add(key.capacity()).saturating_add(value.map_or(0, Vec::capacity))
}

/// A key in the order of its type.
#[derive(Debug)]
struct OrderedKey {
    bytes: Vec<u8>,
    compare: fn(&[u8], &[u8]) -> core::cmp::Ordering,
}

impl Ord for OrderedKey {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.compare)(&self.bytes, &other.bytes)
    }
}

impl PartialOrd for OrderedKey {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OrderedKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OrderedKey {}

/// The merges of one table that wait.
#[derive(Debug)]
pub(super) struct Merges {
    /// What was merged into last, at hand for the next time.
    latest: Option<Merged>,
    others: BTreeMap<OrderedKey, Option<Vec<u8>>>,
    room: Arc<MergeRoom>,
}

impl Merges {
    pub(super) fn new(room: Arc<MergeRoom>) -> Self {
        Self { latest: None, others: BTreeMap::new(), room }
    }

    /// Takes the value of a key out, as it stands: what waits, or what the tree has.
    pub(super) fn take(&mut self, pages: &PageWriter, tree: &mut Tree, key: &[u8]) -> Result<Merged, StorageError> {
        let latest = self.latest.take_if(|latest| latest.key == key);
        let merged = match latest {
            Some(latest) => latest,
            None => self.take_other(pages, tree, key)?,
        };
        if merged.waits {
            self.room.used.fetch_sub(merged.cost(), Ordering::Relaxed);
        }
        Ok(merged)
    }

    fn take_other(&mut self, pages: &PageWriter, tree: &mut Tree, key: &[u8]) -> Result<Merged, StorageError> {
        let compare = tree.kind.key.compare;
        self.set_latest_aside(compare);
        let sought = OrderedKey { bytes: key.to_vec(), compare };
        match self.others.remove_entry(&sought) {
            Some((known, value)) if known.bytes == sought.bytes => {
                return Ok(Merged { key: known.bytes, value, waits: true });
            }
            // Which bytes the row's key has depends on whether there was a row in between.
            Some((known, value)) => {
                self.others.insert(known, value);
                self.settle(pages, tree)?;
            }
            None => {}
        }
        let found = tree.root.map(|root| get(pages.store(), &tree.kind, &root, key)).transpose()?.flatten();
        Ok(Merged { key: sought.bytes, value: found.map(|value| value.to_vec()), waits: false })
    }

    pub(super) fn keep(&mut self, merged: Merged) {
        self.room.used.fetch_add(merged.cost(), Ordering::Relaxed);
        self.latest = Some(Merged { waits: true, ..merged });
    }

    fn set_latest_aside(&mut self, compare: fn(&[u8], &[u8]) -> core::cmp::Ordering) {
        if let Some(Merged { key, value, .. }) = self.latest.take() {
            self.others.insert(OrderedKey { bytes: key, compare }, value);
        }
    }

    /// Brings all that waits to the tree, in the order of keys. If it fails, the transaction can only be aborted.
    pub(super) fn settle(&mut self, pages: &PageWriter, tree: &mut Tree) -> Result<(), StorageError> {
        if self.latest.is_none() && self.others.is_empty() {
            return Ok(());
        }
        let unfinished = pages.unfinished();
        self.set_latest_aside(tree.kind.key.compare);
        for (key, value) in self.take_all() {
            let mut sink = ();
            let mut editor = TreeEditor::new(pages, tree, &mut sink);
            match value {
                Some(value) => _ = editor.insert(&key.bytes, NewValue::Bytes(&value))?,
                None => _ = editor.remove(&Target::Key(&key.bytes))?,
            }
        }
        unfinished.finish();
        Ok(())
    }

    fn take_all(&mut self) -> BTreeMap<OrderedKey, Option<Vec<u8>>> {
        let rows = core::mem::take(&mut self.others);
        let freed = rows.iter().map(|(key, value)| cost(&key.bytes, value.as_ref())).sum();
        self.room.used.fetch_sub(freed, Ordering::Relaxed);
        rows
    }
}

impl Drop for Merges {
    /// What still waits is of a transaction that goes back, or comes to nothing.
    fn drop(&mut self) {
        let latest = self.latest.take().map_or(0, |latest| latest.cost());
        self.room.used.fetch_sub(latest, Ordering::Relaxed);
        self.take_all();
    }
}
