//! What errors say, and which have a cause.

use super::{
    BackendError, BackupError, BlobError, BulkLoadError, CommitError, CompactionError, CursorError, DatabaseError,
    DiffError, Error, GroupCommitError, IndexError, MergePlace, SavepointError, SetDurabilityError, StorageError,
    TableError, TransactionError, VectorError,
};
use crate::changes::ChangePosition;
use crate::limits::MAX_VALUE_LENGTH;
use core::fmt::{Display, Formatter};

impl Display for BackendError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Io(err) => write!(f, "input or output failed: {err}"),
            Self::Unsupported => f.write_str("the storage backend lacks this operation"),
        }
    }
}

impl Display for MergePlace {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        write!(f, "merging by '{}' into table '{}'", self.operator, self.table)
    }
}

impl Display for StorageError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Corrupted(what) => write!(f, "the file is damaged: {what}"),
            Self::ValueTooLarge(length) => {
                write!(f, "a key or value of {length} bytes is over the limit of {MAX_VALUE_LENGTH}")
            }
            Self::Io(err) => write!(f, "input or output failed: {err}"),
            Self::Unsupported => f.write_str("the storage backend lacks an operation that is needed"),
            Self::CodecUnavailable(codec) => {
                write!(f, "values are compressed with codec {codec}, which this build lacks")
            }
            Self::ClockMissing => f.write_str("there is no clock: see Builder::set_clock"),
            Self::HistorySnapshotNotFound(id) => write!(f, "commit {id} is not, or no longer, part of the history"),
            Self::CdcPruned { up_to: ChangePosition { transaction_id, sequence } } => {
                write!(f, "the change log begins after change {sequence} of transaction {transaction_id}")
            }
            Self::HistoryTimeNotFound(time) => write!(f, "the history begins later than {time} ms since 1970"),
            Self::MergeValueWidthMismatch { merge, existing, operand } => {
                write!(f, "{merge}: a value of {existing} bytes takes no operand of {operand}")
            }
            Self::MergeRefused { merge, reason } => write!(f, "{merge}: {reason}"),
            Self::MergeResultInvalid { merge, value_type, length } => {
                write!(f, "{merge}: {length} bytes are not a {}", value_type.name())
            }
            Self::MergeOperatorMissing(merge) => write!(f, "{merge}: no such operator is registered"),
            Self::PreviousIo => f.write_str("an earlier write or sync failed; open the database anew"),
            Self::DatabaseClosed => f.write_str("the database was closed"),
            Self::LockPoisoned(place) => write!(f, "a thread panicked while it held the lock at {place}"),
        }
    }
}

impl Display for TableError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TableTypeMismatch { table, key, value } => {
                write!(f, "table '{table}' holds {} -> {}", key.name(), value.name())
            }
            Self::TableIsMultimap(name) => write!(f, "table '{name}' is a multimap"),
            Self::TableIsNotMultimap(name) => write!(f, "table '{name}' is not a multimap"),
            Self::TableIsTtl(name) => write!(f, "table '{name}' is a TTL table"),
            Self::TableIsNotTtl(name) => write!(f, "table '{name}' is not a TTL table"),
            Self::TypeDefinitionChanged { name, alignment, width } => {
                write!(f, "type {} was stored with width {width:?} and alignment {alignment}", name.name())
            }
            Self::MergeOperatorMismatch { table, stored, wanted } => {
                write!(f, "table '{table}' has the merge operator '{stored}', not '{wanted}'")
            }
            Self::TokenizerMismatch { index, stored, wanted } => {
                write!(f, "text index '{index}' has the tokenizer '{stored}', not '{wanted}'")
            }
            Self::TableDoesNotExist(name) => write!(f, "there is no table '{name}'"),
            Self::TableExists(name) => write!(f, "there is a table '{name}' already"),
            Self::TableAlreadyOpen(name, place) => write!(f, "table '{name}' is open since {place}"),
            Self::Storage(err) => err.fmt(f),
        }
    }
}

impl Display for DatabaseError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::DatabaseAlreadyOpen => f.write_str("the database is open elsewhere"),
            Self::RepairAborted => f.write_str("the database needs a repair, which was refused"),
            Self::UpgradeRequired(version) => write!(f, "this build does not read format version {version}"),
            Self::TransactionInProgress => f.write_str("a transaction is in progress"),
            Self::Storage(err) => err.fmt(f),
        }
    }
}

impl Display for TransactionError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Storage(err) => err.fmt(f),
            Self::ReadTransactionStillInUse(_) => f.write_str("tables of the read transaction are still in use"),
        }
    }
}

