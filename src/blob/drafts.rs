use super::content_type::ContentType;
use super::draft::Draft;
use super::options::StoreOptions;
use super::tables::{BLOBS, Drafts};
use super::writer::BlobWriter;
use crate::error::{BlobError, StorageError};
use crate::index::{OwnTables, open};
use crate::table::ReadableTable;
use crate::txn::WriteTransaction;
use alloc::vec::Vec;

/// The counter of drafts.
const DRAFTS: &str = "drafts";

/// Puts a draft aside, and gives the number by which it is found again.
pub(super) fn put(txn: &WriteTransaction, draft: &Draft) -> Result<u64, StorageError> {
    let number = txn.take_number(DRAFTS)?;
    open::<Drafts>(txn, BLOBS)?.insert(number, &draft.encode()[..])?;
    txn.before_commit(abandon_all);
    Ok(number)
}

/// Whoever has not come back for a writer until the commit gets no blob.
fn abandon_all(txn: &WriteTransaction) -> Result<(), StorageError> {
    let _held = txn.hold();
    while let Some(row) = take(txn, None)? {
        Draft::default().resumed(txn, &row)?.abandon(txn)?;
    }
    Ok(())
}

/// Takes the row about a draft, or the first there is.
fn take(txn: &WriteTransaction, number: Option<u64>) -> Result<Option<Vec<u8>>, StorageError> {
    let Some(mut drafts) = txn.table::<Drafts>(BLOBS)? else { return Ok(None) };
    let number = match number {
        Some(number) => number,
        None => match drafts.first()? {
            Some((number, _)) => number.value(),
            None => return Ok(None),
        },
    };
    Ok(drafts.remove(number)?.map(|row| row.value().to_vec()))
}

impl WriteTransaction {
    /// Goes on with a blob whose writer was [suspended](BlobWriter::suspend) in this transaction, under the number that it gave.
    /// What is known of the blob is said anew.
    ///
    /// ```
    /// use sapwood::{ContentType, Database, ReadableBlobs, StoreOptions, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let mut writer = txn.blob_writer(ContentType::TextPlain, "", StoreOptions::new())?;
    /// writer.write(b"first, ")?;
    /// let number = writer.suspend()?;
    ///
    /// let mut writer = txn.resume_blob_writer(number, ContentType::TextPlain, "words", StoreOptions::new())?;
    /// writer.write(b"then")?;
    /// let id = writer.finish()?;
    /// assert_eq!(txn.get_blob(id)?.unwrap().0, b"first, then");
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such writer: it was resumed before, or the transaction went back to a
    /// checkpoint. Otherwise as of [`blob_writer`](Self::blob_writer); the writer stays suspended then.
    pub fn resume_blob_writer(
        &self,
        number: u64,
        content_type: ContentType,
        label: &str,
        options: StoreOptions,
    ) -> Result<BlobWriter<'_>, BlobError> {
        let mut writer = self.blob_writer(content_type, label, options)?;
        let _held = self.hold();
        let row = take(self, Some(number))?.ok_or(BlobError::NotFound(number))?;
        writer.go_on_with(&row)?;
        Ok(writer)
    }
}
