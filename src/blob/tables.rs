//! The tables that blobs are kept in.

use super::record::BlobId;
use crate::error::StorageError;
use crate::index::{Part, open};
use crate::txn::{Space, WriteTransaction};

/// The name of these tables: there is one set of them.
pub(super) const BLOBS: &str = "";

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

/// Both numbers, big-endian.
pub(super) type ChunkKey = [u8; 12];

/// When a blob was made, and its id.
#[derive(Debug)]
pub enum Times {}

impl Part for Times {
    type Key = PairKey;
    type Value = ();
    const SPACE: Space = Space::Times;
}

/// Both numbers, big-endian.
pub(super) type PairKey = [u8; 16];

pub(super) fn number_key(first: u64, second: u64) -> PairKey {
    (u128::from(first) << 64 | u128::from(second)).to_be_bytes()
}

pub(super) fn numbers_of(key: PairKey) -> (u64, u64) {
    let number = u128::from_be_bytes(key);
    ((number >> 64) as u64, number as u64)
}

/// The key of something of a blob that is in the order of `first`.
pub(super) fn pair_key(first: u64, id: BlobId) -> PairKey {
    number_key(first, id.sequence())
}

/// What such a key says.
pub(super) fn pair_of(key: PairKey) -> (u64, BlobId) {
    let (first, id) = numbers_of(key);
    (first, BlobId::new(id))
}

/// Makes an index follow a blob whose key in it changes.
pub(super) fn replace_key<P: Part<Key = PairKey, Value = ()>>(
    txn: &WriteTransaction,
    (before, after): (Option<PairKey>, Option<PairKey>),
) -> Result<(), StorageError> {
    if before == after {
        return Ok(());
    }
    let mut index = open::<P>(txn, BLOBS)?;
    let removed = before.map_or(Ok(true), |key| index.remove(key).map(|row| row.is_some()))?;
    let missing = || StorageError::corrupted("an index of blobs does not have what the record of one says");
    removed.then_some(()).ok_or_else(missing)?;
    after.map_or(Ok(()), |key| index.insert(key, ()).map(drop))
}

/// What is known of a namespace, by its number: blobs, bytes of their contents, the most of both, how long blobs live, and its
/// name. `u64::MAX` stands for no limit.
#[derive(Debug)]
pub enum Namespaces {}

impl Part for Namespaces {
    type Key = u64;
    type Value = (u64, u64, u64, u64, u64, &'static str);
    const SPACE: Space = Space::Namespaces;
}

/// From the name of a namespace to its number.
#[derive(Debug)]
pub enum NamespaceNumbers {}

impl Part for NamespaceNumbers {
    type Key = &'static str;
    type Value = u64;
    const SPACE: Space = Space::NamespaceNumbers;
}

/// The number of a namespace, and the id of a blob in it.
#[derive(Debug)]
pub enum InNamespace {}

impl Part for InNamespace {
    type Key = PairKey;
    type Value = ();
    const SPACE: Space = Space::InNamespace;
}

/// When a blob expires, and its id.
#[derive(Debug)]
pub enum Expiries {}

impl Part for Expiries {
    type Key = PairKey;
    type Value = ();
    const SPACE: Space = Space::Expiries;
}

/// What all blobs have together.
#[derive(Debug)]
pub enum Totals {}

impl Part for Totals {
    type Key = u8;
    type Value = u64;
    const SPACE: Space = Space::Totals;
}

/// The hash of a content that blobs may share, by its number.
#[derive(Debug)]
pub enum SharedContents {}

impl Part for SharedContents {
    type Key = u64;
    type Value = [u8; 32];
    const SPACE: Space = Space::SharedContents;
}

/// The number of such a content, by its hash.
#[derive(Debug)]
pub enum ContentNumbers {}

impl Part for ContentNumbers {
    type Key = [u8; 32];
    type Value = u64;
    const SPACE: Space = Space::ContentNumbers;
}

/// The number of such a content, and the id of a blob that has it.
#[derive(Debug)]
pub enum ContentUsers {}

impl Part for ContentUsers {
    type Key = PairKey;
    type Value = ();
    const SPACE: Space = Space::ContentUsers;
}

/// The pieces that a content has: its number and where in it the piece begins, and the number of the piece and its length.
#[derive(Debug)]
pub enum PieceLists {}

impl Part for PieceLists {
    type Key = PairKey;
    type Value = (u64, u32);
    const SPACE: Space = Space::PieceLists;
}

/// The hash of a piece, and how often it is in lists, by its number.
#[derive(Debug)]
pub enum Pieces {}

impl Part for Pieces {
    type Key = u64;
    type Value = ([u8; 32], u64);
    const SPACE: Space = Space::Pieces;
}

/// The number of a piece, by its hash.
#[derive(Debug)]
pub enum PieceNumbers {}

impl Part for PieceNumbers {
    type Key = [u8; 32];
    type Value = u64;
    const SPACE: Space = Space::PieceNumbers;
}

/// Of a content that is being written while nobody holds its writer: its number, or all ones, the length of what is in chunks,
/// little-endian, and the bytes that follow.
#[derive(Debug)]
pub enum Drafts {}

impl Part for Drafts {
    type Key = u64;
    type Value = &'static [u8];
    const SPACE: Space = Space::Drafts;
}
