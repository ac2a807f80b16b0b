//! Typed tables.

mod guard;
mod range;
mod read;
mod write;

pub use guard::{AccessGuard, AccessGuardMut, AccessGuardMutInPlace};
pub use range::Range;
pub use read::{ReadOnlyTable, ReadableTable, ReadableTableMetadata};
pub use write::Table;
