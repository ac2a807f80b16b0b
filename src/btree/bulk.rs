//! Loading sorted rows: a tree of full pages grows beside the one that it is for, and is put behind it when it is
//! whole.

use super::edit::{Path, Tree, TreeEditor};
use super::get::{Slice, child_of, first_or_last};
use super::insert::NewValue;
use super::remove::Target;
use super::sink::{Change, ChangeSink};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::pages::{PageWriter, damaged};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Bound;

/// A tree of rows that come in order, which nobody else knows.
pub(crate) struct Loader<'w> {
    writer: &'w PageWriter,
    fresh: Tree,
    /// The key that the next one must exceed.
    last: Option<Vec<u8>>,
}

impl<'w> Loader<'w> {
    /// For rows behind the last one of `tree`.
    pub(crate) fn behind(writer: &'w PageWriter, tree: &Tree) -> Result<Self, StorageError> {
        let last = tree.root.map(|root| edge_key(writer, &root, true)).transpose()?;
        Ok(Self { writer, fresh: Tree::new(tree.kind, None, tree.class), last: last.map(|key| key.to_vec()) })
    }

    /// Adds a row. False, and nothing is done, if its key does not exceed the one before.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<bool, StorageError> {
        if self.last.as_deref().is_some_and(|last| (self.fresh.kind.key.compare)(last, key) != Ordering::Less) {
            return Ok(false);
        }
        // Inserts at the end of a tree leave full pages behind, and need no way down but for a new page.
        TreeEditor::new(self.writer, &mut self.fresh, &mut ()).insert(key, NewValue::Bytes(value))?;
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
        Ok(true)
    }

    /// Gives up the rows.
    pub(crate) fn discard(self) -> Result<(), StorageError> {
        let Some(root) = self.fresh.root.filter(|_| !self.writer.is_broken()) else { return Ok(()) };
        let unfinished = self.writer.unfinished();
        self.writer.unlink_tree([root], self.fresh.class)?;
        unfinished.finish();
        Ok(())
    }
}

impl<S: ChangeSink> TreeEditor<'_, S> {
    /// Puts loaded rows behind those of this tree, and says how many there are.
    pub(crate) fn adopt(&mut self, loaded: Loader<'_>) -> Result<u64, StorageError> {
        let Tree { root, rows, .. } = loaded.fresh.view();
        // It holds on to a page.
        drop(loaded);
        let Some(root) = root else { return Ok(0) };
        self.guarded(|editor| {
            if editor.sink.is_active() {
                let all = Bound::Unbounded;
                editor.tell_rows(Some(root), all, all, |key, value| Change { key, old: None, new: Some(value) })?;
            }
            editor.tree.tail = None;
            editor.append_tree(root)
        })?;
        self.tree.rows = self.tree.rows.saturating_add(rows);
        Ok(rows)
    }

    fn append_tree(&mut self, right: Pointer) -> Result<(), StorageError> {
        let Some(left) = self.tree.root.replace(right) else { return Ok(()) };
        let separator =
            self.key_between(&edge_key(self.writer, &left, true)?, &edge_key(self.writer, &right, false)?)?;
        // The lower tree becomes a child at the end of the higher one.
        let (end, level) = match left.level.cmp(&right.level) {
            Ordering::Less => (Target::First, left.level),
            Ordering::Equal | Ordering::Greater => {
                self.tree.root = Some(left);
                (Target::Last, right.level)
            }
        };
        if left.level == right.level {
            self.add_above(Path::new(), left, separator, right)?;
        } else {
            let (path, _) = self.descend_to(&end, level + 1)?;
            let Some(branch) = path.last() else { return Err(damaged(&left, "has no branch")) };
            let beside = child_of(&branch.node(), branch.at, &branch.pointer)?;
            let (left, right) = if left.level < right.level { (left, beside) } else { (beside, right) };
            self.add_above(path, left, separator, right)?;
        }
        let (path, _) = self.descend_to(&end, level)?;
        self.mend_all(path)
    }
}

/// The first or last key below `root`.
fn edge_key(writer: &PageWriter, root: &Pointer, last: bool) -> Result<Slice, StorageError> {
    match first_or_last(writer.store(), root, last)? {
        Some((leaf, at)) => Slice::of_key(writer.store(), &leaf, at),
        None => Err(damaged(root, "has no rows")),
    }
}
