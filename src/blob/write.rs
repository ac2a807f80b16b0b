use super::content_type::ContentType;
use super::draft::Draft;
use super::hybrid::HybridTime;
use super::metadata::{self, MetadataValue};
use super::options::StoreOptions;
use super::read::{ReadableBlobs, record};
use super::record::{BlobId, Content, Record, Step};
use super::tables::{BLOBS, Records};
use super::tags::{tags, thing};
use super::writer::{BlobWriter, draft};
use super::{dedup, expiry, links, namespaces, times, totals};
use crate::error::{BlobError, StorageError};
use crate::index::{DeleteLinks, OwnTables, open};
use crate::txn::{BlobChange, WriteTransaction};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::ops::RangeBounds;

/// The counter of blobs.
const IDS: &str = "blobs";
/// The counter of hybrid times.
const HYBRID: &str = "hybrid time";
/// Blobs that are deleted before they are listed again.
const BATCH: usize = 64;

/// Stores a record under a new id, with what else was said of it. If that is refused, its content goes.
pub(super) fn store(txn: &WriteTransaction, record: Record, options: &StoreOptions) -> Result<BlobId, BlobError> {
    let id = BlobId::new(txn.take_number(IDS)?);
    let content = record.content.clone();
    let kept = links::check_parents(txn, &options.parents).and_then(|()| Ok(complete(txn, record, options)?));
    if let Err(err) = kept.and_then(|record| set(txn, &Step { id, before: None, after: Some(&record) })) {
        if let Content::Chunks(content, _) = content {
            txn.or_break(dedup::let_go(txn, content))?;
        }
        return Err(err);
    }
    let add_all = || {
        options.tags.iter().try_for_each(|tag| tags(txn).add(&thing(id), tag).map(drop))?;
        links::add_parents(txn, id, &options.parents)?;
        txn.log_blob(id.sequence(), BlobChange::Stored)
    };
    txn.or_break(add_all())?;
    Ok(id)
}

/// The record, with what is known when it is stored.
fn complete(txn: &WriteTransaction, record: Record, options: &StoreOptions) -> Result<Record, StorageError> {
    let hybrid = hybrid_time(txn, options.hybrid, record.time)?;
    let named = options.namespace.as_deref();
    let namespace = named.map(|name| namespaces::find(txn, name)).transpose()?.flatten();
    let ttl = options.ttl.or(namespace.and_then(|info| info.default_ttl));
    let expires = ttl.map(|ttl| expiry::expiry(txn, ttl)).transpose()?;
    // Last, as it may make the namespace.
    let namespace = named.map_or(Ok(0), |name| namespaces::number_for(txn, name))?;
    Ok(Record { hybrid, namespace, expires, metadata: options.metadata.clone(), ..record })
}

/// The given hybrid time, or the next one.
fn hybrid_time(txn: &WriteTransaction, given: Option<HybridTime>, made_at: u64) -> Result<HybridTime, StorageError> {
    let now = || match txn.now() {
        Err(StorageError::ClockMissing) => Ok(HybridTime::from_ms(made_at)),
        now => now.map(HybridTime::from_ms),
    };
    let least = given.map_or_else(now, Ok)?;
    let next = txn.take_number_from(HYBRID, least.to_bits())?;
    Ok(given.unwrap_or(HybridTime::from_bits(next)))
}

/// Changes the record of a blob, and all indexes with it. Nothing is changed if that is refused.
pub(super) fn change(
    txn: &WriteTransaction,
    id: BlobId,
    change: impl FnOnce(Record) -> Result<Record, BlobError>,
) -> Result<(), BlobError> {
    let _held = txn.hold();
    let before = record(txn, id)?.ok_or(BlobError::NotFound(id.sequence()))?;
    let after = or_break(txn, change(before.clone()))?;
    set(txn, &Step { id, before: Some(&before), after: Some(&after) })?;
    let what = if before.content == after.content { BlobChange::Known } else { BlobChange::Content };
    Ok(txn.log_blob(id.sequence(), what)?)
}

