//! Contents in chunks: rows of a table, so that each has its own checksum, and room of its own that is exact.

use super::dedup::{self, ContentHash};
use super::record::{Content, Record};
use super::tables::{BLOBS, ChunkKey, Chunks};
use crate::btree::Slice;
use crate::error::StorageError;
use crate::index::{OwnTables, open};
use crate::limits::MAX_BLOB_LENGTH;
use crate::table::ReadableTable;
use crate::txn::WriteTransaction;
use alloc::boxed::Box;
use alloc::vec::Vec;
use sha2::{Digest, Sha256};

/// Bytes of a chunk, but the last.
pub(super) const CHUNK: usize = 1 << 16;
/// Longest content that lies beside what is known of its blob.
const MOST_INLINE: usize = 512;
/// Bytes for which there is room before any were read. A damaged record may claim any length.
const BELIEVED: usize = 1 << 22;
/// The counter of contents.
const CONTENTS: &str = "contents";

pub(super) fn chunk_key(content: u64, chunk: u32) -> ChunkKey {
    let mut key = ChunkKey::default();
    let bytes = content.to_be_bytes().into_iter().chain(chunk.to_be_bytes());
    key.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    key
}

/// The chunk in which the byte at `offset` is.
pub(super) fn chunk_of(offset: u64) -> Result<u32, StorageError> {
    u32::try_from(offset / CHUNK as u64).map_err(|_| StorageError::ValueTooLarge(usize::MAX))
}

fn damaged() -> StorageError {
    StorageError::corrupted("a blob's content is not as long as its record says")
}

/// How long a chunk of a content of that length must be.
pub(super) fn length_of(chunk: u32, length: u64) -> usize {
    let start = u64::from(chunk) * CHUNK as u64;
    usize::try_from(length.saturating_sub(start)).unwrap_or(usize::MAX).min(CHUNK)
}

/// A chunk of a content of that length.
pub(super) fn chunk(tables: &impl OwnTables, content: u64, length: u64, chunk: u32) -> Result<Slice, StorageError> {
    let table = tables.table::<Chunks>(BLOBS)?.ok_or_else(damaged)?;
    let bytes = table.get(chunk_key(content, chunk))?.ok_or_else(damaged)?.detached().into_bytes();
    if bytes.len() == length_of(chunk, length) { Ok(bytes) } else { Err(damaged()) }
}

/// Makes room for the bytes that come now, and for those that are `left` in all as far as may be believed.
fn make_room(out: &mut Vec<u8>, now: usize, left: u64) {
    if out.capacity() - out.len() < now {
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        out.reserve_exact(left.min(out.len().max(BELIEVED)));
    }
}

