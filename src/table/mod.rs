//! Typed tables.

mod bulk;
mod cursor;
mod cursor_mut;
mod diff;
mod drain;
mod entry;
mod extract;
mod guard;
mod merge;
mod multimap;
mod multimap_range;
mod multimap_read;
mod open;
mod owned;
mod range;
mod read;
mod removal;
mod stats;
mod sweep;
mod ttl;
mod untyped;
mod write;

pub use cursor::Cursor;
pub use cursor_mut::CursorMut;
pub(crate) use diff::Pair;
pub use diff::{DiffRow, DiffRows, TypedDiffRow, TypedDiffRows};
pub use drain::Drain;
pub use entry::{Entry, OccupiedEntry, VacantEntry};
pub use extract::ExtractIf;
pub use guard::{AccessGuard, AccessGuardMut, AccessGuardMutInPlace};
pub use multimap::MultimapTable;
pub use multimap_range::{MultimapRange, MultimapValue, OwnedMultimapRange, OwnedMultimapValue};
pub use multimap_read::{ReadOnlyMultimapTable, ReadableMultimapTable};
pub(crate) use open::OpenTable;
pub use owned::{OwnedAccessGuard, OwnedRange};
pub use range::Range;
pub(crate) use read::SnapshotTree;
pub use read::{ReadOnlyTable, ReadPastCache, ReadableTable, ReadableTableMetadata};
pub use stats::TableStats;
pub use ttl::{
    Expiry, OccupiedTtlEntry, ReadOnlyTtlTable, ReadableTtlTable, TtlAccessGuard, TtlAccessGuardMut, TtlDrain,
    TtlEntry, TtlExtractIf, TtlRange, TtlTable, VacantTtlEntry,
};
pub(crate) use ttl::{check_expiries, expiries_kind, row_kind};
pub use untyped::{ReadOnlyUntypedMultimapTable, ReadOnlyUntypedTable};
pub use write::Table;
