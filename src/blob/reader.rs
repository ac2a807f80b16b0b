use super::content;
use super::read::record;
use super::record::{BlobId, Content};
use crate::btree::Slice;
use crate::error::BlobError;
use crate::index::OwnTables;
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};

/// Reads a blob's content chunk by chunk: each is verified when it is read. With `std` it implements `Read`, `BufRead` and
/// `Seek`.
///
/// In a write transaction it gives [`NotFound`](BlobError::NotFound) from when the blob was changed or deleted.
///
/// ```
/// use sapwood::{ContentType, Database, ReadableBlobs, StoreOptions, backends::InMemoryBackend};
/// use std::io::{BufRead, Read, Seek, SeekFrom};
///
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let id = txn.store_blob(b"oak\nyew\n", ContentType::TextPlain, "trees", StoreOptions::new())?;
/// let mut reader = txn.blob_reader(id)?;
/// assert_eq!(reader.by_ref().lines().count(), 2);
/// reader.seek(SeekFrom::End(-4))?;
/// let mut last = String::new();
/// reader.read_to_string(&mut last)?;
/// assert_eq!(last, "yew\n");
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct BlobReader<'t, T: OwnTables> {
    tables: &'t T,
    id: BlobId,
    content: Content,
    position: u64,
    /// The bytes of the content from `start` on that were read: where they lie in memory, not a copy.
    chunk: Slice,
    start: u64,
}

impl<'t, T: OwnTables> BlobReader<'t, T> {
    pub(super) fn new(tables: &'t T, id: BlobId, content: Content) -> Self {
        Self { tables, id, content, position: 0, chunk: Slice::Owned(Vec::new()), start: 0 }
    }

    /// Length of the content in bytes.
    pub fn len(&self) -> u64 {
        self.content.len()
    }

    /// Whether the content has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the next byte is read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes from the position to the end.
    pub fn remaining(&self) -> u64 {
        self.len().saturating_sub(self.position)
    }

    /// Sets where the next byte is read. Behind the end there is nothing.
    pub fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// The bytes from the position on that are in memory; reads the next chunk if there are none. Empty at the end.
    pub fn next_bytes(&mut self) -> Result<&[u8], BlobError> {
        if self.remaining() > 0 && self.buffered().is_empty() {
            self.fetch()?;
        }
        Ok(self.buffered())
    }

    /// Goes on so many bytes.
    pub fn skip(&mut self, bytes: usize) {
        self.position = self.position.saturating_add(bytes as u64);
    }

    fn buffered(&self) -> &[u8] {
        let skipped = self.position.checked_sub(self.start).and_then(|skipped| usize::try_from(skipped).ok());
        skipped.and_then(|skipped| self.chunk.get(skipped..)).unwrap_or_default()
    }

    fn fetch(&mut self) -> Result<(), BlobError> {
        let _held = self.tables.hold();
        let now = record(self.tables, self.id)?;
        if now.is_none_or(|now| now.content != self.content) {
            return Err(BlobError::NotFound(self.id.sequence()));
        }
        (self.start, self.chunk) = match &self.content {
            Content::Inline(bytes) => (0, Slice::Owned(bytes.clone())),
            Content::Chunks(number, length) => content::chunk(self.tables, *number, *length, self.position)?,
        };
        Ok(())
    }
}

#[cfg(feature = "std")]
mod streams {
    use super::{BlobReader, OwnTables};
    use std::io::{BufRead, Error, ErrorKind, Read, Result, Seek, SeekFrom};

    impl<T: OwnTables> Read for BlobReader<'_, T> {
        fn read(&mut self, out: &mut [u8]) -> Result<usize> {
            let read = self.fill_buf()?.read(out)?;
            self.consume(read);
            Ok(read)
        }
    }

    impl<T: OwnTables> BufRead for BlobReader<'_, T> {
        fn fill_buf(&mut self) -> Result<&[u8]> {
            self.next_bytes().map_err(Error::from)
        }

        fn consume(&mut self, bytes: usize) {
            self.skip(bytes);
        }
    }

    impl<T: OwnTables> Seek for BlobReader<'_, T> {
        fn seek(&mut self, to: SeekFrom) -> Result<u64> {
            let place = match to {
                SeekFrom::Start(place) => Some(place),
                SeekFrom::End(distance) => self.len().checked_add_signed(distance),
                SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
            };
            self.position =
                place.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a place before the start of a blob"))?;
            Ok(self.position)
        }
    }
}

impl<T: OwnTables> Debug for BlobReader<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlobReader").field("id", &self.id).field("position", &self.position).finish_non_exhaustive()
    }
}