/// Adds `length` bytes of a content, from `offset` on, to `out`. They must be within it.
pub(super) fn read(
    tables: &impl OwnTables,
    content: &Content,
    offset: u64,
    length: u64,
    out: &mut Vec<u8>,
) -> Result<(), StorageError> {
    let (number, whole) = match content {
        Content::Inline(bytes) => {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = bytes.iter().skip(start).take(usize::try_from(length).unwrap_or(usize::MAX));
            out.extend(bytes);
            return Ok(());
        }
        Content::Chunks(number, whole) => (*number, *whole),
    };
    let (mut at, end) = (offset, offset.saturating_add(length));
    while at < end {
        let skipped = (at % CHUNK as u64) as usize;
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let chunk = chunk(tables, number, whole, chunk_of(at)?)?;
        let bytes = chunk.get(skipped..).unwrap_or_default();
        let bytes = bytes.get(..left).unwrap_or(bytes);
        make_room(out, bytes.len(), end - at);
        out.extend_from_slice(bytes);
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Removes the chunks of a content.
pub(super) fn remove_chunks(txn: &WriteTransaction, number: u64) -> Result<(), StorageError> {
    let Some(mut chunks) = txn.table::<Chunks>(BLOBS)? else { return Ok(()) };
    chunks.delete_range(chunk_key(number, 0)..=chunk_key(number, u32::MAX)).map(|_| ())
}

/// A content that is being written.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The number of what is in chunks already.
    number: Option<u64>,
    /// Bytes in whole chunks.
    stored: u64,
    /// What follows them.
    rest: Vec<u8>,
    hash: Hash,
}

/// What is known of a draft's hash.
#[derive(Debug, Default)]
enum Hash {
    #[default]
    NotWanted,
    Running(Box<Sha256>),
    Known(ContentHash),
}

impl Draft {
    /// One whose hash is wanted.
    pub(super) fn hashed() -> Self {
        Self { hash: Hash::Running(Box::default()), ..Self::default() }
    }

    /// One that will have this hash.
    pub(super) fn with_hash(hash: ContentHash) -> Self {
        Self { hash: Hash::Known(hash), ..Self::default() }
    }

    /// Goes on behind a content: one that is nobody else's is the draft's from then on, else a copy.
    pub(super) fn of(txn: &WriteTransaction, content: Content) -> Result<Self, StorageError> {
        let (number, length) = match content {
            Content::Inline(rest) => return Ok(Self { rest, ..Self::default() }),
            Content::Chunks(number, length) => (number, length),
        };
        if dedup::hash_of(txn, number)?.is_some() {
            return Self::copy_of(txn, number, length);
        }
        let stored = length - length % CHUNK as u64;
        let mut rest = Vec::new();
        read(txn, &Content::Chunks(number, length), stored, length - stored, &mut rest)?;
        Ok(Self { number: Some(number), stored, rest, hash: Hash::NotWanted })
    }

    fn copy_of(txn: &WriteTransaction, number: u64, length: u64) -> Result<Self, StorageError> {
        let mut draft = Self::default();
        while draft.len() < length {
            draft.push(txn, &chunk(txn, number, length, chunk_of(draft.len())?)?)?;
        }
        Ok(draft)
    }

    pub(super) fn len(&self) -> u64 {
        self.stored + self.rest.len() as u64
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, txn: &WriteTransaction, mut bytes: &[u8]) -> Result<(), StorageError> {
        if let Hash::Running(hash) = &mut self.hash {
            hash.update(bytes);
        }
        while !bytes.is_empty() {
            let room = CHUNK.saturating_sub(self.rest.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            if now.len() == CHUNK {
                self.store(txn, now)?;
            } else {
                self.rest.extend_from_slice(now);
                self.flush(txn)?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Stores the rest if it is a whole chunk.
    fn flush(&mut self, txn: &WriteTransaction) -> Result<(), StorageError> {
        if self.rest.len() < CHUNK {
            return Ok(());
        }
        let chunk = core::mem::take(&mut self.rest);
        let stored = self.store(txn, &chunk);
        self.rest = chunk;
        self.rest.clear();
        stored
    }

    /// Stores the next whole chunk.
    fn store(&mut self, txn: &WriteTransaction, chunk: &[u8]) -> Result<(), StorageError> {
        self.store_at_end(txn, chunk)?;
        self.stored += CHUNK as u64;
        Ok(())
    }

    fn store_at_end(&mut self, txn: &WriteTransaction, chunk: &[u8]) -> Result<(), StorageError> {
        let number = match self.number {
            Some(number) => number,
            None => *self.number.insert(txn.take_number(CONTENTS)?),
        };
        let key = chunk_key(number, chunk_of(self.stored)?);
        open::<Chunks>(txn, BLOBS)?.insert(key, chunk)?;
        Ok(())
    }

    /// Stores what is left, and gives the content, which others may share if it has at least `shared` bytes and a hash.
    pub(super) fn finish(mut self, txn: &WriteTransaction, shared: u64) -> Result<Content, StorageError> {
        let hash = match core::mem::take(&mut self.hash) {
            Hash::NotWanted => None,
            Hash::Running(hash) => Some(hash.finalize().into()),
            Hash::Known(hash) => Some(hash),
        };
        let content = self.finish_own(txn)?;
        match hash.filter(|_| content.len() >= shared) {
            Some(hash) => dedup::share(txn, content, &hash),
            None => Ok(content),
        }
    }

    fn finish_own(mut self, txn: &WriteTransaction) -> Result<Content, StorageError> {
        let rest = core::mem::take(&mut self.rest);
        if self.number.is_none() && rest.len() <= MOST_INLINE {
            return Ok(Content::Inline(rest));
        }
        let length = self.stored + rest.len() as u64;
        if !rest.is_empty() {
            self.store_at_end(txn, &rest)?;
        }
        self.number.map_or_else(|| Err(damaged()), |number| Ok(Content::Chunks(number, length)))
    }

    /// What a row about it has: not its hash.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = [self.number.unwrap_or(u64::MAX), self.stored].map(u64::to_le_bytes).as_flattened().to_vec();
        bytes.extend_from_slice(&self.rest);
        bytes
    }

    /// The draft that such a row is about; if `hashed`, its hash is wanted, and is made of what is there already.
    pub(super) fn decode(txn: &WriteTransaction, row: &[u8], hashed: bool) -> Result<Self, StorageError> {
        let malformed = || StorageError::corrupted("a draft of a blob's content is malformed");
        let (number, row) = row.split_first_chunk().ok_or_else(malformed)?;
        let (stored, rest) = row.split_first_chunk().ok_or_else(malformed)?;
        let (number, stored) = (u64::from_le_bytes(*number), u64::from_le_bytes(*stored));
        let number = Some(number).filter(|number| *number != u64::MAX);
        let whole = stored % CHUNK as u64 == 0 && (stored > 0) == number.is_some() && rest.len() < CHUNK;
        if !whole || stored > MAX_BLOB_LENGTH {
            return Err(malformed());
        }
        let mut draft = Self { number, stored, rest: rest.to_vec(), hash: Hash::NotWanted };
        if hashed {
            draft.hash = draft.hash_again(txn)?;
        }
        Ok(draft)
    }

    fn hash_again(&self, txn: &WriteTransaction) -> Result<Hash, StorageError> {
        let mut hash = Box::<Sha256>::default();
        if let Some(number) = self.number {
            for at in 0..chunk_of(self.stored)? {
                hash.update(&*chunk(txn, number, self.stored, at)?);
            }
        }
        hash.update(&self.rest);
        Ok(Hash::Running(hash))
    }

    /// Leaves nothing behind.
    pub(super) fn abandon(self, txn: &WriteTransaction) -> Result<(), StorageError> {
        self.number.map_or(Ok(()), |number| remove_chunks(txn, number))
    }
}

impl Record {
    /// The same blob with another content.
    pub(super) fn with(self, content: Content) -> Self {
        Self { content, ..self }
    }
}
