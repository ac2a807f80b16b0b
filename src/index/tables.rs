//! Tables of the database's own, in both kinds of transaction.

use crate::error::StorageError;
use crate::sync::MutexGuard;
use crate::table::{ReadOnlyTable, ReadPastCache, ReadableTable, Table};
use crate::txn::sealed::Sealed;
use crate::txn::{ReadTransaction, Space, TableId, WriteTransaction};
use crate::types::{Key, Value};
use alloc::string::String;
use alloc::vec::Vec;

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

/// Deletes a table, and says whether there was one.
pub(crate) fn delete<P: Part>(txn: &WriteTransaction, name: &str) -> Result<bool, StorageError> {
    txn.delete_own(TableId { space: P::SPACE, name })
}

/// What keys of rows about a thing begin with: the length of its id, 2 bytes, big-endian, and the id. An id may have any
/// bytes; its length keeps it from being the start of another.
pub(super) fn thing_key(thing: &[u8]) -> Result<Vec<u8>, StorageError> {
    Ok(length_of(thing)?.iter().chain(thing).copied().collect())
}

/// The length of the id of a thing; an error if it is over its limit, [`MAX_THING_LENGTH`](crate::limits::MAX_THING_LENGTH).
pub(crate) fn length_of(thing: &[u8]) -> Result<[u8; 2], StorageError> {
    let length = u16::try_from(thing.len()).map_err(|_| StorageError::ValueTooLarge(thing.len()))?;
    Ok(length.to_be_bytes())
}

/// A transaction as indexes and blobs see it.
#[doc(hidden)]
pub trait OwnTables: Sealed + Sized {
    type Table<'t, P: Part>: ReadableTable<P::Key, P::Value> + ReadPastCache
    where
        Self: 't;

    /// Keeps others from changing such tables until it is dropped.
    fn hold(&self) -> Held<'_>;

    /// Bytes of the page cache.
    fn cache_size(&self) -> usize;

    /// The time that the whole transaction sees.
    fn time(&self) -> Result<u64, StorageError>;

    /// A table, if there is one, opened by who [holds](Self::hold) them.
    fn table<P: Part>(&self, name: &str) -> Result<Option<Self::Table<'_, P>>, StorageError>;

    /// The names of all tables of a part, in their order.
    fn names<P: Part>(&self) -> Result<Vec<String>, StorageError>;
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

    fn cache_size(&self) -> usize {
        self.settings().cache_size
    }

    fn time(&self) -> Result<u64, StorageError> {
        self.now()
    }

    fn table<P: Part>(&self, name: &str) -> Result<Option<Self::Table<'_, P>>, StorageError> {
        self.open_own(TableId { space: P::SPACE, name })
    }

    fn names<P: Part>(&self) -> Result<Vec<String>, StorageError> {
        self.own_names(P::SPACE)
    }
}

impl OwnTables for WriteTransaction {
    type Table<'t, P: Part> = Table<'t, P::Key, P::Value>;

    fn hold(&self) -> Held<'_> {
        Held(Some(self.work_alone()))
    }

    fn cache_size(&self) -> usize {
        self.settings().cache_size
    }

    fn time(&self) -> Result<u64, StorageError> {
        self.now()
    }

    fn table<P: Part>(&self, name: &str) -> Result<Option<Self::Table<'_, P>>, StorageError> {
        self.open_own_if_any(TableId { space: P::SPACE, name })
    }

    fn names<P: Part>(&self) -> Result<Vec<String>, StorageError> {
        self.own_names(P::SPACE)
    }
}
