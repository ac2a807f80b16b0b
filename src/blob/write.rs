use super::content::{self, Draft};
use super::links;
use super::read::record;
use super::record::{BlobId, ContentType, Record, StoreOptions};
use super::tables::{BLOBS, Records};
use super::tags::{check_tag, tags, thing};
use super::times;
use super::writer::BlobWriter;
use crate::error::{BlobError, StorageError};
use crate::index::{DeleteLinks, OwnTables, open};
use crate::txn::WriteTransaction;
use alloc::string::String;

/// The counter of blobs.
const IDS: &str = "blobs";

/// Stores a record under a new id, with these tags.
pub(super) fn store(txn: &WriteTransaction, record: &Record, own: &[String]) -> Result<BlobId, StorageError> {
    let id = BlobId::new(txn.take_number(IDS)?);
    put(txn, id, record)?;
    times::add(txn, id, record)?;
    own.iter().try_for_each(|tag| tags(txn).add(&thing(id), tag).map(|_| ()))?;
    Ok(id)
}

/// Sets the record of a blob.
pub(super) fn put(txn: &WriteTransaction, id: BlobId, record: &Record) -> Result<(), StorageError> {
    open::<Records>(txn, BLOBS)?.insert(id.sequence(), &record.encode()[..])?;
    Ok(())
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
        let mut writer = self.blob_writer(content_type, label, options)?;
        writer.write(data)?;
        writer.finish()
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
        let time = options.time.map_or_else(|| self.now(), Ok)?;
        options.tags.iter().try_for_each(|tag| check_tag(tag))?;
        let _held = self.hold();
        links::check_parents(self, &options.parents)?;
        Ok(BlobWriter::new(self, Record::new(content_type, label, time)?, options.tags, options.parents))
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
        let _held = self.hold();
        let record = record(self, id)?.ok_or(BlobError::NotFound(id.sequence()))?;
        let mut draft = Draft::of(self, record.content.clone())?;
        draft.push(self, data)?;
        let content = draft.finish(self)?;
        Ok(put(self, id, &record.with(content))?)
    }

    /// Gives a blob another content. What else is known of it stays.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob.
    pub fn replace_blob(&self, id: BlobId, data: &[u8]) -> Result<(), BlobError> {
        let _held = self.hold();
        let record = record(self, id)?.ok_or(BlobError::NotFound(id.sequence()))?;
        let mut draft = Draft::default();
        draft.push(self, data)?;
        let content = draft.finish(self)?;
        content::remove(self, &record.content)?;
        Ok(put(self, id, &record.with(content))?)
    }

    /// Gives a blob another label.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob; [`TooLong`](BlobError::TooLong) for a label over its
    /// [limit](crate::limits::MAX_BLOB_LABEL_LENGTH).
    pub fn relabel_blob(&self, id: BlobId, label: &str) -> Result<(), BlobError> {
        let _held = self.hold();
        let record = record(self, id)?.ok_or(BlobError::NotFound(id.sequence()))?;
        Ok(put(self, id, &record.labelled(label)?)?)
    }

    /// Deletes a blob and its links, and says whether there was one. Its pages are free once no snapshot needs them.
    ///
    /// If the storage fails half-way, the transaction can only be aborted.
    pub fn delete_blob(&self, id: BlobId) -> Result<bool, BlobError> {
        self.delete_blob_with(id, DeleteLinks::Cut)
    }
}

/// Deletes a blob with all that indexes know of it, and says whether there was one.
pub(super) fn delete(txn: &WriteTransaction, id: BlobId, links: DeleteLinks) -> Result<bool, StorageError> {
    let Some(record) = record(txn, id)? else { return Ok(false) };
    if let Some(mut records) = txn.table::<Records>(BLOBS)? {
        records.remove(id.sequence())?;
    }
    times::remove(txn, id, &record)?;
    tags(txn).clear(&thing(id))?;
    links::remove(txn, id, links)?;
    content::remove(txn, &record.content)?;
    Ok(true)
}
