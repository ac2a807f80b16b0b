//! Read and write transactions, and the catalog that tells them where tables are.

mod catalog;
mod definition;
mod read;
mod write;

pub use definition::{TableDefinition, TableHandle};
pub use read::ReadTransaction;
pub(crate) use read::Snapshot;
pub use write::{Durability, WriteTransaction};
pub(crate) use write::{Loan, TableCell, Tables};

pub(crate) mod sealed {
    pub trait Sealed {}
}
