use super::content::Draft;
use super::links;
use super::record::{BlobId, Record};
use super::write::store;
use crate::error::{BlobError, StorageError};
use crate::index::{OwnTables, Relation};
use crate::txn::WriteTransaction;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};

/// Writes a blob's content piece by piece. With `std` it implements `Write`.
///
/// The blob is there once it is [finished](Self::finish). One that is dropped before leaves nothing behind.
///
/// ```
/// use sapwood::{ContentType, Database, ReadableBlobs, StoreOptions, backends::InMemoryBackend};
/// use std::io::Write;
///
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let mut writer = txn.blob_writer(ContentType::TextPlain, "numbers", StoreOptions::new())?;
/// for number in 0..100_000 {
///     writeln!(writer, "{number}")?;
/// }
/// let id = writer.finish()?;
/// assert_eq!(txn.read_blob_range(id, 588_890 - 6, 6)?, b"99999\n");
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct BlobWriter<'t> {
    txn: &'t WriteTransaction,
    record: Record,
    tags: Vec<String>,
    parents: Vec<(BlobId, Relation)>,
    /// What was written; `None` once it is finished, or a write has failed.
    draft: Option<Draft>,
}

impl<'t> BlobWriter<'t> {
    pub(super) fn new(
        txn: &'t WriteTransaction,
        record: Record,
        tags: Vec<String>,
        parents: Vec<(BlobId, Relation)>,
    ) -> Self {
        Self { txn, record, tags, parents, draft: Some(Draft::default()) }
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    ///
    /// After an error nothing more can be written, and the blob not be finished: [`WriterFailed`](BlobError::WriterFailed).
    pub fn write(&mut self, data: &[u8]) -> Result<(), BlobError> {
        let mut draft = self.draft.take().ok_or(BlobError::WriterFailed)?;
        let _held = self.txn.hold();
        draft.push(self.txn, data)?;
        self.draft = Some(draft);
        Ok(())
    }

    /// Bytes that were written.
    pub fn bytes_written(&self) -> u64 {
        self.draft.as_ref().map_or(0, Draft::len)
    }

    /// Ends the content, and stores the blob.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if a parent is not there any more. Nothing is stored then.
    pub fn finish(mut self) -> Result<BlobId, BlobError> {
        let _held = self.txn.hold();
        links::check_parents(self.txn, &self.parents)?;
        let draft = self.draft.take().ok_or(BlobError::WriterFailed)?;
        let content = draft.finish(self.txn)?;
        let record = self.record.clone().with(content);
        let id = store(self.txn, &record, &self.tags)?;
        links::add_parents(self.txn, id, &self.parents)?;
        Ok(id)
    }

    fn abandon(&mut self) -> Result<(), StorageError> {
        let Some(draft) = self.draft.take() else { return Ok(()) };
        let _held = self.txn.hold();
        draft.abandon(self.txn)
    }
}

impl Drop for BlobWriter<'_> {
    fn drop(&mut self) {
        // A failure breaks the transaction, so that the commit tells of it.
        let _ = self.abandon();
    }
}

#[cfg(feature = "std")]
impl std::io::Write for BlobWriter<'_> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        Self::write(self, data)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Debug for BlobWriter<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlobWriter").field("bytes_written", &self.bytes_written()).finish_non_exhaustive()
    }
}
