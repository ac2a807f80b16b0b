//! The error enums. Variants that redb programs match on keep redb's names and shapes.

mod words;

use crate::changes::ChangePosition;
use crate::io;
use crate::txn::ReadTransaction;
#[cfg(feature = "postcard")]
use crate::types::PostcardError;
use crate::types::TypeName;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::panic::Location;

/// Errors of a [`StorageBackend`](crate::StorageBackend)'s locking operations.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackendError {
    /// The storage failed.
    Io(io::Error),
    /// The backend has no such operation.
    Unsupported,
}

/// Errors of the storage underneath, which any operation may meet.
#[derive(Debug)]
#[non_exhaustive]
pub enum StorageError {
    /// Bytes in the file are not what was written. Says what and where.
    Corrupted(String),
    /// A key or value of this many bytes is over the limit.
    ValueTooLarge(usize),
    /// The backend failed.
    Io(io::Error),
    /// The backend lacks an operation that is needed.
    Unsupported,
    /// The file has values that were compressed with this codec, which this build lacks: its feature is off.
    CodecUnavailable(String),
    /// The time is needed, and without `std` there is no clock but that of
    /// [`Builder::set_clock`](crate::Builder::set_clock).
    ClockMissing,
    /// The commit of this transaction id is not part of the history: it was never recorded, or has been let go.
    HistorySnapshotNotFound(u64),
    /// The history has no commit that is as old as that, in milliseconds since 1970.
    HistoryTimeNotFound(u64),
    /// Changes up to this one are not in the log any more.
    CdcPruned {
        /// The newest change that has been let go.
        up_to: ChangePosition,
    },
    /// The merge operator makes nothing of a value and an operand of these widths. Nothing was changed.
    MergeValueWidthMismatch {
        /// Which merge.
        merge: Box<MergePlace>,
        /// Bytes of the value; 0 if there is none.
        existing: usize,
        /// Bytes of the operand.
        operand: usize,
    },
    /// The merge operator refuses. Nothing was changed.
    MergeRefused {
        /// Which merge.
        merge: Box<MergePlace>,
        /// Why.
        reason: Box<str>,
    },
    /// What the merge operator gives is no value of the table's type. Nothing was changed.
    MergeResultInvalid {
        /// Which merge.
        merge: Box<MergePlace>,
        /// The type of the table's values.
        value_type: Box<TypeName>,
        /// Bytes of the result.
        length: usize,
    },
    /// The definition of the table names no merge operator, and the name here is empty; or one that was not registered.
    MergeOperatorMissing(Box<MergePlace>),
    /// An earlier write or sync failed: the database must be opened anew.
    PreviousIo,
    /// The database was closed.
    DatabaseClosed,
    /// A thread panicked while it held a lock.
    LockPoisoned(&'static Location<'static>),
}

/// Which merge an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergePlace {
    /// Name of the table.
    pub table: String,
    /// Name of the operator.
    pub operator: String,
}

/// Errors of opening, renaming and deleting tables.
#[derive(Debug)]
#[non_exhaustive]
pub enum TableError {
    /// The table has other key or value types, which are named.
    TableTypeMismatch {
        /// Name of the table.
        table: String,
        /// Key type that the file holds.
        key: TypeName,
        /// Value type that the file holds.
        value: TypeName,
    },
    /// The table is a multimap.
    TableIsMultimap(String),
    /// The table is not a multimap.
    TableIsNotMultimap(String),
    /// The table is a TTL table.
    TableIsTtl(String),
    /// The table is not a TTL table.
    TableIsNotTtl(String),
    /// A type of this name had another width when the table was made.
    TypeDefinitionChanged {
        /// Name of the type.
        name: TypeName,
        /// Alignment that the file holds.
        alignment: usize,
        /// Width that the file holds.
        width: Option<usize>,
    },
    /// The table has another merge operator.
    MergeOperatorMismatch {
        /// Name of the table.
        table: String,
        /// Name of the operator that the file holds.
        stored: String,
        /// Name of the operator in the definition that it was to be opened with.
        wanted: String,
    },
    /// The text index takes texts apart by another tokenizer.
    TokenizerMismatch {
        /// Name of the index.
        index: String,
        /// Name of the tokenizer that the file holds.
        stored: String,
        /// Name of the tokenizer that it was to be opened with.
        wanted: String,
    },
    /// There is no table of that name.
    TableDoesNotExist(String),
    /// There is a table of that name.
    TableExists(String),
    /// The table is open in this transaction, since that place in the program.
    TableAlreadyOpen(String, &'static Location<'static>),
    /// The storage underneath failed.
    Storage(StorageError),
}

