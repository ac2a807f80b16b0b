//! The tables that blobs are kept in.

use crate::error::StorageError;
use crate::sync::MutexGuard;
use crate::table::{ReadOnlyTable, ReadableTable, Table};
use crate::txn::sealed::Sealed;
use crate::txn::{ReadTransaction, Space, WriteTransaction};
use crate::types::{Key, Value};

/// Both numbers, big-endian.
pub(super) type ChunkKey = [u8; 12];

/// A table of blobs: its key, its value, and where it is.
pub trait Part {
    type Key: Key + 'static;
    type Value: Value + 'static;
    const SPACE: Space;
}

/// From the id of a blob to its record.
#[derive(Debug)]
pub enum Records {}

impl Part for Records {
    type Key = u64;
    type Value = &'static [u8];
    const SPACE: Space = Space::Blobs;
}

/// From the number of a content and that of a chunk to the chunk's bytes.
#[derive(Debug)]
pub enum Chunks {}

impl Part for Chunks {
    type Key = ChunkKey;
    type Value = &'static [u8];
    const SPACE: Space = Space::Chunks;
}

/// A table of blobs in a write transaction.
pub(super) type OpenPart<'t, P> = Table<'t, <P as Part>::Key, <P as Part>::Value>;

/// A table of blobs to be changed, which is made if there is none.
pub(super) fn open<P: Part>(txn: &WriteTransaction) -> Result<OpenPart<'_, P>, StorageError> {
    txn.open_own(P::SPACE)
}

/// A transaction as blobs see it.
#[doc(hidden)]
pub trait BlobTables: Sealed + Sized {
    type Table<'t, P: Part>: ReadableTable<P::Key, P::Value>
    where
        Self: 't;

    /// Keeps others from changing blobs until it is dropped.
    fn hold(&self) -> Held<'_>;

    /// A table of blobs, if there is one, opened by who [holds](Self::hold) them.
    fn table<P: Part>(&self) -> Result<Option<Self::Table<'_, P>>, StorageError>;
}

/// Keeps others from changing blobs.
#[doc(hidden)]
#[derive(Debug)]
pub struct Held<'t>(#[expect(dead_code, reason = "kept for its drop")] Option<MutexGuard<'t, ()>>);

impl BlobTables for ReadTransaction {
    type Table<'t, P: Part> = ReadOnlyTable<P::Key, P::Value>;

    fn hold(&self) -> Held<'_> {
        Held(None)
    }

    fn table<P: Part>(&self) -> Result<Option<Self::Table<'_, P>>, StorageError> {
        self.open_own(P::SPACE)
    }
}

impl BlobTables for WriteTransaction {
    type Table<'t, P: Part> = Table<'t, P::Key, P::Value>;

    fn hold(&self) -> Held<'_> {
        Held(Some(self.work_alone()))
    }

    fn table<P: Part>(&self) -> Result<Option<Self::Table<'_, P>>, StorageError> {
        self.open_own_if_any(P::SPACE)
    }
}
