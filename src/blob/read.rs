use super::content;
use super::dedup::{self, DedupStats};
use super::ids::BlobIds;
use super::links::{self, LinkedBlobs};
use super::namespaces::{self, NamespaceInfo};
use super::reader::BlobReader;
use super::record::{BlobId, BlobMeta, Content, Record};
use super::tables::{BLOBS, Records};
use super::tags::{tags, thing};
use super::times::BlobsInTime;
use super::totals::{self, BlobStats};
use crate::error::{BlobError, StorageError};
use crate::index::{Follow, OwnTables, Side, TagQuery};
use crate::table::ReadableTable;
use crate::txn::{ReadTransaction, WriteTransaction};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeBounds;

/// The record of a blob, if there is one that is to be seen.
pub(super) fn record(tables: &impl OwnTables, id: BlobId) -> Result<Option<Record>, StorageError> {
    let Some(record) = stored(tables, id)? else { return Ok(None) };
    let expired = record.expires.map_or(Ok(false), |_| tables.time().map(|now| record.has_expired(now)))?;
    Ok(Some(record).filter(|_| !expired))
}

/// The record of a blob, whether it has expired or not.
pub(super) fn stored(tables: &impl OwnTables, id: BlobId) -> Result<Option<Record>, StorageError> {
    let Some(records) = tables.table::<Records>(BLOBS)? else { return Ok(None) };
    records.get(id.sequence())?.map(|bytes| Record::decode(bytes.value())).transpose()
}

/// What is known of a blob by its record.
pub(super) fn meta(tables: &impl OwnTables, id: BlobId, record: Record) -> Result<BlobMeta, StorageError> {
    let namespace = namespaces::name_of(tables, record.namespace)?;
    Ok(record.into_meta(id, namespace))
}

/// What can be read of blobs, in a read transaction or a write transaction.
///
/// ```
/// use sapwood::{ContentType, Database, ReadableBlobs, ReadableDatabase, StoreOptions, backends::InMemoryBackend};
///
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let id = txn.store_blob(b"rings", ContentType::TextPlain, "notes", StoreOptions::new())?;
/// txn.commit()?;
///
/// let txn = db.begin_read()?;
/// let (content, meta) = txn.get_blob(id)?.unwrap();
/// assert_eq!((&content[..], &meta.label[..]), (&b"rings"[..], "notes"));
/// assert_eq!(txn.read_blob_range(id, 1, 3)?, b"ing");
/// # Ok::<(), sapwood::Error>(())
/// ```
pub trait ReadableBlobs: OwnTables {
    /// A blob's content, and what is known of it. `None` if there is no such blob.
    ///
    /// Takes the memory of the whole content; [`blob_reader`](Self::blob_reader) does not.
    #[allow(clippy::type_complexity)]
    fn get_blob(&self, id: BlobId) -> Result<Option<(Vec<u8>, BlobMeta)>, BlobError> {
        let _held = self.hold();
        let Some(record) = record(self, id)? else { return Ok(None) };
        let mut bytes = Vec::new();
        content::read(self, &record.content, 0, record.content.len(), &mut bytes)?;
        Ok(Some((bytes, meta(self, id, record)?)))
    }

    /// What is known of a blob. `None` if there is no such blob.
    fn get_blob_meta(&self, id: BlobId) -> Result<Option<BlobMeta>, BlobError> {
        let _held = self.hold();
        Ok(record(self, id)?.map(|record| meta(self, id, record)).transpose()?)
    }

    /// The blob with that [number](BlobId::sequence). `None` if there is no such blob.
    fn blob_by_sequence(&self, sequence: u64) -> Result<Option<BlobMeta>, BlobError> {
        self.get_blob_meta(BlobId::new(sequence))
    }

    /// A part of a blob's content. Reads, and verifies, the chunks of 64 KiB in which it lies, and no others.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob; [`RangeOutOfBounds`](BlobError::RangeOutOfBounds) if it
    /// ends before the range does.
    fn read_blob_range(&self, id: BlobId, offset: u64, length: u64) -> Result<Vec<u8>, BlobError> {
        let _held = self.hold();
        let record = record(self, id)?.ok_or(BlobError::NotFound(id.sequence()))?;
        let whole = record.content.len();
        if offset.checked_add(length).is_none_or(|end| end > whole) {
            return Err(BlobError::RangeOutOfBounds { offset, length, blob: whole });
        }
        let mut bytes = Vec::new();
        content::read(self, &record.content, offset, length, &mut bytes)?;
        Ok(bytes)
    }