/// Errors of opening a database.
#[derive(Debug)]
#[non_exhaustive]
pub enum DatabaseError {
    /// Somebody else has the file open.
    DatabaseAlreadyOpen,
    /// The file needs a repair that was refused.
    RepairAborted,
    /// The file has this format version, which this build does not read.
    UpgradeRequired(u8),
    /// A transaction is in progress.
    TransactionInProgress,
    /// The storage underneath failed.
    Storage(StorageError),
}

/// Errors of beginning or closing a transaction.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransactionError {
    /// The storage underneath failed.
    Storage(StorageError),
    /// Tables or guards of the read transaction are still in use; it is given back.
    ReadTransactionStillInUse(Box<ReadTransaction>),
}

/// Errors of committing.
#[derive(Debug)]
#[non_exhaustive]
pub enum CommitError {
    /// The storage underneath failed.
    Storage(StorageError),
    /// An operation of the transaction panicked half-way.
    TransactionPoisoned,
}

/// Errors of a batch that was submitted to be committed with others.
#[derive(Debug)]
#[non_exhaustive]
pub enum GroupCommitError {
    /// The batch itself gave this error. It was undone, and nobody else was.
    BatchFailed(Box<dyn core::error::Error + Send + Sync>),
    /// The thread that was to commit the batch with its own panicked, in the storage underneath. Whether the batch is
    /// committed is known when the database is opened again.
    PeerFailed,
    /// The transaction could not be begun: the batch did not run, nor did those that were to be in the transaction.
    TransactionFailed(TransactionError),
    /// What the batch did could not be committed. Each batch that was to be in the commit gets this error.
    CommitFailed(CommitError),
    /// It was submitted from within another batch of the same database, and did not run: it would wait for that one to
    /// end.
    Nested,
}

/// Errors of inserting at a cursor.
#[derive(Debug)]
#[non_exhaustive]
pub enum CursorError {
    /// The key does not lie between those on both sides of the cursor.
    UnorderedKey,
    /// The storage underneath failed.
    Storage(StorageError),
}

/// Errors of loading sorted rows.
#[derive(Debug)]
#[non_exhaustive]
pub enum BulkLoadError {
    /// A key is not greater than the one before it.
    Unordered {
        /// Which row it is of, the first being 0.
        row: u64,
    },
    /// The storage underneath failed.
    Storage(StorageError),
}

/// Errors of savepoints and checkpoints.
#[derive(Debug)]
#[non_exhaustive]
pub enum SavepointError {
    /// It is of another database or gone, or cannot be made because the transaction has changed something.
    InvalidSavepoint,
    /// Persistent savepoints need `Durability::Immediate`.
    ImmediateDurabilityRequired,
    /// The storage underneath failed.
    Storage(StorageError),
}

/// Errors of compaction.
#[derive(Debug)]
#[non_exhaustive]
pub enum CompactionError {
    /// A persistent savepoint exists.
    PersistentSavepointExists,
    /// An ephemeral savepoint exists.
    EphemeralSavepointExists,
    /// A transaction is in progress.
    TransactionInProgress,
    /// The storage underneath failed.
    Storage(StorageError),
}

/// Errors of a backup.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// What the backup is written to failed. The database is as it was.
    Target(io::Error),
    /// The database that is copied, or the storage underneath it, failed.
    Storage(StorageError),
}

/// Errors of comparing the states that two read transactions see.
#[derive(Debug)]
#[non_exhaustive]
pub enum DiffError {
    /// The transactions are of two databases.
    OtherDatabase,
    /// The table is not as it was asked for.
    Table(TableError),
    /// The storage underneath failed.
    Storage(StorageError),
}

