//! Read and write transactions, and the catalog that tells them where tables are.

mod catalog;
mod definition;
mod diff;
mod names;
mod read;
mod savepoint;
mod stats;
mod system;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use catalog::{is_definition, table_of_row};
pub use definition::{
    MultimapTableDefinition, MultimapTableHandle, TableDefinition, TableHandle, UntypedMultimapTableHandle,
    UntypedTableHandle,
};
pub use diff::{Diff, TableChange, TableDiff, TableKind};
pub use read::ReadTransaction;
pub(crate) use read::Snapshot;
pub(crate) use savepoint::has_persistent_savepoints;
pub use savepoint::{Checkpoint, Savepoint};
pub use stats::DatabaseStats;
pub use write::{Durability, WriteTransaction};
pub(crate) use write::{Loan, TableCell, Tables};

pub(crate) mod sealed {
    pub trait Sealed {}
}
