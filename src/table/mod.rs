//! Typed tables.

mod guard;
mod range;
mod read;
mod untyped;
mod write;

pub use guard::{AccessGuard, AccessGuardMut, AccessGuardMutInPlace};
pub use range::Range;
pub use read::{ReadOnlyTable, ReadableTable, ReadableTableMetadata};
pub use untyped::ReadOnlyUntypedTable;
pub use write::Table;
