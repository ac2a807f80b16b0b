//! Contents that several blobs share. Such a content is known by its SHA-256, and is never changed; its blobs are rows, so
//! that how many they are is always right.

use super::content::remove;
use super::pieces;
use super::record::{BlobId, Content, Step};
use super::tables::{BLOBS, ContentNumbers, ContentUsers, SharedContents, pair_key};
use super::totals::{self, Total};
use crate::error::StorageError;
use crate::index::{OwnTables, open};
use crate::table::{ReadableTable, ReadableTableMetadata};
use crate::txn::WriteTransaction;
use sha2::{Digest, Sha256};

/// The SHA-256 of a content.
pub(super) type ContentHash = [u8; 32];

/// What sharing contents has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DedupStats {
    /// Contents that are known by their hash.
    pub contents: u64,
    /// Blobs that have one of them.
    pub blobs: u64,
    /// Chunks that are known by their hash: see [`with_chunk_dedup`](crate::StoreOptions::with_chunk_dedup).
    pub chunks: u64,
    /// Bytes that blobs would take beside, had each a content of its own, in chunks of its own.
    pub saved_bytes: u64,
}

fn out_of_step() -> StorageError {
    StorageError::corrupted("the tables of shared contents do not agree")
}

pub(super) fn hash(bytes: &[u8]) -> ContentHash {
    Sha256::digest(bytes).into()
}

pub(super) fn stats(tables: &impl OwnTables) -> Result<DedupStats, StorageError> {
    let contents = tables.table::<SharedContents>(BLOBS)?.map_or(Ok(0), |table| table.len())?;
    let blobs = tables.table::<ContentUsers>(BLOBS)?.map_or(Ok(0), |table| table.len())?;
    let chunks = pieces::count(tables)?;
    Ok(DedupStats { contents, blobs, chunks, saved_bytes: totals::get(tables, Total::SavedBytes)? })
}

/// The number of the content with this hash, if there is one.
pub(super) fn find(tables: &impl OwnTables, hash: &ContentHash) -> Result<Option<u64>, StorageError> {
    let Some(numbers) = tables.table::<ContentNumbers>(BLOBS)? else { return Ok(None) };
    Ok(numbers.get(hash)?.map(|number| number.value()))
}

/// The hash of a content, if others may share it.
pub(super) fn hash_of(tables: &impl OwnTables, content: u64) -> Result<Option<ContentHash>, StorageError> {
    let Some(shared) = tables.table::<SharedContents>(BLOBS)? else { return Ok(None) };
    Ok(shared.get(content)?.map(|hash| hash.value()))
}

/// The content that blobs with this hash share: the one that there is, else this one from now on.
pub(super) fn share(txn: &WriteTransaction, content: Content, hash: &ContentHash) -> Result<Content, StorageError> {
    let Content::Chunks(number, length) = content else { return Ok(content) };
    if let Some(known) = find(txn, hash)? {
        remove(txn, number)?;
        return Ok(Content::Chunks(known, length));
    }
    open::<ContentNumbers>(txn, BLOBS)?.insert(hash, number)?;
    open::<SharedContents>(txn, BLOBS)?.insert(number, hash)?;
    Ok(content)
}

fn users(tables: &impl OwnTables, content: u64) -> Result<bool, StorageError> {
    let Some(users) = tables.table::<ContentUsers>(BLOBS)? else { return Ok(false) };
    let (first, last) = (pair_key(content, BlobId::new(0)), pair_key(content, BlobId::new(u64::MAX)));
    Ok(users.range(first..=last)?.next().transpose()?.is_some())
}

/// Makes contents follow a record: one that no blob has goes.
pub(super) fn follow(txn: &WriteTransaction, step: &Step<'_>) -> Result<(), StorageError> {
    let id = step.id;
    let (before, after) = step.map(|record| match record.content {
        Content::Inline(_) => None,
        Content::Chunks(number, length) => Some((number, length)),
    });
    if before.map(|(number, _)| number) == after.map(|(number, _)| number) {
        return Ok(());
    }
    if let Some((number, length)) = after
        && hash_of(txn, number)?.is_some()
    {
        if users(txn, number)? {
            totals::add(txn, Total::SavedBytes, 0, length)?;
        }
        open::<ContentUsers>(txn, BLOBS)?.insert(pair_key(number, id), ())?;
    }
    let Some((number, length)) = before else { return Ok(()) };
    if hash_of(txn, number)?.is_some() {
        open::<ContentUsers>(txn, BLOBS)?.remove(pair_key(number, id))?.ok_or_else(out_of_step)?;
        if users(txn, number)? {
            return totals::add(txn, Total::SavedBytes, length, 0);
        }
    }
    let_go(txn, number)
}

/// Removes a content that no blob has any more, or none has yet.
pub(super) fn let_go(txn: &WriteTransaction, content: u64) -> Result<(), StorageError> {
    if let Some(hash) = hash_of(txn, content)? {
        if users(txn, content)? {
            return Ok(());
        }
        open::<SharedContents>(txn, BLOBS)?.remove(content)?;
        open::<ContentNumbers>(txn, BLOBS)?.remove(&hash)?.ok_or_else(out_of_step)?;
    }
    remove(txn, content)
}
