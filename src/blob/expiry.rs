use super::read::{record, stored};
use super::record::{BlobId, Record, Step};
use super::tables::{BLOBS, Expiries, pair_key, pair_of, replace_key};
use super::write::{change, remove};
use crate::error::{BlobError, StorageError};
use crate::index::{DeleteLinks, OwnTables, open};
use crate::limits::MAX_EXPIRY_MS;
use crate::table::ReadableTable;
use crate::txn::{BlobChange, WriteTransaction};
use core::time::Duration;

/// Makes the index follow a record.
pub(super) fn follow(txn: &WriteTransaction, step: &Step<'_>) -> Result<(), StorageError> {
    let key = |record: &Record| Some(pair_key(record.expires?, step.id));
    replace_key::<Expiries>(txn, step.map(key))
}

/// When something expires that lives so long from now on.
pub(super) fn expiry(txn: &WriteTransaction, ttl: Duration) -> Result<u64, StorageError> {
    let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    Ok(txn.now()?.saturating_add(ttl).min(MAX_EXPIRY_MS))
}

/// Whether some blobs have expired and are there still.
fn some_have_expired(tables: &impl OwnTables) -> Result<bool, StorageError> {
    let Some(expiries) = tables.table::<Expiries>(BLOBS)? else { return Ok(false) };
    let Some(first) = expiries.first()?.map(|(key, _)| pair_of(key.value()).0) else { return Ok(false) };
    Ok(first <= tables.time()?)
}

/// Whether a blob that an index lists is to be seen. Records are looked at only if some have expired at all.
pub(super) fn sight<T: OwnTables>(tables: &T) -> Result<impl Fn(BlobId) -> Result<bool, StorageError>, StorageError> {
    let all = !some_have_expired(tables)?;
    Ok(move |id| Ok(all || record(tables, id)?.is_some()))
}

/// What an index lists, without what is not to be seen.
pub(super) fn only_seen<I, C: FromIterator<I>>(
    tables: &impl OwnTables,
    listed: impl IntoIterator<Item = I>,
    blob: impl Fn(&I) -> BlobId,
) -> Result<C, StorageError> {
    let is_seen = sight(tables)?;
    let seen = |item| is_seen(blob(&item)).map(|seen| seen.then_some(item)).transpose();
    listed.into_iter().filter_map(seen).collect()
}

impl WriteTransaction {
    /// Says how long a blob lives from now on, or that it does not expire.
    ///
    /// ```
    /// use sapwood::{ContentType, Database, ReadableBlobs, StoreOptions, backends::InMemoryBackend};
    /// use std::time::Duration;
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let id = txn.store_blob(b"frost", ContentType::TextPlain, "", StoreOptions::new().with_ttl(Duration::ZERO))?;
    /// assert!(txn.get_blob(id)?.is_none());
    /// assert_eq!(txn.purge_expired_blobs(100)?, 1);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob, or it has expired;
    /// [`ClockMissing`](StorageError::ClockMissing) without a [clock](crate::Builder::set_clock).
    pub fn expire_blob(&self, id: BlobId, ttl: Option<Duration>) -> Result<(), BlobError> {
        change(self, id, |record| {
            let expires = ttl.map(|ttl| expiry(self, ttl)).transpose()?;
            Ok(Record { expires, ..record })
        })
    }

    /// Deletes at most so many of the blobs that have expired, those first that expired first, and says how many.
    ///
    /// # Errors
    ///
    /// [`ClockMissing`](StorageError::ClockMissing) without a [clock](crate::Builder::set_clock), if some blob expires.
    pub fn purge_expired_blobs(&self, limit: u64) -> Result<u64, BlobError> {
        let _held = self.hold();
        let mut purged = 0;
        while purged < limit && some_have_expired(self)? {
            let first = open::<Expiries>(self, BLOBS)?.first()?.map(|(key, _)| pair_of(key.value()));
            let Some((_, id)) = first else { break };
            let gone = stored(self, id)?;
            let missing = || StorageError::corrupted("a blob that expires has no record");
            remove(self, id, &gone.ok_or_else(missing)?, DeleteLinks::Cut, BlobChange::Expired)?;
            purged += 1;
        }
        Ok(purged)
    }
}
