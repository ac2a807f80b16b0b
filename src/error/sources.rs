//! The errors inside errors.

use super::{BackendError, BackupError, Error, GroupCommitError, SetDurabilityError, StorageError};

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
