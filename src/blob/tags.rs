use super::ids::BlobIds;
use super::options::check_tag;
use super::read::record;
use super::record::BlobId;
use super::tables::BLOBS;
use super::write::delete_each;
use crate::error::{BlobError, StorageError};
use crate::index::{OwnTables, TagQuery, Tags};
use crate::txn::{BlobChange, WriteTransaction};
use alloc::vec::Vec;

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
    /// [`MAX_TAG_LENGTH`](crate::limits::MAX_TAG_LENGTH) bytes.
    pub fn tag_blob(&self, id: BlobId, tag: &str) -> Result<bool, BlobError> {
        check_tag(tag)?;
        let _held = self.hold();
        record(self, id)?.ok_or(BlobError::NotFound(id.sequence()))?;
        let came = self.or_break(tags(self).add(&thing(id), tag))?;
        if came {
            self.log_blob(id.sequence(), BlobChange::Known)?;
        }
        Ok(came)
    }

    /// Takes a tag from a blob, and says whether it had it.
    pub fn untag_blob(&self, id: BlobId, tag: &str) -> Result<bool, BlobError> {
        let _held = self.hold();
        let went = self.or_break(tags(self).remove(&thing(id), tag))?;
        if went {
            self.log_blob(id.sequence(), BlobChange::Known)?;
        }
        Ok(went)
    }

    /// Deletes all blobs that tags select, and says how many there were.
    pub fn delete_selected_blobs(&self, query: &TagQuery) -> Result<u64, BlobError> {
        delete_each(self, || BlobIds::tagged(self, query.clone(), None))
    }
}