impl Display for CommitError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Storage(err) => err.fmt(f),
            Self::TransactionPoisoned => f.write_str("an operation of the transaction panicked half-way"),
        }
    }
}

impl Display for GroupCommitError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::BatchFailed(err) => write!(f, "the batch failed: {err}"),
            Self::PeerFailed => f.write_str("the thread that was to commit the batch panicked"),
            Self::TransactionFailed(err) => err.fmt(f),
            Self::CommitFailed(err) => err.fmt(f),
            Self::Nested => f.write_str("a batch was submitted from within another one"),
        }
    }
}

impl Display for CursorError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::UnorderedKey => f.write_str("the key does not belong at this place of the order"),
            Self::Storage(err) => err.fmt(f),
        }
    }
}

impl Display for BulkLoadError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Unordered { row } => write!(f, "the key of row {row} is not greater than the one before it"),
            Self::Storage(err) => err.fmt(f),
        }
    }
}

impl Display for BackupError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Target(err) => write!(f, "writing the backup failed: {err}"),
            Self::Storage(err) => err.fmt(f),
        }
    }
}

impl Display for BlobError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotFound(id) => write!(f, "there is no blob {id}, or it was changed"),
            Self::TooLong { what, length, limit } => write!(f, "a {what} of {length} bytes is longer than {limit}"),
            Self::RangeOutOfBounds { offset, length, blob } => {
                write!(f, "{length} bytes from {offset} on are not within a blob of {blob}")
            }
            Self::QuotaExceeded { namespace, what, limit } => {
                write!(f, "the namespace '{namespace}' may not have more than {limit} {what}")
            }
            Self::WriterFailed => f.write_str("an earlier write to the blob failed"),
            Self::Cycle { parent, child } => write!(f, "a link from blob {parent} to blob {child} would close a cycle"),
            Self::Storage(err) => err.fmt(f),
        }
    }
}

impl Display for IndexError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLong { what, length, limit } => BlobError::TooLong { what, length: *length, limit: *limit }.fmt(f),
            Self::Cycle { parent, child } => {
                let (parent, child) = (parent.escape_ascii(), child.escape_ascii());
                write!(f, "an edge from \"{parent}\" to \"{child}\" would close a cycle")
            }
            Self::Storage(err) => err.fmt(f),
        }
    }
}

impl Display for VectorError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::DimensionMismatch { expected, found } => {
                write!(f, "a vector has {found} elements, and should have {expected}")
            }
            Self::NotFinite { at } => write!(f, "element {at} of a vector is not a finite number"),
            Self::Overflow => f.write_str("the distance of two vectors is more than the greatest number"),
            Self::ZeroVector => f.write_str("a vector of zeros has no direction"),
            Self::MetricUnsupported { metric, element } => write!(f, "vectors of {element} have no {metric} distance"),
        }
    }
}

impl Display for DiffError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::OtherDatabase => f.write_str("the transactions are of two databases"),
            Self::Table(err) => err.fmt(f),
            Self::Storage(err) => err.fmt(f),
        }
    }
}

impl Display for SetDurabilityError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::PersistentSavepointModified => f.write_str("persistent savepoints changed in this transaction"),
        }
    }
}

impl Display for CompactionError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::PersistentSavepointExists => f.write_str("a persistent savepoint exists"),
            Self::EphemeralSavepointExists => f.write_str("an ephemeral savepoint exists"),
            Self::TransactionInProgress => DatabaseError::TransactionInProgress.fmt(f),
            Self::Storage(err) => Display::fmt(err, f),
        }
    }
}

