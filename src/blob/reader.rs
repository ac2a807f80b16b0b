use super::content::{MOST_AT_ONCE, Stretch, chunk, is_long};
use super::read::record;
use super::record::{BlobId, Content};
use crate::btree::Slice;
use crate::error::{BlobError, StorageError};
use crate::index::OwnTables;
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};
use core::mem;

/// Reads a blob's content chunk by chunk: each is verified when it is read. With `std` it implements `Read`, `BufRead` and
/// `Seek`.
///
/// In a write transaction, where the blob was changed or deleted, it gives [`NotFound`](BlobError::NotFound) as soon as it
/// has to read: some bytes that it had read before still come.
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
    /// The bytes of the content from `start` on that were read: where they lie in memory, or, of a content that is too long
    /// to be kept there, a copy.
    chunk: Slice,
    start: u64,
    /// Chunks that the last read of the storage asked for, of a content that is read past the cache.
    ahead: usize,
}

impl<'t, T: OwnTables> BlobReader<'t, T> {
    pub(super) fn new(tables: &'t T, id: BlobId, content: Content) -> Self {
        Self { tables, id, content, position: 0, chunk: Slice::Owned(Vec::new()), start: 0, ahead: 1 }
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

    /// An error if the blob was changed or deleted meanwhile.
    fn check(&self) -> Result<(), BlobError> {
        let now = record(self.tables, self.id)?;
        let is_same = now.is_some_and(|now| now.content == self.content);
        if is_same { Ok(()) } else { Err(BlobError::NotFound(self.id.sequence())) }
    }

    /// Reads whole chunks of a long content, from the position on, to where they are wanted, and says how many bytes they
    /// are: none if they do not fit, or others are in memory.
    #[cfg(feature = "std")]
    fn read_whole(&mut self, out: &mut [u8]) -> Result<usize, BlobError> {
        let Content::Chunks(number, length) = self.content else { return Ok(0) };
        let wanted = (out.len() as u64).min(self.remaining());
        if wanted == 0 || !is_long(self.tables, length) || !self.buffered().is_empty() {
            return Ok(0);
        }
        let _held = self.tables.hold();
        self.check()?;
        let range = (self.position, self.position + wanted);
        let Some(stretch) = Stretch::within(self.tables, (number, length), range, MOST_AT_ONCE)? else { return Ok(0) };
        stretch.read(self.tables, out.get_mut(..stretch.length).unwrap_or_default())?;
        self.skip(stretch.length);
        Ok(stretch.length)
    }

    fn fetch(&mut self) -> Result<(), BlobError> {
        let _held = self.tables.hold();
        self.check()?;
        (self.start, self.chunk) = match &self.content {
            Content::Inline(bytes) => (0, Slice::Owned(bytes.clone())),
            Content::Chunks(number, length) if is_long(self.tables, *length) => self.read_ahead(*number, *length)?,
            Content::Chunks(number, length) => chunk(self.tables, *number, *length, self.position)?,
        };
        Ok(())
    }

    /// Reads the chunk at the position past the cache, and more behind it the longer the content is read in its order.
    fn read_ahead(&mut self, number: u64, length: u64) -> Result<(u64, Slice), StorageError> {
        let end = self.start.saturating_add(self.chunk.len() as u64);
        let goes_on = !self.chunk.is_empty() && end == self.position;
        self.ahead = if goes_on { (self.ahead * 2).min(MOST_AT_ONCE) } else { 1 };
        let mut bytes = match mem::replace(&mut self.chunk, Slice::Owned(Vec::new())) {
            Slice::Owned(bytes) => bytes,
            _ => Vec::new(),
        };
        let stretch = Stretch::find(self.tables, (number, length), (self.position, length), self.ahead)?;
        bytes.resize(stretch.length, 0);
        stretch.read(self.tables, &mut bytes)?;
        Ok((stretch.start, Slice::Owned(bytes)))
    }
}

#[cfg(feature = "std")]
mod streams {
    use super::{BlobReader, OwnTables};
    use std::io::{BufRead, Error, ErrorKind, Read, Result, Seek, SeekFrom};

    impl<T: OwnTables> Read for BlobReader<'_, T> {
        fn read(&mut self, out: &mut [u8]) -> Result<usize> {
            let whole = self.read_whole(out)?;
            if whole > 0 {
                return Ok(whole);
            }
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
