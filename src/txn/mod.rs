//! Read and write transactions, and the catalog that tells them where tables are.

mod catalog;
mod cdc;
mod cell;
mod debezium;
mod definition;
mod diff;
mod event;
mod history;
mod log;
mod merges;
mod names;
mod past;
mod read;
mod savepoint;
mod stats;
mod system;
#[cfg(test)]
mod tests;
mod write;

pub use catalog::TableKind;
pub(crate) use catalog::{Space, TableId, check_name, is_definition, table_of_row, wrong_expiries};
pub use cdc::{CdcCursor, ChangeStream};
pub(crate) use cell::{Loan, ReservedRow, TableCell};
pub use debezium::DebeziumEncoder;
pub use definition::{
    MultimapTableDefinition, MultimapTableHandle, TableDefinition, TableHandle, TtlTableDefinition, TtlTableHandle,
    UntypedMultimapTableHandle, UntypedTableHandle, UntypedTtlTableHandle,
};
pub use diff::{Diff, TableChange, TableDiff};
pub use event::{BlobChange, Change, ChangeEvent};
pub use history::TransactionInfo;
pub(crate) use history::{begin_read_at, begin_read_at_time, history_pins, transaction_history};
pub(crate) use log::Recorder;
pub use read::ReadTransaction;
pub(crate) use read::Snapshot;
pub(crate) use savepoint::has_persistent_savepoints;
pub use savepoint::{Checkpoint, Savepoint};
pub use stats::DatabaseStats;
pub use write::{Durability, WriteTransaction};
pub(crate) use write::{Opening, TableCells, Tables};

pub(crate) mod sealed {
    pub trait Sealed {}
}
