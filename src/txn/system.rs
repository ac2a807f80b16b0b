//! The tree under the system root: what belongs to the database and not to its tables, and is not restored with them.
//!
//! | key | value | row |
//! |---|---|---|
//! | 0, name | next number, transaction that wrote this, 8 bytes each, little-endian | counter |
//! | 1, id, id of its commit, 8 bytes each, big-endian | reference to a data root, or no bytes if that was empty | persistent savepoint |
//! | 2, ... | see [`past`](super::past) | commits of the history |
//! | 3 | most commits, most age in milliseconds, little-endian | what the history retains |
//! | 4, name | id, little-endian | pin of a commit |
//! | 5 | [`CdcConfig`](crate::CdcConfig) | what is logged |
//! | 6, name | mode | what is logged of a table |
//! | 7 | position | up to where the log was let go |
//! | 8, name | position, whether it holds | cursor of the log |
//! | 9, id, 0 | what is known of a transaction | start of its part of the log |
//! | 9, id, number | event | change of that transaction |

use crate::btree::{NewValue, RangeCursor, Slice, Target, Tree, TreeEditor, TreeKind, count, get};
use crate::error::StorageError;
use crate::format::node::{Node, ValuePart};
use crate::format::{Pointer, TxnId};
use crate::pages::cache::FrameRef;
use crate::pages::{Class, PageWriter, Store};
use crate::types::KeyType;
use alloc::vec::Vec;
use core::ops::Bound;

const COUNTER: u8 = 0;
const SAVEPOINT: u8 = 1;
pub(super) const COMMIT: u8 = 2;
pub(super) const RETENTION: u8 = 3;
pub(super) const PIN: u8 = 4;
pub(super) const LOG_CONFIG: u8 = 5;
pub(super) const LOG_TABLE: u8 = 6;
pub(super) const LOG_PRUNED: u8 = 7;
pub(super) const LOG_CURSOR: u8 = 8;
/// The last sort, so that events are put at the end of the tree.
pub(super) const LOG: u8 = 9;

fn kind(page_size: usize) -> TreeKind {
    TreeKind::new(KeyType::of::<&[u8]>(), None, page_size)
}

/// The key of a row that has two numbers.
pub(super) fn numbered_key(sort: u8, numbers: [u64; 2]) -> [u8; 17] {
    let mut key = [sort; 17];
    let numbers = numbers.map(u64::to_be_bytes);
    key.iter_mut().skip(1).zip(numbers.as_flattened()).for_each(|(place, byte)| *place = *byte);
    key
}

/// The key of a row that has a name.
pub(super) fn named_key(sort: u8, name: &str) -> Vec<u8> {
    core::iter::once(sort).chain(name.bytes()).collect()
}

/// The rows of one sort, that is with one first byte of the key, in order.
pub(super) struct Rows<'s> {
    store: &'s Store,
    rows: RangeCursor,
}

/// A row's key, and where the row is.
pub(super) struct SystemRow {
    key: Slice,
    leaf: FrameRef,
    at: usize,
}

impl<'s> Rows<'s> {
    pub(super) fn new(store: &'s Store, system: Option<Pointer>, sort: u8) -> Result<Self, StorageError> {
        Self::from(store, system, &[sort], sort)
    }

    /// Those from the row with this key on.
    pub(super) fn from(
        store: &'s Store,
        system: Option<Pointer>,
        start: &[u8],
        sort: u8,
    ) -> Result<Self, StorageError> {
        Self::between(store, system, Bound::Included(start), &[sort + 1])
    }

    /// Those before the row with this key.
    pub(super) fn until(store: &'s Store, system: Option<Pointer>, sort: u8, end: &[u8]) -> Result<Self, StorageError> {
        Self::between(store, system, Bound::Included(&[sort]), end)
    }

    fn between(
        store: &'s Store,
        system: Option<Pointer>,
        start: Bound<&[u8]>,
        end: &[u8],
    ) -> Result<Self, StorageError> {
        let rows = RangeCursor::new(store, &kind(store.page_size()), system, start, Bound::Excluded(end))?;
        Ok(Self { store, rows })
    }
}

/// The rows of one sort behind that key, to be asked for one by one.
pub(super) fn rows_after(
    store: &Store,
    system: Option<Pointer>,
    start: &[u8],
    sort: u8,
) -> Result<RangeCursor, StorageError> {
    Ok(Rows::between(store, system, Bound::Excluded(start), &[sort + 1])?.rows)
}