    /// The tags of a blob, in order.
    fn blob_tags(&self, id: BlobId) -> Result<Vec<String>, BlobError> {
        let _held = self.hold();
        Ok(tags(self).of(&thing(id))?)
    }

    /// The blobs that tags select, in the order of their ids, from behind `after` on: what was seen last is where another
    /// goes on.
    fn select_blobs(&self, query: TagQuery, after: Option<BlobId>) -> BlobIds<'_, Self> {
        BlobIds::tagged(self, query, after)
    }

    /// All blobs in the order of their ids, from behind `after` on.
    fn list_blobs(&self, after: Option<BlobId>) -> BlobIds<'_, Self> {
        BlobIds::all(self, after)
    }

    /// How many blobs there are, and what they take.
    fn blob_stats(&self) -> Result<BlobStats, BlobError> {
        let _held = self.hold();
        Ok(totals::stats(self)?)
    }

    /// What sharing contents has brought.
    fn dedup_stats(&self) -> Result<DedupStats, BlobError> {
        let _held = self.hold();
        Ok(dedup::stats(self)?)
    }

    /// The SHA-256 of a blob's content, if it may be [shared](crate::Builder::set_blob_dedup). Else it is not known.
    fn blob_content_hash(&self, id: BlobId) -> Result<Option<[u8; 32]>, BlobError> {
        let _held = self.hold();
        match record(self, id)?.map(|record| record.content) {
            Some(Content::Chunks(number, _)) => Ok(dedup::hash_of(self, number)?),
            _ => Ok(None),
        }
    }

    /// The blobs whose content has this SHA-256, of those that may be [shared](crate::Builder::set_blob_dedup), in the order
    /// of their ids, from behind `after` on.
    fn blobs_by_content(&self, hash: [u8; 32], after: Option<BlobId>) -> BlobIds<'_, Self> {
        BlobIds::of_content(self, hash, after)
    }

    /// The namespace that a blob is in. `None` if it is in none, or there is no such blob.
    fn blob_namespace(&self, id: BlobId) -> Result<Option<String>, BlobError> {
        Ok(self.get_blob_meta(id)?.and_then(|meta| meta.namespace))
    }

    /// The blobs of a namespace in the order of their ids, from behind `after` on.
    ///
    /// ```
    /// # use sapwood::{ContentType, Database, ReadableBlobs, StoreOptions, backends::InMemoryBackend};
    /// # let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// # let txn = db.begin_write()?;
    /// let store = |name| txn.store_blob(b"", ContentType::Json, "", StoreOptions::new().with_namespace(name));
    /// let (first, second) = (store("robins")?, store("wrens")?);
    /// txn.move_blob(second, Some("robins"))?;
    /// let found: Vec<_> = txn.blobs_in_namespace("robins", Some(first)).collect::<Result<_, _>>()?;
    /// assert_eq!(found, [second]);
    /// assert_eq!(txn.list_blob_namespaces(None, 10)?.len(), 1);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    fn blobs_in_namespace(&self, namespace: &str, after: Option<BlobId>) -> BlobIds<'_, Self> {
        BlobIds::in_namespace(self, namespace, after)
    }

    /// What is known of a namespace. `None` if it has nothing.
    fn blob_namespace_info(&self, namespace: &str) -> Result<Option<NamespaceInfo>, BlobError> {
        let _held = self.hold();
        Ok(namespaces::find(self, namespace)?)
    }

    /// At most so many namespaces behind that one, in order.
    fn list_blob_namespaces(&self, after: Option<&str>, most: usize) -> Result<Vec<NamespaceInfo>, BlobError> {
        let _held = self.hold();
        Ok(namespaces::list(self, after, most)?)
    }

    /// At most so many tags behind that one, in order, each with how many blobs have it.
    fn list_blob_tags(&self, after: Option<&str>, most: usize) -> Result<Vec<(String, u64)>, BlobError> {
        let _held = self.hold();
        Ok(tags(self).list(after, most)?)
    }

    /// How many blobs have a tag.
    fn count_tagged_blobs(&self, tag: &str) -> Result<u64, BlobError> {
        let _held = self.hold();
        Ok(tags(self).count(tag)?)
    }

    /// The blobs that were made at these times, in milliseconds since 1970, from both ends.
    ///
    /// ```
    /// # use sapwood::{ContentType, Database, ReadableBlobs, StoreOptions, backends::InMemoryBackend};
    /// # let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// # let txn = db.begin_write()?;
    /// let store = |time| txn.store_blob(b"", ContentType::Json, "", StoreOptions::new().with_time_ms(time));
    /// let (first, second, third) = (store(10)?, store(20)?, store(30)?);
    /// let newest = txn.blobs_in_time_range(..).rev().next().unwrap()?;
    /// assert_eq!(newest, (30, third));
    /// let found: Vec<_> = txn.blobs_in_time_range(10..=20).collect::<Result<_, _>>()?;
    /// assert_eq!(found, [(10, first), (20, second)]);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    fn blobs_in_time_range(&self, times: impl RangeBounds<u64>) -> BlobsInTime<'_, Self> {
        BlobsInTime::new(self, &times)
    }

    /// The blobs that were made at most so many milliseconds before or after this one, it included.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob.
    fn blobs_near(&self, id: BlobId, window_ms: u64) -> Result<BlobsInTime<'_, Self>, BlobError> {
        let time = self.get_blob_meta(id)?.ok_or(BlobError::NotFound(id.sequence()))?.time_ms;
        Ok(self.blobs_in_time_range(time.saturating_sub(window_ms)..=time.saturating_add(window_ms)))
    }

    /// The blobs that have this one as a parent, in the order of relations and ids.
    ///
    /// ```
    /// # use sapwood::{ContentType, Database, ReadableBlobs, Relation, StoreOptions, backends::InMemoryBackend};
    /// # let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// # let txn = db.begin_write()?;
    /// let photo = txn.store_blob(b"..", ContentType::ImagePng, "oak", StoreOptions::new())?;
    /// let options = StoreOptions::new().with_parent(photo, Relation::Derived);
    /// let thumbnail = txn.store_blob(b".", ContentType::ImagePng, "oak, small", options)?;
    /// let found: Vec<_> = txn.causal_children(photo).collect::<Result<_, _>>()?;
    /// assert_eq!((found[0].blob, found[0].relation), (thumbnail, Relation::Derived));
    /// assert_eq!(txn.causal_chain(thumbnail, 10)?, [thumbnail, photo]);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    fn causal_children(&self, id: BlobId) -> LinkedBlobs<'_, Self> {
        LinkedBlobs::new(self, id, Side::Children)
    }

    /// The parents of a blob, in the order of relations and ids.
    fn causal_parents(&self, id: BlobId) -> LinkedBlobs<'_, Self> {
        LinkedBlobs::new(self, id, Side::Parents)
    }

    /// A blob, its first parent, the first parent of that, and so on: so many hops at most, and up to a blob without parents.
    /// Nothing if there is no such blob.
    fn causal_chain(&self, id: BlobId, max_hops: u32) -> Result<Vec<BlobId>, BlobError> {
        links::chain(self, id, max_hops)
    }

    /// A shortest way from one blob to another, with both of them, along links in either direction. `None` if none has at most
    /// so many hops, or there is no such blob.
    fn causal_path(&self, from: BlobId, to: BlobId, max_hops: u32) -> Result<Option<Vec<BlobId>>, BlobError> {
        links::path(self, from, to, max_hops)
    }

    /// What a blob comes from, within so many hops: the nearest first, each once, with the fewest hops.
    fn causal_ancestors(&self, id: BlobId, hops: u32) -> Result<Vec<(BlobId, u32)>, BlobError> {
        links::within(self, id, Follow::Parents, hops)
    }

    /// What comes from a blob, within so many hops: the nearest first, each once, with the fewest hops.
    fn causal_descendants(&self, id: BlobId, hops: u32) -> Result<Vec<(BlobId, u32)>, BlobError> {
        links::within(self, id, Follow::Children, hops)
    }

    /// Reads a blob's content chunk by chunk.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob.
    fn blob_reader(&self, id: BlobId) -> Result<BlobReader<'_, Self>, BlobError> {
        let held = self.hold();
        let record = record(self, id)?.ok_or(BlobError::NotFound(id.sequence()))?;
        drop(held);
        Ok(BlobReader::new(self, id, record.content))
    }
}

impl ReadableBlobs for ReadTransaction {}
impl ReadableBlobs for WriteTransaction {}