/// Errors of storing and reading blobs.
#[derive(Debug)]
#[non_exhaustive]
pub enum BlobError {
    /// There is no blob with this number, or it was changed while it was read.
    NotFound(u64),
    /// A text is over its limit.
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its bytes.
        length: usize,
        /// The most that it may have.
        limit: usize,
    },
    /// The blob ends before the range does.
    RangeOutOfBounds {
        /// Where the range begins.
        offset: u64,
        /// Length of the range.
        length: u64,
        /// Length of the blob.
        blob: u64,
    },
    /// The namespace may not have so much.
    QuotaExceeded {
        /// The namespace.
        namespace: String,
        /// What it would have too much of: `blobs` or `bytes`.
        what: &'static str,
        /// The most that it may have.
        limit: u64,
    },
    /// An earlier write to the blob failed.
    WriterFailed,
    /// A link would make a blob its own descendant.
    Cycle {
        /// Number of the blob that was to be the parent.
        parent: u64,
        /// Number of the blob that was to be the child.
        child: u64,
    },
    /// The storage underneath failed.
    Storage(StorageError),
}

/// Errors of indexes of tags and graphs that are your own.
#[derive(Debug)]
#[non_exhaustive]
pub enum IndexError {
    /// A text is over its limit.
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its bytes.
        length: usize,
        /// The most that it may have.
        limit: usize,
    },
    /// An edge would make a thing its own descendant.
    Cycle {
        /// Id of what was to be the parent.
        parent: Vec<u8>,
        /// Id of what was to be the child.
        child: Vec<u8>,
    },
    /// The storage underneath failed, or an id is over its [limit](crate::limits::MAX_THING_LENGTH): `ValueTooLarge`.
    Storage(StorageError),
}

/// Errors of vectors.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VectorError {
    /// A vector is longer or shorter than the other.
    DimensionMismatch {
        /// Elements that it should have.
        expected: usize,
        /// Elements that it has.
        found: usize,
    },
    /// An element is infinite or not a number.
    NotFinite {
        /// Which one, from 0 on.
        at: usize,
    },
    /// The distance is more than [`f32::MAX`].
    Overflow,
    /// The vector has no direction: all its elements are zero, or the square of its length is.
    ZeroVector,
    /// The metric is not defined for such elements.
    MetricUnsupported {
        /// The metric.
        metric: &'static str,
        /// What the vectors are of.
        element: &'static str,
    },
}

/// Errors of choosing a transaction's durability.
#[derive(Debug)]
#[non_exhaustive]
pub enum SetDurabilityError {
    /// The transaction changed persistent savepoints, which must be durable.
    PersistentSavepointModified,
}

