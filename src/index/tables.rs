//! Tables of the database's own, in both kinds of transaction.

use crate::error::StorageError;
use crate::sync::MutexGuard;
use crate::table::{ReadOnlyTable, ReadableTable, Table};
use crate::txn::sealed::Sealed;
use crate::txn::{ReadTransaction, Space, TableId, WriteTransaction};
use crate::types::{Key, Value};

/// A table of the database's own: its key, its value, and where it is.
pub trait Part {
    type Key: Key + 'static;
    type Value: Value + 'static;
    const SPACE: Space;
}

/// Such a table in a write transaction.
pub(crate) type OpenPart<'t, P> = Table<'t, <P as Part>::Key, <P as Part>::Value>;

/// Opens a table to be changed, which is made if there is none.
pub(crate) fn open<'t, P: Part>(txn: &'t WriteTransaction, name: &str) -> Result<OpenPart<'t, P>, StorageError> {
    txn.open_own(TableId { space: P::SPACE, name })
}

/// A transaction as indexes and blobs see it.
#[doc(hidden)]
pub trait OwnTables: Sealed + Sized {
    type Table<'t, P: Part>: ReadableTable<P::Key, P::Value>
    where
        Self: 't;

    /// Keeps others from changing such tables until it is dropped.
    fn hold(&self) -> Held<'_>;

    /// The time that the whole transaction sees.
    fn time(&self) -> Result<u64, StorageError>;

    /// A table, if there is one, opened by who [holds](Self::hold) them.
    fn table<P: Part>(&self, name: &str) -> Result<Option<Self::Table<'_, P>>, StorageError>;
}

/// Keeps others from changing tables of the database's own.
#[doc(hidden)]
#[derive(Debug)]
pub struct Held<'t>(#[expect(dead_code, reason = "kept for its drop")] Option<MutexGuard<'t, ()>>);

impl OwnTables for ReadTransaction {
    type Table<'t, P: Part> = ReadOnlyTable<P::Key, P::Value>;

    fn hold(&self) -> Held<'_> {
        Held(None)
    }

    fn time(&self) -> Result<u64, StorageError> {
        self.now()
    }

    fn table<P: Part>(&self, name: &str) -> Result<Option<Self::Table<'_, P>>, StorageError> {
        self.open_own(TableId { space: P::SPACE, name })
    }
}

impl OwnTables for WriteTransaction {
    type Table<'t, P: Part> = Table<'t, P::Key, P::Value>;

    fn hold(&self) -> Held<'_> {
        Held(Some(self.work_alone()))
    }

    fn time(&self) -> Result<u64, StorageError> {
        self.now()
    }

    fn table<P: Part>(&self, name: &str) -> Result<Option<Self::Table<'_, P>>, StorageError> {
        self.open_own_if_any(TableId { space: P::SPACE, name })
    }
}
