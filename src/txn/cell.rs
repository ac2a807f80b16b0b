//! A table's tree within a write transaction, and the merges that are not in it yet. Nobody comes to the tree but
//! through the cell, which brings the merges to it first.

use super::merges::{MergeRoom, Merged, Merges};
use crate::btree::{Tree, TreeKind};
use crate::changes::CdcMode;
use crate::error::StorageError;
use crate::pages::PageWriter;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering};
use alloc::vec::Vec;

/// A table's tree within a write transaction.
#[derive(Debug)]
pub(crate) struct TableCell {
    contents: Mutex<Contents>,
    /// A value that was handed out to be filled in, of which the change log is still to be told.
    reserved: Mutex<Option<ReservedRow>>,
    /// Ranges and guards that look at the tree's pages: while there are any, only their table's owner may change them.
    lent: AtomicUsize,
}

#[derive(Debug)]
struct Contents {
    tree: Tree,
    merges: Merges,
}

impl Contents {
    /// The tree with all merges in it.
    fn settled(&mut self, pages: &PageWriter) -> Result<&mut Tree, StorageError> {
        self.merges.settle(pages, &mut self.tree)?;
        Ok(&mut self.tree)
    }
}

/// What the change log has to be told of a row once its value is there.
#[derive(Debug)]
pub(crate) struct ReservedRow {
    pub(crate) key: Vec<u8>,
    /// The value before, if there was one.
    pub(crate) old: Option<Vec<u8>>,
    pub(crate) mode: CdcMode,
}

impl TableCell {
    pub(super) fn new(tree: Tree, room: Arc<MergeRoom>) -> Arc<Self> {
        let contents = Contents { tree, merges: Merges::new(room) };
        Arc::new(Self { contents: Mutex::new(contents), reserved: Mutex::default(), lent: AtomicUsize::new(0) })
    }

    pub(crate) fn kind(&self) -> TreeKind {
        self.contents.lock().tree.kind
    }

    /// The tree as it stands.
    pub(crate) fn tree(&self, pages: &PageWriter) -> Result<Tree, StorageError> {
        Ok(self.contents.lock().settled(pages)?.view())
    }

    pub(crate) fn edit<T>(
        &self,
        pages: &PageWriter,
        change: impl FnOnce(&mut Tree) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        change(self.contents.lock().settled(pages)?)
    }

    /// Brings the merges that wait to the tree.
    pub(super) fn settle(&self, pages: &PageWriter) -> Result<(), StorageError> {
        self.contents.lock().settled(pages).map(|_| ())
    }

    /// Takes the value of a key out, to be merged into: it waits no longer, and must be [kept](Self::keep) again.
    pub(crate) fn take(&self, pages: &PageWriter, key: &[u8]) -> Result<Merged, StorageError> {
        pages.check_whole()?;
        let Contents { tree, merges } = &mut *self.contents.lock();
        merges.take(pages, tree, key)
    }

    /// Has a value wait that was merged into.
    pub(crate) fn keep(&self, merged: Merged) {
        self.contents.lock().merges.keep(merged);
    }

    /// Seals the tree's pages, unless it is being changed, or looked at: then they must stay as they are. Merges go on
    /// waiting, as their memory is not the pages'.
    pub(super) fn seal_if_idle(&self, pages: &PageWriter) -> Result<(), StorageError> {
        let Some(mut contents) = self.contents.try_lock() else { return Ok(()) };
        if self.lent.load(Ordering::Acquire) == 0 {
            contents.tree.seal(pages)?;
        }
        Ok(())
    }

    /// The value of this row is to be told to the change log when the table is changed next, or closed.
    pub(crate) fn reserve(&self, row: ReservedRow) {
        *self.reserved.lock() = Some(row);
    }

    pub(super) fn take_reserved(&self) -> Option<ReservedRow> {
        self.reserved.lock().take()
    }

    /// Keeps the tree's pages as they are while the loan lives; ask for the [`tree`](Self::tree) after it.
    pub(crate) fn lend(self: &Arc<Self>) -> Loan {
        self.lent.fetch_add(1, Ordering::AcqRel);
        Loan(self.clone())
    }
}

/// Keeps others from sealing a table's pages while they are looked at.
#[derive(Debug)]
pub(crate) struct Loan(Arc<TableCell>);

impl Clone for Loan {
    fn clone(&self) -> Self {
        self.0.lend()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.0.lent.fetch_sub(1, Ordering::AcqRel);
    }
}