/// Any error of this crate.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A blob could not be stored or read as it was asked.
    Blob(BlobError),
    /// An index could not be changed as it was asked.
    Index(IndexError),
    /// Vectors could not be compared.
    Vector(VectorError),
    /// Somebody else has the file open.
    DatabaseAlreadyOpen,
    /// The savepoint is of another database or gone, or cannot be made because the transaction has changed something.
    InvalidSavepoint,
    /// Persistent savepoints need `Durability::Immediate`.
    ImmediateDurabilityRequired,
    /// The file needs a repair that was refused.
    RepairAborted,
    /// The transaction changed persistent savepoints.
    PersistentSavepointModified,
    /// A persistent savepoint exists.
    PersistentSavepointExists,
    /// An ephemeral savepoint exists.
    EphemeralSavepointExists,
    /// A transaction is in progress.
    TransactionInProgress,
    /// An operation of the transaction panicked half-way.
    TransactionPoisoned,
    /// Bytes in the file are not what was written. Says what and where.
    Corrupted(String),
    /// The file has this format version, which this build does not read.
    UpgradeRequired(u8),
    /// A key or value of this many bytes is over the limit.
    ValueTooLarge(usize),
    /// A key was inserted at a place that its order forbids.
    UnorderedKey,
    /// Two transactions that are compared are of two databases.
    OtherDatabase,
    /// A batch gave this error, which is none of this crate's.
    BatchFailed(Box<dyn core::error::Error + Send + Sync>),
    /// The thread that was to commit a batch panicked.
    PeerFailed,
    /// A batch was submitted from within another one.
    NestedBatch,
    /// The table has other key or value types, which are named.
    TableTypeMismatch {
        /// Name of the table.
        table: String,
        /// Key type that the file holds.
        key: TypeName,
        /// Value type that the file holds.
        value: TypeName,
    },
    /// The table is a multimap.
    TableIsMultimap(String),
    /// The table is not a multimap.
    TableIsNotMultimap(String),
    /// The table is a TTL table.
    TableIsTtl(String),
    /// The table is not a TTL table.
    TableIsNotTtl(String),
    /// A type of this name had another width when the table was made.
    TypeDefinitionChanged {
        /// Name of the type.
        name: TypeName,
        /// Alignment that the file holds.
        alignment: usize,
        /// Width that the file holds.
        width: Option<usize>,
    },
    /// The table has another merge operator.
    MergeOperatorMismatch {
        /// Name of the table.
        table: String,
        /// Name of the operator that the file holds.
        stored: String,
        /// Name of the operator in the definition that it was to be opened with.
        wanted: String,
    },
    /// The text index takes texts apart by another tokenizer.
    TokenizerMismatch {
        /// Name of the index.
        index: String,
        /// Name of the tokenizer that the file holds.
        stored: String,
        /// Name of the tokenizer that it was to be opened with.
        wanted: String,
    },
    /// There is no table of that name.
    TableDoesNotExist(String),
    /// There is a table of that name.
    TableExists(String),
    /// The table is open in this transaction, since that place in the program.
    TableAlreadyOpen(String, &'static Location<'static>),
    /// The backend failed.
    Io(io::Error),
    /// The backend lacks an operation that is needed.
    Unsupported,
    /// The file has values that were compressed with this codec, which this build lacks: its feature is off.
    CodecUnavailable(String),
    /// The time is needed, and without `std` there is no clock but that of
    /// [`Builder::set_clock`](crate::Builder::set_clock).
    ClockMissing,
    /// The commit of this transaction id is not part of the history: it was never recorded, or has been let go.
    HistorySnapshotNotFound(u64),
    /// The history has no commit that is as old as that, in milliseconds since 1970.
    HistoryTimeNotFound(u64),
    /// Changes up to this one are not in the log any more.
    CdcPruned {
        /// The newest change that has been let go.
        up_to: ChangePosition,
    },
    /// The database was closed.
    DatabaseClosed,
    /// The merge operator makes nothing of a value and an operand of these widths. Nothing was changed.
    MergeValueWidthMismatch {
        /// Which merge.
        merge: Box<MergePlace>,
        /// Bytes of the value; 0 if there is none.
        existing: usize,
        /// Bytes of the operand.
        operand: usize,
    },
    /// The merge operator refuses. Nothing was changed.
    MergeRefused {
        /// Which merge.
        merge: Box<MergePlace>,
        /// Why.
        reason: Box<str>,
    },
    /// What the merge operator gives is no value of the table's type. Nothing was changed.
    MergeResultInvalid {
        /// Which merge.
        merge: Box<MergePlace>,
        /// The type of the table's values.
        value_type: Box<TypeName>,
        /// Bytes of the result.
        length: usize,
    },
    /// The definition of the table names no merge operator, and the name here is empty; or one that was not registered.
    MergeOperatorMissing(Box<MergePlace>),
    /// An earlier write or sync failed: the database must be opened anew.
    PreviousIo,
    /// A thread panicked while it held a lock.
    LockPoisoned(&'static Location<'static>),
    /// Tables or guards of the read transaction are still in use; it is given back.
    ReadTransactionStillInUse(Box<ReadTransaction>),
    /// Postcard makes no bytes of a value, or no value of bytes.
    #[cfg(feature = "postcard")]
    Postcard(PostcardError),
}

impl StorageError {
    pub(crate) fn corrupted(what: impl Into<String>) -> Self {
        Self::Corrupted(what.into())
    }
}

/// Copies for all who waited for what failed.
#[cfg(feature = "std")]
impl CommitError {
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Storage(err) => Self::Storage(err.again()),
            Self::TransactionPoisoned => Self::TransactionPoisoned,
        }
    }
}

