//! The tree under the system root: what belongs to the database and not to its tables, and is not restored with them.
//!
//! | key | value | row |
//! |---|---|---|
//! | 1, id as 8 bytes, big-endian | reference to a data root, or no bytes if that was empty | persistent savepoint |

use crate::btree::{NewValue, RangeCursor, Slice, Target, Tree, TreeEditor, TreeKind, find};
use crate::error::StorageError;
use crate::format::node::{Node, ValuePart};
use crate::format::{Pointer, TxnId};
use crate::pages::{Class, PageWriter, Store};
use crate::types::KeyType;
use alloc::vec::Vec;
use core::ops::Bound;

const SAVEPOINTS: u8 = 1;

fn kind(page_size: usize) -> TreeKind {
    TreeKind::new(KeyType::of::<&[u8]>(), None, page_size)
}

fn savepoint_key(id: TxnId) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = id.to_be_bytes();
    [SAVEPOINTS, a, b, c, d, e, f, g, h]
}

/// The data root of the persistent savepoint with this id, if there is one.
pub(super) fn savepoint(
    store: &Store,
    system: Option<Pointer>,
    id: TxnId,
) -> Result<Option<Option<Pointer>>, StorageError> {
    let Some(system) = system else { return Ok(None) };
    find(store, &kind(store.page_size()), &system, &savepoint_key(id), |leaf, at| root_in(&leaf.node(), at))
}

fn root_in(leaf: &Node<'_>, at: usize) -> Result<Option<Pointer>, StorageError> {
    match leaf.value(at) {
        ValuePart::Reference(root) => Ok(Some(root)),
        ValuePart::Inline([]) => Ok(None),
        _ => Err(StorageError::corrupted("a savepoint's row is malformed")),
    }
}

/// The ids of all persistent savepoints, ascending.
pub(super) fn savepoints(store: &Store, system: Option<Pointer>) -> Result<Vec<TxnId>, StorageError> {
    let mut ids = Vec::new();
    let bounds = (Bound::Included(&[SAVEPOINTS][..]), Bound::Excluded(&[SAVEPOINTS + 1][..]));
    let mut rows = RangeCursor::new(store, &kind(store.page_size()), system, bounds.0, bounds.1)?;
    while let Some((leaf, at)) = rows.next_place(store)? {
        let key = Slice::of_key(store, &leaf, at)?;
        let id = key.split_first().and_then(|(_, id)| id.try_into().ok());
        let id = id.ok_or_else(|| StorageError::corrupted("a savepoint's key is malformed"))?;
        ids.push(TxnId::from_be_bytes(id));
    }
    Ok(ids)
}

/// The system root of the transaction's base with these savepoints and without those.
pub(super) fn change_savepoints(
    pages: &PageWriter,
    new: impl Iterator<Item = (TxnId, Option<Pointer>)>,
    mut gone: impl Iterator<Item = TxnId>,
) -> Result<Option<Pointer>, StorageError> {
    let mut tree = Tree::new(kind(pages.store().page_size()), pages.base().system, Class::System);
    let mut sink = ();
    let mut editor = TreeEditor::new(pages, &mut tree, &mut sink);
    for (id, root) in new {
        let value = root.map_or(NewValue::Bytes(&[]), NewValue::Reference);
        editor.insert(&savepoint_key(id), value)?;
    }
    gone.try_for_each(|id| editor.remove(&Target::Key(&savepoint_key(id))).map(|_| ()))?;
    tree.seal(pages)
}