/// Removes a blob of which this is the record.
pub(super) fn remove(
    txn: &WriteTransaction,
    id: BlobId,
    record: &Record,
    links: DeleteLinks,
    why: BlobChange,
) -> Result<(), BlobError> {
    set(txn, &Step { id, before: Some(record), after: None })?;
    let remove_all = || {
        tags(txn).clear(&thing(id))?;
        links::remove(txn, id, links)?;
        txn.log_blob(id.sequence(), why)
    };
    Ok(txn.or_break(remove_all())?)
}

/// Deletes a blob, and says whether there was one.
pub(super) fn delete(txn: &WriteTransaction, id: BlobId, links: DeleteLinks) -> Result<bool, BlobError> {
    let Some(record) = record(txn, id)? else { return Ok(false) };
    remove(txn, id, &record, links, BlobChange::Deleted)?;
    Ok(true)
}

/// What has failed half-way breaks the transaction; what was refused has changed nothing.
fn or_break<T>(txn: &WriteTransaction, changed: Result<T, BlobError>) -> Result<T, BlobError> {
    match changed {
        Err(BlobError::Storage(err)) if !matches!(err, StorageError::ClockMissing) => Ok(txn.or_break(Err(err))?),
        other => other,
    }
}

/// Deletes what is listed, each time anew, until nothing is, and says how much there was.
pub(super) fn delete_each<'t, I>(txn: &WriteTransaction, list: impl Fn() -> I) -> Result<u64, BlobError>
where
    I: Iterator<Item = Result<BlobId, BlobError>> + 't,
{
    let mut deleted = 0;
    loop {
        let some: Vec<_> = list().take(BATCH).collect::<Result<_, _>>()?;
        if some.is_empty() {
            return Ok(deleted);
        }
        let before = deleted;
        for id in some {
            deleted += u64::from(txn.delete_blob(id)?);
        }
        if deleted == before {
            return Err(StorageError::corrupted("an index lists blobs that there are not").into());
        }
    }
}

/// The one way to change what is known of a blob: all that is found by it follows its record.
fn set(txn: &WriteTransaction, step: &Step<'_>) -> Result<(), BlobError> {
    // What may refuse comes first.
    or_break(txn, namespaces::follow(txn, step))?;
    let follow_all = || {
        times::follow(txn, step)?;
        expiry::follow(txn, step)?;
        totals::follow(txn, step)?;
        dedup::follow(txn, step)?;
        let (mut records, id) = (open::<Records>(txn, BLOBS)?, step.id.sequence());
        match step.after {
            Some(record) => records.insert(id, &record.encode()[..]).map(drop),
            None => records.remove(id).map(drop),
        }
    };
    Ok(txn.or_break(follow_all())?)
}

