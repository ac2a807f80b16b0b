use super::read::ReadableTableMetadata;
use super::stats::TableStats;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::sync::Arc;
use crate::txn::sealed::Sealed;
use crate::txn::{Snapshot, TableHandle};
use alloc::string::String;
use core::fmt::{Debug, Formatter};

/// A table of a read transaction whose types are not known. It keeps the transaction's snapshot, so it may outlive it.
///
/// [`ReadTransaction::open_untyped_table`](crate::ReadTransaction::open_untyped_table) makes it.
pub struct ReadOnlyUntypedTable {
    name: String,
    snapshot: Arc<Snapshot>,
    root: Option<Pointer>,
}

impl ReadOnlyUntypedTable {
    pub(crate) fn new(name: String, snapshot: Arc<Snapshot>, root: Option<Pointer>) -> Self {
        Self { name, snapshot, root }
    }
}

impl ReadableTableMetadata for ReadOnlyUntypedTable {
    fn stats(&self) -> Result<TableStats, StorageError> {
        TableStats::of(self.snapshot.store(), self.root)
    }

    fn len(&self) -> Result<u64, StorageError> {
        Ok(self.root.map_or(0, |root| root.size))
    }
}

impl Sealed for ReadOnlyUntypedTable {}

impl TableHandle for ReadOnlyUntypedTable {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Debug for ReadOnlyUntypedTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReadOnlyUntypedTable").field("name", &self.name).finish_non_exhaustive()
    }
}
