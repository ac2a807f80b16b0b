use super::read::View;
use crate::btree::{EditCursor, Loader, Side, Tree, TreeEditor};
use crate::error::StorageError;
use crate::pages::Store;
use crate::sync::Arc;
use crate::txn::{Loan, TableCell, Tables};

/// A table's tree in its write transaction, without the table's types.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenTree<'t> {
    tables: &'t Tables,
    cell: &'t Arc<TableCell>,
}

impl<'t> OpenTree<'t> {
    pub(super) fn new(tables: &'t Tables, cell: &'t Arc<TableCell>) -> Self {
        Self { tables, cell }
    }

    pub(super) fn store(&self) -> &'t Arc<Store> {
        self.tables.store()
    }

    /// The tree as it stands.
    pub(super) fn tree(&self) -> Tree {
        self.cell.tree()
    }

    pub(super) fn lend(&self) -> Loan {
        self.cell.lend()
    }

    pub(super) fn view<'v>(&self, tree: &'v Tree) -> View<'v>
    where
        't: 'v,
    {
        View { store: self.tables.store(), kind: &tree.kind, root: tree.root }
    }

    /// Loads rows behind the last one of the table, which is not changed meanwhile.
    pub(super) fn loader(&self) -> Result<Loader<'t>, StorageError> {
        Loader::behind(self.tables.pages(), &self.cell.tree())
    }

    /// Makes memory free if the transaction holds too much.
    pub(super) fn relieve(&self) -> Result<(), StorageError> {
        self.tables.relieve()
    }

    pub(super) fn edit<T>(
        &self,
        change: impl FnOnce(&mut TreeEditor<'_, ()>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.relieve()?;
        self.cell.edit(|tree| change(&mut TreeEditor::new(self.tables.pages(), tree, &mut ())))
    }

    /// Whether there is a row on that side of a cursor.
    pub(super) fn settle(&self, cursor: &mut EditCursor, side: Side) -> Result<bool, StorageError> {
        Ok(cursor.has(side) || self.edit(|editor| cursor.settle(editor, side))?)
    }

    /// Runs what a user wrote: if it panics, the transaction can only be aborted.
    pub(super) fn trusting<T>(&self, run: impl FnOnce() -> T) -> T {
        let unfinished = self.tables.pages().unfinished();
        let result = run();
        unfinished.finish();
        result
    }
}
