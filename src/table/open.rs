use super::range::Source;
use super::read::View;
use super::stats::TableStats;
use super::ttl::RowSink;
use crate::btree::{EditCursor, Loader, Reserved, Side, Tree, TreeEditor, TreeKind};
use crate::changes::CdcMode;
use crate::error::StorageError;
use crate::merge::NamedOperator;
use crate::pages::Store;
use crate::sync::Arc;
use crate::txn::{Loan, Opening, Recorder, ReservedRow, Space, TableCell, TableCells, TableId, Tables};
use alloc::string::String;
use alloc::vec::Vec;

/// A table that is open in its write transaction, without the table's types. Dropping it closes the table.
#[derive(Debug)]
pub(crate) struct OpenTable<'txn> {
    space: Space,
    name: String,
    tables: &'txn Tables,
    cells: TableCells,
    opening: Opening,
}

impl<'txn> OpenTable<'txn> {
    pub(crate) fn new(id: TableId<'_>, tables: &'txn Tables, cells: TableCells, opening: Opening) -> Self {
        let (space, name) = id.owned();
        Self { space, name, tables, cells, opening }
    }

    /// The operator that the table's definition names.
    pub(super) fn operator(&self) -> Option<&NamedOperator> {
        self.opening.operator.as_ref()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn tree(&self) -> OpenTree<'_> {
        let (cell, expiries) = (&self.cells.rows, self.cells.expiries.as_ref());
        OpenTree { tables: self.tables, cell, expiries, name: &self.name, mode: self.opening.mode }
    }
}

impl Drop for OpenTable<'_> {
    fn drop(&mut self) {
        self.tables.closed(TableId { space: self.space, name: &self.name }, &self.cells.rows);
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

    pub(super) fn kind(&self) -> TreeKind {
        self.cell.kind()
    }

    /// The tree as it stands.
    pub(super) fn tree(&self) -> Result<Tree, StorageError> {
        self.cell.tree(self.tables.pages())
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
        let index = self.expiries();
        let _index_loan = index.map(|index| index.lend());
        let index = index.map_or(Ok(None), |index| index.tree().map(|tree| tree.root))?;
        TableStats::of(self.store(), self.tree()?.root, index)
    }

    pub(super) fn view<'v>(&self, tree: &'v Tree) -> View<'v>
    where
        't: 'v,
    {
        View { store: self.tables.store(), kind: &tree.kind, root: tree.root }
    }

    /// Loads rows behind the last one of the table, which is not changed meanwhile.
    pub(super) fn loader(&self) -> Result<Loader<'t>, StorageError> {
        let _loan = self.lend();
        Loader::behind(self.tables.pages(), &self.tree()?)
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
        let pages = self.tables.pages();
        self.cell.edit(pages, |tree| change(&mut TreeEditor::new(pages, tree, &mut sink)))
    }

    /// The same of a multimap's tree, which is no table to the change log.
    pub(super) fn edit_multimap<T>(
        &self,
        change: impl FnOnce(&mut TreeEditor<'_, ()>, &mut Recorder<'t>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut recorder = self.recorder(true)?;
        let pages = self.tables.pages();
        self.cell.edit(pages, |tree| change(&mut TreeEditor::new(pages, tree, &mut ()), &mut recorder))
    }

    fn recorder(&self, multimap: bool) -> Result<Recorder<'t>, StorageError> {
        self.relieve()?;
        self.settle_reserved()?;
        let Self { tables, name: table, mode, .. } = *self;
        Ok(Recorder { tables, table, mode, multimap })
    }

    fn settle_reserved(&self) -> Result<(), StorageError> {
        if self.mode == CdcMode::Off { Ok(()) } else { self.tables.settle_reserved(self.name, self.cell) }
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

    /// Has `change` merge `operand` into the value of a key; an error must leave the value as it is.
    ///
    /// Every merge comes through here, and the change log is told of it here, not when what it made comes to the tree:
    /// for several merges that happens once.
    pub(super) fn merge(
        &self,
        key: &[u8],
        operand: &[u8],
        change: impl FnOnce(&mut Option<Vec<u8>>, &[u8]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        self.relieve()?;
        self.settle_reserved()?;
        self.tables.relieve_merges()?;
        let mut merged = self.cell.take(self.tables.pages(), key)?;
        let old = merged.value.clone().filter(|_| self.mode == CdcMode::OldAndNew);
        // Not under the cell's lock: this runs what a user wrote.
        let result = self.trusting(|| change(&mut merged.value, operand));
        let told = match result {
            Ok(()) if self.mode != CdcMode::Off => {
                let recorder = Recorder { tables: self.tables, table: self.name, mode: self.mode, multimap: false };
                recorder.merged(key, operand, old.as_deref(), merged.value.as_deref())
            }
            other => other,
        };
        if told.is_ok() || merged.waits {
            self.cell.keep(merged);
        }
        told
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
