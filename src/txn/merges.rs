//! Values that were merged into and are not in their tree yet.
//!
//! - What waits is newer than the tree: whoever looks at the tree or changes it settles first.
//! - A key waits at most once, whatever bytes its type takes for equal.
//! - `room.used` is the sum of `cost` of all that waits in the tables of the transaction.

use crate::btree::{NewValue, Target, Tree, TreeEditor, TreeKind, get};
use crate::error::StorageError;
use crate::pages::PageWriter;
use crate::sync::{Arc, AtomicUsize, Ordering::Relaxed};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Memory for a row that waits, beyond its bytes.
const ROW_COST: usize = 128;
/// The part of the cache's budget that merges may take beside it, and the least that they may.
const ROOM_PART: usize = 16;
const LEAST_ROOM: usize = 64 << 10;
/// Rows of a table that may wait: not so many that their leaves, which were read, are no longer near when they are
/// written.
const MOST_ROWS: usize = 256;

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
        self.used.load(Relaxed) > self.most
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
    /// Tells most keys apart without a look at their bytes, which lie elsewhere.
    head: u64,
    bytes: Vec<u8>,
    compare: fn(&[u8], &[u8]) -> Ordering,
}

impl OrderedKey {
    fn new(kind: &TreeKind, bytes: Vec<u8>) -> Self {
        Self { head: (kind.key.head)(&bytes), bytes, compare: kind.key.compare }
    }
}

impl Ord for OrderedKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.head.cmp(&other.head).then_with(|| (self.compare)(&self.bytes, &other.bytes))
    }
}

impl PartialOrd for OrderedKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
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
            self.room.used.fetch_sub(merged.cost(), Relaxed);
        }
        Ok(merged)
    }

    fn take_other(&mut self, pages: &PageWriter, tree: &mut Tree, key: &[u8]) -> Result<Merged, StorageError> {
        self.set_latest_aside(&tree.kind);
        if self.others.len() >= MOST_ROWS {
            self.settle(pages, tree)?;
        }
        let sought = OrderedKey::new(&tree.kind, key.to_vec());
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
        self.room.used.fetch_add(merged.cost(), Relaxed);
        self.latest = Some(Merged { waits: true, ..merged });
    }

    fn set_latest_aside(&mut self, kind: &TreeKind) {
        if let Some(Merged { key, value, .. }) = self.latest.take() {
            self.others.insert(OrderedKey::new(kind, key), value);
        }
    }

    /// Brings all that waits to the tree, in the order of keys. If it fails, the transaction can only be aborted.
    pub(super) fn settle(&mut self, pages: &PageWriter, tree: &mut Tree) -> Result<(), StorageError> {
        if self.latest.is_none() && self.others.is_empty() {
            return Ok(());
        }
        let unfinished = pages.unfinished();
        self.set_latest_aside(&tree.kind);
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
        self.room.used.fetch_sub(freed, Relaxed);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::InMemoryBackend;
    use crate::{BytesAppend, Database, NumericAdd, ReadableTableMetadata, TableDefinition};
    use alloc::format;

    fn database(cache: usize) -> Database {
        Database::builder().set_cache_size(cache).create_with_backend(InMemoryBackend::new()).unwrap()
    }

    #[test]
    fn what_waits_in_all_tables_is_counted_and_bounded() {
        let db = database(4 << 20);
        let txn = db.begin_write().unwrap();
        let room = txn.tables.room.clone();
        let (used, mut most) = (|| room.used.load(Relaxed), 0);
        let names: Vec<_> = (0..5).map(|number| format!("table {number}")).collect();
        let open = |name| txn.open_table(TableDefinition::<u64, &[u8]>::new(name)).unwrap();
        let mut tables: Vec<_> = names.iter().map(|name| open(name.as_str())).collect();
        assert_eq!(room.most, 256 << 10);
        for number in 0..20_000_u64 {
            let table = &mut tables[number as usize % 5];
            table.merge(number % 1_733, &[7; 500], &BytesAppend).unwrap();
            most = most.max(used());
        }
        assert!(most > room.most && most <= room.most + (16 << 10), "{most}");
        // What has come to the tree does not wait.
        tables.iter().for_each(|table| _ = table.len().unwrap());
        assert_eq!(used(), 0);
        tables.iter_mut().for_each(|table| table.merge(1, &[7; 50], &BytesAppend).unwrap());
        assert!(used() >= 5 * (ROW_COST + 50));
        tables.drain(..4);
        assert!(used() < ROW_COST + (16 << 10));
        drop(tables);
        assert_eq!(used(), 0);
        // Nor does what a broken transaction forgets.
        let mut table = open("table 0");
        table.merge(1, &[7; 50], &BytesAppend).unwrap();
        txn.tables.pages().mark_broken();
        drop(table);
        assert_eq!(used(), 0);
    }

    #[test]
    fn a_merge_that_fails_leaves_the_count_as_it_was() {
        let txn = database(1 << 20).begin_write().unwrap();
        let mut table = txn.open_table(TableDefinition::<u64, u64>::new("counts")).unwrap();
        let used = || txn.tables.room.used.load(Relaxed);
        table.merge(1, &[1], &NumericAdd).unwrap_err();
        assert_eq!(used(), 0);
        table.merge_in(1, 1, &NumericAdd).unwrap();
        let one = used();
        table.merge(1, &[1], &NumericAdd).unwrap_err();
        table.merge(2, &[1], &NumericAdd).unwrap_err();
        assert_eq!(used(), one);
        table.merge_in(2, 1, &NumericAdd).unwrap();
        table.merge_in(1, 1, &NumericAdd).unwrap();
        assert_eq!(used(), 2 * one);
    }
}
