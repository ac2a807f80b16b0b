//! Sapwood: an embeddable database in one file.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![deny(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod limits;

mod changes;
mod clock;
mod compression;
mod error;
pub mod io;
mod math;
mod merge;
mod settings;
mod sync;
mod types;

mod vector;

mod backend;
mod format;

mod pages;

mod btree;

mod table;
mod txn;

mod index;

mod text;

mod blob;

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
pub use blob::{
    BlobDiff, BlobDiffs, BlobId, BlobIds, BlobMeta, BlobReader, BlobStats, BlobWriter, BlobsInTime, ContentType,
    DedupStats, HybridTime, Link, LinkedBlobs, Metadata, MetadataValue, NamespaceInfo, NamespaceQuota, ReadableBlobs,
    StoreOptions,
};
pub use changes::{CdcConfig, CdcMode, ChangePosition};
pub use clock::Clock;
#[cfg(feature = "std")]
pub use clock::SystemClock;
pub use compression::Compression;
pub use db::{
    BackupReport, Builder, CacheStats, CloseError, CommitWatch, CompactOptions, CompactProgress, Database, Finding,
    IntegrityReport, KeyHistory, KeyVersion, NextCommit, OpenOutcome, ReadableDatabase, RepairSession, SnapshotInfo,
    VerifyLevel, VerifyProgress, VerifyReport, WriteBatch,
};
#[cfg(feature = "std")]
pub use db::{GroupCommitOptions, ReadOnlyDatabase};
pub use error::{
    BackendError, BackupError, BlobError, BulkLoadError, CommitError, CompactionError, CursorError, DatabaseError,
    DiffError, Error, GroupCommitError, IndexError, MergePlace, SavepointError, SetDurabilityError, StorageError,
    TableError, TransactionError, VectorError,
};
pub use index::{DeleteLinks, Edge, Follow, Graph, GraphDefinition, Relation, TagIndex, TagIndexDefinition, TagQuery};
pub use merge::{
    BitwiseAnd, BitwiseOr, BitwiseXor, BytesAppend, CheckedAdd, FloatAdd, MergeError, MergeOperator, NumericAdd,
    NumericMax, NumericMin, SaturatingAdd, SetUnion, merge_fn,
};
pub use settings::HistoryRetention;
pub use table::{
    AccessGuard, AccessGuardMut, AccessGuardMutInPlace, Cursor, CursorMut, DiffRow, DiffRows, Drain, Entry, Expiry,
    ExtractIf, MultimapRange, MultimapTable, MultimapValue, OccupiedEntry, OccupiedTtlEntry, OwnedAccessGuard,
    OwnedMultimapRange, OwnedMultimapValue, OwnedRange, Range, ReadOnlyMultimapTable, ReadOnlyTable, ReadOnlyTtlTable,
    ReadOnlyUntypedMultimapTable, ReadOnlyUntypedTable, ReadableMultimapTable, ReadableTable, ReadableTableMetadata,
    ReadableTtlTable, Table, TableStats, TtlAccessGuard, TtlAccessGuardMut, TtlDrain, TtlEntry, TtlExtractIf, TtlRange,
    TtlTable, TypedDiffRow, TypedDiffRows, VacantEntry, VacantTtlEntry,
};
pub use text::{TextHit, TextIndex, TextIndexDefinition, TextQuery, Tokenizer, Words};
pub use txn::{
    BlobChange, CdcCursor, Change, ChangeEvent, ChangeStream, Checkpoint, DatabaseStats, DebeziumEncoder, Diff,
    Durability, MultimapTableDefinition, MultimapTableHandle, ReadTransaction, Savepoint, TableChange, TableDefinition,
    TableDiff, TableHandle, TableKind, TransactionInfo, TtlTableDefinition, TtlTableHandle, UntypedMultimapTableHandle,
    UntypedTableHandle, UntypedTtlTableHandle, WriteTransaction,
};
#[cfg(feature = "bytemuck")]
pub use types::Pod;
pub use types::{F16, Key, MutInPlaceValue, PrefixKey, TypeName, Value};
#[cfg(feature = "postcard")]
pub use types::{Postcard, PostcardError};
pub use vector::{Element, Metric, Neighbour, nearest_k};

#[cfg(feature = "derive")]
pub use sapwood_derive::{Key, Value};

/// What the code that the derive macros make calls. No part of the API: it may change in any release.
#[cfg(feature = "derive")]
#[doc(hidden)]
pub mod __private {
    pub use crate::types::derived::*;
}

/// The result of most operations on an open database.
pub type Result<T = (), E = StorageError> = core::result::Result<T, E>;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
