//! Contents in pieces: they end where their bytes say so, not where the content's length does, so that contents which
//! have bytes in common have pieces in common. Each piece is stored once, as a content of one chunk.

use super::content::{CHUNK, Place, chunk_key, damaged, remove_chunks};
use super::dedup::{ContentHash, hash};
use super::tables::{BLOBS, Chunks, PairKey, PieceLists, PieceNumbers, Pieces, number_key, numbers_of};
use super::totals::{self, Total};
use crate::compression::Codec;
use crate::error::StorageError;
use crate::index::{OwnTables, open};
use crate::table::{ReadableTable, ReadableTableMetadata};
use crate::txn::WriteTransaction;

/// Set in the number of a content in pieces, and in no other number.
const IN_PIECES: u64 = 1 << 63;
/// Least length of a piece but the last of a content, in bytes.
const SHORTEST: usize = CHUNK / 8;
/// The length up to which a piece is less likely to end at a byte than beyond it.
const USUAL: usize = CHUNK / 2;
/// Bits that must be zero where a piece ends, up to its usual length and beyond it.
const BITS: [u32; 2] = [17, 13];

/// What each byte adds to the rolling sum: 256 numbers of SplitMix64 (Steele, Lea, Flood, 2014).
const GEAR: [u64; 256] = {
    let (mut gear, mut state, mut at) = ([0; 256], 0_u64, 0);
    while at < gear.len() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        gear[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    gear
};

/// The length of the piece that these bytes begin with, of at most a chunk. Where it ends is told by its last 64 bytes.
///
/// Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach for Data Deduplication", USENIX ATC 2016.
pub(super) fn cut(bytes: &[u8]) -> usize {
    let mut sum = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(CHUNK).skip(SHORTEST) {
        sum = (sum << 1).wrapping_add(GEAR[usize::from(*byte)]);
        let [rare, common] = BITS;
        if sum.leading_zeros() >= if at < USUAL { rare } else { common } {
            return at + 1;
        }
    }
    bytes.len().min(CHUNK)
}

/// The number of a content in pieces.
pub(super) fn number(number: u64) -> u64 {
    number | IN_PIECES
}

/// Whether that is the number of a content in pieces.
pub(super) fn are_of(content: u64) -> bool {
    content & IN_PIECES != 0
}

/// Where the byte at `offset` of a content is.
pub(super) fn place(tables: &impl OwnTables, content: u64, offset: u64) -> Result<Place, StorageError> {
    let lists = tables.table::<PieceLists>(BLOBS)?.ok_or_else(damaged)?;
    let range = number_key(content, 0)..=number_key(content, offset);
    let (key, row) = lists.range::<PairKey>(range)?.next_back().ok_or_else(damaged)??;
    let ((_, start), (piece, length)) = (numbers_of(key.value()), row.value());
    Ok(Place { key: chunk_key(piece, 0), start, length: length as usize })
}

/// Adds a piece to a content, at this offset.
pub(super) fn add(
    txn: &WriteTransaction,
    (content, offset): (u64, u64),
    bytes: &[u8],
    codec: Option<Codec>,
) -> Result<(), StorageError> {
    let hash = hash(bytes);
    let known = open::<PieceNumbers>(txn, BLOBS)?.get(hash)?.map(|number| number.value());
    let piece = match known {
        Some(piece) => use_again(txn, piece, &hash, bytes.len())?,
        None => store(txn, &hash, bytes, codec)?,
    };
    let length = u32::try_from(bytes.len()).map_err(|_| StorageError::ValueTooLarge(bytes.len()))?;
    open::<PieceLists>(txn, BLOBS)?.insert(number_key(content, offset), (piece, length)).map(drop)
}

fn use_again(txn: &WriteTransaction, piece: u64, known: &ContentHash, length: usize) -> Result<u64, StorageError> {
    let mut pieces = open::<Pieces>(txn, BLOBS)?;
    let (hash, uses) =
        pieces.get(piece)?.map(|row| row.value()).filter(|row| row.0 == *known).ok_or_else(out_of_step)?;
    pieces.insert(piece, (hash, uses.checked_add(1).ok_or_else(out_of_step)?))?;
    totals::add(txn, Total::SavedBytes, 0, length as u64)?;
    Ok(piece)
}

fn store(txn: &WriteTransaction, hash: &ContentHash, bytes: &[u8], codec: Option<Codec>) -> Result<u64, StorageError> {
    let piece = txn.take_number(super::content::CONTENTS)?;
    open::<Chunks>(txn, BLOBS)?.insert_packed(chunk_key(piece, 0), bytes, codec)?;
    open::<PieceNumbers>(txn, BLOBS)?.insert(hash, piece)?;
    open::<Pieces>(txn, BLOBS)?.insert(piece, (*hash, 1))?;
    Ok(piece)
}

/// Removes the list of a content's pieces from this offset on, and the pieces that are in no other.
pub(super) fn remove(txn: &WriteTransaction, content: u64, from: u64) -> Result<(), StorageError> {
    let range = number_key(content, from)..=number_key(content, u64::MAX);
    let Some(mut lists) = txn.table::<PieceLists>(BLOBS)? else { return Ok(()) };
    for row in lists.range::<PairKey>(range.clone())? {
        let (piece, length) = row?.1.value();
        let_go(txn, piece, length)?;
    }
    lists.delete_range(range).map(|_| ())
}

/// Uses a piece once less.
fn let_go(txn: &WriteTransaction, piece: u64, length: u32) -> Result<(), StorageError> {
    let mut pieces = open::<Pieces>(txn, BLOBS)?;
    let (hash, uses) = pieces.get(piece)?.ok_or_else(out_of_step)?.value();
    if let Some(uses) = uses.checked_sub(1).filter(|uses| *uses > 0) {
        pieces.insert(piece, (hash, uses))?;
        return totals::add(txn, Total::SavedBytes, length.into(), 0);
    }
    pieces.remove(piece)?;
    open::<PieceNumbers>(txn, BLOBS)?.remove(hash)?.ok_or_else(out_of_step)?;
    remove_chunks(txn, piece)
}

/// How many pieces there are.
pub(super) fn count(tables: &impl OwnTables) -> Result<u64, StorageError> {
    tables.table::<Pieces>(BLOBS)?.map_or(Ok(0), |pieces| pieces.len())
}

fn out_of_step() -> StorageError {
    StorageError::corrupted("the tables of pieces of contents do not agree")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn bytes(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        core::iter::repeat_with(next).take(length).collect()
    }

    fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(cut(bytes));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }

    #[test]
    fn pieces_are_of_a_length_that_is_worth_while() {
        let bytes = bytes(1, 8 << 20);
        let pieces = pieces(&bytes);
        let (_, all_but_last) = pieces.split_last().unwrap();
        assert!(all_but_last.iter().all(|piece| (SHORTEST..=CHUNK).contains(&piece.len())));
        let usual = bytes.len() / pieces.len();
        assert!((USUAL * 3 / 4..USUAL * 3 / 2).contains(&usual), "{usual}");
        let at_their_end = all_but_last.iter().filter(|piece| piece.len() < CHUNK).count();
        assert!(at_their_end * 100 > all_but_last.len() * 95, "{at_their_end} of {}", all_but_last.len());
    }

    #[test]
    fn what_is_put_in_changes_the_pieces_around_it_alone() {
        let before = bytes(2, 4 << 20);
        let mut after = before.clone();
        after.splice(1 << 20..1 << 20, *b"put in");
        let (before, after) = (pieces(&before), pieces(&after));
        let new = after.iter().filter(|piece| !before.contains(piece)).count();
        assert!((1..=4).contains(&new), "{new} of {}", after.len());
    }

    #[test]
    fn bytes_that_are_all_alike_are_cut_at_chunks() {
        for byte in 0..=u8::MAX {
            let bytes = [byte; CHUNK + 1];
            assert!(cut(&bytes) <= CHUNK);
            assert_eq!(cut(&bytes[..SHORTEST]), SHORTEST);
        }
    }
}