/// The next of these rows.
pub(super) fn next_row(store: &Store, rows: &mut RangeCursor) -> Result<Option<SystemRow>, StorageError> {
    rows.next_place(store)?.map(|place| SystemRow::at(store, place)).transpose()
}

impl Iterator for Rows<'_> {
    type Item = Result<SystemRow, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_row(self.store, &mut self.rows).transpose()
    }
}

impl DoubleEndedIterator for Rows<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let place = self.rows.next_place_back(self.store).transpose()?;
        Some(place.and_then(|place| SystemRow::at(self.store, place)))
    }
}

impl SystemRow {
    fn at(store: &Store, (leaf, at): (FrameRef, usize)) -> Result<Self, StorageError> {
        Ok(Self { key: Slice::of_key(store, &leaf, at)?, leaf, at })
    }

    /// The key without its first byte.
    pub(super) fn key(&self) -> &[u8] {
        self.key.split_first().map_or(&[], |(_, rest)| rest)
    }

    /// The whole key.
    pub(super) fn whole_key(&self) -> &[u8] {
        &self.key
    }

    /// The root of the tree that the row owns, if it is such a row.
    pub(super) fn subtree(&self) -> Option<Pointer> {
        match Node::new(&self.leaf).value(self.at) {
            ValuePart::Subtree(root) => Some(root),
            _ => None,
        }
    }

    /// The root that the row refers to.
    pub(super) fn root(&self) -> Result<Option<Pointer>, StorageError> {
        root_in(&Node::new(&self.leaf), self.at)
    }

    pub(super) fn value(&self, store: &Store) -> Result<Slice, StorageError> {
        Slice::of_value(store, &self.leaf, self.at)
    }
}

fn root_in(leaf: &Node<'_>, at: usize) -> Result<Option<Pointer>, StorageError> {
    match leaf.value(at) {
        ValuePart::Reference(root) => Ok(Some(root)),
        ValuePart::Inline([]) => Ok(None),
        _ => Err(StorageError::corrupted("a row that refers to a commit's tables is malformed")),
    }
}

/// The bytes of the row with this key.
pub(super) fn value_of(store: &Store, system: Option<Pointer>, key: &[u8]) -> Result<Option<Slice>, StorageError> {
    let Some(system) = system else { return Ok(None) };
    get(store, &kind(store.page_size()), &system, key)
}

/// Rows of one sort.
pub(super) fn count_of(store: &Store, system: Option<Pointer>, sort: u8) -> Result<u64, StorageError> {
    count(store, &kind(store.page_size()), system, Bound::Included(&[sort]), Bound::Excluded(&[sort + 1]))
}

/// The tree under this root, to be changed.
pub(super) fn tree(store: &Store, root: Option<Pointer>) -> Tree {
    Tree::new(kind(store.page_size()), root, Class::System)
}

/// Changes rows of the tree.
pub(super) struct SystemEditor<'t> {
    pages: &'t PageWriter,
    pub(super) tree: &'t mut Tree,
}

impl<'t> SystemEditor<'t> {
    pub(super) fn new(pages: &'t PageWriter, tree: &'t mut Tree) -> Self {
        Self { pages, tree }
    }

    pub(super) fn store(&self) -> &'t Store {
        self.pages.store()
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        self.insert(key, NewValue::Bytes(value))
    }

    /// Makes a row refer to a root, or to no tables.
    pub(super) fn refer(&mut self, key: &[u8], root: Option<Pointer>) -> Result<(), StorageError> {
        self.insert(key, root.map_or(NewValue::Bytes(&[]), NewValue::Reference))
    }

    /// Makes a row own a tree, which is sealed.
    pub(super) fn own(&mut self, key: &[u8], root: Pointer) -> Result<(), StorageError> {
        self.insert(key, NewValue::Subtree(root))
    }

    /// Changes the tree that a row owns, `root` until now. There is a row as long as the tree has rows.
    pub(super) fn change_below(
        &mut self,
        key: &[u8],
        root: Option<Pointer>,
        change: impl FnOnce(&mut SystemEditor<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut below = tree(self.store(), root);
        change(&mut SystemEditor::new(self.pages, &mut below))?;
        match below.seal(self.pages)? {
            now if now == root => Ok(()),
            Some(now) => self.own(key, now),
            None => self.remove(key).map(drop),
        }
    }

    fn insert(&mut self, key: &[u8], value: NewValue<'_>) -> Result<(), StorageError> {
        TreeEditor::new(self.pages, self.tree, &mut ()).insert(key, value).map(|_| ())
    }

    /// Removes a row, and says whether there was one.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<bool, StorageError> {
        TreeEditor::new(self.pages, self.tree, &mut ()).remove(&Target::Key(key)).map(|row| row.is_some())
    }

    /// Removes the rows from one key up to another.
    pub(super) fn remove_range(&mut self, start: &[u8], end: &[u8]) -> Result<(), StorageError> {
        let (start, end) = (Bound::Included(start), Bound::Excluded(end));
        TreeEditor::new(self.pages, self.tree, &mut ()).delete_range(start, end).map(|_| ())
    }
}