#[cfg(feature = "std")]
impl StorageError {
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Corrupted(what) => Self::Corrupted(what.clone()),
            Self::ValueTooLarge(length) => Self::ValueTooLarge(*length),
            Self::Io(err) => Self::Io(io::again(err)),
            Self::Unsupported => Self::Unsupported,
            Self::CodecUnavailable(codec) => Self::CodecUnavailable(codec.clone()),
            Self::ClockMissing => Self::ClockMissing,
            Self::HistorySnapshotNotFound(id) => Self::HistorySnapshotNotFound(*id),
            Self::HistoryTimeNotFound(time) => Self::HistoryTimeNotFound(*time),
            Self::CdcPruned { up_to } => Self::CdcPruned { up_to: *up_to },
            Self::MergeValueWidthMismatch { merge, existing, operand } => {
                Self::MergeValueWidthMismatch { merge: merge.clone(), existing: *existing, operand: *operand }
            }
            Self::MergeRefused { merge, reason } => Self::MergeRefused { merge: merge.clone(), reason: reason.clone() },
            Self::MergeResultInvalid { merge, value_type, length } => {
                Self::MergeResultInvalid { merge: merge.clone(), value_type: value_type.clone(), length: *length }
            }
            Self::MergeOperatorMissing(merge) => Self::MergeOperatorMissing(merge.clone()),
            Self::PreviousIo => Self::PreviousIo,
            Self::DatabaseClosed => Self::DatabaseClosed,
            Self::LockPoisoned(place) => Self::LockPoisoned(place),
        }
    }
}

impl From<io::Error> for BackendError {
    /// An error whose kind is `Unsupported` stays [`BackendError::Unsupported`].
    fn from(err: io::Error) -> Self {
        #[cfg(feature = "std")]
        if err.kind() == std::io::ErrorKind::Unsupported {
            return Self::Unsupported;
        }
        Self::Io(err)
    }
}

impl From<BackendError> for io::Error {
    fn from(err: BackendError) -> Self {
        match err {
            BackendError::Io(err) => err,
            BackendError::Unsupported => io::invalid_input("the storage backend lacks this operation"),
        }
    }
}

impl From<io::Error> for StorageError {
    fn from(err: io::Error) -> Self {
        Self::Io(err)
    }
}

impl From<BackendError> for StorageError {
    fn from(err: BackendError) -> Self {
        match err {
            BackendError::Io(err) => Self::Io(err),
            BackendError::Unsupported => Self::Unsupported,
        }
    }
}

impl From<io::Error> for DatabaseError {
    fn from(err: io::Error) -> Self {
        Self::Storage(err.into())
    }
}

impl From<BackendError> for DatabaseError {
    fn from(err: BackendError) -> Self {
        Self::Storage(err.into())
    }
}

/// What the errors have in common that wrap that of the storage.
macro_rules! wraps_storage_error {
    ($($name:ty),*) => {$(
        impl From<StorageError> for $name {
            fn from(err: StorageError) -> Self {
                Self::Storage(err)
            }
        }

        impl core::error::Error for $name {
            fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
                match self {
                    Self::Storage(err) => Some(err),
                    _ => None,
                }
            }
        }
    )*};
}
wraps_storage_error!(
    TableError,
    DatabaseError,
    TransactionError,
    CommitError,
    CompactionError,
    CursorError,
    BulkLoadError,
    SavepointError,
    DiffError,
    BlobError,
    IndexError
);

impl From<TableError> for DiffError {
    fn from(err: TableError) -> Self {
        match err {
            TableError::Storage(err) => Self::Storage(err),
            err => Self::Table(err),
        }
    }
}

impl From<io::Error> for Error {
    fn from(err: io::Error) -> Self {
        Self::Io(err)
    }
}

impl From<BackendError> for Error {
    fn from(err: BackendError) -> Self {
        StorageError::from(err).into()
    }
}

#[cfg(feature = "std")]
impl<T> From<std::sync::PoisonError<T>> for Error {
    #[track_caller]
    fn from(_: std::sync::PoisonError<T>) -> Self {
        Self::LockPoisoned(Location::caller())
    }
}

#[cfg(feature = "std")]
impl<T> From<std::sync::PoisonError<T>> for StorageError {
    #[track_caller]
    fn from(_: std::sync::PoisonError<T>) -> Self {
        Self::LockPoisoned(Location::caller())
    }
}

