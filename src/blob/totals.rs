use super::record::Step;
use super::tables::{BLOBS, Chunks, Records, Totals};
use crate::error::StorageError;
use crate::index::{OwnTables, Part, open};
use crate::table::{ReadableTable, ReadableTableMetadata};
use crate::txn::WriteTransaction;

/// What blobs take: those too that have expired and were not [purged](WriteTransaction::purge_expired_blobs) yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobStats {
    /// Blobs.
    pub blobs: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Chunks of at most 64 KiB in which contents are that are not beside what is known of their blobs. Those that several
    /// have count once.
    pub chunks: u64,
}

/// What is summed up, by its key.
#[derive(Clone, Copy)]
pub(super) enum Total {
    Bytes = 0,
    SavedBytes = 1,
}

pub(super) fn get(tables: &impl OwnTables, total: Total) -> Result<u64, StorageError> {
    let Some(totals) = tables.table::<Totals>(BLOBS)? else { return Ok(0) };
    Ok(totals.get(total as u8)?.map_or(0, |sum| sum.value()))
}

/// Takes something from a sum and adds something to it.
pub(super) fn add(txn: &WriteTransaction, total: Total, less: u64, more: u64) -> Result<(), StorageError> {
    if less == more {
        return Ok(());
    }
    let out_of_step = || StorageError::corrupted("what blobs have together is less than what one has");
    let sum = get(txn, total)?.checked_sub(less).and_then(|rest| rest.checked_add(more)).ok_or_else(out_of_step)?;
    open::<Totals>(txn, BLOBS)?.insert(total as u8, sum).map(drop)
}

pub(super) fn stats(tables: &impl OwnTables) -> Result<BlobStats, StorageError> {
    let (blobs, chunks) = (rows::<Records>(tables)?, rows::<Chunks>(tables)?);
    Ok(BlobStats { blobs, bytes: get(tables, Total::Bytes)?, chunks })
}

fn rows<P: Part>(tables: &impl OwnTables) -> Result<u64, StorageError> {
    tables.table::<P>(BLOBS)?.map_or(Ok(0), |table| table.len())
}

/// Makes the sum follow a record.
pub(super) fn follow(txn: &WriteTransaction, step: &Step<'_>) -> Result<(), StorageError> {
    let (before, after) = step.map(|record| Some(record.content.len()));
    add(txn, Total::Bytes, before.unwrap_or(0), after.unwrap_or(0))
}