impl Display for SavepointError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::InvalidSavepoint => {
                f.write_str("the savepoint is of another database or gone, or the transaction has changed something")
            }
            Self::ImmediateDurabilityRequired => f.write_str("persistent savepoints need immediate durability"),
            Self::Storage(err) => Display::fmt(err, f),
        }
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::DatabaseAlreadyOpen => DatabaseError::DatabaseAlreadyOpen.fmt(f),
            Self::InvalidSavepoint => SavepointError::InvalidSavepoint.fmt(f),
            Self::ImmediateDurabilityRequired => SavepointError::ImmediateDurabilityRequired.fmt(f),
            Self::RepairAborted => DatabaseError::RepairAborted.fmt(f),
            Self::PersistentSavepointModified => SetDurabilityError::PersistentSavepointModified.fmt(f),
            Self::PersistentSavepointExists => CompactionError::PersistentSavepointExists.fmt(f),
            Self::EphemeralSavepointExists => CompactionError::EphemeralSavepointExists.fmt(f),
            Self::TransactionInProgress => DatabaseError::TransactionInProgress.fmt(f),
            Self::TransactionPoisoned => CommitError::TransactionPoisoned.fmt(f),
            Self::Corrupted(what) => write!(f, "the file is damaged: {what}"),
            Self::UpgradeRequired(version) => DatabaseError::UpgradeRequired(*version).fmt(f),
            Self::ValueTooLarge(length) => StorageError::ValueTooLarge(*length).fmt(f),
            Self::UnorderedKey => CursorError::UnorderedKey.fmt(f),
            Self::OtherDatabase => DiffError::OtherDatabase.fmt(f),
            Self::Blob(err) => err.fmt(f),
            Self::Index(err) => err.fmt(f),
            Self::Vector(err) => err.fmt(f),
            Self::BatchFailed(err) => write!(f, "the batch failed: {err}"),
            Self::PeerFailed => GroupCommitError::PeerFailed.fmt(f),
            Self::NestedBatch => GroupCommitError::Nested.fmt(f),
            Self::TableTypeMismatch { table, key, value } => {
                write!(f, "table '{table}' holds {} -> {}", key.name(), value.name())
            }
            Self::TableIsMultimap(name) => write!(f, "table '{name}' is a multimap"),
            Self::TableIsNotMultimap(name) => write!(f, "table '{name}' is not a multimap"),
            Self::TableIsTtl(name) => write!(f, "table '{name}' is a TTL table"),
            Self::TableIsNotTtl(name) => write!(f, "table '{name}' is not a TTL table"),
            Self::TypeDefinitionChanged { name, alignment, width } => {
                write!(f, "type {} was stored with width {width:?} and alignment {alignment}", name.name())
            }
            Self::MergeOperatorMismatch { table, stored, wanted } => {
                write!(f, "table '{table}' has the merge operator '{stored}', not '{wanted}'")
            }
            Self::TokenizerMismatch { index, stored, wanted } => {
                write!(f, "text index '{index}' has the tokenizer '{stored}', not '{wanted}'")
            }
            Self::TableDoesNotExist(name) => write!(f, "there is no table '{name}'"),
            Self::TableExists(name) => write!(f, "there is a table '{name}' already"),
            Self::TableAlreadyOpen(name, place) => write!(f, "table '{name}' is open since {place}"),
            Self::Io(err) => write!(f, "input or output failed: {err}"),
            Self::Unsupported => StorageError::Unsupported.fmt(f),
            Self::CodecUnavailable(codec) => StorageError::CodecUnavailable(codec.clone()).fmt(f),
            Self::ClockMissing => StorageError::ClockMissing.fmt(f),
            Self::HistorySnapshotNotFound(id) => StorageError::HistorySnapshotNotFound(*id).fmt(f),
            Self::HistoryTimeNotFound(time) => StorageError::HistoryTimeNotFound(*time).fmt(f),
            Self::CdcPruned { up_to } => StorageError::CdcPruned { up_to: *up_to }.fmt(f),
            Self::DatabaseClosed => StorageError::DatabaseClosed.fmt(f),
            Self::MergeValueWidthMismatch { merge, existing, operand } => {
                write!(f, "{merge}: a value of {existing} bytes takes no operand of {operand}")
            }
            Self::MergeRefused { merge, reason } => write!(f, "{merge}: {reason}"),
            Self::MergeResultInvalid { merge, value_type, length } => {
                write!(f, "{merge}: {length} bytes are not a {}", value_type.name())
            }
            Self::MergeOperatorMissing(merge) => write!(f, "{merge}: no such operator is registered"),
            Self::PreviousIo => StorageError::PreviousIo.fmt(f),
            Self::LockPoisoned(place) => StorageError::LockPoisoned(place).fmt(f),
            Self::ReadTransactionStillInUse(_) => f.write_str("tables of the read transaction are still in use"),
            #[cfg(feature = "postcard")]
            Self::Postcard(err) => err.fmt(f),
        }
    }
}

impl core::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(err) => Some(err),
            Self::Unsupported => None,
        }
    }
}

impl core::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(err) => Some(err),
            _ => None,
        }
    }
}

impl core::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Target(err) => Some(err),
            Self::Storage(err) => Some(err),
        }
    }
}

impl core::error::Error for SetDurabilityError {}

impl core::error::Error for GroupCommitError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::BatchFailed(err) => Some(&**err),
            Self::TransactionFailed(err) => Some(err),
            Self::CommitFailed(err) => Some(err),
            Self::PeerFailed | Self::Nested => None,
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(err) => Some(err),
            Self::BatchFailed(err) => Some(&**err),
            _ => None,
        }
    }
}