impl From<StorageError> for Error {
    fn from(err: StorageError) -> Self {
        match err {
            StorageError::Corrupted(what) => Self::Corrupted(what),
            StorageError::ValueTooLarge(length) => Self::ValueTooLarge(length),
            StorageError::Io(err) => Self::Io(err),
            StorageError::Unsupported => Self::Unsupported,
            StorageError::CodecUnavailable(name) => Self::CodecUnavailable(name),
            StorageError::ClockMissing => Self::ClockMissing,
            StorageError::HistorySnapshotNotFound(id) => Self::HistorySnapshotNotFound(id),
            StorageError::HistoryTimeNotFound(time) => Self::HistoryTimeNotFound(time),
            StorageError::CdcPruned { up_to } => Self::CdcPruned { up_to },
            StorageError::MergeValueWidthMismatch { merge, existing, operand } => {
                Self::MergeValueWidthMismatch { merge, existing, operand }
            }
            StorageError::MergeRefused { merge, reason } => Self::MergeRefused { merge, reason },
            StorageError::MergeResultInvalid { merge, value_type, length } => {
                Self::MergeResultInvalid { merge, value_type, length }
            }
            StorageError::MergeOperatorMissing(merge) => Self::MergeOperatorMissing(merge),
            StorageError::PreviousIo => Self::PreviousIo,
            StorageError::DatabaseClosed => Self::DatabaseClosed,
            StorageError::LockPoisoned(place) => Self::LockPoisoned(place),
        }
    }
}

impl From<TableError> for Error {
    fn from(err: TableError) -> Self {
        match err {
            TableError::TableTypeMismatch { table, key, value } => Self::TableTypeMismatch { table, key, value },
            TableError::TableIsMultimap(name) => Self::TableIsMultimap(name),
            TableError::TableIsNotMultimap(name) => Self::TableIsNotMultimap(name),
            TableError::TableIsTtl(name) => Self::TableIsTtl(name),
            TableError::TableIsNotTtl(name) => Self::TableIsNotTtl(name),
            TableError::TypeDefinitionChanged { name, alignment, width } => {
                Self::TypeDefinitionChanged { name, alignment, width }
            }
            TableError::MergeOperatorMismatch { table, stored, wanted } => {
                Self::MergeOperatorMismatch { table, stored, wanted }
            }
            TableError::TokenizerMismatch { index, stored, wanted } => {
                Self::TokenizerMismatch { index, stored, wanted }
            }
            TableError::TableDoesNotExist(name) => Self::TableDoesNotExist(name),
            TableError::TableExists(name) => Self::TableExists(name),
            TableError::TableAlreadyOpen(name, place) => Self::TableAlreadyOpen(name, place),
            TableError::Storage(err) => err.into(),
        }
    }
}

impl From<DatabaseError> for Error {
    fn from(err: DatabaseError) -> Self {
        match err {
            DatabaseError::DatabaseAlreadyOpen => Self::DatabaseAlreadyOpen,
            DatabaseError::RepairAborted => Self::RepairAborted,
            DatabaseError::UpgradeRequired(version) => Self::UpgradeRequired(version),
            DatabaseError::TransactionInProgress => Self::TransactionInProgress,
            DatabaseError::Storage(err) => err.into(),
        }
    }
}

impl From<TransactionError> for Error {
    fn from(err: TransactionError) -> Self {
        match err {
            TransactionError::Storage(err) => err.into(),
            TransactionError::ReadTransactionStillInUse(txn) => Self::ReadTransactionStillInUse(txn),
        }
    }
}

impl From<CommitError> for Error {
    fn from(err: CommitError) -> Self {
        match err {
            CommitError::Storage(err) => err.into(),
            CommitError::TransactionPoisoned => Self::TransactionPoisoned,
        }
    }
}

impl From<GroupCommitError> for Error {
    /// An error of this crate that a batch gave is what it was.
    fn from(err: GroupCommitError) -> Self {
        match err {
            GroupCommitError::BatchFailed(err) => Self::of_batch(err),
            GroupCommitError::PeerFailed => Self::PeerFailed,
            GroupCommitError::TransactionFailed(err) => err.into(),
            GroupCommitError::CommitFailed(err) => err.into(),
            GroupCommitError::Nested => Self::NestedBatch,
        }
    }
}

