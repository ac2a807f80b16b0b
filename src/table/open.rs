use super::range::Source;
use super::read::View;
use super::stats::TableStats;
use super::ttl::RowSink;
use crate::btree::{EditCursor, Loader, Reserved, Side, Tree, TreeEditor};
use crate::changes::CdcMode;
use crate::error::StorageError;
use crate::pages::Store;
use crate::sync::Arc;
use crate::txn::{Loan, Recorder, ReservedRow, TableCell, TableCells, Tables};
use alloc::string::String;

/// A table that is open in its write transaction, without the table's types. Dropping it closes the table.
#[derive(Debug)]
pub(crate) struct OpenTable<'txn> {
    name: String,
    tables: &'txn Tables,
    cells: TableCells,
    /// What is logged of it.
    mode: CdcMode,
}

impl<'txn> OpenTable<'txn> {
    pub(crate) fn new(name: String, tables: &'txn Tables, cells: TableCells, mode: CdcMode) -> Self {
        Self { name, tables, cells, mode }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn tree(&self) -> OpenTree<'_> {
        let (cell, expiries) = (&self.cells.rows, self.cells.expiries.as_ref());
        OpenTree { tables: self.tables, cell, expiries, name: &self.name, mode: self.mode }
    }
}

impl Drop for OpenTable<'_> {
    fn drop(&mut self) {
        self.tables.closed(&self.name);
    }
}

/// A table's tree in its write transaction, without the table's types.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenTree<'t> {
    tables: &'t Tables,
    cell: &'t Arc<TableCell>,
    expiries: Option<&'t Arc<TableCell>>,
    name: &'t str,
    mode: CdcMode,
}

/// Changes a table's tree, and with it the index, and tells the change log.
pub(super) type TableEditor<'e, 't> = TreeEditor<'e, RowSink<'t>>;

impl<'t> OpenTree<'t> {
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

    /// What a range or the like that was lent before keeps.
    pub(super) fn source(&self, loan: Loan) -> Source {
        Source::Table(self.store().clone(), loan)
    }

    pub(super) fn stats(&self) -> Result<TableStats, StorageError> {
        let _loan = self.lend();
        let _index_loan = self.expiries.map(|cell| cell.lend());
        let index = self.expiries.and_then(|cell| cell.tree().root);
        TableStats::of(self.store(), self.tree().root, index)
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

    /// The transaction can only be aborted.
    pub(super) fn mark_broken(&self) {
        self.tables.pages().mark_broken();
    }

    /// Makes memory free if the transaction holds too much.
    pub(super) fn relieve(&self) -> Result<(), StorageError> {
        self.tables.relieve()
    }

    /// The tree of when the rows of a TTL table expire, which is no table to the change log.
    pub(super) fn expiries(&self) -> Option<Self> {
        Some(Self { cell: self.expiries?, expiries: None, mode: CdcMode::Off, ..*self })
    }

    pub(super) fn edit<T>(
        &self,
        change: impl FnOnce(&mut TableEditor<'_, 't>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut sink = RowSink::new(self.recorder(false)?, self.expiries);
        self.cell.edit(|tree| change(&mut TreeEditor::new(self.tables.pages(), tree, &mut sink)))
    }

    /// The same of a multimap's tree, which is no table to the change log.
    pub(super) fn edit_multimap<T>(
        &self,
        change: impl FnOnce(&mut TreeEditor<'_, ()>, &mut Recorder<'t>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut recorder = self.recorder(true)?;
        self.cell.edit(|tree| change(&mut TreeEditor::new(self.tables.pages(), tree, &mut ()), &mut recorder))
    }

    fn recorder(&self, multimap: bool) -> Result<Recorder<'t>, StorageError> {
        self.relieve()?;
        let Self { tables, name: table, mode, .. } = *self;
        if mode != CdcMode::Off {
            tables.settle_reserved(table, self.cell)?;
        }
        Ok(Recorder { tables, table, mode, multimap })
    }

    /// Sets the value of a key to bytes that are to be filled in, and tells the change log of it later.
    pub(super) fn reserve(&self, key: &[u8], length: usize) -> Result<Reserved, StorageError> {
        let reserved = self.edit(|editor| editor.reserve(key, length))?;
        if self.mode != CdcMode::Off {
            let old = reserved.old.as_ref().map(|old| old.to_vec());
            self.cell.reserve(ReservedRow { key: key.to_vec(), old, mode: self.mode });
        }
        Ok(reserved)
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
