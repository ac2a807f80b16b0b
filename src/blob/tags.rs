use super::read::record;
use super::record::{BlobId, check_length};
use super::tables::BLOBS;
use crate::error::{BlobError, StorageError};
use crate::index::{OwnTables, TagQuery, Tags};
use crate::limits::MAX_TAG_LENGTH;
use crate::txn::WriteTransaction;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};

/// Ids that are looked up at once.
const BATCH: usize = 64;

/// The tags of blobs.
pub(super) fn tags<T: OwnTables>(tables: &T) -> Tags<'_, T> {
    Tags::new(tables, BLOBS)
}

/// How indexes know a blob: in the order of ids.
pub(super) fn thing(id: BlobId) -> [u8; 8] {
    id.sequence().to_be_bytes()
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
    /// What was looked up and is not given yet.
    found: vec::IntoIter<BlobId>,
    ended: bool,
}

impl<'t, T: OwnTables> TaggedBlobs<'t, T> {
    pub(super) fn new(tables: &'t T, query: TagQuery, after: Option<BlobId>) -> Self {
        Self { tables, query, last: after, found: vec::IntoIter::default(), ended: false }
    }

    fn fetch(&mut self) -> Result<Vec<BlobId>, StorageError> {
        let _held = self.tables.hold();
        let after = self.last.map(thing);
        let things = tags(self.tables).select(&self.query, after.as_ref().map(<[u8; 8]>::as_slice), BATCH)?;
        let id = |thing: Vec<u8>| {
            let sequence =
                thing.try_into().map_err(|_| StorageError::corrupted("a tag is of a thing that is no blob"))?;
            Ok(BlobId::new(u64::from_be_bytes(sequence)))
        };
        things.into_iter().map(id).collect()
    }

    fn refill(&mut self) -> Result<(), StorageError> {
        if self.ended || !self.found.as_slice().is_empty() {
            return Ok(());
        }
        self.ended = true;
        let found = self.fetch()?;
        self.ended = found.len() < BATCH;
        self.found = found.into_iter();
        Ok(())
    }
}

impl<T: OwnTables> Iterator for TaggedBlobs<'_, T> {
    type Item = Result<BlobId, BlobError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(err) = self.refill() {
            return Some(Err(err.into()));
        }
        self.last = Some(self.found.next()?);
        self.last.map(Ok)
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
        Ok(tags(self).add(&thing(id), tag)?)
    }

    /// Takes a tag from a blob, and says whether it had it.
    pub fn untag_blob(&self, id: BlobId, tag: &str) -> Result<bool, BlobError> {
        let _held = self.hold();
        Ok(tags(self).remove(&thing(id), tag)?)
    }
}
