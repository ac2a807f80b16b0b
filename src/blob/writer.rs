use super::dedup;
use super::draft::{Draft, Layout};
use super::drafts;
use super::options::StoreOptions;
use super::record::{BlobId, Content, Record};
use super::write::store;
use crate::error::{BlobError, StorageError};
use crate::index::OwnTables;
use crate::txn::WriteTransaction;
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
    options: StoreOptions,
    /// What was written; `None` once it is finished, or a write has failed.
    draft: Option<Draft>,
}

impl<'t> BlobWriter<'t> {
    pub(super) fn new(txn: &'t WriteTransaction, record: Record, options: StoreOptions) -> Result<Self, StorageError> {
        let draft = draft(txn, &options)?;
        Ok(Self { txn, record, options, draft: Some(draft) })
    }

    /// Stores a blob of which all is known. Nothing is written if its content is there already.
    pub(super) fn store(mut self, data: &[u8]) -> Result<BlobId, BlobError> {
        if is_shared(self.txn, &self.options) && data.len() as u64 >= self.txn.settings().blob_dedup.min_size {
            let hash = dedup::hash(data);
            let _held = self.txn.hold();
            if let Some(number) = dedup::find(self.txn, &hash)? {
                self.draft = None;
                let record = self.record.clone().with(Content::Chunks(number, data.len() as u64));
                return store(self.txn, record, &self.options);
            }
            self.draft = self.draft.take().map(|draft| draft.with_hash(hash));
        }
        self.draft = self.draft.take().map(|draft| draft.of_length(self.txn, data.len()));
        self.write(data)?;
        self.finish()
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    ///
    /// After an error nothing more can be written, and the blob not be finished: [`WriterFailed`](BlobError::WriterFailed).
    pub fn write(&mut self, data: &[u8]) -> Result<(), BlobError> {
        let mut draft = self.draft.take().ok_or(BlobError::WriterFailed)?;
        let _held = self.txn.hold();
        self.txn.or_break(draft.push(self.txn, data))?;
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
    /// [`QuotaExceeded`](BlobError::QuotaExceeded) if its namespace may not have it; [`NotFound`](BlobError::NotFound) if a parent
    /// is not there any more. Nothing is left then.
    pub fn finish(mut self) -> Result<BlobId, BlobError> {
        let _held = self.txn.hold();
        let draft = self.draft.take().ok_or(BlobError::WriterFailed)?;
        let content = self.txn.or_break(draft.finish(self.txn))?;
        let record = self.record.clone().with(content);
        store(self.txn, record, &self.options)
    }

    /// Puts the writer aside, so that it need not be held: [`resume_blob_writer`](WriteTransaction::resume_blob_writer) gives
    /// it back within the transaction. One that is not resumed until the commit leaves nothing behind.
    pub fn suspend(mut self) -> Result<u64, BlobError> {
        let draft = self.draft.take().ok_or(BlobError::WriterFailed)?;
        let _held = self.txn.hold();
        Ok(self.txn.or_break(drafts::put(self.txn, &draft))?)
    }

    /// Goes on with what was put aside: see [`Draft::encode`].
    pub(super) fn go_on_with(&mut self, row: &[u8]) -> Result<(), StorageError> {
        let Some(draft) = self.draft.take() else { return Ok(()) };
        self.draft = Some(self.txn.or_break(draft.resumed(self.txn, row))?);
        Ok(())
    }

    fn abandon(&mut self) -> Result<(), StorageError> {
        let Some(draft) = self.draft.take() else { return Ok(()) };
        let _held = self.txn.hold();
        self.txn.or_break(draft.abandon(self.txn))
    }
}

/// Whether blobs may share the content.
fn is_shared(txn: &WriteTransaction, options: &StoreOptions) -> bool {
    options.dedup.unwrap_or(txn.settings().blob_dedup.contents)
}

/// A content without bytes yet, that will be stored as is asked for.
pub(super) fn draft(txn: &WriteTransaction, options: &StoreOptions) -> Result<Draft, StorageError> {
    let in_pieces = options.chunk_dedup.unwrap_or(txn.settings().blob_dedup.chunks);
    let draft = Draft::new(Layout { in_pieces, codec: options.codec()? });
    Ok(if is_shared(txn, options) { draft.hashed() } else { draft })
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
