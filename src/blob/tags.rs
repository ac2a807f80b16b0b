use super::paged::{BATCH, Paged};
use super::read::record;
use super::record::{BlobId, check_length};
use super::tables::BLOBS;
use crate::error::{BlobError, StorageError};
use crate::index::{OwnTables, TagQuery, Tags};
use crate::limits::MAX_TAG_LENGTH;
use crate::txn::WriteTransaction;
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};

/// The tags of blobs.
pub(super) fn tags<T: OwnTables>(tables: &T) -> Tags<'_, T> {
    Tags::new(tables, BLOBS)
}

/// How indexes know a blob: in the order of ids.
pub(super) fn thing(id: BlobId) -> [u8; 8] {
    id.sequence().to_be_bytes()
}

/// The blob that an index knows by these bytes.
pub(super) fn blob(thing: Vec<u8>) -> Result<BlobId, StorageError> {
    let sequence =
        thing.try_into().map_err(|_| StorageError::corrupted("an index of blobs has a thing that is none"))?;
    Ok(BlobId::new(u64::from_be_bytes(sequence)))
}

pub(super) fn check_tag(tag: &str) -> Result<(), BlobError> {
    check_length("tag", tag, MAX_TAG_LENGTH)
}

/// The blobs that tags select, in the order of their ids. After an error it gives no more.
///
/// Some are looked up at a time. In a write transaction those that are tagged meanwhile may be among them or not.
pub struct TaggedBlobs<'t, T: OwnTables> {
    tables: &'t T,
    query: TagQuery,
    last: Option<BlobId>,
    found: Paged<BlobId>,
}

impl<'t, T: OwnTables> TaggedBlobs<'t, T> {
    pub(super) fn new(tables: &'t T, query: TagQuery, after: Option<BlobId>) -> Self {
        Self { tables, query, last: after, found: Paged::default() }
    }
}

fn fetch(tables: &impl OwnTables, query: &TagQuery, after: Option<BlobId>) -> Result<Vec<BlobId>, StorageError> {
    let _held = tables.hold();
    let after = after.map(thing);
    let things = tags(tables).select(query, after.as_ref().map(<[u8; 8]>::as_slice), BATCH)?;
    things.into_iter().map(blob).collect()
}

impl<T: OwnTables> Iterator for TaggedBlobs<'_, T> {
    type Item = Result<BlobId, BlobError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.found.next(|| fetch(self.tables, &self.query, self.last)).transpose()?;
        self.last = next.as_ref().ok().copied().or(self.last);
        Some(next.map_err(BlobError::from))
    }
}

impl<T: OwnTables> Debug for TaggedBlobs<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TaggedBlobs").field("query", &self.query).field("last", &self.last).finish_non_exhaustive()
    }
}

impl WriteTransaction {
    /// Gives a blob a tag, and says whether it did not have it.
    ///
    /// ```
    /// use sapwood::{ContentType, Database, ReadableBlobs, StoreOptions, TagQuery, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let id = txn.store_blob(b"fn main() {}", ContentType::TextPlain, "main.rs", StoreOptions::new())?;
    /// assert!(txn.tag_blob(id, "rs")?);
    /// assert!(!txn.tag_blob(id, "rs")?);
    /// let found: Vec<_> = txn.select_blobs(TagQuery::new().all_of(["rs"]), None).collect::<Result<_, _>>()?;
    /// assert_eq!(found, [id]);
    /// assert!(txn.untag_blob(id, "rs")?);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob; [`TooLong`](BlobError::TooLong) for a tag of more than
    /// [`MAX_TAG_LENGTH`] bytes.
    pub fn tag_blob(&self, id: BlobId, tag: &str) -> Result<bool, BlobError> {
        check_tag(tag)?;
        let _held = self.hold();
        record(self, id)?.ok_or(BlobError::NotFound(id.sequence()))?;
        Ok(self.or_break(tags(self).add(&thing(id), tag))?)
    }

    /// Takes a tag from a blob, and says whether it had it.
    pub fn untag_blob(&self, id: BlobId, tag: &str) -> Result<bool, BlobError> {
        let _held = self.hold();
        Ok(self.or_break(tags(self).remove(&thing(id), tag))?)
    }
}
