//! Tables whose rows may expire.
//!
//! - A TTL table is a table whose values have the time of their expiry before them, and an index: a tree of the times
//!   of all rows that expire, each with the row's key behind it.
//! - Every change of a row passes [`RowSink`], which changes the index in the same step.
//! - A row that has expired is not shown. It is stored until something removes it.

mod entry;
mod extract;
mod guard;
mod index;
mod read;
mod row;
#[cfg(test)]
mod tests;
mod write;

pub use entry::{OccupiedTtlEntry, TtlEntry, VacantTtlEntry};
pub use extract::{TtlDrain, TtlExtractIf};
pub use guard::{TtlAccessGuard, TtlAccessGuardMut, TtlRange};
pub(super) use index::RowSink;
pub(crate) use index::{check_expiries, expiries_kind};
pub use read::{ReadOnlyTtlTable, ReadableTtlTable};
pub use row::Expiry;
pub(crate) use row::row_kind;
pub use write::TtlTable;
