//! Whether lists of pieces, pieces and their hashes say the same.

use super::super::content::{CHUNK, chunk_key};
use super::super::dedup::{ContentHash, hash};
use super::super::pieces::are_of;
use super::super::tables::*;
use super::{Blobs, Gathered, Sums, fault};
use crate::error::StorageError;
use crate::index::{Hear, OwnTables, Rows};
use alloc::collections::BTreeMap;
use alloc::format;
use core::ops::Bound;

/// The tables of contents in pieces.
pub(super) struct PieceTables<'t, T: OwnTables + 't> {
    lists: Rows<'t, T, PieceLists>,
    pieces: Rows<'t, T, Pieces>,
    numbers: Rows<'t, T, PieceNumbers>,
}

impl<'t, T: OwnTables> PieceTables<'t, T> {
    pub(super) fn open(tables: &'t T) -> Result<Self, StorageError> {
        Ok(Self {
            lists: Rows::open(tables, BLOBS)?,
            pieces: Rows::open(tables, BLOBS)?,
            numbers: Rows::open(tables, BLOBS)?,
        })
    }

    pub(super) fn has(&self, piece: u64) -> Result<bool, StorageError> {
        self.pieces.has(piece)
    }

    /// The first content that is in pieces behind that one.
    pub(super) fn content_behind(&self, last: Option<u64>) -> Result<Option<u64>, StorageError> {
        let start = last.map_or(Bound::Unbounded, |last| Bound::Excluded(number_key(last, u64::MAX)));
        let first = self.lists.range::<PairKey>((start, Bound::Unbounded))?.next().transpose()?;
        Ok(first.map(|(key, _)| numbers_of(key.value()).0))
    }
}

impl<T: OwnTables> Blobs<'_, T> {
    /// Whether the pieces of a content follow each other, as far as it goes, and are there.
    pub(super) fn has_pieces(&self, content: u64, length: u64, hear: &mut Hear<'_>) -> Result<bool, StorageError> {
        let mut end = 0_u64;
        for row in self.pieces.lists.range(number_key(content, 0)..=number_key(content, u64::MAX))? {
            let (key, row) = row?;
            let ((_, start), (piece, length)) = (numbers_of(key.value()), row.value());
            if start != end || length == 0 || u64::from(length) > CHUNK as u64 {
                fault(hear, format!("content {content}: no piece is behind byte {end}"))?;
                return Ok(false);
            }
            end = end.saturating_add(length.into());
            let found = self.chunks.length_of(chunk_key(piece, 0))?;
            if found != Some(length.into()) || !self.pieces.has(piece)? {
                fault(hear, format!("content {content}: there is no piece {piece} of {length} bytes"))?;
                return Ok(false);
            }
        }
        if end == length {
            return Ok(true);
        }
        fault(hear, format!("content {content}: its pieces are {end} bytes, and it is {length}"))?;
        Ok(false)
    }

    /// Compares what is known of pieces with lists, and with their bytes.
    pub(super) fn check_pieces(&self, sums: &mut Sums, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        let (mut found, mut used) = (0, Gathered::default());
        for row in self.pieces.pieces.iter()? {
            let (piece, row) = row?;
            let (piece, (hash, uses)) = (piece.value(), row.value());
            sums.contents.add(piece);
            used.add_times(piece, uses);
            let is_known = self.pieces.numbers.get(hash)?.is_some_and(|known| known.value() == piece);
            found += u64::from(is_known);
            if !is_known {
                fault(hear, format!("piece {piece}: its hash does not lead to it"))?;
            }
            let length = self.check_piece(piece, &hash, hear)?;
            sums.saved = sums.saved.saturating_add(uses.saturating_sub(1).saturating_mul(length));
        }
        if found != self.pieces.numbers.len()? {
            self.check_piece_numbers(hear)?;
        }
        let mut listed = Gathered::default();
        self.pieces.lists.iter()?.try_for_each(|row| row.map(|(_, row)| listed.add(row.value().0)))?;
        if listed == used { Ok(()) } else { self.check_uses(hear) }
    }

    /// How long a piece is, of which the bytes are looked at.
    fn check_piece(&self, piece: u64, known: &ContentHash, hear: &mut Hear<'_>) -> Result<u64, StorageError> {
        let Some(bytes) = self.chunks.get(chunk_key(piece, 0))? else {
            fault(hear, format!("piece {piece}: its bytes are missing"))?;
            return Ok(0);
        };
        if hash(bytes.value()) != *known {
            fault(hear, format!("piece {piece}: its hash is another"))?;
        }
        let behind = self.chunks.count::<ChunkKey>(chunk_key(piece, 1)..=chunk_key(piece, u32::MAX))?;
        if behind > 0 {
            fault(hear, format!("piece {piece}: there are {behind} chunks behind its end"))?;
        }
        Ok(bytes.value().len() as u64)
    }

    fn check_piece_numbers(&self, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        for row in self.pieces.numbers.iter()? {
            let (hash, piece) = row?;
            let (hash, piece) = (hash.value(), piece.value());
            if self.pieces.pieces.get(piece)?.is_none_or(|known| known.value().0 != hash) {
                fault(hear, format!("piece {piece}: a hash leads to it that is not its own"))?;
            }
        }
        Ok(())
    }

    /// Tells which pieces are used more or less often than is said, some of them at a time.
    fn check_uses(&self, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        let mut last = None;
        loop {
            let start = last.map_or(Bound::Unbounded, Bound::Excluded);
            let some = self.pieces.pieces.range::<u64>((start, Bound::Unbounded))?.take(super::BATCH);
            let rows = some.map(|row| row.map(|(piece, row)| (piece.value(), (row.value().1, 0_u64))));
            let mut uses = rows.collect::<Result<BTreeMap<_, _>, _>>()?;
            let Some((end, _)) = uses.last_key_value() else { return Ok(()) };
            last = Some(*end);
            for row in self.pieces.lists.iter()? {
                uses.entry(row?.1.value().0).and_modify(|(_, found)| *found += 1);
            }
            for (piece, (said, found)) in uses.into_iter().filter(|(_, (said, found))| said != found) {
                fault(hear, format!("piece {piece}: is said to be in lists {said} times, and is {found} times"))?;
            }
        }
    }
}

/// Which of the sums a content of that number is gathered in.
pub(super) fn owned_in(sums: &mut Sums, content: u64) -> &mut Gathered {
    if are_of(content) { &mut sums.lists } else { &mut sums.contents }
}