impl From<CursorError> for Error {
    fn from(err: CursorError) -> Self {
        match err {
            CursorError::UnorderedKey => Self::UnorderedKey,
            CursorError::Storage(err) => err.into(),
        }
    }
}

impl From<BulkLoadError> for Error {
    fn from(err: BulkLoadError) -> Self {
        match err {
            BulkLoadError::Unordered { .. } => Self::UnorderedKey,
            BulkLoadError::Storage(err) => err.into(),
        }
    }
}

impl From<SavepointError> for Error {
    fn from(err: SavepointError) -> Self {
        match err {
            SavepointError::InvalidSavepoint => Self::InvalidSavepoint,
            SavepointError::ImmediateDurabilityRequired => Self::ImmediateDurabilityRequired,
            SavepointError::Storage(err) => err.into(),
        }
    }
}

impl From<CompactionError> for Error {
    fn from(err: CompactionError) -> Self {
        match err {
            CompactionError::PersistentSavepointExists => Self::PersistentSavepointExists,
            CompactionError::EphemeralSavepointExists => Self::EphemeralSavepointExists,
            CompactionError::TransactionInProgress => Self::TransactionInProgress,
            CompactionError::Storage(err) => err.into(),
        }
    }
}

impl From<BlobError> for Error {
    fn from(err: BlobError) -> Self {
        match err {
            BlobError::Storage(err) => err.into(),
            err => Self::Blob(err),
        }
    }
}

impl core::error::Error for VectorError {}

impl From<VectorError> for Error {
    fn from(err: VectorError) -> Self {
        Self::Vector(err)
    }
}

impl From<IndexError> for Error {
    fn from(err: IndexError) -> Self {
        match err {
            IndexError::Storage(err) => err.into(),
            err => Self::Index(err),
        }
    }
}

#[cfg(feature = "std")]
impl From<BlobError> for io::Error {
    fn from(err: BlobError) -> Self {
        match err {
            BlobError::Storage(StorageError::Io(err)) => err,
            BlobError::NotFound(_) => Self::new(std::io::ErrorKind::NotFound, err),
            err => Self::other(err),
        }
    }
}

impl From<DiffError> for Error {
    fn from(err: DiffError) -> Self {
        match err {
            DiffError::OtherDatabase => Self::OtherDatabase,
            DiffError::Table(err) => err.into(),
            DiffError::Storage(err) => err.into(),
        }
    }
}

impl From<BackupError> for Error {
    fn from(err: BackupError) -> Self {
        match err {
            BackupError::Target(err) => Self::Io(err),
            BackupError::Storage(err) => err.into(),
        }
    }
}

impl From<StorageError> for BackupError {
    fn from(err: StorageError) -> Self {
        Self::Storage(err)
    }
}

impl From<SetDurabilityError> for Error {
    fn from(err: SetDurabilityError) -> Self {
        match err {
            SetDurabilityError::PersistentSavepointModified => Self::PersistentSavepointModified,
        }
    }
}

#[cfg(feature = "postcard")]
impl From<PostcardError> for Error {
    fn from(err: PostcardError) -> Self {
        Self::Postcard(err)
    }
}

impl Error {
    fn of_batch(err: Box<dyn core::error::Error + Send + Sync>) -> Self {
        let own = err.downcast::<Self>().map(|own| *own);
        let own = own.or_else(|err| err.downcast::<StorageError>().map(|own| (*own).into()));
        let own = own.or_else(|err| err.downcast::<TableError>().map(|own| (*own).into()));
        own.unwrap_or_else(Self::BatchFailed)
    }

    /// Whether the same call may succeed at another time, with nothing else done about it: somebody else has what it
    /// needs, or the storage was busy, interrupted or full.
    ///
    /// ```
    /// use sapwood::Error;
    ///
    /// assert!(Error::TransactionInProgress.is_retryable());
    /// assert!(!Error::DatabaseClosed.is_retryable());
    /// ```
    ///
    /// After a failed write or sync the database must be opened again before anything is retried: then further writes
    /// fail with [`PreviousIo`](Self::PreviousIo), for which this is `false`.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::DatabaseAlreadyOpen | Self::TransactionInProgress | Self::ReadTransactionStillInUse(_) => true,
            Self::Io(err) => crate::io::passes(err),
            _ => false,
        }
    }
}
