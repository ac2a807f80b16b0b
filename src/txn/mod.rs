//! Read and write transactions, and the catalog that tells them where tables are.

mod catalog;
mod cell;
mod definition;
mod merges;
mod names;
mod read;
mod savepoint;
mod stats;
mod system;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use catalog::{is_definition, table_of_row};
pub(crate) use cell::{Loan, TableCell};
pub use definition::{
    MultimapTableDefinition, MultimapTableHandle, TableDefinition, TableHandle, UntypedMultimapTableHandle,
    UntypedTableHandle,
};
pub use read::ReadTransaction;
pub(crate) use read::Snapshot;
pub(crate) use savepoint::has_persistent_savepoints;
pub use savepoint::{Checkpoint, Savepoint};
pub use stats::DatabaseStats;
pub(crate) use write::Tables;
pub use write::{Durability, WriteTransaction};

pub(crate) mod sealed {
    pub trait Sealed {}
}
