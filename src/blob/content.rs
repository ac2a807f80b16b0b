//! Contents in chunks: rows of a table, so that each has its own checksum, and room of its own that is exact.

use super::pieces;
use super::record::{Content, Record};
use super::tables::{BLOBS, ChunkKey, Chunks};
use crate::btree::Slice;
use crate::error::StorageError;
use crate::index::OwnTables;
use crate::table::{ReadPastCache, ReadableTable};
use crate::txn::WriteTransaction;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a chunk, but the last.
pub(super) const CHUNK: usize = 1 << 16;
/// Bytes for which there is room before any were read. A damaged record may claim any length.
const BELIEVED: usize = 1 << 22;
/// Chunks that are read at once, at most.
pub(super) const MOST_AT_ONCE: usize = 4;
/// The counter of contents.
pub(super) const CONTENTS: &str = "contents";

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

pub(super) fn damaged() -> StorageError {
    StorageError::corrupted("a blob's content is not as long as its record says")
}

/// How long a chunk of a content of that length must be.
pub(super) fn length_of(chunk: u32, length: u64) -> usize {
    let start = u64::from(chunk) * CHUNK as u64;
    usize::try_from(length.saturating_sub(start)).unwrap_or(usize::MAX).min(CHUNK)
}

/// Where some of a content's bytes are.
pub(super) struct Place {
    pub(super) key: ChunkKey,
    /// Where in the content they begin.
    pub(super) start: u64,
    pub(super) length: usize,
}

impl Place {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.length as u64)
    }
}

/// Where the byte at `offset` of a content of that length is.
fn place(tables: &impl OwnTables, content: u64, length: u64, offset: u64) -> Result<Place, StorageError> {
    let place = if pieces::are_of(content) {
        pieces::place(tables, content, offset)?
    } else {
        let (start, chunk) = (offset - offset % CHUNK as u64, chunk_of(offset)?);
        Place { key: chunk_key(content, chunk), start, length: length_of(chunk, length) }
    };
    // Whoever reads makes room for it before.
    let is_sound = place.length <= CHUNK && place.end() <= length;
    if is_sound && (place.start..place.end()).contains(&offset) { Ok(place) } else { Err(damaged()) }
}

/// The bytes around `offset` of a content of that length, and where they begin.
pub(super) fn chunk(
    tables: &impl OwnTables,
    content: u64,
    length: u64,
    offset: u64,
) -> Result<(u64, Slice), StorageError> {
    let place = place(tables, content, length, offset)?;
    let table = tables.table::<Chunks>(BLOBS)?.ok_or_else(damaged)?;
    let bytes = table.get(place.key)?.ok_or_else(damaged)?.detached().into_bytes();
    if bytes.len() == place.length { Ok((place.start, bytes)) } else { Err(damaged()) }
}

/// Whether a content is so long that reading it would push too much else out of the cache.
pub(super) fn is_long(tables: &impl OwnTables, length: u64) -> bool {
    length > tables.cache_size() as u64 / 8
}

/// Chunks of a content that follow each other.
pub(super) struct Stretch {
    /// Where in the content they begin.
    pub(super) start: u64,
    pub(super) length: usize,
    chunks: Vec<(ChunkKey, usize)>,
}

impl Stretch {
    /// The chunk around `offset` in a content of that length, and those behind it: so many at most, and none that goes
    /// beyond `end`.
    pub(super) fn find(
        tables: &impl OwnTables,
        (content, length): (u64, u64),
        (offset, end): (u64, u64),
        most: usize,
    ) -> Result<Self, StorageError> {
        let Place { key, start, length: first } = place(tables, content, length, offset)?;
        let mut stretch = Self { start, length: first, chunks: vec![(key, first)] };
        while stretch.chunks.len() < most && stretch.end() < end {
            let next = place(tables, content, length, stretch.end())?;
            if next.start != stretch.end() || next.end() > end {
                break;
            }
            stretch.chunks.push((next.key, next.length));
            stretch.length += next.length;
        }
        Ok(stretch)
    }

    /// The same if it begins at `at` and does not go beyond `end`.
    pub(super) fn within(
        tables: &impl OwnTables,
        content: (u64, u64),
        (at, end): (u64, u64),
        most: usize,
    ) -> Result<Option<Self>, StorageError> {
        let stretch = Self::find(tables, content, (at, end), most)?;
        Ok(Some(stretch).filter(|stretch| stretch.start == at && stretch.end() <= end))
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(self.length as u64)
    }

    /// Fills `out`, which is as long as they are together, past the cache. After an error it has bytes of no meaning.
    pub(super) fn read(&self, tables: &impl OwnTables, out: &mut [u8]) -> Result<(), StorageError> {
        let table = tables.table::<Chunks>(BLOBS)?.ok_or_else(damaged)?;
        if table.read_past_cache(&self.chunks, out)? { Ok(()) } else { Err(damaged()) }
    }
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
        let before = out.len();
        if !(is_long(tables, whole) && read_stretch(tables, (number, whole), (at, end), out)?) {
            read_chunk(tables, (number, whole), (at, end), out)?;
        }
        at += (out.len() - before) as u64;
    }
    Ok(())
}

/// Adds whole chunks of a content to `out`, from `at` on up to `end` at most. False if there are none.
fn read_stretch(
    tables: &impl OwnTables,
    content: (u64, u64),
    (at, end): (u64, u64),
    out: &mut Vec<u8>,
) -> Result<bool, StorageError> {
    let Some(stretch) = Stretch::within(tables, content, (at, end), MOST_AT_ONCE)? else { return Ok(false) };
    let before = out.len();
    make_room(out, stretch.length, end - at);
    out.resize(before + stretch.length, 0);
    stretch.read(tables, out.get_mut(before..).unwrap_or_default()).inspect_err(|_| out.truncate(before))?;
    Ok(true)
}

/// Adds what a chunk of a content has from `at` on, up to `end`, to `out`.
fn read_chunk(
    tables: &impl OwnTables,
    (content, length): (u64, u64),
    (at, end): (u64, u64),
    out: &mut Vec<u8>,
) -> Result<(), StorageError> {
    let (start, chunk) = chunk(tables, content, length, at)?;
    let skipped = usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
    let left = usize::try_from(end - at).unwrap_or(usize::MAX);
    let bytes = chunk.get(skipped..).unwrap_or_default();
    let bytes = bytes.get(..left).unwrap_or(bytes);
    make_room(out, bytes.len(), end - at);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Removes a content.
pub(super) fn remove(txn: &WriteTransaction, number: u64) -> Result<(), StorageError> {
    if pieces::are_of(number) { pieces::remove(txn, number, 0) } else { remove_chunks(txn, number) }
}

/// Removes the chunks of a content.
pub(super) fn remove_chunks(txn: &WriteTransaction, number: u64) -> Result<(), StorageError> {
    let Some(mut chunks) = txn.table::<Chunks>(BLOBS)? else { return Ok(()) };
    chunks.delete_range(chunk_key(number, 0)..=chunk_key(number, u32::MAX)).map(|_| ())
}

impl Record {
    /// The same blob with another content.
    pub(super) fn with(self, content: Content) -> Self {
        Self { content, ..self }
    }
}