/// Numbers that a counter skips when commits may have been lost. As many transaction ids are skipped then.
const SKIPPED: u64 = 1 << 32;

/// Takes the next number of a counter, from 1 on. None is committed twice, whatever is restored, or was lost in a crash: ids of
/// transactions that are further apart than any program counts tell of one.
pub(super) fn take_number(rows: &mut SystemEditor<'_>, counter: &str, id: TxnId) -> Result<u64, StorageError> {
    let key = named_key(COUNTER, counter);
    let malformed = || StorageError::corrupted("a counter is malformed");
    let next = match value_of(rows.store(), rows.tree.root, &key)?.as_deref() {
        None => 1,
        Some(bytes) => {
            let ([next, written_by], []) = bytes.as_chunks::<8>() else { return Err(malformed()) };
            let (next, written_by) = (u64::from_le_bytes(*next), u64::from_le_bytes(*written_by));
            let lost = id.checked_sub(written_by).ok_or_else(malformed)? >= SKIPPED;
            if lost { next.saturating_add(SKIPPED) } else { next }
        }
    };
    let after = next.checked_add(1).ok_or_else(malformed)?;
    rows.put(&key, [after, id].map(u64::to_le_bytes).as_flattened())?;
    Ok(next)
}

/// Takes a number of a counter that is greater than those before, and not less than `least`; the last there is, if there is
/// none.
pub(super) fn take_number_from(rows: &mut SystemEditor<'_>, counter: &str, least: u64) -> Result<u64, StorageError> {
    let key = named_key(COUNTER, counter);
    let malformed = || StorageError::corrupted("a counter is malformed");
    let next = match value_of(rows.store(), rows.tree.root, &key)?.as_deref() {
        None => 0,
        Some(bytes) => u64::from_le_bytes(bytes.try_into().map_err(|_| malformed())?),
    };
    let number = next.max(least);
    rows.put(&key, &number.saturating_add(1).to_le_bytes())?;
    Ok(number)
}

/// What a savepoint leads to: a commit, and what its data root was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved {
    pub(super) commit: TxnId,
    pub(super) root: Option<Pointer>,
}

/// The ids of a savepoint and of its commit.
fn ids_of(row: &SystemRow) -> Result<(TxnId, TxnId), StorageError> {
    match *row.key().as_chunks::<8>().0 {
        [id, commit] if row.key().len() == 16 => Ok((TxnId::from_be_bytes(id), TxnId::from_be_bytes(commit))),
        _ => Err(StorageError::corrupted("a savepoint's key is malformed")),
    }
}

/// The persistent savepoint with this id, if there is one.
pub(super) fn savepoint(store: &Store, system: Option<Pointer>, id: TxnId) -> Result<Option<Saved>, StorageError> {
    let start = numbered_key(SAVEPOINT, [id, 0]);
    let Some(row) = Rows::from(store, system, &start, SAVEPOINT)?.next().transpose()? else { return Ok(None) };
    let (found, commit) = ids_of(&row)?;
    if found == id { Ok(Some(Saved { commit, root: row.root()? })) } else { Ok(None) }
}

/// The ids of all persistent savepoints, ascending.
pub(super) fn savepoints(store: &Store, system: Option<Pointer>) -> Result<Vec<TxnId>, StorageError> {
    Rows::new(store, system, SAVEPOINT)?.map(|row| row.and_then(|row| Ok(ids_of(&row)?.0))).collect()
}

/// Puts these savepoints in and takes those out.
pub(super) fn change_savepoints<'s>(
    rows: &mut SystemEditor<'_>,
    mut new: impl Iterator<Item = (&'s TxnId, &'s Saved)>,
    mut gone: impl Iterator<Item = (&'s TxnId, &'s Saved)>,
) -> Result<(), StorageError> {
    let key = |id: &TxnId, saved: &Saved| numbered_key(SAVEPOINT, [*id, saved.commit]);
    new.try_for_each(|(id, saved)| rows.refer(&key(id, saved), saved.root))?;
    gone.try_for_each(|(id, saved)| rows.remove(&key(id, saved)).map(|_| ()))
}
