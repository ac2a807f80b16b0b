//! Typed tables.

mod guard;
mod owned;
mod range;
mod read;
mod stats;
mod untyped;
mod write;

pub use guard::{AccessGuard, AccessGuardMut, AccessGuardMutInPlace};
pub use owned::{OwnedAccessGuard, OwnedRange};
pub use range::Range;
pub use read::{ReadOnlyTable, ReadableTable, ReadableTableMetadata};
pub use stats::TableStats;
pub use untyped::ReadOnlyUntypedTable;
pub use write::Table;