impl WriteTransaction {
    /// Stores a blob.
    ///
    /// ```
    /// use sapwood::{ContentType, Database, ReadableBlobs, StoreOptions, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let id = txn.store_blob(&[7; 100_000], ContentType::OctetStream, "sevens", StoreOptions::new())?;
    /// assert_eq!(txn.get_blob_meta(id)?.unwrap().length, 100_000);
    /// txn.commit()?;
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TooLong`](BlobError::TooLong) for a label or content type over its [limit](crate::limits);
    /// [`NotFound`](BlobError::NotFound) if a parent is not there; `ClockMissing` if no time is given and there is no clock.
    /// Nothing is stored then.
    pub fn store_blob(
        &self,
        data: &[u8],
        content_type: ContentType,
        label: &str,
        options: StoreOptions,
    ) -> Result<BlobId, BlobError> {
        self.blob_writer(content_type, label, options)?.store(data)
    }

    /// Begins a blob whose content is written piece by piece. Any number may be written at once, each in constant memory.
    ///
    /// # Errors
    ///
    /// As of [`store_blob`](Self::store_blob).
    pub fn blob_writer(
        &self,
        content_type: ContentType,
        label: &str,
        options: StoreOptions,
    ) -> Result<BlobWriter<'_>, BlobError> {
        options.check()?;
        let held = self.hold();
        links::check_parents(self, &options.parents)?;
        drop(held);
        let time = options.time.map_or_else(|| self.now(), Ok)?;
        Ok(BlobWriter::new(self, Record::new(content_type, label, time)?, options)?)
    }

    /// Adds to the end of a blob's content.
    ///
    /// ```
    /// # use sapwood::{ContentType, Database, ReadableBlobs, StoreOptions, backends::InMemoryBackend};
    /// # let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let id = txn.store_blob(b"oak", ContentType::TextPlain, "trees", StoreOptions::new())?;
    /// txn.append_blob(id, b", yew")?;
    /// assert_eq!(txn.get_blob(id)?.unwrap().0, b"oak, yew");
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob.
    pub fn append_blob(&self, id: BlobId, data: &[u8]) -> Result<(), BlobError> {
        change(self, id, |record| {
            namespaces::check_room(self, &record, record.content.len().saturating_add(data.len() as u64))?;
            let mut draft = Draft::of(self, record.content.clone())?;
            draft.push(self, data)?;
            let content = draft.finish(self)?;
            Ok(record.with(content))
        })
    }

    /// Gives a blob another content, which is stored as the builder says. What else is known of it stays.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob.
    pub fn replace_blob(&self, id: BlobId, data: &[u8]) -> Result<(), BlobError> {
        change(self, id, |record| {
            namespaces::check_room(self, &record, data.len() as u64)?;
            let mut draft = draft(self, &StoreOptions::new())?.of_length(self, data.len());
            draft.push(self, data)?;
            let content = draft.finish(self)?;
            Ok(record.with(content))
        })
    }

    /// Gives a blob another label.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob; [`TooLong`](BlobError::TooLong) for a label over its
    /// [limit](crate::limits::MAX_BLOB_LABEL_LENGTH).
    pub fn relabel_blob(&self, id: BlobId, label: &str) -> Result<(), BlobError> {
        change(self, id, |record| record.labelled(label))
    }

    /// Sets a value of a blob's metadata, or takes it away.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob; [`TooLong`](BlobError::TooLong) if the metadata would be over
    /// its [limit](crate::limits::MAX_METADATA_LENGTH).
    pub fn set_blob_metadata(&self, id: BlobId, name: &str, value: Option<MetadataValue>) -> Result<(), BlobError> {
        change(self, id, |mut record| {
            match value {
                Some(value) => drop(record.metadata.insert(name.to_string(), value)),
                None => drop(record.metadata.remove(name)),
            }
            metadata::check(&record.metadata)?;
            Ok(record)
        })
    }

    /// Gives a blob another content type.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob; [`TooLong`](BlobError::TooLong) for one over its
    /// [limit](crate::limits::MAX_CONTENT_TYPE_LENGTH).
    pub fn retype_blob(&self, id: BlobId, content_type: ContentType) -> Result<(), BlobError> {
        change(self, id, |record| record.typed(content_type))
    }

    /// Deletes all blobs that were made at these times, and says how many there were.
    pub fn delete_blobs_in_time_range(&self, times: impl RangeBounds<u64> + Clone) -> Result<u64, BlobError> {
        delete_each(self, || self.blobs_in_time_range(times.clone()).map(|found| Ok(found?.1)))
    }

    /// Deletes a blob and its links, and says whether there was one. Its pages are free once no snapshot needs them.
    ///
    /// If the storage fails half-way, the transaction can only be aborted.
    pub fn delete_blob(&self, id: BlobId) -> Result<bool, BlobError> {
        self.delete_blob_with(id, DeleteLinks::Cut)
    }
}
