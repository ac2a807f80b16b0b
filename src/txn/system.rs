//! The tree under the system root: what belongs to the database and not to its tables, and is not restored with them.
//!
//! | key | value | row |
//! |---|---|---|
//! | 1, id as 8 bytes, big-endian | reference to a data root, or no bytes if that was empty | persistent savepoint |
//! | 2, id, time, likewise | the same | commit of the history |
//! | 3 | most commits, most age in milliseconds, little-endian | what the history retains |
//! | 4, name | id, little-endian | pin of a commit |

use crate::btree::{NewValue, RangeCursor, Slice, Target, Tree, TreeEditor, TreeKind, count, find, get};
use crate::error::StorageError;
use crate::format::node::{Node, ValuePart};
use crate::format::{Pointer, TxnId};
use crate::pages::cache::FrameRef;
use crate::pages::{Class, PageWriter, Store};
use crate::types::KeyType;
use alloc::vec::Vec;
use core::ops::Bound;

const SAVEPOINT: u8 = 1;
pub(super) const COMMIT: u8 = 2;
pub(super) const RETENTION: u8 = 3;
pub(super) const PIN: u8 = 4;

fn kind(page_size: usize) -> TreeKind {
    TreeKind::new(KeyType::of::<&[u8]>(), None, page_size)
}

/// The rows of one sort, that is with one first byte of the key, in order.
pub(super) struct Rows<'s> {
    store: &'s Store,
    rows: RangeCursor,
}

/// A row's key without its first byte, and where the row is.
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
        let kind = kind(store.page_size());
        let rows = RangeCursor::new(store, &kind, system, Bound::Included(start), Bound::Excluded(&[sort + 1]))?;
        Ok(Self { store, rows })
    }

    fn row(&self, (leaf, at): (FrameRef, usize)) -> Result<SystemRow, StorageError> {
        Ok(SystemRow { key: Slice::of_key(self.store, &leaf, at)?, leaf, at })
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<SystemRow, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.rows.next_place(self.store).transpose()?;
        Some(place.and_then(|place| self.row(place)))
    }
}

impl DoubleEndedIterator for Rows<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let place = self.rows.next_place_back(self.store).transpose()?;
        Some(place.and_then(|place| self.row(place)))
    }
}

impl SystemRow {
    pub(super) fn key(&self) -> &[u8] {
        self.key.split_first().map_or(&[], |(_, rest)| rest)
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

/// The root that the row with this key refers to, if there is such a row.
pub(super) fn root_of(
    store: &Store,
    system: Option<Pointer>,
    key: &[u8],
) -> Result<Option<Option<Pointer>>, StorageError> {
    let Some(system) = system else { return Ok(None) };
    find(store, &kind(store.page_size()), &system, key, |leaf, at| root_in(&leaf.node(), at))
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

    fn insert(&mut self, key: &[u8], value: NewValue<'_>) -> Result<(), StorageError> {
        TreeEditor::new(self.pages, self.tree, &mut ()).insert(key, value).map(|_| ())
    }

    /// Removes a row, and says whether there was one.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<bool, StorageError> {
        TreeEditor::new(self.pages, self.tree, &mut ()).remove(&Target::Key(key)).map(|row| row.is_some())
    }
}

fn savepoint_key(id: TxnId) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = id.to_be_bytes();
    [SAVEPOINT, a, b, c, d, e, f, g, h]
}

/// The data root of the persistent savepoint with this id, if there is one.
pub(super) fn savepoint(
    store: &Store,
    system: Option<Pointer>,
    id: TxnId,
) -> Result<Option<Option<Pointer>>, StorageError> {
    root_of(store, system, &savepoint_key(id))
}

/// The ids of all persistent savepoints, ascending.
pub(super) fn savepoints(store: &Store, system: Option<Pointer>) -> Result<Vec<TxnId>, StorageError> {
    let id_of = |row: SystemRow| {
        let id = row.key().try_into().map_err(|_| StorageError::corrupted("a savepoint's key is malformed"))?;
        Ok(TxnId::from_be_bytes(id))
    };
    Rows::new(store, system, SAVEPOINT)?.map(|row| row.and_then(id_of)).collect()
}

/// Puts these savepoints in and takes those out.
pub(super) fn change_savepoints(
    rows: &mut SystemEditor<'_>,
    mut new: impl Iterator<Item = (TxnId, Option<Pointer>)>,
    mut gone: impl Iterator<Item = TxnId>,
) -> Result<(), StorageError> {
    new.try_for_each(|(id, root)| rows.refer(&savepoint_key(id), root))?;
    gone.try_for_each(|id| rows.remove(&savepoint_key(id)).map(|_| ()))
}
