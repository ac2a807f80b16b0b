//! Sapwood: an embeddable database in one file.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![deny(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod limits;

mod error;
pub mod io;
mod sync;
mod types;

mod backend;
mod format;

mod pages;

mod btree;

mod table;
mod txn;

mod db;

/// Storages that come with the crate, and a check for your own.
///
/// ```
/// use sapwood::backends::{InMemoryBackend, check_backend};
///
/// check_backend(InMemoryBackend::new).unwrap();
/// ```
pub mod backends {
    #[cfg(feature = "std")]
    pub use crate::backend::FileBackend;
    pub use crate::backend::{InMemoryBackend, check_backend};
}

pub use backend::StorageBackend;
#[cfg(feature = "std")]
pub use db::ReadOnlyDatabase;
pub use db::{Builder, CacheStats, Database, OpenOutcome, ReadableDatabase, RepairSession, VerifyReport};
pub use error::{
    BackendError, BulkLoadError, CommitError, CursorError, DatabaseError, Error, SavepointError, SetDurabilityError,
    StorageError, TableError, TransactionError,
};
pub use table::{
    AccessGuard, AccessGuardMut, AccessGuardMutInPlace, Cursor, CursorMut, Drain, Entry, ExtractIf, OccupiedEntry,
    OwnedAccessGuard, OwnedRange, Range, ReadOnlyTable, ReadOnlyUntypedTable, ReadableTable, ReadableTableMetadata,
    Table, TableStats, VacantEntry,
};
pub use txn::{
    Checkpoint, DatabaseStats, Durability, ReadTransaction, Savepoint, TableDefinition, TableHandle,
    UntypedTableHandle, WriteTransaction,
};
pub use types::{Key, MutInPlaceValue, PrefixKey, TypeName, Value};

/// The result of most operations on an open database.
pub type Result<T = (), E = StorageError> = core::result::Result<T, E>;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
