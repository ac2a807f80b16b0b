use super::read::{ReadableTableMetadata, SnapshotTree};
use super::stats::TableStats;
use crate::error::StorageError;
use crate::txn::sealed::Sealed;
use crate::txn::{MultimapTableHandle, TableHandle};
use core::fmt::{Debug, Formatter};

/// A table of a read transaction whose types are not known.
macro_rules! untyped {
    ($(#[$doc:meta])* $name:ident, $handle:ident) => {
        $(#[$doc])*
        pub struct $name(SnapshotTree);

        impl $name {
            pub(crate) fn new(tree: SnapshotTree) -> Self {
                Self(tree)
            }
        }

        impl ReadableTableMetadata for $name {
            fn stats(&self) -> Result<TableStats, StorageError> {
                self.0.stats()
            }

            fn len(&self) -> Result<u64, StorageError> {
                Ok(self.0.len())
            }
        }

        impl Sealed for $name {}

        impl $handle for $name {
            fn name(&self) -> &str {
                self.0.name()
            }
        }

        impl Debug for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name)).field("name", &self.0.name()).finish_non_exhaustive()
            }
        }
    };
}

untyped! {
    /// A table of a read transaction whose types are not known. It keeps the transaction's snapshot, so it may outlive
    /// it.
    ///
    /// [`ReadTransaction::open_untyped_table`](crate::ReadTransaction::open_untyped_table) makes it.
    ReadOnlyUntypedTable,
    TableHandle
}

untyped! {
    /// A multimap table of a read transaction whose types are not known. It keeps the transaction's snapshot, so it may
    /// outlive it.
    ///
    /// [`ReadTransaction::open_untyped_multimap_table`](crate::ReadTransaction::open_untyped_multimap_table) makes it.
    ReadOnlyUntypedMultimapTable,
    MultimapTableHandle
}
